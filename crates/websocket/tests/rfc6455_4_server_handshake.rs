//! RFC 6455 §4.2 and §4.4: which requests a server accepts, and what it answers to the others.

use http::header::{CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Request, Version};
use wingbeat_websocket::handshake::{
    HandshakeError, HeadError, HeadLimits, UpgradeRequest, may_complete_head, parse_head, write_response_head,
};

/// The request of RFC 6455 §1.3, as lines.
const GOOD: [&str; 8] = [
    "GET /chat HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Origin: http://example.com",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Sec-WebSocket-Version: 13",
];

/// The good request without the lines that begin with `without`, and with others behind it.
fn head(without: &[&str], with: &[&str]) -> Vec<u8> {
    let kept = GOOD.into_iter().filter(|line| !without.iter().any(|start| line.starts_with(start)));
    let lines = kept.chain(with.iter().copied()).map(|line| format!("{line}\r\n"));
    (lines.collect::<String>() + "\r\n").into_bytes()
}

fn request(head: &[u8]) -> Request<()> {
    let (request, used) = parse_head(head, HeadLimits::DEFAULT).unwrap().unwrap();
    assert_eq!(used, head.len());
    request
}

fn parse(head: &[u8]) -> Result<UpgradeRequest, HandshakeError> {
    UpgradeRequest::parse(&request(head).into_parts().0)
}

/// The good request, changed so, is refused with `status`.
#[track_caller]
fn check_refused(name: &str, without: &[&str], with: &[&str], status: u16) -> HandshakeError {
    let error = parse(&head(without, with)).map(|_| ()).expect_err(name);
    let response = error.response();
    assert_eq!(response.status(), status, "{name}: {error}");
    assert!(response.body().contains(&error.to_string()), "{name}: {}", response.body());
    error
}

#[track_caller]
fn check_accepted(name: &str, without: &[&str], with: &[&str]) -> UpgradeRequest {
    parse(&head(without, with)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The first line changes, the others stay.
fn with_request_line(line: &str) -> Vec<u8> {
    [line.as_bytes(), &head(&["GET"], &[])].join(&b"\r\n"[..])
}

#[test]
fn ws_s1_method() {
    for method in ["POST", "HEAD", "PUT", "OPTIONS", "GETS", "get"] {
        let error = parse(&with_request_line(&format!("{method} /chat HTTP/1.1"))).unwrap_err();
        let response = error.response();
        assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"GET".parse().unwrap()));
    }
}

#[test]
fn ws_s2_version_of_http() {
    let error = parse(&with_request_line("GET /chat HTTP/1.0")).unwrap_err();
    assert_eq!((error.response().status().as_u16(), error), (505, HandshakeError::OldVersion(Version::HTTP_10)));
    for line in ["GET /chat HTTP/2.0", "GET /chat HTTP/1.2", "PRI * HTTP/2.0"] {
        let error = parse_head(&with_request_line(line), HeadLimits::DEFAULT).unwrap_err();
        assert_eq!((error, error.status().as_u16()), (HeadError::Version, 505), "{line}");
    }
}

#[test]
fn ws_s3_host() {
    check_refused("missing", &["Host"], &[], 400);
    check_refused("twice", &[], &["Host: server.example.com"], 400);
    check_refused("empty", &["Host"], &["Host:"], 400);
    for host in ["a b", "a\\b", "user@h", "h/x", "h:port", "[::1"] {
        check_refused(host, &["Host"], &[&format!("Host: {host}")], 400);
    }
    for host in ["h", "h:81", "[::1]:9", "127.0.0.1", "xn--bcher-kva.example"] {
        check_accepted(host, &["Host"], &[&format!("Host: {host}")]);
    }
}

#[test]
fn ws_s4_upgrade_and_connection() {
    for (name, without, with) in [
        ("no upgrade", "Upgrade", &[][..]),
        ("another upgrade", "Upgrade", &["Upgrade: h2c"]),
        ("part of a word", "Upgrade", &["Upgrade: websockets"]),
        ("no connection", "Connection", &[]),
        ("another connection", "Connection", &["Connection: keep-alive"]),
        ("part of a word", "Connection", &["Connection: upgraded"]),
    ] {
        let response = check_refused(name, &[without], with, 426).response();
        let headers = response.headers();
        assert_eq!(
            (&headers[UPGRADE], &headers[CONNECTION]),
            (&"websocket".parse().unwrap(), &"Upgrade".parse().unwrap())
        );
    }
    check_accepted("case", &["Upgrade", "Connection"], &["Upgrade: WebSocket", "Connection: uPGRADE"]);
    check_accepted("lists", &["Upgrade", "Connection"], &["Upgrade: h2c, websocket", "Connection: keep-alive,Upgrade"]);
    let lines = ["Upgrade: h2c", "Upgrade: websocket", "Connection: keep-alive", "Connection: Upgrade"];
    check_accepted("lines", &["Upgrade", "Connection"], &lines);
}

