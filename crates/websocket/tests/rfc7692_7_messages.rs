//! RFC 7692 §7.2, §8: messages inflated and compressed, contexts, windows and limits.

#![cfg(feature = "deflate")]

mod deflating;
mod peer;

use deflating::{
    HELLO, HELLO_AGAIN, HELLO_BLOCKS, HELLO_FINAL, HELLO_STORED, Inflater, NO_TAKEOVER, RSV1, TAKEOVER, agreed,
    connection, connection_with, extension, feed_with, outcome, outcome_with, server_frame, wordy,
};
use peer::{BINARY, CLIENT, CONTINUATION, FIN, TEXT, binary, masked, text, to};
use wingbeat_websocket::deflate::{Compression, DeflateConfig, DeflatePool};
use wingbeat_websocket::{Connection, Limits, MessageKind, ProtocolError, Received, Role, SendError};

/// The payload of a message as a server with `config` sends it, alone.
fn deflated(config: DeflateConfig, payload: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut pool = DeflatePool::new(config);
    let mut server = connection(Role::Server, config);
    server.send_binary_with(payload, Compression::Always, &mut pool, &mut output).unwrap();
    server_frame(&output).1.to_vec()
}

#[test]
fn examples_7_2_3() {
    for role in [Role::Server, CLIENT] {
        for payload in [&HELLO[..], &HELLO_STORED, &HELLO_FINAL, &HELLO_BLOCKS] {
            let frame = to(role, FIN | RSV1 | TEXT, payload);
            // Whatever it did to the context, what comes next must not mind.
            let outcome = outcome(role, &[&frame[..], &frame, &to(role, FIN | TEXT, b"plain"), &frame].concat());
            let hello = || text("Hello");
            let expected = [hello(), hello(), text("plain"), hello()];
            assert_eq!((outcome.received.as_slice(), outcome.error), (&expected[..], None), "{payload:02x?}");
        }
    }
}

#[test]
fn a_message_refers_to_the_one_before_only_with_takeover_7_2_3_2() {
    for role in [Role::Server, CLIENT] {
        for first in [&HELLO[..], &HELLO_STORED, &HELLO_FINAL, &HELLO_BLOCKS] {
            let bytes = [
                to(role, FIN | RSV1 | TEXT, first),
                // What is not compressed does not enter the window.
                to(role, FIN | TEXT, b"something else"),
                to(role, FIN | RSV1 | TEXT, &HELLO_AGAIN),
            ]
            .concat();
            let with = outcome(role, &bytes);
            let hello = text("Hello");
            assert_eq!((with.received, with.error), (vec![hello.clone(), text("something else"), hello], None));
            let without = outcome_with(role, NO_TAKEOVER, Limits::DEFAULT, &bytes);
            assert_eq!((without.received.len(), without.error), (2, Some(ProtocolError::InvalidDeflate)));
        }
    }
}

#[test]
fn final_blocks_are_followed_by_more_7_2_3_5() {
    // "Hello" in a final block, then a block that copies it from the window, within one message and over two.
    let mut own = Inflater::new(15);
    let both = [&HELLO_FINAL[..7], &HELLO_AGAIN].concat();
    assert_eq!(own.inflate(&both), b"HelloHello");
    let bytes = [to(Role::Server, FIN | RSV1 | TEXT, &both), to(Role::Server, FIN | RSV1 | TEXT, &HELLO_AGAIN)];
    let outcome = outcome(Role::Server, &bytes.concat());
    assert_eq!((outcome.received, outcome.error), (vec![text("HelloHello"), text("Hello")], None));
    // One that ends the message, without the empty block that should follow it (§7.2.3.4).
    let outcome = deflating::outcome(Role::Server, &to(Role::Server, FIN | RSV1 | TEXT, &HELLO_FINAL[..7]));
    assert_eq!(outcome.received, [text("Hello")]);
}

