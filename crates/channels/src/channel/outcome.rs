//! What callbacks answer.

use std::borrow::Cow;
use std::fmt;

use wingbeat_phoenix::{IntoPayload, Payload};

use super::Channel;

/// A successful join: the channel, and what the client is told.
#[derive(Debug)]
pub struct Joined<C> {
    pub(crate) channel: C,
    pub(crate) reply: Option<Payload>,
}

impl<C: Channel> Joined<C> {
    /// Answers the join with `reply`.
    ///
    /// # Panics
    /// If `reply` cannot be serialized; the join is then answered `join crashed`.
    pub fn with(channel: C, reply: impl IntoPayload) -> Self {
        Self { channel, reply: Some(payload(reply)) }
    }
}

/// Answers the join with `{}`.
impl<C: Channel> From<C> for Joined<C> {
    fn from(channel: C) -> Self {
        Self { channel, reply: None }
    }
}

/// The answer to one message.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: Cow<'static, str>,
    pub(crate) payload: Option<Payload>,
}

impl Reply {
    /// Status `ok` with a payload of any JSON, or bytes.
    ///
    /// # Panics
    /// If `payload` cannot be serialized; so do all that take a payload here. In a callback that ends the channel.
    pub fn ok(payload: impl IntoPayload) -> Self {
        Self::with("ok", payload)
    }

    /// Status `error` with a payload.
    pub fn error(payload: impl IntoPayload) -> Self {
        Self::with("error", payload)
    }

    /// A status of one's own with a payload.
    pub fn with(status: impl Into<Cow<'static, str>>, payload: impl IntoPayload) -> Self {
        Self { status: status.into(), payload: Some(self::payload(payload)) }
    }

    /// A status and nothing else: the response is `{}`.
    pub fn status(status: impl Into<Cow<'static, str>>) -> Self {
        Self { status: status.into(), payload: None }
    }
}

/// What happens after a callback.
#[derive(Clone, Debug)]
#[must_use]
pub enum Outcome {
    /// Nothing.
    NoReply,
    /// The message is answered.
    Reply(Reply),
    /// The channel ends, after an answer or without one.
    Stop(Reason, Option<Reply>),
}

impl Outcome {
    /// Replies `ok`. Panics as [`Reply::ok`] does.
    pub fn ok(payload: impl IntoPayload) -> Self {
        Self::Reply(Reply::ok(payload))
    }

    /// Replies `error`. Panics as [`Reply::ok`] does.
    pub fn error(payload: impl IntoPayload) -> Self {
        Self::Reply(Reply::error(payload))
    }

    /// Ends the channel without an answer.
    pub fn stop(reason: Reason) -> Self {
        Self::Stop(reason, None)
    }

    /// Answers, then ends the channel.
    pub fn stop_with(reason: Reason, reply: Reply) -> Self {
        Self::Stop(reason, Some(reply))
    }
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Why a channel ends (spec 1.10).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The client left.
    Left,
    /// The connection ended.
    Closed,
    /// The client joined the same topic anew.
    Duplicate,
    /// The server is leaving: the connection was closed with 1012.
    Draining,
    /// The channel said so.
    Normal,
    /// The channel said so.
    Shutdown,
    /// A callback panicked, or an event came that the channel does not know.
    Crashed,
    /// The channel said so; the client is told `phx_error` and will rejoin.
    Other(Cow<'static, str>),
}

impl Reason {
    /// Whether the client is told `phx_close` rather than `phx_error` (row A15).
    pub(crate) fn is_graceful(&self) -> bool {
        match self {
            Self::Left | Self::Closed | Self::Duplicate | Self::Draining | Self::Normal | Self::Shutdown => true,
            Self::Crashed | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Closed => "closed",
            Self::Duplicate => "duplicate join",
            Self::Draining => "draining",
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Crashed => "crashed",
            Self::Other(reason) => reason,
        })
    }
}

/// The payload, or a panic that says why not: an application that sends what cannot be sent has a bug, which ends the
/// channel and not more.
#[track_caller]
pub(crate) fn payload(payload: impl IntoPayload) -> Payload {
    match payload.into_payload() {
        Ok(payload) => payload,
        Err(error) => panic!("the payload cannot be serialized: {error}"),
    }
}
