//! What Cowboy lets an application ask for and choose, as far as no other file shows it: rows CB6 to CB44.

mod support;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::{
    BINARY, Events, FIN, PATIENCE, TEXT, TestServer, config, in_turn, masked, options, probe, probe_server, upgrade,
};
use wingbeat_transport::{Cause, Closed, Context, EncodedMessage, Handler, Message, Server, SocketOptions, Turn};
use wingbeat_websocket::deflate::DeflateConfig;
use wingbeat_websocket::{CloseCode, Limits, Received};

/// The bytes of a server's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

#[test]
fn ws_cb6_what_is_sent_leaves_in_its_order_and_nothing_follows_a_close() {
    let (server, events) = probe_server(options(), |_, cx| {
        cx.send(Message::Text("a text")).expect("open");
        cx.ping(b"a ping").expect("open");
        cx.send(Message::Binary(b"bytes")).expect("open");
        cx.pong(b"").expect("open");
        cx.close(CloseCode::GOING_AWAY, "some text!");
        assert!(cx.send(Message::Text("after it")).is_err());
        assert!(cx.ping(b"after it").is_err());
    });
    let mut peer = server.open("/");
    peer.write(&masked(FIN | TEXT, b"go"));
    let expected = [
        frame(0x81, b"a text"),
        frame(0x89, b"a ping"),
        frame(0x82, b"bytes"),
        frame(0x8A, b""),
        frame(0x88, b"\x03\xE9some text!"),
    ]
    .concat();
    // One write is one segment here, so one read takes all of it.
    let mut buffer = [0; 1000];
    let count = std::io::Read::read(&mut peer.stream, &mut buffer).expect("an answer");
    assert_eq!(buffer[..count].escape_ascii().to_string(), expected.escape_ascii().to_string());
    peer.write(&masked(FIN | 0x8, b"\x03\xE9"));
    peer.expect_fin();
    let closed = events.until_closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::GOING_AWAY, Cause::Local));
}

#[test]
fn ws_cb8_without_the_extension_saying_how_to_compress_changes_nothing() {
    let (server, _events) = probe_server(options().with_deflate(DeflateConfig::DEFAULT), |message, cx| {
        use wingbeat_transport::Compression;
        for compression in [Compression::Always, Compression::Never, Compression::Auto] {
            cx.set_compression(compression);
            cx.send(message).expect("open");
        }
    });
    let mut peer = server.open("/");
    let text = "wing".repeat(1000);
    peer.send_text(&text);
    for _ in 0..3 {
        assert_eq!(peer.peek_frame()[0], FIN | TEXT);
        assert_eq!(peer.recv_text(), text);
    }
}

#[test]
fn ws_cb9_limits_and_idle_timeout_change_while_it_is_open() {
    let (server, events) = probe_server(options(), |message, cx| match message.as_bytes() {
        b"small" => cx.set_limits(Limits::DEFAULT.with_max_message_bytes(1000)),
        b"quick" => cx.set_idle_timeout(Some(Duration::from_millis(200))),
        _ => drop(cx.send(Message::Text("taken"))),
    });
    let mut peer = server.open("/");
    peer.write(&masked(FIN | BINARY, &[7; 1001]));
    assert_eq!(peer.recv_text(), "taken");
    peer.send_text("small");
    peer.write(&masked(FIN | BINARY, &[7; 1000]));
    assert_eq!(peer.recv_text(), "taken");
    peer.write(&masked(FIN | BINARY, &[7; 1001]));
    peer.expect_close(1009);
    assert_eq!(events.until_closed().cause, Cause::TooBig);
    let mut peer = server.open("/");
    let begun = Instant::now();
    peer.send_text("quick");
    peer.expect_close(1001);
    assert!(begun.elapsed() >= Duration::from_millis(160), "{:?}", begun.elapsed());
    assert_eq!(events.until_closed().cause, Cause::Idle);
}

/// Talks to a peer that never answers, every few milliseconds until it is gone.
fn keep_sending(events: &Events) -> (Closed, usize) {
    let handle = events.opened();
    let mut sent = 0;
    loop {
        let _ = handle.send(EncodedMessage::text("are you there?"));
        let _ = handle.ping(b"?");
        sent += 1;
        if let Some(support::Event::Closed(closed)) = events.within(Duration::from_millis(10)) {
            return (closed, sent);
        }
        assert!(sent < 1000, "it is still open");
    }
}

#[test]
fn ws_cb13_what_we_send_is_no_sign_of_the_peer() {
    let options = SocketOptions::default().with_idle_timeout(Some(Duration::from_millis(300)));
    let (server, events) = probe_server(options, support::silent);
    let mut peer = server.open("/").rude();
    let reader = std::thread::spawn(move || {
        // Reads all, answers nothing.
        while !matches!(peer.recv(), Received::Close(_)) {}
    });
    let begun = Instant::now();
    let (closed, sent) = keep_sending(&events);
    assert_eq!(closed.cause, Cause::Idle);
    assert!(begun.elapsed() >= Duration::from_millis(250) && sent > 5, "{:?}, {sent} sent", begun.elapsed());
    reader.join().expect("no panic");
}

