//! Seeing every connection and every frame, for who inspects a server.

#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod moments;
pub(crate) mod redaction;
pub(crate) mod stats;
pub(crate) mod watch;

use std::net::SocketAddr;
use std::time::Instant;

use http::uri::Scheme;
use http::{HeaderMap, Method, StatusCode, Version, header};
use wingbeat_websocket::{Opcode, ProtocolError};

use crate::handler::Closed;
use crate::worker::inbox::ConnectionId;

/// Sees what happens on all connections of a server; see [`Server::with_observer`](crate::Server::with_observer).
///
/// Each callback runs where the thing happens, on the thread of a worker: it must not block, and what it wants to keep it
/// has to copy. One that panics is told nothing more. Of one connection things are told in the order in which they
/// happened on the wire: a frame that came when it is complete and before its handler hears of it, a frame of ours when
/// the last of it was given to the socket. What was queued, and then dropped or lost with its connection, is not told.
///
/// Heads are shown with their secrets masked ([`Redaction`](crate::Redaction)); payloads as they are.
pub trait Observer: Send + Sync + 'static {
    /// A handshake was answered with 101, or 200 over HTTP/2. Its connection has an id from now on.
    fn handle_open(&self, exchange: &Exchange<'_>) {
        let _ = exchange;
    }

    /// A request for one of our mounts was answered with something else, or no request could be read.
    fn handle_refusal(&self, exchange: &Exchange<'_>) {
        let _ = exchange;
    }

    /// A frame came or leaves.
    fn handle_frame(&self, connection: ConnectionId, frame: &Frame<'_>) {
        let _ = (connection, frame);
    }

    /// The peer has broken a rule or a limit, with the frame told last if that frame came from it and was one at all.
    fn handle_violation(&self, connection: ConnectionId, error: &ProtocolError) {
        let _ = (connection, error);
    }

    /// So many messages were dropped or refused, because the output of their connection is full.
    fn handle_drop(&self, connection: ConnectionId, messages: u64) {
        let _ = (connection, messages);
    }

    /// The connection is closed for its handler. Its last frames may still be on their way.
    fn handle_close(&self, connection: ConnectionId, closed: &Closed) {
        let _ = (connection, closed);
    }

    /// The socket is gone, and nothing more is told of the connection.
    fn handle_end(&self, connection: ConnectionId) {
        let _ = connection;
    }
}

/// A request for one of our mounts, and the answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The connection, once it has opened, or if a worker read the request.
    pub connection: Option<ConnectionId>,
    /// When it was answered.
    pub at: Instant,
    /// The request; `None` if none could be read.
    pub request: Option<&'a RequestHead>,
    /// The answer.
    pub status: StatusCode,
    /// The fields of the answer, secrets masked.
    pub headers: &'a HeaderMap,
    /// What a refusal says.
    pub body: &'a [u8],
}

impl Exchange<'_> {
    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
    }

    /// The extensions that were agreed on, with their parameters.
    #[must_use]
    pub fn extensions(&self) -> Option<&str> {
        self.headers.get(header::SEC_WEBSOCKET_EXTENSIONS)?.to_str().ok()
    }
}

/// What a client asked, secrets masked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestHead {
    /// The other end of the connection.
    pub peer_addr: Option<SocketAddr>,
    /// Whether it is encrypted.
    pub scheme: Scheme,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The version of HTTP.
    pub version: Version,
    /// The fields.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// What the client calls itself.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.headers.get(header::USER_AGENT)?.to_str().ok()
    }
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer to us.
    Received,
    /// From us to the peer.
    Sent,
}

/// A frame as it is on the wire (RFC 6455 §5.2), whatever is right or wrong about it.
///
/// Who wants messages joined and inflated gives the frames, [encoded](Self::encode), to a
/// [`websocket::Connection`](wingbeat_websocket::Connection) for either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// When all of it had come, or was given to the socket.
    pub at: Instant,
    /// FIN: the last frame of a message, or the only one.
    pub fin: bool,
    /// The reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub reserved: u8,
    /// The opcode, four bits.
    pub opcode: u8,
    /// The key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
    /// The size of the payload, as the header says.
    pub payload_bytes: u64,
    /// The size of the header, mask included: it shows a length that is not in its shortest form.
    pub header_bytes: usize,
    /// The payload without its mask; compressed if RSV1 says so. Shorter than [`payload_bytes`](Self::payload_bytes) only
    /// if the frame was cut short by the end of the connection.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// The opcode, if it has a meaning.
    #[must_use]
    pub fn known_opcode(&self) -> Option<Opcode> {
        Opcode::from_bits(self.opcode)
    }

    /// Whether it begins a compressed message (RFC 7692 §6), if compression was agreed on.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.reserved & 4 != 0
    }

    /// What it takes on the wire, header included.
    #[must_use]
    pub fn wire_bytes(&self) -> u64 {
        self.payload_bytes.saturating_add(self.header_bytes as u64)
    }

    /// Appends the frame to `output` as it was on the wire, byte for byte.
    pub fn encode(&self, output: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        output.push(u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode);
        match self.header_bytes - if self.mask.is_some() { 4 } else { 0 } {
            2 => output.push(masked | self.payload_bytes as u8),
            4 => {
                output.push(masked | 126);
                output.extend((self.payload_bytes as u16).to_be_bytes());
            }
            _ => {
                output.push(masked | 127);
                output.extend(self.payload_bytes.to_be_bytes());
            }
        }
        let key = self.mask.unwrap_or_default();
        if self.mask.is_some() {
            output.extend(key);
        }
        output.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
}
