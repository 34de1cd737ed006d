//! How many connections there may be, and who has a place among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts connections against [`Config::max_connections`].
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// One counted connection.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Seats {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// How many have a seat.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn take(&self) -> Option<Seat> {
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(Seat(self.taken.clone()));
        }
        self.taken.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
