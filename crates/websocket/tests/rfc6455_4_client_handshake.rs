//! RFC 6455 §4.1: what a client asks, and which answers open the connection.

use http::{HeaderMap, HeaderValue};
use wingbeat_websocket::handshake::{
    Answer, ClientHandshake, ClientOptions, HeadLimits, InvalidRequest, ResponseError, UpgradeRequest, WebSocketUri,
    parse_head, write_response_head,
};

/// The key of RFC 6455 §1.3.
const KEY: [u8; 16] = *b"the sample nonce";

/// A good response, as lines.
const GOOD: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

fn handshake(uri: &str, options: ClientOptions) -> Result<ClientHandshake, InvalidRequest> {
    ClientHandshake::new(&WebSocketUri::parse(uri).unwrap(), KEY, options)
}

fn request(uri: &str, options: ClientOptions) -> String {
    String::from_utf8(handshake(uri, options).unwrap().request().to_vec()).unwrap()
}

/// The good response without the lines that begin with `without`, and with others behind it.
fn head(without: &[&str], with: &[&str]) -> Vec<u8> {
    let kept = GOOD.into_iter().filter(|line| !without.iter().any(|start| line.starts_with(start)));
    let lines = kept.chain(with.iter().copied()).map(|line| format!("{line}\r\n"));
    (lines.collect::<String>() + "\r\n").into_bytes()
}

fn offering() -> ClientHandshake {
    let options =
        ClientOptions::default().with_subprotocols(["chat", "superchat"]).with_extensions(["foo; x=1", "bar"]);
    handshake("ws://h/", options).unwrap()
}

/// Judges `response` whole, and sees that every shorter piece of it is waited for.
#[track_caller]
fn judge(handshake: &ClientHandshake, response: &[u8]) -> Result<Answer, ResponseError> {
    let whole = handshake.handle_input(response).map(|answer| {
        let (answer, used) = answer.expect("the response is whole");
        assert_eq!(used, response.len());
        answer
    });
    for end in 0..response.len() {
        match handshake.handle_input(&response[..end]) {
            Ok(None) => {}
            Ok(Some(_)) => panic!("answered after {end} bytes"),
            Err(error) => assert_eq!(Some(&error), whole.as_ref().err(), "after {end} bytes"),
        }
    }
    whole
}

#[track_caller]
fn check_refused(name: &str, without: &[&str], with: &[&str], error: ResponseError) {
    let answer = judge(&offering(), &head(without, with));
    assert_eq!(answer.map(|_| ()).expect_err(name), error, "{name}");
}

#[track_caller]
fn check_accepted(name: &str, without: &[&str], with: &[&str], subprotocol: Option<&str>) {
    match judge(&offering(), &head(without, with)) {
        Ok(Answer::Accepted(accepted)) => assert_eq!(accepted.subprotocol.as_deref(), subprotocol, "{name}"),
        answer => panic!("{name}: {answer:?}"),
    }
}

#[test]
fn ws_h1_h5_the_request_to_the_byte() {
    let expected = "GET /a?b=c HTTP/1.1\r\n\
        Host: h.example:81\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    assert_eq!(request("ws://H.example:81/a?b=c", ClientOptions::default()), expected);
}

#[test]
fn ws_h2_h3_the_request_is_one_our_server_accepts() {
    let options = ClientOptions::default()
        .with_subprotocols(["chat", "superchat"])
        .with_extensions(["foo; x=1", "bar"])
        .with_origin(HeaderValue::from_static("https://example.com"));
    let client = handshake("wss://[::1]/x", options).unwrap();
    let (request, used) = parse_head(client.request(), HeadLimits::DEFAULT).unwrap().unwrap();
    assert_eq!((used, &request.headers()["host"]), (client.request().len(), &"[::1]".parse::<HeaderValue>().unwrap()));
    let upgrade = UpgradeRequest::parse(&request.into_parts().0).unwrap();
    assert_eq!(upgrade.extension_offers().map(|offer| offer.name.to_owned()).collect::<Vec<_>>(), ["foo", "bar"]);
    let mut response = Vec::new();
    write_response_head(&upgrade.accept(Some("superchat")).unwrap(), &mut response);
    let Ok(Some((Answer::Accepted(accepted), _))) = client.handle_input(&response) else { panic!("refused") };
    assert_eq!(accepted.subprotocol.as_deref(), Some("superchat"));
}

#[test]
fn ws_h4_the_key_is_the_one_given() {
    for (key, text) in [
        // 24 characters whose last data character is one of AQgw (erratum 3150).
        ([0xFF; 16], "/////////////////////w=="),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], "AAECAwQFBgcICQoLDA0ODw=="),
    ] {
        let request = ClientHandshake::new(&WebSocketUri::parse("ws://h").unwrap(), key, ClientOptions::default());
        let request = String::from_utf8(request.unwrap().request().to_vec()).unwrap();
        assert!(request.contains(&format!("\r\nSec-WebSocket-Key: {text}\r\n")), "{request}");
    }
}

