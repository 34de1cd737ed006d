//! The opening handshake (§4): pure functions from heads to heads.
//!
//! - A server reads a head with [`parse_head`], judges it with [`UpgradeRequest::parse`], and answers what
//!   [`UpgradeRequest::accept`] or [`HandshakeError::response`] say, written by [`write_response_head`].
//! - A client names a server by [`WebSocketUri`], sends [`ClientHandshake::request`], and gives what comes back to
//!   [`ClientHandshake::handle_input`].
//! - Over HTTP/2 and HTTP/3 (RFC 8441) the same is done by [`ConnectRequest`] and [`ClientConnect`], on heads that someone
//!   else has read.

mod error;
mod extended_connect;
mod extension;
mod head;
mod offers;
mod request;
mod response;
mod uri;

use alloc::string::String;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::HeaderName;
use sha1::{Digest, Sha1};

pub use error::{HandshakeError, InvalidRequest, InvalidUri, ResponseError};
pub use extended_connect::{ClientConnect, ConnectError, ConnectRequest, WEBSOCKET_PROTOCOL};
pub use extension::Extension;
pub use head::{HeadError, HeadLimits, may_complete_head, parse_head, write_response_head};
pub use offers::{offered_extensions, offered_subprotocols};
pub use request::UpgradeRequest;
pub use response::{Accepted, Answer, ClientHandshake, ClientOptions};
pub use uri::WebSocketUri;

/// The one version in use (§4.1, item 9).
pub(crate) const VERSION: &str = "13";

/// What Sec-WebSocket-Accept must be for this Sec-WebSocket-Key, as text on both sides (§4.2.2, item 5.4).
pub(crate) fn accept_key(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    STANDARD.encode(digest)
}

/// The items of a list-valued header over all its lines, without the space around them; empty ones are left out
/// (RFC 9110 §5.6.1).
pub(crate) fn list_items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(name).into_iter();
    let items = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Whether a list-valued header names `token`, in whatever case.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list_items(headers, name).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
}

/// Reads a token (RFC 9110 §5.6.2): one or more letters, digits and some signs.
pub(crate) fn as_token(bytes: &[u8]) -> Option<&str> {
    if bytes.is_empty() || !bytes.iter().copied().all(is_token_byte) {
        return None;
    }
    core::str::from_utf8(bytes).ok()
}

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_r4_accept_is_made_from_the_text_of_the_key() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn lists_run_over_lines_and_forgive_empty_items() {
        let mut headers = HeaderMap::new();
        headers.append("connection", "keep-alive, ,Upgrade\t".parse().unwrap());
        headers.append("connection", ",, x ,".parse().unwrap());
        let name = http::header::CONNECTION;
        assert!(list_items(&headers, &name).eq([&b"keep-alive"[..], b"Upgrade", b"x"]));
        assert!(has_token(&headers, &name, "upgrade"));
        assert!(!has_token(&headers, &name, "keep"));
    }

    #[test]
    fn tokens() {
        for (bytes, token) in [
            (&b"chat.v2"[..], Some("chat.v2")),
            (b"a|b~!#$%&'*+-^_`", Some("a|b~!#$%&'*+-^_`")),
            (b"", None),
            (b"two words", None),
            (b"semi;colon", None),
            (b"caf\xC3\xA9", None),
            (b"\x7F", None),
        ] {
            assert_eq!(as_token(bytes), token);
        }
    }
}
