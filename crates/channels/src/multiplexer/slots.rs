//! The topics of one client: few as a rule, so a small vector that grows by need and is gone when empty.

use std::ops::{Index, IndexMut};

use wingbeat_phoenix::{MessageBuf, Ref, RefBuf, Topic};

use super::mailbox::Mailbox;
use crate::channel::actor::{Actor, Task};
use crate::pubsub::Seat;

/// Everything about one topic of one client.
pub(super) struct Slot {
    pub(super) topic: Topic,
    pub(super) stage: Stage,
}

/// What is going on in a topic.
pub(super) enum Stage {
    /// Nothing: the channel rests here.
    Idle(Stay, Box<dyn Actor>),
    /// A callback waits in a task.
    Busy(Box<Busy>),
    /// A callback runs in this very turn, or the slot is about to go.
    Vacant,
}

/// A channel that has joined.
pub(super) struct Stay {
    pub(super) join_ref: JoinRef,
    pub(super) instance: u32,
    pub(super) seat: Seat,
}

/// The ref of a join. Phoenix stamps what a channel sends with the join's ref where the client gave no `join_ref`, yet
/// compares and closes with what was given (the transcript `join_ref_forms`).
#[derive(Clone)]
pub(super) struct JoinRef {
    stamp: RefBuf,
    was_given: bool,
}

impl JoinRef {
    pub(super) fn new(join_ref: &Ref<'_>, message_ref: &Ref<'_>) -> Self {
        let was_given = !join_ref.is_null();
        Self { stamp: if was_given { join_ref } else { message_ref }.to_buf(), was_given }
    }

    /// What the channel's messages carry.
    pub(super) fn stamp(&self) -> &RefBuf {
        &self.stamp
    }

    /// What the client sent.
    pub(super) fn given(&self) -> Ref<'_> {
        if self.was_given { self.stamp.as_ref() } else { Ref::NULL }
    }
}

/// A topic whose callback waits, and what has come meanwhile.
pub(super) struct Busy {
    pub(super) instance: u32,
    pub(super) activity: Activity,
    pub(super) task: Task,
    pub(super) mailbox: Mailbox,
}

/// What the task does, and what to do once it is done.
pub(super) enum Activity {
    /// `join`. Afterwards the join it replaces is closed, if any.
    Joining(Joining),
    /// `handle_in` of the message named, or `handle_info`.
    Handling(Stay, Option<RefBuf>),
    /// `terminate` of a channel that crashed. Afterwards `phx_error`.
    Ending(JoinRef),
    /// Whatever the old channel did, then its `terminate`. Afterwards the join that replaces it.
    Replacing { old: JoinRef, join: MessageBuf },
}

/// A join on its way.
pub(super) struct Joining {
    pub(super) join_ref: JoinRef,
    pub(super) message_ref: RefBuf,
    pub(super) replaces: Option<JoinRef>,
    pub(super) instance: u32,
}

/// The topics of one client.
#[derive(Default)]
pub(super) struct Slots(Vec<Slot>);

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, topic: &str) -> Option<usize> {
        self.0.iter().position(|slot| *slot.topic == *topic)
    }

    /// The slot of a join that is idle or busy.
    pub(super) fn find_instance(&self, instance: u32) -> Option<usize> {
        self.0.iter().position(|slot| match &slot.stage {
            Stage::Idle(stay, _) => stay.instance == instance,
            Stage::Busy(busy) => busy.instance == instance,
            Stage::Vacant => false,
        })
    }

    /// Adds a topic. One channel is what most clients have: room for one, then twice as much each time.
    pub(super) fn push(&mut self, topic: Topic, stage: Stage) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(self.0.len().max(1));
        }
        self.0.push(Slot { topic, stage });
    }

    pub(super) fn remove(&mut self, index: usize) -> Slot {
        let slot = self.0.swap_remove(index);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        slot
    }

    /// Takes the stage out, leaving the slot vacant.
    pub(super) fn take(&mut self, index: usize) -> Stage {
        std::mem::replace(&mut self.0[index].stage, Stage::Vacant)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Slot> {
        std::mem::take(&mut self.0).into_iter()
    }
}

impl Index<usize> for Slots {
    type Output = Slot;

    fn index(&self, index: usize) -> &Slot {
        &self.0[index]
    }
}

impl IndexMut<usize> for Slots {
    fn index_mut(&mut self, index: usize) -> &mut Slot {
        &mut self.0[index]
    }
}

/// What a joined channel costs here. Together with its context, the client and the transport it must stay below 1 KiB.
const _: () = assert!(size_of::<Slot>() <= 80);
