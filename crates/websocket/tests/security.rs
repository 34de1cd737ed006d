//! Attacks on other implementations, tried on this one: each test names where it happened, and what we do instead.
//!
//! Those that follow from one rule stand with that rule, in the files of its section; what costs memory stands in
//! `security_memory.rs`.

mod peer;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use http::header::{HOST, ORIGIN};
use peer::{BINARY, CLIENT, CLOSE, CONTINUATION, FIN, PING, TEXT};
use peer::{close_payload, feed, from, masked, outcome, plain, to};
use wingbeat_websocket::handshake::{
    Answer, ClientHandshake, ClientOptions, HeadError, HeadLimits, UpgradeRequest, WebSocketUri, may_complete_head,
    parse_head,
};
use wingbeat_websocket::{CloseFrame, Connection, Limits, MessageKind, ProtocolError, Role};

/// Proxies that knew nothing of WebSockets took what a page let a client send for requests, and cached the answers for
/// everybody (Huang et al., 2011; RFC 6455 §10.3). What travels is not what the page chose: the key is another for each
/// frame, and whoever does not mask is refused before anything is told.
#[test]
fn ws_sec2_what_a_page_chose_is_not_what_travels() {
    fn random() -> [u8; 4] {
        let mut key = [0; 4];
        getrandom::fill(&mut key).expect("the system has randomness");
        key
    }
    let poison = b"GET /script.js HTTP/1.1\r\nHost: victim.example\r\n\r\n";
    let mut client = Connection::new(Role::Client { mask_key: random }, Limits::DEFAULT);
    let mut seen = HashSet::new();
    for _ in 0..10_000 {
        let mut output = Vec::new();
        client.send_binary(poison, &mut output).unwrap();
        assert!(!output.windows(poison.len()).any(|bytes| bytes == poison));
        seen.insert(output);
    }
    // Two keys of four bytes may be the same now and then.
    assert!(seen.len() > 9_990, "{} of 10,000 differ", seen.len());
    let outcome = outcome("unmasked", Role::Server, &plain(FIN | BINARY, poison));
    assert_eq!((outcome.received, outcome.error), (vec![], Some(ProtocolError::NotMasked)));
    // Nor does a proxy that passes a request on within frames make a server answer it.
    let request = feed(&mut Connection::new(Role::Server, Limits::DEFAULT), [poison]);
    assert!(request.error.is_some() && request.received.is_empty() && request.output.is_empty());
}

/// ws sent uninitialised memory where a number was given for a payload, and had no limit unless asked
/// (CVE-2016-10518, CVE-2016-10542). A buffer that held something else before shows nothing of it here.
#[test]
fn ws_sec20_a_payload_is_the_callers_and_nothing_else() {
    const SECRET: u8 = 0x5A;
    for role in [Role::Server, CLIENT] {
        let used_before = || {
            let mut output = vec![SECRET; 4096];
            output.clear();
            output
        };
        for size in 0..=125 {
            let payload = vec![1; size];
            let mut connection = Connection::new(role, Limits::DEFAULT);
            let mut output = used_before();
            connection.send_ping(&payload, &mut output).unwrap();
            assert_eq!(output, from(role, FIN | PING, &payload));
            let mut output = used_before();
            connection.send_with(MessageKind::Binary, &mut output, |buffer| buffer.extend(&payload)).unwrap();
            assert_eq!(output, from(role, FIN | BINARY, &payload));
            let mut output = used_before();
            let mut ping = to(role, FIN | PING, &payload);
            connection.handle_input(&mut ping, &mut output).unwrap();
            assert_eq!(output, from(role, FIN | 0xA, &payload));
        }
        let mut output = used_before();
        Connection::new(role, Limits::DEFAULT).close(None::<CloseFrame>, &mut output);
        assert_eq!(output, from(role, FIN | CLOSE, b""));
    }
}

