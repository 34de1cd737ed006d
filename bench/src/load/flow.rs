//! One connection under load: what it still has to send, and how far into a frame it has received.

use std::io::{self, ErrorKind, Read, Write};
use std::net;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, recv};

/// The most that is discarded in one call.
const MAX_DISCARDED_BYTES: usize = 8 << 20;
/// Frames repeated in one buffer up to about this size: more would only push other things out of the cache.
const REPEATED_BYTES: usize = 512 << 10;

/// The same frame again and again, so that any part of an endless row of them is one slice.
#[derive(Debug)]
pub(super) struct FrameRow {
    bytes: Vec<u8>,
    frame_len: usize,
}

impl FrameRow {
    /// For up to `window` frames in one write.
    pub(super) fn new(frame: &[u8], window: usize) -> Self {
        let repeats = window.min(REPEATED_BYTES / frame.len()).max(1) + 1;
        Self { bytes: frame.repeat(repeats), frame_len: frame.len() }
    }
}

/// Memory that nothing is ever written to: received bytes are discarded by the kernel (MSG_TRUNC).
#[derive(Debug)]
pub(super) struct Sink(Vec<u8>);

impl Sink {
    pub(super) fn new() -> Self {
        Self(vec![0; MAX_DISCARDED_BYTES])
    }
}

/// A connection that sends and receives frames which are all alike.
#[derive(Debug)]
pub(super) struct Flow {
    stream: TcpStream,
    /// Bytes that may be sent but are not yet.
    owed: usize,
    /// Where in a frame the next byte to be sent lies.
    phase: usize,
    /// Bytes received of a frame that is not whole yet.
    begun: usize,
}

impl Flow {
    pub(super) fn new(stream: net::TcpStream, registry: &Registry, token: usize) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, owed: 0, phase: 0, begun: 0 })
    }

    /// Discards what is there and returns how many frames of `frame_len` bytes have become whole.
    pub(super) fn receive(&mut self, sink: &mut Sink, frame_len: usize) -> io::Result<usize> {
        let mut received = 0;
        loop {
            match recv(&self.stream, sink.0.as_mut_slice(), RecvFlags::TRUNC).map_err(io::Error::from) {
                Ok((_, 0)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((_, discarded)) => {
                    received += discarded;
                    if discarded < MAX_DISCARDED_BYTES {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.begun += received;
        let whole = self.begun / frame_len;
        self.begun %= frame_len;
        Ok(whole)
    }

    /// Nothing has been received of a frame that is not whole.
    pub(super) fn is_between_frames(&self) -> bool {
        self.begun == 0
    }

    /// Sends `count` frames more, now or as soon as the kernel takes them.
    pub(super) fn send(&mut self, row: &FrameRow, count: usize) -> io::Result<()> {
        self.owed += count * row.frame_len;
        self.flush(row)
    }

    /// Goes on with what is owed.
    pub(super) fn flush(&mut self, row: &FrameRow) -> io::Result<()> {
        while self.owed > 0 {
            let end = row.bytes.len().min(self.phase + self.owed);
            let wanted = end - self.phase;
            match self.stream.write(&row.bytes[self.phase..end]) {
                Ok(sent) => {
                    self.owed -= sent;
                    self.phase = (self.phase + sent) % row.frame_len;
                    if sent < wanted {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the stream back, blocking, to be checked once more.
    pub(super) fn into_stream(mut self, registry: &Registry) -> io::Result<net::TcpStream> {
        registry.deregister(&mut self.stream)?;
        let stream = net::TcpStream::from(self.stream);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// Receives exactly `expected`, or says what came instead.
pub(super) fn expect(stream: &mut net::TcpStream, expected: &[u8], received: &mut Vec<u8>) -> io::Result<()> {
    received.resize(expected.len(), 0);
    stream.read_exact(received)?;
    if received == expected {
        return Ok(());
    }
    let at = received.iter().zip(expected).position(|(one, other)| one != other).unwrap_or(0);
    Err(io::Error::new(
        ErrorKind::InvalidData,
        format!("the server sends other bytes than asked for, from byte {at} on"),
    ))
}
