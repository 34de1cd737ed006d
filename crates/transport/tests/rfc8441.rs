//! WebSockets over HTTP/2 (RFC 8441) on our own listener: rows X.

mod frames;
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use frames::{
    ACK, CANCEL, DATA, END_STREAM, GOAWAY, HEADERS, PING, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE,
};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, StatusCode, Version};
use support::{
    BINARY, CLOSE, Event, FIN, TEXT, TestServer, config, echo, eventually, masked, options, probe, wait_for,
};
use wingbeat_transport::{
    Cause, CheckOrigin, Config, ConnectionHandle, Context, DeflateConfig, Handler, Http2Config, Info, Message, Server,
};
use wingbeat_websocket::deflate::{Compression, DeflateParams, DeflatePool};
use wingbeat_websocket::handshake::{Answer, ClientConnect, ClientOptions, WebSocketUri};
use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, Received, Role};

const KEY: [u8; 4] = [1, 2, 3, 4];

/// A server with an echo at `/ws`.
fn server_with(config: Config) -> (TestServer, support::Events) {
    let (open, events) = probe(echo);
    (TestServer::start(Server::new(config).handler("/ws", options(), open)), events)
}

fn server() -> (TestServer, support::Events) {
    server_with(config())
}

fn http2(change: impl FnOnce(Http2Config) -> Http2Config) -> Config {
    config().with_http2(change(Http2Config::default()))
}

/// A client of h2's; its connection lives in a task.
async fn connect(addr: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(addr).await.expect("someone listens");
    // As browsers have it: a stream that is not read must not use up the window of all.
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let (client, connection) = builder.handshake(stream).await.expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    // The server's settings come with its first bytes.
    while !client.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    client
}

fn extended(addr: SocketAddr, path: &str, more: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(Method::CONNECT).version(Version::HTTP_2);
    request = request.uri(format!("http://{addr}{path}")).extension(Protocol::from_static("websocket"));
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a good request")
}

/// A WebSocket on a stream.
struct Socket {
    output: SendStream<Bytes>,
    input: RecvStream,
    protocol: Connection,
    pool: DeflatePool,
    rest: Vec<u8>,
}

impl Socket {
    async fn open(client: &SendRequest<Bytes>, addr: SocketAddr, path: &str) -> Self {
        let (response, socket) = Self::ask(client, extended(addr, path, &[("sec-websocket-version", "13")])).await;
        assert_eq!(response.status(), 200);
        socket
    }

    async fn ask(client: &SendRequest<Bytes>, request: Request<()>) -> (http::Response<()>, Self) {
        let mut client = client.clone().ready().await.expect("there is room for a stream");
        let (response, output) = client.send_request(request, false).expect("a good request");
        let (head, input) = response.await.expect("an answer").into_parts();
        let limits = Limits::DEFAULT.with_max_frame_bytes(1 << 30).with_max_message_bytes(1 << 30);
        let protocol = Connection::new(Role::Client { mask_key: || KEY }, limits);
        let (pool, rest) = (DeflatePool::default(), Vec::new());
        (http::Response::from_parts(head, ()), Self { output, input, protocol, pool, rest })
    }

    fn send(&mut self, text: &str) {
        let mut frame = Vec::new();
        self.protocol.send_text_with(text, Compression::Auto, &mut self.pool, &mut frame).expect("open");
        self.write(frame);
    }

    fn write(&mut self, bytes: Vec<u8>) {
        self.output.send_data(bytes.into(), false).expect("the stream is open");
    }

    async fn close(&mut self, code: u16) {
        let mut frame = Vec::new();
        self.protocol.close(Some(CloseFrame::new(CloseCode::new(code).expect("a code"), "")), &mut frame);
        self.write(frame);
    }

