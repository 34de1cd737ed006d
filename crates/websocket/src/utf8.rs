//! UTF-8 that comes in pieces (§5.6, §8.1): refused at the first impossible byte, whole again at the end.

use alloc::string::String;

use crate::mask::Unmasked;

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

    /// How many bytes the pending character wants.
    pub(crate) const fn missing_bytes(self) -> usize {
        width(self.bytes[0]) - self.len as usize
    }

    /// The whole characters at the front of `piece`; the beginning of one behind them is kept. Nothing may be pending.
    pub(crate) fn take_whole<'p>(&mut self, piece: &'p [u8]) -> Result<&'p str, Invalid> {
        let (whole, tail) = piece.split_at(piece.len() - unfinished(piece));
        if !tail.is_empty() {
            self.keep(tail)?;
        }
        check(whole).ok_or(Invalid)
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

    pub(crate) fn push(&mut self, piece: Unmasked<'_>) -> Result<(), Invalid> {
        let Self { text, pending } = self;
        if pending.is_empty()
            && let Some(ascii) = piece.ascii()
        {
            text.push_str(ascii);
            return Ok(());
        }
        pending.push(piece.bytes(), |characters| text.push_str(characters))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of pieces: the text, or at which piece it became impossible.
    fn push_all(pieces: &[&[u8]]) -> Result<(String, bool), usize> {
        let (mut pending, mut text) = (Pending::default(), String::new());
        for (index, piece) in pieces.iter().enumerate() {
            pending.push(piece, |characters| text.push_str(characters)).map_err(|Invalid| index)?;
        }
        Ok((text, pending.is_empty()))
    }

    #[test]
    fn ws_t1_pieces() {
        for (pieces, expected) in [
            (&[][..], Ok(("", true))),
            (&[&b""[..], b"", b""], Ok(("", true))),
            (&[b"a\xC3", b"\xB6b"], Ok(("a\u{F6}b", true))),
            (&[b"\xE2", b"", b"\x82", b"\xAC"], Ok(("\u{20AC}", true))),
            (&[b"\xF0\x9F", b"\x90\xA6\xF0", b"\x9F\x90\xA6"], Ok(("\u{1F426}\u{1F426}", true))),
            (&[b"a\xF0\x9F\x90"], Ok(("a", false))),
            (&[b"\xC3", b"\xC3"], Err(1)),
            (&[b"\xC3", b"a"], Err(1)),
            (&[b"\xE2\x82", b"a"], Err(1)),
            (&[b"\xB6"], Err(0)),
            (&[b"\xF4", b"\x8F"], Ok(("", false))),
            (&[b"\xF4", b"\x90"], Err(1)),
            (&[b"a\xED\xA0"], Err(0)),
            (&[b"\xED", b"\x9F"], Ok(("", false))),
            (&[b"\xE0", b"\x9F"], Err(1)),
            (&[b"\xC0"], Err(0)),
            (&[b"\xF5"], Err(0)),
            (&[b"\xC3", b"\xB6\xB6"], Err(1)),
            (&[b"\x80\x80\x80\x80"], Err(0)),
        ] {
            let expected = expected.map(|(text, is_whole): (&str, bool)| (String::from(text), is_whole));
            assert_eq!(push_all(pieces), expected, "{pieces:02x?}");
        }
    }

    #[test]
    fn ws_t2_every_start_of_two_bytes_is_judged_as_the_standard_library_does() {
        for first in 0..=255 {
            for second in 0..=255 {
                let bytes = [first, second];
                let possible = |bytes: &[u8]| {
                    core::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
                };
                let expected = if !possible(&bytes[..1]) {
                    Err(0)
                } else if possible(&bytes) {
                    Ok(())
                } else {
                    Err(1)
                };
                assert_eq!(push_all(&[&bytes[..1], &bytes[1..]]).map(|_| ()), expected, "{bytes:02x?}");
                assert_eq!(push_all(&[&bytes]).is_ok(), expected.is_ok(), "{bytes:02x?}");
            }
        }
    }
}
