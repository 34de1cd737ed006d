//! What one connection with context takeover holds (RFC 7692 §7.1.1).

use alloc::vec::Vec;

use super::budget::DeflateGrant;
use super::codec::Deflater;

/// The contexts of one connection. There are none without takeover.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    /// Ours, from the first message on that we compress.
    pub(crate) deflater: Option<Deflater>,
    /// The end of what the peer has compressed so far, at most its window. The zlib state around it is lent.
    pub(crate) history: Vec<u8>,
    /// Gives the memory back in the end.
    _grant: Option<DeflateGrant>,
}

impl Contexts {
    pub(crate) fn new(grant: Option<DeflateGrant>) -> Self {
        Self { deflater: None, history: Vec::new(), _grant: grant }
    }

    /// Remembers the end of `history` and `message`, at most `window_bytes` of it.
    pub(crate) fn remember(&mut self, message: &[u8], window_bytes: usize) {
        let message = &message[message.len().saturating_sub(window_bytes)..];
        let excess = (self.history.len() + message.len()).saturating_sub(window_bytes);
        self.history.drain(..excess);
        if self.history.capacity() < self.history.len() + message.len() {
            // Doubled, but never past the window, which is what the budget has paid for.
            let wanted = (self.history.len() + message.len()).max(self.history.capacity() * 2).min(window_bytes);
            self.history.reserve_exact(wanted - self.history.len());
        }
        self.history.extend_from_slice(message);
    }
}