    /// What comes next; `None` after END_STREAM.
    async fn try_recv(&mut self) -> Option<Received<'static>> {
        loop {
            let mut output = Vec::new();
            let taken = self.protocol.handle_input_with(&mut self.pool, &mut self.rest, &mut output);
            let (used, received) = taken.expect("a good server");
            let received = received.map(Received::into_owned);
            self.rest.drain(..used);
            if !output.is_empty() {
                self.write(output);
            }
            if received.is_some() {
                return received;
            }
            let data = self.input.data().await?.expect("no reset");
            self.input.flow_control().release_capacity(data.len()).expect("as much as came");
            self.rest.extend_from_slice(&data);
        }
    }

    async fn recv_text(&mut self) -> String {
        match self.try_recv().await {
            Some(Received::Text(text)) => text.into_owned(),
            other => panic!("expected Text, not {other:?}"),
        }
    }

    async fn recv_close(&mut self) -> u16 {
        match self.try_recv().await {
            Some(Received::Close(frame)) => frame.map_or(1005, |frame| frame.code().value()),
            other => panic!("expected Close, not {other:?}"),
        }
    }
}

/// The fields of a good extended CONNECT, as a raw client sends them.
const GOOD: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "h"),
    (":path", "/ws"),
    ("sec-websocket-version", "13"),
];

fn good_but(name: &str, value: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
    let change =
        |(given, before)| if given == name { value.map(|value| (given, value)) } else { Some((given, before)) };
    GOOD.into_iter().filter_map(change).collect()
}

#[test]
fn ws_x1_the_settings_say_that_websockets_may_be_opened() {
    for (has_websockets, expected) in [(true, vec![1]), (false, vec![])] {
        let (server, _events) = server_with(http2(|http2| http2.with_websockets(has_websockets)));
        let mut client = Raw::connect(server.addr());
        let settings = client.until(SETTINGS, 0).payload;
        let enabled: Vec<u32> = settings
            .chunks(6)
            .filter(|setting| setting[..2] == [0, 8])
            .map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
            .collect();
        assert_eq!(enabled, expected);
    }
}

#[test]
fn ws_x1_the_setting_is_0_or_1() {
    let (server, _events) = server();
    let mut client = Raw::connect_with(server.addr(), &[(8, 2)]);
    assert_eq!(client.until(GOAWAY, 0).number(), PROTOCOL_ERROR);
    let _still_there = server.open("/ws");
}

#[test]
fn ws_x3_what_is_missing_is_a_malformed_request() {
    let (server, _events) = server();
    let mut client = Raw::connect(server.addr());
    for (index, missing) in [":method", ":scheme", ":authority", ":path"].into_iter().enumerate() {
        let stream = 2 * index as u32 + 1;
        client.headers(stream, &good_but(missing, None));
        assert_eq!(client.until(RST_STREAM, stream).number(), PROTOCOL_ERROR, "without {missing}");
    }
    // The connection and its other streams go on.
    client.headers(101, &GOOD);
    assert_eq!(client.until(HEADERS, 101).payload[0], 0x88, "200 of the static table");
}

#[test]
fn ws_x4_a_protocol_that_is_no_token_is_a_malformed_request() {
    let (server, _events) = server();
    let mut client = Raw::connect(server.addr());
    let twice = [&GOOD[..2], &[(":protocol", "websocket")], &GOOD[2..]].concat();
    let mut bad = vec![twice];
    bad.extend(["web socket", "websocket\r", "web\nsocket", "web\0socket", ""].map(|value| {
        let mut fields = GOOD.to_vec();
        fields[1].1 = value;
        fields
    }));
    for (index, fields) in bad.iter().enumerate() {
        let stream = 2 * index as u32 + 1;
        client.headers(stream, fields);
        assert_eq!(client.until(RST_STREAM, stream).number(), PROTOCOL_ERROR, "{fields:?}");
    }
    client.headers(101, &good_but(":protocol", Some("WebSocket")));
    assert_eq!(client.until(HEADERS, 101).payload[0], 0x88, "in whatever case");
}

#[test]
fn ws_x5_headers_of_one_connection_are_malformed() {
    let (server, _events) = server();
    let mut client = Raw::connect(server.addr());
    for (index, more) in [("connection", "upgrade"), ("upgrade", "websocket"), ("host", "elsewhere")].iter().enumerate()
    {
        let stream = 2 * index as u32 + 1;
        client.headers(stream, &[&GOOD[..], &[*more]].concat());
        assert_eq!(client.until(RST_STREAM, stream).number(), PROTOCOL_ERROR, "{more:?}");
    }
}