/// x/net/websocket read whatever was announced (golang issue 5082), ws took 100 MiB unless told otherwise
/// (CVE-2016-10542). Nobody has to ask for a limit here.
#[test]
fn ws_sec20_sec23_there_are_limits_by_default() {
    for role in [Role::Server, CLIENT] {
        let limits = Limits::default();
        let frame = &to(role, FIN | BINARY, &vec![0; limits.max_frame_bytes + 1])[..14];
        let error = feed(&mut Connection::new(role, limits), [frame]).error;
        assert_eq!(error, Some(ProtocolError::FrameTooBig { limit: 1 << 20 }));
        let mut connection = Connection::new(role, limits);
        let payload = vec![0; limits.max_frame_bytes];
        let mut frames = to(role, BINARY, &payload);
        let mut error = None;
        for count in 0..=limits.max_message_bytes / limits.max_frame_bytes {
            error = feed(&mut connection, [&frames]).error;
            assert_eq!(error.is_some(), count == 8, "after {count} MiB");
            frames = to(role, CONTINUATION, &payload);
        }
        assert_eq!(error, Some(ProtocolError::MessageTooBig { limit: 8 << 20 }));
    }
}

/// gorilla added a length near 2^63 to what it had read, and the sum was negative (CVE-2020-27813). On 32 bits a length
/// of 2^32 + 5 would be 5. Whatever is announced is compared before it is made smaller.
#[test]
fn ws_sec9_sec22_lengths_that_would_overflow_or_be_cut() {
    let length = |first: u8, length: u64| [&[first, 0xFF][..], &length.to_be_bytes(), &peer::KEY].concat();
    for announced in [1 << 31, 1 << 32, (1 << 32) + 5, (1 << 33) + 1000, u64::MAX >> 1, (u64::MAX >> 1) - 1000] {
        for stream in [
            length(FIN | BINARY, announced),
            length(BINARY, announced),
            [masked(BINARY, &[7; 1000]), length(FIN | CONTINUATION, announced)].concat(),
        ] {
            let outcome = outcome("length", Role::Server, &[&stream[..], &[0; 10]].concat());
            let expected = ProtocolError::FrameTooBig { limit: 1 << 20 };
            assert_eq!((outcome.received, outcome.error), (vec![], Some(expected)), "{announced:#x}");
        }
    }
}

/// The plugin of an editor had one answer for "more is needed" and for "this is wrong", and hung with the peer still
/// talking (claudecode.nvim issue 257). Here they are two: what is begun well is waited for, byte by byte; what is wrong
/// is an error at its first wrong byte, and nothing makes it good again.
#[test]
fn ws_sec39_too_little_and_wrong_are_two_answers() {
    let good = [
        masked(TEXT, "grö".as_bytes()),
        masked(FIN | PING, b"?"),
        masked(FIN | CONTINUATION, "ße".as_bytes()),
        masked(FIN | BINARY, &[7; 300]),
        masked(FIN | BINARY, &[7; 70_000]),
        masked(FIN | CLOSE, &close_payload(1000, "bye")),
    ]
    .concat();
    // Cut anywhere it is waited for, and with the rest it is whole.
    let whole = feed(&mut Connection::new(Role::Server, Limits::DEFAULT), [&good]);
    assert_eq!((whole.received.len(), whole.error), (5, None));
    for cut in (0..400).chain(good.len() - 20..good.len()) {
        let mut server = Connection::new(Role::Server, Limits::DEFAULT);
        let (begun, rest) = good.split_at(cut);
        let first = feed(&mut server, [begun]);
        assert_eq!(first.error, None, "cut at {cut}");
        assert!(first.received.len() < 5 && !server.is_done(), "cut at {cut}");
        // What the transport would keep of it is given again with the rest.
        let mut server = Connection::new(Role::Server, Limits::DEFAULT);
        assert_eq!(feed(&mut server, [begun, rest]), whole, "cut at {cut}");
    }
    for (name, bad, at) in [
        ("opcode", masked(FIN | 0x3, b"x"), 0),
        ("reserved bits", masked(0xF1, b"x"), 0),
        ("no mask", plain(FIN | TEXT, b"x"), 1),
        ("long Ping", masked(FIN | PING, &[0; 126]), 1),
        ("long form", b"\x82\xFE\x00\x05".to_vec(), 3),
        ("text", masked(FIN | TEXT, b"ab\xFFcd"), 8),
        ("no message", masked(CONTINUATION, b"x"), 5),
    ] {
        for end in 1..=bad.len() {
            let mut server = Connection::new(Role::Server, Limits::DEFAULT);
            let outcome = feed(&mut server, [&bad[..end]]);
            // Found at the byte, or with the whole header.
            assert!(end > at || outcome.error.is_none(), "{name} after {end} bytes");
            assert_eq!(outcome.received, vec![], "{name}");
            if end == bad.len() {
                assert!(outcome.error.is_some(), "{name}");
                let after = feed(&mut server, [&good]);
                assert_eq!((after.received, after.error, after.output), (vec![], None, vec![]), "{name}");
            }
        }
    }
    assert!(matches!(parse_head(b"GET / HTTP/1.1\r\nHost", HeadLimits::DEFAULT), Ok(None)));
    assert!(matches!(parse_head(b"GET / HTTP/1.1\r\nHo st", HeadLimits::DEFAULT), Err(HeadError::Malformed)));
}

