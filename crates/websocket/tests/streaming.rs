//! Messages taken in parts: whatever the cuts, they say the same as whole ones, and are refused for the same reasons.

use wingbeat_websocket::{Connection, Limits, MessageKind, ProtocolError, Received, ReceivedFragment, Role};

const KEY: [u8; 4] = [1, 2, 3, 4];

fn client() -> Connection {
    Connection::new(Role::Client { mask_key: || KEY }, Limits::DEFAULT)
}

/// Everything a connection hands up of `bytes`, which come in pieces of `size`.
struct Taken {
    /// Each message: its kind, its payload, and how many parts it came in.
    messages: Vec<(MessageKind, Vec<u8>, usize)>,
    /// Control frames, with how many messages were over before.
    controls: Vec<(usize, Received<'static>)>,
    output: Vec<u8>,
    error: Option<ProtocolError>,
    /// Bytes of the message that the error cut off.
    unfinished: Vec<u8>,
}

fn take(connection: &mut Connection, checks_text: bool, bytes: &[u8], size: usize) -> Taken {
    take_with(bytes, size, |input, output| connection.handle_fragment(checks_text, input, output))
}

fn take_with(
    bytes: &[u8],
    size: usize,
    mut handle: impl for<'a> FnMut(
        &'a mut [u8],
        &mut Vec<u8>,
    ) -> Result<(usize, Option<ReceivedFragment<'a>>), ProtocolError>,
) -> Taken {
    let mut taken = Taken { messages: vec![], controls: vec![], output: vec![], error: None, unfinished: Vec::new() };
    let (mut rest, mut parts): (Vec<u8>, usize) = (Vec::new(), 0);
    for piece in bytes.chunks(size) {
        rest.extend_from_slice(piece);
        loop {
            let (used, received) = match handle(&mut rest, &mut taken.output) {
                Ok(received) => received,
                Err(error) => {
                    taken.error = Some(error);
                    return taken;
                }
            };
            let is_over = received.is_none();
            match received {
                Some(ReceivedFragment::Fragment(fragment)) => {
                    assert_eq!(fragment.is_first, parts == 0);
                    assert!(fragment.is_final || !fragment.bytes().is_empty());
                    if let Some(text) = fragment.text() {
                        assert_eq!(text.as_bytes(), fragment.bytes());
                    }
                    parts += 1;
                    taken.unfinished.extend_from_slice(fragment.bytes());
                    if fragment.is_final {
                        let message = std::mem::take(&mut taken.unfinished);
                        taken.messages.push((fragment.kind, message, std::mem::take(&mut parts)));
                    }
                }
                Some(ReceivedFragment::Control(control)) => {
                    taken.controls.push((taken.messages.len(), control.into_owned()));
                }
                None => {}
            }
            rest.drain(..used);
            if is_over {
                break;
            }
        }
        assert!(rest.len() < 140, "no more than a control frame is left");
    }
    taken
}

fn server(limits: Limits) -> Connection {
    Connection::new(Role::Server, limits)
}

#[test]
fn ws_f16_parts_join_to_the_message_wherever_they_are_cut() {
    let text = "tschüß 🐦 €".repeat(20);
    let mut bytes = Vec::new();
    let mut client = client();
    for cut in 0..text.len() {
        let (head, tail) = text.as_bytes().split_at(cut);
        client.send_fragment(MessageKind::Text, head, false, &mut bytes).unwrap();
        client.send_ping(&[cut as u8], &mut bytes).unwrap();
        client.send_fragment(MessageKind::Text, b"", false, &mut bytes).unwrap();
        client.send_fragment(MessageKind::Text, tail, true, &mut bytes).unwrap();
    }
    client.send_binary(&[7; 300], &mut bytes).unwrap();
    client.send_text("", &mut bytes).unwrap();
    for size in [1, 2, 3, 5, 7, 64, 1000, usize::MAX] {
        let taken = take(&mut server(Limits::DEFAULT), true, &bytes, size);
        assert_eq!(taken.error, None, "in pieces of {size}");
        assert_eq!(taken.messages.len(), text.len() + 2);
        for (index, (kind, message, _)) in taken.messages[..text.len()].iter().enumerate() {
            assert_eq!((*kind, &message[..]), (MessageKind::Text, text.as_bytes()), "{index} in pieces of {size}");
            assert_eq!(taken.controls[index].0, index, "the Ping comes inside");
        }
        assert_eq!(taken.messages[text.len()].1, [7; 300]);
        assert_eq!(taken.messages[text.len() + 1], (MessageKind::Text, vec![], 1));
        assert!(!taken.output.is_empty(), "Pings are answered");
    }
}

#[test]
fn a_part_of_a_text_is_whole_characters() {
    let mut bytes = Vec::new();
    let mut client = client();
    for byte in "🐦".as_bytes() {
        client.send_fragment(MessageKind::Text, &[*byte], false, &mut bytes).unwrap();
    }
    client.send_fragment(MessageKind::Text, b"", true, &mut bytes).unwrap();
    let taken = take(&mut server(Limits::DEFAULT), true, &bytes, usize::MAX);
    assert_eq!(taken.messages, [(MessageKind::Text, "🐦".into(), 2)], "the bird, and the end");
    let taken = take(&mut server(Limits::DEFAULT), false, &bytes, usize::MAX);
    assert_eq!(taken.messages, [(MessageKind::Text, "🐦".into(), 5)], "unchecked, as it comes");
}

#[test]
fn ws_t4_text_that_is_none_is_refused_at_its_first_impossible_byte() {
    for (name, parts) in [
        ("a lead and then ASCII", &[&b"ok\xC3"[..], b"a"][..]),
        ("a surrogate", &[b"\xED\xA0\x80"]),
        ("cut at the end", &[b"ok", b"\xF0\x9F"]),
        ("alone", &[b"\xFF"]),
    ] {
        let mut bytes = Vec::new();
        // The client of this test would refuse to send such a thing as text.
        for (index, part) in parts.iter().enumerate() {
            let fin = if index + 1 == parts.len() { 0x80 } else { 0 };
            bytes.extend([fin | u8::from(index == 0), 0x80 | part.len() as u8]);
            bytes.extend(KEY);
            bytes.extend(part.iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]));
        }
        for size in [1, 2, usize::MAX] {
            let taken = take(&mut server(Limits::DEFAULT), true, &bytes, size);
            assert_eq!(taken.error, Some(ProtocolError::InvalidUtf8), "{name}");
            assert!(std::str::from_utf8(&taken.unfinished).is_ok(), "{name}");
            let unchecked = take(&mut server(Limits::DEFAULT), false, &bytes, size);
            assert_eq!(unchecked.error, None, "{name}");
            assert_eq!(unchecked.messages[0].1, parts.concat(), "{name}");
        }
    }
}

