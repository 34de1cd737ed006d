//! RFC 8441 and RFC 9220: a WebSocket on a stream of HTTP/2 or HTTP/3, opened by extended CONNECT.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use wingbeat_websocket::handshake::{
    Answer, ClientConnect, ClientOptions, ConnectError, ConnectRequest, InvalidRequest, ResponseError,
    WEBSOCKET_PROTOCOL, WebSocketUri,
};

/// The request of RFC 8441 §5.1.
fn good() -> Parts {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri("https://server.example.com/chat")
        .header("sec-websocket-protocol", "chat, superchat")
        .header("sec-websocket-extensions", "permessage-deflate")
        .header("sec-websocket-version", "13")
        .header("origin", "http://www.example.com")
        .body(())
        .unwrap()
        .into_parts()
        .0
}

/// The good request, changed so.
fn changed(change: impl FnOnce(&mut Parts)) -> Parts {
    let mut parts = good();
    change(&mut parts);
    parts
}

/// The good request with one more header line.
fn with(name: &'static str, value: &'static str) -> Parts {
    changed(|parts| {
        parts.headers.append(name, HeaderValue::from_static(value));
    })
}

/// The stream is reset: there is no answer.
#[track_caller]
fn check_malformed(name: &str, request: &Parts, protocol: &str) {
    let error = ConnectRequest::parse(request, protocol).map(|_| ()).expect_err(name);
    assert!(matches!(error, ConnectError::Malformed(_)), "{name}: {error}");
    assert!(error.status().is_none() && error.response().is_none(), "{name}");
}

#[track_caller]
fn check_refused(name: &str, request: &Parts, status: u16) -> (ConnectError, Response<String>) {
    let error = ConnectRequest::parse(request, WEBSOCKET_PROTOCOL).map(|_| ()).expect_err(name);
    let response = error.response().expect(name);
    assert_eq!(response.status(), status, "{name}: {error}");
    assert!(response.body().contains(&error.to_string()), "{name}");
    (error, response)
}

fn connect(uri: &str, options: ClientOptions) -> Result<ClientConnect, InvalidRequest> {
    ClientConnect::new(&WebSocketUri::parse(uri).unwrap(), options, true)
}

fn offering() -> ClientConnect {
    let options = ClientOptions::default().with_subprotocols(["chat", "superchat"]).with_extensions(["foo; x=1"]);
    connect("wss://h/", options).unwrap()
}

