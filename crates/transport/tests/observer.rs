//! Who observes sees what is on the wire, no more and no less.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{
    BINARY, CLOSE, CONTINUATION, FIN, PATIENCE, PING, TEXT, TestServer, close_payload, config, echo, eventually,
    masked, options, probe, upgrade,
};
use wingbeat_transport::{
    Answer, Cause, Closed, Compression, ConnectionId, Context, DeflateConfig, Direction, EncodedMessage, Exchange,
    Frame, Handler, Message, Mount, Observer, Redaction, Request, Server, Upgrade,
};
use wingbeat_websocket::deflate::DeflatePool;
use wingbeat_websocket::handshake::UpgradeRequest;
use wingbeat_websocket::{Connection, Limits, Opcode, ProtocolError, Received, Role};

const RSV1: u8 = 0x40;

/// What was observed, as a test can compare it.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Open { target: String, user_agent: Option<String>, subprotocol: Option<String>, extensions: Option<String> },
    Refusal { target: Option<String>, status: u16, body: String },
    Frame(Direction, Opcode, Vec<u8>, bool),
    Bytes(Direction, Vec<u8>),
    Violation(ProtocolError),
    Drop(u64),
    Close(Closed),
    End,
}

/// Tells a test what it sees; frames either as they mean or as they are.
struct Recorder {
    seen: Mutex<Sender<(Option<ConnectionId>, Seen)>>,
    is_raw: bool,
}

impl Recorder {
    fn tell(&self, connection: Option<ConnectionId>, seen: Seen) {
        let _ = self.seen.lock().expect("no panic").send((connection, seen));
    }
}

impl Observer for Recorder {
    fn handle_open(&self, exchange: &Exchange<'_>) {
        let request = exchange.request.expect("a request");
        assert_eq!(exchange.status, 101);
        let seen = Seen::Open {
            target: request.target.clone(),
            user_agent: request.user_agent().map(str::to_owned),
            subprotocol: exchange.subprotocol().map(str::to_owned),
            extensions: exchange.extensions().map(str::to_owned),
        };
        self.tell(exchange.connection, seen);
    }

    fn handle_refusal(&self, exchange: &Exchange<'_>) {
        let target = exchange.request.map(|request| request.target.clone());
        let body = String::from_utf8_lossy(exchange.body).into_owned();
        self.tell(None, Seen::Refusal { target, status: exchange.status.as_u16(), body });
    }

    fn handle_frame(&self, connection: ConnectionId, frame: &Frame<'_>) {
        let seen = match frame.known_opcode() {
            Some(opcode) if !self.is_raw => {
                Seen::Frame(frame.direction, opcode, frame.payload.to_vec(), frame.is_compressed())
            }
            _ => {
                let mut bytes = Vec::new();
                frame.encode(&mut bytes);
                Seen::Bytes(frame.direction, bytes)
            }
        };
        self.tell(Some(connection), seen);
    }

    fn handle_violation(&self, connection: ConnectionId, error: &ProtocolError) {
        self.tell(Some(connection), Seen::Violation(*error));
    }

    fn handle_drop(&self, connection: ConnectionId, messages: u64) {
        self.tell(Some(connection), Seen::Drop(messages));
    }

    fn handle_close(&self, connection: ConnectionId, closed: &Closed) {
        self.tell(Some(connection), Seen::Close(closed.clone()));
    }

    fn handle_end(&self, connection: ConnectionId) {
        self.tell(Some(connection), Seen::End);
    }
}

type Moments = Receiver<(Option<ConnectionId>, Seen)>;

fn recorder(is_raw: bool) -> (Arc<Recorder>, Moments) {
    let (sender, receiver) = channel();
    (Arc::new(Recorder { seen: Mutex::new(sender), is_raw }), receiver)
}

/// Everything up to the end of a connection.
fn until_end(moments: &Moments) -> Vec<Seen> {
    let mut all = Vec::new();
    while all.last() != Some(&Seen::End) {
        all.push(moments.recv_timeout(PATIENCE).expect("it ends").1);
    }
    all
}

