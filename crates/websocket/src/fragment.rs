//! A part of a message, handed up before the rest has come.

use alloc::borrow::Cow;

use crate::message::{MessageKind, Received};

/// The next part of a message, as it arrives: the payload of a frame or a piece of one. Where frames begin and end has no
/// meaning (§5.4), and so does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// What kind of message it belongs to.
    pub kind: MessageKind,
    /// The message begins with it.
    pub is_first: bool,
    /// The message ends with it. It may be empty then, and only then.
    pub is_final: bool,
    pub(crate) data: Data<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data<'a> {
    /// Whole characters.
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

impl Fragment<'_> {
    /// The part's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Text(text) => text.as_bytes(),
            Data::Bytes(bytes) => bytes,
        }
    }

    /// The part of a text. Characters are never cut: one whose end has not come is kept back for the next part. `None`
    /// if the message is binary, or its text is not checked.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            Data::Bytes(_) => None,
        }
    }

    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Fragment<'static> {
        let Self { kind, is_first, is_final, data } = self;
        let data = match data {
            Data::Text(text) => Data::Text(Cow::Owned(text.into_owned())),
            Data::Bytes(bytes) => Data::Bytes(Cow::Owned(bytes.into_owned())),
        };
        Fragment { kind, is_first, is_final, data }
    }
}

/// The next thing that came from the peer, where messages are taken in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedFragment<'a> {
    /// A part of a message.
    Fragment(Fragment<'a>),
    /// A control frame, which may come between parts.
    Control(Received<'a>),
}