fn response(status: u16, headers: &[(&'static str, &'static str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    *response.version_mut() = Version::HTTP_2;
    for (name, value) in headers {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    response
}

#[test]
fn ws_x2_nothing_is_asked_before_the_setting_allows_it() {
    let uri = WebSocketUri::parse("wss://h/").unwrap();
    let asked = |is_enabled| ClientConnect::new(&uri, ClientOptions::default(), is_enabled);
    assert_eq!(asked(false).unwrap_err(), InvalidRequest::NoExtendedConnect);
    assert_eq!(asked(true).unwrap().request().method(), Method::CONNECT);
}

#[test]
fn ws_x3_scheme_authority_and_path_are_all_there() {
    assert!(ConnectRequest::parse(&good(), "websocket").is_ok());
    // What `http` can hold of a request that lacks some of them.
    for (name, uri) in [
        ("an ordinary CONNECT", "server.example.com:443"),
        ("neither scheme nor authority", "/chat"),
        ("an asterisk", "*"),
        ("another scheme", "ftp://server.example.com/chat"),
        ("the scheme of the URI", "wss://server.example.com/chat"),
    ] {
        check_malformed(name, &changed(|parts| parts.uri = uri.parse().unwrap()), "websocket");
    }
    let no_slash = Uri::builder().scheme("https").authority("h").path_and_query("*").build().unwrap();
    check_malformed("an asterisk of a host", &changed(|parts| parts.uri = no_slash), "websocket");
    for method in [Method::GET, Method::POST] {
        check_malformed("another method", &changed(|parts| parts.method = method), "websocket");
    }
    for version in [Version::HTTP_10, Version::HTTP_11] {
        check_malformed("another version", &changed(|parts| parts.version = version), "websocket");
    }
    assert!(ConnectRequest::parse(&changed(|parts| parts.version = Version::HTTP_3), "websocket").is_ok());
}

#[test]
fn ws_x3_what_a_client_asks() {
    for (uri, expected) in [
        ("ws://h", "http://h/"),
        ("wss://H.example:443/a?b=c", "https://h.example/a?b=c"),
        ("ws://[::1]:9/x", "http://[::1]:9/x"),
        ("wss://h:80/?q", "https://h:80/?q"),
    ] {
        let connect = connect(uri, ClientOptions::default()).unwrap();
        let request = connect.request();
        assert_eq!((request.method(), request.version()), (&Method::CONNECT, Version::HTTP_2));
        assert_eq!(request.uri(), expected);
        let headers: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("sec-websocket-version", &b"13"[..])], "{uri}");
    }
    let long = format!("ws://h/{}", "x".repeat(70_000));
    assert_eq!(connect(&long, ClientOptions::default()).unwrap_err(), InvalidRequest::UriTooLong);
}

#[test]
fn ws_x4_what_protocol_says() {
    for protocol in
        ["", " ", "websocket ", " websocket", "web socket", "websocket\r", "websocket\n", "web\0socket", "é"]
    {
        check_malformed(protocol, &good(), protocol);
    }
    for protocol in ["websocket", "WebSocket", "WEBSOCKET"] {
        assert!(ConnectRequest::parse(&good(), protocol).is_ok(), "{protocol}");
    }
}

#[test]
fn ws_x5_headers_of_one_connection_are_malformed() {
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("host", "other.example.com"),
    ] {
        check_malformed(name, &with(name, value), "websocket");
    }
    for (name, value) in [("te", "trailers"), ("host", "Server.Example.com"), ("sec-websocket-key", "ignored")] {
        assert!(ConnectRequest::parse(&with(name, value), "websocket").is_ok(), "{name}");
    }
}

#[test]
fn ws_x5_version_subprotocols_and_extensions_as_before() {
    for version in [None, Some("8"), Some(""), Some("13, 8")] {
        let request = changed(|parts| {
            parts.headers.remove("sec-websocket-version");
            parts.headers.extend(version.map(|value| (VERSION_HEADER, HeaderValue::from_static(value))));
        });
        let (error, response) = check_refused("version", &request, 400);
        assert_eq!(
            (error, &response.headers()[VERSION_HEADER]),
            (ConnectError::Version, &HeaderValue::from_static("13"))
        );
        assert!(!response.headers().contains_key("upgrade") && !response.headers().contains_key("connection"));
    }
    assert_eq!(check_refused("two versions", &with("sec-websocket-version", "13"), 400).0, ConnectError::Version);
    assert_eq!(check_refused("a body", &with("content-length", "5"), 400).0, ConnectError::Body);
    let bad = check_refused("no token", &with("sec-websocket-protocol", "a b"), 400).0;
    assert_eq!(bad, ConnectError::Subprotocol("\"a b\"".to_owned()));
    let bad = check_refused("no grammar", &with("sec-websocket-extensions", "a b"), 400).0;
    assert_eq!(bad, ConnectError::Extensions);

    let offer = ConnectRequest::parse(&with("sec-websocket-extensions", "foo; x=1"), "websocket").unwrap();
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);
    let names: Vec<_> = offer.extension_offers().map(|offer| (offer.name.to_owned(), offer.params.len())).collect();
    assert_eq!(names, [("permessage-deflate".to_owned(), 0), ("foo".to_owned(), 1)]);
}

const VERSION_HEADER: HeaderName = http::header::SEC_WEBSOCKET_VERSION;

