//! PubSub: who is in a topic, and how a broadcast reaches them.
//!
//! A topic's members are partitioned by worker, each worker's [`Registry`] is its own. A broadcast runs once in every
//! worker: at once in the turn it is sent from, through the inbox in the others. Order per sender and topic holds
//! everywhere, because it holds in each of these queues.

mod fastlane;
mod registry;

use std::sync::OnceLock;

use fastlane::Broadcast;
pub(crate) use registry::{Member, MemberId, Registry, SOCKET, Seat};
use tokio::sync::mpsc;
use wingbeat_phoenix::{Payload, Topic};
use wingbeat_transport::Workers;

/// The broadcasts of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct PubSub {
    /// Set when the endpoint starts; before that nobody can be in a topic.
    workers: OnceLock<Workers>,
}

/// How many are in a topic, over all workers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicCount {
    /// The topic; a socket's id counts as one.
    pub topic: Topic,
    /// How many joined channels, or sockets of this id.
    pub members: usize,
}

impl PubSub {
    /// From now on there are workers to deliver. The first connection may say so before the endpoint does.
    pub(crate) fn start(&self, workers: &Workers) {
        self.workers.get_or_init(|| workers.clone());
    }

    /// Sends `event` to everybody in `topic` but `except`. The payload must be an object or bytes.
    pub(crate) fn broadcast(&self, topic: &Topic, event: &str, payload: Payload, except: Option<MemberId>) {
        let Some(workers) = self.workers.get() else { return };
        let broadcast = Broadcast::new(topic.clone(), event, payload, except);
        if let Err(error) = workers.run_everywhere(move |turn| broadcast.deliver(turn)) {
            tracing::warn!(%topic, event, %error, "a broadcast does not reach every worker");
        }
    }

    /// Every topic that has members now.
    pub(crate) async fn topics(&self) -> Vec<TopicCount> {
        let Some(workers) = self.workers.get() else { return Vec::new() };
        let (sender, mut counts) = mpsc::unbounded_channel();
        // A worker that is gone drops its sender, so the channel ends either way.
        let _ = workers.run_everywhere(move |turn| {
            let _ = sender.send(turn.local::<Registry>().counts());
        });
        let mut topics = std::collections::BTreeMap::new();
        while let Some(counts) = counts.recv().await {
            for (topic, members) in counts {
                *topics.entry(topic).or_default() += members;
            }
        }
        topics.into_iter().map(|(topic, members)| TopicCount { topic, members }).collect()
    }
}
