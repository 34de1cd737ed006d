//! What travels: messages in, and the five kinds of frame a server sends.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::payload::{Payload, PayloadRef};
use crate::reference::{Ref, RefBuf};

/// Events with a meaning of their own (spec 1.7).
pub mod events {
    /// Client: join the topic.
    pub const JOIN: &str = "phx_join";
    /// Client: leave the topic.
    pub const LEAVE: &str = "phx_leave";
    /// Server: the answer to one message.
    pub const REPLY: &str = "phx_reply";
    /// Server: the channel died; rejoin.
    pub const ERROR: &str = "phx_error";
    /// Server: the channel ended on purpose; stay away.
    pub const CLOSE: &str = "phx_close";
    /// Client, on [`PHOENIX`]: keep the socket alive.
    pub const HEARTBEAT: &str = "heartbeat";
    /// Internal, broadcast to a socket's id: close it.
    pub const DISCONNECT: &str = "disconnect";
    /// The topic of heartbeats.
    pub const PHOENIX: &str = "phoenix";
}

/// A topic or an event as it came. Phoenix does not check that it is a string, so neither do we before routing.
#[derive(Clone, Debug)]
pub struct Name<'a> {
    /// As written, if it came as JSON.
    json: Option<&'a str>,
    text: Option<Cow<'a, str>>,
}

impl<'a> Name<'a> {
    pub(crate) fn from_raw(raw: &'a RawValue) -> Self {
        let json = raw.get();
        let text = match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) if !inner.contains('\\') => Some(Cow::Borrowed(inner)),
            Some(_) => String::deserialize(raw).ok().map(Cow::Owned),
            None => None,
        };
        Self { json: Some(json), text }
    }

    /// The text, or `None` if it is no string.
    pub fn as_str(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The JSON as written; `None` if it did not come as JSON.
    pub fn as_json(&self) -> Option<&str> {
        self.json
    }
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(text: &'a str) -> Self {
        Self { json: None, text: Some(Cow::Borrowed(text)) }
    }
}

/// A message from a client, borrowed from the text it came in.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The ref of the join that this message belongs to.
    pub join_ref: Ref<'a>,
    /// The client's name for this message; its reply carries it.
    pub message_ref: Ref<'a>,
    /// Where it is meant to go.
    pub topic: Name<'a>,
    /// What it is.
    pub event: Name<'a>,
    /// What it carries.
    pub payload: PayloadRef<'a>,
}

impl Message<'_> {
    /// Bytes of what a copy would have to keep.
    #[allow(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        let event = self.event.as_str().map_or(0, str::len);
        self.join_ref.as_json().len() + self.message_ref.as_json().len() + event + self.payload.len()
    }

    /// A copy that can wait; without the topic, which whoever lets it wait knows.
    pub fn to_buf(&self) -> MessageBuf {
        MessageBuf {
            join_ref: self.join_ref.to_buf(),
            message_ref: self.message_ref.to_buf(),
            event: self.event.as_str().map(Into::into),
            payload: self.payload.to_payload(),
        }
    }
}

/// A [`Message`] that waits, for a topic known to whoever keeps it.
#[derive(Clone, Debug)]
pub struct MessageBuf {
    join_ref: RefBuf,
    message_ref: RefBuf,
    /// `None` if it was no string.
    event: Option<Box<str>>,
    payload: Payload,
}

impl MessageBuf {
    /// As [`Message::len`].
    #[allow(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        self.to_message("").len()
    }

    /// The message again, for `topic`.
    pub fn to_message<'a>(&'a self, topic: &'a str) -> Message<'a> {
        let event = self.event.as_deref().map_or(Name { json: Some("null"), text: None }, Name::from);
        Message {
            join_ref: self.join_ref.as_ref(),
            message_ref: self.message_ref.as_ref(),
            topic: Name::from(topic),
            event,
            payload: self.payload.borrow(),
        }
    }
}

/// What a server sends.
#[derive(Clone, Debug)]
pub enum Outgoing<'a> {
    /// From a channel to its own client.
    Push {
        /// The join it belongs to.
        join_ref: Ref<'a>,
        /// The channel's topic.
        topic: &'a str,
        /// Its name.
        event: &'a str,
        /// An object, or bytes.
        payload: &'a Payload,
    },
    /// The answer to one message.
    Reply {
        /// The join it belongs to, or null.
        join_ref: Ref<'a>,
        /// The ref of the message answered.
        message_ref: Ref<'a>,
        /// The topic of that message.
        topic: &'a Name<'a>,
        /// `ok`, `error` or a name of one's own.
        status: &'a str,
        /// Any JSON, or bytes; none means `{}`.
        payload: Option<&'a Payload>,
    },
    /// To everybody in a topic.
    Broadcast {
        /// Which topic.
        topic: &'a str,
        /// Its name.
        event: &'a str,
        /// An object, or bytes.
        payload: &'a Payload,
    },
    /// The channel ended on purpose.
    Close {
        /// As the client sent it in its join.
        join_ref: Ref<'a>,
        /// The channel's topic.
        topic: &'a str,
    },
    /// The channel crashed.
    Error {
        /// As the client sent it in its join.
        join_ref: Ref<'a>,
        /// The channel's topic.
        topic: &'a str,
    },
}

impl Outgoing<'_> {
    /// Whether it travels in a binary frame: the payload decides, message by message (spec 1.6).
    pub fn is_binary(&self) -> bool {
        match self {
            Self::Push { payload, .. } | Self::Broadcast { payload, .. } => payload.is_binary(),
            Self::Reply { payload, .. } => payload.is_some_and(Payload::is_binary),
            Self::Close { .. } | Self::Error { .. } => false,
        }
    }
}
