//! The first 2 to 14 bytes of a frame (§5.2).
//!
//! ```text
//!  byte 0          byte 1           length, 0, 2 or 8 bytes    key, 0 or 4 bytes
//! +-+-+-+-+-------+-+-------------+--------------------------+-----------------+
//! |F|R|R|R| op    |M| length      | big-endian, if the field | if M is set     |
//! |I|S|S|S| code  |A| 0-125       | before it is 126 or 127  |                 |
//! |N|V|V|V|       |S| 126: 2 more |                          |                 |
//! | |1|2|3|       |K| 127: 8 more |                          |                 |
//! +-+-+-+-+-------+-+-------------+--------------------------+-----------------+
//! ```

use alloc::vec::Vec;

use crate::connection::Role;
use crate::error::ProtocolError;
use crate::mask::Mask;
use crate::message::MessageKind;
use crate::opcode::Opcode;

/// The last frame of a message, or the only one.
pub(crate) const FIN: u8 = 0x80;
/// With permessage-deflate, on the first frame of a message: it is compressed (RFC 7692 §6).
#[cfg_attr(not(feature = "deflate"), allow(dead_code))]
pub(crate) const RSV1: u8 = 0x40;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7F;
/// The length field says: the length is in the next two bytes.
const LENGTH_16: u8 = 126;
/// The length field says: the length is in the next eight bytes.
const LENGTH_64: u8 = 127;
/// Largest payload of a control frame (§5.5), and of any frame with a header of two bytes.
pub(crate) const MAX_SHORT_BYTES: usize = 125;
const KEY_BYTES: usize = 4;
/// Largest header of a frame that is not masked.
pub(crate) const MAX_SERVER_BYTES: usize = 10;

/// What stands before the payload. One that exists has been checked, but for the limits and the order of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    /// The message is compressed (RFC 7692 §6).
    pub(crate) is_deflated: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Mask,
    pub(crate) payload_bytes: u64,
    /// The size of the header itself.
    pub(crate) header_bytes: usize,
}

impl Header {
    /// Reads the header at the front of `input`; `None` if it is not all there yet.
    ///
    /// Every byte is judged as soon as it can be: a bad first byte fails alone (F13).
    #[inline]
    pub(crate) fn decode(input: &[u8], role: Role, has_deflate: bool) -> Result<Option<Self>, ProtocolError> {
        let Some((&first, input)) = input.split_first() else { return Ok(None) };
        let opcode = check_first(first, has_deflate)?;
        let Some((&second, input)) = input.split_first() else { return Ok(None) };
        let field = second & LENGTH;
        check_second(second, opcode, role)?;

        let (payload_bytes, length_bytes) = match field {
            LENGTH_16 | LENGTH_64 => match decode_length(field, input)? {
                Some(length) => length,
                None => return Ok(None),
            },
            _ => (u64::from(field), 0),
        };
        let mut header_bytes = 2 + length_bytes;
        let mut mask = Mask::NONE;
        if second & MASKED != 0 {
            let Some(&key) = input[length_bytes..].first_chunk() else { return Ok(None) };
            mask = Mask::new(key);
            header_bytes += KEY_BYTES;
        }
        let is_deflated = first & RSV1 != 0;
        Ok(Some(Self { fin: first & FIN != 0, is_deflated, opcode, mask, payload_bytes, header_bytes }))
    }
}

/// A message of up to 65,535 bytes in one frame, as a client sends it: by far the most frequent thing a server reads,
/// and worth a path of its own. What it does not recognise, [`Header::decode`] judges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeFrame {
    pub(crate) kind: MessageKind,
    pub(crate) mask: Mask,
    pub(crate) header_bytes: usize,
    pub(crate) payload_bytes: usize,
}