#[test]
fn ws_x5_version_and_origin_as_over_http_1() {
    let (open, _events) = probe(echo);
    let options = options().with_check_origin(CheckOrigin::SameHost);
    let server = TestServer::start(Server::new(config()).handler("/ws", options, open));
    wait_for(async {
        let (addr, client) = (server.addr(), connect(server.addr()).await);
        let own = format!("http://{addr}");
        for (headers, status) in [
            (vec![("sec-websocket-version", "13"), ("origin", own.as_str())], 200),
            (vec![("sec-websocket-version", "13"), ("origin", "http://elsewhere")], 403),
            (vec![("sec-websocket-version", "12")], 400),
            (vec![], 400),
            (vec![("sec-websocket-version", "13"), ("content-length", "0")], 400),
            (vec![("sec-websocket-version", "13"), ("sec-websocket-key", "none of its business")], 200),
        ] {
            let (response, _socket) = Socket::ask(&client, extended(addr, "/ws", &headers)).await;
            assert_eq!(response.status(), status, "{headers:?}");
            assert!(!response.headers().contains_key("sec-websocket-accept"));
        }
    });
}

#[test]
fn ws_x5_compression_as_over_http_1() {
    let (open, _events) = probe(echo);
    let server = Server::new(config()).handler("/ws", options().with_deflate(DeflateConfig::default()), open);
    let server = TestServer::start(server);
    wait_for(async {
        let client = connect(server.addr()).await;
        let uri = WebSocketUri::parse(&format!("ws://{}/ws", server.addr())).expect("a URI");
        let offer = ClientOptions::default().with_deflate(DeflateConfig::default());
        let offer = ClientConnect::new(&uri, offer, client.is_extended_connect_protocol_enabled()).expect("enabled");
        let mut request = offer.request().clone();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let (response, mut socket) = Socket::ask(&client, request).await;
        let Ok(Some(Answer::Accepted(accepted))) = offer.handle_response(response) else { panic!("accepted") };
        let params: DeflateParams = accepted.deflate.expect("agreed on");
        socket.protocol.set_deflate(params, None);
        let text = "the same again ".repeat(100);
        socket.send(&text);
        assert_eq!(socket.recv_text().await, text);
        assert_eq!(socket.pool.inflated_messages(), 1);
    });
}

#[test]
fn ws_x6_the_answer_is_200_or_whatever_the_mount_says() {
    let refuse = |_: &wingbeat_transport::Request| {
        let no = http::Response::builder().status(418).header("x-why", "teapot").body(Bytes::from_static(b"no"));
        Err::<Pausing, _>(no.expect("a response"))
    };
    let (open, _events) = probe(echo);
    let server = Server::new(config()).handler("/ws", options(), open).handler("/no", options(), refuse);
    let server = TestServer::start(server);
    wait_for(async {
        let client = connect(server.addr()).await;
        let mut socket = Socket::open(&client, server.addr(), "/ws").await;
        socket.send("hi");
        assert_eq!(socket.recv_text().await, "hi");
        let request = extended(server.addr(), "/no", &[("sec-websocket-version", "13")]);
        let (response, mut socket) = Socket::ask(&client, request).await;
        assert_eq!(
            (response.status(), &response.headers()["x-why"]),
            (StatusCode::IM_A_TEAPOT, &"teapot".parse().unwrap())
        );
        assert_eq!(socket.input.data().await.expect("a body").expect("no reset"), "no");
    });
}

#[test]
fn ws_x7_other_protocols_are_501() {
    let (server, _events) = server();
    wait_for(async {
        let client = connect(server.addr()).await;
        for path in ["/ws", "/elsewhere"] {
            let mut request = extended(server.addr(), path, &[("sec-websocket-version", "13")]);
            request.extensions_mut().insert(Protocol::from_static("connect-udp"));
            assert_eq!(Socket::ask(&client, request).await.0.status(), 501, "{path}");
        }
        let request = Request::connect(format!("{}", server.addr())).body(()).expect("a tunnel");
        assert_eq!(Socket::ask(&client, request).await.0.status(), 400, "CONNECT is for proxies");
        let request = Request::get(format!("http://{}/ws", server.addr())).body(()).expect("a request");
        assert_eq!(Socket::ask(&client, request).await.0.status(), 501, "GET opens no WebSocket here");
        let request = Request::get(format!("http://{}/elsewhere", server.addr())).body(()).expect("a request");
        assert_eq!(Socket::ask(&client, request).await.0.status(), 404, "the application's own answer");
    });
}

