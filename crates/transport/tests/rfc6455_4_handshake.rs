//! The opening handshake of raw handlers, on the wire (RFC 6455 §4.2, §4.4).

mod support;

use std::time::{Duration, Instant};

use support::{
    CLOSE, FIN, PATIENCE, Peer, TEXT, TestServer, close_payload, config, echo, echo_server, masked, options, probe,
    upgrade,
};
use wingbeat_transport::{CheckOrigin, Http2Config, Server, SocketOptions};

/// The good request with one line replaced, or taken out if `line` is empty.
fn with_line(server: &TestServer, name: &str, line: &str) -> String {
    let request = upgrade("/", server.addr(), "");
    let start = request.find(name).expect("such a line");
    let end = start + request[start..].find("\r\n").expect("its end") + 2;
    let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
    [&request[..start], &line, &request[end..]].concat()
}

/// `request` is answered with `status` and a sentence with `said` in it, then FIN; the handler is never asked.
#[track_caller]
fn check_refused(request: &str, server: &TestServer, status: u16, said: &str) -> support::Response {
    let mut peer = server.connect();
    let response = peer.ask(request);
    assert_eq!(response.status, status, "{request:?} {response:?}");
    assert!(response.body.contains(said), "{said:?} is not in {:?}", response.body);
    assert!(response.all("connection").join(",").contains("close"), "{response:?}");
    peer.hang_up();
    peer.expect_fin();
    response
}

#[test]
fn ws_s1_get_only() {
    let (server, events) = echo_server();
    for method in ["POST", "PUT", "OPTIONS", "DELETE", "get"] {
        let request = upgrade("/", server.addr(), "").replacen("GET", method, 1);
        let response = check_refused(&request, &server, 405, method);
        assert_eq!(response.all("allow"), ["GET"], "{method}");
    }
    assert!(events.rest().is_empty());
}

#[test]
fn ws_s1_an_answer_to_head_has_no_body() {
    let (server, _events) = echo_server();
    let mut peer = server.connect();
    peer.write(upgrade("/", server.addr(), "").replacen("GET", "HEAD", 1).as_bytes());
    peer.hang_up();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut peer.stream, &mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn ws_s2_http_1_1_at_least() {
    let (server, _events) = echo_server();
    for version in ["HTTP/1.0", "HTTP/2.0", "HTTP/1.2"] {
        let request = upgrade("/", server.addr(), "").replacen("HTTP/1.1", version, 1);
        check_refused(&request, &server, 505, "HTTP");
    }
    check_refused("hello\r\n\r\n", &server, 400, "malformed");
    check_refused("\x16\x03\x01\n\r\n", &server, 400, "malformed");
}

#[test]
fn ws_s3_exactly_one_host() {
    let (server, _events) = echo_server();
    check_refused(&with_line(&server, "Host", ""), &server, 400, "Host");
    check_refused(&with_line(&server, "Host", "Host: a\r\nHost: a"), &server, 400, "Host");
    check_refused(&with_line(&server, "Host", "Host: a b"), &server, 400, "Host");
}

#[test]
fn ws_s4_cb44_upgrade_and_connection_name_websocket_and_upgrade() {
    let (server, _events) = echo_server();
    for (name, line) in [
        ("Upgrade", ""),
        ("Upgrade", "Upgrade: h2c"),
        ("Upgrade", "Upgrade: websockets"),
        ("Connection", ""),
        ("Connection", "Connection: keep-alive"),
    ] {
        let response = check_refused(&with_line(&server, name, line), &server, 426, name);
        assert_eq!(response.all("upgrade"), ["websocket"], "{line}");
        let connection = response.all("connection").join(", ").to_ascii_lowercase();
        assert!(connection.contains("upgrade"), "RFC 9110 §15.5.22: {connection}");
    }
    for (name, line) in [
        ("Upgrade", "uPGRADE: h2c, WebSocket"),
        ("Connection", "Connection: keep-alive, Upgrade"),
        ("Connection", "Connection: keep-alive\r\nConnection: upgrade"),
    ] {
        let response = server.connect().ask(&with_line(&server, name, line));
        assert_eq!(response.status, 101, "{line} {response:?}");
    }
}

#[test]
fn ws_s5_one_key_of_16_bytes() {
    let (server, _events) = echo_server();
    let name = "Sec-WebSocket-Key";
    for value in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZTE=", "????????????????????????", "YQ=="] {
        let line = format!("{name}: {value}");
        check_refused(&with_line(&server, name, &line), &server, 400, name);
    }
    check_refused(&with_line(&server, name, ""), &server, 400, "there are 0");
    let twice = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    check_refused(&with_line(&server, name, &format!("{twice}\r\n{twice}")), &server, 400, "there are 2");
}

