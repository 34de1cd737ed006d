//! Bytes that somebody else moves: a stream of HTTP/2, a TLS session of another server, memory.
//!
//! The worker polls such a stream where it would ask a socket, with a waker that comes back through its inbox. So there
//! is no task in between and no buffer: what is not read stays with whoever moves it, which is how a paused handler
//! keeps back the WINDOW_UPDATE of its HTTP/2 stream (RFC 8441, row X11).

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::worker::inbox::{Command, ConnectionId, Inbox};

/// What one write hands over at most: hyper keeps up to three of them for a stream of HTTP/2, whatever their size.
const MAX_PIECE_BYTES: usize = 16 << 10;

/// What can be polled.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + 'static> Io for T {}

/// A stream that its worker polls.
pub(crate) struct Polled {
    io: Pin<Box<dyn Io>>,
    peer_addr: Option<SocketAddr>,
    waker: Waker,
    wakeful: Option<Arc<Wakeful>>,
    /// The last read found nothing: the waker will tell.
    is_empty: bool,
    /// What was written has not all been flushed.
    owes: bool,
    /// Kept for as long as the stream is.
    _guard: Option<Box<dyn Send>>,
}

/// The way from a stream's waker into its worker.
struct Wakeful {
    inbox: Inbox,
    id: ConnectionId,
    /// A command is on its way; one is enough.
    is_queued: AtomicBool,
}

impl Wake for Wakeful {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            let _ = self.inbox.post_always(Command::Wake { to: self.id });
        }
    }
}

impl Polled {
    pub(crate) fn new(io: impl Io, peer_addr: Option<SocketAddr>) -> Self {
        Self {
            io: Box::pin(io),
            peer_addr,
            waker: Waker::noop().clone(),
            wakeful: None,
            is_empty: false,
            owes: false,
            _guard: None,
        }
    }

    /// Keeps `guard` for as long as the stream is.
    pub(crate) fn with_guard(self, guard: Option<Box<dyn Send>>) -> Self {
        Self { _guard: guard, ..self }
    }

    /// From now on the stream's readiness is told to the connection `id`.
    pub(crate) fn attach(&mut self, inbox: Inbox, id: ConnectionId) {
        let wakeful = Arc::new(Wakeful { inbox, id, is_queued: AtomicBool::new(false) });
        self.waker = wakeful.clone().into();
        self.wakeful = Some(wakeful);
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// Whether the last read has taken all there was.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_empty
    }

    /// Whether what was written has not all left; a write, though it be of nothing, tries again.
    pub(crate) fn owes(&self) -> bool {
        self.owes
    }

    /// The stream has woken us; whatever wakes us from now on is news.
    pub(crate) fn handle_wake(&mut self) {
        if let Some(wakeful) = &self.wakeful {
            wakeful.is_queued.store(false, Ordering::Release);
        }
    }

    /// Reads until the buffer is full or the stream has nothing.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        self.is_empty = false;
        while buffer.remaining() > 0 {
            let before = buffer.filled().len();
            match self.poll(|io, cx| io.poll_read(cx, &mut buffer)) {
                Poll::Ready(Ok(())) if buffer.filled().len() == before => break,
                Poll::Ready(Ok(())) => {}
                // What was read comes first; the end is asked for again.
                Poll::Ready(Err(_)) if before > 0 => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.is_empty = true;
                    if before == 0 {
                        return Err(ErrorKind::WouldBlock.into());
                    }
                    break;
                }
            }
        }
        Ok(buffer.filled().len())
    }

    /// Writes until all is taken or the stream takes no more: a short count means that the waker will tell.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for piece in slices.iter().flat_map(|slice| slice.chunks(MAX_PIECE_BYTES)) {
            let mut rest = piece;
            while !rest.is_empty() {
                match self.poll(|io, cx| io.poll_write(cx, rest)) {
                    Poll::Ready(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(count)) => (written, rest) = (written + count, &rest[count..]),
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending if written == 0 => return Err(ErrorKind::WouldBlock.into()),
                    Poll::Pending => return Ok(written),
                }
            }
        }
        match self.poll(AsyncWrite::poll_flush) {
            Poll::Ready(result) => (self.owes, _) = (false, result?),
            Poll::Pending => self.owes = true,
        }
        Ok(written)
    }

    /// Says that nothing more will be written: END_STREAM, close_notify or FIN, whatever it is there. `false`: the waker
    /// will tell; then ask again.
    pub(crate) fn shutdown_write(&mut self) -> bool {
        self.poll(AsyncWrite::poll_shutdown).is_ready()
    }

    /// What moves the bytes is not ours; its panic ends this connection, not the worker.
    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut dyn Io>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let (io, waker) = (self.io.as_mut(), &self.waker);
        catch_unwind(AssertUnwindSafe(|| poll(io, &mut Context::from_waker(waker)))).unwrap_or_else(|_| {
            tracing::error!("a stream panicked; its connection is lost");
            Poll::Ready(Err(io::Error::other("the stream panicked")))
        })
    }
}

impl std::fmt::Debug for Polled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { peer_addr, owes, .. } = self;
        f.debug_struct("Polled").field("peer_addr", peer_addr).field("owes", owes).finish_non_exhaustive()
    }
}