#[test]
fn ws_x8_switched_off_it_is_a_malformed_request() {
    let (server, _events) = server_with(http2(|http2| http2.with_websockets(false)));
    let mut client = Raw::connect(server.addr());
    client.headers(1, &GOOD);
    assert_eq!(client.until(RST_STREAM, 1).number(), PROTOCOL_ERROR);
}

#[test]
fn ws_x9_borders_of_frames_and_data_have_nothing_to_do_with_each_other() {
    let (server, _events) = server();
    wait_for(async {
        let client = connect(server.addr()).await;
        let mut socket = Socket::open(&client, server.addr(), "/ws").await;
        for byte in masked(FIN | TEXT, "a byte at a time".as_bytes()) {
            socket.write(vec![byte]);
        }
        assert_eq!(socket.recv_text().await, "a byte at a time");
        let three = [masked(FIN | TEXT, b"one"), masked(FIN | TEXT, b"two"), masked(FIN | TEXT, b"three")].concat();
        socket.write(three);
        for text in ["one", "two", "three"] {
            assert_eq!(socket.recv_text().await, text);
        }
        let long = "x".repeat(1 << 20);
        socket.send(&long);
        assert!(socket.recv_text().await == long);
        // Unmasked it is as wrong as anywhere (row F1).
        socket.write(vec![FIN | TEXT, 1, b'x']);
        assert_eq!(socket.recv_close().await, 1002);
    });
}

#[test]
fn ws_x10_after_the_closes_comes_the_end_of_the_stream() {
    // Only what we end ourselves ends in time: dropping the stream would end it, too.
    let (open, events) = probe(echo);
    let options = options().with_close_timeout(3 * support::PATIENCE);
    let server = TestServer::start(Server::new(config()).handler("/ws", options, open));
    wait_for(async {
        let client = connect(server.addr()).await;
        let mut socket = Socket::open(&client, server.addr(), "/ws").await;
        socket.close(1001).await;
        assert_eq!(socket.recv_close().await, 1001);
        assert!(socket.try_recv().await.is_none(), "END_STREAM, and no reset");
    });
    let closed = events.until_closed();
    assert_eq!((closed.code.value(), closed.cause), (1001, Cause::Peer));
}

#[test]
fn ws_x10_a_reset_is_a_lost_connection() {
    let (server, events) = server();
    let mut client = Raw::connect(server.addr());
    for (stream, code) in [(1, CANCEL), (3, PROTOCOL_ERROR)] {
        client.headers(stream, &GOOD);
        client.until(HEADERS, stream);
        events.opened();
        client.send(RST_STREAM, 0, stream, &code.to_be_bytes());
        let closed = events.until_closed();
        assert_eq!(closed.code.value(), 1006);
        assert!(matches!(closed.cause, Cause::Lost | Cause::Io(_)), "{closed:?}");
    }
    // So is an end without a Close.
    client.headers(5, &GOOD);
    client.until(HEADERS, 5);
    client.send(DATA, END_STREAM, 5, &[]);
    assert_eq!(client.until(DATA, 5).flags, END_STREAM);
    assert_eq!(events.until_closed().code.value(), 1006);
    // However much came right before it.
    client.headers(9, &GOOD);
    client.until(HEADERS, 9);
    client.send(DATA, END_STREAM, 9, &masked(FIN | TEXT, b"last words"));
    assert!(matches!(events.next(), Event::Opened(_)));
    assert_eq!((events.text().as_str(), events.until_closed().code.value()), ("last words", 1006));
    // And an end of the whole connection.
    client.headers(11, &GOOD);
    client.until(HEADERS, 11);
    events.opened();
    drop(client);
    assert_eq!(events.until_closed().code.value(), 1006);
    eventually("no seat is left", || server.running().connections() == 0);
}

