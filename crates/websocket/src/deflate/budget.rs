//! How much memory all connections with context takeover may hold together.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::negotiate::DeflateParams;
use crate::connection::Role;

/// Memory for the contexts of connections with takeover, shared by all of them and all threads. Past it, connections
/// open without takeover.
///
/// What a connection takes is what its contexts may grow to, from the handshake until it is dropped.
#[derive(Debug)]
pub struct DeflateBudget {
    free_bytes: AtomicUsize,
}

impl DeflateBudget {
    /// A budget of `max_bytes`.
    pub const fn new(max_bytes: usize) -> Self {
        Self { free_bytes: AtomicUsize::new(max_bytes) }
    }

    /// Bytes nobody has taken.
    pub fn free_bytes(&self) -> usize {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, if there are as many; they come back when the grant is dropped.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<DeflateGrant> {
        let left = |free: usize| free.checked_sub(bytes);
        self.free_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).ok()?;
        Some(DeflateGrant { budget: Arc::clone(self), bytes })
    }

    /// Server: takes what `params` need, or strikes takeover out of them, which a server may always do
    /// (RFC 7692 §7.1.1).
    pub fn fit(self: &Arc<Self>, params: DeflateParams) -> (DeflateParams, Option<DeflateGrant>) {
        match params.takeover_bytes(Role::Server) {
            0 => (params, None),
            bytes => match self.take(bytes) {
                Some(grant) => (params, Some(grant)),
                None => (params.without_takeover(), None),
            },
        }
    }
}

/// A part of a [`DeflateBudget`]; dropping it gives it back.
#[derive(Debug)]
pub struct DeflateGrant {
    budget: Arc<DeflateBudget>,
    bytes: usize,
}

impl DeflateGrant {
    /// How many bytes it is.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for DeflateGrant {
    fn drop(&mut self) {
        self.budget.free_bytes.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
