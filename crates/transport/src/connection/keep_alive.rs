//! Pings of ours: whether a silent peer is still there, and how far away it is (RFC 6455 §5.5.2).
//!
//! While there are pings, the connection's deadline is that of the peer: whatever it sends moves it by interval plus
//! timeout, as the idle timeout does elsewhere, so a message costs nothing more. When the deadline comes, the peer is
//! given up only if it was asked, had its time, and neither said anything nor took anything of what waits for it.

use std::time::{Duration, Instant};

use crate::connection::{Connection, Phase};
use crate::handler::Cause;
use crate::worker::turn::Turn;
use crate::worker::wheel::{Tick, Wheel};

/// When to ask a peer whether it is there, and when to give it up.
///
/// A peer that is gone is found within `interval` + `timeout` of the last that was heard of it, give or take the worker's
/// tick of 20 ms. Whatever bytes come count as heard, so a busy peer is never given up, even if it does not answer pings.
/// One that takes nothing off us for as long is given up too, but not while what waits for it becomes less; and not while
/// the application is [paused](crate::Context::pause) with something unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepAlive {
    /// Silence after which a Ping is sent. Default: 30 s.
    pub interval: Duration,
    /// How long the peer may then take until something is heard of it. Default: 20 s. Beyond it: Close with
    /// [`SocketOptions::idle_close`](crate::SocketOptions::idle_close), [`Cause::Idle`], and the end without waiting for
    /// an answer.
    pub timeout: Duration,
    /// Whether peers that are not silent are pinged, too, each `interval`, so that
    /// [`Context::rtt`](crate::Context::rtt) stays fresh. Default: no.
    pub when_busy: bool,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(20), when_busy: false }
    }
}

impl KeepAlive {
    /// Pings after `interval` of silence, and gives up `timeout` later.
    #[must_use]
    pub fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, ..Self::default() }
    }

    /// Sets whether peers that are not silent are pinged, too.
    #[must_use]
    pub fn with_when_busy(self, when_busy: bool) -> Self {
        Self { when_busy, ..self }
    }
}

/// What begins the payload of our Pings; a number follows.
const MARK: [u8; 2] = *b"ka";
/// What was heard and what was asked must not fall into one tick.
const MIN_INTERVAL: Tick = 2;
const PAYLOAD_BYTES: usize = MARK.len() + 4;

/// The pings of one connection.
#[derive(Debug)]
pub(crate) struct Live {
    interval: Tick,
    timeout: Tick,
    ping_at: Tick,
    /// When the peer was last asked.
    asked: Option<Tick>,
    /// The Ping whose Pong has not come, and when it was sent.
    waiting: Option<(u32, Instant)>,
    pings: u32,
    rtt: Option<Duration>,
    when_busy: bool,
    /// Since it was asked, what it may have said meanwhile was looked for.
    looked: bool,
}

impl Live {
    pub(crate) fn new(keep_alive: KeepAlive, wheel: &Wheel, now: Tick) -> Self {
        let interval = wheel.deadline(0, keep_alive.interval).max(MIN_INTERVAL);
        Self {
            interval,
            timeout: wheel.deadline(0, keep_alive.timeout),
            ping_at: now.saturating_add(interval),
            asked: None,
            waiting: None,
            pings: 0,
            rtt: None,
            when_busy: keep_alive.when_busy,
            looked: false,
        }
    }

    /// Ticks of silence after which the peer is given up.
    pub(crate) fn within(&self) -> Tick {
        self.interval.saturating_add(self.timeout)
    }

    pub(crate) fn ping_at(&self) -> Tick {
        self.ping_at
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// When the peer that was asked has had its time; `None` if something was heard since.
    fn gives_up(&self, heard: Tick) -> Option<Tick> {
        self.asked.filter(|asked| *asked > heard).map(|asked| asked.saturating_add(self.timeout))
    }

    /// Whether to ask now, if something was heard last at `heard`; and when to think of it again.
    fn is_due(&mut self, heard: Tick, now: Tick) -> bool {
        if self.ping_at > now {
            return false;
        }
        // Asked already: the deadline decides.
        if let Some(at) = self.gives_up(heard) {
            self.ping_at = at.max(now).saturating_add(1);
            return false;
        }
        let silent_at = heard.saturating_add(self.interval);
        if !self.when_busy && silent_at > now {
            self.ping_at = silent_at;
            return false;
        }
        self.ping_at = now.saturating_add(self.interval);
        (self.asked, self.looked) = (Some(now), false);
        true
    }

    fn next_payload(&mut self) -> [u8; PAYLOAD_BYTES] {
        self.pings = self.pings.wrapping_add(1);
        self.waiting = Some((self.pings, Instant::now()));
        payload(self.pings)
    }

    fn take_pong(&mut self, bytes: &[u8]) -> bool {
        let Some((ping, sent)) = self.waiting else { return false };
        if bytes != payload(ping) {
            return false;
        }
        self.rtt = Some(sent.elapsed());
        self.waiting = None;
        true
    }
}

fn payload(ping: u32) -> [u8; PAYLOAD_BYTES] {
    let [first, second] = MARK;
    let [a, b, c, d] = ping.to_be_bytes();
    [first, second, a, b, c, d]
}

impl Connection {
    pub(crate) fn keep_alive(&self) -> Option<&Live> {
        self.extra.as_ref()?.keep_alive.as_ref()
    }