#[test]
fn the_empty_message_is_one_byte_7_2_3_6() {
    for config in [NO_TAKEOVER, TAKEOVER] {
        let mut pool = DeflatePool::new(config);
        let mut server = connection(Role::Server, config);
        let mut output = Vec::new();
        for _ in 0..3 {
            server.send_text_with("", Compression::Always, &mut pool, &mut output).unwrap();
        }
        assert_eq!(output, [FIN | RSV1 | TEXT, 1, 0].repeat(3));
        let outcome = feed_with(&mut connection(CLIENT, config), &mut pool, [&output]);
        assert_eq!((outcome.received, outcome.error), (vec![text(""), text(""), text("")], None));
    }
    // Nothing at all is what some zlibs make of nothing.
    let outcome = outcome(Role::Server, &to(Role::Server, FIN | RSV1 | TEXT, b""));
    assert_eq!((outcome.received, outcome.error), (vec![text("")], None));
}

#[test]
fn ws_d1_d2_contexts_are_taken_over_or_not_as_agreed() {
    let message = wordy(2_000);
    for (server_takeover, client_takeover) in [(false, false), (false, true), (true, false), (true, true)] {
        let config = NO_TAKEOVER.with_server_takeover(server_takeover).with_client_takeover(client_takeover);
        for (here, there, takes_over) in
            [(Role::Server, CLIENT, server_takeover), (CLIENT, Role::Server, client_takeover)]
        {
            let mut pool = DeflatePool::new(config);
            let mut sender = connection(here, config);
            let mut receiver = connection(there, config);
            let mut sizes = Vec::new();
            for _ in 0..5 {
                let mut output = Vec::new();
                sender.send_text_with(&message, Compression::Auto, &mut pool, &mut output).unwrap();
                sizes.push(output.len());
                assert_eq!(feed_with(&mut receiver, &mut pool, [&output]).received, [text(&message)]);
            }
            for &size in &sizes[1..] {
                assert!(if takes_over { size < sizes[0] / 2 } else { size == sizes[0] }, "{sizes:?}");
            }
        }
    }
}

#[test]
fn ws_d3_d4_nothing_refers_further_back_than_the_window() {
    for window_bits in 9..=15 {
        for level in 1..=9 {
            for takeover in [false, true] {
                let config = NO_TAKEOVER.with_level(level).with_server_takeover(takeover);
                let config = config.with_server_max_window_bits(window_bits);
                let mut pool = DeflatePool::new(config);
                let mut server = connection(Role::Server, config);
                let mut own = Inflater::new(window_bits);
                // Noise, and its beginning once more from almost the far end of the window and from beyond it.
                let window_bytes = 1 << window_bits;
                let far = |distance: usize| [noise(distance), noise(200)].concat();
                let mut messages = vec![far(window_bytes - 263), far(window_bytes - 1), far(window_bytes + 1)];
                messages.extend([3, 100, 700, 20_000, 40, 70_000].map(|size| wordy(size).into_bytes()));
                for message in messages {
                    let mut output = Vec::new();
                    server.send_binary_with(&message, Compression::Always, &mut pool, &mut output).unwrap();
                    let (first, payload) = server_frame(&output);
                    assert_eq!(first, FIN | RSV1 | BINARY);
                    if !takeover {
                        own.reset();
                    }
                    assert!(own.inflate(payload) == message, "{window_bits} bits, level {level}");
                }
                // The test would show it: nearly all of the window is in use.
                assert!(own.farthest > window_bytes / 2 - 64, "{} of {window_bits} bits", own.farthest);
            }
        }
    }
}