/// Answers "large", "flood", "shared" and "many" with that, and everything else with itself.
fn act(message: Message<'_>, cx: &mut Context<'_>) {
    let large = "x".repeat(200_000);
    match message {
        Message::Text("large") => (0..2).for_each(|_| cx.send(Message::Text(&large)).expect("open")),
        Message::Text("flood") => (0..100).for_each(|_| cx.send(Message::Text(&large)).expect("room")),
        Message::Text("shared") => {
            let (small, large) = (EncodedMessage::text("all of you"), EncodedMessage::text(&large));
            let id = cx.id();
            for message in [&small, &large, &small] {
                assert!(cx.turn().send_to(id, message));
            }
        }
        Message::Text("many") => {
            for index in 0..1000_u32 {
                cx.send(Message::Binary(&index.to_be_bytes())).expect("open");
            }
        }
        Message::Text("leave") => cx.close(wingbeat_websocket::CloseCode::POLICY, "enough"),
        message => cx.send(message).expect("open"),
    }
}

/// What one direction carried, as the observer saw it.
fn carried(seen: &[Seen], wanted: Direction) -> Vec<u8> {
    let bytes = seen.iter().filter_map(|seen| match seen {
        Seen::Bytes(direction, bytes) if *direction == wanted => Some(bytes.as_slice()),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Plays `bytes` to a server in pieces of `size`, and says what came back behind the handshake.
fn play(server: &TestServer, bytes: &[u8], size: usize, more: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.addr()).expect("it listens");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.write_all(upgrade("/", server.addr(), more).as_bytes()).expect("taken");
    let mut reading = stream.try_clone().expect("a second handle");
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        reading.read_to_end(&mut answer).expect("FIN");
        answer
    });
    bytes.chunks(size).for_each(|piece| stream.write_all(piece).expect("taken"));
    let answer = reader.join().expect("no panic");
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    answer[head..].to_vec()
}

fn session() -> Vec<u8> {
    [
        masked(FIN | TEXT, b"hello"),
        masked(TEXT, b"one "),
        masked(CONTINUATION, b""),
        masked(FIN | PING, b"between"),
        masked(FIN | CONTINUATION, b"two"),
        masked(FIN | BINARY, b""),
        masked(FIN | BINARY, &[7; 300]),
        masked(FIN | BINARY, &vec![8; 100_000]),
        masked(FIN | TEXT, b"large"),
        masked(FIN | TEXT, b"shared"),
        masked(FIN | TEXT, b"many"),
        masked(FIN | TEXT, b"flood"),
        masked(FIN | support::PONG, b"unasked"),
        masked(FIN | CLOSE, &close_payload(4000, "bye")),
    ]
    .concat()
}

#[test]
fn every_byte_both_ways_however_it_was_cut() {
    let (observer, moments) = recorder(true);
    let (open, _events) = probe(act);
    let options = options().with_max_output(1 << 30, 1 << 20);
    let server = TestServer::start(Server::new(config()).with_observer(observer).handler("/", options, open));
    let session = session();
    for size in [session.len(), 70_000, 1000, 7] {
        let answer = play(&server, &session, size, "");
        let seen = until_end(&moments);
        assert!(matches!(seen.first(), Some(Seen::Open { .. })), "{size}");
        assert!(carried(&seen, Direction::Received) == session, "pieces of {size}");
        assert!(carried(&seen, Direction::Sent) == answer, "pieces of {size}");
        let closes: Vec<_> =
            seen.iter().filter_map(|seen| if let Seen::Close(closed) = seen { Some(closed) } else { None }).collect();
        let [closed] = closes[..] else { panic!("{closes:?}") };
        assert_eq!((closed.code.value(), closed.reason.as_str(), closed.cause), (4000, "bye", Cause::Peer));
    }
}