    fn keep_alive_mut(&mut self) -> Option<&mut Live> {
        self.extra.as_mut()?.keep_alive.as_mut()
    }

    /// The tick in which something was last heard of the peer: with pings, what its deadline was counted from.
    fn heard(&self) -> Tick {
        self.deadline.saturating_sub(self.idle_ticks)
    }
}

impl Turn {
    pub(crate) fn ping_if_due(&mut self, key: usize) {
        let now = self.now;
        let connection = &mut self.connections[key];
        let heard = connection.heard();
        if connection.keep_alive_mut().is_some_and(|live| live.is_due(heard, now)) {
            self.keep_alive_ping(key);
        }
    }

    /// Asks, unless the socket takes nothing: then what waits in it is question enough, and nothing piles up.
    fn keep_alive_ping(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if connection.blocked {
            return;
        }
        let Some(payload) = connection.keep_alive_mut().map(Live::next_payload) else { return };
        self.write_control(key, |connection, cork| {
            let _ = connection.protocol.send_ping(&payload, cork);
        });
    }

    /// Whether a Pong answers the last of our Pings; then it is nothing the application asked for.
    #[cold]
    pub(crate) fn take_pong(&mut self, key: usize, payload: &[u8]) -> bool {
        self.connections[key].keep_alive_mut().is_some_and(|live| live.take_pong(payload))
    }

    /// The socket took something of what waited: the peer is there, however slow.
    pub(crate) fn note_progress(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.phase == Phase::Open
            && connection.keep_alive().is_some()
        {
            connection.deadline = self.now.saturating_add(connection.idle_ticks);
        }
    }

    /// Nothing was heard of a peer for interval plus timeout.
    #[cold]
    pub(crate) fn handle_silence(&mut self, key: usize) {
        let now = self.now;
        let connection = &mut self.connections[key];
        let (heard, idle_ticks) = (connection.heard(), connection.idle_ticks);
        let Some(live) = connection.keep_alive_mut() else { return };
        match live.gives_up(heard) {
            Some(at) if at <= now => {}
            Some(at) => return self.set_deadline(key, at),
            // The worker itself was away for so long that it has not even asked.
            None => {
                live.ping_at = now;
                let at = now.saturating_add(live.timeout);
                self.ping_if_due(key);
                return self.set_deadline(key, at);
            }
        }
        let is_first_look = !std::mem::replace(&mut live.looked, true);
        if connection.is_kept_waiting() || self.has_progressed(key) {
            return self.set_deadline(key, now.saturating_add(idle_ticks));
        }
        let connection = &mut self.connections[key];
        if is_first_look && connection.listens() {
            // What has come may not have had its turn yet.
            connection.readable = true;
            self.again.push(key as u32);
            return self.set_deadline(key, now + 1);
        }
        self.give_up(key);
    }

    /// Whether a socket that took nothing does so now. The system tells of it only once there is much room.
    fn has_progressed(&mut self, key: usize) -> bool {
        let connection = &mut self.connections[key];
        let before = connection.output.len();
        if !std::mem::take(&mut connection.blocked) {
            return false;
        }
        self.write(key);
        self.connections[key].output.len() < before && !self.connections[key].lost
    }

    /// Nobody is there to answer a Close; it is said all the same.
    fn give_up(&mut self, key: usize) {
        tracing::debug!(connection = ?self.id_of(key), "the peer does not answer pings");
        let code = self.connections[key].options.idle_close;
        self.close_connection(key, Cause::Idle, code, "no answer to a ping");
        self.finish_unanswered(key);
    }
}
