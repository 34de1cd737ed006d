//! What lies under a connection.
//!
//! TCP that the worker reads and writes itself, and streams that somebody else moves and the worker polls. A
//! [`Connection`](crate::connection::Connection) never knows which it has.

mod polled;

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::{Interest, Registry, Token};

pub(crate) use polled::Polled;

use crate::inbox::{ConnectionId, Inbox};

/// A byte stream that never blocks and tells its readiness to the worker's set.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(mio::net::TcpStream),
    Polled(Box<Polled>),
}

impl Stream {
    /// Readiness is edge-triggered and asked for once, for both directions.
    pub(crate) fn register(&mut self, registry: &Registry, index: usize) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.register(stream, Token(index), Interest::READABLE | Interest::WRITABLE),
            Self::Polled(_) => Ok(()),
        }
    }

    /// Who is to be told about readiness that the set does not know of.
    pub(crate) fn attach(&mut self, inbox: &Inbox, id: ConnectionId) {
        if let Self::Polled(stream) = self {
            stream.attach(inbox.clone(), id);
        }
    }

    /// Such readiness has been told.
    pub(crate) fn handle_wake(&mut self) {
        if let Self::Polled(stream) = self {
            stream.handle_wake();
        }
    }

    /// Whether a read that did not fill its buffer has taken all there was.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            Self::Polled(stream) => stream.is_empty(),
        }
    }

    /// Leaves the set; from now on the stream may live elsewhere.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.deregister(stream),
            Self::Polled(_) => Ok(()),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Polled(stream) => stream.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Polled(stream) => stream.write(bytes),
        }
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Polled(stream) => stream.write_vectored(slices),
        }
    }

    /// Says that nothing more will be written (FIN). The peer may have gone already, which is no news.
    pub(crate) fn shutdown_write(&mut self) {
        match self {
            Self::Tcp(stream) => drop(stream.shutdown(Shutdown::Write)),
            Self::Polled(stream) => stream.shutdown_write(),
        }
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Polled(stream) => stream.peer_addr(),
        }
    }

    /// The socket itself; `None` if there is none that could be had.
    pub(crate) fn into_std(self) -> Option<std::net::TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream.into()),
            Self::Polled(_) => None,
        }
    }
}
