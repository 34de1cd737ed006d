//! Joining, joining anew, leaving.

use std::sync::Arc;
use std::task::Poll;

use wingbeat_phoenix::{Message, Name, Outgoing, Payload, Ref, Topic};
use wingbeat_transport as transport;

use super::Desk;
use super::mailbox::Mailbox;
use super::slots::{Activity, Busy, JoinRef, Joining, Stage, Stay};
use crate::callback::poll_once;
use crate::channel::Reason;
use crate::channel::actor::{Activation, Actor, Done, JoinRequest, Patience, Task};
use crate::pubsub::{Member, MemberId, Registry};
use crate::refusal::Refusal;
use crate::socket::Socket;

/// Longest topic, and longest join_ref, of a join. Binary frames cannot carry more than 255 of either.
const MAX_NAME_BYTES: usize = 1024;

impl<S: Socket> Desk<S> {
    /// A join of a topic that is free. `replaces` is the join that had to go for it.
    pub(super) fn join(&mut self, message: &Message<'_>, replaces: Option<JoinRef>, cx: &mut transport::Context<'_>) {
        let found =
            message.topic.as_str().and_then(|topic| Some((topic, self.client.mounted.routes.find(topic)?.join)));
        let Some((topic, join)) = found else {
            tracing::warn!(topic = message.topic.as_json(), "a client joins a topic that no channel serves");
            return self.refuse(&Ref::NULL, message, "unmatched topic", cx);
        };
        // Both are kept for as long as the channel lives.
        if topic.len() > MAX_NAME_BYTES || message.join_ref.as_json().len() > MAX_NAME_BYTES {
            return self.refuse(&message.join_ref, message, "topic or join_ref too long", cx);
        }
        if self.slots.len() + self.ending() >= self.client.mounted.options.max_channels {
            return self.refuse(&message.join_ref, message, "too many channels joined", cx);
        }
        let instance = self.new_instance();
        let join_ref = JoinRef::new(&message.join_ref, &message.message_ref);
        let topic = Topic::from(topic);
        let mut activation = join(JoinRequest {
            client: self.client.clone(),
            topic: topic.clone(),
            join_ref: join_ref.stamp().clone(),
            instance,
            payload: message.payload.to_payload(),
        });
        let joining = Joining { join_ref, message_ref: message.message_ref.to_buf(), replaces, instance };
        match poll_once(&mut activation) {
            Poll::Ready(done) => self.settle_join(topic, joining, done, cx),
            Poll::Pending => {
                let limit = Some(self.client.mounted.options.join_timeout);
                let busy = self.busy(instance, Activity::Joining(joining), activation, limit);
                self.slots.push(topic, Stage::Busy(busy));
            }
        }
    }

    fn new_instance(&mut self) -> u32 {
        self.instances = self.instances.checked_add(1).unwrap_or(1);
        self.instances
    }

    /// A callback that waits goes on as a task.
    pub(super) fn busy(
        &self,
        instance: u32,
        activity: Activity,
        activation: Activation,
        limit: Option<std::time::Duration>,
    ) -> Box<Busy> {
        let patience = Patience { limit, grace: self.client.mounted.options.shutdown_grace };
        let task = Task::spawn(activation, instance, self.client.connection.clone(), patience);
        Box::new(Busy { instance, activity, task, mailbox: Mailbox::default() })
    }

    /// `join` has ended: the reply first, then membership, so that nothing overtakes the one and nothing is lost for the
    /// other; then the end of the join that was replaced (spec 1.9, 1 and 2).
    pub(super) fn settle_join(&mut self, topic: Topic, joining: Joining, done: Done, cx: &mut transport::Context<'_>) {
        let Joining { join_ref, message_ref, replaces, instance } = joining;
        let (status, payload, actor) = match done {
            Done::Joined(actor, reply) => ("ok", reply, Some(actor)),
            Done::Refused(refusal) => ("error", refusal.payload().cloned(), None),
            Done::JoinTimedOut => ("error", Refusal::reason("join timeout").payload().cloned(), None),
            // The channel itself has nothing to say any more.
            _ => ("error", Refusal::reason("join crashed").payload().cloned(), None),
        };
        self.reply_join(&topic, &join_ref, &message_ref.as_ref(), status, payload.as_ref(), cx);
        if let Some(actor) = actor {
            let id = MemberId { connection: self.client.connection.id(), instance };
            let member = Member { id, version: self.client.version };
            let seat = cx.turn().local::<Registry>().subscribe(&topic, member);
            self.slots.push(topic.clone(), Stage::Idle(Stay { join_ref, instance, seat }, actor));
        }
        if let Some(old) = replaces {
            self.send(&Outgoing::Close { join_ref: old.given(), topic: &topic }, cx);
        }
    }