#[test]
fn ws_s6_cb44_version_13() {
    let (server, _events) = echo_server();
    let name = "Sec-WebSocket-Version";
    for (line, status, said) in [
        ("", 400, "must be 13"),
        ("Sec-WebSocket-Version: 8", 426, "not \"8\""),
        ("Sec-WebSocket-Version: 12, 13", 426, "not \"12, 13\""),
        ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13", 426, "not 2 of them"),
    ] {
        let response = check_refused(&with_line(&server, name, line), &server, status, said);
        assert_eq!(response.all(name), ["13"], "{line}");
    }
}

#[test]
fn ws_s7_cb41_foreign_origin_is_403_before_the_handler() {
    let (open, events) = probe(echo);
    let server = Server::new(config()).handler("/", SocketOptions::default(), open);
    let server = TestServer::start(server);
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "file://"] {
        let request = upgrade("/", server.addr(), &format!("Origin: {origin}\r\n"));
        check_refused(&request, &server, 403, "origin");
    }
    assert!(events.rest().is_empty(), "no handler was made");
    for origin in [format!("Origin: http://{}\r\n", server.addr()), String::new()] {
        let mut peer = server.connect();
        assert_eq!(peer.ask(&upgrade("/", server.addr(), &origin)).status, 101, "same host, or no browser");
        events.opened();
        drop(peer);
        events.closed();
    }
}

#[test]
fn ws_sec1_cb41_origins_of_each_mount() {
    let (any, _any) = probe(echo);
    let (list, _list) = probe(echo);
    let patterns = vec!["//*.example.com".parse().expect("a pattern")];
    let server = Server::new(config()).handler("/any", options().with_check_origin(CheckOrigin::Any), any).handler(
        "/list",
        options().with_check_origin(CheckOrigin::List(patterns)),
        list,
    );
    let server = TestServer::start(server);
    for (path, origin, status) in [
        ("/any", "null", 101),
        ("/any", "http://evil.example", 101),
        ("/list", "https://a.example.com", 101),
        ("/list", "https://A.EXAMPLE.com:8", 101),
        ("/list", "https://example.com.evil.example", 403),
        ("/list", "https://a.example.com\r\nOrigin: https://a.example.com", 403),
    ] {
        let request = upgrade(path, server.addr(), &format!("Origin: {origin}\r\n"));
        assert_eq!(server.connect().ask(&request).status, status, "{path} {origin}");
    }
}

#[test]
fn ws_s8_unknown_resource_is_404() {
    let (server, _events) = echo_server();
    let response = server.connect().ask(&upgrade("/nowhere", server.addr(), ""));
    assert_eq!(response.status, 404);
}

#[test]
fn ws_s9_the_handler_may_refuse_with_any_answer() {
    let server = Server::new(config()).handler("/", options(), |request| {
        let name = request.head.headers.get("x-name").map(|name| name.as_bytes().to_vec());
        match name.as_deref() {
            Some(b"ann") => Ok(Silent),
            _ => {
                let response = http::Response::builder().status(401).header("WWW-Authenticate", "Basic");
                Err(response.body("who are you?".into()).expect("a response"))
            }
        }
    });
    let server = TestServer::start(server);
    let response = check_refused(&upgrade("/", server.addr(), ""), &server, 401, "who are you?");
    assert_eq!(response.all("www-authenticate"), ["Basic"]);
    assert_eq!(server.connect().ask(&upgrade("/", server.addr(), "X-Name: ann\r\n")).status, 101);
}

struct Silent;

impl wingbeat_transport::Handler for Silent {
    fn handle_message(&mut self, _: wingbeat_transport::Message<'_>, _: &mut wingbeat_transport::Context<'_>) {}
}

#[test]
fn ws_s10_sec12_a_body_is_refused_and_never_taken_for_frames() {
    let (server, events) = echo_server();
    let frame = masked(FIN | TEXT, b"smuggled");
    for line in [
        format!("Content-Length: {}\r\n", frame.len()),
        "Transfer-Encoding: chunked\r\n".into(),
        "Content-Length: 0\r\nContent-Length: 5\r\n".into(),
    ] {
        let mut peer = server.connect();
        peer.write(&[upgrade("/", server.addr(), &line).as_bytes(), &frame].concat());
        let response = peer.response();
        assert_eq!((response.status, response.body.trim()), (400, "a request for a WebSocket has no body"));
        peer.hang_up();
        peer.expect_fin();
    }
    assert!(events.rest().is_empty());
    assert_eq!(server.connect().ask(&upgrade("/", server.addr(), "Content-Length: 0\r\n")).status, 101);
}

