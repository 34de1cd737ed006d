//! The frame that is being read while not all of it has come.

use crate::header::Header;
use crate::mask::{Mask, Unmasked};

/// What is left of a data frame whose payload is taken in pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartialFrame {
    remaining_bytes: usize,
    mask: Mask,
    pub(crate) fin: bool,
}

impl PartialFrame {
    /// The frame behind `header`, none of its payload taken. `payload_bytes` is the header's length, within the limits.
    pub(crate) const fn new(header: &Header, payload_bytes: usize) -> Self {
        Self { remaining_bytes: payload_bytes, mask: header.mask, fin: header.fin }
    }

    /// Bytes of the payload that have not been taken.
    pub(crate) const fn remaining_bytes(&self) -> usize {
        self.remaining_bytes
    }

    /// Takes as much of the payload as lies at the front of `input`, unmasked in place; the rest is behind it.
    pub(crate) fn take<'a>(&mut self, input: &'a mut [u8]) -> (Unmasked<'a>, &'a mut [u8]) {
        self.take_at_most(usize::MAX, input)
    }

    /// As [`take`](Self::take), but at most `most` bytes.
    #[inline]
    pub(crate) fn take_at_most<'a>(&mut self, most: usize, input: &'a mut [u8]) -> (Unmasked<'a>, &'a mut [u8]) {
        let (piece, rest) = input.split_at_mut(self.remaining_bytes.min(input.len()).min(most));
        self.remaining_bytes -= piece.len();
        (self.mask.apply_piece(piece), rest)
    }
}