#[test]
fn ws_d4_a_client_told_8_bits_does_not_compress() {
    let params = TAKEOVER.check_answer(&extension("client_max_window_bits=8")).unwrap();
    let mut client = Connection::new(CLIENT, Limits::DEFAULT);
    client.set_deflate(params, None);
    assert_eq!(client.send_window_bits(), None);
    let mut pool = DeflatePool::new(TAKEOVER);
    let mut output = Vec::new();
    client.send_text_with(&wordy(1000), Compression::Always, &mut pool, &mut output).unwrap();
    assert_eq!((output[0], pool.deflated_messages()), (FIN | TEXT, 0));
    // What comes, it inflates.
    assert_eq!(feed_with(&mut client, &mut pool, [to(CLIENT, FIN | RSV1 | TEXT, &HELLO)]).received, [text("Hello")]);
}

/// A kilobyte that inflates to a megabyte, and so on without end: Bandit inflated all of it before it looked
/// (CVE-2026-39804), and undici did as a client (CVE-2026-1526, before 6.24 and 7.24). Here the limit runs along, on either side.
#[test]
fn ws_d18_sec3_sec24_sec29_a_bomb_is_refused_at_the_limit() {
    let bomb = deflated(NO_TAKEOVER, &vec![0; 1 << 20]);
    assert!(bomb.len() < 1100, "{}", bomb.len());
    for (max_bytes, is_refused) in [(64 << 10, true), ((1 << 20) - 1, true), (1 << 20, false), ((1 << 20) + 1, false)] {
        let limits = Limits::DEFAULT.with_max_message_bytes(max_bytes);
        let error = ProtocolError::MessageTooBig { limit: max_bytes };
        assert_eq!(error.close_code().value(), 1009);
        for role in [Role::Server, CLIENT] {
            let outcome = outcome_with(role, NO_TAKEOVER, limits, &to(role, FIN | RSV1 | BINARY, &bomb));
            assert_eq!(outcome.error, is_refused.then_some(error));
            assert_eq!(outcome.received.len(), usize::from(!is_refused));
        }
    }
}

#[test]
fn ws_d18_the_inflated_message_has_the_limit_of_any_message() {
    let limits = Limits::DEFAULT.with_max_message_bytes(300);
    for (size, error) in [(299, None), (300, None), (301, Some(ProtocolError::MessageTooBig { limit: 300 }))] {
        let bytes = masked(FIN | RSV1 | BINARY, &deflated(NO_TAKEOVER, &vec![b'x'; size]));
        let outcome = outcome_with(Role::Server, NO_TAKEOVER, limits, &bytes);
        assert_eq!((outcome.received.len(), outcome.error), (usize::from(error.is_none()), error), "{size}");
    }
    // Also where the message ends with a final block, right when the room for it ends: nothing asks for more room then.
    let mut payload = deflated(NO_TAKEOVER, &[b'x'; 301]);
    payload[0] |= 1;
    let bytes = [payload.len(), payload.len() - 1].map(|end| masked(FIN | RSV1 | BINARY, &payload[..end]));
    let is_message = |bytes: &&Vec<u8>| outcome(Role::Server, bytes).received == [binary(&[b'x'; 301])];
    let messages: Vec<_> = bytes.iter().filter(is_message).collect();
    assert!(!messages.is_empty());
    for bytes in messages {
        let outcome = outcome_with(Role::Server, NO_TAKEOVER, limits, bytes);
        assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 300 }));
    }
}

#[test]
fn ws_d19_the_limit_covers_all_fragments() {
    let limits = Limits::DEFAULT.with_max_message_bytes(100);
    for (size, error) in [(100, None), (150, Some(ProtocolError::MessageTooBig { limit: 100 }))] {
        let payload = deflated(NO_TAKEOVER, &vec![b'x'; size]);
        let third = payload.len() / 3;
        let bytes = [
            masked(RSV1 | BINARY, &payload[..third]),
            masked(CONTINUATION, &payload[third..2 * third]),
            masked(FIN, &payload[2 * third..]),
        ];
        let outcome = outcome_with(Role::Server, NO_TAKEOVER, limits, &bytes.concat());
        assert_eq!((outcome.received.len(), outcome.error), (usize::from(error.is_none()), error), "{size}");
    }
    // As they came, the fragments have that limit, too: nothing more is gathered.
    let bytes = [masked(RSV1 | BINARY, &[0; 60]), masked(CONTINUATION, &[0; 41])].concat();
    let outcome = outcome_with(Role::Server, NO_TAKEOVER, limits, &bytes);
    assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 100 }));
}