#[test]
fn ws_x10_what_we_end_is_not_left_open() {
    // The peer never answers our Close; after the close timeout we drop the stream.
    let (open, events) = probe(|_, cx: &mut Context<'_>| cx.close(CloseCode::POLICY, ""));
    let options = options().with_close_timeout(Duration::from_millis(100));
    let server = TestServer::start(Server::new(config()).handler("/ws", options, open));
    let mut client = Raw::connect(server.addr());
    client.headers(1, &GOOD);
    client.until(HEADERS, 1);
    client.send(DATA, 0, 1, &masked(FIN | TEXT, b"go"));
    let close = client.until(DATA, 1);
    assert_eq!(close.payload[..4], [FIN | CLOSE, 2, 0x03, 0xF0]);
    assert_eq!(client.until(DATA, 1).flags, END_STREAM);
    // What it may still send is of no interest any more.
    client.until(RST_STREAM, 1);
    assert_eq!(events.until_closed().cause, Cause::Local);
}

#[test]
fn ws_x11_cb23_who_does_not_read_stops_its_own_stream_and_no_other() {
    const WINDOW: u32 = 65_535;
    let (server, pauses) = pausing_server(http2(|http2| http2.with_stream_window_bytes(WINDOW)));
    let mut client = Raw::connect(server.addr());
    client.headers(1, &GOOD);
    client.until(HEADERS, 1);
    let pause = masked(FIN | TEXT, b"pause");
    client.send(DATA, 0, 1, &pause);
    pauses.recv_timeout(support::PATIENCE).expect("paused");
    // The paused stream's window is used up to the last byte.
    let mut left = WINDOW as usize - pause.len();
    while left > 0 {
        let size = left.min(16 << 10);
        client.send(DATA, 0, 1, &vec![0; size]);
        left -= size;
    }
    // Others go on, far beyond one window.
    client.headers(3, &GOOD);
    client.until(HEADERS, 3);
    let piece = vec![b'x'; 8 << 10];
    for _ in 0..64 {
        client.send(DATA, 0, 3, &masked(FIN | BINARY, &piece));
        let mut echoed = 0;
        while echoed < piece.len() + 4 {
            echoed += client.until(DATA, 3).payload.len();
        }
        for stream in [0, 3] {
            client.send(WINDOW_UPDATE, 0, stream, &(echoed as u32).to_be_bytes());
        }
    }
    let opened =
        |stream| client.seen.iter().filter(|frame| (frame.kind, frame.stream) == (WINDOW_UPDATE, stream)).count();
    assert!(opened(3) > 0);
    assert_eq!(opened(1), 0, "what is not read is not asked for");
}

/// Echoes, pauses when told to by the peer, and goes on when told to by the test.
struct Pausing {
    paused: std::sync::mpsc::Sender<ConnectionHandle>,
}

impl Handler for Pausing {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        if message == Message::Text("pause") {
            cx.pause();
            let _ = self.paused.send(cx.handle());
        } else {
            let _ = cx.send(message);
        }
    }

    fn handle_info(&mut self, _: Info, cx: &mut Context<'_>) {
        cx.resume();
    }
}

fn pausing_server(config: Config) -> (TestServer, std::sync::mpsc::Receiver<ConnectionHandle>) {
    let (paused, pauses) = std::sync::mpsc::channel();
    let open = move |_: &wingbeat_transport::Request| Ok(Pausing { paused: paused.clone() });
    (TestServer::start(Server::new(config).handler("/ws", options(), open)), pauses)
}

#[test]
fn ws_x11_a_resumed_handler_reads_what_waited() {
    let (server, pauses) = pausing_server(config());
    wait_for(async {
        let client = connect(server.addr()).await;
        let mut socket = Socket::open(&client, server.addr(), "/ws").await;
        socket.send("pause");
        let paused = tokio::task::spawn_blocking(move || pauses.recv_timeout(support::PATIENCE)).await;
        let paused = paused.expect("joined").expect("paused");
        let long = "y".repeat(300 << 10);
        socket.send(&long);
        let mut other = Socket::open(&client, server.addr(), "/ws").await;
        other.send("meanwhile");
        assert_eq!(other.recv_text().await, "meanwhile");
        paused.info(()).expect("the worker lives");
        assert!(socket.recv_text().await == long);
    });
}

