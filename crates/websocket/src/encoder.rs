//! Messages to bytes: frames in their shortest form, masked if we are a client (§5.1, §5.3).

use alloc::vec::Vec;

use crate::connection::Role;
use crate::header;
use crate::mask::Mask;
use crate::opcode::Opcode;

/// Appends the header of a server's frame: FIN set, no mask, 2, 4 or 10 bytes (§5.2).
///
/// The payload of exactly `payload_bytes` must follow.
#[inline]
pub fn encode_server_header(opcode: Opcode, payload_bytes: usize, output: &mut Vec<u8>) {
    header::encode(header::FIN, opcode, payload_bytes, None, output);
}

/// Appends a whole message or control frame as a server sends it, header and payload.
///
/// What a server sends depends on no connection, so one frame may be shared by many: a broadcast is encoded once.
/// The caller sees to it that text is UTF-8 and a control frame at most 125 bytes long.
#[inline]
pub fn encode_server_frame(opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) {
    encode_frame(Role::Server, header::FIN, opcode, payload, output);
}

/// Appends a server's frame whose payload `write` appends by itself, with no copy in between.
///
/// The header is put before it afterwards; a payload of up to 125 bytes does not move for it. `write` must only append.
#[inline]
pub fn encode_server_frame_with(opcode: Opcode, output: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = output.len();
    encode_server_header(opcode, 0, output);
    let guessed = output.len();
    write(output);
    let payload_bytes = output.len() - guessed;
    if payload_bytes <= header::MAX_SHORT_BYTES {
        output[guessed - 1] = payload_bytes as u8;
        return;
    }
    // The longer header is written behind the payload, for want of a better place, and moved to the front.
    let end = output.len();
    encode_server_header(opcode, payload_bytes, output);
    let header_bytes = output.len() - end;
    let mut header = [0; header::MAX_SERVER_BYTES];
    header[..header_bytes].copy_from_slice(&output[end..]);
    output.copy_within(guessed..end, start + header_bytes);
    output[start..start + header_bytes].copy_from_slice(&header[..header_bytes]);
    output.truncate(start + header_bytes + payload_bytes);
}

/// Appends one frame for `role`; `bits` are [`header::FIN`] and [`header::RSV1`].
#[inline]
pub(crate) fn encode_frame(role: Role, bits: u8, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) {
    match role {
        Role::Server => {
            output.reserve(header::MAX_SERVER_BYTES + payload.len());
            header::encode(bits, opcode, payload.len(), None, output);
            append(payload, output);
        }
        Role::Client { mask_key } => {
            let key = mask_key();
            header::encode(bits, opcode, payload.len(), Some(key), output);
            let start = output.len();
            output.extend_from_slice(payload);
            Mask::new(key).apply(&mut output[start..]);
        }
    }
}

/// Appends `payload`. A short one is copied by its two ends, in the narrowest blocks that meet: no call, no loop.
#[inline]
fn append(payload: &[u8], output: &mut Vec<u8>) {
    match payload.len() {
        8..=16 => append_ends::<8>(payload, output),
        17..=32 => append_ends::<16>(payload, output),
        33..=64 => append_ends::<32>(payload, output),
        65..=128 => append_ends::<64>(payload, output),
        _ => output.extend_from_slice(payload),
    }
}

/// Appends the first and the last `N` bytes, which are all there are, where they belong.
#[inline(always)]
fn append_ends<const N: usize>(payload: &[u8], output: &mut Vec<u8>) {
    if let (Some(first), Some(last)) = (payload.first_chunk::<N>(), payload.last_chunk::<N>()) {
        output.extend_from_slice(first);
        output.truncate(output.len() - (2 * N - payload.len()));
        output.extend_from_slice(last);
    }
}
