//! A connection that is fed as a transport would.

use wingbeat_websocket::deflate::{DeflateConfig, DeflateParams, DeflatePool};
use wingbeat_websocket::handshake::Extension;
use wingbeat_websocket::{Connection, Limits, ProtocolError, Received, Role};

/// A client whose masks can be foreseen: good for nothing else.
pub(crate) const CLIENT: Role = Role::Client { mask_key: || [0x37, 0xFA, 0x21, 0x3D] };

/// What may be left in the input: less than a header and a control frame.
const MAX_LEFT_BYTES: usize = 14 + 125;

/// All that came of one stream of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) received: Vec<Received<'static>>,
    pub(crate) error: Option<ProtocolError>,
    pub(crate) output: Vec<u8>,
}

/// One side of a connection, and what it needs.
pub(crate) struct Side {
    pub(crate) connection: Connection,
    pub(crate) pool: DeflatePool,
    pub(crate) is_server: bool,
    input: Vec<u8>,
}

impl Side {
    pub(crate) fn new(role: Role, limits: Limits, config: DeflateConfig, deflate: Option<DeflateParams>) -> Self {
        let mut connection = Connection::new(role, limits);
        if let Some(params) = deflate {
            connection.set_deflate(params, None);
        }
        let is_server = matches!(role, Role::Server);
        Self { connection, pool: DeflatePool::new(config), is_server, input: Vec::new() }
    }

    /// Gives the bytes to the connection in `pieces`. A protocol error fails it, as a transport would.
    pub(crate) fn feed<'p>(&mut self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
        let mut outcome = Outcome::default();
        for piece in pieces {
            self.input.extend_from_slice(piece);
            loop {
                let before = self.input.len();
                let output = &mut outcome.output;
                match self.connection.handle_input_with(&mut self.pool, &mut self.input, output) {
                    Ok((used, received)) => {
                        assert!(used <= before, "{used} of {before} bytes are used up");
                        assert!(received.is_none() || used > 0, "something came of nothing");
                        let is_more = received.is_some();
                        outcome.received.extend(received.map(Received::into_owned));
                        self.input.drain(..used);
                        if !is_more {
                            break;
                        }
                    }
                    Err(error) => {
                        outcome.error = Some(error);
                        self.connection.fail(&error, &mut outcome.output);
                        assert!(self.connection.is_done() && !self.connection.can_send());
                        return outcome;
                    }
                }
            }
            assert!(self.input.len() < MAX_LEFT_BYTES, "{} bytes are left", self.input.len());
            assert!(!self.connection.is_done() || self.input.is_empty(), "all is used up after the end");
        }
        outcome
    }
}

/// What a server with this configuration grants to a bare offer that allows all; `None` if it grants nothing.
pub(crate) fn granted(config: &DeflateConfig) -> Option<DeflateParams> {
    config.accept([Extension { name: "permessage-deflate", params: vec![("client_max_window_bits", None)] }])
}

/// A configuration out of two bytes.
pub(crate) fn config([bits, flags]: [u8; 2]) -> DeflateConfig {
    DeflateConfig::DEFAULT
        .with_server_max_window_bits(9 + (bits & 7))
        .with_client_max_window_bits(9 + (bits >> 4 & 7))
        .with_server_takeover(flags & 1 != 0)
        .with_client_takeover(flags & 2 != 0)
        .with_level(1 + (flags >> 4))
        .with_min_bytes(if flags & 4 != 0 { 0 } else { 16 })
}

/// Cuts `bytes` into pieces of the given sizes, over and over; a size of 0 counts as 1.
pub(crate) fn cut<'b>(bytes: &'b [u8], sizes: &[u8]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().chain([&u8::MAX]).cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(usize::from(*size).max(1).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
