//! Messages there and back over a real socket, and peers that break the framing (RFC 6455 §5, §6, §8).

mod support;

use std::time::Duration;

use support::{
    BINARY, CLOSE, CONTINUATION, Event, FIN, PATIENCE, PING, PONG, Peer, TEXT, TestServer, close_payload, config, echo,
    echo_server, eventually, masked, options, probe_server,
};
use wingbeat_transport::{Cause, Message, Server, SocketOptions};
use wingbeat_websocket::{CloseCode, Limits, MessageKind, Received};

/// Bytes that look like nothing in particular, or letters.
fn payload(length: usize, is_text: bool) -> Vec<u8> {
    let byte = |index: usize| (index.wrapping_mul(31) ^ (index >> 7)) as u8;
    (0..length).map(|index| if is_text { b'a' + byte(index) % 26 } else { byte(index) }).collect()
}

#[track_caller]
fn check_echo(peer: &mut Peer, length: usize, is_text: bool) {
    let sent = payload(length, is_text);
    let message = match std::str::from_utf8(&sent) {
        Ok(text) if is_text => Message::Text(text),
        _ => Message::Binary(&sent),
    };
    peer.send(message);
    let same = match peer.recv() {
        Received::Text(text) => is_text && text.as_bytes() == sent,
        Received::Binary(bytes) => !is_text && *bytes == sent,
        _ => false,
    };
    assert!(same, "{length} bytes, text: {is_text}");
}

#[test]
fn echo_of_every_size() {
    let (server, _events) = echo_server();
    let mut peer = server.open("/");
    let borders = [65_533, 65_534, 65_535, 65_536, 65_537, 70_000, 255 << 10, 256 << 10, (256 << 10) + 1, 1 << 20];
    let sizes = (0..300).chain((300..70_000).step_by(997)).chain(borders);
    for length in sizes {
        check_echo(&mut peer, length, true);
        check_echo(&mut peer, length, false);
    }
}

#[test]
fn text_of_every_length_of_character() {
    let (server, _events) = echo_server();
    let mut peer = server.open("/");
    for text in ["", "a\0b", "ä€🐦\u{10FFFF}\u{FEFF}", &"🐦".repeat(20_000)] {
        peer.send_text(text);
        assert_eq!(peer.recv_text(), text);
    }
}

#[test]
fn messages_cut_anywhere() {
    let (server, _events) = echo_server();
    let mut peer = server.open("/");
    let long = "ä".repeat(80);
    let stream = [
        masked(FIN | TEXT, "κόσμε".as_bytes()),
        masked(FIN | PING, b"p"),
        masked(TEXT, b"frag"),
        masked(FIN | PING, b"between"),
        masked(CONTINUATION, b""),
        masked(FIN | CONTINUATION, long.as_bytes()),
        masked(FIN | BINARY, &[0xFF; 130]),
    ]
    .concat();
    let whole = [
        Received::Text("κόσμε".into()),
        Received::Pong(b"p"[..].into()),
        Received::Pong(b"between"[..].into()),
        Received::Text(format!("frag{long}").into()),
        Received::Binary(vec![0xFF; 130].into()),
    ];
    for size in 1..=stream.len() {
        for piece in stream.chunks(size) {
            peer.write(piece);
        }
        for expected in &whole {
            assert_eq!(&peer.recv(), expected, "in pieces of {size}");
        }
    }
}

#[test]
fn many_messages_in_one_segment_come_in_order() {
    let (server, _events) = echo_server();
    let mut peer = server.open("/");
    let count = 20_000;
    let stream: Vec<u8> = (0..count).flat_map(|index: u32| masked(FIN | BINARY, &index.to_be_bytes())).collect();
    let mut writing = peer.stream.try_clone().expect("a second handle");
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut writing, &stream).expect("it is taken"));
    for index in 0..count {
        assert_eq!(peer.recv_binary(), index.to_be_bytes());
    }
    writer.join().expect("no panic");
}

#[test]
fn ws_f16_fragments_are_joined() {
    let (server, _events) = echo_server();
    let mut peer = server.open("/");
    for sizes in [&[0, 0, 0][..], &[1, 0, 2], &[70_000, 1, 70_000], &[1; 1000]] {
        let all: Vec<_> = sizes.iter().map(|&length| payload(length, false)).collect();
        for (index, fragment) in all.iter().enumerate() {
            peer.send_fragment(MessageKind::Binary, fragment, index + 1 == all.len());
        }
        assert!(peer.recv_binary() == all.concat(), "{} fragments", sizes.len());
    }
    // Characters may be cut between fragments, and a Ping may come in between (F17).
    let text = "🐦".as_bytes();
    peer.write(&masked(TEXT, &text[..1]));
    peer.ping(b"now");
    assert_eq!(peer.recv(), Received::Pong(b"now"[..].into()));
    peer.write(&masked(CONTINUATION, &text[1..3]));
    peer.write(&masked(FIN | CONTINUATION, &text[3..]));
    assert_eq!(peer.recv_text(), "🐦");
}

