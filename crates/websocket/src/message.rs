//! What a connection hands up.

use alloc::borrow::Cow;

use crate::close::CloseFrame;
use crate::opcode::Opcode;

/// Whether a message is text or binary (§5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl From<MessageKind> for Opcode {
    /// The opcode of the first frame of such a message.
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}

impl From<Opcode> for MessageKind {
    /// The kind of message that a data frame with this opcode starts.
    #[inline]
    fn from(opcode: Opcode) -> Self {
        if let Opcode::Text = opcode { Self::Text } else { Self::Binary }
    }
}

/// The next thing that came from the peer: a whole message, or a control frame.
///
/// Borrowed where it lies in the input; owned only when it had to be gathered from fragments or from a frame that came
/// in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A text message (§5.6).
    Text(Cow<'a, str>),
    /// A binary message (§5.6).
    Binary(Cow<'a, [u8]>),
    /// A Ping; its Pong has been appended to the output (§5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A Pong, asked for or not (§5.5.3).
    Pong(Cow<'a, [u8]>),
    /// The peer's Close; the answer, if we owed one, has been appended to the output (§5.5.1). `None`: without a code.
    Close(Option<CloseFrame>),
}

/// A message that came in one frame, where it lies in the input. See
/// [`Connection::handle_whole`](crate::Connection::handle_whole).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeMessage<'a> {
    /// A text message (§5.6).
    Text(&'a str),
    /// A binary message (§5.6).
    Binary(&'a [u8]),
}

impl Received<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Received<'static> {
        match self {
            Self::Text(text) => Received::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Received::Binary(Cow::Owned(bytes.into_owned())),
            Self::Ping(payload) => Received::Ping(Cow::Owned(payload.into_owned())),
            Self::Pong(payload) => Received::Pong(Cow::Owned(payload.into_owned())),
            Self::Close(frame) => Received::Close(frame),
        }
    }
}