#[test]
fn ws_d20_the_ratio_counts_above_a_floor_only() {
    let config = NO_TAKEOVER.with_max_ratio(50).with_ratio_floor_bytes(200_000);
    let too_high = ProtocolError::RatioTooHigh { limit: 50 };
    assert_eq!(too_high.close_code().value(), 1009);
    for (size, error) in [(199_999, None), (200_000, None), (200_001, Some(too_high)), (2_000_000, Some(too_high))] {
        let bytes = masked(FIN | RSV1 | BINARY, &deflated(config, &vec![0; size]));
        assert_eq!(outcome_with(Role::Server, config, Limits::DEFAULT, &bytes).error, error, "{size}");
    }
    // 2 MB of text that compresses well is no bomb.
    let bytes = masked(FIN | RSV1 | BINARY, &deflated(config, wordy(2_000_000).as_bytes()));
    assert_eq!(outcome_with(Role::Server, config, Limits::DEFAULT, &bytes).error, None);
    // With the smaller of the two limits comes its error.
    let limits = Limits::DEFAULT.with_max_message_bytes(1000);
    let bytes = masked(FIN | RSV1 | BINARY, &deflated(config, &[0; 300_000]));
    let outcome = outcome_with(Role::Server, config, limits, &bytes);
    assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 1000 }));
}

#[test]
fn ws_d20_100_kb_of_repetitive_json_pass() {
    let json = format!("[{}]", r#"{"id":1,"name":"wing","tags":["a","b"],"ok":true},"#.repeat(2000));
    let bytes = masked(FIN | RSV1 | TEXT, &deflated(NO_TAKEOVER, json.as_bytes()));
    assert!(bytes.len() * 100 < json.len(), "{}", bytes.len());
    let outcome = outcome_with(Role::Server, DeflateConfig::DEFAULT, Limits::DEFAULT, &bytes);
    assert_eq!((outcome.received, outcome.error), (vec![text(&json)], None));
}

#[test]
fn ws_d21_what_is_no_deflate_stream_is_refused_with_1007() {
    assert_eq!(ProtocolError::InvalidDeflate.close_code().value(), 1007);
    let whole = deflated(NO_TAKEOVER, wordy(300).as_bytes());
    let truncated = (1..whole.len()).map(|end| whole[..end].to_vec());
    let garbage = [&b"\xFF"[..], b"\x06", b"Hello, world", b"\x01\x05\x00\x00\x00", &HELLO_AGAIN, b"\x02\x13\x7F\x00"];
    for payload in garbage.iter().map(|bytes| bytes.to_vec()).chain(truncated) {
        for role in [Role::Server, CLIENT] {
            let outcome = outcome(role, &to(role, FIN | RSV1 | BINARY, &payload));
            assert_eq!(
                (outcome.received, outcome.error),
                (vec![], Some(ProtocolError::InvalidDeflate)),
                "{payload:02x?}"
            );
        }
    }
}

#[test]
fn ws_d23_small_messages_go_as_they_are() {
    let config = DeflateConfig::DEFAULT.with_min_bytes(100);
    let mut pool = DeflatePool::new(config);
    let mut server = connection(Role::Server, config);
    let long = "a".repeat(100);
    for (message, compression, is_deflated) in [
        (&long[..99], Compression::Auto, false),
        (&long[..99], Compression::Always, true),
        (&long[..], Compression::Auto, true),
        (&long[..], Compression::Never, false),
        ("", Compression::Auto, false),
    ] {
        let mut output = Vec::new();
        server.send_text_with(message, compression, &mut pool, &mut output).unwrap();
        assert_eq!(output[0] & RSV1 != 0, is_deflated, "{} {compression:?}", message.len());
        output.clear();
        server.send_binary_with(message.as_bytes(), compression, &mut pool, &mut output).unwrap();
        assert_eq!(output[0], FIN | BINARY | if is_deflated { RSV1 } else { 0 });
    }
    let mut output = Vec::new();
    assert!(!pool.encode_server_frame(MessageKind::Text, &long.as_bytes()[..99], 15, &mut output));
    assert!(output.is_empty());
    assert!(pool.encode_server_frame(MessageKind::Text, long.as_bytes(), 15, &mut output));
}

/// Bytes that do not compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(bytes)
    .collect()
}

