//! Why an opening handshake failed: the client's request, our own request, or the server's response.

use alloc::format;
use alloc::string::{String, ToString};

use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Response, StatusCode, Version};

use super::VERSION;

/// A request that cannot be accepted as an opening handshake (§4.2.1). [`response`](Self::response) says so.
///
/// What came is kept as far as it helps the other side, cut to 64 characters and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// HTTP/1.0 or older, which knows no upgrade. 505.
    #[error("HTTP/1.1 is needed to open a WebSocket, this is {0:?}")]
    OldVersion(Version),
    /// HTTP/2 or HTTP/3, which open a WebSocket by extended CONNECT only (RFC 8441, RFC 9220). 501.
    #[error("a WebSocket is not opened like this over {0:?}")]
    NewVersion(Version),
    /// The method is not GET. 405.
    #[error("the method must be GET, not {0}")]
    Method(String),
    /// There is not exactly one valid Host. 400.
    #[error("exactly one valid Host header is needed")]
    Host,
    /// Upgrade does not name `websocket`. 426.
    #[error("this is a WebSocket: the Upgrade header must name websocket")]
    NoUpgrade,
    /// Connection does not name `Upgrade`. 426.
    #[error("this is a WebSocket: the Connection header must name Upgrade")]
    NoConnectionUpgrade,
    /// The request has a body. 400.
    #[error("a request for a WebSocket has no body")]
    Body,
    /// There is no Sec-WebSocket-Version. 400.
    #[error("the Sec-WebSocket-Version header is missing, it must be {VERSION}")]
    NoVersion,
    /// Sec-WebSocket-Version is not 13. 426.
    #[error("Sec-WebSocket-Version must be {VERSION}, not {0}")]
    UnsupportedVersion(String),
    /// There is not exactly one Sec-WebSocket-Key. 400.
    #[error("exactly one Sec-WebSocket-Key header is needed, there are {0}")]
    KeyCount(usize),
    /// Sec-WebSocket-Key is something else than 16 bytes in base64. 400.
    #[error("Sec-WebSocket-Key must be 16 bytes in base64, not {0}")]
    Key(String),
    /// Sec-WebSocket-Protocol names something that is no token. 400.
    #[error("Sec-WebSocket-Protocol must be a list of tokens, {0} is none")]
    Subprotocol(String),
    /// Sec-WebSocket-Extensions does not follow the grammar (§9.1). 400.
    #[error("Sec-WebSocket-Extensions must follow RFC 6455 §9.1")]
    Extensions,
    /// We chose a subprotocol the client had not offered: our own mistake. 500.
    #[error("the subprotocol that was chosen had not been offered")]
    SubprotocolNotOffered,
    /// We chose an extension the client had not offered, or one twice: our own mistake. 500.
    #[error("an extension that was chosen had not been offered")]
    ExtensionNotOffered,
}

impl HandshakeError {
    /// The status to answer with (§4.2.2, §4.4, RFC 9110 §15).
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::OldVersion(_) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::NewVersion(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoUpgrade | Self::NoConnectionUpgrade | Self::UnsupportedVersion(_) => StatusCode::UPGRADE_REQUIRED,
            Self::Host
            | Self::Body
            | Self::NoVersion
            | Self::KeyCount(_)
            | Self::Key(_)
            | Self::Subprotocol(_)
            | Self::Extensions => StatusCode::BAD_REQUEST,
            Self::SubprotocolNotOffered | Self::ExtensionNotOffered => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The whole answer: the status, the headers that belong to it, and a sentence as its body.
    ///
    /// A 426 carries Upgrade and Connection (RFC 9110 §15.5.22) and, as every answer about the version,
    /// Sec-WebSocket-Version (§4.4); a 405 carries Allow.
    pub fn response(&self) -> Response<String> {
        let body = format!("{self}\n");
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, length);
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        match self {
            Self::UnsupportedVersion(_) | Self::NoVersion => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
            }
            Self::Method(_) => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            _ => {}
        }
        response
    }
}

