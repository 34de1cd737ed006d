//! Leaving: no more is accepted, what is open is closed batch by batch, and then the workers end.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wingbeat_websocket::CloseCode;

use crate::connection::Phase;
use crate::handler::Cause;
use crate::server::running::Running;
use crate::worker::Worker;
use crate::worker::inbox::{Command, ConnectionId};

/// How a server leaves, see [`Running::drain`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Drain {
    /// What connections are closed with. Default: 1012, upon which clients come back.
    pub code: CloseCode,
    /// The reason beside the code, at most 123 bytes. Default: none.
    pub reason: String,
    /// How many connections are closed at once, over all workers. Default: 100. Those who come back come in such numbers.
    pub batch: usize,
    /// The time between two batches, of which half more or less is chance. Default: 100 ms.
    pub interval: Duration,
    /// All the time there is. Default: 30 s. When half of it is over, everybody who is left is closed at once; when all
    /// of it is, who is still there is dropped.
    pub within: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            code: CloseCode::SERVICE_RESTART,
            reason: String::new(),
            batch: 100,
            interval: Duration::from_millis(100),
            within: Duration::from_secs(30),
        }
    }
}

impl Drain {
    /// Sets what connections are closed with.
    #[must_use]
    pub fn with_code(self, code: CloseCode, reason: &str) -> Self {
        Self { code, reason: reason.to_owned(), ..self }
    }

    /// Sets how many are closed at once, and the time between two batches.
    #[must_use]
    pub fn with_batches(self, batch: usize, interval: Duration) -> Self {
        Self { batch, interval, ..self }
    }

    /// Sets all the time there is.
    #[must_use]
    pub fn with_within(self, within: Duration) -> Self {
        Self { within, ..self }
    }
}

impl Running {
    /// Leaves: accepts no more, closes connections in batches with the code asked for, waits until their peers have
    /// answered, and ends the workers. What was sent before a Close leaves before it. Requests that are being decided are
    /// answered 503, requests at hyper are answered; connections that nothing is said on are ended last.
    ///
    /// Who waited to be accepted is served and closed like the others. A connection that the system completes between
    /// our last look and the end of the listener is reset, unless Linux is told to hand it to another server of the same
    /// port ([`Config::shared_port`](crate::Config::shared_port), `net.ipv4.tcp_migrate_req=1`).
    ///
    /// The future may be dropped: the server goes on leaving, and [`shutdown`](Self::shutdown) ends it at once.
    pub async fn drain(&mut self, drain: Drain) {
        let by = Instant::now() + drain.within;
        let listening = Arc::new(AtomicUsize::new(self.shared.workers.len()));
        for worker in self.shared.workers.ids() {
            let drain = Drain { batch: drain.batch.div_ceil(self.shared.workers.len()), ..drain.clone() };
            let drain = Box::new((drain, listening.clone()));
            let _ = self.shared.workers.inbox(worker).post_always(Command::Drain { drain, by });
        }
        let _ = self.stop.send(true);
        // No worker ever sends: the channel ends with the last of them.
        let _ = self.all_done.recv().await;
    }
}

/// A worker that is leaving.
pub(crate) struct Leaving {
    code: CloseCode,
    reason: Box<str>,
    by: Instant,
    /// In batches, until all are closed.
    pace: Option<Pace>,
}

struct Pace {
    /// Workers that still listen: who is closed before none does may come back to one of them.
    listening: Arc<AtomicUsize>,
    batch: usize,
    interval: Duration,
    next: Instant,
    /// From when on all that are left are closed at once.
    hurry_at: Instant,
    /// From when on those who have said nothing yet are ended, too.
    end_heads_at: Instant,
    /// Where in the slab the next batch begins.
    cursor: usize,
}

/// How long a connection that was accepted last has to say something, at most.
const HEADS: Duration = Duration::from_secs(1);

/// How often to look whether all have ended to listen.
const LISTENING: Duration = Duration::from_millis(5);
/// How often a hurried worker looks for those who have opened meanwhile.
const HURRIED: Duration = Duration::from_millis(50);

impl Leaving {
    pub(crate) fn at_once(code: CloseCode, reason: Box<str>, by: Instant) -> Self {
        Self { code, reason, by, pace: None }
    }

    fn in_batches(drain: Drain, listening: Arc<AtomicUsize>, by: Instant, now: Instant) -> Self {
        let pace = Pace {
            listening,
            batch: drain.batch.max(1),
            interval: drain.interval,
            next: now,
            hurry_at: now + drain.within / 2,
            end_heads_at: now + HEADS.min(drain.within / 4),
            cursor: 0,
        };
        Self { code: drain.code, reason: drain.reason.into(), by, pace: Some(pace) }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.by
    }

