//! The other side with permessage-deflate: it frames and inflates by hand.

#![allow(dead_code, unused_imports, reason = "each file of tests uses a part of it")]

mod inflater;

use wingbeat_websocket::deflate::{DEFLATE_EXTENSION, DeflateConfig, DeflateParams, DeflatePool};
use wingbeat_websocket::handshake::Extension;
use wingbeat_websocket::{Connection, Limits, Received, Role};

pub(crate) use inflater::Inflater;

use crate::peer::Outcome;

/// The bit of the first frame of a compressed message.
pub(crate) const RSV1: u8 = 0x40;

/// "Hello" compressed, in all the forms of RFC 7692 §7.2.3.
pub(crate) const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
pub(crate) const HELLO_AGAIN: [u8; 5] = [0xF2, 0x00, 0x11, 0x00, 0x00];
pub(crate) const HELLO_STORED: [u8; 11] = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
pub(crate) const HELLO_FINAL: [u8; 8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
pub(crate) const HELLO_BLOCKS: [u8; 13] =
    [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];

/// An offer or answer of permessage-deflate, written as in the header.
pub(crate) fn extension(params: &str) -> Extension<'_> {
    let params = params.split(';').map(str::trim).filter(|param| !param.is_empty());
    let params = params.map(|param| match param.split_once('=') {
        Some((name, value)) => (name, Some(value.into())),
        None => (param, None),
    });
    Extension { name: DEFLATE_EXTENSION, params: params.collect() }
}

pub(crate) const TAKEOVER: DeflateConfig =
    DeflateConfig::DEFAULT.with_server_takeover(true).with_client_takeover(true).with_min_bytes(0);
pub(crate) const NO_TAKEOVER: DeflateConfig = DeflateConfig::DEFAULT.with_min_bytes(0);

/// What a server with `config` and a client that leaves everything open agree on.
pub(crate) fn agreed(config: DeflateConfig) -> DeflateParams {
    config.accept([extension("client_max_window_bits")]).expect("a bare offer")
}

pub(crate) fn connection(role: Role, config: DeflateConfig) -> Connection {
    connection_with(role, config, Limits::DEFAULT)
}

pub(crate) fn connection_with(role: Role, config: DeflateConfig, limits: Limits) -> Connection {
    let mut connection = Connection::new(role, limits);
    connection.set_deflate(agreed(config), None);
    connection
}

/// As [`crate::peer::feed`], with a pool.
pub(crate) fn feed_with(
    connection: &mut Connection,
    pool: &mut DeflatePool,
    pieces: impl IntoIterator<Item: AsRef<[u8]>>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece.as_ref());
        loop {
            match connection.handle_input_with(pool, &mut input, &mut outcome.output) {
                Ok((used, received)) => {
                    let is_more = received.is_some();
                    outcome.received.extend(received.map(Received::into_owned));
                    input.drain(..used);
                    if !is_more {
                        break;
                    }
                }
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// What comes of `bytes` on a new connection, in pieces of every size.
#[track_caller]
pub(crate) fn outcome_with(role: Role, config: DeflateConfig, limits: Limits, bytes: &[u8]) -> Outcome {
    let mut pool = DeflatePool::new(config);
    let whole = feed_with(&mut connection_with(role, config, limits), &mut pool, [bytes]);
    for size in (1..=bytes.len()).filter(|size| bytes.len() < 200 || size.is_power_of_two()) {
        let cut = feed_with(&mut connection_with(role, config, limits), &mut pool, bytes.chunks(size));
        assert_eq!(cut, whole, "in pieces of {size}");
    }
    whole
}

#[track_caller]
pub(crate) fn outcome(role: Role, bytes: &[u8]) -> Outcome {
    outcome_with(role, TAKEOVER, Limits::DEFAULT, bytes)
}

/// First byte and payload of the one frame of a server in `output`.
pub(crate) fn server_frame(output: &[u8]) -> (u8, &[u8]) {
    let header_bytes = match output[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    (output[0], &output[header_bytes..])
}

/// Text with little to say, `bytes` of it: repeated far and near, and never quite the same.
pub(crate) fn wordy(bytes: usize) -> String {
    let words =
        ["phoenix", "socket", "channel", "room:lobby", "presence", "{\"event\":\"push\"}", "wing", "beat", "42"];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut text = String::new();
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(words[(state >> 33) as usize % words.len()]);
        text.push(' ');
    }
    text.truncate(bytes);
    text
}
