//! A joined channel whose type is forgotten, and its callbacks as futures that carry it along.
//!
//! An [`Activation`] owns the channel while a callback runs, so it may be polled in a turn and, if it has to wait,
//! become a task. It gives the channel back in [`Done`]. A panic is caught around the user's future, within the
//! activation, so that the channel survives it long enough to `terminate`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use wingbeat_phoenix::{FromEvent, Name, Payload, PayloadRef, RefBuf, Topic};
use wingbeat_transport::ConnectionHandle;

use super::{Channel, Context, Info, Outcome, Reason};
use crate::callback::{catch, poll_once};
use crate::multiplexer::Client;
use crate::refusal::Refusal;
use crate::socket::Socket;

/// A callback that has begun.
pub(crate) type Activation = Pin<Box<dyn Future<Output = Done> + Send>>;

/// How a callback ended.
pub(crate) enum Done {
    Joined(Box<dyn Actor>, Option<Payload>),
    Refused(Refusal),
    JoinCrashed,
    JoinTimedOut,
    Handled(Box<dyn Actor>, Outcome),
    Crashed(Box<dyn Actor>),
    Terminated,
}

impl Done {
    /// The channel, if it is still there.
    pub(crate) fn into_actor(self) -> Option<Box<dyn Actor>> {
        match self {
            Self::Joined(actor, _) | Self::Handled(actor, _) | Self::Crashed(actor) => Some(actor),
            Self::Refused(_) | Self::JoinCrashed | Self::JoinTimedOut | Self::Terminated => None,
        }
    }
}

/// A joined channel of any type.
pub(crate) trait Actor: Send {
    /// Begins `handle_in`; or gives the channel back if it does not know the event.
    fn handle_in(
        self: Box<Self>,
        event: &Name<'_>,
        payload: PayloadRef<'_>,
        message_ref: RefBuf,
    ) -> Result<Activation, Box<dyn Actor>>;

    /// Begins `handle_info`.
    fn handle_info(self: Box<Self>, info: Info) -> Activation;

    /// Begins `terminate`, after which nothing is left.
    fn terminate(self: Box<Self>, reason: Reason) -> Activation;
}

struct Resident<C: Channel> {
    channel: C,
    cx: Context<C>,
}

impl<C: Channel> Actor for Resident<C> {
    fn handle_in(
        mut self: Box<Self>,
        event: &Name<'_>,
        payload: PayloadRef<'_>,
        message_ref: RefBuf,
    ) -> Result<Activation, Box<dyn Actor>> {
        // Reading may run the application's own `Deserialize`.
        let event = match catch_unwind(AssertUnwindSafe(|| C::In::from_event(event, payload))) {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => {
                let channel = std::any::type_name::<C>();
                tracing::warn!(channel, topic = %self.cx.topic, event = event.as_str(), %error, "an event the channel does not know");
                return Err(self);
            }
            Err(_) => return Err(self),
        };
        self.cx.message_ref = Some(message_ref);
        Ok(Box::pin(async move {
            let handled = catch(async { self.channel.handle_in(event, &mut self.cx).await }).await;
            self.cx.message_ref = None;
            self.done(handled)
        }))
    }

    fn handle_info(mut self: Box<Self>, info: Info) -> Activation {
        Box::pin(async move {
            let handled = catch(async { self.channel.handle_info(info, &mut self.cx).await }).await;
            self.done(handled)
        })
    }

    fn terminate(mut self: Box<Self>, reason: Reason) -> Activation {
        Box::pin(async move {
            let topic = self.cx.topic.clone();
            if catch(async { self.channel.terminate(reason, &mut self.cx).await }).await.is_none() {
                tracing::error!(channel = std::any::type_name::<C>(), %topic, "terminate panicked");
            }
            Done::Terminated
        })
    }
}

impl<C: Channel> Resident<C> {
    fn done(self: Box<Self>, handled: Option<Outcome>) -> Done {
        match handled {
            Some(outcome) => Done::Handled(self, outcome),
            None => {
                tracing::error!(channel = std::any::type_name::<C>(), topic = %self.cx.topic, "a callback panicked; the channel ends");
                Done::Crashed(self)
            }
        }
    }
}

