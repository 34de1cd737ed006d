//! How what was sent leaves: the cork, the flush list, and one write per connection.

use crate::connection::Phase;
use crate::output::Written;
use crate::worker::turn::Turn;

/// The cork is written out when it has grown beyond this, even in the middle of a turn.
const MAX_CORK_BYTES: usize = 1 << 20;

impl Turn {
    #[inline]
    pub(crate) fn touch(&mut self, key: usize) {
        debug_assert!(self.answers.are_settled(), "the cork holds answers that no output knows of");
        let connection = &mut self.connections[key];
        if !connection.touched {
            connection.touched = true;
            self.touched.push_back(key as u32);
        }
    }

    /// Never called while a range of the cork is on its way to an output.
    #[inline]
    pub(crate) fn relieve_cork(&mut self) {
        if self.cork.len() > MAX_CORK_BYTES {
            self.flush(usize::MAX);
        }
    }

    /// Writes what `key` has to say, unless its socket is known to take nothing.
    pub(crate) fn write(&mut self, key: usize) {
        if self.watch.is_some() { self.write_watched(key) } else { self.write_now(key) }
    }

    #[inline]
    pub(crate) fn write_now(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.blocked {
            connection.output.hold(&self.cork);
            self.note_congestion(key);
            return;
        }
        if !connection.output.is_empty() || connection.stream.owes() {
            let (bytes, messages) = (connection.output.len(), connection.output.messages());
            match connection.output.write(&mut connection.stream, &self.cork) {
                Ok(Written::All) => self.figures.count_written(bytes, messages),
                Ok(Written::Blocked) => {
                    connection.blocked = true;
                    self.note_stall(key, bytes, messages);
                    self.note_congestion(key);
                }
                Err(error) => {
                    connection.blame(&error);
                    self.mark_lost(key);
                }
            }
        }
        self.after_write(key);
    }

    #[inline]
    pub(crate) fn after_write(&mut self, key: usize) {
        let connection = &self.connections[key];
        let is_plain = connection.phase == Phase::Open && connection.waiting.is_empty() && !connection.congested;
        if !is_plain {
            self.after_rare_write(key);
        }
    }

    #[inline(never)]
    fn after_rare_write(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if !connection.waiting.is_empty() && connection.has_room() {
            connection.settle_waiting(Ok(()));
        }
        if connection.congested {
            self.note_drain(key);
        }
        let connection = &mut self.connections[key];
        let is_written = connection.output.is_empty() && !connection.blocked;
        if connection.phase == Phase::Lingering && is_written && !connection.is_shut {
            connection.is_shut = connection.stream.shutdown_write();
            connection.blocked = !connection.is_shut;
            if connection.is_shut && connection.hung_up && !connection.readable {
                self.mark_lost(key);
            }
        }
    }

    #[cold]
    pub(crate) fn mark_lost(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        connection.output = crate::output::Output::default();
        // Before anybody takes the empty output for room.
        connection.settle_waiting(Err(crate::SendError::Closed));
        if !connection.lost {
            connection.lost = true;
            // The present callback, which may be sending in a loop, is told by `SendError::Closed`.
            if connection.phase == Phase::Open {
                connection.phase = Phase::Closing;
            }
            self.lost.push(key as u32);
        }
    }

    /// Writes at most `most` of the touched connections; the cork is free again once none is left.
    pub(crate) fn flush(&mut self, most: usize) {
        debug_assert!(self.answers.are_settled(), "the cork holds answers that no output knows of");
        for _ in 0..most.min(self.touched.len()) {
            let Some(index) = self.touched.pop_front() else { break };
            let key = index as usize;
            if self.connections.get(key).is_some_and(|connection| connection.touched) {
                self.connections[key].touched = false;
                self.write(key);
            }
        }
        if self.touched.is_empty() {
            self.cork.clear();
            self.cork.shrink_to(2 * MAX_CORK_BYTES);
        }
    }
}