impl WholeFrame {
    /// The message at the front of `input`, if there is one and all of it is there.
    #[inline]
    pub(crate) fn decode(input: &[u8], role: Role) -> Option<Self> {
        const TEXT: u8 = FIN | Opcode::Text as u8;
        const BINARY: u8 = FIN | Opcode::Binary as u8;
        let (&[first, second, a, b, c, d], behind) = input.split_first_chunk()?;
        let field = second & LENGTH;
        let kind = if first == TEXT { MessageKind::Text } else { MessageKind::Binary };
        // One test for all, because all of it nearly always holds.
        let is_message = (first == TEXT || first == BINARY) & (second & MASKED != 0) & matches!(role, Role::Server);
        if is_message & (field < LENGTH_16) & (usize::from(field) <= behind.len()) {
            let mask = Mask::new([a, b, c, d]);
            return Some(Self { kind, mask, header_bytes: 2 + KEY_BYTES, payload_bytes: usize::from(field) });
        }
        let (&[e, f], behind) = behind.split_first_chunk()?;
        let payload_bytes = usize::from(u16::from_be_bytes([a, b]));
        let is_longer = is_message & (field == LENGTH_16) & (payload_bytes > MAX_SHORT_BYTES);
        let mask = Mask::new([c, d, e, f]);
        (is_longer & (payload_bytes <= behind.len())).then_some(Self {
            kind,
            mask,
            header_bytes: 4 + KEY_BYTES,
            payload_bytes,
        })
    }
}

/// Judges the first byte. The one place that decides about the reserved bits: none may be set (§5.2) but the first, if
/// permessage-deflate has been agreed on, and on the first frame of a message (RFC 7692 §6).
#[inline]
fn check_first(first: u8, has_deflate: bool) -> Result<Opcode, ProtocolError> {
    if first & RESERVED != 0 && !(has_deflate && first & RESERVED == RSV1) {
        return Err(ProtocolError::ReservedBits(first));
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or(ProtocolError::ReservedOpcode(first & 0x0F))?;
    if first & RSV1 != 0 && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(ProtocolError::ReservedBits(first));
    }
    if opcode.is_control() && first & FIN == 0 {
        return Err(ProtocolError::ControlFragmented);
    }
    Ok(opcode)
}

/// Judges the second byte. Clients mask every frame, servers none (§5.1).
#[inline]
fn check_second(second: u8, opcode: Opcode, role: Role) -> Result<(), ProtocolError> {
    match (role, second & MASKED != 0) {
        (Role::Server, false) => return Err(ProtocolError::NotMasked),
        (Role::Client { .. }, true) => return Err(ProtocolError::Masked),
        (Role::Server, true) | (Role::Client { .. }, false) => {}
    }
    if opcode.is_control() && second & LENGTH > MAX_SHORT_BYTES as u8 {
        return Err(ProtocolError::ControlTooLong);
    }
    Ok(())
}

/// Reads a length of two or eight bytes, and how many bytes it took.
fn decode_length(field: u8, input: &[u8]) -> Result<Option<(u64, usize)>, ProtocolError> {
    if field == LENGTH_16 {
        let Some(&length) = input.first_chunk::<2>() else { return Ok(None) };
        let length = u64::from(u16::from_be_bytes(length));
        return if length > MAX_SHORT_BYTES as u64 {
            Ok(Some((length, 2)))
        } else {
            Err(ProtocolError::LengthNotMinimal(length))
        };
    }
    let Some(&length) = input.first_chunk::<8>() else { return Ok(None) };
    let length = u64::from_be_bytes(length);
    if length >> 63 != 0 {
        return Err(ProtocolError::LengthOverflow(length));
    }
    if length <= u64::from(u16::MAX) {
        return Err(ProtocolError::LengthNotMinimal(length));
    }
    Ok(Some((length, 8)))
}

/// Appends a header with the shortest form of the length; `bits` are [`FIN`] and [`RSV1`] (§5.2).
#[inline]
pub(crate) fn encode(bits: u8, opcode: Opcode, payload_bytes: usize, key: Option<[u8; 4]>, output: &mut Vec<u8>) {
    let first = bits | opcode as u8;
    let masked = if key.is_some() { MASKED } else { 0 };
    if payload_bytes <= MAX_SHORT_BYTES {
        output.extend_from_slice(&[first, masked | payload_bytes as u8]);
    } else if let Ok(length) = u16::try_from(payload_bytes) {
        let [high, low] = length.to_be_bytes();
        output.extend_from_slice(&[first, masked | LENGTH_16, high, low]);
    } else {
        output.extend_from_slice(&[first, masked | LENGTH_64]);
        output.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
    }
    if let Some(key) = key {
        output.extend_from_slice(&key);
    }
}
