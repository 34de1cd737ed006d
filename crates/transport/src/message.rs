//! Messages as a handler sees them, and messages framed once for many connections.

use bytes::Bytes;
use wingbeat_websocket::{Opcode, encode_server_frame};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedMessage {
    frame: Bytes,
}

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
        encode_server_frame(message.opcode(), payload, &mut frame);
        Self { frame: frame.into() }
    }

    /// The frame: header and payload.
    #[must_use]
    pub fn as_frame(&self) -> &Bytes {
        &self.frame
    }
}

impl From<Message<'_>> for EncodedMessage {
    fn from(message: Message<'_>) -> Self {
        Self::new(message)
    }
}