#[test]
fn limits_hold_and_can_be_lifted() {
    let mut bytes = Vec::new();
    let mut client = client();
    for index in 0..10 {
        client.send_fragment(MessageKind::Binary, &[7; 10], index == 9, &mut bytes).unwrap();
    }
    let limits = Limits::DEFAULT;
    for (limits, expected) in [
        (limits.with_max_message_bytes(100).with_max_fragments(10), None),
        (limits.with_max_message_bytes(99), Some(ProtocolError::MessageTooBig { limit: 99 })),
        (limits.with_max_fragments(9), Some(ProtocolError::TooManyFragments { limit: 9 })),
        (limits.with_max_frame_bytes(9), Some(ProtocolError::FrameTooBig { limit: 9 })),
        (limits.with_max_message_bytes(usize::MAX).with_max_fragments(u32::MAX), None),
    ] {
        for size in [1, usize::MAX] {
            assert_eq!(take(&mut server(limits), true, &bytes, size).error, expected, "{limits:?}");
        }
    }
}

#[test]
fn ws_f18_the_order_of_frames_is_judged_as_elsewhere() {
    let check = |bytes: &[u8], expected| {
        assert_eq!(take(&mut server(Limits::DEFAULT), true, bytes, 1).error, expected, "{bytes:02x?}");
    };
    check(&[0x80, 0x80, 0, 0, 0, 0], Some(ProtocolError::UnexpectedContinuation));
    check(&[0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0], Some(ProtocolError::MessageNotFinished));
    check(&[0x01, 0x80, 0, 0, 0, 0, 0x89, 0x80, 0, 0, 0, 0, 0x80, 0x80, 0, 0, 0, 0], None);
    check(&[0x81, 0x00], Some(ProtocolError::NotMasked));
}

#[test]
fn a_close_inside_a_message_ends_it() {
    let mut bytes = Vec::new();
    let mut client = client();
    client.send_fragment(MessageKind::Binary, b"begun", false, &mut bytes).unwrap();
    client.close(None, &mut bytes);
    let mut server = server(Limits::DEFAULT);
    let taken = take(&mut server, true, &bytes, 1);
    assert_eq!(taken.unfinished, b"begun");
    assert_eq!(taken.controls, [(0, Received::Close(None))]);
    assert!(server.is_done());
}