#[test]
fn ws_x11_a_peer_that_does_not_read_is_closed_like_any_other() {
    let (open, events) = probe(|message, cx: &mut Context<'_>| while cx.send(message).is_ok() {});
    let options = options().with_max_output(256 << 10, 1024).with_close_timeout(Duration::from_millis(50));
    let server = TestServer::start(Server::new(config()).handler("/ws", options, open).handler(
        "/echo",
        self::options(),
        probe(echo).0,
    ));
    wait_for(async {
        let client = connect(server.addr()).await;
        let mut socket = Socket::open(&client, server.addr(), "/ws").await;
        socket.send(&"z".repeat(8 << 10));
        // Nothing is read of this stream, so its window stays shut; what is sent elsewhere arrives.
        let closed = tokio::task::spawn_blocking(move || events.until_closed()).await.expect("closed");
        assert_eq!((closed.code.value(), closed.cause), (1013, Cause::SlowConsumer));
        let mut other = Socket::open(&client, server.addr(), "/echo").await;
        other.send("still here");
        assert_eq!(other.recv_text().await, "still here");
    });
}

#[test]
fn ws_x12_a_hundred_on_one_connection() {
    let (server, events) = server();
    wait_for(async {
        let client = connect(server.addr()).await;
        let mut sockets = Vec::new();
        for _ in 0..100 {
            sockets.push(Socket::open(&client, server.addr(), "/ws").await);
        }
        assert_eq!(server.running().connections(), 101, "each has a seat, and the connection below");
        for (index, socket) in sockets.iter_mut().enumerate() {
            socket.send(&index.to_string());
        }
        for (index, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(socket.recv_text().await, index.to_string());
        }
        let mut first = sockets.swap_remove(0);
        first.close(1000).await;
        assert_eq!(first.recv_close().await, 1000);
        assert!(first.try_recv().await.is_none());
        sockets.push(Socket::open(&client, server.addr(), "/ws").await);
        for socket in &mut sockets {
            socket.send("again");
            assert_eq!(socket.recv_text().await, "again");
        }
    });
    let opened = |event: &Event| matches!(event, Event::Opened(_));
    assert_eq!(events.rest().iter().filter(|event| opened(event)).count(), 101);
    eventually("no seat is left", || server.running().connections() == 0);
}

#[test]
fn ws_x12_websockets_count_against_the_streams() {
    let (server, _events) = server_with(http2(|http2| http2.with_max_concurrent_streams(2)));
    let mut client = Raw::connect(server.addr());
    for stream in [1, 3] {
        client.headers(stream, &GOOD);
        client.until(HEADERS, stream);
    }
    client.headers(5, &GOOD);
    assert_eq!(client.until(RST_STREAM, 5).number(), REFUSED_STREAM);
    client.send(DATA, END_STREAM, 1, &masked(FIN | CLOSE, &[]));
    client.until(DATA, 1);
    assert_eq!(client.until(DATA, 1).flags, END_STREAM);
    client.headers(7, &GOOD);
    client.until(HEADERS, 7);
}

#[test]
fn ws_x12_websockets_count_against_the_connections() {
    let (server, _events) = server_with(config().with_max_connections(3));
    wait_for(async {
        let client = connect(server.addr()).await;
        let first = Socket::open(&client, server.addr(), "/ws").await;
        let _second = Socket::open(&client, server.addr(), "/ws").await;
        let request = || extended(server.addr(), "/ws", &[("sec-websocket-version", "13")]);
        assert_eq!(Socket::ask(&client, request()).await.0.status(), 503);
        drop(first);
        while server.running().connections() == 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Socket::ask(&client, request()).await.0.status(), 200);
    });
}

