//! How a connection ends: the closing handshake (RFC 6455 §7), failures, silence, and the loss of the socket.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wingbeat_websocket::{CloseCode, CloseFrame, ProtocolError};

use crate::connection::{Connection, Phase};
use crate::handler::{Cause, Closed};
use crate::worker::inbox::ConnectionId;
use crate::worker::pulse::Deed;
use crate::worker::turn::Turn;
use crate::worker::wheel::NEVER;

impl From<&ProtocolError> for Cause {
    /// The kind of what the peer did wrong, as its close code tells it.
    fn from(error: &ProtocolError) -> Self {
        match error.close_code() {
            CloseCode::INVALID_PAYLOAD => Self::Encoding,
            CloseCode::TOO_BIG | CloseCode::POLICY => Self::TooBig,
            _ => Self::Protocol,
        }
    }
}

impl Connection {
    /// Remembers what the system said, unless the end had begun before.
    pub(crate) fn blame(&mut self, error: &io::Error) {
        self.closing.get_or_insert((Cause::Io(error.kind()), CloseCode::ABNORMAL));
    }
}

impl Turn {
    pub(crate) fn close_now(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        if let Some(key) = self.key_of(id) {
            self.close_connection(key, Cause::Local, code, reason);
        }
    }

    /// Sends Close and from then on only waits for the peer's (RFC 6455 §7.1.2).
    pub(crate) fn close_connection(&mut self, key: usize, cause: Cause, code: CloseCode, reason: &str) {
        if self.connections[key].phase != Phase::Open {
            return;
        }
        self.abort_stream(key);
        self.write_control(key, |connection, cork| {
            connection.protocol.close(Some(CloseFrame::new(code, reason)), cork);
            connection.phase = Phase::Closing;
            connection.closing = Some((cause, code));
            connection.paused = false;
        });
        let timeout = self.connections[key].options.close_timeout;
        let deadline = self.wheel.deadline(self.now, timeout);
        self.set_deadline(key, deadline);
        self.read_again(key);
    }

    /// The peer's Close came; ours is out too, before it or as its answer.
    pub(crate) fn handle_peer_close(&mut self, key: usize, frame: Option<CloseFrame>) {
        let cause = self.connections[key].closing.map_or(Cause::Peer, |(cause, _)| cause);
        let (code, reason) = match frame {
            Some(frame) => (frame.code(), frame.reason().to_owned()),
            None => (CloseCode::NO_STATUS, String::new()),
        };
        self.finish(key, Closed { code, reason, cause });
    }

    /// The peer broke the protocol: Close, and nothing further is listened to (§7.1.7).
    #[cold]
    pub(crate) fn fail(&mut self, key: usize, error: &ProtocolError) {
        self.note_violation(key, error);
        self.write_control(key, |connection, cork| connection.protocol.fail(error, cork));
        // After our Close the peer is told nothing more, and why we closed stays.
        let (cause, code) = self.connections[key].closing.unwrap_or((Cause::from(error), error.close_code()));
        self.finish(key, Closed { code, reason: error.to_string(), cause });
    }

    /// Ends for the application what the peer will not answer any more.
    pub(crate) fn finish_unanswered(&mut self, key: usize) {
        let (cause, code) = self.connections[key].closing.unwrap_or((Cause::Lost, CloseCode::ABNORMAL));
        self.finish(key, Closed { code, reason: String::new(), cause });
    }

    /// The application is told; what waits is still written, then FIN.
    pub(crate) fn finish(&mut self, key: usize, closed: Closed) {
        let connection = &mut self.connections[key];
        if connection.phase == Phase::Lingering {
            return;
        }
        connection.phase = Phase::Lingering;
        connection.paused = false;
        self.abort_stream(key);
        let connection = &mut self.connections[key];
        (connection.rest, connection.left_over) = (Vec::new(), false);
        connection.settle_waiting(Err(crate::SendError::Closed));
        let timeout = connection.options.close_timeout;
        let deadline = self.wheel.deadline(self.now, timeout);
        self.set_deadline(key, deadline);
        self.touch(key);
        self.read_again(key);
        self.tell_closed(key, closed);
    }

    /// The socket is gone, or not worth waiting for.
    pub(crate) fn lose(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (cause, code) = connection.closing.unwrap_or((Cause::Lost, CloseCode::ABNORMAL));
        connection.phase = Phase::Lingering;
        connection.settle_waiting(Err(crate::SendError::Closed));
        self.tell_closed(key, Closed { code, reason: String::new(), cause });
        self.note_end(key);
        self.connections.remove(key);
    }

    /// The system says that the socket is of no use any more.
    #[cold]
    pub(crate) fn lose_by(&mut self, key: usize, error: &io::Error) {
        self.connections[key].blame(error);
        self.lose(key);
    }

    fn tell_closed(&mut self, key: usize, closed: Closed) {
        if self.connections[key].handler.is_some() {
            self.note_close(key, &closed);
        }
        self.pulse.note(Deed::Close, key);
        self.call_only(key, |handler, cx| handler.handle_close(closed, cx));
        let handler = self.connections[key].handler.take();
        if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
            tracing::error!("a handler panicked while it was dropped");
        }
    }

    /// Looks at every connection whose slot has come up.
    pub(crate) fn handle_deadlines(&mut self) {
        while let Some((tick, indices)) = self.wheel.take_due(self.now) {
            for index in indices {
                let key = index as usize;
                let Some(connection) = self.connections.get_mut(key) else { continue };
                if connection.scheduled != tick {
                    continue;
                }
                connection.scheduled = NEVER;
                let has_timers = connection.extra.is_some();
                if has_timers {
                    self.handle_timers(key);
                }
                let deadline = self.connections[key].deadline;
                if deadline <= self.now {
                    self.handle_deadline(key);
                } else if deadline != NEVER {
                    self.schedule(key, deadline);
                }
                if has_timers {
                    self.schedule_timers(key);
                }
            }
        }
        self.carry_out();
    }

    fn handle_deadline(&mut self, key: usize) {
        match self.connections[key].phase {
            Phase::Preamble => self.lose(key),
            Phase::Head if self.connections[key].rest.is_empty() => self.lose(key),
            Phase::Head => self.refuse(key, 408, "the request head did not arrive in time"),
            Phase::Deciding => self.refuse(key, 503, "the request was not decided in time"),
            Phase::Open if self.connections[key].keep_alive().is_some() => self.handle_silence(key),
            // It is we who do not listen, not the peer who is silent.
            Phase::Open if self.connections[key].is_kept_waiting() => {
                let deadline = self.now.saturating_add(self.connections[key].idle_ticks);
                self.set_deadline(key, deadline);
            }
            Phase::Open => {
                let code = self.connections[key].options.idle_close;
                self.close_connection(key, Cause::Idle, code, "");
            }
            Phase::Closing | Phase::Lingering => self.lose(key),
        }
    }
}