    fn reply_join(
        &self,
        topic: &Topic,
        join_ref: &JoinRef,
        message_ref: &Ref<'_>,
        status: &str,
        payload: Option<&Payload>,
        cx: &mut transport::Context<'_>,
    ) {
        let topic = Name::from(topic.as_str());
        let (join_ref, message_ref) = (join_ref.given(), message_ref.clone());
        self.send(&Outgoing::Reply { join_ref, message_ref, topic: &topic, status, payload }, cx);
    }

    /// A second join of the same topic while the channel rests: the old one terminates first.
    pub(super) fn join_anew(
        &mut self,
        index: usize,
        stay: Stay,
        actor: Box<dyn Actor>,
        message: &Message<'_>,
        cx: &mut transport::Context<'_>,
    ) {
        self.unsubscribe(index, &stay, cx);
        let mut terminating = actor.terminate(Reason::Duplicate);
        if poll_once(&mut terminating).is_ready() {
            self.slots.remove(index);
            return self.join(message, Some(stay.join_ref), cx);
        }
        let activity = Activity::Replacing { old: stay.join_ref, join: message.to_buf() };
        let limit = Some(self.client.mounted.options.shutdown_grace);
        self.slots[index].stage = Stage::Busy(self.busy(stay.instance, activity, terminating, limit));
    }

    /// A second join while a callback of the channel waits: the callback gets its grace, what has waited behind it is
    /// dropped with the channel it was for.
    pub(super) fn replace(&mut self, index: usize, message: &Message<'_>, cx: &mut transport::Context<'_>) {
        let Stage::Busy(mut busy) = self.slots.take(index) else { return };
        if let Activity::Handling(stay, _) = busy.activity {
            self.unsubscribe(index, &stay, cx);
            busy.mailbox = Mailbox::default();
            busy.task.cancel(Reason::Duplicate);
            busy.activity = Activity::Replacing { old: stay.join_ref, join: message.to_buf() };
        }
        self.slots[index].stage = Stage::Busy(busy);
    }

    /// The client leaves: reply, close, and then what `terminate` still pushes (spec 1.9, 3).
    pub(super) fn leave(
        &mut self,
        index: usize,
        stay: Stay,
        actor: Box<dyn Actor>,
        message: &Message<'_>,
        cx: &mut transport::Context<'_>,
    ) {
        self.reply(&stay.join_ref.stamp().as_ref(), message, "ok", None, cx);
        self.close(index, &stay, actor, Reason::Left, cx);
    }

    /// Ends a channel on purpose.
    pub(super) fn close(
        &mut self,
        index: usize,
        stay: &Stay,
        actor: Box<dyn Actor>,
        reason: Reason,
        cx: &mut transport::Context<'_>,
    ) {
        self.unsubscribe(index, stay, cx);
        let slot = self.slots.remove(index);
        self.send(&Outgoing::Close { join_ref: stay.join_ref.given(), topic: &slot.topic }, cx);
        let mut terminating = actor.terminate(reason);
        if poll_once(&mut terminating).is_pending() {
            let token = self.ending.get_or_insert_default().clone();
            let grace = self.client.mounted.options.shutdown_grace;
            tokio::spawn(async move {
                let _ = tokio::time::timeout(grace, terminating).await;
                drop(token);
            });
        }
    }

    /// Channels that have left their topics and still terminate. They count as channels: joining and leaving in a loop
    /// must not pile them up.
    fn ending(&self) -> usize {
        self.ending.as_ref().map_or(0, |token| Arc::strong_count(token) - 1)
    }

    pub(super) fn unsubscribe(&self, index: usize, stay: &Stay, cx: &mut transport::Context<'_>) {
        cx.turn().local::<Registry>().unsubscribe(&self.slots[index].topic, stay.seat);
    }
}