/// Keeps of its request what it wants.
struct Keeping {
    path: String,
    agent: Option<String>,
    told: std::sync::mpsc::Sender<(String, Option<String>)>,
}

impl Handler for Keeping {
    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}

    fn handle_close(&mut self, _: Closed, _: &mut Context<'_>) {
        let _ = self.told.send((self.path.clone(), self.agent.take()));
    }
}

#[test]
fn ws_cb18_a_handler_keeps_of_its_request_what_it_wants() {
    let (told, ends) = channel();
    let server = Server::new(config()).handler("/:room", options(), move |request| {
        let agent = request.header("user-agent").map(str::to_owned);
        Ok(Keeping { path: request.head.uri.path().to_owned(), agent, told: told.clone() })
    });
    let server = TestServer::start(server);
    let mut peer = server.connect();
    let request = upgrade("/lobby", server.addr(), "User-Agent: a browser\r\nCookie: not kept\r\n");
    assert_eq!(peer.ask(&request).status, 101);
    peer.close(1000, "");
    let kept = ends.recv_timeout(PATIENCE).expect("its end");
    assert_eq!(kept, ("/lobby".to_owned(), Some("a browser".to_owned())));
}

#[test]
fn ws_cb19_how_much_is_read_at_once_is_an_option() {
    // One peer has more to say than one read takes, another waits: it waits for no more than that.
    for (read_buffer_bytes, comes_last) in [(24 << 10, false), (1 << 20, true)] {
        let mut config = config();
        config.read_buffer_bytes = read_buffer_bytes;
        let (open, events) = probe(support::silent);
        let server = TestServer::start(Server::new(config).handler("/", options(), open));
        let (mut talker, mut other) = (server.open("/"), server.open("/"));
        let (hold, held) = channel::<()>();
        let workers = server.running().workers();
        let worker = workers.ids().next().expect("one");
        workers.run(worker, move |_: &mut Turn| held.recv().expect("it is told")).expect("a worker");
        talker.write(&masked(FIN | TEXT, b"more").repeat(6000));
        other.write(&masked(FIN | TEXT, b"me, too"));
        hold.send(()).expect("the worker waits");
        events.opened();
        events.opened();
        let texts: Vec<_> = (0..6001).map(|_| events.text()).collect();
        let at = texts.iter().position(|text| text == "me, too").expect("it comes");
        assert_eq!(at == 6000, comes_last, "{read_buffer_bytes} bytes: after {at} messages");
    }
}

#[test]
fn ws_cb38_a_handler_ends_with_the_code_of_its_choice_after_last_messages() {
    for code in [1000, 1012, 1013, 3000, 4999] {
        let (server, events) = probe_server(options(), move |_, cx| {
            cx.send(Message::Text("last words")).expect("open");
            cx.close(CloseCode::new(code).expect("may travel"), "why");
        });
        let mut peer = server.open("/");
        peer.send_text("go");
        assert_eq!(peer.recv_text(), "last words");
        match peer.recv() {
            Received::Close(Some(frame)) => assert_eq!((frame.code().value(), frame.reason()), (code, "why")),
            other => panic!("{other:?}"),
        }
        peer.expect_fin();
        let closed = events.until_closed();
        assert_eq!((closed.code.value(), closed.cause), (code, Cause::Local));
        // The same from outside.
        let mut peer = server.open("/");
        let id = events.opened().id();
        in_turn(&server, move |turn| turn.close(id, CloseCode::new(code).expect("may travel"), "why"));
        peer.expect_close(code);
        assert_eq!(events.until_closed().code.value(), code);
    }
}

#[test]
fn ws_cb40_cb41_each_mount_has_its_options_with_defaults_for_the_others() {
    let small = options().with_limits(Limits::DEFAULT.with_max_message_bytes(10));
    let compressing = options().with_deflate(DeflateConfig::DEFAULT);
    let (first, _first_events) = probe(support::echo);
    let (second, _second_events) = probe(support::echo);
    let server = Server::new(config()).handler("/small", small, first).handler("/compressing", compressing, second);
    let server = TestServer::start(server);
    let mut peer = server.open("/small");
    peer.send_text("0123456789");
    assert_eq!(peer.recv_text(), "0123456789");
    peer.send_text("0123456789.");
    peer.expect_close(1009);
    let offer = DeflateConfig::DEFAULT;
    let (mut peer, agreed) = support::Peer::open_deflating(server.addr(), "/compressing", offer);
    assert!(agreed.is_some());
    let text: String = (0..100_000).map(|number| number.to_string()).collect();
    peer.send_text(&text);
    assert!(peer.recv_text() == text, "the default allows it");
    let (_, agreed) = support::Peer::open_deflating(server.addr(), "/small", offer);
    assert_eq!(agreed, None);
}