/// A good request, with one header as given.
fn request_with(name: &str, value: &[u8]) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    for (known, good) in [
        ("Host", "h"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ] {
        if known != name {
            head.extend(format!("{known}: {good}\r\n").bytes());
        }
    }
    [&head[..], name.as_bytes(), b": ", value, b"\r\n\r\n"].concat()
}

/// The least time of a few runs: what others do on the machine only makes it longer.
fn least_time(mut run: impl FnMut()) -> Duration {
    let times = (0..7).map(|_| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    });
    times.min().expect("some runs")
}

const HEADERS: [&str; 8] = [
    "Host",
    "Upgrade",
    "Connection",
    "Origin",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
];

/// ws split Sec-WebSocket-Protocol by an expression that tried every way to share out a run of spaces
/// (CVE-2021-32640): a header of 32 KiB took minutes. Sixteen times as long takes here about sixteen times as long.
#[test]
fn ws_sec19_runs_of_spaces_are_read_in_linear_time() {
    let limits = HeadLimits::DEFAULT.with_max_bytes(1 << 20);
    for name in HEADERS {
        for shape in [["a", "b"], ["a,", ",b"], ["", ""], ["a;x", "=y"], ["\"", "\""]] {
            let judge = |spaces: usize| {
                let value = [shape[0].as_bytes(), &b" ".repeat(spaces), shape[1].as_bytes()].concat();
                let head = request_with(name, &value);
                least_time(|| {
                    let (request, _) = parse_head(&head, limits).expect("a head").expect("all of it");
                    // Refused or not, it has been judged.
                    let _ = UpgradeRequest::parse(&request.into_parts().0);
                })
            };
            let (short, long) = (judge(32 << 10), judge(512 << 10));
            // Quadratic would be 256.
            assert!(long < 100 * short.max(Duration::from_micros(20)), "{name} {shape:?}: {short:?}, then {long:?}");
        }
    }
}

