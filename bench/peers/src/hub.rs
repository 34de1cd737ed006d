//! Who is on `/sub`: a channel to the task of each.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use slab::Slab;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// All subscribers, of all threads. A message is shared, not copied, on its way to them.
#[derive(Default)]
pub(crate) struct Hub(Mutex<Slab<UnboundedSender<Bytes>>>);

impl Hub {
    pub(crate) fn subscribe(&self) -> UnboundedReceiver<Bytes> {
        let (sender, receiver) = unbounded_channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(sender);
        receiver
    }

    /// Those whose task has ended are forgotten here: it ends when its socket takes no more.
    pub(crate) fn publish(&self, message: &Bytes) {
        let mut subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|_, subscriber| subscriber.send(message.clone()).is_ok());
    }
}