#[test]
fn ws_d23_what_becomes_no_smaller_goes_as_it_is() {
    for config in [NO_TAKEOVER, TAKEOVER] {
        let mut pool = DeflatePool::new(config);
        let (mut server, mut client) = (connection(Role::Server, config), connection(CLIENT, config));
        let message = wordy(1000);
        let mut sizes = Vec::new();
        for payload in [message.as_bytes(), message.as_bytes(), &noise(1000), message.as_bytes(), message.as_bytes()] {
            let mut output = Vec::new();
            server.send_binary_with(payload, Compression::Auto, &mut pool, &mut output).unwrap();
            let outcome = feed_with(&mut client, &mut pool, [&output]);
            assert_eq!((outcome.received, outcome.error), (vec![binary(payload)], None));
            sizes.push(output.len());
        }
        assert_eq!(sizes[2], 1004);
        // The context has forgotten what came before the noise, which the client has not inflated.
        assert_eq!((sizes[3], sizes[4]), (sizes[0], sizes[1]));
    }
    let mut output = Vec::new();
    assert!(!DeflatePool::new(NO_TAKEOVER).encode_server_frame(MessageKind::Binary, &noise(1000), 15, &mut output));
    assert!(output.is_empty());
}

#[test]
fn ws_sec4_a_message_left_as_it_is_leaves_the_context_alone() {
    let mut pool = DeflatePool::new(TAKEOVER);
    let (mut server, mut client) = (connection(Role::Server, TAKEOVER), connection(CLIENT, TAKEOVER));
    let message = wordy(1000);
    let mut sizes = Vec::new();
    for (text, compression) in
        [(&*message, Compression::Auto), ("secret", Compression::Never), (&*message, Compression::Auto)]
    {
        let mut output = Vec::new();
        server.send_text_with(text, compression, &mut pool, &mut output).unwrap();
        assert_eq!(feed_with(&mut client, &mut pool, [&output]).received, [peer::text(text)]);
        sizes.push(output.len());
    }
    assert!(sizes[2] < sizes[0] / 10, "{sizes:?}");
}