#[test]
fn ws_x14_a_quiet_websocket_is_not_idle() {
    let idle = Duration::from_millis(50);
    let (server, _events) = server_with(http2(|http2| http2.with_idle_timeout(idle)));
    let mut client = Raw::connect(server.addr());
    client.headers(1, &GOOD);
    client.until(HEADERS, 1);
    std::thread::sleep(6 * idle);
    client.send(PING, 0, 0, b"are you?");
    while client.next().is_none_or(|frame| (frame.kind, frame.flags) != (PING, ACK)) {}
    assert!(client.seen.iter().all(|frame| frame.kind != GOAWAY));
    client.send(DATA, 0, 1, &masked(FIN | TEXT, b"hi"));
    assert_eq!(client.until(DATA, 1).payload, [FIN | TEXT, 2, b'h', b'i']);
    // Once it is closed the connection is idle.
    client.send(DATA, END_STREAM, 1, &masked(FIN | CLOSE, &[]));
    client.until(GOAWAY, 0);
    while client.next().is_some() {}
}

#[test]
fn http2_keep_alive_finds_a_dead_peer() {
    let brief = Duration::from_millis(100);
    let (server, events) = server_with(http2(|http2| http2.with_keep_alive(brief, brief)));
    let mut client = Raw::connect(server.addr());
    client.headers(1, &GOOD);
    client.until(HEADERS, 1);
    events.opened();
    // From here on nothing is read, hence no ping answered.
    assert_eq!(events.until_closed().code.value(), 1006);
    eventually("no seat is left", || server.running().connections() == 0);
}

#[test]
fn http2_rapid_resets_end_the_connection() {
    let (server, _events) = server();
    let mut client = Raw::connect(server.addr());
    client.until(SETTINGS, 0);
    let gone = (0..10_000).any(|count| {
        let stream = 2 * count + 1;
        client.try_headers(stream, &GOOD).is_err()
            || client.try_send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()).is_err()
    });
    let told = std::iter::from_fn(|| client.next()).any(|frame| frame.kind == GOAWAY && frame.number() == 11);
    assert!(gone || told, "ENHANCE_YOUR_CALM");
    eventually("no seat is left", || server.running().connections() == 0);
    let _still_there = server.open("/ws");
}

#[test]
fn http2_heads_are_limited_as_others_are() {
    let (server, _events) = server();
    let mut client = Raw::connect(server.addr());
    let value = "v".repeat(100);
    let names: Vec<_> = (0..150).map(|count| format!("x-{count}")).collect();
    let fields = [GOOD.to_vec(), names.iter().map(|name| (name.as_str(), value.as_str())).collect()].concat();
    client.headers(1, &fields);
    let answer = client.until(HEADERS, 1);
    // :status, its name from the static table (RFC 7541 §6.2.1), and 431 in its Huffman code.
    assert_eq!(answer.payload, [0x48, 0x83, 0x69, 0x90, 0xFF]);
    client.headers(3, &GOOD);
    assert_eq!(client.until(HEADERS, 3).payload[0], 0x88);
}

#[test]
fn at_shutdown_websockets_are_closed_and_the_connection_goes_away() {
    let (server, events) = server();
    let mut client = Raw::connect(server.addr());
    client.headers(1, &GOOD);
    client.until(HEADERS, 1);
    events.opened();
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, Duration::from_secs(10)));
    assert_eq!(client.until(DATA, 1).payload[..4], [FIN | CLOSE, 5, 0x03, 0xF4]);
    client.send(DATA, END_STREAM, 1, &masked(FIN | CLOSE, &support::close_payload(1012, "")));
    while client.next().is_some() {}
    assert!(client.seen.iter().any(|frame| frame.kind == GOAWAY));
    assert!(stopping.join().expect("stopped") < Duration::from_secs(5));
    assert_eq!(events.until_closed().cause, Cause::Shutdown);
}

#[test]
fn a_preface_may_come_in_pieces() {
    let (server, _events) = server();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for cut in [1, 3, 16, 18, 23] {
        let mut peer = server.connect();
        peer.write(&preface[..cut]);
        std::thread::sleep(Duration::from_millis(5));
        peer.write(&preface[cut..]);
        peer.write(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
        let mut head = [0; 9];
        std::io::Read::read_exact(&mut peer.stream, &mut head).expect("a frame");
        assert_eq!(head[3], SETTINGS, "cut at {cut}");
    }
}
