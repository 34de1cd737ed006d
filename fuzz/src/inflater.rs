//! Compressed messages of a stranger: another inflater agrees, and the limit holds.

use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use wingbeat_websocket::{Limits, ProtocolError, Received, Role};

use crate::stream::{self, Outcome, Side};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const PING: u8 = 0x9;
/// The tail that a sender cuts off, and an empty final block, so that a stream shows whether it is whole.
const END: [u8; 9] = [0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF];

/// Flags, the limit, two bytes of configuration, four sizes of pieces; then messages, each behind its length.
pub fn inflater(data: &[u8]) {
    let Some((&[flags, limit, bits, more, ref sizes @ ..], mut rest)) = data.split_first_chunk::<8>() else { return };
    let max_bytes = 1 << (limit & 15);
    let config = stream::config([bits, more]).with_max_ratio(u32::MAX);
    let Some(params) = stream::granted(&config) else { unreachable!("all is offered") };
    let limits = Limits::DEFAULT.with_max_message_bytes(max_bytes);
    let mut server = Side::new(Role::Server, limits, config, Some(params));
    let window_bytes = if params.has_client_takeover() { 1 << params.client_window_bits() } else { 0 };
    let mut history = Vec::new();
    let mut compressor = compressor();
    let kind = if flags & 1 == 0 { BINARY } else { TEXT };
    while let Some((&length, behind)) = rest.split_first() {
        let length = if length < 128 { usize::from(length) } else { usize::from(length - 127) * 32 };
        let (message, behind) = behind.split_at(length.min(behind.len()));
        rest = behind;
        // The other knows the largest window only; for a smaller one it has to forget.
        if !params.has_client_takeover() || params.client_window_bits() < 15 {
            compressor.reset();
        }
        let compressed = if flags & 2 == 0 { message.to_vec() } else { deflate(&mut compressor, message) };
        // What is larger than a message may be is refused before it is inflated.
        if compressed.len() > max_bytes {
            return;
        }
        let outcome = server.feed(stream::cut(&frames(kind, &compressed, flags & 4 != 0), sizes));
        let expected = inflate(&history, &compressed, max_bytes);
        let Some(inflated) = check(outcome, kind, flags & 4 != 0, max_bytes, expected.as_deref()) else {
            let is_sound = flags & 2 != 0 && kind == BINARY && message.len() <= max_bytes;
            assert!(!is_sound, "what another has compressed is inflated");
            return;
        };
        history.extend(inflated);
        history.drain(..history.len().saturating_sub(window_bytes));
    }
}

/// The message in two compressed fragments, perhaps with a Ping between them, masked with a key of zeros.
fn frames(kind: u8, message: &[u8], has_ping: bool) -> Vec<u8> {
    let (head, tail) = message.split_at(message.len() / 2);
    let ping = if has_ping { frame(FIN | PING, b"\xF2 not compressed") } else { Vec::new() };
    [frame(RSV1 | kind, head), ping, frame(FIN, tail)].concat()
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        short @ 0..=125 => vec![0x80 | short as u8],
        long => [&[0x80 | 126][..], &(long as u16).to_be_bytes()].concat(),
    };
    [&[first][..], &length, &[0; 4], payload].concat()
}

/// What was inflated, if it was.
fn check(outcome: Outcome, kind: u8, has_ping: bool, max_bytes: usize, expected: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut received = outcome.received.into_iter();
    if has_ping {
        assert_eq!(received.next(), Some(Received::Ping(b"\xF2 not compressed"[..].into())));
    }
    match (received.next(), outcome.error) {
        (Some(message), None) => {
            let (is_text, bytes) = match message {
                Received::Text(text) => (true, text.into_owned().into_bytes()),
                Received::Binary(bytes) => (false, bytes.into_owned()),
                other => panic!("{other:?}"),
            };
            assert_eq!((is_text, Some(&bytes[..])), (kind == TEXT, expected));
            assert!(bytes.len() <= max_bytes && bytes.capacity() <= max_bytes + 64, "{} reserved", bytes.capacity());
            Some(bytes)
        }
        (None, Some(ProtocolError::InvalidUtf8)) => {
            let bytes = expected.expect("the other inflates it");
            assert!(kind == TEXT && std::str::from_utf8(bytes).is_err());
            None
        }
        (None, Some(ProtocolError::MessageTooBig { .. })) => {
            assert!(expected.is_none(), "it would have fitted");
            None
        }
        // The other is less strict with tables of codes, so it may inflate what we do not.
        (None, Some(ProtocolError::InvalidDeflate)) => None,
        (message, error) => panic!("{message:?}, {error:?}"),
    }
}

/// As another crate does it; `None` if it is too big, or no stream.
fn inflate(history: &[u8], message: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    // An empty message is nothing at all, see the inflater under test.
    if message.is_empty() {
        return Some(Vec::new());
    }
    let mut buffer = [history, &vec![0; max_bytes + 1]].concat();
    let end = match run(&mut buffer, history.len(), message)? {
        (end, true) => end,
        (_, false) => match run(&mut buffer, history.len(), &[message, &END].concat())? {
            (end, true) => end,
            (_, false) => return None,
        },
    };
    let inflated = &buffer[history.len()..end];
    (inflated.len() <= max_bytes).then(|| inflated.to_vec())
}

/// How far the output goes, and whether a final block ended right with the input. A final block before that is followed
/// by another stream (RFC 7692 §7.2.3.5).
fn run(buffer: &mut [u8], start: usize, mut input: &[u8]) -> Option<(usize, bool)> {
    use inflate_flags::{TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF};
    let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut at = start;
    loop {
        let mut state = DecompressorOxide::new();
        let (status, read, written) = decompress(&mut state, input, buffer, at, flags);
        (input, at) = (&input[read..], at + written);
        match status {
            TINFLStatus::Done if input.is_empty() => return Some((at, true)),
            TINFLStatus::Done => {}
            TINFLStatus::NeedsMoreInput if input.is_empty() => return Some((at, false)),
            _ => return None,
        }
    }
}

fn compressor() -> CompressorOxide {
    CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, 0))
}

/// As another crate compresses it, without the tail (RFC 7692 §7.2.1).
fn deflate(compressor: &mut CompressorOxide, message: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    compress_to_output(compressor, message, TDEFLFlush::Sync, |bytes| {
        output.extend_from_slice(bytes);
        true
    });
    assert_eq!(output.split_off(output.len() - 4), [0, 0, 0xFF, 0xFF]);
    output
}
