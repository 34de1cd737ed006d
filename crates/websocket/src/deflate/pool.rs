//! Contexts to lend: an idle connection without takeover holds none.

use alloc::vec::Vec;

use super::DeflateConfig;
use super::codec::{Deflater, InflateError, Inflater};
use crate::connection::Role;
use crate::encoder::encode_frame;
use crate::error::ProtocolError;
use crate::header;
use crate::message::MessageKind;

/// A scratch buffer larger than this is given back after use, in bytes.
const MAX_SCRATCH_BYTES: usize = 64 << 10;
/// How many sizes of windows there are, 9 to 15 bits.
const WINDOWS: usize = (DeflateConfig::MAX_WINDOW_BITS - DeflateConfig::MIN_WINDOW_BITS + 1) as usize;

/// The contexts that connections without takeover share, one after the other: one pool for a thread, or one for each
/// configuration in use on it.
///
/// A new pool holds nothing. What it comes to hold does not depend on how many connections use it: a compressor of 270
/// to 400 KiB for each window size in use, an inflater of 50 KiB, a scratch buffer of 64 KiB. See
/// [`release`](Self::release).
#[derive(Debug, Default)]
pub struct DeflatePool {
    config: DeflateConfig,
    deflaters: [Option<Deflater>; WINDOWS],
    inflater: Option<Inflater>,
    scratch: Vec<u8>,
    deflated_messages: u64,
    inflated_messages: u64,
}

impl DeflatePool {
    /// A pool that compresses and limits as `config` says.
    pub fn new(config: DeflateConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// How it compresses and limits.
    pub const fn config(&self) -> &DeflateConfig {
        &self.config
    }

    /// Messages compressed so far, those included that became no smaller and were sent as they are.
    pub const fn deflated_messages(&self) -> u64 {
        self.deflated_messages
    }

    /// Messages inflated so far.
    pub const fn inflated_messages(&self) -> u64 {
        self.inflated_messages
    }

    /// Gives back all memory; what is needed again is made again.
    pub fn release(&mut self) {
        self.deflaters = Default::default();
        self.inflater = None;
        self.scratch = Vec::new();
    }

    /// Appends a whole message as a server sends it, compressed for a window of `window_bits`. It refers to no earlier
    /// message, so one frame serves all connections whose [`send_window_bits`] are the same: a broadcast is compressed
    /// once for each size. One with takeover must be told by [`reset_deflater`] after it.
    ///
    /// False, and nothing appended, if the message is below [`DeflateConfig::min_bytes`], becomes no smaller, or there
    /// is no such window; then send it as it is. The caller sees to it that text is UTF-8.
    ///
    /// [`send_window_bits`]: crate::Connection::send_window_bits
    /// [`reset_deflater`]: crate::Connection::reset_deflater
    pub fn encode_server_frame(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        window_bits: u8,
        output: &mut Vec<u8>,
    ) -> bool {
        let windows = DeflateConfig::MIN_WINDOW_BITS..=DeflateConfig::MAX_WINDOW_BITS;
        if payload.len() < self.config.min_bytes() || !windows.contains(&window_bits) {
            return false;
        }
        let is_smaller = self.deflate(payload, window_bits, None) && self.deflated().len() < payload.len();
        if is_smaller {
            encode_frame(Role::Server, header::FIN | header::RSV1, kind.into(), self.deflated(), output);
        }
        self.trim();
        is_smaller
    }

    /// Compresses into the scratch buffer, with the connection's `own` context, or one lent. False if the zlib fails.
    pub(crate) fn deflate(&mut self, message: &[u8], window_bits: u8, own: Option<&mut Option<Deflater>>) -> bool {
        self.deflated_messages += 1;
        let has_takeover = own.is_some();
        let index = usize::from(window_bits - DeflateConfig::MIN_WINDOW_BITS);
        let context = own.unwrap_or(&mut self.deflaters[index]);
        let deflater = context.get_or_insert_with(|| Deflater::new(self.config.level(), window_bits));
        if !has_takeover {
            deflater.reset();
        }
        self.scratch.clear();
        deflater.deflate(message, &mut self.scratch)
    }

    /// What was compressed last.
    pub(crate) fn deflated(&self) -> &[u8] {
        &self.scratch
    }

    /// Does not hold on to the room a large message took.
    pub(crate) fn trim(&mut self) {
        if self.scratch.capacity() > MAX_SCRATCH_BYTES {
            self.scratch = Vec::new();
        }
    }

    /// An inflater for a message that is inflated as it comes.
    pub(crate) fn take_inflater(&mut self) -> Inflater {
        self.inflated_messages += 1;
        self.inflater.take().unwrap_or_else(Inflater::new)
    }

    /// Takes an inflater back, to be lent again.
    pub(crate) fn give_inflater(&mut self, inflater: Inflater) {
        self.inflater = Some(inflater);
    }

    /// Inflates a message that came behind `history`.
    pub(crate) fn inflate(
        &mut self,
        history: &[u8],
        message: &[u8],
        max_message_bytes: usize,
    ) -> Result<Vec<u8>, ProtocolError> {
        self.inflated_messages += 1;
        let ratio_bytes = self.config.ratio_limit(message.len());
        let inflater = self.inflater.get_or_insert_with(Inflater::new);
        inflater.inflate(history, message, max_message_bytes.min(ratio_bytes)).map_err(|error| match error {
            InflateError::Invalid => ProtocolError::InvalidDeflate,
            InflateError::TooBig if max_message_bytes <= ratio_bytes => {
                ProtocolError::MessageTooBig { limit: max_message_bytes }
            }
            InflateError::TooBig => ProtocolError::RatioTooHigh { limit: self.config.max_ratio() },
        })
    }
}
