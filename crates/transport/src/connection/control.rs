//! Control frames that the application sends, and what it may change while a connection lives.

use std::ops::Range;
use std::time::Duration;

use wingbeat_websocket::deflate::{Compression, DeflateParams};
use wingbeat_websocket::{Limits, Opcode, encode_server_frame};

use crate::connection::{Connection, Phase};
use crate::context::Context;
use crate::error::SendError;
use crate::worker::inbox::ConnectionId;
use crate::worker::turn::Turn;
use crate::worker::wheel::NEVER;

/// Most bytes a control frame carries (RFC 6455 §5.5).
pub(crate) const MAX_CONTROL_BYTES: usize = 125;

impl Context<'_> {
    /// Sends a Ping; the Pong comes to [`Handler::handle_pong`](crate::Handler::handle_pong).
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] if `payload` is longer than 125 bytes, else as [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.prepare();
        self.turn.send_control(self.key, Opcode::Ping, payload)
    }

    /// Sends a Pong that nobody asked for, as a heartbeat of one direction (RFC 6455 §5.5.3). Pings are answered without
    /// it.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.prepare();
        self.turn.send_control(self.key, Opcode::Pong, payload)
    }

    /// The subprotocol agreed on in the handshake, if there is one.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.turn.connections[self.key].extra.as_ref()?.subprotocol.as_deref()
    }

    /// What was agreed on about permessage-deflate: windows and takeover of both sides. `None`: nothing is compressed.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.turn.connections[self.key].protocol.deflate()
    }

    /// Whether a loop wants to see Pings and Pongs.
    pub(crate) fn has_control_frames(&self) -> bool {
        self.turn.connections[self.key].options.has_control_frames
    }

    /// Says whether the messages that follow are compressed, where it was agreed on; at first it is
    /// [`Compression::Auto`]. [`send_with`](Self::send_with) says it for one message. Shared messages know only
    /// `Never` from the others.
    pub fn set_compression(&mut self, compression: Compression) {
        self.prepare();
        self.turn.connections[self.key].compression = compression;
    }

    /// Changes how long the peer may be silent, `None` for ever; it is counted from now. With
    /// [`SocketOptions::keep_alive`](crate::SocketOptions::keep_alive) it changes nothing: Pings tell silence from death.
    pub fn set_idle_timeout(&mut self, idle_timeout: Option<Duration>) {
        if self.turn.connections[self.key].keep_alive().is_none() {
            self.turn.set_idle_timeout(self.key, idle_timeout);
        }
    }

    /// Changes the limits of what comes in, from the next frame on. A message under way that is larger already is
    /// refused then.
    pub fn set_limits(&mut self, limits: Limits) {
        self.turn.connections[self.key].protocol.set_limits(limits);
    }
}

impl Turn {
    /// Sends a Ping to a connection of this worker.
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] if `payload` is longer than 125 bytes, [`SendError::Closed`] if the connection is
    /// closed or gone.
    pub fn ping(&mut self, id: ConnectionId, payload: &[u8]) -> Result<(), SendError> {
        self.send_control_to(id, Opcode::Ping, payload)
    }

    /// Sends a Pong that nobody asked for to a connection of this worker.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, id: ConnectionId, payload: &[u8]) -> Result<(), SendError> {
        self.send_control_to(id, Opcode::Pong, payload)
    }

    fn send_control_to(&mut self, id: ConnectionId, opcode: Opcode, payload: &[u8]) -> Result<(), SendError> {
        self.prepare();
        let key = self.key_of(id).ok_or(SendError::Closed)?;
        self.send_control(key, opcode, payload)
    }

    fn send_control(&mut self, key: usize, opcode: Opcode, payload: &[u8]) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_BYTES {
            return Err(SendError::ControlTooLong);
        }
        let bytes = payload.len() + 2;
        match self.admit(key, bytes) {
            Err(SendError::MessageNotFinished) if self.fits(key, bytes) => {}
            Err(SendError::MessageNotFinished) => return Err(SendError::NoRoom),
            admitted => admitted?,
        }
        self.write_control(key, |_, cork| encode_server_frame(opcode, payload, cork));
        Ok(())
    }

    /// Takes `range` of the cork as a control frame.
    pub(crate) fn push_control(&mut self, key: usize, range: Range<u32>) {
        self.connections[key].output.push_corked(range, 0);
        self.touch(key);
    }

    /// Appends what may go between the fragments of a message.
    pub(crate) fn write_control(&mut self, key: usize, write: impl FnOnce(&mut Connection, &mut Vec<u8>)) {
        let start = self.cork.len() as u32;
        write(&mut self.connections[key], &mut self.cork);
        let end = self.cork.len() as u32;
        if end > start {
            self.push_control(key, start..end);
        }
    }

    fn set_idle_timeout(&mut self, key: usize, idle_timeout: Option<Duration>) {
        let idle_ticks = idle_timeout.map_or(NEVER, |idle| self.wheel.deadline(0, idle));
        let connection = &mut self.connections[key];
        connection.idle_ticks = idle_ticks;
        // Any other phase has a deadline of its own.
        if connection.phase == Phase::Open {
            let deadline = if idle_ticks == NEVER { NEVER } else { self.now.saturating_add(idle_ticks) };
            self.set_deadline(key, deadline);
        }
    }
}
