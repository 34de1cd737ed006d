//! Attacks on the opening handshake, over a real socket: who may open, and what is behind the request.

mod support;

use std::io::Read;

use support::{FIN, TEXT, TestServer, config, echo, echo_server, masked, options, probe, upgrade};
use wingbeat_transport::{CheckOrigin, OriginPattern, Server, SocketOptions};

/// Pages of other sites can open WebSockets with the cookies of their visitor, and nothing asks them whether they may
/// (cross-site WebSocket hijacking). Unless told otherwise, a mount wants the origin to be the host of the request.
#[test]
fn ws_sec1_origins_one_by_one() {
    let (by_default, default_events) = probe(echo);
    let (same_origin, _same_events) = probe(echo);
    let (host, _host_events) = probe(echo);
    let (list, _list_events) = probe(echo);
    let pattern = |text: &str| text.parse::<OriginPattern>().expect("a pattern");
    let patterns = vec![pattern("https://app.example"), pattern("//*.trusted.example")];
    let with = |check| options().with_check_origin(check);
    let server = Server::new(config())
        .handler("/default", SocketOptions::default(), by_default)
        .handler("/origin", with(CheckOrigin::SameOrigin), same_origin)
        .handler("/host", with(CheckOrigin::Host("app.example".into())), host)
        .handler("/list", with(CheckOrigin::List(patterns)), list);
    let server = TestServer::start(server);
    // Origin; then whether it may open: by default, from the same origin, from a host, from a list.
    for (origin, allowed) in [
        ("", [true, true, true, true]),
        ("Origin: http://app.example:81", [true, true, true, false]),
        ("Origin: HTTP://APP.EXAMPLE:81", [true, true, true, false]),
        ("Origin: https://app.example:81", [true, false, true, false]),
        ("Origin: https://app.example", [false, false, true, true]),
        ("Origin: http://app.example", [false, false, true, false]),
        ("Origin: http://app.example:82", [false, false, true, false]),
        ("Origin: http://sub.app.example:81", [false; 4]),
        ("Origin: http://app.example.evil.example:81", [false; 4]),
        ("Origin: http://evil-app.example:81", [false; 4]),
        ("Origin: http://app.example.:81", [false; 4]),
        ("Origin: http://app.example:81.evil.example", [false; 4]),
        ("Origin: http://app.example@evil.example:81", [false; 4]),
        ("Origin: http://a.trusted.example:9", [false, false, false, true]),
        ("Origin: http://trusted.example", [false, false, false, true]),
        ("Origin: http://untrusted.example", [false; 4]),
        ("Origin: null", [false; 4]),
        ("Origin: file://", [false; 4]),
        ("Origin:", [false; 4]),
        ("Origin: app.example:81", [false; 4]),
        ("Origin: http://app.example:81 http://evil.example", [false; 4]),
        ("Origin: http://app.example:81\r\nOrigin: http://app.example:81", [false; 4]),
        ("Origin: http://app.example:81\r\nOrigin: http://evil.example", [false; 4]),
    ] {
        for (path, is_allowed) in ["/default", "/origin", "/host", "/list"].into_iter().zip(allowed) {
            let line = if origin.is_empty() { String::new() } else { format!("{origin}\r\n") };
            let request = upgrade(path, server.addr(), &line);
            let request = request.replacen(&server.addr().to_string(), "app.example:81", 1);
            let response = server.connect().ask(&request);
            let expected = if is_allowed { 101 } else { 403 };
            assert_eq!(response.status, expected, "{origin:?} at {path}: {response:?}");
        }
    }
    let opened = default_events.rest().into_iter().filter(|event| matches!(event, support::Event::Opened(_)));
    assert_eq!(opened.count(), 4, "no handler was made for those that were refused");
}

/// What was answered to `bytes`, until the server hangs up.
fn answers(server: &TestServer, bytes: &[u8]) -> String {
    let mut peer = server.connect();
    peer.write(bytes);
    peer.hang_up();
    let mut answer = Vec::new();
    peer.stream.read_to_end(&mut answer).expect("an end");
    answer.escape_ascii().to_string()
}