#[test]
fn ws_p1_pong_has_the_payload_of_the_ping() {
    let (server, _events) = echo_server();
    let mut peer = server.open("/");
    for length in [0, 1, 125] {
        let sent = payload(length, false);
        peer.ping(&sent);
        assert_eq!(peer.recv(), Received::Pong(sent.into()));
    }
}

#[test]
fn ws_p4_a_pong_unasked_for_is_ignored() {
    let (server, _events) = echo_server();
    let mut peer = server.open("/");
    peer.write(&masked(FIN | PONG, b"surprise"));
    peer.send_text("next");
    assert_eq!(peer.recv_text(), "next");
}

/// `bytes` are answered with a Close of `code` and FIN, and no handler hears of anything but the end.
#[track_caller]
fn check_failed(server: &TestServer, events: &support::Events, bytes: &[u8], code: u16, name: &str) {
    let mut peer = server.open("/");
    events.opened();
    peer.write(bytes);
    peer.expect_close(code);
    peer.expect_fin();
    // What comes after it is not even looked at (C6).
    let _ = peer.try_write(&masked(FIN | TEXT, b"too late"));
    let closed = events.closed();
    let cause = match code {
        1007 => Cause::Encoding,
        1008 | 1009 => Cause::TooBig,
        _ => Cause::Protocol,
    };
    assert_eq!((closed.code.value(), closed.cause), (code, cause), "{name}");
    assert!(!closed.reason.is_empty(), "{name}");
    drop(peer);
}

#[test]
fn ws_f1_c6_an_unmasked_frame_is_1002_and_nothing_after_it_is_handled() {
    let (server, events) = echo_server();
    let text = masked(FIN | TEXT, b"too late");
    for unmasked in [&b"\x81\x05Hello"[..], b"\x81\x7e\x01\x00", b"\x82\x7f\0\0\0\0\0\x01\0\0", b"\x89\x00"] {
        let bytes = [unmasked, &text, &text].concat();
        check_failed(&server, &events, &bytes, 1002, &format!("{unmasked:02x?}"));
    }
    assert!(events.rest().is_empty());
}

#[test]
fn ws_f5_to_f15_broken_frames_are_1002() {
    let (server, events) = echo_server();
    let text = masked(FIN | TEXT, b"too late");
    for (name, bytes) in [
        ("F5 RSV1", masked(0xC1, b"x")),
        ("F5 RSV3", masked(0x91, b"x")),
        ("F6 opcode 3", masked(0x83, b"x")),
        ("F7 long form", b"\x82\xfe\x00\x7d\x00\x00\x00\x00".to_vec()),
        ("F8 bit 63", b"\x82\xff\x80\0\0\0\0\0\0\x01\0\0\0\0".to_vec()),
        ("F14 long Ping", masked(FIN | PING, &[0; 126])),
        ("F14 Ping in pieces", masked(PING, b"x")),
        ("F15 continuation of nothing", masked(FIN | CONTINUATION, b"x")),
        ("F15 text in text", [masked(TEXT, b"x"), masked(FIN | TEXT, b"y")].concat()),
        ("Close of one byte", masked(FIN | CLOSE, b"\x03")),
        ("Close 1005", masked(FIN | CLOSE, &close_payload(1005, ""))),
    ] {
        check_failed(&server, &events, &[bytes, text.clone()].concat(), 1002, name);
    }
    // Two bytes are enough to judge (F13).
    check_failed(&server, &events, b"\x83\x80", 1002, "F13");
    assert!(events.rest().is_empty());
}