#[test]
fn ws_s11_s12_s13_success_says_what_it_must_and_nothing_else() {
    let (server, events) = echo_server();
    let more = "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                Sec-WebSocket-Extensions: x-a; b=1, x-c\r\n";
    let response = server.connect().ask(&upgrade("/", server.addr(), more));
    assert_eq!(response.status, 101);
    assert_eq!(response.all("upgrade"), ["websocket"]);
    assert_eq!(response.all("connection"), ["Upgrade"]);
    assert_eq!(response.all("sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    for name in ["content-length", "transfer-encoding", "sec-websocket-protocol", "sec-websocket-extensions"] {
        assert!(response.all(name).is_empty(), "{name} in {response:?}");
    }
    events.opened();
}

#[test]
fn ws_s14_early_frames_are_handled_after_the_101() {
    let (server, events) = echo_server();
    let early = [masked(FIN | TEXT, b"one"), masked(FIN | TEXT, "zwei".as_bytes())].concat();
    let request = [upgrade("/", server.addr(), "").as_bytes(), &early].concat();
    let head = request.len() - early.len();
    // Whole, and cut at every byte around the border.
    for cut in std::iter::once(request.len()).chain(head - 3..request.len()) {
        let mut peer = server.connect();
        peer.write(&request[..cut]);
        if cut < head {
            // The head is not whole: give the server the chance to see it so.
            std::thread::yield_now();
        }
        peer.write(&request[cut..]);
        assert_eq!(peer.response().status, 101);
        assert_eq!((peer.recv_text(), peer.recv_text()), ("one".into(), "zwei".into()), "cut at {cut}");
        peer.close(1000, "");
        peer.expect_close(1000);
        events.until_closed();
    }
}

#[test]
fn ws_s14_early_close_is_answered() {
    let (server, events) = echo_server();
    let mut peer = server.connect();
    let close = masked(FIN | CLOSE, &close_payload(4000, "early"));
    peer.write(&[upgrade("/", server.addr(), "").as_bytes(), &close].concat());
    assert_eq!(peer.response().status, 101);
    peer.expect_close(4000);
    peer.expect_fin();
    events.opened();
    assert_eq!(events.closed().reason, "early");
}

#[test]
fn the_head_may_come_in_pieces_of_every_size() {
    let (server, _events) = echo_server();
    let request = upgrade("/", server.addr(), "");
    for size in 1..request.len() {
        let mut peer = server.connect();
        for piece in request.as_bytes().chunks(size) {
            peer.write(piece);
        }
        assert_eq!(peer.response().status, 101, "in pieces of {size}");
    }
}

#[test]
fn ws_s15_l4_l5_sec5_cb24_too_large_heads() {
    let (server, _events) = echo_server();
    let addr = server.addr();
    let request = |length: usize| {
        let line = format!("X-Long: {}\r\n", "a".repeat(length - "X-Long: \r\n".len()));
        upgrade("/", addr, &line)
    };
    let fits = (16 << 10) - upgrade("/", addr, "").len();
    assert_eq!(request(fits).len(), 16 << 10);
    assert_eq!(server.connect().ask(&request(fits)).status, 101, "16 KiB are allowed");
    check_refused(&request(fits + 1), &server, 431, "too large");
    let headers = |count: usize| "X-A: b\r\n".repeat(count - 5);
    assert_eq!(server.connect().ask(&upgrade("/", addr, &headers(100))).status, 101, "100 lines are allowed");
    check_refused(&upgrade("/", addr, &headers(101)), &server, 431, "too large");
    check_refused(&upgrade(&format!("/{}", "a".repeat(9000)), addr, ""), &server, 414, "too long");
}

#[test]
fn ws_sec5_a_head_without_end_is_cut_at_the_cap() {
    let (server, _events) = echo_server();
    let mut peer = server.connect();
    let mut writer = peer.stream.try_clone().expect("a second handle");
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        let _ = writer.write_all(b"GET / HTTP/1.1\r\nX-Long: ");
        let mut written = 0;
        while written < 20 << 20 && writer.write_all(&[b'a'; 1 << 16]).is_ok() {
            written += 1 << 16;
        }
    });
    assert_eq!(peer.response().status, 431, "the answer comes although the peer still talks");
    drop(peer);
    writer.join().expect("no panic");
}

