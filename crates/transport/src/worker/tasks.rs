//! Tasks that belong to connections: a worker does not end before them, within its deadline.

use crate::worker::inbox::{Command, Inbox};
use crate::worker::turn::Turn;

/// Counts a task among its worker's while it lives.
pub(crate) struct TaskSeat(Inbox);

impl TaskSeat {
    pub(crate) fn take(turn: &mut Turn) -> Self {
        turn.tasks += 1;
        Self(turn.workers.inbox(turn.id).clone())
    }
}

impl Drop for TaskSeat {
    fn drop(&mut self) {
        let _ = self.0.post_always(Command::TaskEnded);
    }
}
