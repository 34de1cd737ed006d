//! Who blocks a worker: a thread looks at the workers from outside and sees in which callback one stands still.
//!
//! Before each run of callbacks a worker writes down what it is about to do, which is a store. Nobody reads a clock for
//! it: only the thread does, fifty times a second while a worker has something to do, and never while none has.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::Duration;

/// How often the thread looks.
const EACH: Duration = Duration::from_millis(20);
/// Looks without anything seen after which it sleeps until a worker wakes it.
const IDLE_LOOKS: u32 = 50;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Deed {
    /// None of the below.
    Other,
    /// A mount answers a request.
    Request,
    Open,
    Message,
    Info,
    Drained,
    Close,
    /// What was given to `Workers::run`.
    Job,
}

impl Deed {
    const ALL: [Self; 8] =
        [Self::Other, Self::Request, Self::Open, Self::Message, Self::Info, Self::Drained, Self::Close, Self::Job];

    /// Whether a handler was called.
    pub(crate) const fn is_of_handler(self) -> bool {
        !matches!(self, Self::Other | Self::Request | Self::Job)
    }

    /// The name of the callback.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Other => "no callback",
            Self::Request => "handle_request",
            Self::Open => "handle_open",
            Self::Message => "handle_message",
            Self::Info => "handle_info",
            Self::Drained => "handle_drained",
            Self::Close => "handle_close",
            Self::Job => "a job",
        }
    }
}

/// A deed, and the connection it is done for, in one number.
fn packed(deed: Deed, key: usize) -> u64 {
    (deed as u64) << 32 | key as u32 as u64
}

#[derive(Debug, Default)]
struct Shared {
    /// Odd while a batch is going on.
    batch: AtomicU64,
    doing: AtomicU64,
    /// What was going on in `suspect_batch` when the thread looked.
    suspect: AtomicU64,
    suspect_batch: AtomicU64,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Pulse {
    shared: Arc<Shared>,
    watcher: Arc<Watcher>,
    batch: u64,
}

impl Pulse {
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.batch += 1;
        self.shared.batch.store(self.batch, Ordering::Relaxed);
        if self.watcher.sleeps.load(Ordering::Relaxed) {
            self.watcher.wake();
        }
    }

    #[inline]
    pub(crate) fn end(&mut self) {
        self.batch += 1;
        self.shared.batch.store(self.batch, Ordering::Relaxed);
    }

    /// Writes down what is about to be done for the connection at `key`.
    #[inline]
    pub(crate) fn note(&self, deed: Deed, key: usize) {
        self.shared.doing.store(packed(deed, key), Ordering::Relaxed);
    }

    /// What was done for long in the batch that goes on, if it was seen.
    pub(crate) fn suspect(&self) -> Option<(Deed, usize)> {
        let shared = &self.shared;
        let is_of_this_batch = shared.suspect_batch.load(Ordering::Acquire) == self.batch;
        let suspect = shared.suspect.load(Ordering::Relaxed);
        let deed = Deed::ALL.get((suspect >> 32) as usize).copied()?;
        is_of_this_batch.then_some((deed, suspect as u32 as usize))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        // The thread ends with the last worker, which it has to see.
        self.watcher.wake();
    }
}

/// The thread's end.
#[derive(Debug, Default)]
struct Watcher {
    sleeps: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Watcher {
    #[cold]
    fn wake(&self) {
        self.sleeps.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// What the thread remembers of a worker.
#[derive(Debug, Default)]
struct Seen {
    batch: u64,
    doing: u64,
    /// In how many looks in a row.
    times: u32,
    /// The most that anything of this batch was seen.
    most: u32,
}

impl Seen {
    /// Looks at a worker; whether it has done anything.
    fn look(&mut self, shared: &Shared) -> bool {
        let (batch, doing) = (shared.batch.load(Ordering::Relaxed), shared.doing.load(Ordering::Relaxed));
        let is_same_batch = batch == self.batch;
        if batch % 2 == 1 {
            self.times = if is_same_batch && doing == self.doing { self.times + 1 } else { 1 };
            self.most = if is_same_batch { self.most } else { 0 };
            if self.times > self.most {
                self.most = self.times;
                shared.suspect.store(doing, Ordering::Relaxed);
                shared.suspect_batch.store(batch, Ordering::Release);
            }
        }
        (self.batch, self.doing) = (batch, doing);
        !is_same_batch || batch % 2 == 1
    }
}

/// Starts the thread, and gives each of `count` workers its end. Without a thread, nobody is blamed.
pub(crate) fn start(count: usize) -> Vec<Pulse> {
    let watcher = Arc::new(Watcher::default());
    let pulses: Vec<_> =
        (0..count).map(|_| Pulse { shared: Arc::default(), watcher: watcher.clone(), batch: 0 }).collect();
    let workers: Vec<_> = pulses.iter().map(|pulse| (Arc::downgrade(&pulse.shared), Seen::default())).collect();
    let run = {
        let watcher = watcher.clone();
        move || watch(&watcher, workers)
    };
    match std::thread::Builder::new().name("wingbeat-pulse".to_owned()).spawn(run) {
        Ok(thread) => drop(watcher.thread.set(thread.thread().clone())),
        Err(error) => tracing::warn!(%error, "no thread is left to see who blocks a worker"),
    }
    pulses
}

fn watch(watcher: &Watcher, mut workers: Vec<(Weak<Shared>, Seen)>) {
    let mut idle = 0;
    loop {
        std::thread::sleep(EACH);
        idle += 1;
        workers.retain_mut(|(shared, seen)| {
            let Some(shared) = shared.upgrade() else { return false };
            if seen.look(&shared) {
                idle = 0;
            }
            true
        });
        if workers.is_empty() {
            return;
        }
        if idle >= IDLE_LOOKS {
            watcher.sleeps.store(true, Ordering::Relaxed);
            // Waking is never lost: what comes between is remembered.
            while watcher.sleeps.load(Ordering::Relaxed) {
                std::thread::park();
            }
            idle = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_longest_is_to_blame() {
        let mut pulse = Pulse { shared: Arc::default(), watcher: Arc::default(), batch: 0 };
        let (shared, mut seen) = (pulse.shared.clone(), Seen::default());
        assert!(!seen.look(&shared));
        pulse.begin();
        pulse.note(Deed::Info, 7);
        assert!(seen.look(&shared));
        pulse.note(Deed::Message, 8);
        assert!(seen.look(&shared) && seen.look(&shared) && seen.look(&shared));
        pulse.note(Deed::Close, 9);
        assert!(seen.look(&shared) && seen.look(&shared));
        assert_eq!(pulse.suspect(), Some((Deed::Message, 8)));
        pulse.end();
        assert!(seen.look(&shared), "it has ended a batch");
        assert!(!seen.look(&shared));
        pulse.begin();
        assert_eq!(pulse.suspect(), None, "that was another batch");
    }
}
