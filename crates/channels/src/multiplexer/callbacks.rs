//! Callbacks of joined channels: begun, polled once, and what follows from how they end.

use std::task::Poll;

use wingbeat_phoenix::{Message, Outgoing, Ref};
use wingbeat_transport as transport;

use super::Desk;
use super::slots::{Activity, Busy, JoinRef, Stage, Stay};
use crate::callback::poll_once;
use crate::channel::actor::{Activation, Actor, Done, Finished};
use crate::channel::{Info, Outcome, Reason};
use crate::socket::Socket;

impl<S: Socket> Desk<S> {
    /// An event for a joined channel.
    pub(super) fn deliver(
        &mut self,
        index: usize,
        stay: Stay,
        actor: Box<dyn Actor>,
        message: &Message<'_>,
        cx: &mut transport::Context<'_>,
    ) {
        match actor.handle_in(&message.event, message.payload, message.message_ref.to_buf()) {
            Ok(activation) => self.run(index, stay, activation, Some(&message.message_ref), cx),
            Err(actor) => self.crash(index, stay, actor, Reason::Crashed, cx),
        }
    }

    /// Something from the application for a joined channel.
    pub(super) fn inform(
        &mut self,
        index: usize,
        stay: Stay,
        actor: Box<dyn Actor>,
        info: Info,
        cx: &mut transport::Context<'_>,
    ) {
        self.run(index, stay, actor.handle_info(info), None, cx);
    }

    fn run(
        &mut self,
        index: usize,
        stay: Stay,
        mut activation: Activation,
        message_ref: Option<&Ref<'_>>,
        cx: &mut transport::Context<'_>,
    ) {
        match poll_once(&mut activation) {
            Poll::Ready(done) => self.settle(index, stay, done, message_ref, cx),
            Poll::Pending => {
                let instance = stay.instance;
                let activity = Activity::Handling(stay, message_ref.map(Ref::to_buf));
                self.slots[index].stage = Stage::Busy(self.busy(instance, activity, activation, None));
            }
        }
    }

    /// A callback has ended.
    fn settle(
        &mut self,
        index: usize,
        stay: Stay,
        done: Done,
        message_ref: Option<&Ref<'_>>,
        cx: &mut transport::Context<'_>,
    ) {
        let (actor, outcome) = match done {
            Done::Handled(actor, outcome) => (actor, outcome),
            Done::Crashed(actor) => return self.crash(index, stay, actor, Reason::Crashed, cx),
            _ => {
                self.unsubscribe(index, &stay, cx);
                return self.fail(index, &stay.join_ref, cx);
            }
        };
        let (stop, reply) = match outcome {
            Outcome::NoReply => (None, None),
            Outcome::Reply(reply) => (None, Some(reply)),
            Outcome::Stop(reason, reply) => (Some(reason), reply),
        };
        if let (Some(reply), Some(message_ref)) = (&reply, message_ref) {
            self.answer(index, &stay.join_ref.stamp().as_ref(), message_ref, reply, cx);
        }
        match stop {
            None => self.slots[index].stage = Stage::Idle(stay, actor),
            Some(reason) if reason.is_graceful() => self.close(index, &stay, actor, reason, cx),
            Some(reason) => self.crash(index, stay, actor, reason, cx),
        }
    }

    /// The channel ends in disorder: `terminate` first, then `phx_error` (spec 1.9, 5).
    fn crash(
        &mut self,
        index: usize,
        stay: Stay,
        actor: Box<dyn Actor>,
        reason: Reason,
        cx: &mut transport::Context<'_>,
    ) {
        self.unsubscribe(index, &stay, cx);
        let mut terminating = actor.terminate(reason);
        if poll_once(&mut terminating).is_ready() {
            return self.fail(index, &stay.join_ref, cx);
        }
        let limit = Some(self.client.mounted.options.shutdown_grace);
        let busy = self.busy(stay.instance, Activity::Ending(stay.join_ref), terminating, limit);
        self.slots[index].stage = Stage::Busy(busy);
    }

    /// The client is told, the topic is free.
    fn fail(&mut self, index: usize, join_ref: &JoinRef, cx: &mut transport::Context<'_>) {
        let slot = self.slots.remove(index);
        self.send(&Outgoing::Error { join_ref: join_ref.given(), topic: &slot.topic }, cx);
    }

    /// A task has ended; what waited for it goes on.
    pub(super) fn handle_finished(&mut self, finished: Finished, cx: &mut transport::Context<'_>) {
        let Some(index) = self.slots.find_instance(finished.instance) else { return };
        let Stage::Busy(busy) = self.slots.take(index) else { return };
        let (instance, done) = finished.take();
        let topic = self.slots[index].topic.clone();
        let Busy { activity, mailbox, .. } = *busy;
        match activity {
            Activity::Joining(joining) => {
                self.slots.remove(index);
                self.settle_join(topic.clone(), joining, done, cx);
            }
            Activity::Handling(stay, message_ref) => {
                let message_ref = message_ref.as_ref().map(|message_ref| message_ref.as_ref());
                self.settle(index, stay, done, message_ref.as_ref(), cx);
            }
            Activity::Ending(join_ref) => self.fail(index, &join_ref, cx),
            Activity::Replacing { old, join } => match done.into_actor() {
                // The callback was done before it heard that it has to end.
                Some(actor) => {
                    let activity = Activity::Replacing { old, join };
                    let limit = Some(self.client.mounted.options.shutdown_grace);
                    let busy = self.busy(instance, activity, actor.terminate(Reason::Duplicate), limit);
                    self.slots[index].stage = Stage::Busy(busy);
                }
                None => {
                    self.slots.remove(index);
                    self.join(&join.to_message(&topic), Some(old), cx);
                }
            },
        }
        self.open_mailbox(&topic, mailbox, cx);
    }
}
