//! Mounts: what they are asked, answers that take time, and mounts that fail.

mod support;

use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{FIN, PATIENCE, TEXT, TestServer, config, eventually, masked, options, upgrade};
use tokio::sync::oneshot;
use wingbeat_transport::{
    Answer, Closed, Config, Context, EncodedMessage, Handler, Handshake, Message, Mount, Request, Server, Upgrade,
};
use wingbeat_websocket::CloseCode;

/// Echoes, and tells how it ended.
struct Echo(Sender<Closed>);

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        cx.send(message).expect("open");
    }

    fn handle_close(&mut self, closed: Closed, _: &mut Context<'_>) {
        let _ = self.0.send(closed);
    }
}

fn accept(request: &Request, handler: impl Handler) -> Answer {
    let accept = |request| Upgrade::accept(request, None, Box::new(handler), Arc::new(options()));
    Answer::Upgrade(Handshake::parse(&request.head).and_then(accept).expect("a good request"))
}

fn respond(status: u16, body: &str) -> Answer {
    let response = http::Response::builder().status(status);
    Answer::Respond(response.body(Bytes::from(body.to_owned())).expect("a response"))
}

/// A mount made of a function.
struct With<F>(F);

impl<F: Fn(Request) -> Answer + Send + Sync + 'static> Mount for With<F> {
    fn handle_request(&self, request: Request) -> Answer {
        (self.0)(request)
    }
}

fn server_with(config: Config, answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> TestServer {
    TestServer::start(Server::new(config).mount("/", With(answer)))
}

/// A mount whose answers the test decides: it is given each request together with where the answer goes.
fn undecided(config: Config) -> (TestServer, Receiver<(Request, oneshot::Sender<Answer>)>) {
    let (asked, requests) = channel();
    let server = server_with(config, move |request| {
        let (decide, decided) = oneshot::channel();
        let _ = asked.send((request, decide));
        Answer::Later(Box::pin(async { decided.await.expect("an answer") }))
    });
    (server, requests)
}

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it happens")
}

#[test]
fn a_mount_sees_the_request() {
    let (seen, requests) = channel();
    let seen = Mutex::new(seen);
    let mount = With(move |request| {
        let _ = seen.lock().expect("no panic").send(request);
        respond(200, "seen")
    });
    let server = TestServer::start(Server::new(config().with_threads(2)).mount("/rooms/:room/x/:_any", mount));
    let mut peer = server.connect();
    let local_addr = peer.stream.local_addr().expect("connected");
    let response = peer.ask("POST /rooms/a%20b/x/y?q=1 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
    assert_eq!((response.status, response.body.as_str()), (200, "seen"));
    let request = next(&requests);
    assert_eq!(request.head.method, "POST");
    assert_eq!(request.head.uri, "/rooms/a%20b/x/y?q=1");
    assert_eq!(request.head.headers.get_all("x-a").iter().count(), 2);
    assert_eq!(request.path_params, [("room".to_owned(), "a%20b".to_owned())]);
    assert_eq!(request.peer_addr, Some(local_addr));
    assert_eq!(request.scheme.as_str(), "http");
    assert_eq!(request.workers.len(), 2);
}

#[test]
fn an_answer_later_that_is_ready_at_once() {
    let (closed, _closings) = channel();
    let server = server_with(config(), move |request| {
        let answer = accept(&request, Echo(closed.clone()));
        // Even twice.
        Answer::Later(Box::pin(async { Answer::Later(Box::pin(async { answer })) }))
    });
    let mut peer = server.open("/");
    peer.send_text("hello");
    assert_eq!(peer.recv_text(), "hello");
}

#[test]
fn ws_s14_frames_wait_until_it_is_decided() {
    let (server, requests) = undecided(config());
    let (closed, _closings) = channel();
    let mut peer = server.connect();
    let early = [masked(FIN | TEXT, b"early"), masked(FIN | TEXT, b"and this")].concat();
    peer.write(&[upgrade("/", server.addr(), "").as_bytes(), &early].concat());
    let (request, decide) = next(&requests);
    peer.write(&masked(FIN | TEXT, b"late"));
    // The worker is free meanwhile.
    let other = server.connect().ask("GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(other.status, 404);
    assert!(decide.send(accept(&request, Echo(closed))).is_ok());
    assert_eq!(peer.response().status, 101);
    for expected in ["early", "and this", "late"] {
        assert_eq!(peer.recv_text(), expected);
    }
}

#[test]
fn an_answer_later_may_refuse() {
    let (server, requests) = undecided(config());
    let mut peer = server.connect();
    peer.write(upgrade("/", server.addr(), "").as_bytes());
    let (_, decide) = next(&requests);
    assert!(decide.send(respond(403, "no")).is_ok());
    let response = peer.response();
    assert_eq!((response.status, response.body.as_str()), (403, "no"));
    peer.hang_up();
    peer.expect_fin();
}

#[test]
fn who_is_not_decided_about_in_time_gets_503() {
    let timeout = Duration::from_millis(200);
    let (server, requests) = undecided(config().with_handshake_timeout(timeout));
    let begun = Instant::now();
    let mut peer = server.connect();
    peer.write(upgrade("/", server.addr(), "").as_bytes());
    let (request, decide) = next(&requests);
    assert_eq!(peer.response().status, 503);
    assert!(begun.elapsed() >= timeout && begun.elapsed() < PATIENCE / 2);
    // Too late: it changes nothing.
    let (closed, closings) = channel();
    let _ = decide.send(accept(&request, Echo(closed)));
    peer.hang_up();
    peer.expect_fin();
    eventually("the connection is gone", || server.running().connections() == 0);
    assert_eq!(closings.try_recv().ok(), None, "no handler was opened, so none is closed");
}

#[test]
fn a_peer_that_leaves_undecided_is_opened_and_closed_or_neither() {
    for is_reset in [false, true] {
        let (server, requests) = undecided(config());
        let mut peer = server.connect();
        peer.write(upgrade("/", server.addr(), "").as_bytes());
        let (request, decide) = next(&requests);
        if is_reset {
            peer.reset();
        } else {
            drop(peer);
        }
        let (closed, closings) = channel();
        let _ = decide.send(accept(&request, Echo(closed)));
        eventually("the connection is gone", || server.running().connections() == 0);
        let codes: Vec<_> = closings.try_iter().map(|closed| closed.code).collect();
        assert!(codes.is_empty() || codes == [CloseCode::ABNORMAL], "{codes:?}");
    }
}

/// Sends more than fits as soon as it is open.
struct Talker(Sender<Closed>);

impl Handler for Talker {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let message = EncodedMessage::text(&"x".repeat(100_000));
        while cx.send_encoded(&message).is_ok() {}
    }

    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}

    fn handle_close(&mut self, closed: Closed, _: &mut Context<'_>) {
        let _ = self.0.send(closed);
    }
}

