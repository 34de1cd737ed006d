//! Figures equal what happened, and who blocks a worker is named.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::{
    CLOSE, CONTINUATION, FIN, PATIENCE, PING, TEXT, TestServer, close_payload, config, echo, eventually, in_turn,
    masked, options, probe, upgrade,
};
use wingbeat_transport::{Context, Handler, Info, Message, Request, Server, Stats};

struct Never;

impl Handler for Never {
    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}
}

fn refuse(_: &Request) -> Result<Never, http::Response<bytes::Bytes>> {
    Err(http::Response::builder().status(403).body("no".into()).expect("a response"))
}

/// Plays `bytes` and says how many came back until FIN.
fn play(server: &TestServer, bytes: &[u8]) -> u64 {
    let mut stream = TcpStream::connect(server.addr()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.write_all(bytes).expect("taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("FIN");
    answer.len() as u64
}

#[track_caller]
fn expect_stats(server: &TestServer, expected: &Stats) {
    let begun = std::time::Instant::now();
    while server.running().stats() != *expected {
        assert!(begun.elapsed() < PATIENCE / 4, "{:#?} is not {expected:#?}", server.running().stats());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn figures_equal_what_happened() {
    let (open, _events) = probe(echo);
    let server = Server::new(config().with_max_connections(2)).handler("/", options(), open);
    let server = TestServer::start(server.handler("/refused", options(), refuse));
    let mut expected = Stats::default();
    // Everything at once, and everything in one turn.
    let session = [
        upgrade("/", server.addr(), "").into_bytes(),
        masked(FIN | TEXT, b"one"),
        masked(TEXT, b"tw"),
        masked(FIN | PING, b"p"),
        masked(FIN | CONTINUATION, b"o"),
        masked(FIN | support::BINARY, &vec![7; 100_000]),
        masked(FIN | CLOSE, &close_payload(4001, "bye")),
    ]
    .concat();
    expected.bytes_sent = play(&server, &session);
    expected.bytes_received = session.len() as u64;
    (expected.accepted, expected.connections_opened) = (1, 1);
    (expected.messages_received, expected.messages_sent) = (3, 3);
    expected.handshakes.insert(101, 1);
    expected.closes.insert(("peer", 4000), 1);
    expect_stats(&server, &expected);
    // What is refused, what cannot be read, what is for hyper.
    for (request, status) in [
        (upgrade("/refused", server.addr(), ""), Some(403)),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), Some(400)),
        ("GET /other HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned(), None),
    ] {
        let sent = play(&server, request.as_bytes());
        expected.accepted += 1;
        expected.bytes_received += request.len() as u64;
        match status {
            Some(status) => {
                expected.bytes_sent += sent;
                expected.handshakes.insert(status, 1);
            }
            None => expected.http_connections_opened = 1,
        }
        expect_stats(&server, &expected);
    }
    // What is there now, and who found no place.
    let peers = [server.open("/"), server.open("/")];
    assert_eq!(server.connect().response().status, 503);
    let stats = || server.running().stats();
    eventually("they are counted", || stats().connections == 2 && stats().turned_away == 1);
    drop(peers);
    eventually("they are gone", || stats().connections == 0);
    assert_eq!(stats().closes[&("lost", 1006)], 2);
}

#[test]
fn what_waits_for_peers_that_do_not_read_is_counted() {
    let options = options().with_max_output(1 << 30, 1 << 20);
    let (open, events) = probe(|_: Message<'_>, cx: &mut Context<'_>| {
        cx.send(Message::Binary(&vec![7; 64 << 20])).expect("room");
    });
    let server = TestServer::start(Server::new(config()).handler("/", options, open));
    let mut peer = server.open("/").rude();
    peer.send_text("go");
    events.opened();
    let stats = || server.running().stats();
    eventually("it is counted", || stats().output_bytes > 8 << 20);
    assert_eq!(stats().messages_sent, 0, "not to the last byte");
    assert_eq!(peer.recv_binary().len(), 64 << 20);
    eventually("nothing waits", || stats().output_bytes == 0);
    assert_eq!(stats().messages_sent, 1);
}

/// Sleeps wherever it is called.
struct Sleeper;

const LONG: Duration = Duration::from_millis(250);

impl Handler for Sleeper {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        if message == Message::Text("message") {
            std::thread::sleep(LONG);
        } else {
            cx.handle().info(()).expect("a worker");
        }
    }

    fn handle_info(&mut self, _: Info, _: &mut Context<'_>) {
        std::thread::sleep(LONG);
    }

    fn name(&self) -> &'static str {
        "the sleeper"
    }
}

#[test]
fn who_blocks_a_worker_is_named() {
    let (open, _events) = probe(echo);
    let server = Server::new(config()).handler("/", options(), open);
    let server = server.handler("/sleeper", options(), |_| Ok(Sleeper)).handler("/slow", options(), |_: &Request| {
        std::thread::sleep(LONG);
        Ok(Never)
    });
    let server = TestServer::start(server);
    let mut bystander = server.open("/");
    let mut sleeper = server.open("/sleeper");
    let mut expected = Vec::new();
    let mut expect = |callback: &str| {
        expected.push((callback.to_owned(), 1));
        expected.sort();
        let counted = || server.running().stats().slow_turns.into_iter().collect::<Vec<_>>();
        eventually(callback, || counted() == expected);
    };
    for (text, callback) in [("message", "handle_message of the sleeper"), ("info", "handle_info of the sleeper")] {
        sleeper.send_text(text);
        // Others before and behind are not to blame.
        bystander.send_text("hello");
        assert_eq!(bystander.recv_text(), "hello");
        expect(callback);
    }
    let slow = server.open("/slow");
    expect("handle_request");
    in_turn(&server, |_| std::thread::sleep(LONG));
    expect("a job");
    drop(slow);
}