/// The same for a head that comes in many small pieces, and for blank lines before it: tungstenite read a head from its
/// beginning with every piece (CVE-2023-43669, RUSTSEC-2023-0065), which took minutes for a megabyte. Here the bytes
/// looked at are counted: a head is looked at once for each of its lines, of which there is a limit, too.
#[test]
fn ws_sec5_sec17_a_head_in_pieces_is_looked_at_once_a_line() {
    let limits = HeadLimits::DEFAULT;
    let long_line = request_with("Cookie", &b"c".repeat(15_000));
    let lines = [b"GET / HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(100)].concat();
    let blank = b"\r\n".repeat(8000);
    let newlines = b"\n".repeat(16_000);
    for (name, head) in [("a long line", long_line), ("lines", lines), ("blank", blank), ("newlines", newlines)] {
        // As the transport does it: with each piece it asks whether the head may be complete.
        let (mut parses, mut looked_at) = (0, 0);
        for end in 1..=head.len() {
            if !may_complete_head(&head[end - 1..end]) {
                continue;
            }
            (parses, looked_at) = (parses + 1, looked_at + end);
            if !matches!(parse_head(&head[..end], limits), Ok(None)) {
                break;
            }
        }
        assert!(parses <= limits.max_headers + 10, "{name}: {parses} times");
        assert!(looked_at <= 20 * limits.max_bytes, "{name}: {looked_at} bytes");
    }
}

/// A few blank lines before a request are forgiven (RFC 9112 §2.2), in whatever pieces they come.
#[test]
fn blank_lines_before_a_head() {
    let good = request_with("Host", b"h");
    for (blank, is_good) in [("", true), ("\r\n", true), ("\r\n\r\n", true), ("\n", true), ("\r\n\r\n\r\n", false)] {
        let head = [blank.as_bytes(), &good].concat();
        let parsed = parse_head(&head, HeadLimits::DEFAULT).map(|parsed| parsed.is_some());
        assert_eq!(parsed, if is_good { Ok(true) } else { Err(HeadError::Malformed) }, "{blank:?}");
    }
}

/// Granian's worker panicked over a subprotocol that was not ASCII (2026): the text of a header was taken for granted.
#[test]
fn ws_sec36_no_byte_in_a_header_breaks_anything() {
    for name in HEADERS {
        for byte in 0x80..=0xFF {
            for value in [&[byte][..], &[b'a', byte], &[byte, b',', b'a'], &[b'a', b';', b'b', b'=', b'"', byte, b'"']]
            {
                let head = request_with(name, value);
                let (request, _) = parse_head(&head, HeadLimits::DEFAULT).expect("a head").expect("all of it");
                let parsed = UpgradeRequest::parse(&request.into_parts().0);
                assert_eq!(parsed.is_ok(), name == ORIGIN.as_str() || name == "Origin", "{name} {value:02x?}");
            }
        }
    }
    assert_eq!(HOST.as_str(), "host");
    // The client's side of it.
    let uri = WebSocketUri::parse("ws://h").expect("a URI");
    let options = ClientOptions::default().with_subprotocols(["a"]).with_extensions(["a"]);
    let client = ClientHandshake::new(&uri, *b"the sample nonce", options).expect("good options");
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]
    {
        for byte in 0x80..=0xFF {
            let mut head = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
            for (known, good) in [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ] {
                if known != name {
                    head.extend(format!("{known}: {good}\r\n").bytes());
                }
            }
            let head = [&head[..], name.as_bytes(), b": a", &[byte], b"\r\n\r\n"].concat();
            assert!(!matches!(client.handle_input(&head), Ok(Some((Answer::Accepted(_), _)))), "{name} {byte:02x}");
        }
    }
}

/// Bun panicked when a Close came in two packets (PR 23832): the first had a header and no payload. Cut at every byte, a
/// Close says the same.
#[test]
fn ws_sec38_a_close_cut_at_every_byte() {
    for role in [Role::Server, CLIENT] {
        for payload in
            [vec![], close_payload(1000, ""), close_payload(3001, "größer"), close_payload(4999, &"x".repeat(123))]
        {
            let frame = to(role, FIN | CLOSE, &payload);
            let whole = feed(&mut Connection::new(role, Limits::DEFAULT), [&frame]);
            assert_eq!((whole.received.len(), whole.error), (1, None));
            for cut in 1..frame.len() {
                let mut connection = Connection::new(role, Limits::DEFAULT);
                assert_eq!(feed(&mut connection, [&frame[..cut], &frame[cut..]]), whole, "cut at {cut}");
                assert!(connection.is_done());
            }
        }
    }
}
