//! Whether to look for work before going to sleep.
//!
//! To sleep and be woken costs a worker tens of microseconds at the worst place: between a request and its answer. One
//! that goes on looking answers at once, and keeps a core busy with it. So it looks only for a while, and only where that
//! has paid lately: it learns from how long it slept.

use std::time::Duration;

/// Most that the past counts.
const MAX_CREDIT: u8 = 16;
/// From here on it is worth looking.
const WORTH: u8 = 4;

/// Looks for work or advises against it.
#[derive(Debug)]
pub(crate) struct Spin {
    limit: Duration,
    credit: u8,
}

impl Spin {
    /// Looks for `limit` at most; zero never.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, credit: 0 }
    }

    /// Whether anybody asks.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        !self.limit.is_zero()
    }

    /// How long to look now; `None`: sleep at once.
    #[inline]
    pub(crate) fn limit(&self) -> Option<Duration> {
        (self.is_on() && self.credit >= WORTH).then_some(self.limit)
    }

    /// Work came after so long, whether it was slept or looked for.
    pub(crate) fn note(&mut self, waited: Duration) {
        self.credit = if waited <= self.limit { (self.credit + 1).min(MAX_CREDIT) } else { self.credit / 2 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);

    #[test]
    fn without_a_limit_nobody_looks() {
        let mut spin = Spin::new(Duration::ZERO);
        (0..100).for_each(|_| spin.note(Duration::ZERO));
        assert_eq!(spin.limit(), None);
    }

    #[test]
    fn it_looks_where_it_pays_and_stops_where_it_does_not() {
        let mut spin = Spin::new(LIMIT);
        assert_eq!(spin.limit(), None, "nothing is known yet");
        (0..4).for_each(|_| spin.note(LIMIT));
        assert_eq!(spin.limit(), Some(LIMIT));
        (0..1000).for_each(|_| spin.note(Duration::from_micros(1)));
        let vain = (0..).take_while(|_| {
            spin.note(Duration::from_millis(1));
            spin.limit().is_some()
        });
        assert_eq!(vain.count(), 2, "a busy past is soon forgotten");
    }
}
