//! What a worker does for an [`Observer`]: it finds the frames in the bytes that come and go, without judging them.
//!
//! Frames that come are found before they are decoded: while somebody watches, the decoder is given one frame at a time,
//! which is nothing new to it, for bytes may be cut anywhere. Frames of ours are found in what waits to be written.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use wingbeat_websocket::ProtocolError;

use crate::observer::{Direction, Exchange, Frame, Observer};
use crate::worker::inbox::ConnectionId;
use crate::worker::turn::Turn;

/// Somebody watches.
pub(crate) struct Watch {
    observer: Arc<dyn Observer>,
    /// By place in the slab.
    open: HashMap<usize, Watched>,
}

/// An open connection.
struct Watched {
    id: ConnectionId,
    received: Finder,
    /// How far the frame at the front of the input goes, if it was told and could not be taken yet: it comes again.
    untaken: Option<usize>,
    sent: Finder,
    /// What is left to be written of the answer to the handshake.
    head_bytes: usize,
}

impl Watch {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Box<Self> {
        Box::new(Self { observer, open: HashMap::new() })
    }
}

impl Turn {
    /// Tells the observer something, if there is one. One that panics is let go.
    pub(crate) fn tell(&mut self, what: impl FnOnce(&dyn Observer)) {
        self.with_watch(|watch| what(&*watch.observer));
    }

    fn with_watch(&mut self, act: impl FnOnce(&mut Watch)) {
        let Some(mut watch) = self.watch.take() else { return };
        if catch_unwind(AssertUnwindSafe(|| act(&mut watch))).is_ok() {
            self.watch = Some(watch);
        } else {
            tracing::error!(worker = self.id.index(), "the observer panicked and is told nothing more");
        }
    }

    /// The connection opens; what waits to be written is the answer to its handshake.
    pub(crate) fn watch_open(&mut self, key: usize, exchange: &Exchange<'_>) {
        let (id, head_bytes) = (self.id_of(key), self.connections[key].output.len());
        self.with_watch(|watch| {
            let (received, sent) = (Finder::default(), Finder::default());
            let watched = Watched { id, received, untaken: None, sent, head_bytes };
            watch.open.insert(key, watched);
            watch.observer.handle_open(exchange);
        });
    }

    /// As [`take_messages`](Self::take_messages), one frame at a time.
    #[cold]
    pub(crate) fn take_watched(&mut self, key: usize, input: &mut [u8]) -> Option<usize> {
        // It may find the socket full, and then the connection no longer listens. That must be known before a frame is told.
        // Within one frame the cork does not fill again. No test: it takes more than a megabyte in the cork, and a socket
        // that fills between two frames of one read.
        self.relieve_cork();
        let connection = &self.connections[key];
        let mut end = input.len();
        // Else nothing is taken, and the frame comes again.
        if connection.listens() && connection.handler.is_some() {
            self.with_watch(|watch| {
                let Some(Watched { id, received, untaken, .. }) = watch.open.get_mut(&key) else { return };
                let tell = |frame: Frame<'_>| watch.observer.handle_frame(*id, &frame);
                let found = untaken.take().or_else(|| received.find(Direction::Received, input, tell));
                (end, *untaken) = (found.unwrap_or(end), found);
            });
        }
        let taken = self.take_messages(key, &mut input[..end]);
        if taken.is_some()
            && let Some(watched) = self.watch.as_mut().and_then(|watch| watch.open.get_mut(&key))
        {
            watched.untaken = None;
        }
        taken
    }

    /// The peer broke the protocol: what has come of its last frame is told as well.
    pub(crate) fn watch_violation(&mut self, key: usize, error: &ProtocolError) {
        self.with_watch(|watch| {
            let Some(Watched { id, received, .. }) = watch.open.get_mut(&key) else { return };
            received.finish(Direction::Received, |frame| watch.observer.handle_frame(*id, &frame));
            watch.observer.handle_violation(*id, error);
        });
    }

    /// Writes, and tells of what the socket took.
    #[cold]
    pub(crate) fn write_watched(&mut self, key: usize) {
        let mut bytes = Vec::new();
        if let Some(connection) = self.connections.get(key)
            && !connection.blocked
        {
            connection.output.for_each(&self.cork, |slice| bytes.extend_from_slice(slice));
        }
        self.write_now(key);
        self.watch_written(key, &[&bytes]);
    }

    /// Tells of a frame that was written past what waits to be written.
    #[cold]
    pub(crate) fn watch_large(&mut self, key: usize, header: &[u8], payload: &[u8]) {
        self.watch_written(key, &[header, payload]);
    }

    /// Of `slices` all was taken that does not wait now. If the socket has failed, nobody knows how much that is.
    fn watch_written(&mut self, key: usize, slices: &[&[u8]]) {
        let Some(connection) = self.connections.get(key).filter(|connection| !connection.lost) else { return };
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = offered.saturating_sub(connection.output.len());
        self.with_watch(|watch| {
            let Some(Watched { id, sent, head_bytes, .. }) = watch.open.get_mut(&key) else { return };
            for slice in slices {
                let slice = &slice[..taken.min(slice.len())];
                taken -= slice.len();
                let skipped = slice.len().min(*head_bytes);
                *head_bytes -= skipped;
                sent.find_all(Direction::Sent, &slice[skipped..], |frame| watch.observer.handle_frame(*id, &frame));
            }
        });
    }