/// What came from the peer, as it may stand in a sentence: escaped, quoted and cut.
pub(super) fn quoted(bytes: &[u8]) -> String {
    const MAX_BYTES: usize = 64;
    let mut text = bytes[..bytes.len().min(MAX_BYTES)].escape_ascii().to_string();
    if bytes.len() > MAX_BYTES {
        text.push_str("...");
    }
    format!("\"{text}\"")
}

/// We asked for something that is no opening handshake (§4.1). Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// A subprotocol is no token.
    #[error("subprotocol {0} is not a token")]
    Subprotocol(String),
    /// A subprotocol is offered twice.
    #[error("subprotocol {0} is offered twice")]
    RepeatedSubprotocol(String),
    /// An extension offer does not follow the grammar (§9.1).
    #[error("extension offer {0} does not follow RFC 6455 §9.1")]
    Extension(String),
    /// The header belongs to the handshake and has an option of its own, or none.
    #[error("header {0} is set by the handshake itself")]
    ReservedHeader(String),
    /// The server has not said that it takes extended CONNECT (RFC 8441 §3).
    #[error("the server has not enabled extended CONNECT (RFC 8441 §3)")]
    NoExtendedConnect,
    /// The URI is longer than a request over HTTP/2 can carry here, 65,534 bytes.
    #[error("the URI is longer than 65,534 bytes")]
    UriTooLong,
}

/// A text is not a WebSocket URI (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUri {
    /// The scheme is missing, or neither `ws` nor `wss`.
    #[error("a WebSocket URI begins with ws:// or wss://")]
    Scheme,
    /// There is a fragment; a `#` in a path is written `%23`.
    #[error("a WebSocket URI has no fragment (RFC 6455 §3)")]
    Fragment,
    /// There is a user name; credentials belong into an Authorization header.
    #[error("a WebSocket URI has no user information (RFC 6455 §3)")]
    UserInformation,
    /// The host is missing, or is no name and no address. International names are written in ASCII (`xn--`).
    #[error("the host is not a name or an address")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// The path or the query has a character that must be percent-encoded (RFC 3986).
    #[error("the path or the query has a character that must be percent-encoded")]
    Resource,
}

/// The server's response is not the end of an opening handshake (§4.1). Fatal: hang up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// What came is not an HTTP/1 head.
    #[error("the response is not HTTP/1.1")]
    Malformed,
    /// The head is larger than the limits allow.
    #[error("the head of the response is too large")]
    TooLarge,
    /// 101 over HTTP/1.0, which knows no upgrade.
    #[error("101 over HTTP/1.0")]
    OldVersion,
    /// 101 over HTTP/2 or HTTP/3, which have no such status.
    #[error("101 in answer to an extended CONNECT (RFC 9113 §8.6)")]
    SwitchingProtocols,
    /// 101, but Upgrade is not `websocket`.
    #[error("101 without an Upgrade header that is websocket (RFC 6455 §4.1)")]
    NoUpgrade,
    /// 101, but Connection does not name `Upgrade`.
    #[error("101 without a Connection header that names Upgrade (RFC 6455 §4.1)")]
    NoConnectionUpgrade,
    /// Sec-WebSocket-Accept is missing or does not belong to our key.
    #[error("Sec-WebSocket-Accept does not belong to the key (RFC 6455 §4.1)")]
    Accept,
    /// The server uses an extension that was not offered, one twice, or does not follow the grammar.
    #[error("the server uses an extension that was not offered, or one twice (RFC 6455 §4.1)")]
    Extension,
    /// The server uses permessage-deflate with parameters that may not be, or are not what was offered.
    #[error("the server's parameters of permessage-deflate do not follow from the offer (RFC 7692 §7.1)")]
    Deflate,
    /// The server chose a subprotocol that was not offered, or more than one.
    #[error("the server chose a subprotocol that was not offered (RFC 6455 §4.1)")]
    Subprotocol,
    /// The server chose no subprotocol although one is required.
    #[error("the server chose none of the subprotocols")]
    NoSubprotocol,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_escaped_and_cut() {
        assert_eq!(quoted(b"<\xFF\r\n\">"), r#""<\xff\r\n\">""#);
        assert_eq!(quoted(&[b'a'; 64]), format!("\"{}\"", "a".repeat(64)));
        assert_eq!(quoted(&[b'a'; 65]), format!("\"{}...\"", "a".repeat(64)));
    }
}