#[test]
fn ws_h6_origin_only_if_asked_for() {
    assert!(!request("ws://h", ClientOptions::default()).contains("Origin"));
    let options = ClientOptions::default().with_origin(HeaderValue::from_static("https://example.com"));
    assert!(request("ws://h", options).contains("\r\nOrigin: https://example.com\r\n"));
}

#[test]
fn ws_h7_subprotocols() {
    let of = |names: &[&str]| ClientOptions::default().with_subprotocols(names.iter().copied());
    assert!(!request("ws://h", of(&[])).contains("Protocol"));
    assert!(request("ws://h", of(&["b", "a"])).contains("\r\nSec-WebSocket-Protocol: b, a\r\n"));
    for bad in ["", "a b", "a,b", "a\r\nX: y", "é"] {
        let error = handshake("ws://h", of(&["a", bad])).unwrap_err();
        assert_eq!(error, InvalidRequest::Subprotocol(bad.to_owned()));
    }
    let twice = handshake("ws://h", of(&["a", "b", "a"])).unwrap_err();
    assert_eq!(twice, InvalidRequest::RepeatedSubprotocol("a".to_owned()));
}

#[test]
fn ws_h8_extensions() {
    let of = |offers: &[&str]| ClientOptions::default().with_extensions(offers.iter().copied());
    assert!(!request("ws://h", of(&[])).contains("Extensions"));
    let offers = of(&["foo; x=1", "foo", "bar"]);
    assert!(request("ws://h", offers).contains("\r\nSec-WebSocket-Extensions: foo; x=1, foo, bar\r\n"));
    for bad in ["", "a b", "a;", "a\r\nX: y", "a;b=\"\r\n\""] {
        assert_eq!(handshake("ws://h", of(&[bad])).unwrap_err(), InvalidRequest::Extension(bad.to_owned()));
    }
}

#[test]
fn ws_h9_sec11_headers_of_the_caller() {
    let of = |name: &'static str| {
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_static("one"));
        headers.append(name, HeaderValue::from_static("two"));
        ClientOptions::default().with_headers(headers)
    };
    assert!(request("ws://h", of("cookie")).ends_with("\r\nCookie: one\r\nCookie: two\r\n\r\n"));
    for reserved in [
        "host",
        "upgrade",
        "connection",
        "origin",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
        "sec-websocket-accept",
        "content-length",
        "transfer-encoding",
    ] {
        let error = handshake("ws://h", of(reserved)).unwrap_err();
        assert_eq!(error, InvalidRequest::ReservedHeader(reserved.to_owned()));
    }
    // A header map holds no line break: the type sees to SEC11.
    assert!(HeaderValue::from_str("a\r\nX: y").is_err() && HeaderValue::from_str("a\0").is_err());
}

#[test]
fn ws_r1_other_answers_are_given_to_the_caller() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 302 Found", 302),
        ("HTTP/1.1 400 Bad Request", 400),
        ("HTTP/1.1 401 Unauthorized", 401),
        ("HTTP/1.0 426 Upgrade Required", 426),
        ("HTTP/1.1 503", 503),
    ] {
        let bytes = [line.as_bytes(), b"\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\n"].concat();
        let Ok(Answer::Refused(response)) = judge(&offering(), &bytes) else { panic!("{line}") };
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (status, &"7".parse().unwrap()));
        let with_body = [&bytes[..], b"body"].concat();
        let Ok(Some((_, used))) = offering().handle_input(&with_body) else { panic!("{line}") };
        assert_eq!(&with_body[used..], b"body");
    }
}

#[test]
fn ws_r2_upgrade() {
    check_refused("missing", &["Upgrade"], &[], ResponseError::NoUpgrade);
    check_refused("another", &["Upgrade"], &["Upgrade: h2c"], ResponseError::NoUpgrade);
    check_refused("two", &["Upgrade"], &["Upgrade: websocket, h2c"], ResponseError::NoUpgrade);
    check_accepted("case", &["Upgrade"], &["UPGRADE: WebSocket"], None);
}

#[test]
fn ws_r3_connection() {
    check_refused("missing", &["Connection"], &[], ResponseError::NoConnectionUpgrade);
    check_refused("another", &["Connection"], &["Connection: close"], ResponseError::NoConnectionUpgrade);
    check_accepted("list", &["Connection"], &["connection: keep-alive, uPgRaDe"], None);
}

