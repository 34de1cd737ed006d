//! What a channel may do, in its callbacks and later.

use std::sync::Arc;

use wingbeat_phoenix::{IntoPayload, Name, Outgoing, Payload, RefBuf, Topic, Version};
use wingbeat_transport::{ConnectionHandle, EncodedMessage, SendError};

use super::outcome::payload;
use super::{Channel, Info, Reply};
use crate::handle::EndpointHandle;
use crate::multiplexer::{Client, ToChannel};
use crate::pubsub::MemberId;
use crate::socket::Socket;

/// One join: who it is, where it is, and what can be sent from here.
pub struct Context<C: Channel> {
    pub(crate) client: Arc<Client<C::Socket>>,
    pub(crate) topic: Topic,
    /// Stamps everything this join sends.
    pub(crate) join_ref: RefBuf,
    /// The message being handled, if it is one of the client's.
    pub(crate) message_ref: Option<RefBuf>,
    pub(crate) instance: u32,
    pub(crate) has_joined: bool,
}

impl<C: Channel> Context<C> {
    /// Who is connected.
    pub fn socket(&self) -> &C::Socket {
        &self.client.socket
    }

    /// The socket's id, as [`Socket::id`] gave it.
    pub fn socket_id(&self) -> Option<&str> {
        self.client.id.as_deref()
    }

    /// The application's state.
    pub fn state(&self) -> &<C::Socket as Socket>::State {
        &self.client.endpoint().state
    }

    /// The topic joined.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The endpoint: broadcasts to any topic, disconnects.
    pub fn endpoint(&self) -> &EndpointHandle {
        &self.client.endpoint().handle
    }

    /// A handle to this very join, to send it something from elsewhere.
    pub fn handle(&self) -> ChannelHandle {
        ChannelHandle { connection: self.client.connection.clone(), instance: self.instance }
    }

    /// Names the message being handled, so that it can be answered later, from any task.
    ///
    /// # Panics
    /// Outside `handle_in`, where there is no message (row A6).
    #[track_caller]
    pub fn socket_ref(&self) -> SocketRef {
        let Some(message_ref) = &self.message_ref else {
            panic!("socket_ref is for handle_in: there is no message to answer here")
        };
        SocketRef {
            connection: self.client.connection.clone(),
            version: self.client.version,
            topic: self.topic.clone(),
            join_ref: self.join_ref.clone(),
            message_ref: message_ref.clone(),
        }
    }

    /// Sends `event` to this client alone.
    ///
    /// # Panics
    /// In `join`, whose reply must come first (row A8): send yourself a message through [`handle`](Self::handle) and
    /// push in `handle_info`. If `payload` is neither a JSON object nor bytes (row M13). A panic ends the channel.
    #[track_caller]
    pub fn push(&mut self, event: &str, payload: impl IntoPayload) {
        self.require_joined("push");
        let payload = object(payload);
        let (join_ref, topic) = (self.join_ref.as_ref(), self.topic.as_str());
        let outgoing = Outgoing::Push { join_ref, topic, event, payload: &payload };
        if let Some(message) = encode(self.client.version, &outgoing) {
            // A connection that is gone, or too slow, ends this channel through `terminate`.
            let _ = self.client.connection.reply(message);
        }
    }

    /// Sends `event` to everybody in this topic, this client included. Panics as [`push`](Self::push) does.
    #[track_caller]
    pub fn broadcast(&mut self, event: &str, payload: impl IntoPayload) {
        self.require_joined("broadcast");
        self.client.endpoint().handle.pubsub().broadcast(&self.topic, event, object(payload), None);
    }

    /// Sends `event` to everybody in this topic but this client. Panics as [`push`](Self::push) does.
    #[track_caller]
    pub fn broadcast_from(&mut self, event: &str, payload: impl IntoPayload) {
        self.require_joined("broadcast");
        let me = MemberId { connection: self.client.connection.id(), instance: self.instance };
        self.client.endpoint().handle.pubsub().broadcast(&self.topic, event, object(payload), Some(me));
    }

    #[track_caller]
    fn require_joined(&self, what: &str) {
        assert!(
            self.has_joined,
            "join must not {what}: its reply comes first. Send yourself a message with cx.handle().info(..) and {what} in handle_info"
        );
    }
}

/// The payload of a push or broadcast, or a panic that says what is wrong with it.
#[track_caller]
fn object(from: impl IntoPayload) -> Payload {
    let payload = payload(from);
    if let Err(error) = payload.require_object() {
        panic!("{error}");
    }
    payload
}

/// Frames a message for one client; logs what its serializer cannot carry.
pub(crate) fn encode(version: Version, outgoing: &Outgoing<'_>) -> Option<EncodedMessage> {
    let mut text = Vec::with_capacity(128);
    if let Err(error) = version.serializer().encode(outgoing, &mut text) {
        tracing::error!(%error, "a message cannot be sent to a client of its version");
        return None;
    }
    match String::from_utf8(text) {
        Ok(text) => Some(EncodedMessage::text(&text)),
        Err(error) => {
            tracing::error!(%error, "a serializer wrote text that is none");
            None
        }
    }
}

/// One message of a client that may be answered later: from any task, and more than once (rows A4, A5).
#[derive(Clone, Debug)]
pub struct SocketRef {
    connection: ConnectionHandle,
    version: Version,
    topic: Topic,
    join_ref: RefBuf,
    message_ref: RefBuf,
}

impl SocketRef {
    /// Answers. Nothing happens if the connection is gone.
    pub fn reply(&self, reply: Reply) {
        let topic = Name::from(self.topic.as_str());
        let outgoing = Outgoing::Reply {
            join_ref: self.join_ref.as_ref(),
            message_ref: self.message_ref.as_ref(),
            topic: &topic,
            status: &reply.status,
            payload: reply.payload.as_ref(),
        };
        if let Some(message) = encode(self.version, &outgoing) {
            let _ = self.connection.reply(message);
        }
    }
}

/// One join, from anywhere. Clone is cheap; it does not keep the channel alive.
#[derive(Clone, Debug)]
pub struct ChannelHandle {
    connection: ConnectionHandle,
    instance: u32,
}

impl ChannelHandle {
    /// Sends `info` to the channel's [`handle_info`](Channel::handle_info). Sent in `join`, it arrives after the join
    /// was answered; sent to a channel that has ended, nowhere.
    ///
    /// # Errors
    /// If the worker is gone or cannot take more.
    pub fn info(&self, info: impl std::any::Any + Send) -> Result<(), SendError> {
        self.connection.info(ToChannel { instance: self.instance, info: Info::new(info) })
    }
}