/// What a join needs; the route turns it into an activation of its channel.
pub(crate) struct JoinRequest<S: Socket> {
    pub(crate) client: Arc<Client<S>>,
    pub(crate) topic: Topic,
    pub(crate) join_ref: RefBuf,
    pub(crate) instance: u32,
    pub(crate) payload: Payload,
}

/// Begins `C::join`.
pub(crate) fn join<C: Channel>(request: JoinRequest<C::Socket>) -> Activation {
    let JoinRequest { client, topic, join_ref, instance, payload } = request;
    let mut cx = Context { client, topic, join_ref, message_ref: None, instance, has_joined: false };
    Box::pin(async move {
        let topic = cx.topic.clone();
        match catch(async { C::join(&topic, payload, &mut cx).await }).await {
            Some(Ok(joined)) => {
                cx.has_joined = true;
                Done::Joined(Box::new(Resident { channel: joined.channel, cx }), joined.reply)
            }
            Some(Err(refusal)) => Done::Refused(refusal),
            None => {
                tracing::error!(channel = std::any::type_name::<C>(), %topic, "join panicked");
                Done::JoinCrashed
            }
        }
    })
}

/// What a task reports to the multiplexer it came from.
pub(crate) struct Finished {
    pub(crate) instance: u32,
    done: Option<Done>,
}

impl Finished {
    pub(crate) fn take(mut self) -> (u32, Done) {
        (self.instance, self.done.take().unwrap_or(Done::Terminated))
    }
}

/// A report that finds its connection gone still has a channel to end.
impl Drop for Finished {
    fn drop(&mut self) {
        if let Some(actor) = self.done.take().and_then(Done::into_actor) {
            detach(actor.terminate(Reason::Closed), DEFAULT_GRACE);
        }
    }
}

/// How long `terminate` may take where no mount says otherwise (row A25).
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// A callback that waits, in a task of its own. Dropping this ends it as a closed connection does.
pub(crate) struct Task {
    cancel: Option<oneshot::Sender<Reason>>,
}

/// How long a waiting callback may take.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// From the start; `None` for ever.
    pub(crate) limit: Option<Duration>,
    /// Once it is told to end.
    pub(crate) grace: Duration,
}

impl Task {
    /// Lets `activation` go on as a task that reports to `connection`.
    pub(crate) fn spawn(
        activation: Activation,
        instance: u32,
        connection: ConnectionHandle,
        patience: Patience,
    ) -> Self {
        let (cancel, cancelled) = oneshot::channel();
        tokio::spawn(async move {
            let done = run(activation, cancelled, patience).await;
            // Refused only if the worker is gone or flooded; dropping the report ends the channel.
            let _ = connection.info(Finished { instance, done: Some(done) });
        });
        Self { cancel: Some(cancel) }
    }

    /// Tells the callback to end within its grace, and then the channel for `reason`. Reported as `Terminated`.
    pub(crate) fn cancel(&mut self, reason: Reason) {
        if let Some(cancel) = self.cancel.take() {
            let _ = cancel.send(reason);
        }
    }
}

async fn run(mut activation: Activation, cancelled: oneshot::Receiver<Reason>, patience: Patience) -> Done {
    let limit = async {
        match patience.limit {
            Some(limit) => sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = &mut activation => done,
        reason = cancelled => {
            let done = timeout(patience.grace, activation).await;
            if let Some(actor) = done.ok().and_then(Done::into_actor) {
                let _ = timeout(patience.grace, actor.terminate(reason.unwrap_or(Reason::Closed))).await;
            }
            Done::Terminated
        }
        () = limit => Done::JoinTimedOut,
    }
}

/// Runs the last callback of a channel that nobody waits for.
pub(crate) fn detach(mut terminate: Activation, grace: Duration) {
    if poll_once(&mut terminate).is_pending()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        runtime.spawn(async move { timeout(grace, terminate).await.is_ok() });
    }
}