#[test]
fn ws_s5_key() {
    let none = check_refused("missing", &["Sec-WebSocket-Key"], &[], 400);
    assert_eq!(none, HandshakeError::KeyCount(0));
    let two = check_refused("twice", &[], &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], 400);
    assert_eq!(two, HandshakeError::KeyCount(2));
    for (name, key) in [
        ("empty", ""),
        ("15 bytes", "dGhlIHNhbXBsZSBub25j"),
        ("17 bytes", "dGhlIHNhbXBsZSBub25jZXg="),
        ("18 bytes", "dGhlIHNhbXBsZSBub25jZXh4"),
        ("48 bytes", "dGhlIHNhbXBsZSBub25jZXh4dGhlIHNhbXBsZSBub25jZXh4dGhlIHNhbXBsZSBub25jZXh4"),
        ("no padding", "dGhlIHNhbXBsZSBub25jZQ"),
        ("not base64", "dGhlIHNhbXBsZSBub25jZ!=="),
        ("URL alphabet", "-GhlIHNhbXBsZSBub25jZQ=="),
        ("bits after the end, erratum 3150", "dGhlIHNhbXBsZSBub25jZR=="),
    ] {
        let error = check_refused(name, &["Sec-WebSocket-Key"], &[&format!("Sec-WebSocket-Key: {key}")], 400);
        assert!(matches!(error, HandshakeError::Key(_)), "{name}: {error}");
    }
}

#[test]
fn ws_s6_version_of_the_protocol() {
    let error = check_refused("missing", &["Sec-WebSocket-Version"], &[], 400);
    assert_eq!(error.response().headers()[SEC_WEBSOCKET_VERSION], "13");
    for version in ["", "7", "8", "0", "013", "13, 8", "14", "1\u{80}3"] {
        let line = format!("Sec-WebSocket-Version: {version}");
        let response = check_refused(version, &["Sec-WebSocket-Version"], &[&line], 426).response();
        assert_eq!(response.headers()[SEC_WEBSOCKET_VERSION], "13");
        assert_eq!(response.headers()[UPGRADE], "websocket");
    }
    check_refused("twice", &[], &["Sec-WebSocket-Version: 13"], 426);
}

#[test]
fn ws_s10_a_body_is_refused() {
    for line in ["Content-Length: 00", "Content-Length: x", "Transfer-Encoding: gzip, chunked"] {
        assert_eq!(check_refused(line, &[], &[line], 400), HandshakeError::Body);
    }
    check_accepted("no bytes are no body", &[], &["Content-Length: 0"]);
}

#[test]
fn ws_sec12_a_body_is_not_taken_for_frames() {
    for line in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let head = head(&[], &[line]);
        let input = [&head[..], b"\x81\x80abcd"].concat();
        let (request, used) = parse_head(&input, HeadLimits::DEFAULT).unwrap().unwrap();
        assert_eq!(used, head.len());
        assert_eq!(UpgradeRequest::parse(&request.into_parts().0).unwrap_err(), HandshakeError::Body);
    }
    let lines = ["Content-Length: 0", "Content-Length: 5"];
    assert_eq!(check_refused("two lengths", &[], &lines, 400), HandshakeError::Body);
}

#[test]
fn ws_sec11_no_line_break_gets_into_an_answer() {
    let offer = check_accepted("good", &[], &[]);
    assert!(offer.accept(Some("chat\r\nX: y")).is_err());
    let error = check_refused("quoted", &["Sec-WebSocket-Version"], &["Sec-WebSocket-Version: 7\t8"], 426);
    let mut output = Vec::new();
    write_response_head(&error.response(), &mut output);
    assert!(output.is_ascii() && !output.contains(&b'\t'));
}

