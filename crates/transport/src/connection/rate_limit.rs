//! How much a peer may say: token buckets for messages and bytes, for mounts that ask for them.
//!
//! A metered connection takes its messages one by one; the others know nothing of it.

use crate::connection::{Connection, Phase};
use crate::handler::Cause;
use crate::worker::inbox::Command;
use crate::worker::turn::Turn;
use crate::worker::wheel::{TICKS_PER_SECOND, Tick};
use wingbeat_websocket::CloseCode;

/// How much a peer may send, and what happens beyond that; see
/// [`SocketOptions::rate_limit`](crate::SocketOptions::rate_limit).
///
/// `Default` is for a public server whose clients are browsers: 100 messages in a second, 1,000 at once; 1 MiB in a
/// second, 16 MiB at once; [`RateLimitAction::Close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Messages, Pings and Pongs included. A message counts when it is complete; where the handler takes fragments as
    /// they come, each piece counts.
    pub messages: Allowance,
    /// Bytes as they come: headers count, and compressed messages before they are inflated. A message that has begun is
    /// taken as far as it has come; by what that was too much, what follows is too soon.
    pub bytes: Allowance,
    /// What happens beyond. Default: [`RateLimitAction::Close`].
    pub action: RateLimitAction,
}

/// How much of something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// In the long run. 0 counts as 1.
    pub per_second: u32,
    /// At once, after a rest. 0 counts as 1.
    pub burst: u32,
}

/// What happens to a peer that sends more than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RateLimitAction {
    /// It is closed with 1008, [`Cause::Protocol`], before the message that is too many is delivered.
    #[default]
    Close,
    /// It is not read until it may send again: TCP slows it down, nothing is lost, its Pings wait with the rest.
    Pause,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            messages: Allowance { per_second: 100, burst: 1000 },
            bytes: Allowance { per_second: 1 << 20, burst: 16 << 20 },
            action: RateLimitAction::Close,
        }
    }
}

impl RateLimit {
    /// Sets how many messages: `per_second` in the long run, `burst` at once.
    #[must_use]
    pub fn with_messages(self, per_second: u32, burst: u32) -> Self {
        Self { messages: Allowance { per_second, burst }, ..self }
    }

    /// Sets how many bytes: `per_second` in the long run, `burst` at once.
    #[must_use]
    pub fn with_bytes(self, per_second: u32, burst: u32) -> Self {
        Self { bytes: Allowance { per_second, burst }, ..self }
    }

    /// Sets what happens beyond.
    #[must_use]
    pub fn with_action(self, action: RateLimitAction) -> Self {
        Self { action, ..self }
    }
}

/// What is left of an allowance, in parts of one that a tick adds `per_second` of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    per_second: i64,
    most: i64,
    level: i64,
}

const PARTS: i64 = TICKS_PER_SECOND as i64;

impl Bucket {
    fn new(allowance: Allowance) -> Self {
        let most = i64::from(allowance.burst.max(1)) * PARTS;
        Self { per_second: i64::from(allowance.per_second.max(1)), most, level: most }
    }

    fn fill(&mut self, ticks: Tick) {
        self.level = (self.level + i64::from(ticks) * self.per_second).min(self.most);
    }

    /// May take more than there is: the count is not known beforehand.
    fn take(&mut self, count: usize) {
        let parts = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(PARTS);
        self.level = self.level.saturating_sub(parts).max(i64::MIN / 2);
    }

    /// Ticks until there is one.
    fn ticks_to_one(&self) -> Tick {
        let missing = (PARTS.min(self.most) - self.level).max(0);
        Tick::try_from((missing as u64).div_ceil(self.per_second as u64)).unwrap_or(Tick::MAX)
    }
}

/// What one connection has left.
#[derive(Debug)]
pub(crate) struct Meter {
    messages: Bucket,
    bytes: Bucket,
    action: RateLimitAction,
    /// When the buckets were filled last.
    filled: Tick,
    /// Not read until then.
    paused_until: Option<Tick>,
    /// The application does not want to read either.
    is_paused_by_app: bool,
}

impl Meter {
    pub(crate) fn new(limit: RateLimit, now: Tick) -> Self {
        Self {
            messages: Bucket::new(limit.messages),
            bytes: Bucket::new(limit.bytes),
            action: limit.action,
            filled: now,
            paused_until: None,
            is_paused_by_app: false,
        }
    }

    pub(crate) fn paused_until(&self) -> Option<Tick> {
        self.paused_until
    }

