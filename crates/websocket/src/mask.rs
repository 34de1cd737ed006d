//! Masking: octet `i` XOR octet `i mod 4` of the key (§5.3). Its own inverse.
//!
//! Every received byte passes through here, so text is looked at in the same pass: ASCII needs no other check. On a
//! 20-byte text that halves the time of reading it, which is why this module may say `unsafe`.

#![allow(unsafe_code)]

use core::ops::Range;

use crate::utf8;

/// A masking key, turned so that its first octet is the next one to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask([u8; 4]);

/// A payload as it was meant, and whether it is ASCII. Made by [`Mask::apply`] alone, so that the two belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unmasked<'a> {
    bytes: &'a [u8],
    is_ascii: bool,
}

impl<'a> Unmasked<'a> {
    #[inline]
    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The payload as text, or `None` if it is not UTF-8.
    #[inline]
    pub(crate) fn text(self) -> Option<&'a str> {
        self.ascii().or_else(|| utf8::check(self.bytes))
    }

    /// The payload as text if it is ASCII.
    #[inline]
    pub(crate) fn ascii(self) -> Option<&'a str> {
        // SAFETY: `apply` has seen no byte over 0x7F among exactly these, and ASCII is UTF-8.
        self.is_ascii.then(|| unsafe { core::str::from_utf8_unchecked(self.bytes) })
    }
}

impl Mask {
    /// Leaves everything as it is: the key of a frame that is not masked.
    pub(crate) const NONE: Self = Self([0; 4]);

    #[inline]
    pub(crate) const fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Masks or unmasks a whole payload in place.
    #[inline]
    pub(crate) fn apply(self, bytes: &mut [u8]) -> Unmasked<'_> {
        let is_ascii =
            if bytes.len() < LONG { apply_short(self.word(), bytes) } else { apply_long(self.word(), bytes) };
        Unmasked { bytes, is_ascii }
    }

    /// Masks or unmasks the payload that lies in `range` of `input`, and gives all of `input` back with it.
    #[inline]
    pub(crate) fn apply_within(self, input: &mut [u8], range: Range<usize>) -> (Unmasked<'_>, &[u8]) {
        let is_ascii = self.apply(&mut input[range.clone()]).is_ascii;
        let input = &*input;
        (Unmasked { bytes: &input[range], is_ascii }, input)
    }

    /// Masks or unmasks the next piece of a payload, and turns the key to where the piece after it begins.
    pub(crate) fn apply_piece<'p>(&mut self, piece: &'p mut [u8]) -> Unmasked<'p> {
        let mask = *self;
        self.0.rotate_left(piece.len() % 4);
        mask.apply(piece)
    }

    /// The key, twice.
    #[inline]
    const fn word(self) -> u64 {
        // Not from eight octets, which the compiler would gather one by one.
        let key = u32::from_ne_bytes(self.0) as u64;
        key << 32 | key
    }
}

/// From here on a call is worth its while.
const LONG: usize = 257;
/// The widest register in use, in bytes.
const REGISTER: usize = 32;
/// Set in a word if one of its octets is over 0x7F.
const NOT_ASCII: u64 = 0x8080_8080_8080_8080;

/// Octet by octet, and whether it is ASCII now.
#[inline]
fn apply_octets(key: [u8; 4], bytes: &mut [u8]) -> bool {
    let mut seen = 0;
    for (byte, key) in bytes.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
        seen |= *byte;
    }
    seen.is_ascii()
}

/// As [`apply_words`], for less than [`LONG`]: the two ends of the payload, in the narrowest blocks that meet. Neither a
/// loop nor a call, which for 20 bytes are most of the work.
#[inline]
fn apply_short(key: u64, bytes: &mut [u8]) -> bool {
    let ends = match bytes.len() {
        0..8 => None,
        8..=16 => apply_ends::<8>(key, bytes),
        17..=32 => apply_ends::<16>(key, bytes),
        33..=64 => apply_ends::<32>(key, bytes),
        65..=128 => apply_ends::<64>(key, bytes),
        _ => apply_ends::<128>(key, bytes),
    };
    ends.unwrap_or_else(|| apply_octets(octets(key), bytes))
}

/// The first and the last `N` octets, whatever lies in both. `None` if there are fewer.
#[inline(always)]
fn apply_ends<const N: usize>(key: u64, bytes: &mut [u8]) -> Option<bool> {
    let last_key = turned(key, bytes.len() % 4);
    let (mut first, mut last) = (*bytes.first_chunk::<N>()?, *bytes.last_chunk::<N>()?);
    let seen = apply_block(key, &mut first) | apply_block(last_key, &mut last);
    *bytes.first_chunk_mut()? = first;
    *bytes.last_chunk_mut()? = last;
    Some(seen & NOT_ASCII == 0)
}

/// What was seen, word over word.
#[inline(always)]
fn apply_block<const N: usize>(key: u64, block: &mut [u8; N]) -> u64 {
    let mut seen = 0;
    for chunk in block.as_chunks_mut().0 {
        let word = u64::from_ne_bytes(*chunk) ^ key;
        seen |= word;
        *chunk = word.to_ne_bytes();
    }
    seen
}