#[cfg(feature = "deflate")]
mod deflate {
    use wingbeat_websocket::deflate::{Compression, DeflateConfig, DeflatePool};
    use wingbeat_websocket::handshake::Extension;

    use super::*;

    fn pair(config: DeflateConfig) -> (Connection, Connection, DeflatePool) {
        let offers = [Extension { name: "permessage-deflate", params: vec![("client_max_window_bits", None)] }];
        let params = config.accept(offers).expect("agreed");
        let (mut client, mut server) = (client(), server(Limits::DEFAULT));
        client.set_deflate(params, None);
        server.set_deflate(params, None);
        (client, server, DeflatePool::new(config))
    }

    fn words(count: usize) -> String {
        (0..count).map(|index| format!("{} wörd{} ", index * 7919 % 1000, index)).collect()
    }

    #[test]
    fn compressed_messages_inflate_as_they_come_with_and_without_takeover() {
        for has_takeover in [false, true] {
            let config = DeflateConfig::DEFAULT.with_client_takeover(has_takeover).with_client_max_window_bits(10);
            let (mut client, mut server, mut pool) = pair(config);
            let (mut bytes, mut lending) = (Vec::new(), DeflatePool::new(config));
            let texts: Vec<_> = [3000, 1, 10_000, 0, 3000].map(words).into();
            for text in &texts {
                client.send_text_with(text, Compression::Always, &mut lending, &mut bytes).unwrap();
            }
            client.send_binary(b"plain", &mut bytes).unwrap();
            for size in [1000, 77, usize::MAX] {
                let mut server = if size == usize::MAX {
                    std::mem::replace(&mut server, self::server(Limits::DEFAULT))
                } else {
                    pair(config).1
                };
                let taken = take_with(&bytes, size, |input, output| {
                    server.handle_fragment_with(&mut pool, true, input, output)
                });
                assert_eq!(taken.error, None);
                for (text, (_, message, _)) in texts.iter().zip(&taken.messages) {
                    assert!(text.as_bytes() == message, "takeover {has_takeover}, pieces of {size}");
                }
                assert_eq!(taken.messages[5].1, b"plain");
                assert!(taken.messages[2].2 > 10, "a large one comes in parts: {}", taken.messages[2].2);
            }
        }
    }

    #[test]
    fn ws_sec3_a_bomb_ends_at_the_limit_before_it_is_inflated() {
        let config = DeflateConfig::DEFAULT;
        let (mut client, _, mut pool) = pair(config);
        let mut bytes = Vec::new();
        client.send_binary_with(&vec![0; 20 << 20], Compression::Always, &mut pool, &mut bytes).unwrap();
        for (limits, expected) in [
            (Limits::DEFAULT.with_max_message_bytes(500_000), ProtocolError::MessageTooBig { limit: 500_000 }),
            (Limits::DEFAULT.with_max_message_bytes(usize::MAX), ProtocolError::RatioTooHigh { limit: 100 }),
        ] {
            let mut server = pair(config).1;
            server.set_limits(limits);
            let taken =
                take_with(&bytes, 1 << 20, |input, output| server.handle_fragment_with(&mut pool, true, input, output));
            assert_eq!(taken.error, Some(expected));
            assert!(taken.unfinished.len() <= 2 << 20, "{} bytes", taken.unfinished.len());
        }
    }

    #[test]
    fn a_stream_that_is_none_or_ends_early_is_refused() {
        let (mut client, _, mut pool) = pair(DeflateConfig::DEFAULT);
        let mut bytes = Vec::new();
        client.send_text_with(&words(100), Compression::Always, &mut pool, &mut bytes).unwrap();
        let frame = |payload: &[u8]| {
            let mut frame = vec![0xC1, 0x80 | 126];
            frame.extend((payload.len() as u16).to_be_bytes());
            frame.extend([0; 4]);
            frame.extend(payload);
            frame
        };
        let payload: Vec<u8> = bytes[8..].iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]).collect();
        for bad in [frame(&payload[..payload.len() - 200]), frame(&[0xFF; 200])] {
            let mut server = pair(DeflateConfig::DEFAULT).1;
            let taken =
                take_with(&bad, 50, |input, output| server.handle_fragment_with(&mut pool, true, input, output));
            assert_eq!(taken.error, Some(ProtocolError::InvalidDeflate));
        }
    }
}