#[test]
fn ws_s11_the_101_of_rfc_6455_1_3() {
    let response = check_accepted("good", &[], &[]).accept(Some("chat")).unwrap();
    let mut output = Vec::new();
    write_response_head(&response, &mut output);
    let expected = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n";
    assert_eq!(String::from_utf8(output).unwrap(), expected);
}

#[test]
fn ws_s12_subprotocols() {
    let offer = check_accepted("offer", &[], &["sec-websocket-protocol: v2.phoenix ,, v1"]);
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["chat", "superchat", "v2.phoenix", "v1"]);
    assert_eq!(offer.subprotocols().len(), 4);
    for chosen in ["other", "", "chat, superchat", "Chat", "chat\r\nX: y"] {
        let error = offer.clone().accept(Some(chosen)).unwrap_err();
        assert_eq!((error.response().status().as_u16(), error), (500, HandshakeError::SubprotocolNotOffered));
    }
    let response = offer.accept(None).unwrap();
    assert!(!response.headers().contains_key("sec-websocket-protocol"));
    for bad in ["a b", "a;b", "\"a\"", "caf\u{E9}"] {
        let error = check_refused(bad, &[], &[&format!("Sec-WebSocket-Protocol: {bad}")], 400);
        assert!(matches!(error, HandshakeError::Subprotocol(_)));
    }
}

#[test]
fn ws_s13_extension_offers_over_several_lines() {
    let lines = ["Sec-WebSocket-Extensions: a; x=\"1\", b", "Sec-WebSocket-Extensions: a; y"];
    let offer = check_accepted("erratum 3433", &[], &lines);
    let offers: Vec<_> = offer.extension_offers().map(|offer| (offer.name.to_owned(), offer.params.len())).collect();
    assert_eq!(offers, [("a".to_owned(), 1), ("b".to_owned(), 0), ("a".to_owned(), 1)]);
    let response = offer.accept(None).unwrap();
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    let malformed = ["Sec-WebSocket-Extensions: a, b c"];
    assert_eq!(check_refused("§9.1", &[], &malformed, 400), HandshakeError::Extensions);
}

#[test]
fn ws_s14_frames_behind_the_head_are_left() {
    let head = head(&[], &[]);
    let input = [&head[..], b"\x81\x80abcd"].concat();
    let (_, used) = parse_head(&input, HeadLimits::DEFAULT).unwrap().unwrap();
    assert_eq!(&input[used..], b"\x81\x80abcd");
}

#[test]
fn ws_s15_l4_l5_limits_of_the_head() {
    let limits = HeadLimits::DEFAULT;
    let of_size = |size: usize| {
        let without = head(&[], &["X: "]).len();
        head(&[], &[&format!("X: {}", "x".repeat(size - without))])
    };
    for (size, fits) in [(limits.max_bytes - 1, true), (limits.max_bytes, true), (limits.max_bytes + 1, false)] {
        let bytes = of_size(size);
        assert_eq!(bytes.len(), size);
        match parse_head(&bytes, limits) {
            Ok(Some((_, used))) => assert!(fits && used == size, "{size}"),
            Err(error) => assert_eq!((fits, error, error.status().as_u16()), (false, HeadError::TooLarge, 431)),
            Ok(None) => panic!("{size}"),
        }
        assert_eq!(parse_head(&bytes[..size - 1], limits).is_ok(), size <= limits.max_bytes);
    }
    for (count, fits) in [(99, true), (100, true), (101, false)] {
        let lines = vec!["X: y"; count - (GOOD.len() - 1)];
        let parsed = parse_head(&head(&[], &lines), limits);
        assert_eq!(parsed.as_ref().is_ok_and(Option::is_some), fits, "{count}");
        assert!(fits || parsed.unwrap_err() == HeadError::TooLarge);
    }
    for (size, fits) in [(8191, true), (8192, true), (8193, false)] {
        let line = format!("GET /{} HTTP/1.1", "x".repeat(size - 1));
        let parsed = parse_head(&with_request_line(&line), limits);
        assert_eq!(parsed.as_ref().is_ok_and(Option::is_some), fits, "{size}");
        assert!(fits || parsed.unwrap_err() == HeadError::TargetTooLong);
        // The same while the target has not ended yet.
        let unfinished = parse_head(line.strip_suffix(" HTTP/1.1").unwrap().as_bytes(), limits);
        assert_eq!(unfinished.map(|_| ()).is_ok(), fits, "{size}");
    }
    assert_eq!(HeadError::TargetTooLong.status().as_u16(), 414);
}