#[test]
fn ws_x5_a_client_sends_neither_key_nor_upgrade() {
    let mut cookies = HeaderMap::new();
    cookies.append("cookie", HeaderValue::from_static("a=b"));
    cookies.append("cookie", HeaderValue::from_static("c=d"));
    let options = ClientOptions::default()
        .with_subprotocols(["b", "a"])
        .with_extensions(["foo; x=1", "bar"])
        .with_origin(HeaderValue::from_static("https://example.com"))
        .with_headers(cookies);
    let connect = connect("wss://h/", options).unwrap();
    let mut headers: Vec<_> =
        connect.request().headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    headers.sort_unstable();
    let expected = [
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("origin", "https://example.com"),
        ("sec-websocket-extensions", "foo; x=1, bar"),
        ("sec-websocket-protocol", "b, a"),
        ("sec-websocket-version", "13"),
    ];
    assert_eq!(headers, expected);
    for reserved in ["connection", "upgrade", "te", "keep-alive", "proxy-connection", "host", "sec-websocket-key"] {
        let mut headers = HeaderMap::new();
        headers.append(reserved, HeaderValue::from_static("x"));
        let error = self::connect("ws://h", ClientOptions::default().with_headers(headers)).unwrap_err();
        assert_eq!(error, InvalidRequest::ReservedHeader(reserved.to_owned()));
    }
    // As many headers as a caller may wish for.
    let mut many = HeaderMap::new();
    (0..500).for_each(|_| assert!(many.append("x", HeaderValue::from_static("y")) || many.len() == 1));
    let many = self::connect("ws://h", ClientOptions::default().with_headers(many)).unwrap();
    assert_eq!(many.request().headers().get_all("x").iter().count(), 500);
}

#[test]
fn ws_x6_success_is_200_with_what_was_chosen() {
    let offer = || ConnectRequest::parse(&good(), "websocket").unwrap();
    let response = offer().accept(None, &[]).unwrap();
    assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 0));
    let chosen = ["permessage-deflate; server_no_context_takeover".to_owned()];
    let response = offer().accept(Some("superchat"), &chosen).unwrap();
    assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 2));
    assert_eq!(response.headers()["sec-websocket-protocol"], "superchat");
    assert_eq!(response.headers()["sec-websocket-extensions"], chosen[0].as_str());
    for subprotocol in ["other", "", "Chat", "chat, superchat", "chat\r\nx: y"] {
        let error = offer().accept(Some(subprotocol), &[]).unwrap_err();
        assert_eq!((error.status().unwrap().as_u16(), error), (500, ConnectError::SubprotocolNotOffered));
    }
    for extensions in
        [&["foo"][..], &["permessage-deflate", "permessage-deflate"], &["a b"], &["permessage-deflate\r\n"]]
    {
        let extensions: Vec<String> = extensions.iter().map(|&extension| extension.to_owned()).collect();
        let error = offer().accept(None, &extensions).unwrap_err();
        assert_eq!((error.status().unwrap().as_u16(), error), (500, ConnectError::ExtensionNotOffered));
    }
}

/// Gun took a 101 that nobody had asked for as leave to speak another protocol (CVE-2026-43974, 2.0 to 2.3). Over HTTP/2
/// there is none; over HTTP/1.1 one that does not answer our key is refused (R4).
#[test]
fn ws_x6_sec32_any_2xx_opens_and_101_does_not() {
    for status in [200, 201, 204, 206, 299] {
        let answer = offering().handle_response(response(status, &[]));
        assert!(matches!(answer, Ok(Some(Answer::Accepted(_)))), "{status}: {answer:?}");
    }
    for status in [300, 302, 400, 401, 403, 404, 426, 501, 503] {
        let answer = offering().handle_response(response(status, &[("retry-after", "7")]));
        let Ok(Some(Answer::Refused(refused))) = answer else { panic!("{status}: {answer:?}") };
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (status, &HeaderValue::from_static("7"))
        );
    }
    for status in [100, 103] {
        assert!(matches!(offering().handle_response(response(status, &[])), Ok(None)), "{status}");
    }
    let switching = response(101, &[("upgrade", "websocket"), ("connection", "upgrade")]);
    assert_eq!(offering().handle_response(switching).unwrap_err(), ResponseError::SwitchingProtocols);
}

