//! One client: decodes what it sends, routes it by topic, and answers (spec 1.8).
//!
//! ```text
//!            join ok                    message, not waiting
//!  (none) ───────────► Idle ◄──────────────────────────┐
//!     │                 │  ▲                           │
//!     │ join waits      │  └── task done ──┐           │
//!     └──► Busy ◄───────┘ callback waits   │           │
//!           │ └────────────────────────────┘           │
//!           └─ mailbox, in order, after the task ──────┘
//! ```
//!
//! A topic whose callback waits keeps what comes in a mailbox and handles it, by the same rules, once the callback is
//! done; all other topics, and the heartbeat, go on. Everything a task reports comes back through
//! `Handler::handle_info`, so one thread at a time ever touches a client.

mod callbacks;
mod joining;
mod mailbox;
mod slots;

use std::sync::Arc;

use mailbox::{Letter, Mailbox};
use slots::{Activity, Slots, Stage};
use wingbeat_phoenix::{Message, Outgoing, Payload, Ref, Topic, Version, events};
use wingbeat_transport::{self as transport, Cause, Closed, ConnectionHandle, Handler};
use wingbeat_websocket::CloseCode;

use crate::channel::actor::{Finished, detach};
use crate::channel::{Info, Reason, Reply};
use crate::endpoint::Shared;
use crate::mount::Mounted;
use crate::pubsub::{Member, MemberId, Registry, SOCKET, Seat};
use crate::refusal::Refusal;
use crate::socket::Socket;

/// A client as its channels know it.
pub(crate) struct Client<S: Socket> {
    pub(crate) socket: S,
    pub(crate) id: Option<Box<str>>,
    pub(crate) version: Version,
    pub(crate) connection: ConnectionHandle,
    pub(crate) mounted: Arc<Mounted<S>>,
}

impl<S: Socket> Client<S> {
    pub(crate) fn endpoint(&self) -> &Shared<S::State> {
        &self.mounted.endpoint
    }
}

/// A client that was let in and has no connection yet.
pub(crate) struct Newcomer<S: Socket> {
    pub(crate) mounted: Arc<Mounted<S>>,
    pub(crate) socket: S,
    pub(crate) id: Option<String>,
    pub(crate) version: Version,
}

/// A message from the application to one join.
pub(crate) struct ToChannel {
    pub(crate) instance: u32,
    pub(crate) info: Info,
}

/// One client's connection.
pub(crate) struct Multiplexer<S: Socket> {
    phase: Phase<S>,
}

enum Phase<S: Socket> {
    Opening(Option<Box<Newcomer<S>>>),
    Open(Desk<S>),
    /// The client broke the protocol, or is gone: nothing is listened to any more.
    Deaf,
}

/// An open connection at work.
struct Desk<S: Socket> {
    client: Arc<Client<S>>,
    slots: Slots,
    /// Instances so far; [`SOCKET`] is none of them.
    instances: u32,
    /// Where the socket's id is subscribed.
    seat: Option<Seat>,
    /// Held by each channel that has left its topic and still terminates, so that their number is known.
    ending: Option<Arc<()>>,
}

impl<S: Socket> Multiplexer<S> {
    pub(crate) fn new(newcomer: Newcomer<S>) -> Self {
        Self { phase: Phase::Opening(Some(Box::new(newcomer))) }
    }
}

impl<S: Socket> Handler for Multiplexer<S> {
    fn handle_open(&mut self, cx: &mut transport::Context<'_>) {
        if let Phase::Opening(opening) = &mut self.phase
            && let Some(newcomer) = opening.take()
        {
            self.phase = Phase::Open(Desk::new(*newcomer, cx));
        }
    }

    fn handle_message(&mut self, message: transport::Message<'_>, cx: &mut transport::Context<'_>) {
        let Phase::Open(desk) = &mut self.phase else { return };
        let serializer = desk.client.version.serializer();
        let decoded = match message {
            transport::Message::Text(text) => serializer.decode_text(text),
            transport::Message::Binary(bytes) => serializer.decode_binary(bytes),
        };
        match decoded {
            Ok(message) => desk.handle(&message, cx),
            Err(error) => {
                tracing::warn!(%error, "a client sent what is no message; it is closed with 1011");
                desk.end(&Reason::Closed, cx);
                self.phase = Phase::Deaf;
                cx.close(CloseCode::INTERNAL_ERROR, "");
            }
        }
    }

