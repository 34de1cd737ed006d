//! What the kernel leaves possible: one thread, one readiness set, one receive buffer, frames turned round where they
//! lie, one send per receive. It checks nothing that it does not need.
//!
//! Any path but two echoes. What comes in on `/pub` goes to everyone on `/sub`, one send per subscriber and receive.
//!
//! `receive → frames::turn_round → Worker::answer (or publish) → Connection::output when the kernel takes no more`

mod connection;
mod frames;
mod inbox;
mod upgrade;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use inbox::Inbox;
use worker::Worker;

/// How many connections may wait for the floor to accept them.
const BACKLOG: i32 = 4096;

/// A bound floor, ready to run.
#[derive(Debug)]
pub struct Floor {
    workers: Vec<Worker>,
    address: SocketAddr,
}

impl Floor {
    /// Binds `address` once per thread (SO_REUSEPORT), so that the kernel spreads the connections.
    pub fn bind(address: SocketAddr, threads: usize) -> io::Result<Self> {
        let first = listen(address)?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..threads {
            listeners.push(listen(address)?);
        }
        let polls = listeners.iter().map(|_| mio::Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let inboxes = polls.iter().map(Inbox::new).collect::<io::Result<Vec<_>>>()?;
        let inboxes: Arc<[Inbox]> = inboxes.into();
        let workers = listeners
            .into_iter()
            .zip(polls)
            .enumerate()
            .map(|(index, (listener, poll))| Worker::new(poll, listener, Arc::clone(&inboxes), index))
            .collect::<io::Result<_>>()?;
        Ok(Self { workers, address })
    }

    /// Where it listens, the port filled in.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves for ever, the first worker in this thread. Returns only if a readiness set fails.
    pub fn run(self) -> io::Result<()> {
        let mut workers = self.workers.into_iter();
        let first = workers.next();
        for worker in workers {
            std::thread::spawn(move || worker.run());
        }
        first.map_or(Ok(()), Worker::run)
    }
}

fn listen(address: SocketAddr) -> io::Result<mio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}
