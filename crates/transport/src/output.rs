//! What waits to be written to one connection.
//!
//! A worker has one *cork*: a buffer into which everything that a turn sends is written back to back. A connection
//! remembers which range of it is its own, so a small message costs a copy and two additions, sixteen broadcasts to
//! one connection are one range, and the same range serves all that receive the same. Only when the socket takes no
//! more does a connection get memory of its own, its *backlog*.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;

use bytes::Bytes;

use crate::stream::Stream;

/// Frames from this size on are not copied into the cork but written from where they lie.
pub(crate) const SHARED_FROM_BYTES: usize = 16 << 10;

/// A segment of our own grows no further than this: what of it is written is given back, and its messages count as
/// waiting, until all of it is.
const OWNED_BYTES: usize = 64 << 10;

/// Slices of one vectored write.
const MAX_SLICES: usize = 64;

/// What is left after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing.
    All,
    /// Something, here or in the stream. The socket takes no more; it will say when it does.
    Blocked,
}

impl Written {
    /// What is left once `stream` has taken everything.
    #[inline]
    fn by(stream: &Stream) -> Self {
        if stream.owes() { Self::Blocked } else { Self::All }
    }
}

/// The output of one connection.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The newest messages: a range of the cork.
    corked: Range<u32>,
    corked_messages: u32,
    /// What lies before them.
    backlog: Option<Box<Backlog>>,
}

#[derive(Debug, Default)]
struct Backlog {
    segments: VecDeque<Segment>,
    bytes: usize,
    messages: usize,
}

#[derive(Debug)]
struct Segment {
    data: Data,
    /// Messages that end in this segment.
    messages: u32,
}

#[derive(Debug)]
enum Data {
    Corked(Range<u32>),
    Shared(Bytes),
    Owned { bytes: Vec<u8>, written: usize },
}

