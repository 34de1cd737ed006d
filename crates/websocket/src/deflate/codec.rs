//! The seam to the zlib: one message to a DEFLATE stream and back, the latter under a limit (RFC 7692 §7.2).

use alloc::vec::Vec;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a flush ends with; it is cut off a message (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// What is put behind a message: its tail, and an empty final block. Only a stream that is whole ends right there.
pub(crate) const END: [u8; 9] = [0x00, 0x00, 0xFF, 0xFF, 0x01, 0x00, 0x00, 0xFF, 0xFF];
/// The empty message: a stored block without its tail (RFC 7692 §7.2.3.6).
const EMPTY: u8 = 0x00;
/// Least room given to the zlib, in bytes: a flush wants some.
const MIN_ROOM_BYTES: usize = 64;

/// Most bytes of heap a [`Deflater`] takes: two windows, the links of each byte in one, the hash table and the symbols.
pub(crate) const fn deflater_bytes(window_bits: u8) -> usize {
    (4 << window_bits) + DEFLATER_FIXED_BYTES
}

/// The part of a [`Deflater`] that does not depend on its window: a table of 128 KiB, symbols, trees.
const DEFLATER_FIXED_BYTES: usize = 264 << 10;

/// Compresses one message at a time into a window of a given size.
#[derive(Debug)]
pub(crate) struct Deflater(Compress);

impl Deflater {
    /// A compressor of `level` 1 to 9 with a window of `window_bits` 9 to 15.
    pub(crate) fn new(level: u8, window_bits: u8) -> Self {
        Self(Compress::new_with_window_bits(Compression::new(u32::from(level)), false, window_bits))
    }

    /// Forgets all earlier messages.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    /// Appends `message`, compressed, to `output` (RFC 7692 §7.2.1). False if the zlib fails; then reset it.
    #[must_use]
    pub(crate) fn deflate(&mut self, message: &[u8], output: &mut Vec<u8>) -> bool {
        if message.is_empty() {
            // The zlib would not flush nothing twice.
            output.push(EMPTY);
            return true;
        }
        let start = output.len();
        output.reserve(message.len() / 2 + MIN_ROOM_BYTES);
        let mut rest = message;
        loop {
            let before = self.0.total_in();
            let Ok(status) = self.0.compress_vec(rest, output, FlushCompress::Sync) else { return false };
            rest = &rest[(self.0.total_in() - before) as usize..];
            // All is flushed once there is room left over.
            if rest.is_empty() && (output.len() < output.capacity() || status == Status::BufError) {
                break;
            }
            output.reserve((output.len() - start).max(MIN_ROOM_BYTES));
        }
        let is_flushed = output[start..].ends_with(&TAIL);
        if is_flushed {
            output.truncate(output.len() - TAIL.len());
        }
        is_flushed
    }
}

/// Why a message did not inflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// It is not a DEFLATE stream.
    Invalid,
    /// It became larger than the limit.
    TooBig,
}

/// Inflates one message at a time, and keeps nothing from one to the next.
#[derive(Debug)]
pub(crate) struct Inflater(Decompress);

impl Inflater {
    /// With the largest window, which is good for all smaller ones.
    pub(crate) fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// Inflates `message` to at most `max_bytes` (RFC 7692 §7.2.2), with `history` as what came before it.
    ///
    /// The limit runs along: the output grows by doubling and never past it, whatever the stream would become.
    pub(crate) fn inflate(
        &mut self,
        history: &[u8],
        message: &[u8],
        max_bytes: usize,
    ) -> Result<Vec<u8>, InflateError> {
        let mut output = Vec::new();
        // Not what RFC 7692 §7.2.3.6 asks for, but what a zlib gives that is told to flush nothing twice.
        if message.is_empty() {
            return Ok(output);
        }
        self.restart(history, &[])?;
        let mut is_whole = self.inflate_part(history, message, max_bytes, &mut output)?;
        // A final block that ends the message needs no tail, although one should follow (RFC 7692 §7.2.3.4).
        if !is_whole {
            is_whole = self.inflate_part(history, &END, max_bytes, &mut output)?;
        }
        if !is_whole {
            return Err(InflateError::Invalid);
        }
        if output.len() > max_bytes {
            return Err(InflateError::TooBig);
        }
        if output.len() < output.capacity() / 2 {
            output.shrink_to_fit();
        }
        Ok(output)
    }

    /// Takes all of `part`. True if a final block ended right with it.
    pub(crate) fn inflate_part(
        &mut self,
        history: &[u8],
        part: &[u8],
        max_bytes: usize,
        output: &mut Vec<u8>,
    ) -> Result<bool, InflateError> {
        let mut rest = part;
        loop {
            reserve(output, part.len(), max_bytes)?;
            let before = self.0.total_in();
            let status = self.0.decompress_vec(rest, output, FlushDecompress::None);
            let status = status.map_err(|_| InflateError::Invalid)?;
            rest = &rest[(self.0.total_in() - before) as usize..];
            let is_room_left = output.len() < output.capacity();
            match status {
                Status::StreamEnd if rest.is_empty() => return Ok(true),
                // A final block does not end the message: what follows may refer to what came (RFC 7692 §7.2.3.5).
                Status::StreamEnd => self.restart(history, output)?,
                Status::Ok | Status::BufError if rest.is_empty() && is_room_left => return Ok(false),
                Status::Ok => {}
                Status::BufError if !is_room_left => {}
                Status::BufError => return Err(InflateError::Invalid),
            }
        }
    }

    /// Begins a stream behind `history` and, after it, `output`.
    pub(crate) fn restart(&mut self, history: &[u8], output: &[u8]) -> Result<(), InflateError> {
        self.0.reset(false);
        for window in [history, output] {
            if !window.is_empty() {
                self.0.set_dictionary(window).map_err(|_| InflateError::Invalid)?;
            }
        }
        Ok(())
    }
}

/// Makes room for more output: at first four times the input, then twice what there is, up to one byte more than
/// `max_bytes`, by which an output that is too big shows.
fn reserve(output: &mut Vec<u8>, input_bytes: usize, max_bytes: usize) -> Result<(), InflateError> {
    if output.len() < output.capacity() {
        return Ok(());
    }
    if output.len() > max_bytes {
        return Err(InflateError::TooBig);
    }
    let wanted = output.len().saturating_mul(2).max(input_bytes.saturating_mul(4)).max(MIN_ROOM_BYTES);
    // While it grows, the old room and the new are both there. So the last step is never from more than a quarter.
    let capacity = if wanted > max_bytes / 4 { max_bytes.saturating_add(1) } else { wanted };
    output.reserve_exact(capacity - output.len());
    Ok(())
}
