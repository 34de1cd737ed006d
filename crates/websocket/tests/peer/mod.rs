//! The other side, played in the same thread: it frames by hand and knows nothing of the encoder under test.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, ProtocolError, Received, Role};

/// The key in the examples of RFC 6455 §5.7.
pub(crate) const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client that masks with [`KEY`]; good for tests only.
pub(crate) const CLIENT: Role = Role::Client { mask_key: || KEY };

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A client's frame, masked with [`KEY`].
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0x80, payload.len());
    frame.extend(KEY);
    frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ KEY[index % 4]));
    frame
}

/// A server's frame.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    [head(first, 0, payload.len()), payload.to_vec()].concat()
}

/// A frame as the peer of `role` sends it.
pub(crate) fn to(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    match role {
        Role::Server => masked(first, payload),
        Role::Client { .. } => plain(first, payload),
    }
}

/// A frame as `role` sends it.
pub(crate) fn from(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    match role {
        Role::Server => plain(first, payload),
        Role::Client { .. } => masked(first, payload),
    }
}

/// The payload of a Close.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

fn head(first: u8, mask: u8, len: usize) -> Vec<u8> {
    let mut head = vec![first];
    match len {
        0..=125 => head.push(mask | len as u8),
        126..=0xFFFF => {
            head.push(mask | 126);
            head.extend((len as u16).to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend((len as u64).to_be_bytes());
        }
    }
    head
}

pub(crate) fn text(text: &str) -> Received<'static> {
    Received::Text(text.to_owned().into())
}

pub(crate) fn binary(bytes: &[u8]) -> Received<'static> {
    Received::Binary(bytes.to_owned().into())
}

pub(crate) fn ping(payload: &[u8]) -> Received<'static> {
    Received::Ping(payload.to_owned().into())
}

pub(crate) fn pong(payload: &[u8]) -> Received<'static> {
    Received::Pong(payload.to_owned().into())
}

pub(crate) fn close(code: u16, reason: &str) -> Received<'static> {
    Received::Close(Some(CloseFrame::new(CloseCode::new(code).unwrap(), reason)))
}

/// All that came of one stream of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) received: Vec<Received<'static>>,
    pub(crate) error: Option<ProtocolError>,
    pub(crate) output: Vec<u8>,
}

/// Gives `bytes` to `connection` as a transport would: in `pieces`, what is not used up once more with the next.
/// Stops at an error, without failing the connection.
pub(crate) fn feed(connection: &mut Connection, pieces: impl IntoIterator<Item: AsRef<[u8]>>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece.as_ref());
        loop {
            let before = input.clone();
            match connection.handle_input(&mut input, &mut outcome.output) {
                Ok((used, received)) => {
                    let is_more = received.is_some();
                    outcome.received.extend(received.map(Received::into_owned));
                    assert_eq!(input[used..], before[used..], "what is not used up must not change");
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
        assert!(input.len() < 14 + 125, "{} bytes are left, more than a header and a control frame", input.len());
    }
    outcome
}

/// What comes of `bytes` on a new connection, in pieces of every size: how TCP slices the stream must never matter.
#[track_caller]
pub(crate) fn outcome_with(name: &str, role: Role, limits: Limits, bytes: &[u8]) -> Outcome {
    let whole = feed(&mut Connection::new(role, limits), [bytes]);
    // Large streams are cut into a choice of sizes only, around the powers of two.
    let all = bytes.len() < 2_000;
    let sizes = (1..=bytes.len()).filter(|size| all || (*size >= 61 && (*size & (*size - 1)) < 2));
    for size in sizes {
        let cut = feed(&mut Connection::new(role, limits), bytes.chunks(size));
        assert_eq!(cut, whole, "{name}, in pieces of {size}");
    }
    whole
}

pub(crate) fn outcome(name: &str, role: Role, bytes: &[u8]) -> Outcome {
    outcome_with(name, role, Limits::DEFAULT, bytes)
}

/// `bytes` bring exactly `received` and no error.
#[track_caller]
pub(crate) fn check(name: &str, role: Role, bytes: &[u8], received: &[Received<'static>]) {
    let outcome = outcome(name, role, bytes);
    assert_eq!((outcome.received.as_slice(), outcome.error), (received, None), "{name}");
}

/// `bytes` bring nothing but `error`, and a Close with `code` is the answer.
#[track_caller]
pub(crate) fn check_error(name: &str, role: Role, bytes: &[u8], error: ProtocolError, code: u16) {
    let outcome = outcome(name, role, bytes);
    assert_eq!((outcome.received, outcome.error), (vec![], Some(error)), "{name}");
    assert_eq!(error.close_code().value(), code, "{name}");
    let mut connection = Connection::new(role, Limits::DEFAULT);
    feed(&mut connection, [bytes]);
    let mut output = Vec::new();
    connection.fail(&error, &mut output);
    assert_eq!(output, from(role, FIN | CLOSE, &close_payload(code, &error.to_string())), "{name}");
}