    /// The connection leaves the slab.
    pub(crate) fn watch_end(&mut self, key: usize) {
        self.with_watch(|watch| {
            if let Some(Watched { id, .. }) = watch.open.remove(&key) {
                watch.observer.handle_end(id);
            }
        });
    }
}

/// Finds the frames in the bytes of one direction.
#[derive(Default)]
struct Finder {
    unfinished: Option<Unfinished>,
    /// Bytes of a header, while not all of it is there. Only what we send ever waits here.
    header: Vec<u8>,
    /// A payload without its mask.
    payload: Vec<u8>,
}

/// A frame whose payload has not all come; what has is in [`Finder::payload`].
struct Unfinished {
    header: Header,
    remaining_bytes: u64,
}

impl Finder {
    /// Finds at most one frame at the front of `input`, or a piece of one, and says how far it goes. `None`: a header or
    /// control frame that is not all there, and comes again with more behind it.
    fn find(&mut self, direction: Direction, input: &[u8], tell: impl FnOnce(Frame<'_>)) -> Option<usize> {
        if self.unfinished.is_some() {
            return Some(self.go_on(direction, input, tell));
        }
        let header = Header::read(input)?;
        let behind = &input[header.header_bytes..];
        let is_whole = header.payload_bytes <= behind.len() as u64;
        if header.is_control() && !is_whole {
            return None;
        }
        self.payload.clear();
        self.unfinished = Some(Unfinished { header, remaining_bytes: header.payload_bytes });
        Some(header.header_bytes + self.go_on(direction, behind, tell))
    }

    /// Takes more of the payload, and says how many bytes.
    fn go_on(&mut self, direction: Direction, input: &[u8], tell: impl FnOnce(Frame<'_>)) -> usize {
        let Some(Unfinished { header, remaining_bytes }) = &mut self.unfinished else { return 0 };
        let count = usize::try_from(*remaining_bytes).map_or(input.len(), |remaining| remaining.min(input.len()));
        *remaining_bytes -= count as u64;
        let key = header.mask.unwrap_or_default();
        let at = self.payload.len();
        let unmasked = input[..count].iter().enumerate().map(|(index, byte)| byte ^ key[(at + index) % key.len()]);
        self.payload.extend(unmasked);
        if *remaining_bytes == 0 {
            self.finish(direction, tell);
        }
        count
    }

    /// Finds all frames in `input`, and keeps what is left.
    fn find_all(&mut self, direction: Direction, mut input: &[u8], mut tell: impl FnMut(Frame<'_>)) {
        while !input.is_empty() {
            if self.unfinished.is_some() {
                let used = self.go_on(direction, input, &mut tell);
                input = &input[used..];
                continue;
            }
            self.header.push(input[0]);
            input = &input[1..];
            if let Some(header) = Header::read(&self.header) {
                self.header.clear();
                self.payload.clear();
                self.unfinished = Some(Unfinished { header, remaining_bytes: header.payload_bytes });
                // It may be all there already: empty.
                self.go_on(direction, &[], &mut tell);
            }
        }
    }

    /// Tells of the frame as far as it has come.
    fn finish(&mut self, direction: Direction, tell: impl FnOnce(Frame<'_>)) {
        let Some(Unfinished { header, .. }) = self.unfinished.take() else { return };
        tell(Frame {
            direction,
            at: Instant::now(),
            fin: header.first & 0x80 != 0,
            reserved: header.first >> 4 & 7,
            opcode: header.first & 0xF,
            mask: header.mask,
            payload_bytes: header.payload_bytes,
            header_bytes: header.header_bytes,
            payload: &self.payload,
        });
        // A large one is not kept for the next.
        if self.payload.capacity() > KEPT_BYTES {
            self.payload = Vec::new();
        }
    }
}

/// Room for a payload that a watched connection keeps.
const KEPT_BYTES: usize = 4 << 10;

/// What stands before a payload (RFC 6455 §5.2), right or wrong.
#[derive(Clone, Copy)]
struct Header {
    first: u8,
    mask: Option<[u8; 4]>,
    payload_bytes: u64,
    header_bytes: usize,
}

impl Header {
    fn read(input: &[u8]) -> Option<Self> {
        let (&[first, second], behind) = input.split_first_chunk()?;
        let (payload_bytes, behind) = match second & 0x7F {
            126 => {
                let (length, behind) = behind.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), behind)
            }
            127 => {
                let (length, behind) = behind.split_first_chunk()?;
                (u64::from_be_bytes(*length), behind)
            }
            short => (u64::from(short), behind),
        };
        let (mask, behind) = match second & 0x80 {
            0 => (None, behind),
            _ => behind.split_first_chunk().map(|(key, behind)| (Some(*key), behind))?,
        };
        Some(Self { first, mask, payload_bytes, header_bytes: input.len() - behind.len() })
    }

    fn is_control(&self) -> bool {
        self.first & 8 != 0
    }
}