#[test]
fn ws_x6_what_was_chosen_was_offered() {
    let judged = |headers: &[(&'static str, &'static str)]| match offering().handle_response(response(200, headers)) {
        Ok(Some(Answer::Accepted(accepted))) => Ok(accepted.subprotocol),
        Ok(answer) => panic!("{answer:?}"),
        Err(error) => Err(error),
    };
    let (protocol, extensions) = ("sec-websocket-protocol", "sec-websocket-extensions");
    assert_eq!(judged(&[]), Ok(None));
    assert_eq!(judged(&[(protocol, "superchat"), (extensions, "foo; x=1")]), Ok(Some("superchat".to_owned())));
    // Accept belongs to HTTP/1.1; here it says nothing.
    assert_eq!(judged(&[("sec-websocket-accept", "whatever")]), Ok(None));
    assert_eq!(judged(&[(protocol, "other")]), Err(ResponseError::Subprotocol));
    assert_eq!(judged(&[(protocol, "chat"), (protocol, "chat")]), Err(ResponseError::Subprotocol));
    assert_eq!(judged(&[(extensions, "bar")]), Err(ResponseError::Extension));
    assert_eq!(judged(&[(extensions, "foo"), (extensions, "foo")]), Err(ResponseError::Extension));
    assert_eq!(judged(&[(extensions, "foo bar")]), Err(ResponseError::Extension));
    let options = ClientOptions::default().with_subprotocols(["chat"]).with_requires_subprotocol(true);
    let answer = connect("ws://h", options).unwrap().handle_response(response(200, &[]));
    assert_eq!(answer.unwrap_err(), ResponseError::NoSubprotocol);
}

#[test]
fn ws_x6_both_sides_understand_each_other() {
    let client = offering();
    let (parts, ()) = client.request().clone().into_parts();
    let server = ConnectRequest::parse(&parts, WEBSOCKET_PROTOCOL).unwrap();
    let response = server.accept(Some("chat"), &["foo; x=1".to_owned()]).unwrap();
    let Ok(Some(Answer::Accepted(accepted))) = client.handle_response(response) else { panic!("refused") };
    assert_eq!(accepted.subprotocol.as_deref(), Some("chat"));
}

#[test]
fn ws_x7_other_protocols_are_501() {
    for protocol in ["connect-udp", "webtransport", "websockets", "web-socket"] {
        let error = ConnectRequest::parse(&good(), protocol).unwrap_err();
        let response = error.response().unwrap();
        assert_eq!((response.status().as_u16(), error), (501, ConnectError::Protocol(format!("{protocol:?}"))));
    }
}

#[cfg(feature = "deflate")]
#[test]
fn ws_x5_compression_is_agreed_on_as_before() {
    use wingbeat_websocket::deflate::DeflateConfig;
    let client = connect("wss://h/", ClientOptions::default().with_deflate(DeflateConfig::DEFAULT)).unwrap();
    let (parts, ()) = client.request().clone().into_parts();
    let server = ConnectRequest::parse(&parts, WEBSOCKET_PROTOCOL).unwrap();
    let params = DeflateConfig::DEFAULT.accept(server.extension_offers()).unwrap();
    let response = server.accept(None, &[params.to_string()]).unwrap();
    let Ok(Some(Answer::Accepted(accepted))) = client.handle_response(response) else { panic!("refused") };
    assert_eq!(accepted.deflate, Some(params));
    let bad = response_with_extension("permessage-deflate; server_max_window_bits=99");
    assert_eq!(client.handle_response(bad).unwrap_err(), ResponseError::Deflate);
}

#[cfg(feature = "deflate")]
fn response_with_extension(value: &'static str) -> Response<()> {
    response(200, &[("sec-websocket-extensions", value)])
}
