//! Masked frames become frames of a server without leaving their buffer.

use std::ops::Range;

/// Shorter payloads are moved up to the frame before them, so that both leave in one piece; longer ones stay where they
/// are and leave as a piece of their own.
const MOVED_BELOW: usize = 2048;
const OPCODE: u8 = 0x0f;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a client put before its payload (RFC 6455 §5.2).
pub(super) struct Header {
    first: u8,
    key: [u8; 4],
    header_len: usize,
    payload_len: usize,
}

impl Header {
    /// Reads the header at the front of `bytes`, if it is there in full.
    pub(super) fn peek(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (key_at, payload_len) = match second & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
            short => (2, usize::from(short)),
        };
        let key = bytes.get(key_at..key_at + 4)?.try_into().ok()?;
        Some(Self { first, key, header_len: key_at + 4, payload_len })
    }

    pub(super) fn frame_len(&self) -> usize {
        self.header_len.saturating_add(self.payload_len)
    }

    /// The first byte of the answer: the same, but a Ping is answered by a Pong.
    fn answer(&self) -> u8 {
        if self.first & OPCODE == PING { self.first & !OPCODE | PONG } else { self.first }
    }
}

/// Turns all whole frames of `bytes` round and appends to `pieces` where the answers lie. Returns how many bytes are
/// used up; the frame that begins there is not whole yet.
pub(super) fn turn_round(bytes: &mut [u8], pieces: &mut Vec<Range<usize>>, moved_below: Moved) -> usize {
    let mut at = 0;
    while let Some(header) = Header::peek(&bytes[at..]) {
        let end = at.saturating_add(header.frame_len());
        if end > bytes.len() {
            break;
        }
        let payload = at + header.header_len..end;
        let head_len = header.header_len - 4;
        let is_moved = moved_below == Moved::All || header.payload_len < MOVED_BELOW;
        match pieces.last_mut() {
            Some(piece) if is_moved => {
                let to = piece.end + head_len;
                move_unmasked(bytes, payload, to, header.key);
                write_header(&mut bytes[piece.end..to], &header);
                piece.end = to + header.payload_len;
            }
            _ => {
                unmask(&mut bytes[payload], header.key);
                write_header(&mut bytes[at + 4..at + header.header_len], &header);
                pieces.push(at + 4..end);
            }
        }
        at = end;
    }
    at
}

/// Which payloads are moved up to the frame before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// Those that are cheaper to move than to send as a piece.
    Short,
    /// All, so that one piece comes out.
    All,
}

fn write_header(head: &mut [u8], header: &Header) {
    head[0] = header.answer();
    match head.len() {
        2 => head[1] = header.payload_len as u8,
        4 => {
            head[1] = 126;
            head[2..].copy_from_slice(&(header.payload_len as u16).to_be_bytes());
        }
        _ => {
            head[1] = 127;
            head[2..].copy_from_slice(&(header.payload_len as u64).to_be_bytes());
        }
    }
}

/// Moves `payload` down to `to` and unmasks it: in one pass if it is short, where calls would cost more than the bytes.
fn move_unmasked(bytes: &mut [u8], payload: Range<usize>, to: usize, key: [u8; 4]) {
    let len = payload.len();
    if len >= 128 {
        unmask(&mut bytes[payload.clone()], key);
        bytes.copy_within(payload, to);
        return;
    }
    let both = &mut bytes[to..payload.end];
    let shift = payload.start - to;
    let word_key = u32::from_ne_bytes(key);
    let mut at = 0;
    while at + 4 <= len {
        let word =
            u32::from_ne_bytes([both[shift + at], both[shift + at + 1], both[shift + at + 2], both[shift + at + 3]]);
        both[at..at + 4].copy_from_slice(&(word ^ word_key).to_ne_bytes());
        at += 4;
    }
    for (at, key) in (at..len).zip(key) {
        both[at] = both[shift + at] ^ key;
    }
}

/// XORs `payload` with `key` (RFC 6455 §5.3), 32 bytes at a time so that the compiler uses the widest registers it may.
fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let mut wide = [0; 32];
    for four in wide.chunks_exact_mut(4) {
        four.copy_from_slice(&key);
    }
    let mut chunks = payload.chunks_exact_mut(32);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(wide) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::frame::{Opcode, client_frame, server_frame};

    fn turned(messages: &[(Opcode, usize)], moved: Moved) -> (Vec<u8>, Vec<u8>, usize) {
        let payload = |len: usize| (0..len).map(|i| (i * 7 + len) as u8).collect::<Vec<_>>();
        let mut bytes: Vec<u8> = messages.iter().flat_map(|&(op, len)| client_frame(op, &payload(len))).collect();
        let expected = messages.iter().flat_map(|&(op, len)| server_frame(op, &payload(len))).collect();
        let mut pieces = Vec::new();
        let used = turn_round(&mut bytes, &mut pieces, moved);
        assert_eq!(used, bytes.len());
        (pieces.iter().flat_map(|piece| bytes[piece.clone()].to_vec()).collect(), expected, pieces.len())
    }

    #[test]
    fn frames_of_every_header_length_are_turned_round() {
        for moved in [Moved::Short, Moved::All] {
            for len in [0, 1, 3, 20, 125, 126, 127, 128, 1000, 5000, 65_535, 65_536, 100_000] {
                let (sent, expected, _) = turned(&[(Opcode::Binary, len); 3], moved);
                assert!(sent == expected, "{len} bytes");
            }
        }
    }

    #[test]
    fn long_payloads_stay_unless_one_piece_is_asked_for() {
        let mixed = [(Opcode::Text, 20), (Opcode::Binary, 5000), (Opcode::Text, 300), (Opcode::Text, 7)];
        for (moved, pieces) in [(Moved::Short, 2), (Moved::All, 1)] {
            let (sent, expected, count) = turned(&mixed, moved);
            assert!(sent == expected);
            assert_eq!(count, pieces);
        }
    }

    #[test]
    fn a_part_of_a_frame_is_left() {
        let frame = client_frame(Opcode::Text, &[b'x'; 300]);
        for len in 0..frame.len() {
            let mut bytes = [frame.as_slice(), &frame[..len]].concat();
            let mut pieces = Vec::new();
            assert_eq!(turn_round(&mut bytes, &mut pieces, Moved::Short), frame.len(), "{len} bytes of the second");
            assert_eq!(pieces.len(), 1);
        }
    }

    #[test]
    fn a_ping_is_answered_by_a_pong() {
        let mut bytes = client_frame(Opcode::Ping, b"hello");
        let mut pieces = Vec::new();
        turn_round(&mut bytes, &mut pieces, Moved::Short);
        assert_eq!(bytes[pieces[0].clone()], server_frame(Opcode::Pong, b"hello"));
    }
}