/// ws crashed over a request with more headers than its parser kept, for Upgrade was among those it had dropped
/// (CVE-2024-37890). Here too many headers are refused, none is dropped.
#[test]
fn ws_sec18_two_thousand_headers() {
    let parsed = parse_head(&head(&[], &["X: y"; 2000]), HeadLimits::DEFAULT);
    assert_eq!(parsed.unwrap_err().status(), 431);
    // Also before the end of the head has come.
    let begun = ["GET / HTTP/1.1\r\n", &"X: y\r\n".repeat(101)].concat();
    assert_eq!(parse_head(begun.as_bytes(), HeadLimits::DEFAULT).unwrap_err().status(), 431);
}

/// tungstenite parsed all of a head with each read (CVE-2023-43669, RUSTSEC-2023-0065, issue 376).
#[test]
fn ws_sec17_a_head_byte_by_byte_is_parsed_once_a_line() {
    let limits = HeadLimits::DEFAULT;
    let lines = vec!["X: y"; limits.max_headers - (GOOD.len() - 1)];
    let head = head(&[], &lines);
    let parses: Vec<usize> = (0..head.len()).filter(|&at| may_complete_head(&head[at..=at])).collect();
    assert_eq!(parses.len(), 1 + limits.max_headers + 1);
    let (last, before) = parses.split_last().unwrap();
    for at in before {
        assert!(matches!(parse_head(&head[..=*at], limits), Ok(None)));
    }
    assert!(matches!(parse_head(&head[..=*last], limits), Ok(Some(_))));
}

#[test]
fn ws_s16_http_2_is_another_handshake() {
    let (mut parts, ()) = request(&head(&[], &[])).into_parts();
    for version in [Version::HTTP_2, Version::HTTP_3] {
        parts.version = version;
        let error = UpgradeRequest::parse(&parts).unwrap_err();
        assert_eq!((error.response().status().as_u16(), error), (501, HandshakeError::NewVersion(version)));
    }
}

#[test]
fn a_head_cut_anywhere_is_waited_for() {
    let head = head(&[], &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]);
    for end in 0..head.len() {
        assert!(matches!(parse_head(&head[..end], HeadLimits::DEFAULT), Ok(None)), "{end}");
    }
    let completing: Vec<usize> = (0..head.len()).filter(|&at| may_complete_head(&head[at..=at])).collect();
    assert_eq!(completing.len(), GOOD.len() + 2);
    assert_eq!(completing.last(), Some(&(head.len() - 1)));
}

#[test]
fn what_is_no_head_is_refused() {
    for (name, bytes) in [
        ("TLS", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC"[..]),
        ("NUL", b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
        ("space in a name", b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n"),
        ("space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("folded line", b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n"),
        ("no target", b"GET HTTP/1.1\r\n\r\n"),
        ("bare CR", b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n"),
        ("frames", b"\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58"),
    ] {
        let error = parse_head(bytes, HeadLimits::DEFAULT).map(|_| ()).expect_err(name);
        assert!(matches!(error, HeadError::Malformed | HeadError::Version), "{name}: {error}");
    }
}

#[test]
fn ws_sec36_bytes_over_7f_in_every_header_of_the_handshake() {
    for name in
        ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"]
    {
        for byte in 0x80..=0xFF {
            let mut head = head(&[name], &[&format!("{name}: ?")]);
            let at = head.iter().rposition(|&byte| byte == b'?').unwrap();
            head[at] = byte;
            let status = parse(&head).unwrap_err().response().status().as_u16();
            assert!(matches!(status, 400 | 426), "{name} {byte:02x}: {status}");
        }
    }
}

#[test]
fn what_came_is_quoted_harmlessly_in_the_answer() {
    let error = check_refused("markup", &["Sec-WebSocket-Version"], &["Sec-WebSocket-Version: \u{1F426}\"<b>"], 426);
    assert_eq!(error.to_string(), r#"Sec-WebSocket-Version must be 13, not "\xf0\x9f\x90\xa6\"<b>""#);
    assert_eq!(error.response().headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(error.response().headers()["content-length"], error.response().body().len().to_string().as_str());
}