#[test]
fn one_broadcast_is_compressed_once_for_each_window() {
    let configs = [NO_TAKEOVER, TAKEOVER, NO_TAKEOVER.with_server_max_window_bits(10)];
    let mut pool = DeflatePool::new(NO_TAKEOVER);
    let mut pairs: Vec<_> = (0..30)
        .map(|index| {
            let config = configs[index % 3];
            (connection(Role::Server, config), connection(CLIENT, config))
        })
        .collect();
    let messages = [wordy(3000), wordy(500), wordy(40_000)];
    for (round, message) in messages.iter().enumerate() {
        // Each server says something of its own, then all say the same, twice.
        for (server, client) in &mut pairs {
            let mut output = Vec::new();
            server.send_text_with(&messages[0], Compression::Auto, &mut pool, &mut output).unwrap();
            assert_eq!(feed_with(client, &mut pool, [&output]).received, [text(&messages[0])]);
        }
        for _ in 0..2 {
            let before = pool.deflated_messages();
            let mut frames = [15, 10].map(|window_bits| {
                let mut frame = Vec::new();
                assert!(pool.encode_server_frame(MessageKind::Text, message.as_bytes(), window_bits, &mut frame));
                (window_bits, frame)
            });
            assert_eq!(pool.deflated_messages(), before + 2);
            for (server, client) in &mut pairs {
                let window_bits = server.send_window_bits().unwrap();
                let (_, frame) = frames.iter_mut().find(|(bits, _)| *bits == window_bits).unwrap();
                server.reset_deflater();
                let outcome = feed_with(client, &mut pool, [frame]);
                assert_eq!((outcome.received, outcome.error), (vec![text(message)], None), "round {round}");
            }
            assert_eq!(pool.deflated_messages(), before + 2);
        }
    }
    // There is no frame for a window we cannot compress into.
    for window_bits in [0, 8, 16, 255] {
        assert!(!pool.encode_server_frame(MessageKind::Text, messages[0].as_bytes(), window_bits, &mut Vec::new()));
    }
    assert_eq!(Connection::new(Role::Server, Limits::DEFAULT).send_window_bits(), None);
}

#[test]
fn the_history_is_as_long_as_the_window() {
    // The client refers to what lies right at the far end of its window, over many messages.
    for window_bits in [9, 10, 15] {
        let config = TAKEOVER.with_client_max_window_bits(window_bits).with_level(9);
        let mut pool = DeflatePool::new(config);
        let (mut client, mut server) = (connection(CLIENT, config), connection(Role::Server, config));
        assert_eq!(agreed(config).client_window_bits(), window_bits);
        let text = wordy(200_000);
        let mut rest = &text[..];
        for size in [1, 500, 20, 12, 40_000, 3, 511, 513, 32_768, 7].into_iter().cycle().take(60) {
            let (message, behind) = rest.split_at(size.min(rest.len()));
            rest = if behind.is_empty() { &text } else { behind };
            let mut output = Vec::new();
            client.send_text_with(message, Compression::Always, &mut pool, &mut output).unwrap();
            assert_eq!(feed_with(&mut server, &mut pool, [&output]).received, [peer::text(message)]);
        }
    }
}

#[test]
fn f22_nothing_is_compressed_that_may_not_be_sent() {
    let mut pool = DeflatePool::new(NO_TAKEOVER);
    let mut server = connection(Role::Server, NO_TAKEOVER);
    let mut output = Vec::new();
    server.send_fragment(MessageKind::Text, b"begun", false, &mut output).unwrap();
    output.clear();
    let sent = server.send_text_with("Hello", Compression::Always, &mut pool, &mut output);
    assert_eq!(sent, Err(SendError::MessageNotFinished));
    server.close(None, &mut output);
    output.clear();
    let sent = server.send_binary_with(b"Hello", Compression::Always, &mut pool, &mut output);
    assert_eq!((sent, output.len(), pool.deflated_messages()), (Err(SendError::Closed), 0, 0));
}

