//! A channel: one client's stay in one topic.

pub(crate) mod actor;
mod context;
mod outcome;

pub(crate) use context::encode;
pub use context::{ChannelHandle, Context, SocketRef};
pub use outcome::{Joined, Outcome, Reason, Reply};
use wingbeat_phoenix::{FromEvent, Payload, Topic};

use crate::refusal::Refusal;
use crate::socket::Socket;

/// One client's stay in one topic. Its callbacks run one at a time, in order, so `&mut self` needs no lock.
///
/// Implementors simply write `async fn`. A callback that does not wait is run where it stands, in the turn of its
/// connection; one that waits continues as a task while messages for this topic queue up behind it, up to
/// [`MountOptions::max_mailbox_messages`](crate::MountOptions). **A callback that blocks its thread stalls every
/// connection of its worker**: use `tokio::task::spawn_blocking` for what blocks.
///
/// When the connection ends, a waiting callback gets
/// [`MountOptions::shutdown_grace`](crate::MountOptions) (5 s), then it is dropped at its `await`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a channel",
    note = "a channel has a `Socket` type, an `In` type (a serde enum tagged `event`/`payload`, or `RawEvent`), `join` and `handle_in`"
)]
pub trait Channel: Sized + Send + 'static {
    /// The socket whose clients join this channel.
    type Socket: Socket;

    /// What a client may push: an enum with `#[serde(tag = "event", content = "payload")]`, or
    /// [`RawEvent`](wingbeat_phoenix::RawEvent). An event it does not know ends the channel with `phx_error`.
    type In: FromEvent + Send;

    /// Admits the client to `topic` with an instance, or refuses with a reason it can read. The reply is the first
    /// thing the client hears of this join: pushing here panics, send yourself a message through [`Context::handle`]
    /// instead.
    fn join(
        topic: &Topic,
        payload: Payload,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<Joined<Self>, Refusal>> + Send;

    /// Answers an `event` that the client pushed.
    fn handle_in(&mut self, event: Self::In, cx: &mut Context<Self>) -> impl Future<Output = Outcome> + Send;

    /// Answers what somebody sent through a [`ChannelHandle`]. There is no message to reply to, so a reply in the
    /// outcome goes nowhere.
    fn handle_info(&mut self, info: Info, cx: &mut Context<Self>) -> impl Future<Output = Outcome> + Send {
        let _ = info;
        tracing::warn!(topic = %cx.topic(), "a channel without handle_info was sent something");
        async { Outcome::NoReply }
    }

    /// The channel ends; the last callback. What is pushed here still leaves if the connection is there (row A21).
    fn terminate(&mut self, reason: Reason, cx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        let _ = (reason, cx);
        async {}
    }
}

/// Something sent to a channel by other code of the application.
pub struct Info(Box<dyn std::any::Any + Send>);

impl Info {
    pub(crate) fn new(info: impl std::any::Any + Send) -> Self {
        Self(Box::new(info))
    }

    /// The value, if it is a `T`; else the same again.
    pub fn take<T: 'static>(self) -> Result<T, Self> {
        self.0.downcast().map(|value| *value).map_err(Self)
    }

    /// Whether it is a `T`.
    pub fn is<T: 'static>(&self) -> bool {
        self.0.is::<T>()
    }
}

impl std::fmt::Debug for Info {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Info")
    }
}