/// The socket fails while `handle_open` writes; that must end this connection, not the worker.
#[test]
fn a_socket_that_fails_in_handle_open_ends_only_its_connection() {
    let (asked, is_asked) = channel::<()>();
    let (is_gone, wait_until_gone) = channel::<()>();
    let wait_until_gone = Mutex::new(wait_until_gone);
    let (closed, closings) = channel();
    let mount = With(move |request: Request| {
        let _ = asked.send(());
        next(&wait_until_gone.lock().expect("no panic"));
        accept(&request, Talker(closed.clone()))
    });
    let (echo_closed, _echo_closings) = channel();
    let echo = With(move |request: Request| accept(&request, Echo(echo_closed.clone())));
    let server = TestServer::start(Server::new(config()).mount("/", mount).mount("/echo", echo));
    let mut bystander = server.open("/echo");
    let mut peer = server.connect();
    peer.write(upgrade("/", server.addr(), "").as_bytes());
    next(&is_asked);
    let peer_addr = peer.stream.local_addr().expect("connected");
    peer.reset();
    eventually("the system knows of the reset", || !support::is_connected(server.addr(), peer_addr));
    is_gone.send(()).expect("the mount waits");
    assert_eq!(next(&closings).code, CloseCode::ABNORMAL);
    bystander.send_text("still there?");
    assert_eq!(bystander.recv_text(), "still there?");
}

#[test]
fn ws_sec14_a_mount_that_panics_is_answered_500_and_others_live_on() {
    let later = |future: Pin<Box<dyn Future<Output = Answer> + Send>>| Answer::Later(future);
    let mounts = Server::new(config())
        .mount("/now", With(|_| panic!("on purpose")))
        .mount("/first", With(move |_| later(Box::pin(async { panic!("on purpose") }))))
        .mount(
            "/later",
            With(move |_| {
                later(Box::pin(async {
                    tokio::task::yield_now().await;
                    panic!("on purpose")
                }))
            }),
        )
        .handler("/handler", options(), |_| -> Result<Talker, _> { panic!("on purpose") });
    let (closed, _closings) = channel();
    let server = TestServer::start(mounts.handler("/echo", options(), move |_| Ok(Echo(closed.clone()))));
    let mut bystander = server.open("/echo");
    for path in ["/now", "/first", "/later", "/handler"] {
        let response = server.connect().ask(&upgrade(path, server.addr(), ""));
        assert_eq!(response.status, 500, "{path}");
        bystander.send_text(path);
        assert_eq!(bystander.recv_text(), path);
    }
}

#[test]
fn answers_carry_their_length_and_end_the_connection() {
    let server = server_with(config(), |_| {
        let response = http::Response::builder().header("content-length", "99").header("x-a", "b");
        Answer::Respond(response.body(Bytes::from("four")).expect("a response"))
    });
    let mut peer = server.connect();
    let response = peer.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((response.status, response.body.as_str()), (200, "four"));
    assert_eq!(response.all("content-length"), ["4"]);
    assert_eq!(response.all("connection"), ["close"]);
    assert_eq!(response.all("x-a"), ["b"]);
    peer.hang_up();
    peer.expect_fin();
}
