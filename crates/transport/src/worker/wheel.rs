//! Coarse deadlines by slab index.
//!
//! A connection has one deadline at a time; what it means follows from the connection's phase. Moving a deadline back
//! costs a store in the connection: the entry here is looked at when it comes up and put where it now belongs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Milliseconds of one tick: how coarse deadlines are.
const TICK_MS: u64 = 20;

/// Ticks of a second.
pub(crate) const TICKS_PER_SECOND: u64 = 1000 / TICK_MS;

/// A point in time, counted in ticks from the worker's start.
pub(crate) type Tick = u32;

/// No deadline.
pub(crate) const NEVER: Tick = Tick::MAX;

/// Where in time each index is to be looked at.
pub(crate) struct Wheel {
    start: Instant,
    slots: BTreeMap<Tick, Vec<u32>>,
}

impl Wheel {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, slots: BTreeMap::new() }
    }

    /// The tick that `now` lies in.
    pub(crate) fn tick(&self, now: Instant) -> Tick {
        let ticks = now.saturating_duration_since(self.start).as_millis() as u64 / TICK_MS;
        Tick::try_from(ticks).unwrap_or(NEVER - 1)
    }

    /// The first tick at which `after` has certainly passed since `now`.
    pub(crate) fn deadline(&self, now: Tick, after: Duration) -> Tick {
        let ticks = (after.as_millis() as u64).div_ceil(TICK_MS) + 1;
        Tick::try_from(ticks).map_or(NEVER - 1, |ticks| now.saturating_add(ticks).min(NEVER - 1))
    }

    pub(crate) fn insert(&mut self, at: Tick, index: u32) {
        self.slots.entry(at).or_default().push(index);
    }

    /// When `tick` begins.
    pub(crate) fn instant(&self, tick: Tick) -> Instant {
        self.start + Duration::from_millis(u64::from(tick) * TICK_MS)
    }

    /// When the next slot comes up.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (&tick, _) = self.slots.first_key_value()?;
        Some(self.start + Duration::from_millis(u64::from(tick) * TICK_MS))
    }

    /// The next slot that has come up by `now`.
    pub(crate) fn take_due(&mut self, now: Tick) -> Option<(Tick, Vec<u32>)> {
        let entry = self.slots.first_entry()?;
        (*entry.key() <= now).then(|| entry.remove_entry())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_up_in_order_and_never_early() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let soon = wheel.deadline(0, Duration::from_millis(100));
        let later = wheel.deadline(0, Duration::from_secs(60));
        wheel.insert(later, 7);
        wheel.insert(soon, 3);
        wheel.insert(soon, 4);
        assert_eq!(wheel.next(), Some(start + Duration::from_millis(u64::from(soon) * TICK_MS)));
        assert_eq!(
            wheel.take_due(wheel.tick(start + Duration::from_millis(100))),
            None,
            "100 ms is not over at 100 ms"
        );
        assert_eq!(wheel.take_due(wheel.tick(start + Duration::from_millis(120))), Some((soon, vec![3, 4])));
        assert_eq!(wheel.take_due(soon), None);
        assert_eq!(wheel.take_due(wheel.tick(start + Duration::from_secs(61))), Some((later, vec![7])));
    }

    #[test]
    fn far_deadlines_do_not_overflow() {
        let wheel = Wheel::new(Instant::now());
        assert_eq!(wheel.deadline(NEVER - 2, Duration::from_secs(60)), NEVER - 1);
        assert_eq!(wheel.deadline(0, Duration::from_secs(u64::MAX / 1000)), NEVER - 1);
    }
}
