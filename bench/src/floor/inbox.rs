//! What one worker's publishers say to the subscribers of the others.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use mio::{Poll, Token, Waker};

/// The token of a worker's waker.
pub(super) const WOKEN: Token = Token(usize::MAX - 2);

#[derive(Debug)]
pub(super) struct Inbox {
    published: Mutex<Vec<Arc<Vec<u8>>>>,
    waker: Waker,
}

impl Inbox {
    pub(super) fn new(poll: &Poll) -> io::Result<Self> {
        Ok(Self { published: Mutex::default(), waker: Waker::new(poll.registry(), WOKEN)? })
    }

    pub(super) fn push(&self, bytes: Arc<Vec<u8>>) -> io::Result<()> {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.push(bytes);
        if published.len() == 1 { self.waker.wake() } else { Ok(()) }
    }

    pub(super) fn take(&self) -> Vec<Arc<Vec<u8>>> {
        std::mem::take(&mut self.published.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