/// tungstenite parsed all of a head with each read (CVE-2023-43669); what it costs here is counted in the core, this shows
/// that the transport asks the core no oftener than it has to.
#[test]
fn ws_sec17_a_head_byte_by_byte_costs_no_quadratic_time() {
    let server = Server::new(config()).handler("/", options(), |_| Ok(Silent));
    let server = TestServer::start(server);
    let begun = Instant::now();
    let mut peer = server.connect();
    let request = upgrade("/", server.addr(), &format!("X-Long: {}\r\n", "a".repeat(15_000)));
    for byte in request.as_bytes().chunks(1) {
        peer.write(byte);
    }
    assert_eq!(peer.response().status, 101);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

/// ws crashed over more headers than its parser kept (CVE-2024-37890).
#[test]
fn ws_sec18_two_thousand_headers() {
    let (server, _events) = echo_server();
    check_refused(&upgrade("/", server.addr(), &"a: b\r\n".repeat(2000)), &server, 431, "too large");
}

/// Line breaks in headers, and the bytes over 7F that made a worker of Granian panic (2026).
#[test]
fn ws_sec11_sec36_bytes_that_no_header_may_have() {
    let (server, _events) = echo_server();
    for byte in (0..=0xFF_u8).filter(|byte| !(0x20..0x7F).contains(byte)) {
        for name in ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin", "Sec-WebSocket-Key"] {
            let mut request = upgrade("/", server.addr(), &format!("{name}: a")).into_bytes();
            request.truncate(request.len() - 2);
            request.extend([byte, b'b']);
            request.extend(b"\r\n\r\n");
            let mut peer = server.connect();
            peer.write(&request);
            let response = peer.response();
            let is_fine = name == "Origin" && (byte >= 0x80 || byte == b'\t');
            let expected = if is_fine { 101 } else { 400 };
            assert_eq!(response.status, expected, "{byte:#04x} in {name}: {response:?}");
        }
    }
    // It still works.
    assert_eq!(server.connect().ask(&upgrade("/", server.addr(), "")).status, 101);
}

#[test]
fn ws_s15_l6_sec5_cb24_a_slow_head_is_cut_at_the_deadline() {
    let timeout = Duration::from_millis(300);
    let server = Server::new(config().with_handshake_timeout(timeout)).handler("/", options(), |_| Ok(Silent));
    let server = TestServer::start(server);
    let begun = Instant::now();
    let mut peer = server.connect();
    let mut dripping = peer.stream.try_clone().expect("a second handle");
    let request = upgrade("/", server.addr(), "");
    // Byte after byte: the deadline is that of the whole head, not of each read.
    let dripper = std::thread::spawn(move || {
        use std::io::Write;
        for byte in request.as_bytes().chunks(1).cycle() {
            if dripping.write_all(byte).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let response = peer.response();
    assert_eq!(response.status, 408, "{response:?}");
    assert!(begun.elapsed() >= timeout && begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    drop(peer);
    dripper.join().expect("no panic");
}

#[test]
fn who_says_nothing_at_all_is_hung_up_on() {
    let server = Server::new(config().with_handshake_timeout(Duration::from_millis(100)));
    let server = TestServer::start(server.handler("/", options(), |_| Ok(Silent)));
    server.connect().expect_fin();
    support::eventually("no connection is left", || server.running().connections() == 0);
}

#[test]
fn ws_s15_l11_cb24_over_the_connection_limit_503() {
    let server = Server::new(config().with_max_connections(2)).handler("/", options(), |_| Ok(Silent));
    let server = TestServer::start(server);
    let (first, _second) = (server.open("/"), server.open("/"));
    assert_eq!(server.running().connections(), 2);
    let mut third = server.connect();
    let response = third.response();
    assert_eq!((response.status, response.all("connection")), (503, vec!["close"]));
    third.expect_fin();
    drop(first);
    support::eventually("the seat is free", || server.running().connections() == 1);
    let _fourth = server.open("/");
}

#[test]
fn ws_s16_http2_gets_an_answer_however_it_is_cut() {
    let config = config().with_http2(Http2Config::default().with_enabled(false));
    let server = TestServer::start(Server::new(config).handler("/", options(), |_| Ok(Silent)));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for cut in [preface.len(), 3, 16, 18] {
        let mut peer = server.connect();
        peer.write(&preface[..cut]);
        std::thread::sleep(Duration::from_millis(20));
        let _ = peer.try_write(&preface[cut..]);
        assert_eq!(peer.response().status, 505, "cut at {cut}");
    }
    let _still_there = server.open("/");
}

#[test]
fn a_peer_may_leave_in_the_middle_of_its_head() {
    let (server, events) = echo_server();
    let request = upgrade("/", server.addr(), "");
    for cut in [0, 1, 20, request.len() - 1] {
        for is_reset in [false, true] {
            let mut peer = server.connect();
            peer.write(&request.as_bytes()[..cut]);
            if is_reset { peer.reset() } else { drop(peer) }
        }
    }
    support::eventually("no connection is left", || server.running().connections() == 0);
    assert!(events.rest().is_empty());
    let _still_there: Peer = server.open("/");
}
