//! What only some connections have. It lies behind one pointer, made by whoever needs it first, and has timers of its
//! own beside the connection's deadline; both share the connection's place in the wheel.

use std::net::SocketAddr;

use wingbeat_websocket::CloseCode;

use crate::connection::keep_alive::Live;
use crate::connection::rate_limit::Meter;
use crate::connection::{Connection, Phase};
use crate::handler::Cause;
use crate::output::streaming::Streaming;
use crate::worker::turn::Turn;
use crate::worker::wheel::{NEVER, Tick};

/// The rare part of a connection.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Pings of ours.
    pub(crate) keep_alive: Option<Live>,
    /// When the message in flight must be there.
    pub(crate) message_by: Option<Tick>,
    /// How much the peer may still send.
    pub(crate) meter: Option<Meter>,
    /// Messages that were dropped.
    pub(crate) dropped: u64,
    /// What was agreed on in the handshake, if anything was.
    pub(crate) subprotocol: Option<Box<str>>,
    /// The message that is being sent in fragments, while there is one.
    pub(crate) streaming: Option<Streaming>,
    /// The message in flight, where its text is not checked.
    pub(crate) gathered: Vec<u8>,
    /// Where a trusted proxy says that the client is.
    pub(crate) peer_addr: Option<SocketAddr>,
}

impl Extra {
    fn is_empty(&self) -> bool {
        self.keep_alive.is_none()
            && self.message_by.is_none()
            && self.meter.is_none()
            && self.dropped == 0
            && self.subprotocol.is_none()
            && self.peer_addr.is_none()
            && self.gathered.is_empty()
            && self.streaming.is_none()
    }

    /// When to look at the timers next.
    fn next(&self) -> Tick {
        let ping_at = self.keep_alive.as_ref().map_or(NEVER, Live::ping_at);
        let read_at = self.meter.as_ref().and_then(Meter::paused_until);
        ping_at.min(self.message_by.unwrap_or(NEVER)).min(read_at.unwrap_or(NEVER))
    }
}

impl Connection {
    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Gives the memory back once nothing is in it.
    fn trim_extra(&mut self) {
        if self.extra.as_ref().is_some_and(|extra| extra.is_empty()) {
            self.extra = None;
        }
    }
}

impl Turn {
    /// The wheel has come to a connection that has timers.
    #[cold]
    pub(crate) fn handle_timers(&mut self, key: usize) {
        if self.connections[key].phase == Phase::Open {
            self.end_pause(key);
            self.ping_if_due(key);
            self.end_overdue_message(key);
        }
    }

    #[cold]
    pub(crate) fn schedule_timers(&mut self, key: usize) {
        if let Some(connection) = self.connections.get(key)
            && let Some(extra) = &connection.extra
            && connection.phase == Phase::Open
        {
            let next = extra.next();
            if next != NEVER {
                self.schedule(key, next.max(self.now + 1));
            }
        }
    }

    /// After input was taken: a message that has begun must end in time.
    #[cold]
    pub(crate) fn watch_message(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let Some(timeout) = connection.options.message_timeout else { return };
        let extra = connection.extra.as_ref();
        let gathers = extra.is_some_and(|extra| !extra.gathered.is_empty());
        let is_watched = extra.is_some_and(|extra| extra.message_by.is_some());
        if connection.protocol.take_begun() || gathers && !is_watched {
            connection.extra_mut().message_by = Some(self.wheel.deadline(self.now, timeout));
            self.schedule_timers(key);
        } else if !connection.protocol.is_receiving()
            && !gathers
            && let Some(extra) = &mut connection.extra
        {
            extra.message_by = None;
            connection.trim_extra();
        }
    }

    fn end_overdue_message(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let listens = connection.listens();
        let timeout = connection.options.message_timeout;
        let Some(Extra { message_by: Some(by), .. }) = connection.extra.as_deref_mut() else { return };
        if *by > self.now {
            return;
        }
        // It is we who do not listen, not the peer who is slow.
        if let Some(timeout) = timeout.filter(|_| !listens) {
            *by = self.wheel.deadline(self.now, timeout);
            return;
        }
        self.close_connection(key, Cause::Protocol, CloseCode::POLICY, "a message took too long");
    }
}
