//! UTF-8 that comes in pieces (§5.6, §8.1): refused at the first impossible byte, whole again at the end.

use alloc::string::String;

/// The text of a whole payload, or `None` if it is not UTF-8.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// Some byte made the text impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// The start of a character whose rest has not come yet: at most three bytes, and never impossible ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    bytes: [u8; 3],
    len: u8,
}

impl Pending {
    /// Whether the text so far ends on a character border.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Checks the next `piece` and gives every character that is complete now to `each`, in at most two parts.
    pub(crate) fn push<'p>(&mut self, piece: &'p [u8], mut each: impl FnMut(&str)) -> Result<(), Invalid> {
        let mut rest: &'p [u8] = piece;
        if self.len > 0 {
            rest = self.finish_character(rest, &mut each)?;
        }
        let border = rest.len() - unfinished(rest);
        let (whole, tail) = rest.split_at(border);
        if !whole.is_empty() {
            each(check(whole).ok_or(Invalid)?);
        }
        if !tail.is_empty() {
            self.keep(tail)?;
        }
        Ok(())
    }

    /// Completes the pending character from the front of `piece` and returns what is left of it.
    fn finish_character<'p>(&mut self, piece: &'p [u8], each: &mut impl FnMut(&str)) -> Result<&'p [u8], Invalid> {
        let held = usize::from(self.len);
        let missing = (width(self.bytes[0]) - held).min(piece.len());
        let (now, rest) = piece.split_at(missing);
        let mut bytes = [0; 4];
        bytes[..held].copy_from_slice(&self.bytes[..held]);
        bytes[held..held + missing].copy_from_slice(now);
        let bytes = &bytes[..held + missing];
        match core::str::from_utf8(bytes) {
            Ok(character) => {
                self.len = 0;
                each(character);
            }
            Err(_) => self.keep(bytes)?,
        }
        Ok(rest)
    }

    /// Holds on to the start of a character, unless no character starts so.
    fn keep(&mut self, start: &[u8]) -> Result<(), Invalid> {
        match core::str::from_utf8(start) {
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                self.bytes[..start.len()].copy_from_slice(start);
                self.len = start.len() as u8;
                Ok(())
            }
            _ => Err(Invalid),
        }
    }
}

/// A text message as it is gathered. Only whole characters get into the `String`.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer {
    text: String,
    pending: Pending,
}

impl TextBuffer {
    /// Bytes gathered so far, those of an unfinished character included.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.pending.len)
    }

    /// Room for `additional` bytes without growing again.
    pub(crate) fn reserve_exact(&mut self, additional: usize) {
        self.text.reserve_exact(additional);
    }

    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Invalid> {
        let Self { text, pending } = self;
        pending.push(piece, |characters| text.push_str(characters))
    }

    /// The message, if it does not end inside a character.
    pub(crate) fn finish(self) -> Result<String, Invalid> {
        if self.pending.is_empty() { Ok(self.text) } else { Err(Invalid) }
    }
}

/// How many bytes the character has that starts with `lead`. A byte that starts none counts one, and so gets checked
/// at once.
const fn width(lead: u8) -> usize {
    match lead {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}

/// How many bytes at the end belong to a character that goes on behind them: 0 to 3.
fn unfinished(bytes: &[u8]) -> usize {
    for (index, &byte) in bytes.iter().rev().take(3).enumerate() {
        let is_continuation = byte & 0xC0 == 0x80;
        if !is_continuation {
            return if width(byte) > index + 1 { index + 1 } else { 0 };
        }
    }
    0
}