/// A 101 that answers another request than ours opens nothing (CVE-2026-43974 of Gun).
#[test]
fn ws_r4_sec32_accept() {
    let header = |value: &str| format!("sec-websocket-accept: {value}");
    let accept = "Sec-WebSocket-Accept";
    check_refused("missing", &[accept], &[], ResponseError::Accept);
    for wrong in ["", "x", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "dGhlIHNhbXBsZSBub25jZQ=="] {
        check_refused(wrong, &[accept], &[&header(wrong)], ResponseError::Accept);
    }
    check_refused("twice", &[], &[&header("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")], ResponseError::Accept);
    check_accepted("space around", &[accept], &[&header("  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t")], None);
}

#[test]
fn ws_r5_extensions() {
    for (name, value) in [
        ("not offered", "baz"),
        ("one of two not offered", "foo, baz"),
        ("twice", "foo, foo"),
        ("twice with parameters", "foo; x=1, foo"),
        ("malformed", "foo bar"),
    ] {
        let line = format!("Sec-WebSocket-Extensions: {value}");
        check_refused(name, &[], &[&line], ResponseError::Extension);
    }
    let lines = ["Sec-WebSocket-Extensions: foo", "Sec-WebSocket-Extensions: foo"];
    check_refused("twice over lines", &[], &lines, ResponseError::Extension);
    check_accepted("both", &[], &["Sec-WebSocket-Extensions: bar, foo; x=1"], None);
}

#[test]
fn ws_r6_subprotocol() {
    check_accepted("first", &[], &["Sec-WebSocket-Protocol: chat"], Some("chat"));
    check_accepted("second", &[], &["Sec-WebSocket-Protocol: superchat"], Some("superchat"));
    check_accepted("none", &[], &[], None);
    for value in ["", "other", "CHAT", "chat, superchat"] {
        let line = format!("Sec-WebSocket-Protocol: {value}");
        check_refused(value, &[], &[&line], ResponseError::Subprotocol);
    }
    let lines = ["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"];
    check_refused("two lines", &[], &lines, ResponseError::Subprotocol);

    let required = ClientOptions::default().with_subprotocols(["chat"]).with_requires_subprotocol(true);
    let required = handshake("ws://h", required).unwrap();
    assert_eq!(judge(&required, &head(&[], &[])).map(|_| ()), Err(ResponseError::NoSubprotocol));
    assert!(judge(&required, &head(&[], &["Sec-WebSocket-Protocol: chat"])).is_ok());
}

#[test]
fn ws_r7_l4_l5_limits_of_the_head() {
    let good = head(&[], &[]);
    for (max_bytes, error) in
        [(good.len(), None), (good.len() + 1, None), (good.len() - 1, Some(ResponseError::TooLarge))]
    {
        let options = ClientOptions::default().with_head_limits(HeadLimits::DEFAULT.with_max_bytes(max_bytes));
        assert_eq!(handshake("ws://h", options).unwrap().handle_input(&good).err(), error);
    }
    let limits = HeadLimits::DEFAULT;
    let endless = [&good[..good.len() - 2], &b"X: y".repeat(limits.max_bytes)].concat();
    assert_eq!(offering().handle_input(&endless).err(), Some(ResponseError::TooLarge));
    for (count, error) in [(100, None), (101, Some(ResponseError::TooLarge))] {
        let many = head(&[], &vec!["X: y"; count - (GOOD.len() - 1)]);
        assert_eq!(offering().handle_input(&many).err(), error, "{count}");
    }
}

#[test]
fn ws_r8_frames_behind_the_head_are_left() {
    let input = [&head(&[], &[])[..], b"\x81\x02hi"].concat();
    let (_, used) = offering().handle_input(&input).unwrap().unwrap();
    assert_eq!(&input[used..], b"\x81\x02hi");
}

#[test]
fn ws_r9_interim_responses_are_skipped() {
    let early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let bytes = [&early[..], &head(&[], &[])].concat();
    assert!(matches!(judge(&offering(), &bytes), Ok(Answer::Accepted(_))));
    // They count towards the limit of the head, so they cannot go on for ever.
    let endless = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2000);
    assert_eq!(offering().handle_input(&endless).err(), Some(ResponseError::TooLarge));
}

#[test]
fn ws_r10_http_1_0() {
    check_refused("HTTP/1.0", &["HTTP"], &[], ResponseError::Malformed);
    let old = [b"HTTP/1.0 101 Switching Protocols\r\n", &head(&["HTTP"], &[])[..]].concat();
    assert_eq!(judge(&offering(), &old).map(|_| ()), Err(ResponseError::OldVersion));
    for garbage in [&b"\x16\x03\x01"[..], b"\x81\x05Hello", b"HTTP/2 101\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
        assert_eq!(offering().handle_input(garbage).err(), Some(ResponseError::Malformed));
    }
}
