//! Servers on other crates, each used as its documentation wants it for speed, to be measured beside ours: any path
//! echoes; what comes in on `/pub` goes to everyone on `/sub`.
//!
//! - [`head`]: the opening handshake, ours, so that no peer pays for an HTTP server that it does not need.
//! - [`hub`]: who is on `/sub`.
//! - [`sinks`]: echo and fan-out over what is a `Stream` and a `Sink`: all that is ready, then one flush.
//! - [`peers`]: one crate, one file.

mod head;
mod hub;
mod peers;
mod sinks;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use hub::Hub;
use peers::Peer;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Largest frame and message, where a crate has a limit.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

/// Echo and fan-out on one of the crates that we are compared with.
#[derive(Parser)]
struct Arguments {
    /// On which.
    #[arg(long)]
    peer: Peer,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads, each with a runtime and a listener of its own.
    #[arg(long, env = "WINGBEAT_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Small buffers, as for many idle connections, where the crate lets us choose.
    #[arg(long)]
    lean: bool,
}

/// What every connection of a server is given.
#[derive(Clone)]
struct Settings {
    hub: Arc<Hub>,
    is_lean: bool,
}

fn main() -> io::Result<()> {
    let Arguments { peer, listen, threads, lean } = Arguments::parse();
    let settings = Settings { hub: Arc::new(Hub::default()), is_lean: lean };
    let first = bind(listen)?;
    let address = first.local_addr()?;
    for _ in 1..threads {
        let (listener, settings) = (bind(address)?, settings.clone());
        thread::spawn(move || run(peer, listener, settings));
    }
    println!("listening on {address}");
    run(peer, first, settings)
}

fn run(peer: Peer, listener: std::net::TcpListener, settings: Settings) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async { peer.serve(TcpListener::from_std(listener)?, settings).await })
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
