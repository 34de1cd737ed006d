//! Messages as a handler sees them, and messages framed once for many connections.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use wingbeat_websocket::deflate::{DeflateConfig, DeflatePool};
use wingbeat_websocket::{MessageKind, Opcode, encode_server_header};

/// A complete message, borrowed from the worker's read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text; its UTF-8 has been checked (RFC 6455 §8.1).
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload, whatever its kind.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    pub(crate) fn opcode(&self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }
}

/// A message with its frame header, encoded once and shared by all that receive it; a clone is a reference count.
///
/// Where receivers have agreed on compression it is compressed once for each window size, when the first of them is sent
/// it, and shared just as well.
#[derive(Clone, Debug)]
pub struct EncodedMessage {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    frame: Bytes,
    header_bytes: usize,
    /// By window bits; `None` within: it is sent as it is.
    deflated: OnceLock<Box<[OnceLock<Option<Bytes>>; WINDOWS]>>,
}

const MIN_WINDOW_BITS: u8 = DeflateConfig::MIN_WINDOW_BITS;
const WINDOWS: usize = (DeflateConfig::MAX_WINDOW_BITS - MIN_WINDOW_BITS) as usize + 1;

impl EncodedMessage {
    /// Frames a text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Message::Text(text))
    }

    /// Frames a binary message.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::new(Message::Binary(bytes))
    }

    /// Frames a message.
    #[must_use]
    pub fn new(message: Message<'_>) -> Self {
        let payload = message.as_bytes();
        let mut frame = Vec::with_capacity(payload.len() + 10);
        encode_server_header(message.opcode(), payload.len(), &mut frame);
        let header_bytes = frame.len();
        frame.extend_from_slice(payload);
        Self { shared: Arc::new(Shared { frame: frame.into(), header_bytes, deflated: OnceLock::new() }) }
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn as_frame(&self) -> &Bytes {
        &self.shared.frame
    }

    /// The frame for those that inflate with a window of `bits`; the plain one if compression does not pay.
    pub(crate) fn deflated(&self, bits: u8, pool: &mut DeflatePool) -> Option<&Bytes> {
        let windows = self.shared.deflated.get_or_init(Box::default);
        let deflated = windows.get(usize::from(bits.checked_sub(MIN_WINDOW_BITS)?))?;
        let deflate = || {
            let (header, payload) = self.shared.frame.split_at(self.shared.header_bytes);
            let kind = if header[0] & 0x0F == Opcode::Text as u8 { MessageKind::Text } else { MessageKind::Binary };
            let mut frame = Vec::new();
            pool.encode_server_frame(kind, payload, bits, &mut frame).then(|| frame.into())
        };
        deflated.get_or_init(deflate).as_ref()
    }
}

impl From<Message<'_>> for EncodedMessage {
    fn from(message: Message<'_>) -> Self {
        Self::new(message)
    }
}
