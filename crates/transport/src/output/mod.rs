//! What waits to be written to one connection.
//!
//! A worker has one *cork*: a buffer into which everything that a turn sends is written back to back. A connection
//! remembers which range of it is its own, so a small message costs a copy and two additions, sixteen broadcasts to
//! one connection are one range, and the same range serves all that receive the same. Only when the socket takes no
//! more does a connection get memory of its own, its *backlog*.

pub(crate) mod answers;
pub(crate) mod pressure;
pub(crate) mod sending;
pub(crate) mod streaming;
pub(crate) mod writing;

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
    /// Segments at the front that are known not to lie in the cork.
    kept: usize,
    /// What [`Output::evict`] could free.
    droppable_bytes: usize,
    droppable_messages: usize,
}

#[derive(Debug)]
struct Segment {
    data: Data,
    /// Messages that end in this segment.
    messages: u32,
    /// It is one message, nothing of it is written, and the connection may do without it.
    is_droppable: bool,
}

#[derive(Debug)]
enum Data {
    Corked(Range<u32>),
    Shared { bytes: Bytes, written: usize },
    Owned { bytes: Vec<u8>, written: usize },
}

/// Which messages go first where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Data {
    fn as_slice<'a>(&'a self, cork: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Corked(range) => &cork[range.start as usize..range.end as usize],
            Self::Shared { bytes, written } => &bytes[*written..],
            Self::Owned { bytes, written } => &bytes[*written..],
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Corked(range) => range.len(),
            Self::Shared { bytes, written } => bytes.len() - written,
            Self::Owned { bytes, written } => bytes.len() - written,
        }
    }

    /// Memory held beside what waits: what is written and not given back, and what was reserved.
    fn spare(&self) -> usize {
        match self {
            Self::Corked(_) => 0,
            Self::Shared { written, .. } => *written,
            Self::Owned { bytes, written } => bytes.capacity() - bytes.len() + written,
        }
    }

    fn advance(&mut self, by: usize) {
        match self {
            Self::Corked(range) => range.start += by as u32,
            Self::Shared { written, .. } | Self::Owned { written, .. } => *written += by,
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

    /// Memory that what waits takes: no less than its bytes. Only the segment that is being written and the one that is
    /// being filled hold more than they have to.
    pub(crate) fn held(&self) -> usize {
        let held = |backlog: &Backlog| {
            let ends = backlog.segments.front().map_or(0, |first| first.data.spare())
                + backlog.segments.back().filter(|_| backlog.segments.len() > 1).map_or(0, |last| last.data.spare());
            backlog.bytes + ends + backlog.segments.capacity() * size_of::<Segment>()
        };
        self.corked.len() + self.backlog.as_deref().map_or(0, held)
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
    pub(crate) fn push_shared(&mut self, frame: Bytes, is_droppable: bool) {
        self.seal();
        let backlog = self.backlog.get_or_insert_default();
        if is_droppable {
            backlog.droppable_bytes += frame.len();
            backlog.droppable_messages += 1;
        }
        backlog.push(Data::Shared { bytes: frame, written: 0 }, 1, is_droppable);
    }

    /// Drops droppable messages until `bytes` and `messages` of them are gone, and says how many these were. `None`, and
    /// nothing is dropped, if there are not so many.
    pub(crate) fn evict(&mut self, order: Order, bytes: usize, messages: usize) -> Option<u64> {
        let backlog = self.backlog.as_mut()?;
        if backlog.droppable_bytes < bytes || backlog.droppable_messages < messages {
            return None;
        }
        let (mut freed, mut dropped) = (0, 0);
        while freed < bytes || dropped < messages {
            let is_droppable = |segment: &Segment| segment.is_droppable;
            let found = match order {
                Order::OldestFirst => backlog.segments.iter().position(is_droppable),
                Order::NewestFirst => backlog.segments.iter().rposition(is_droppable),
            };
            let Some(segment) = found.and_then(|index| backlog.remove(index)) else { break };
            (freed, dropped) = (freed + segment.data.len(), dropped + 1);
        }
        Some(dropped as u64)
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
        backlog.push(Data::Corked(range), messages, false);
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

    /// Writes `pieces`, `length` bytes in all, from where they lie and keeps only what the socket does not take: so many
    /// messages as `kept` says of the bytes that were written. Nothing may wait before them.
    ///
    /// # Errors
    /// What the system said; the connection is lost.
    pub(crate) fn write_through<'a>(
        &mut self,
        stream: &mut Stream,
        mut pieces: impl Iterator<Item = &'a [u8]> + 'a,
        length: usize,
        kept: impl FnOnce(usize) -> u32,
    ) -> io::Result<Written> {
        let mut total = 0;
        loop {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let (mut count, mut asked) = (0, 0);
            for (slot, piece) in slices.iter_mut().zip(&mut pieces) {
                *slot = IoSlice::new(piece);
                (count, asked) = (count + 1, asked + piece.len());
            }
            if count == 0 {
                return Ok(Written::by(stream));
            }
            let written = write(|| stream.write_vectored(&slices[..count]))?;
            total += written;
            if written < asked {
                let mut rest = &mut slices[..count];
                IoSlice::advance_slices(&mut rest, written);
                let mut bytes = Vec::with_capacity(length - total);
                rest.iter().for_each(|slice| bytes.extend_from_slice(slice));
                pieces.for_each(|piece| bytes.extend_from_slice(piece));
                self.push_owned(bytes, kept(total));
                return Ok(Written::Blocked);
            }
        }
    }

    /// What waits, piece by piece.
    pub(crate) fn for_each(&self, cork: &[u8], mut each: impl FnMut(&[u8])) {
        for segment in self.backlog.iter().flat_map(|backlog| &backlog.segments) {
            each(segment.data.as_slice(cork));
        }
        each(Data::Corked(self.corked.clone()).as_slice(cork));
    }

    /// Takes frames, or what is left of them, as the next `messages` messages.
    pub(crate) fn push_owned(&mut self, bytes: Vec<u8>, messages: u32) {
        self.seal();
        let backlog = self.backlog.get_or_insert_default();
        backlog.push(Data::Owned { bytes, written: 0 }, messages, false);
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
        let mut unkept = backlog.segments.iter().skip(backlog.kept);
        if let Some(first) = unkept.position(|segment| matches!(segment.data, Data::Corked(_))) {
            let newer = backlog.segments.split_off(backlog.kept + first);
            for segment in newer {
                let is_small = segment.data.len() < SHARED_FROM_BYTES && !segment.is_droppable;
                match segment.data {
                    Data::Shared { .. } if !is_small => {
                        backlog.end_last();
                        backlog.segments.push_back(segment);
                    }
                    data => backlog.append(data.as_slice(cork), segment.messages),
                }
            }
        }
        backlog.kept = backlog.segments.len();
    }
}

impl Backlog {
    fn push(&mut self, data: Data, messages: u32, is_droppable: bool) {
        self.end_last();
        self.bytes += data.len();
        self.messages += messages as usize;
        self.segments.push_back(Segment { data, messages, is_droppable });
    }

    /// What is not the last any more is filled no further.
    fn end_last(&mut self) {
        if let Some(Segment { data: Data::Owned { bytes, .. }, .. }) = self.segments.back_mut() {
            bytes.shrink_to_fit();
        }
    }

    /// Copies `slice` behind what is owned already, and what does not fit there into segments of its own; its size is
    /// counted already. No segment has room for much more than is in it.
    fn append(&mut self, slice: &[u8], messages: u32) {
        let mut rest = slice;
        if let Some(Segment { data: Data::Owned { bytes, .. }, messages: before, .. }) = self.segments.back_mut() {
            let (fits, over) = slice.split_at(slice.len().min(OWNED_BYTES.saturating_sub(bytes.len())));
            let needed = bytes.len() + fits.len();
            if needed > bytes.capacity() {
                bytes.reserve_exact(needed.max(OWNED_BYTES.min(2 * bytes.len())) - bytes.len());
            }
            bytes.extend_from_slice(fits);
            rest = over;
            if rest.is_empty() {
                *before += messages;
            }
        }
        let mut pieces = rest.chunks(OWNED_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            let data = Data::Owned { bytes: piece.to_vec(), written: 0 };
            let messages = if pieces.peek().is_none() { messages } else { 0 };
            self.segments.push_back(Segment { data, messages, is_droppable: false });
        }
    }

    /// What has begun to be written is not dropped any more.
    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(segment) = self.segments.front_mut() {
            let length = segment.data.len();
            if written > 0 && std::mem::take(&mut segment.is_droppable) {
                self.droppable_bytes -= length;
                self.droppable_messages -= 1;
            }
            if written < length {
                segment.data.advance(written);
                return;
            }
            written -= length;
            self.messages -= segment.messages as usize;
            self.segments.pop_front();
            self.kept = self.kept.saturating_sub(1);
        }
    }

    /// Removes a segment of which nothing is written.
    fn remove(&mut self, index: usize) -> Option<Segment> {
        let segment = self.segments.remove(index)?;
        self.kept -= usize::from(index < self.kept);
        self.bytes -= segment.data.len();
        self.messages -= segment.messages as usize;
        if segment.is_droppable {
            self.droppable_bytes -= segment.data.len();
            self.droppable_messages -= 1;
        }
        Some(segment)
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
