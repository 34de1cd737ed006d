//! What lies under a connection.
//!
//! Today TCP that the worker reads and writes itself. TLS without IO of its own and byte streams pumped by a task will
//! be variants here; a [`Connection`](crate::connection::Connection) never knows which it has.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::{Interest, Registry, Token};

/// A byte stream that never blocks and tells its readiness to the worker's set.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(mio::net::TcpStream),
}

impl Stream {
    /// Readiness is edge-triggered and asked for once, for both directions.
    pub(crate) fn register(&mut self, registry: &Registry, index: usize) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.register(stream, Token(index), Interest::READABLE | Interest::WRITABLE),
        }
    }

    /// Leaves the set; from now on the stream may live elsewhere.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.deregister(stream),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
        }
    }

    /// Says that nothing more will be written (FIN). The peer may have gone already, which is no news.
    pub(crate) fn shutdown_write(&mut self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
        }
    }

    pub(crate) fn into_std(self) -> std::net::TcpStream {
        match self {
            Self::Tcp(stream) => stream.into(),
        }
    }
}