#[test]
fn ws_cb43_frames_in_order_with_their_meaning() {
    let (observer, moments) = recorder(false);
    let (open, _events) = probe(act);
    let server = TestServer::start(Server::new(config()).with_observer(observer).handler("/", options(), open));
    let mut peer = server.connect();
    peer.write(upgrade("/?vsn=2.0.0&token=abc", server.addr(), "User-Agent: test\r\n").as_bytes());
    assert_eq!(peer.response().status, 101);
    peer.write(&[masked(TEXT, b"one "), masked(FIN | PING, b"p"), masked(FIN | CONTINUATION, b"two")].concat());
    assert_eq!(peer.recv(), Received::Pong(b"p"[..].into()));
    assert_eq!(peer.recv_text(), "one two");
    peer.send_text("leave");
    peer.expect_close(1008);
    peer.expect_fin();
    let target = "/?vsn=2.0.0&token=***".to_owned();
    let frame = |direction, opcode, payload: &[u8]| Seen::Frame(direction, opcode, payload.to_vec(), false);
    let (from, to) = (Direction::Received, Direction::Sent);
    let close = close_payload(1008, "enough");
    let seen = until_end(&moments);
    assert_eq!(
        seen[..7],
        [
            Seen::Open { target, user_agent: Some("test".into()), subprotocol: None, extensions: None },
            frame(from, Opcode::Text, b"one "),
            frame(from, Opcode::Ping, b"p"),
            frame(from, Opcode::Continuation, b"two"),
            frame(to, Opcode::Pong, b"p"),
            frame(to, Opcode::Text, b"one two"),
            frame(from, Opcode::Text, b"leave"),
        ]
    );
    assert_eq!(seen[7], frame(to, Opcode::Close, &close));
    assert_eq!(seen[8], frame(from, Opcode::Close, &close_payload(1008, "")));
    let [Seen::Close(closed), Seen::End] = &seen[9..] else { panic!("{seen:?}") };
    assert_eq!((closed.code.value(), closed.cause), (1008, Cause::Local));
}

/// What the observer sees of a compressed session is enough to read it.
#[test]
fn compressed_frames_are_seen_as_they_are() {
    for takeover in [false, true] {
        let deflate = DeflateConfig::DEFAULT.with_server_takeover(takeover).with_client_takeover(takeover);
        let (observer, moments) = recorder(true);
        let (open, _events) = probe(|message: Message<'_>, cx: &mut Context<'_>| {
            cx.send_with(message, Compression::Always).expect("open");
        });
        let server = Server::new(config()).with_observer(observer);
        let server = TestServer::start(server.handler("/", options().with_deflate(deflate), open));
        let (mut peer, params) = support::Peer::open_deflating(server.addr(), "/", deflate);
        let params = params.expect("agreed on");
        for round in 0..3 {
            let text = format!("{round} {}", "the same again and again ".repeat(40));
            peer.send_text(&text);
            assert_eq!(peer.recv_text(), text);
        }
        peer.close(1000, "");
        peer.expect_close(1000);
        peer.expect_fin();
        let seen = until_end(&moments);
        let Some(Seen::Open { extensions: Some(extensions), .. }) = seen.first() else { panic!("{seen:?}") };
        assert_eq!(*extensions, params.to_string());
        let key = || [0; 4];
        for (direction, role) in
            [(Direction::Received, Role::Server), (Direction::Sent, Role::Client { mask_key: key })]
        {
            let mut bytes = carried(&seen, direction);
            assert_ne!(bytes[0] & RSV1, 0, "compressed");
            let mut reader = Connection::new(role, Limits::DEFAULT);
            reader.set_deflate(params, None);
            let (mut pool, mut output, mut texts) = (DeflatePool::new(deflate), Vec::new(), Vec::new());
            let mut input = &mut bytes[..];
            while !input.is_empty() {
                let (used, received) = reader.handle_input_with(&mut pool, input, &mut output).expect("good");
                if let Some(Received::Text(text)) = received {
                    texts.push(text.into_owned());
                }
                input = &mut input[used..];
            }
            assert_eq!(texts.len(), 3);
            assert!(texts.iter().all(|text| text.ends_with("the same again and again ")), "{texts:?}");
        }
    }
}

