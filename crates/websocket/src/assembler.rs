//! Fragments and pieces to messages; at most one message is in flight (§5.4).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::decoder::PartialFrame;
use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::mask::Unmasked;
use crate::message::{MessageKind, Received};
use crate::utf8::{Invalid, TextBuffer};

/// The message in flight. There is one only between the first byte of a message and its last.
#[derive(Debug)]
pub(crate) struct Assembler {
    buffer: Buffer,
    fragments: u32,
    /// The frame that is being taken; `None` between two fragments.
    frame: Option<PartialFrame>,
}

#[derive(Debug)]
enum Buffer {
    Text(TextBuffer),
    Binary(Vec<u8>),
    /// As it came: it is inflated when all of it is there (RFC 7692 §7.2.2).
    Deflated(MessageKind, Vec<u8>),
}

/// Bytes of a message after which more is reserved for it than as much again.
const TRUSTED_FROM_BYTES: usize = 64 << 10;

/// How far a piece has brought the message.
pub(crate) enum Progress {
    /// The frame wants more bytes.
    Frame,
    /// The frame is over; a continuation must follow, control frames may come between.
    Fragment,
    /// The message is over.
    Message,
}

/// A message all of which has come.
pub(crate) enum Gathered {
    /// Ready to be handed up.
    Whole(Received<'static>),
    /// To be inflated (RFC 7692 §7.2.2).
    Deflated(MessageKind, Vec<u8>),
}

impl Assembler {
    pub(crate) fn new(kind: MessageKind, is_deflated: bool) -> Self {
        let buffer = match kind {
            _ if is_deflated => Buffer::Deflated(kind, Vec::new()),
            MessageKind::Text => Buffer::Text(TextBuffer::default()),
            MessageKind::Binary => Buffer::Binary(Vec::new()),
        };
        Self { buffer, fragments: 0, frame: None }
    }

    /// Whether a frame is open: what comes next is payload, not a header.
    pub(crate) const fn is_inside_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Begins the next frame of the message, if the limits allow it. Nothing is reserved for its payload.
    pub(crate) fn begin(&mut self, frame: PartialFrame, limits: &Limits) -> Result<(), ProtocolError> {
        self.fragments += 1;
        if self.fragments > limits.max_fragments {
            return Err(ProtocolError::TooManyFragments { limit: limits.max_fragments });
        }
        if self.buffer.len().saturating_add(frame.remaining_bytes()) > limits.max_message_bytes {
            return Err(ProtocolError::MessageTooBig { limit: limits.max_message_bytes });
        }
        self.frame = Some(frame);
        Ok(())
    }

    /// Takes what belongs to the open frame off the front of `input` and returns what does not.
    pub(crate) fn take<'a>(&mut self, input: &'a mut [u8]) -> Result<(Progress, &'a mut [u8]), ProtocolError> {
        let Some(frame) = &mut self.frame else { return Ok((Progress::Fragment, input)) };
        let (piece, rest) = frame.take(input);
        let (remaining_bytes, fin) = (frame.remaining_bytes(), frame.fin);
        self.buffer.push(piece, remaining_bytes).map_err(|Invalid| ProtocolError::InvalidUtf8)?;
        if remaining_bytes > 0 {
            return Ok((Progress::Frame, rest));
        }
        self.frame = None;
        Ok((if fin { Progress::Message } else { Progress::Fragment }, rest))
    }

    /// The whole message.
    pub(crate) fn finish(self) -> Result<Gathered, ProtocolError> {
        let received = match self.buffer {
            Buffer::Text(text) => {
                Received::Text(Cow::Owned(text.finish().map_err(|Invalid| ProtocolError::InvalidUtf8)?))
            }
            Buffer::Binary(bytes) => Received::Binary(Cow::Owned(bytes)),
            Buffer::Deflated(kind, bytes) => return Ok(Gathered::Deflated(kind, bytes)),
        };
        Ok(Gathered::Whole(received))
    }
}

impl Buffer {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Deflated(_, bytes) => bytes.len(),
        }
    }

    /// Appends `piece`, behind which `remaining_bytes` of the frame are announced but not here.
    fn push(&mut self, piece: Unmasked<'_>, remaining_bytes: usize) -> Result<(), Invalid> {
        let (len, capacity) = match self {
            Self::Text(text) => (text.len(), text.capacity()),
            Self::Binary(bytes) | Self::Deflated(_, bytes) => (bytes.len(), bytes.capacity()),
        };
        let needed = len + piece.bytes().len();
        let mut additional = 0;
        if needed > capacity {
            // Grows with what is here, never beyond what is announced: a length alone costs nothing (§10.4). A frame of
            // which much has come is worth being believed more, which spares it most of the copies of growing.
            let factor = if needed < TRUSTED_FROM_BYTES { 1 } else { 15 };
            additional = needed.saturating_add(remaining_bytes.min(factor * needed)) - len;
        }
        match self {
            Self::Text(text) => {
                text.reserve_exact(additional);
                text.push(piece)
            }
            Self::Binary(bytes) | Self::Deflated(_, bytes) => {
                bytes.reserve_exact(additional);
                bytes.extend_from_slice(piece.bytes());
                Ok(())
            }
        }
    }
}
