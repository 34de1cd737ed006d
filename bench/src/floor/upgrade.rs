//! The least that a client accepts as an opening handshake (RFC 6455 §4.2.2).

use super::connection::Role;
use crate::load::frame::accept_key;

/// A request longer than this is not for us.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;

/// What the head asked for and what it is answered.
pub(super) struct Upgrade {
    pub(super) role: Role,
    pub(super) response: String,
    /// Frames may begin here.
    pub(super) head_len: usize,
}

/// Reads the head at the front of `bytes`; nothing if it is not whole or names no key.
pub(super) fn read(bytes: &[u8]) -> Option<Upgrade> {
    let head_len = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_len]).ok()?;
    let path = head.split(' ').nth(1)?;
    let role = match path.split('?').next()? {
        "/sub" => Role::Subscriber,
        "/pub" => Role::Publisher,
        _ => Role::Echo,
    };
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    })?;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {}\r\n\r\n",
        accept_key(key)
    );
    Some(Upgrade { role, response, head_len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_role() {
        for (path, role) in [("/", Role::Echo), ("/sub", Role::Subscriber), ("/pub?x=1", Role::Publisher)] {
            let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
            let upgrade = read(format!("{head}rest").as_bytes()).expect("a whole head");
            assert_eq!(upgrade.role, role);
            assert_eq!(upgrade.head_len, head.len());
            assert!(upgrade.response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{}", upgrade.response);
            assert!(read(&head.as_bytes()[..head.len() - 1]).is_none());
        }
    }
}
