//! A message that is inflated as it comes (RFC 7692 §7.2.2).

use alloc::vec::Vec;

use super::codec::{END, InflateError, Inflater};
use super::contexts::remember;
use super::{DeflateConfig, DeflatePool};
use crate::error::ProtocolError;

/// A message of which a part has been inflated.
#[derive(Debug)]
pub(crate) struct InflateStream {
    inflater: Inflater,
    /// The end of what came before, of this message and, with takeover, of those before it: a final block within the
    /// message ends the zlib's memory, but not what may be referred to (RFC 7692 §7.2.3.5).
    window: Vec<u8>,
    window_bytes: usize,
    deflated_bytes: usize,
    inflated_bytes: usize,
    /// A final block ended right where the last part did.
    is_whole: bool,
}

impl InflateStream {
    /// A message behind `history`, with a context taken from the pool.
    pub(crate) fn new(pool: &mut DeflatePool, history: Vec<u8>, window_bytes: usize) -> Result<Self, ProtocolError> {
        let mut inflater = pool.take_inflater();
        inflater.restart(&history, &[]).map_err(|_| ProtocolError::InvalidDeflate)?;
        Ok(Self { inflater, window: history, window_bytes, deflated_bytes: 0, inflated_bytes: 0, is_whole: false })
    }

    /// Inflates the next `part` of the message.
    pub(crate) fn push(
        &mut self,
        part: &[u8],
        is_final: bool,
        max_message_bytes: usize,
        config: &DeflateConfig,
    ) -> Result<Vec<u8>, ProtocolError> {
        self.deflated_bytes = self.deflated_bytes.saturating_add(part.len());
        let ratio_bytes = config.ratio_limit(self.deflated_bytes);
        let too_big = if max_message_bytes <= ratio_bytes {
            ProtocolError::MessageTooBig { limit: max_message_bytes }
        } else {
            ProtocolError::RatioTooHigh { limit: config.max_ratio() }
        };
        let room = max_message_bytes.min(ratio_bytes).checked_sub(self.inflated_bytes).ok_or(too_big)?;
        let inflated = self.inflate(part, is_final, room).map_err(|error| match error {
            InflateError::Invalid => ProtocolError::InvalidDeflate,
            InflateError::TooBig => too_big,
        })?;
        self.inflated_bytes = self.inflated_bytes.saturating_add(inflated.len());
        remember(&mut self.window, &inflated, self.window_bytes);
        Ok(inflated)
    }

    fn inflate(&mut self, part: &[u8], is_final: bool, room: usize) -> Result<Vec<u8>, InflateError> {
        let mut inflated = Vec::new();
        if !part.is_empty() {
            if self.is_whole {
                self.inflater.restart(&self.window, &[])?;
            }
            self.is_whole = self.inflater.inflate_part(&self.window, part, room, &mut inflated)?;
        }
        // A message of no bytes at all is an empty one, as it is when it comes whole.
        if is_final && !self.is_whole && self.deflated_bytes > 0 {
            self.is_whole = self.inflater.inflate_part(&self.window, &END, room, &mut inflated)?;
            if !self.is_whole {
                return Err(InflateError::Invalid);
            }
        }
        if inflated.len() > room {
            return Err(InflateError::TooBig);
        }
        Ok(inflated)
    }

    /// Gives the context back, and what later messages may refer to.
    pub(crate) fn finish(self, pool: &mut DeflatePool) -> Vec<u8> {
        pool.give_inflater(self.inflater);
        self.window
    }
}
