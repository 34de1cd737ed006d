//! What lies under a connection.
//!
//! A [`Socket`] is raw: TCP or Unix. Over either may lie TLS, which has no IO of its own. What somebody else moves, a
//! stream of HTTP/2 say, is [`Polled`]. A [`Connection`](crate::connection::Connection) never knows which it has.

mod asynchronous;
mod polled;
mod socket;
mod tls;

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, SendFlags};

pub(crate) use self::asynchronous::AsyncStream;
pub(crate) use self::polled::Polled;
pub(crate) use self::socket::Socket;
pub(crate) use self::tls::TlsStream;
use crate::worker::inbox::{ConnectionId, Inbox};

/// A byte stream that never blocks and tells its readiness to the worker's set.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
    Tls(Box<TlsStream>),
    Polled(Box<Polled>),
}

impl Stream {
    /// Readiness is edge-triggered and asked for once, for both directions.
    pub(crate) fn register(&mut self, registry: &Registry, index: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => registry.register(stream, Token(index), interest),
            Self::Unix(stream) => registry.register(stream, Token(index), interest),
            Self::Tls(stream) => registry.register(stream.socket_mut(), Token(index), interest),
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

    /// Leaves the set; from now on the stream may live elsewhere.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.deregister(stream),
            Self::Unix(stream) => registry.deregister(stream),
            Self::Tls(stream) => registry.deregister(stream.socket_mut()),
            Self::Polled(_) => Ok(()),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => recv(stream, buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Polled(stream) => stream.read(buffer),
        }
    }

    /// Whether a read that gave `count` of the `asked` bytes has emptied the stream, so that readiness will be told
    /// anew. On a raw socket a short read says so; above that it says nothing.
    #[inline]
    pub(crate) fn is_drained(&self, count: usize, asked: usize) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => count < asked,
            Self::Tls(stream) => stream.is_drained(),
            Self::Polled(stream) => stream.is_drained(),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => send(stream, bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(&[IoSlice::new(bytes)]),
            Self::Polled(stream) => stream.write(&[IoSlice::new(bytes)]),
        }
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
            Self::Tls(stream) => stream.write(slices),
            Self::Polled(stream) => stream.write(slices),
        }
    }

    /// Whether bytes that were taken have not reached the socket, because it takes no more. A write, though it be of nothing, tries again.
    #[inline]
    pub(crate) fn owes(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.owes(),
            Self::Polled(stream) => stream.owes(),
        }
    }

    /// Says that nothing more will be written: close_notify where there is TLS, then FIN. `false` if the socket must
    /// become writable first; then ask again. The peer may have gone already, which is no news.
    pub(crate) fn shutdown_write(&mut self) -> bool {
        match self {
            Self::Tcp(stream) => drop(stream.shutdown(Shutdown::Write)),
            Self::Unix(stream) => drop(stream.shutdown(Shutdown::Write)),
            Self::Tls(stream) => return stream.shutdown_write(),
            Self::Polled(stream) => return stream.shutdown_write(),
        }
        true
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
            Self::Tls(stream) => stream.peer_addr(),
            Self::Polled(stream) => stream.peer_addr(),
        }
    }

    /// The bytes that come before TLS are over, and `early` is what came behind them: `true` if it was taken, because it
    /// belongs to a session that begins now.
    pub(crate) fn end_preamble(&mut self, early: &[u8]) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Polled(_) => false,
            Self::Tls(stream) => {
                stream.end_preamble(early);
                true
            }
        }
    }

    /// Whether we speak TLS with the peer.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Takes the stream to tokio; it must have left the worker's set.
    pub(crate) fn into_async(self) -> io::Result<AsyncStream> {
        AsyncStream::new(self)
    }
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(stream) => Self::Tcp(stream),
            Socket::Unix(stream) => Self::Unix(stream),
        }
    }
}

/// As the stream's own, but not by way of the C library: where there are threads that makes of each call a point at which
/// they may be cancelled, for four atomic operations a turn.
#[inline]
fn recv(stream: &mio::net::TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(stream, buffer, RecvFlags::empty())?;
    Ok(count)
}

#[inline]
fn send(stream: &mio::net::TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, bytes, SendFlags::NOSIGNAL)?)
}
