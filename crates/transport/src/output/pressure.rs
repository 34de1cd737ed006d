//! What happens to a connection whose peer does not read: congestion, the limits of its output, and what is dropped.

use bytes::Bytes;
use wingbeat_websocket::CloseCode;

use crate::connection::Phase;
use crate::error::SendError;
use crate::handler::{Cause, Handler};
use crate::output::Order;
use crate::worker::inbox::{Command, ConnectionId};
use crate::worker::pulse::Deed;
use crate::worker::turn::Turn;

/// What happens to a message for a peer that does not read and whose output is full, see
/// [`SocketOptions::max_output_bytes`](crate::SocketOptions::max_output_bytes).
///
/// Only whole messages of which nothing is written yet are ever dropped, and only those that were sent to the connection
/// from outside: by [`Turn::send_to`], [`Turn::send_many`] and
/// [`ConnectionHandle::send`](crate::ConnectionHandle::send). What the handler itself says with its
/// [`Context`](crate::Context) and what is said with [`ConnectionHandle::reply`](crate::ConnectionHandle::reply) is an
/// answer and is never dropped, nor are Pong and Close. Where dropping does not make enough room the connection is closed
/// with 1013.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// Closes the connection with 1013: whoever comes back starts afresh, and nobody misses anything unawares.
    #[default]
    Close,
    /// Drops the message that is to be sent: what waits already is told first.
    DropNewest,
    /// Drops the messages that have waited longest: what is told at last is the newest.
    DropOldest,
}

impl WhenFull {
    fn order(self) -> Option<Order> {
        match self {
            Self::Close => None,
            Self::DropNewest => Some(Order::NewestFirst),
            Self::DropOldest => Some(Order::OldestFirst),
        }
    }
}

/// The public face.
impl Turn {
    /// Whether a connection of this worker is congested, see
    /// [`Context::is_congested`](crate::Context::is_congested); not if it is gone.
    pub fn is_congested(&mut self, id: ConnectionId) -> bool {
        self.key_of(id).is_some_and(|key| self.is_key_congested(key))
    }

    /// How many messages this worker has dropped, of all its connections that ever were, see [`WhenFull`].
    #[must_use]
    pub fn dropped_messages(&self) -> u64 {
        self.dropped
    }
}

impl Turn {
    /// Whether `bytes` more may be sent to `key`, an answer; if its output is full, it is closed.
    #[inline]
    pub(crate) fn admit(&mut self, key: usize, bytes: usize) -> Result<(), SendError> {
        if self.has_room_for(key, bytes)? { Ok(()) } else { self.make_room(key, bytes) }
    }

    /// Whether `bytes` more may be sent without a second thought. Where the socket takes nothing there is one.
    #[inline]
    pub(crate) fn has_room_for(&self, key: usize, bytes: usize) -> Result<bool, SendError> {
        let connection = &self.connections[key];
        if connection.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        Ok(!(connection.blocked | connection.is_streaming)
            && connection.output.len() + bytes <= connection.options.max_output_bytes)
    }

    /// One message is always admitted, however large, once nothing waits before it.
    pub(crate) fn fits(&self, key: usize, bytes: usize) -> bool {
        let connection = &self.connections[key];
        let (output, options) = (&connection.output, &connection.options);
        output.held() + bytes <= options.max_output_bytes && output.messages() < options.max_output_messages
            || output.is_empty()
    }

    /// Whether `bytes` fit, if need be after a write.
    fn fits_at_last(&mut self, key: usize, bytes: usize) -> Result<bool, SendError> {
        if self.connections[key].blocked && self.fits(key, bytes) {
            return Ok(true);
        }
        self.write(key);
        if self.connections[key].phase != Phase::Open {
            return Err(SendError::Closed);
        }
        Ok(self.fits(key, bytes))
    }

    /// Makes room for an answer, or closes.
    #[cold]
    fn make_room(&mut self, key: usize, bytes: usize) -> Result<(), SendError> {
        if self.connections[key].is_streaming {
            return Err(SendError::MessageNotFinished);
        }
        if self.fits_at_last(key, bytes)? || self.evict(key, bytes) {
            return Ok(());
        }
        self.note_drop(key, 1);
        self.close_connection(key, Cause::SlowConsumer, CloseCode::TRY_AGAIN_LATER, "too slow");
        Err(SendError::Full)
    }

    /// Makes room for a frame, or takes it to where it may be dropped from; whether it did.
    #[cold]
    pub(crate) fn make_way(&mut self, key: usize, frame: &Bytes, is_droppable: bool) -> Result<bool, SendError> {
        if self.connections[key].is_streaming {
            return self.hold_back(key, frame, is_droppable).map(|()| true);
        }
        let policy = self.connections[key].options.when_full;
        if policy == WhenFull::Close || !is_droppable {
            return self.make_room(key, frame.len()).map(|()| false);
        }
        let fits = self.fits_at_last(key, frame.len())?;
        if !(fits || policy == WhenFull::DropOldest && self.evict(key, frame.len())) {
            self.count_dropped(key, 1);
            return Err(SendError::Dropped);
        }
        let connection = &mut self.connections[key];
        if !connection.blocked {
            return Ok(false);
        }
        // It is written when the socket takes something; nothing of it lies in the cork.
        connection.output.push_shared(frame.clone(), true);
        self.note_congestion(key);
        Ok(true)
    }

    /// Drops what it takes to have room for `bytes`; whether there is room.
    fn evict(&mut self, key: usize, bytes: usize) -> bool {
        let connection = &mut self.connections[key];
        let options = &connection.options;
        let Some(order) = options.when_full.order() else { return false };
        let too_many_bytes = (connection.output.held() + bytes).saturating_sub(options.max_output_bytes);
        let too_many = (connection.output.messages() + 1).saturating_sub(options.max_output_messages);
        let Some(dropped) = connection.output.evict(order, too_many_bytes, too_many) else { return false };
        self.count_dropped(key, dropped);
        true
    }

    pub(crate) fn count_dropped(&mut self, key: usize, count: u64) {
        self.note_drop(key, count);
        self.connections[key].extra_mut().dropped += count;
        self.dropped += count;
    }

    /// Tries to write before it says yes: much that has not been written yet is no congestion.
    pub(crate) fn is_key_congested(&mut self, key: usize) -> bool {
        let connection = &self.connections[key];
        if !connection.congested && connection.output.len() > connection.options.congested_bytes {
            self.write(key);
            self.note_congestion(key);
        }
        self.connections[key].congested
    }

    /// The socket takes nothing, and something was left.
    pub(crate) fn note_congestion(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if connection.blocked && connection.output.len() > connection.options.congested_bytes {
            connection.congested = true;
        }
    }

    /// After a write of a congested connection: once enough has left, its handler is told.
    #[cold]
    pub(crate) fn note_drain(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if connection.phase == Phase::Open && connection.output.len() <= connection.options.congested_bytes / 2 {
            connection.congested = false;
            let to = self.id_of(key);
            self.call_later(Command::Drained { to });
        }
    }

    pub(crate) fn deliver_drained(&mut self, to: ConnectionId) {
        if let Some(key) = self.key_of(to)
            && self.connections[key].phase == Phase::Open
        {
            self.pulse.note(Deed::Drained, key);
            self.call_only(key, Handler::handle_drained);
        }
    }
}