impl Data {
    fn as_slice<'a>(&'a self, cork: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Corked(range) => &cork[range.start as usize..range.end as usize],
            Self::Shared(bytes) => bytes,
            Self::Owned { bytes, written } => &bytes[*written..],
        }
    }

    fn advance(&mut self, by: usize) {
        match self {
            Self::Corked(range) => range.start += by as u32,
            Self::Shared(bytes) => drop(bytes.split_to(by)),
            Self::Owned { written, .. } => *written += by,
        }
    }
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.corked.is_empty() && self.backlog.is_none()
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.corked.len() + self.backlog.as_ref().map_or(0, |backlog| backlog.bytes)
    }

    /// Messages that wait.
    pub(crate) fn messages(&self) -> usize {
        self.corked_messages as usize + self.backlog.as_ref().map_or(0, |backlog| backlog.messages)
    }

    /// Takes `range` of the cork as the next `messages` messages.
    #[inline]
    pub(crate) fn push_corked(&mut self, range: Range<u32>, messages: u32) {
        if self.corked.end == range.start && !self.corked.is_empty() {
            self.corked.end = range.end;
        } else {
            self.seal();
            self.corked = range;
        }
        self.corked_messages += messages;
    }

    /// Takes a frame of its own as the next message.
    pub(crate) fn push_shared(&mut self, frame: Bytes) {
        self.seal();
        let backlog = self.backlog.get_or_insert_default();
        backlog.bytes += frame.len();
        backlog.messages += 1;
        backlog.segments.push_back(Segment { data: Data::Shared(frame), messages: 1 });
    }

    /// Moves the newest range behind the backlog, because something that is not its continuation follows.
    #[inline]
    fn seal(&mut self) {
        if self.corked.is_empty() {
            return;
        }
        let range = std::mem::take(&mut self.corked);
        let messages = std::mem::take(&mut self.corked_messages);
        let backlog = self.backlog.get_or_insert_default();
        backlog.bytes += range.len();
        backlog.messages += messages as usize;
        backlog.segments.push_back(Segment { data: Data::Corked(range), messages });
    }

    /// Writes what waits. When it returns, nothing here refers to the cork any more.
    ///
    /// # Errors
    /// What the system said; the connection is lost.
    pub(crate) fn write(&mut self, stream: &mut Stream, cork: &[u8]) -> io::Result<Written> {
        if self.backlog.is_none() {
            let range = self.corked.start as usize..self.corked.end as usize;
            let (length, written) = (range.len(), write(|| stream.write(&cork[range.clone()]))?);
            if written == length {
                (self.corked, self.corked_messages) = (0..0, 0);
                return Ok(Written::by(stream));
            }
            self.corked.start += written as u32;
        }
        self.seal();
        let blocked = self.write_backlog(stream, cork)?;
        self.keep(cork);
        Ok(blocked)
    }

    /// Writes a large frame from where it lies and keeps only what the socket does not take. Nothing may wait before it.
    ///
    /// # Errors
    /// What the system said; the connection is lost.
    pub(crate) fn write_through(&mut self, stream: &mut Stream, header: &[u8], payload: &[u8]) -> io::Result<Written> {
        let written = write(|| stream.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]))?;
        if written == header.len() + payload.len() {
            return Ok(Written::by(stream));
        }
        let rest = [&header[written.min(header.len())..], &payload[written.saturating_sub(header.len())..]];
        self.push_owned(rest.concat());
        Ok(Written::Blocked)
    }

    /// What waits, from byte `from` on, piece by piece.
    pub(crate) fn for_each_from(&self, mut from: usize, cork: &[u8], mut each: impl FnMut(&[u8])) {
        let segments = self.backlog.iter().flat_map(|backlog| &backlog.segments);
        let corked = Data::Corked(self.corked.clone());
        for slice in segments.map(|segment| segment.data.as_slice(cork)).chain([corked.as_slice(cork)]) {
            let skipped = from.min(slice.len());
            from -= skipped;
            if skipped < slice.len() {
                each(&slice[skipped..]);
            }
        }
    }

    /// Takes a frame, or what is left of one, as the next message.
    pub(crate) fn push_owned(&mut self, bytes: Vec<u8>) {
        self.seal();
        let backlog = self.backlog.get_or_insert_default();
        backlog.bytes += bytes.len();
        backlog.messages += 1;
        backlog.segments.push_back(Segment { data: Data::Owned { bytes, written: 0 }, messages: 1 });
    }

    /// Takes leave of the cork without a write, because the socket is known to take nothing.
    pub(crate) fn hold(&mut self, cork: &[u8]) {
        self.seal();
        self.keep(cork);
    }

    fn write_backlog(&mut self, stream: &mut Stream, cork: &[u8]) -> io::Result<Written> {
        let Some(backlog) = &mut self.backlog else { return Ok(Written::by(stream)) };
        while !backlog.segments.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let (mut count, mut length) = (0, 0);
            for (slot, segment) in slices.iter_mut().zip(&backlog.segments) {
                let slice = segment.data.as_slice(cork);
                *slot = IoSlice::new(slice);
                (count, length) = (count + 1, length + slice.len());
            }
            let written = write(|| stream.write_vectored(&slices[..count]))?;
            backlog.advance(written);
            if written < length {
                return Ok(Written::Blocked);
            }
        }
        self.backlog = None;
        Ok(Written::by(stream))
    }

    /// Copies what still lies in the cork into memory of the connection's own, small neighbours together.
    fn keep(&mut self, cork: &[u8]) {
        let Some(backlog) = &mut self.backlog else { return };
        let Some(first) = backlog.segments.iter().position(|segment| matches!(segment.data, Data::Corked(_))) else {
            return;
        };
        let newer = backlog.segments.split_off(first);
        for segment in newer {
            let is_small = segment.data.as_slice(cork).len() < SHARED_FROM_BYTES;
            match segment.data {
                Data::Shared(_) if !is_small => backlog.segments.push_back(segment),
                data => backlog.append(data.as_slice(cork), segment.messages),
            }
        }
    }
}

impl Backlog {
    /// Copies `slice` behind what is owned already, or into a new segment; its size is counted already.
    fn append(&mut self, slice: &[u8], messages: u32) {
        if let Some(Segment { data: Data::Owned { bytes, .. }, messages: before }) = self.segments.back_mut()
            && bytes.len() < OWNED_BYTES
        {
            bytes.extend_from_slice(slice);
            *before += messages;
        } else {
            let data = Data::Owned { bytes: slice.to_vec(), written: 0 };
            self.segments.push_back(Segment { data, messages });
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(segment) = self.segments.front_mut() {
            let length = segment.data.as_slice_len();
            if written < length {
                segment.data.advance(written);
                return;
            }
            written -= length;
            self.messages -= segment.messages as usize;
            self.segments.pop_front();
        }
    }
}

impl Data {
    fn as_slice_len(&self) -> usize {
        match self {
            Self::Corked(range) => range.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Owned { bytes, written } => bytes.len() - written,
        }
    }
}

/// One write; a socket that takes nothing took 0 bytes.
#[inline]
fn write(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