    /// When there is something to do next.
    pub(crate) fn next(&self) -> Instant {
        self.pace.as_ref().map_or(self.by, |pace| pace.next.min(self.by))
    }
}

impl Pace {
    /// When the batch after that of `now` is due. In a hurry there is only to be closed who opens late.
    fn after(&self, now: Instant) -> Instant {
        if self.hurry_at <= now { now + HURRIED } else { (now + self.jittered()).min(self.hurry_at) }
    }

    /// Half of the interval to one and a half.
    fn jittered(&self) -> Duration {
        let share = RandomState::new().build_hasher().finish() as u32;
        self.interval.mul_f64(0.5 + f64::from(share) / f64::from(u32::MAX))
    }
}

impl Worker {
    /// Accepts no more and closes what there is; at the end of the time the rest is dropped.
    pub(crate) fn stop(&mut self, leaving: Leaving) {
        self.end_listening();
        for key in self.keys() {
            self.send_away(key, &leaving);
        }
        self.end_heads();
        self.leaving = Some(leaving);
    }

    /// Accepts no more and begins to close what there is.
    pub(crate) fn begin_drain(&mut self, (drain, listening): (Drain, Arc<AtomicUsize>), by: Instant) {
        if self.leaving.is_some() {
            return;
        }
        self.accept_the_last();
        self.end_listening();
        listening.fetch_sub(1, Ordering::Relaxed);
        for key in self.keys() {
            self.refuse_undecided(key);
        }
        self.leaving = Some(Leaving::in_batches(drain, listening, by, Instant::now()));
    }

    /// Closes the next batch, if it is time.
    pub(crate) fn drain(&mut self, now: Instant) {
        let Some(mut leaving) = self.leaving.take() else { return };
        if let Some(pace) = leaving.pace.as_mut().filter(|pace| pace.next <= now) {
            let is_hurried = pace.hurry_at <= now;
            if !is_hurried && pace.listening.load(Ordering::Relaxed) > 0 {
                pace.next = now + LISTENING;
                self.leaving = Some(leaving);
                return;
            }
            let most = if is_hurried { usize::MAX } else { pace.batch };
            pace.next = pace.after(now);
            let (from, may_end_heads) = (pace.cursor, is_hurried || pace.end_heads_at <= now);
            let (to, closed) = self.close_batch(from, most, &leaving);
            if let Some(pace) = &mut leaving.pace {
                pace.cursor = to;
            }
            if from == 0 && closed == 0 && may_end_heads {
                self.end_heads();
            }
        }
        self.leaving = Some(leaving);
    }

    /// Closes `most` connections from slot `from` on; says where to go on, and how many were closed.
    fn close_batch(&mut self, from: usize, most: usize, leaving: &Leaving) -> (usize, usize) {
        let mut closed = 0;
        for key in from..self.turn.connections.capacity() {
            if self.turn.connections.get(key).is_some_and(|connection| connection.phase == Phase::Open) {
                if closed == most {
                    return (key, closed);
                }
                self.send_away(key, leaving);
                closed += 1;
            }
        }
        (0, closed)
    }

    fn send_away(&mut self, key: usize, leaving: &Leaving) {
        if self.turn.connections.get(key).is_some_and(|connection| connection.phase == Phase::Open) {
            self.turn.close_connection(key, Cause::Shutdown, leaving.code, &leaving.reason);
        }
        self.refuse_undecided(key);
    }

    fn refuse_undecided(&mut self, key: usize) {
        if self.turn.connections.get(key).is_some_and(|connection| connection.phase == Phase::Deciding) {
            self.turn.refuse(key, 503, "the server is going down");
        }
    }

    /// Ends those whose request has not come.
    fn end_heads(&mut self) {
        for key in self.keys() {
            if matches!(self.turn.connections[key].phase, Phase::Preamble | Phase::Head) {
                self.turn.lose(key);
            }
        }
    }

    /// A connection that opened although the server is going down.
    pub(crate) fn close_if_leaving(&mut self, id: ConnectionId) {
        if let Some(leaving) = self.leaving.take() {
            if let Some(key) = self.turn.key_of(id) {
                self.send_away(key, &leaving);
            }
            self.leaving = Some(leaving);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_jittered_by_half() {
        let now = Instant::now();
        let drain = Drain::default().with_batches(1, Duration::from_secs(2));
        let leaving = Leaving::in_batches(drain, Arc::default(), now, now);
        let pace = leaving.pace.expect("in batches");
        let all: Vec<_> = (0..200).map(|_| pace.jittered()).collect();
        assert!(all.iter().all(|jittered| (1.0..=3.0).contains(&jittered.as_secs_f64())), "{all:?}");
        assert!(all.iter().any(|jittered| jittered.as_secs_f64() < 1.5), "{all:?}");
        assert!(all.iter().any(|jittered| jittered.as_secs_f64() > 2.5), "{all:?}");
    }
}