#[test]
fn violations_are_seen_with_their_frames() {
    let (observer, moments) = recorder(true);
    let (open, _events) = probe(echo);
    let limits = Limits::DEFAULT.with_max_frame_bytes(1000);
    let options = options().with_limits(limits);
    let server = TestServer::start(Server::new(config()).with_observer(observer).handler("/", options, open));
    let good = masked(FIN | TEXT, b"good");
    let long = masked(FIN | BINARY, &[7; 2000]);
    for (name, bad, shown) in [
        ("not masked (F4)", b"\x81\x05Hello".to_vec(), 7),
        ("reserved bit", masked(FIN | 0x20 | TEXT, b"x"), 7),
        ("reserved opcode", masked(FIN | 0x3, b"x"), 7),
        ("length not minimal", b"\x82\xfe\x00\x01\0\0\0\0x".to_vec(), 9),
        ("not UTF-8", masked(FIN | TEXT, b"\xff"), 7),
        ("continues nothing", masked(FIN | CONTINUATION, b"x"), 7),
        ("bad close code", masked(FIN | CLOSE, &close_payload(1005, "")), 8),
        ("too large, as far as it came", long[..100].to_vec(), 100),
    ] {
        let answer = play(&server, &[good.clone(), bad.clone()].concat(), 1 << 20, "");
        let seen = until_end(&moments);
        assert_eq!(carried(&seen, Direction::Received), [&good, &bad[..shown]].concat(), "{name}");
        assert_eq!(carried(&seen, Direction::Sent), answer, "{name}");
        let at = seen.iter().position(|seen| matches!(seen, Seen::Violation(_))).expect(name);
        assert!(matches!(&seen[at - 1], Seen::Bytes(Direction::Received, bytes) if *bytes == bad[..shown]), "{name}");
        let closed = seen.iter().find_map(|seen| if let Seen::Close(closed) = seen { Some(closed) } else { None });
        let Seen::Violation(error) = &seen[at] else { unreachable!("found above") };
        assert_eq!(closed.expect(name).code, error.close_code(), "{name}");
    }
}

#[test]
fn refusals_are_seen_however_they_came() {
    let (observer, moments) = recorder(true);
    let config = config().with_redaction(Redaction::default().with_secret("room"));
    let server = Server::new(config).with_observer(observer);
    let refuse = |_: &Request| -> Result<Deaf, _> {
        Err(http::Response::builder().status(403).body("not you".into()).expect("a response"))
    };
    let server = TestServer::start(server.handler("/ws/:room", options(), refuse));
    let ask = |peer: &mut support::Peer, request: &str| peer.ask(request).status;
    let refused = |target: Option<&str>, status, body: &str| {
        let expected = Seen::Refusal { target: target.map(str::to_owned), status, body: body.to_owned() };
        assert_eq!(moments.recv_timeout(PATIENCE).expect("it is seen").1, expected);
    };
    let request = upgrade("/ws/abc?a=b", server.addr(), "");
    assert_eq!(ask(&mut server.connect(), &request), 403);
    refused(Some("/ws/***?a=b"), 403, "not you");
    assert_eq!(ask(&mut server.connect(), "GET /ws/abc HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n"), 400);
    let Seen::Refusal { target: None, status: 400, .. } = moments.recv_timeout(PATIENCE).expect("seen").1 else {
        panic!("a head that cannot be read")
    };
    // Through hyper.
    let mut peer = server.connect();
    assert_eq!(ask(&mut peer, "GET /other HTTP/1.1\r\nHost: h\r\n\r\n"), 404);
    assert_eq!(ask(&mut peer, &request), 403);
    refused(Some("/ws/***?a=b"), 403, "not you");
    assert!(moments.try_recv().is_err(), "what is not for a mount is not ours to see");
}