/// websockets for Python (PR 407) and tornado (2391) inflated without a limit for years. The ways around a limit: many
/// small fragments, the window of an earlier message, several blocks, and a message behind a good one.
#[test]
fn ws_sec35_bombs_in_every_disguise_meet_the_same_limit() {
    let limits = Limits::DEFAULT.with_max_message_bytes(10_000);
    let too_big = Some(ProtocolError::MessageTooBig { limit: 10_000 });
    let bomb = deflated(NO_TAKEOVER, &vec![0; 1 << 20]);
    let in_fragments = |size: usize| {
        let mut frames: Vec<_> = bomb.chunks(size).map(|piece| masked(CONTINUATION, piece)).collect();
        frames[0][0] = RSV1 | BINARY;
        frames.last_mut().expect("some")[0] = FIN;
        frames.concat()
    };
    let good = masked(FIN | RSV1 | TEXT, &HELLO);
    // 5,000 zeros, and over and over the same from the window.
    let mut pool = DeflatePool::new(TAKEOVER);
    let (mut client, mut output) = (connection(CLIENT, TAKEOVER), Vec::new());
    client.send_binary_with(&[0; 5000], Compression::Always, &mut pool, &mut output).unwrap();
    client.send_binary_with(&[0; 20_000], Compression::Always, &mut pool, &mut output).unwrap();
    let blocks = [&HELLO_FINAL[..7].repeat(3000)[..], &[0]].concat();
    for (name, bytes, received) in [
        ("fragments of one byte", in_fragments(1), 0),
        ("fragments of 100 bytes", in_fragments(100), 0),
        ("behind good ones", [good.repeat(100), in_fragments(1000)].concat(), 100),
        ("out of the window", output, 1),
        ("final blocks", masked(FIN | RSV1 | BINARY, &blocks), 0),
        ("a stored block each", masked(FIN | RSV1 | BINARY, &[&HELLO_STORED[..10].repeat(900)[..], &[0]].concat()), 1),
    ] {
        let outcome = outcome_with(Role::Server, TAKEOVER, limits.with_max_fragments(10_000), &bytes);
        let is_bomb = name != "a stored block each";
        let expected = if is_bomb { too_big } else { None };
        assert_eq!((outcome.received.len(), outcome.error), (received, expected), "{name}");
    }
}

/// The decompressor that uWebSockets.js shared between connections had lost the window by the second message (issue
/// 633). Here what a connection takes over is its own, however the contexts of the pool are lent, given back, or not
/// there at all.
#[test]
fn ws_sec37_a_second_message_finds_its_window_however_contexts_are_lent() {
    let mut pool = DeflatePool::new(TAKEOVER);
    let mut servers: Vec<_> = (0..3).map(|_| connection(Role::Server, TAKEOVER)).collect();
    for round in 0..6 {
        for (index, server) in servers.iter_mut().enumerate() {
            // "Hello" from the window from the second round on; between them another's, and one without takeover.
            let payload = if round == 0 { &HELLO[..] } else { &HELLO_AGAIN };
            let mut bytes = masked(FIN | RSV1 | TEXT, payload);
            let mut output = Vec::new();
            let received = match (round + index) % 3 {
                0 => server.handle_input_with(&mut pool, &mut bytes, &mut output),
                // A pool that has never seen it, and none at all.
                1 => server.handle_input_with(&mut DeflatePool::new(TAKEOVER), &mut bytes, &mut output),
                _ => server.handle_input(&mut bytes, &mut output),
            };
            assert_eq!(received.unwrap().1, Some(text("Hello")), "round {round}");
            let other = masked(FIN | RSV1 | TEXT, &deflated(NO_TAKEOVER, wordy(500).as_bytes()));
            let outcome = feed_with(&mut connection(Role::Server, NO_TAKEOVER), &mut pool, [&other]);
            assert_eq!(outcome.received, [text(&wordy(500))]);
        }
        if round % 2 == 1 {
            pool.release();
        }
    }
}

#[test]
fn a_pool_is_good_for_many_connections_and_can_be_released() {
    let mut pool = DeflatePool::new(TAKEOVER);
    let mut pairs = [NO_TAKEOVER, TAKEOVER, NO_TAKEOVER]
        .map(|config| (connection(Role::Server, config), connection_with(CLIENT, config, Limits::DEFAULT)));
    for round in 0..4 {
        for (server, client) in &mut pairs {
            let mut output = Vec::new();
            server.send_text_with(&wordy(900), Compression::Auto, &mut pool, &mut output).unwrap();
            let outcome = feed_with(client, &mut pool, [&output]);
            assert!(matches!(&outcome.received[..], [Received::Text(text)] if *text == wordy(900)), "round {round}");
        }
        pool.release();
    }
    assert_eq!((pool.deflated_messages(), pool.inflated_messages()), (12, 12));
}
