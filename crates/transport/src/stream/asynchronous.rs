//! A stream as tokio wants it, for the time that hyper serves it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::{Stream, TlsStream};

/// A stream in tokio's hands. [`into_stream`](Self::into_stream) is the way back: a TLS session lives on.
#[derive(Debug)]
pub(crate) enum AsyncStream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(AsyncFd<Box<TlsStream>>),
}

impl AsyncStream {
    #[expect(deprecated, reason = "its replacement is unsafe; a stream never changes its descriptor while it lives")]
    pub(crate) fn new(stream: Stream) -> io::Result<Self> {
        match stream {
            Stream::Tcp(stream) => TcpStream::from_std(stream.into()).map(Self::Tcp),
            Stream::Unix(stream) => UnixStream::from_std(stream.into()).map(Self::Unix),
            Stream::Tls(stream) => AsyncFd::new(stream).map(Self::Tls),
            // It came from hyper and does not go back.
            Stream::Polled(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Takes the stream from tokio, to be registered with a worker.
    pub(crate) fn into_stream(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => Stream::Tcp(mio::net::TcpStream::from_std(stream.into_std()?)),
            Self::Unix(stream) => Stream::Unix(mio::net::UnixStream::from_std(stream.into_std()?)),
            Self::Tls(stream) => Stream::Tls(stream.into_inner()),
        })
    }
}

/// Tries until the socket is writable.
fn poll_writable<R>(
    stream: &mut AsyncFd<Box<TlsStream>>,
    cx: &mut Context<'_>,
    mut attempt: impl FnMut(&mut TlsStream) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        let mut guard = ready!(stream.poll_write_ready_mut(cx))?;
        if let Ok(result) = guard.try_io(|stream| attempt(stream.get_mut())) {
            return Poll::Ready(result);
        }
    }
}

impl AsyncRead for AsyncStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = match self.get_mut() {
            Self::Tcp(stream) => return Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => return Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => stream,
        };
        let unfilled = buffer.initialize_unfilled();
        // What is decrypted already needs no socket, and the socket may not tell of it again.
        let count = if stream.get_ref().has_input() {
            stream.get_mut().read(unfilled)
        } else {
            loop {
                let mut guard = ready!(stream.poll_read_ready_mut(cx))?;
                if let Ok(result) = guard.try_io(|stream| stream.get_mut().read(unfilled)) {
                    break result;
                }
            }
        };
        match count {
            Ok(count) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for AsyncStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(_) if bytes.is_empty() => Poll::Ready(Ok(0)),
            Self::Tls(stream) => poll_writable(stream, cx, |stream| stream.write(&[IoSlice::new(bytes)])),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(_) if slices.iter().all(|slice| slice.is_empty()) => Poll::Ready(Ok(0)),
            Self::Tls(stream) => poll_writable(stream, cx, |stream| stream.write(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) if !stream.get_ref().owes() => Poll::Ready(Ok(())),
            Self::Tls(stream) => poll_writable(stream, cx, |stream| {
                stream.flush()?;
                if stream.owes() { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
            }),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => poll_writable(stream, cx, |stream| {
                if stream.shutdown_write() { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
            }),
        }
    }
}