    /// Ticks until something may be taken; 0 if it may be now.
    fn ticks_to_wait(&mut self, now: Tick) -> Tick {
        let ticks = now.saturating_sub(self.filled);
        self.filled = now;
        self.messages.fill(ticks);
        self.bytes.fill(ticks);
        self.messages.ticks_to_one().max(self.bytes.ticks_to_one())
    }

    fn take(&mut self, messages: usize, bytes: usize) {
        self.messages.take(messages);
        self.bytes.take(bytes);
    }
}

impl Connection {
    fn meter(&mut self) -> Option<&mut Meter> {
        self.extra.as_mut()?.meter.as_mut()
    }

    #[inline]
    pub(crate) fn is_metered(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.meter.is_some())
    }
}

impl Turn {
    /// Whether the next message may be taken; else the peer is closed or left alone for a while.
    pub(crate) fn is_within_rate(&mut self, key: usize) -> bool {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if connection.phase != Phase::Open {
            return true;
        }
        let is_paused = connection.paused;
        let Some(meter) = connection.meter() else { return true };
        if is_paused {
            return false;
        }
        let ticks = meter.ticks_to_wait(now);
        if ticks == 0 {
            return true;
        }
        match meter.action {
            RateLimitAction::Close => {
                tracing::debug!(connection = ?self.id_of(key), "the peer sends too much");
                self.close_connection(key, Cause::Protocol, CloseCode::POLICY, "too many messages");
                self.finish_unanswered(key);
                false
            }
            RateLimitAction::Pause => {
                meter.is_paused_by_app = false;
                meter.paused_until = Some(now.saturating_add(ticks));
                connection.paused = true;
                self.schedule_timers(key);
                false
            }
        }
    }

    /// After `bytes` of input were taken.
    pub(crate) fn count_input(&mut self, key: usize, bytes: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            let is_whole = !connection.protocol.is_receiving();
            if let Some(meter) = connection.meter() {
                meter.take(usize::from(is_whole && bytes > 0), bytes);
            }
        }
    }

    /// A run of messages ends after one of them, because something waits to be done then.
    pub(crate) fn end_run_early(&mut self) {
        self.call_later(Command::Nothing);
    }

    /// The wheel has come: a peer that was left alone is read again.
    pub(crate) fn end_pause(&mut self, key: usize) {
        let now = self.now;
        let connection = &mut self.connections[key];
        let Some(meter) = connection.meter() else { return };
        if meter.paused_until.is_some_and(|until| until <= now) {
            meter.paused_until = None;
            connection.paused = meter.is_paused_by_app;
            if !connection.paused {
                self.read_again(key);
            }
        }
    }

    /// The application wants to read, or does not.
    pub(crate) fn set_paused(&mut self, key: usize, paused: bool) {
        let connection = &mut self.connections[key];
        if let Some(meter) = connection.meter()
            && meter.paused_until.is_some()
        {
            meter.is_paused_by_app = paused;
        } else if std::mem::replace(&mut connection.paused, paused) && !paused {
            self.read_again(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_l10_buckets_fill_by_the_tick_and_no_higher_than_their_burst() {
        let mut bucket = Bucket::new(Allowance { per_second: 10, burst: 3 });
        for left in (0..3).rev() {
            assert_eq!(bucket.ticks_to_one(), 0, "{left} left after this");
            bucket.take(1);
        }
        assert_eq!(bucket.ticks_to_one(), 5, "a tenth of a second");
        bucket.fill(4);
        assert_eq!(bucket.ticks_to_one(), 1);
        bucket.fill(1);
        assert_eq!(bucket.ticks_to_one(), 0);
        bucket.fill(Tick::MAX);
        bucket.take(3);
        assert_eq!(bucket.ticks_to_one(), 5, "no more than the burst was saved up");
        bucket.take(10);
        assert_eq!(bucket.ticks_to_one(), 55, "what was too much is paid for");
        bucket.take(usize::MAX);
        bucket.take(usize::MAX);
        assert_eq!(bucket.ticks_to_one(), Tick::MAX);
    }

    #[test]
    fn ws_l10_nothing_is_at_least_one() {
        let mut bucket = Bucket::new(Allowance { per_second: 0, burst: 0 });
        assert_eq!(bucket.ticks_to_one(), 0);
        bucket.take(1);
        assert_eq!(bucket.ticks_to_one(), PARTS as Tick);
    }
}