#[test]
fn ws_t2_invalid_utf8_is_1007_at_the_first_impossible_byte() {
    let (server, events) = echo_server();
    // A frame that announces more than ever comes: the answer does not wait for it.
    let mut frame =
        masked(FIN | TEXT, &[b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", &[b'x'; 1000][..]].concat());
    frame.truncate(8 + 13);
    check_failed(&server, &events, &frame, 1007, "T2, mid-frame");
    let fragments = [masked(TEXT, b"\xf0\x9f"), masked(CONTINUATION, b"a")].concat();
    check_failed(&server, &events, &fragments, 1007, "T4, mid-message");
    let unfinished = [masked(TEXT, b"\xf0\x9f"), masked(FIN | CONTINUATION, b"")].concat();
    check_failed(&server, &events, &unfinished, 1007, "T3");
    check_failed(&server, &events, &masked(FIN | CLOSE, b"\x03\xe8\xff"), 1007, "the reason of a Close");
    assert!(events.rest().is_empty());
}

#[test]
fn ws_sec9_too_large_frames_and_messages_are_1009_before_their_payload() {
    let limits = Limits::DEFAULT.with_max_frame_bytes(1000).with_max_message_bytes(1500).with_max_fragments(4);
    let (server, events) = probe_server(options().with_limits(limits), echo);
    let mut peer = server.open("/");
    peer.send(Message::Binary(&[7; 1000]));
    assert_eq!(peer.recv_binary(), [7; 1000]);
    peer.send_fragment(MessageKind::Binary, &[7; 1000], false);
    peer.send_fragment(MessageKind::Binary, &[7; 500], true);
    assert_eq!(peer.recv_binary().len(), 1500, "just large enough");
    drop(peer);
    events.until_closed();
    // Headers only.
    check_failed(&server, &events, &masked(FIN | BINARY, &[7; 1001])[..8], 1009, "a frame");
    check_failed(&server, &events, b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009, "2^63 - 1");
    let second = masked(FIN | CONTINUATION, &[7; 501]);
    check_failed(&server, &events, &[&masked(BINARY, &[7; 1000])[..], &second[..8]].concat(), 1009, "a message");
    let five: Vec<u8> =
        [masked(BINARY, b"")].into_iter().chain((0..4).map(|_| masked(CONTINUATION, b""))).flatten().collect();
    check_failed(&server, &events, &five, 1008, "fragments (SEC8)");
}

/// Bun panicked when a Close came in two packets (PR 23832).
#[test]
fn ws_sec38_a_close_may_come_byte_by_byte() {
    let (server, events) = echo_server();
    let close = masked(FIN | CLOSE, &close_payload(3001, "tschüß"));
    for cut in 1..close.len() {
        let mut peer = server.open("/");
        events.opened();
        peer.write(&close[..cut]);
        peer.write(&close[cut..]);
        peer.expect_close(3001);
        peer.expect_fin();
        let closed = events.closed();
        assert_eq!((closed.code.value(), closed.reason.as_str(), closed.cause), (3001, "tschüß", Cause::Peer));
    }
}

#[test]
fn ws_sec14_garbage_after_the_handshake_ends_only_its_own_connection() {
    let (server, events) = echo_server();
    let mut bystander = server.open("/");
    events.opened();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..200 {
        let garbage: Vec<u8> = (0..1 + round * 7)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8
            })
            .collect();
        let mut peer = server.open("/");
        let _ = peer.try_write(&garbage);
        drop(peer);
    }
    bystander.send_text("unharmed");
    assert_eq!(bystander.recv_text(), "unharmed");
    eventually("all others are gone", || server.running().connections() == 1);
    let (mut opened, mut closed) = (0, 0);
    for event in events.rest() {
        match event {
            Event::Opened(_) => opened += 1,
            Event::Closed(_) => closed += 1,
            _ => {}
        }
    }
    assert_eq!((opened, closed), (200, 200));
}

#[test]
fn ws_l7_sec6_cb13_silence_beyond_the_idle_timeout_is_closed_with_its_code() {
    let timeout = Duration::from_millis(300);
    let options = SocketOptions::default()
        .with_idle_timeout(Some(timeout))
        .with_idle_close(CloseCode::new(4321).expect("may travel"));
    let (server, events) = probe_server(options, echo);
    let mut peer = server.open("/");
    events.opened();
    // Traffic keeps it open well beyond the timeout, even a Ping does.
    let begun = std::time::Instant::now();
    while begun.elapsed() < 2 * timeout {
        peer.ping(b"");
        assert!(matches!(peer.recv(), Received::Pong(_)));
        std::thread::sleep(timeout / 10);
    }
    let last = std::time::Instant::now();
    peer.expect_close(4321);
    assert!(last.elapsed() >= timeout * 8 / 10 && last.elapsed() < PATIENCE / 2, "{:?}", last.elapsed());
    peer.expect_fin();
    let closed = events.closed();
    assert_eq!((closed.code.value(), closed.cause), (4321, Cause::Idle));
}

#[test]
fn ws_sec6_a_header_and_then_silence_is_idle_too() {
    let options = SocketOptions::default().with_idle_timeout(Some(Duration::from_millis(100)));
    let (server, events) = probe_server(options, echo);
    let mut peer = server.open("/").rude();
    events.opened();
    peer.write(&masked(FIN | TEXT, &[b'x'; 1000])[..500]);
    peer.expect_close(1001);
    // What breaks the protocol after our Close does not change why we closed, or with which code.
    peer.write(&[0xFF; 600]);
    peer.expect_fin();
    let closed = events.closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::GOING_AWAY, Cause::Idle));
}

#[test]
fn ws_cb13_without_an_idle_timeout_there_is_none() {
    // Another connection's deadline shows that time has passed.
    let (never, _events) = support::probe(echo);
    let (soon, _soon) = support::probe(echo);
    let soon_options = SocketOptions::default().with_idle_timeout(Some(Duration::from_millis(200)));
    let server = Server::new(config()).handler("/", options(), never).handler("/soon", soon_options, soon);
    let server = TestServer::start(server);
    let (mut peer, mut other) = (server.open("/"), server.open("/soon"));
    other.expect_close(1001);
    peer.send_text("awake");
    assert_eq!(peer.recv_text(), "awake");
}