    fn handle_info(&mut self, info: transport::Info, cx: &mut transport::Context<'_>) {
        let Phase::Open(desk) = &mut self.phase else { return };
        match info.downcast::<Finished>() {
            Ok(finished) => desk.handle_finished(*finished, cx),
            Err(info) => {
                if let Ok(to) = info.downcast::<ToChannel>() {
                    desk.tell(to.instance, to.info, cx);
                }
            }
        }
    }

    fn handle_close(&mut self, closed: Closed, cx: &mut transport::Context<'_>) {
        if let Phase::Open(desk) = &mut self.phase {
            let is_draining =
                matches!(closed.cause, Cause::Local | Cause::Shutdown) && closed.code == CloseCode::SERVICE_RESTART;
            desk.end(if is_draining { &Reason::Draining } else { &Reason::Closed }, cx);
        }
        self.phase = Phase::Deaf;
    }
}

impl<S: Socket> Desk<S> {
    fn new(newcomer: Newcomer<S>, cx: &mut transport::Context<'_>) -> Self {
        let Newcomer { mounted, socket, id, version } = newcomer;
        let connection = cx.handle();
        let seat = id.as_deref().map(|id| {
            let id_of_socket = MemberId { connection: connection.id(), instance: SOCKET };
            let member = Member { id: id_of_socket, version };
            cx.turn().local::<Registry>().subscribe(&Topic::from(id), member)
        });
        let client = Client { socket, id: id.map(Into::into), version, connection, mounted };
        Self { client: Arc::new(client), slots: Slots::default(), instances: SOCKET, seat, ending: None }
    }

    /// The decision table of spec 1.8.
    fn handle(&mut self, message: &Message<'_>, cx: &mut transport::Context<'_>) {
        let (topic, event) = (message.topic.as_str(), message.event.as_str());
        if topic == Some(events::PHOENIX) && event == Some(events::HEARTBEAT) {
            return self.reply(&Ref::NULL, message, "ok", None, cx);
        }
        let Some(index) = topic.and_then(|topic| self.slots.find(topic)) else {
            return match event {
                Some(events::JOIN) => self.join(message, None, cx),
                Some(events::LEAVE) => self.reply(&message.join_ref, message, "ok", None, cx),
                _ => self.refuse(&Ref::NULL, message, "unmatched topic", cx),
            };
        };
        match self.slots.take(index) {
            Stage::Busy(busy) => {
                self.slots[index].stage = Stage::Busy(busy);
                self.keep(index, message, cx);
            }
            Stage::Idle(stay, actor) if event == Some(events::JOIN) => self.join_anew(index, stay, actor, message, cx),
            Stage::Idle(stay, actor) => {
                let is_stale = !message.join_ref.is_null() && !message.join_ref.is_same(&stay.join_ref.given());
                match event {
                    _ if is_stale => self.slots[index].stage = Stage::Idle(stay, actor),
                    Some(events::LEAVE) => self.leave(index, stay, actor, message, cx),
                    _ => self.deliver(index, stay, actor, message, cx),
                }
            }
            Stage::Vacant => {}
        }
    }

    /// A message for a topic whose callback waits: it waits, too.
    fn keep(&mut self, index: usize, message: &Message<'_>, cx: &mut transport::Context<'_>) {
        let Stage::Busy(busy) = &mut self.slots[index].stage else { return };
        let is_join = message.event.as_str() == Some(events::JOIN);
        if is_join && matches!(busy.activity, Activity::Handling(..)) {
            return self.replace(index, message, cx);
        }
        if !busy.mailbox.push_message(message, &self.client.mounted.options) {
            self.refuse(&message.join_ref, message, "busy", cx);
        }
    }

