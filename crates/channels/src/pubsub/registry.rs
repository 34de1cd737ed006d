//! A worker's own members by topic. Only the worker's thread sees it, so there is no lock.

use std::cell::RefCell;
use std::collections::HashMap;

use slab::Slab;
use wingbeat_phoenix::{Topic, Version};
use wingbeat_transport::ConnectionId;

/// The instance number of the socket itself, which is a member of its own id's topic.
pub(crate) const SOCKET: u32 = 0;

/// One join, or one socket (instance [`SOCKET`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberId {
    pub(crate) connection: ConnectionId,
    pub(crate) instance: u32,
}

/// Somebody to deliver to, and how they are spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) version: Version,
}

/// Where a member sits within its topic, so that it can leave without being looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat(u32);

/// Topics with one member are the many; they need no slab.
#[derive(Debug)]
pub(crate) enum Members {
    One(Member),
    Many(Box<Slab<Member>>),
}

/// Who is where, in one worker.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    topics: RefCell<HashMap<Topic, Members>>,
}

impl Registry {
    pub(crate) fn subscribe(&self, topic: &Topic, member: Member) -> Seat {
        let mut topics = self.topics.borrow_mut();
        let Some(members) = topics.get_mut(topic) else {
            topics.insert(topic.clone(), Members::One(member));
            return Seat(0);
        };
        if let Members::One(first) = members {
            let mut many = Slab::with_capacity(4);
            // The first keeps its seat: a slab begins at 0.
            many.insert(*first);
            *members = Members::Many(Box::new(many));
        }
        match members {
            Members::Many(many) => Seat(many.insert(member) as u32),
            Members::One(_) => unreachable!("made many above"),
        }
    }

    pub(crate) fn unsubscribe(&self, topic: &Topic, seat: Seat) {
        let mut topics = self.topics.borrow_mut();
        let is_empty = match topics.get_mut(topic) {
            None => return,
            Some(Members::One(_)) => true,
            Some(Members::Many(many)) => {
                many.try_remove(seat.0 as usize);
                many.is_empty()
            }
        };
        if is_empty {
            topics.remove(topic);
            // A storm that has passed should not be paid for for ever.
            if topics.capacity() > 4 * topics.len() + 64 {
                topics.shrink_to_fit();
            }
        }
    }

    /// Calls `visit` with the members of `topic`, none of whom may come or go meanwhile; `None` if there are none.
    pub(crate) fn visit<R>(&self, topic: &Topic, visit: impl FnOnce(&Members) -> R) -> Option<R> {
        self.topics.borrow().get(topic).map(visit)
    }

    pub(crate) fn counts(&self) -> Vec<(Topic, usize)> {
        self.topics.borrow().iter().map(|(topic, members)| (topic.clone(), members.iter().count())).collect()
    }
}

impl Members {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        let (one, many) = match self {
            Self::One(member) => (Some(member), None),
            Self::Many(many) => (None, Some(many.iter().map(|(_, member)| member))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