/// What lies behind a request is either its body, or frames, or the next request: a server and a proxy that do not agree
/// on which let one visitor answer for another. Behind a request of ours that was refused nothing is read, and behind
/// one that was accepted there are frames only.
#[test]
fn ws_sec12_nothing_is_smuggled_behind_a_request() {
    let (server, events) = echo_server();
    let good = upgrade("/", server.addr(), "");
    let refused = good.replacen("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12", 1);
    let statuses = |answer: &str| answer.matches("HTTP/1.1 ").count();
    // Refused: what is behind it is not answered.
    for line in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let first = refused.replacen("\r\n\r\n", &format!("\r\n{line}\r\n"), 1);
        let answer = answers(&server, [&first, "0\r\n\r\n", &good, &good].concat().as_bytes());
        assert_eq!(statuses(&answer), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // A body that two might see differently.
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: 0, 5\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n Content-Length: 5\r\n",
    ] {
        let first = upgrade("/", server.addr(), lines);
        let answer = answers(&server, [&first, "hello", &good].concat().as_bytes());
        assert_eq!(statuses(&answer), 1, "{lines:?}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer}");
    }
    assert!(events.rest().is_empty(), "no handler was made");
    // Accepted: a second request is a frame that nobody understands.
    let answer = answers(&server, [&good, &good[..]].concat().as_bytes());
    assert_eq!(statuses(&answer), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains(r"\x88"), "{answer}");
    let closed = events.until_closed();
    assert_eq!(closed.code.value(), 1002);
    assert!(events.rest().is_empty(), "nothing of it was delivered");
}

/// A body for the application's own routes may look like an upgrade to one of ours; it stays a body, and what is behind
/// it is a request.
#[test]
fn ws_sec12_a_request_within_a_body_is_not_answered() {
    let (server, events) = echo_server();
    let inner = [upgrade("/", server.addr(), "").as_bytes(), &masked(FIN | TEXT, b"smuggled")].concat();
    let head = format!("POST /elsewhere HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", inner.len());
    let next = "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let mut peer = server.connect();
    peer.write(&[head.as_bytes(), &inner, next.as_bytes()].concat());
    assert_eq!((peer.response().status, peer.response().status), (404, 404));
    peer.expect_fin();
    assert!(events.rest().is_empty(), "no handler was made");
}

/// What a handler puts into an answer cannot end a line of it: the types of the answer hold no line break, and what it
/// says of the request is quoted.
#[test]
fn ws_sec11_a_refusal_says_only_what_it_means() {
    let server = Server::new(config()).handler("/", options(), |request| -> Result<Never, _> {
        let name = request.head.headers.get("x-name").expect("a name").clone();
        // A tab may stand in a header, and so in the answer; nothing else below a space may.
        let response = http::Response::builder().status(403).header("X-Name", name);
        Err(response.body("X-Injected: yes\r\n\r\nHTTP/1.1 200 OK\r\n".into()).expect("a response"))
    });
    let server = TestServer::start(server);
    let mut peer = server.connect();
    let response = peer.ask(&upgrade("/", server.addr(), "X-Name: a\tb\r\n"));
    assert_eq!((response.status, response.all("x-name")), (403, vec!["a\tb"]));
    assert!(response.all("x-injected").is_empty());
    assert!(response.body.starts_with("X-Injected"), "it is in the body, whose length was said");
    peer.hang_up();
    peer.expect_fin();
    for bad in ["a\rb", "a\nb", "a\0b"] {
        assert!(http::HeaderValue::from_str(bad).is_err() && http::HeaderName::try_from(bad).is_err());
    }
}

struct Never;

impl wingbeat_transport::Handler for Never {
    fn handle_message(&mut self, _: wingbeat_transport::Message<'_>, _: &mut wingbeat_transport::Context<'_>) {}
}