    /// Something from the application for one join. It may have ended long ago.
    fn tell(&mut self, instance: u32, info: Info, cx: &mut transport::Context<'_>) {
        let Some(index) = self.slots.find_instance(instance) else { return };
        match self.slots.take(index) {
            Stage::Idle(stay, actor) => self.inform(index, stay, actor, info, cx),
            Stage::Busy(mut busy) => {
                if !busy.mailbox.push_info(instance, info) {
                    tracing::error!(topic = %self.slots[index].topic, "a channel's mailbox is full; an info is dropped");
                }
                self.slots[index].stage = Stage::Busy(busy);
            }
            Stage::Vacant => {}
        }
    }

    /// Handles what has waited for `topic`, until a callback waits again: the rest then waits behind it.
    fn open_mailbox(&mut self, topic: &Topic, mut mailbox: Mailbox, cx: &mut transport::Context<'_>) {
        while !mailbox.is_empty() {
            if let Some(index) = self.slots.find(topic)
                && let Stage::Busy(busy) = &mut self.slots[index].stage
            {
                return busy.mailbox.prepend(mailbox);
            }
            match mailbox.pop() {
                Some(Letter::Message(message)) => self.handle(&message.to_message(topic), cx),
                Some(Letter::Info(instance, info)) => self.tell(instance, info, cx),
                None => {}
            }
        }
    }

    /// Ends every channel: the connection is gone, or as good as gone.
    fn end(&mut self, reason: &Reason, cx: &mut transport::Context<'_>) {
        let registry = cx.turn().local::<Registry>();
        let id = self.client.id.as_deref().map(Topic::from);
        if let (Some(id), Some(seat)) = (id, self.seat.take()) {
            registry.unsubscribe(&id, seat);
        }
        let grace = self.client.mounted.options.shutdown_grace;
        for slot in self.slots.drain() {
            match slot.stage {
                Stage::Idle(stay, actor) => {
                    registry.unsubscribe(&slot.topic, stay.seat);
                    detach(actor.terminate(reason.clone()), grace);
                }
                Stage::Busy(mut busy) => {
                    if let Activity::Handling(stay, _) = &busy.activity {
                        registry.unsubscribe(&slot.topic, stay.seat);
                    }
                    busy.task.cancel(reason.clone());
                }
                Stage::Vacant => {}
            }
        }
    }

    fn reply(
        &self,
        join_ref: &Ref<'_>,
        message: &Message<'_>,
        status: &str,
        payload: Option<&Payload>,
        cx: &mut transport::Context<'_>,
    ) {
        let (join_ref, message_ref) = (join_ref.clone(), message.message_ref.clone());
        self.send(&Outgoing::Reply { join_ref, message_ref, topic: &message.topic, status, payload }, cx);
    }

    /// An error reply of the multiplexer itself.
    fn refuse(&self, join_ref: &Ref<'_>, message: &Message<'_>, reason: &str, cx: &mut transport::Context<'_>) {
        let refusal = Refusal::reason(reason);
        self.reply(join_ref, message, "error", refusal.payload(), cx);
    }

    /// Answers a message of a joined channel.
    fn answer(
        &self,
        index: usize,
        join_ref: &Ref<'_>,
        message_ref: &Ref<'_>,
        reply: &Reply,
        cx: &mut transport::Context<'_>,
    ) {
        let topic = self.slots[index].topic.as_str().into();
        let (join_ref, message_ref) = (join_ref.clone(), message_ref.clone());
        let (status, payload) = (&*reply.status, reply.payload.as_ref());
        self.send(&Outgoing::Reply { join_ref, message_ref, topic: &topic, status, payload }, cx);
    }

    /// Writes a frame straight into the connection's output. Pushes go by [`ConnectionHandle`] instead; the order
    /// between the two is the transport's promise.
    fn send(&self, outgoing: &Outgoing<'_>, cx: &mut transport::Context<'_>) {
        if outgoing.is_binary() {
            tracing::error!("a reply of bytes cannot be sent: binary frames are not supported yet");
            return;
        }
        let serializer = self.client.version.serializer();
        // A full output or a closed connection ends the channels by way of `handle_close`.
        let _ = cx.send_text_with(|output| {
            if let Err(error) = serializer.encode(outgoing, output) {
                tracing::error!(%error, "a message cannot be encoded");
            }
        });
    }
}
