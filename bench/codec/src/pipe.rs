//! A connection in memory: the same frames again and again, always ready; what is written is copied once, as a socket
//! would.

use std::io::{self, Error, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wtx::stream::{StreamReader, StreamWriter};

use crate::frames::Frames;

/// How much of what was written is kept before it is overwritten.
const SINK_BYTES: usize = 256 << 10;

/// The near end of a connection.
#[derive(Debug)]
pub struct Pipe {
    frames: Vec<u8>,
    at: usize,
    sink: Vec<u8>,
    check: Option<Check>,
}

/// Counts what is written and compares it with what must be, if that is known.
#[derive(Debug)]
struct Check {
    expected: Vec<u8>,
    checked: Arc<AtomicUsize>,
}

impl Pipe {
    /// Brings the frames in turn, without end.
    pub fn new(frames: &Frames) -> Self {
        Self { frames: frames.sent.clone(), at: 0, sink: Vec::with_capacity(SINK_BYTES), check: None }
    }

    /// The same, and compares what is written with their echo. The counter tells how many bytes were found right.
    pub fn checked(frames: &Frames) -> (Self, Arc<AtomicUsize>) {
        let checked = Arc::new(AtomicUsize::new(0));
        let check = Check { expected: frames.echoed.clone(), checked: Arc::clone(&checked) };
        (Self { check: Some(check), ..Self::new(frames) }, checked)
    }

    /// Brings nothing; the counter tells how many bytes were written.
    pub fn counted() -> (Self, Arc<AtomicUsize>) {
        let written = Arc::new(AtomicUsize::new(0));
        let check = Check { expected: Vec::new(), checked: Arc::clone(&written) };
        (Self { frames: Vec::new(), at: 0, sink: Vec::with_capacity(SINK_BYTES), check: Some(check) }, written)
    }

    /// The next bytes, at most `most` and until the end of the pass.
    fn next(&mut self, most: usize) -> &[u8] {
        let begin = self.at;
        let end = self.frames.len().min(begin.saturating_add(most));
        self.at = if end == self.frames.len() { 0 } else { end };
        &self.frames[begin..end]
    }

    /// Fills `buffer` as far as there are frames until the end of the pass.
    pub fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let next = self.next(buffer.len());
        buffer[..next.len()].copy_from_slice(next);
        next.len()
    }

    /// Takes all of `bytes`.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(Check { expected, checked }) = &self.check {
            let at = checked.fetch_add(bytes.len(), Ordering::Relaxed) % expected.len().max(1);
            if !expected.is_empty() && !bytes.iter().eq(expected.iter().cycle().skip(at).take(bytes.len())) {
                return Err(Error::other("the echo is not what was sent"));
            }
        }
        if self.sink.len() + bytes.len() > SINK_BYTES {
            self.sink.clear();
        }
        self.sink.extend_from_slice(bytes);
        Ok(())
    }

    fn put_all(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        parts.iter().try_fold(0, |written, part| self.put(part).map(|()| written + part.len()))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.fill(buffer))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let next = self.next(buffer.remaining());
        buffer.put_slice(next);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.put(bytes).map(|()| bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.put_all(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl StreamReader for Pipe {
    async fn read(&mut self, buffer: &mut [u8]) -> wtx::Result<usize> {
        Ok(self.fill(buffer))
    }
}

impl StreamWriter for Pipe {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        Ok(self.put(bytes)?)
    }

    async fn write_all_vectored(&mut self, parts: &[&[u8]]) -> wtx::Result<()> {
        for part in parts {
            self.put(part)?;
        }
        Ok(())
    }
}