#[test]
fn an_upgrade_through_hyper_is_seen_the_same() {
    let (observer, moments) = recorder(true);
    let (open, _events) = probe(echo);
    let server = TestServer::start(Server::new(config()).with_observer(observer).handler("/", options(), open));
    let mut peer = server.connect();
    assert_eq!(peer.ask("GET /other HTTP/1.1\r\nHost: h\r\n\r\n").status, 404);
    assert_eq!(peer.ask(&upgrade("/?secret=abc", server.addr(), "")).status, 101);
    peer.send_text("hello");
    assert_eq!(peer.recv_text(), "hello");
    peer.close(1000, "");
    peer.expect_close(1000);
    peer.expect_fin();
    drop(peer);
    let seen = until_end(&moments);
    assert!(matches!(&seen[0], Seen::Open { target, .. } if target == "/?secret=***"), "{seen:?}");
    let sent = [&b"\x81\x05hello"[..], &[0x88, 2], &1000_u16.to_be_bytes()].concat();
    assert_eq!(carried(&seen, Direction::Sent), sent);
}

#[test]
fn drops_are_seen() {
    let (observer, moments) = recorder(true);
    let (open, _events) =
        probe(|_: Message<'_>, cx: &mut Context<'_>| while cx.send(Message::Binary(&[7; 50_000])).is_ok() {});
    let options = options().with_close_timeout(Duration::from_millis(100));
    let server = TestServer::start(Server::new(config()).with_observer(observer).handler("/", options, open));
    let mut peer = server.open("/").rude();
    peer.send_text("go");
    let seen = until_end(&moments);
    let drops: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Drop(_))).collect();
    assert_eq!(drops, [&Seen::Drop(1)]);
    drop(peer);
}

/// Panics at the first frame.
struct Clumsy(Sender<()>);

impl Observer for Clumsy {
    fn handle_frame(&self, _: ConnectionId, _: &Frame<'_>) {
        let _ = self.0.send(());
        panic!("on purpose");
    }
}

#[test]
fn an_observer_that_panics_harms_nobody() {
    let (told, tells) = channel();
    let (open, _events) = probe(echo);
    let server = Server::new(config()).with_observer(Arc::new(Clumsy(told)));
    let server = TestServer::start(server.handler("/", options(), open));
    let mut peer = server.open("/");
    for text in ["one", "two"] {
        peer.send_text(text);
        assert_eq!(peer.recv_text(), text);
    }
    drop(peer);
    eventually("it is gone", || server.running().connections() == 0);
    assert_eq!(tells.try_iter().count(), 1, "it is told nothing more");
}

/// Takes the subprotocol "chat", whatever else is offered.
struct Chat;

impl Mount for Chat {
    fn handle_request(&self, request: Request) -> Answer {
        let request = UpgradeRequest::parse(&request.head).expect("a good request");
        let upgrade = Upgrade::accept(request, Some("chat"), Box::new(Deaf), Arc::new(options()));
        Answer::Upgrade(upgrade.expect("it is offered"))
    }
}

struct Deaf;

impl Handler for Deaf {
    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}
}

#[test]
fn the_subprotocol_that_was_agreed_on_is_shown() {
    let (observer, moments) = recorder(true);
    let server = TestServer::start(Server::new(config()).with_observer(observer).mount("/", Chat));
    let mut peer = server.connect();
    let offers = "Sec-WebSocket-Protocol: chat, bearer.abc\r\n";
    assert_eq!(peer.ask(&upgrade("/", server.addr(), offers)).status, 101);
    let seen = moments.recv_timeout(PATIENCE).expect("it opens").1;
    let Seen::Open { subprotocol: Some(subprotocol), .. } = seen else { panic!("{seen:?}") };
    assert_eq!(subprotocol, "chat");
}
