//! One connection of the floor: a socket, and what is neither read nor written in full.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Range;
use std::sync::Arc;

use mio::net::TcpStream;

/// Most bytes that may wait for one subscriber; one that reads no faster is dropped.
const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// What a connection is for, told by the path of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Not yet told: the head of the request is being read.
    Upgrading,
    Echo,
    Subscriber,
    Publisher,
}

/// The unsent rest of something, possibly shared with other connections.
#[derive(Debug)]
struct Rest {
    bytes: Arc<Vec<u8>>,
    at: usize,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) role: Role,
    /// There may be something to receive; kept because the readiness set tells only of changes.
    pub(super) is_readable: bool,
    /// The beginning of a frame, or of the head. Unallocated if there is none.
    pub(super) part: Vec<u8>,
    output: VecDeque<Rest>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, role: Role::Upgrading, is_readable: false, part: Vec::new(), output: VecDeque::new() }
    }

    /// Something waits until the kernel takes more.
    pub(super) fn is_corked(&self) -> bool {
        !self.output.is_empty()
    }

    /// Sends `pieces` of `bytes`, keeps a copy of what the kernel does not take.
    pub(super) fn send(&mut self, bytes: &[u8], pieces: &[Range<usize>]) -> io::Result<()> {
        let mut sent = if self.is_corked() { 0 } else { self.write(bytes, pieces)? };
        if sent == pieces.iter().map(Range::len).sum::<usize>() {
            return Ok(());
        }
        let mut rest = Vec::new();
        for piece in pieces {
            let skipped = sent.min(piece.len());
            sent -= skipped;
            rest.extend_from_slice(&bytes[piece.start + skipped..piece.end]);
        }
        self.keep(&Arc::new(rest), 0)
    }

    /// Sends `bytes`; what the kernel does not take is kept as a share of `shared`, made when first needed.
    pub(super) fn send_shared(&mut self, bytes: &[u8], shared: &mut Option<Arc<Vec<u8>>>) -> io::Result<()> {
        let sent = if self.is_corked() { 0 } else { accepted(self.stream.write(bytes))? };
        if sent == bytes.len() {
            return Ok(());
        }
        let shared = shared.get_or_insert_with(|| Arc::new(bytes.to_vec()));
        self.keep(shared, sent)
    }

    /// Sends what waits, as far as the kernel takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.output.front_mut() {
            rest.at += accepted(self.stream.write(&rest.bytes[rest.at..]))?;
            if rest.at < rest.bytes.len() {
                return Ok(());
            }
            self.output.pop_front();
        }
        self.output = VecDeque::new();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], pieces: &[Range<usize>]) -> io::Result<usize> {
        match pieces {
            [] => Ok(0),
            [piece] => accepted(self.stream.write(&bytes[piece.clone()])),
            _ => {
                let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(&bytes[piece.clone()])).collect();
                accepted(self.stream.write_vectored(&slices))
            }
        }
    }

    fn keep(&mut self, bytes: &Arc<Vec<u8>>, at: usize) -> io::Result<()> {
        let waiting: usize = self.output.iter().map(|rest| rest.bytes.len() - rest.at).sum();
        if waiting + bytes.len() - at > MAX_OUTPUT_BYTES {
            return Err(ErrorKind::StorageFull.into());
        }
        self.output.push_back(Rest { bytes: Arc::clone(bytes), at });
        Ok(())
    }
}

/// How much a write accepted: nothing, if it would have blocked.
fn accepted(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