/// Word by word. The last word is read before and written after the others, whatever lies across both:
/// there is no loop for the rest.
#[inline(always)]
fn apply_words(key: u64, bytes: &mut [u8]) -> bool {
    let len = bytes.len();
    let Some(&last) = bytes.last_chunk() else { return apply_octets(octets(key), bytes) };
    let last = u64::from_ne_bytes(last) ^ turned(key, len);
    let mut seen = last;
    for chunk in bytes.as_chunks_mut().0 {
        let word = u64::from_ne_bytes(*chunk) ^ key;
        seen |= word;
        *chunk = word.to_ne_bytes();
    }
    if let Some(chunk) = bytes.last_chunk_mut() {
        *chunk = last.to_ne_bytes();
    }
    seen & NOT_ASCII == 0
}

/// The key as it lies over eight octets that begin `offset` octets into the payload.
#[inline]
const fn turned(key: u64, offset: usize) -> u64 {
    let bits = 8 * (offset % 4) as u32;
    if cfg!(target_endian = "little") { key.rotate_right(bits) } else { key.rotate_left(bits) }
}

/// The first four octets of a key that has been doubled.
#[inline]
const fn octets(key: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = key.to_ne_bytes();
    [a, b, c, d]
}

#[cfg(target_arch = "x86_64")]
cpufeatures::new!(avx2, "avx2");

/// As [`apply_words`], with the widest registers there are, from where they do not straddle cache lines.
#[inline(never)]
fn apply_long(key: u64, bytes: &mut [u8]) -> bool {
    let border = bytes.as_ptr().align_offset(REGISTER).min(bytes.len());
    let (head, body) = bytes.split_at_mut(border);
    let head_is_ascii = apply_words(key, head);
    let body_is_ascii = apply_aligned(turned(key, border), body);
    head_is_ascii & body_is_ascii
}

#[inline]
fn apply_aligned(key: u64, bytes: &mut [u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if avx2::get() {
        // SAFETY: the processor has AVX2.
        return unsafe { apply_avx2(key, bytes) };
    }
    apply_words(key, bytes)
}

/// [`apply_words`], compiled for AVX2: with the alignment, 64 KiB take 1.0 us instead of 1.6, 16 KiB 0.17 instead of 0.33.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn apply_avx2(key: u64, bytes: &mut [u8]) -> bool {
    apply_words(key, bytes)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

    /// The transform as §5.3 words it.
    fn reference(key: [u8; 4], bytes: &[u8]) -> Vec<u8> {
        bytes.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]).collect()
    }

    #[test]
    fn ws_f11_every_length_at_every_alignment() {
        let plain: Vec<u8> = (0..400_u32).map(|index| (index * 7) as u8).collect();
        let masked = reference(KEY, &plain);
        for start in 0..REGISTER {
            for len in 0..=plain.len() - start {
                // What is masked keeps its place in memory, so each start is another alignment.
                let (mut buffer, plain) = (masked.clone(), &plain[start..start + len]);
                let mut key = KEY;
                key.rotate_left(start % 4);
                let unmasked = Mask::new(key).apply(&mut buffer[start..start + len]);
                assert_eq!((unmasked.bytes(), unmasked.is_ascii), (plain, plain.is_ascii()), "{start} {len}");
                assert_eq!(buffer[..start], masked[..start]);
                assert_eq!(buffer[start + len..], masked[start + len..]);
            }
        }
    }

    #[test]
    fn ws_f11_pieces_turn_the_key() {
        let plain: Vec<u8> = (0..=255).collect();
        for cut in 0..plain.len() {
            let mut buffer = reference(KEY, &plain);
            let (head, tail) = buffer.split_at_mut(cut);
            let mut mask = Mask::new(KEY);
            assert_eq!(mask.apply_piece(head).bytes(), &plain[..cut]);
            assert_eq!(mask.apply_piece(tail).bytes(), &plain[cut..]);
        }
    }

    #[test]
    fn one_byte_over_7f_is_seen_wherever_it_is() {
        for len in (1..=270).chain([1000]) {
            for at in 0..len {
                let mut plain = alloc::vec![b'a'; len];
                plain[at] = 0x80;
                let mut buffer = reference(KEY, &plain);
                let unmasked = Mask::new(KEY).apply(&mut buffer);
                assert_eq!((unmasked.ascii(), unmasked.text()), (None, None), "{at} of {len}");
                plain[at] = 0x7F;
                let mut buffer = reference(KEY, &plain);
                let unmasked = Mask::new(KEY).apply(&mut buffer);
                assert_eq!(unmasked.ascii().map(str::as_bytes), Some(&plain[..]), "{at} of {len}");
            }
        }
    }

    #[test]
    fn the_registers_agree_with_their_twin() {
        let plain: Vec<u8> = (0..70_000_u32).map(|index| ((index * 31) >> 3) as u8).collect();
        let key = Mask::new(KEY).word();
        let (mut fast, mut twin) = (plain.clone(), plain.clone());
        assert_eq!(apply_long(key, &mut fast), apply_words(key, &mut twin));
        assert!(fast == twin && twin == reference(KEY, &plain));
    }
}
