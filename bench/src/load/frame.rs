//! Frames as the generator and the floor need them: encoded once, found again by their headers (RFC 6455 §5.2).

use base64::Engine;
use sha1::{Digest, Sha1};

/// The key of every frame of the generator. Not random: nobody between us and the server is to be protected (§10.3).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A whole text message.
    Text = 1,
    /// A whole binary message.
    Binary = 2,
    /// Asks for a Pong.
    Ping = 9,
    /// Answers a Ping.
    Pong = 10,
}

/// The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key (§4.2.2).
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// A whole masked frame, as a client sends it.
pub fn client_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, 0x80, payload.len());
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A whole frame as a server sends it.
pub fn server_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(opcode: Opcode, mask_bit: u8, len: usize) -> Vec<u8> {
    let mut header = vec![0x80 | opcode as u8];
    match len {
        0..126 => header.push(mask_bit | len as u8),
        126..65_536 => {
            header.push(mask_bit | 126);
            header.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            header.push(mask_bit | 127);
            header.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    header
}

/// The length of the header of a frame of a server, by its second byte.
pub fn server_header_len(second: u8) -> usize {
    match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

/// The length of the frame of a server that begins `bytes`, once its header is there.
pub fn server_frame_len(bytes: &[u8]) -> Option<usize> {
    let len = match bytes.get(1)? & 0x7f {
        126 => 4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        127 => 10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?,
        short => 2 + usize::from(short),
    };
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_frame_is_found_by_its_header() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let frame = server_frame(Opcode::Binary, &vec![7; len]);
            assert_eq!(server_frame_len(&frame), Some(frame.len()), "{len} bytes");
            assert_eq!(client_frame(Opcode::Binary, &vec![7; len]).len(), frame.len() + 4);
        }
        assert_eq!(server_frame_len(&server_frame(Opcode::Text, &[0; 200])[..3]), None);
    }
}
