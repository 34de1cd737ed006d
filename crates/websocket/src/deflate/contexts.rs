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
        remember(&mut self.history, message, window_bytes);
    }
}

/// Appends the end of `message` to `history`, of which at most the last `window_bytes` are kept.
pub(crate) fn remember(history: &mut Vec<u8>, message: &[u8], window_bytes: usize) {
    let message = &message[message.len().saturating_sub(window_bytes)..];
    let excess = (history.len() + message.len()).saturating_sub(window_bytes);
    history.drain(..excess);
    if history.capacity() < history.len() + message.len() {
        // Doubled, but never past the window, which is what the budget has paid for.
        let wanted = (history.len() + message.len()).max(history.capacity() * 2).min(window_bytes);
        history.reserve_exact(wanted - history.len());
    }
    history.extend_from_slice(message);
}
