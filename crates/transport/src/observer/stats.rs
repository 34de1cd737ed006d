//! What a server has done and does, in figures.
//!
//! A worker counts in plain numbers of its own and publishes them ten times a second while it has something to do, so a
//! message costs an addition, and whoever asks waits for nobody.

use std::collections::BTreeMap;

use wingbeat_websocket::CloseCode;

use crate::handler::{Cause, Closed};
use crate::worker::turn::Turn;
use crate::worker::wheel::Tick;

/// Ticks between two publications of a busy worker: 100 ms.
const EACH: Tick = 5;
/// Publications between two looks at how much waits for peers that do not read: a second.
const LOOKS: u32 = 10;

/// Figures of a server since it started, at most a tenth of a second old. Of all workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// WebSocket connections that are open now.
    pub connections: u64,
    /// WebSocket connections that were opened.
    pub connections_opened: u64,
    /// Connections that hyper serves now: those that asked for none of our mounts.
    pub http_connections: u64,
    /// Connections that were handed to hyper.
    pub http_connections_opened: u64,
    /// Connections that were accepted from the system, and those of them that were sent away because the server, or the
    /// share of one address, was full.
    pub accepted: u64,
    /// See [`accepted`](Self::accepted).
    pub turned_away: u64,
    /// Requests for mounts, and requests that could not be read, by the status of the answer.
    pub handshakes: BTreeMap<u16, u64>,
    /// Connections whose TLS handshake failed.
    pub tls_failures: u64,
    /// Whole messages that came.
    pub messages_received: u64,
    /// Messages that were given to sockets, to the last byte.
    pub messages_sent: u64,
    /// Bytes read from sockets for WebSockets and their handshakes, as they were before TLS.
    pub bytes_received: u64,
    /// Bytes given to sockets for WebSockets and their handshakes.
    pub bytes_sent: u64,
    /// Messages dropped because their peer does not read; see [`WhenFull`](crate::WhenFull).
    pub messages_dropped: u64,
    /// How connections ended: cause and code, as [`Closed`](crate::Closed) has them. Codes of one's own are counted
    /// together: 3000 to 3999 as 3000, 4000 to 4999 as 4000, and those that mean nothing as 0.
    pub closes: BTreeMap<(&'static str, u16), u64>,
    /// Turns that took longer than 100 ms, by the callback that is to blame.
    pub slow_turns: BTreeMap<String, u64>,
    /// Commands that wait in the workers' inboxes now.
    pub inbox_commands: u64,
    /// Bytes that wait for peers that do not read, counted once a second.
    pub output_bytes: u64,
}

impl Stats {
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.connections, other.connections),
            (&mut self.connections_opened, other.connections_opened),
            (&mut self.http_connections, other.http_connections),
            (&mut self.http_connections_opened, other.http_connections_opened),
            (&mut self.accepted, other.accepted),
            (&mut self.turned_away, other.turned_away),
            (&mut self.tls_failures, other.tls_failures),
            (&mut self.messages_received, other.messages_received),
            (&mut self.messages_sent, other.messages_sent),
            (&mut self.bytes_received, other.bytes_received),
            (&mut self.bytes_sent, other.bytes_sent),
            (&mut self.messages_dropped, other.messages_dropped),
            (&mut self.inbox_commands, other.inbox_commands),
            (&mut self.output_bytes, other.output_bytes),
        ] {
            *sum += more;
        }
        add_each(&mut self.handshakes, &other.handshakes);
        add_each(&mut self.closes, &other.closes);
        add_each(&mut self.slow_turns, &other.slow_turns);
    }
}

fn add_each<K: Ord + Clone>(sums: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, count) in more {
        *sums.entry(key.clone()).or_default() += count;
    }
}

/// A worker's own figures, and when they were last told.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) now: Stats,
    published: Stats,
    publish_at: Tick,
    looks: u32,
    /// Something may have happened since.
    is_stale: bool,
    /// Connections whose socket took no more at some time since the last look.
    pub(crate) stalled: Vec<u32>,
}

impl Figures {
    /// When there is something to publish.
    pub(crate) fn publish_at(&self) -> Option<Tick> {
        self.is_stale.then_some(self.publish_at)
    }

    #[inline]
    pub(crate) fn count_written(&mut self, bytes: usize, messages: usize) {
        self.now.bytes_sent += bytes as u64;
        self.now.messages_sent += messages as u64;
    }

    pub(crate) fn count_handshake(&mut self, status: http::StatusCode) {
        *self.now.handshakes.entry(status.as_u16()).or_default() += 1;
    }

    pub(crate) fn count_close(&mut self, closed: &Closed) {
        self.now.connections -= 1;
        *self.now.closes.entry((cause(closed.cause), code(closed.code))).or_default() += 1;
    }
}

/// A name of few.
fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Peer => "peer",
        Cause::Local => "local",
        Cause::Shutdown => "shutdown",
        Cause::Protocol => "protocol",
        Cause::Encoding => "encoding",
        Cause::TooBig => "too_big",
        Cause::Idle => "idle",
        Cause::SlowConsumer => "slow_consumer",
        Cause::Lost => "lost",
        Cause::Io(_) => "io",
        Cause::Panic => "panic",
    }
}

/// What a peer may choose freely must not make figures without end.
fn code(code: CloseCode) -> u16 {
    match code.value() {
        code @ 1000..=1015 => code,
        code @ 3000..=4999 => code / 1000 * 1000,
        _ => 0,
    }
}

impl Turn {
    /// At the end of a batch.
    #[inline]
    pub(crate) fn publish_in_time(&mut self) {
        if self.now >= self.figures.publish_at {
            self.publish();
        } else {
            self.figures.is_stale = true;
        }
    }

    #[cold]
    pub(crate) fn publish(&mut self) {
        let is_time_to_look = self.figures.looks.is_multiple_of(LOOKS);
        self.figures.looks = self.figures.looks.wrapping_add(1);
        if is_time_to_look || !self.figures.stalled.is_empty() && self.figures.now.output_bytes == 0 {
            self.look_at_stalled();
        }
        let inbox = self.workers.inbox(self.id);
        let figures = &mut self.figures;
        figures.now.messages_dropped = self.dropped;
        figures.now.inbox_commands = inbox.waiting() as u64;
        inbox.publish(&figures.now);
        #[cfg(feature = "metrics")]
        crate::observer::metrics::record(&figures.published, &figures.now);
        // What waits for peers may change without a batch, and has to be looked at again.
        figures.is_stale = figures.now.output_bytes > 0;
        figures.published.clone_from(&figures.now);
        figures.publish_at = self.now.saturating_add(EACH);
    }

    fn look_at_stalled(&mut self) {
        let mut stalled = std::mem::take(&mut self.figures.stalled);
        stalled.sort_unstable();
        stalled.dedup();
        stalled.retain(|index| self.connections.get(*index as usize).is_some_and(|connection| connection.blocked));
        let waiting = stalled.iter().map(|index| self.connections[*index as usize].output.len() as u64);
        self.figures.now.output_bytes = waiting.sum();
        self.figures.stalled = stalled;
    }
}
