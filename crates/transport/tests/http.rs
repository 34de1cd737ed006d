//! Requests that are for no mount go to hyper; upgrades that come later come back.

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use support::{FIN, PATIENCE, PING, TEXT, TestServer, config, echo, eventually, masked, options, probe, upgrade};
use tower_service::Service;
use wingbeat_transport::{Answer, Mount, Request, Server};
use wingbeat_websocket::{CloseCode, Received};

/// Answers with what was asked; `/slow` waits until it has told that it began.
#[derive(Clone)]
struct Mirror {
    began: std::sync::mpsc::Sender<()>,
}

impl Service<http::Request<Incoming>> for Mirror {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let began = self.began.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            if head.uri.path() == "/slow" {
                let _ = began.send(());
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let text = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
            Ok(http::Response::new(Full::new(text.into())))
        })
    }
}

/// A server with an echo at `/ws`, and a mirror for all else.
fn server(config: wingbeat_transport::Config) -> (TestServer, support::Events, std::sync::mpsc::Receiver<()>) {
    let (open, events) = probe(echo);
    let (began, begins) = std::sync::mpsc::channel();
    let server = Server::new(config).handler("/ws", options(), open);
    (TestServer::of(server.start(Mirror { began }).expect("a loopback port")), events, begins)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn ordinary_requests_with_and_without_bodies_on_one_connection() {
    let (server, _events, _begins) = server(config());
    let mut peer = server.connect();
    for round in 0..3 {
        let response = peer.ask(&get(&format!("/page?{round}")));
        assert_eq!((response.status, response.body), (200, format!("GET /page?{round} ")));
        let request = "POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(peer.ask(request).body, "POST /form hello");
    }
    // A body in pieces, and larger than any buffer.
    let body = "x".repeat(1 << 20);
    peer.write(format!("POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    for piece in body.as_bytes().chunks(100_000) {
        peer.write(piece);
    }
    assert!(peer.response().body == format!("POST /big {body}"));
    assert_eq!(server.running().connections(), 1);
    drop(peer);
    eventually("it is gone", || server.running().connections() == 0);
}

#[test]
fn a_head_in_pieces_and_pipelined_requests_reach_hyper_whole() {
    let (server, _events, _begins) = server(config());
    let request = get("/page");
    for size in [1, 7, request.len() - 1] {
        let mut peer = server.connect();
        for piece in request.as_bytes().chunks(size) {
            peer.write(piece);
        }
        assert_eq!(peer.response().body, "GET /page ");
    }
    let mut peer = server.connect();
    let all: String = (0..100).map(|index| get(&format!("/{index}"))).collect();
    peer.write(all.as_bytes());
    for index in 0..100 {
        assert_eq!(peer.response().body, format!("GET /{index} "));
    }
}

#[test]
fn an_upgrade_on_a_kept_connection_comes_back_to_the_worker() {
    let (server, events, _begins) = server(config().with_threads(2));
    let mut peer = server.connect();
    assert_eq!(peer.ask(&get("/page")).status, 200);
    let response = peer.ask(&upgrade("/ws", server.addr(), ""));
    assert_eq!(response.status, 101);
    assert_eq!(response.all("sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    peer.send_text("hello");
    assert_eq!(peer.recv_text(), "hello");
    peer.ping(b"p");
    assert_eq!(peer.recv(), Received::Pong(b"p"[..].into()));
    assert_eq!(server.running().connections(), 1);
    let handle = events.opened();
    assert_eq!(events.text(), "hello");
    handle.close(CloseCode::POLICY, "").expect("a worker");
    peer.expect_close(1008);
    peer.expect_fin();
    assert_eq!(events.closed().code, CloseCode::POLICY);
    eventually("it is gone", || server.running().connections() == 0);
}

#[test]
fn ws_s14_frames_behind_an_upgrade_through_hyper_are_not_lost() {
    let (server, _events, _begins) = server(config());
    // All in one segment, and more than hyper reads at once.
    for count in [1, 3, 1000] {
        let mut bytes = [get("/page"), upgrade("/ws", server.addr(), "")].concat().into_bytes();
        for index in 0..count {
            bytes.extend(masked(FIN | TEXT, format!("message number {index}").as_bytes()));
        }
        bytes.extend(masked(FIN | PING, b"end"));
        let mut peer = server.connect();
        peer.write(&bytes);
        assert_eq!(peer.response().status, 200);
        assert_eq!(peer.response().status, 101);
        for index in 0..count {
            assert_eq!(peer.recv_text(), format!("message number {index}"), "of {count}");
        }
        assert_eq!(peer.recv(), Received::Pong(b"end"[..].into()));
    }
}

#[test]
fn a_refusal_through_hyper_keeps_the_connection() {
    let (server, events, _begins) = server(config());
    let mut peer = server.connect();
    assert_eq!(peer.ask(&get("/page")).status, 200);
    let response = peer.ask(&get("/ws"));
    assert_eq!((response.status, response.all("upgrade")), (426, vec!["websocket"]));
    assert_eq!(peer.ask(&get("/page")).status, 200);
    assert!(events.rest().is_empty());
}

/// Tells that it was asked, and never answers.
struct Undecided(std::sync::mpsc::Sender<()>);

impl Mount for Undecided {
    fn handle_request(&self, _: Request) -> Answer {
        let _ = self.0.send(());
        Answer::Later(Box::pin(std::future::pending()))
    }
}

#[test]
fn who_is_not_decided_about_in_time_gets_503_through_hyper_too() {
    let (began, _begins) = std::sync::mpsc::channel();
    let server = Server::new(config().with_handshake_timeout(Duration::from_millis(200)));
    let server = server.mount("/later", Undecided(began.clone()));
    let server = TestServer::of(server.start(Mirror { began }).expect("a loopback port"));
    let mut peer = server.connect();
    assert_eq!(peer.ask(&get("/page")).status, 200);
    assert_eq!(peer.ask(&get("/later")).status, 503);
}

#[test]
fn ws_s15_http_connections_count_against_the_limit() {
    let (server, _events, _begins) = server(config().with_max_connections(1));
    let mut peer = server.connect();
    assert_eq!(peer.ask(&get("/page")).status, 200);
    assert_eq!(server.connect().response().status, 503);
    drop(peer);
    eventually("the seat is free", || server.running().connections() == 0);
    assert_eq!(server.connect().ask(&get("/page")).status, 200);
}

#[test]
fn shutdown_lets_a_request_end_that_is_being_answered() {
    let (server, _events, begins) = server(config());
    let mut peer = server.connect();
    peer.write(get("/slow").as_bytes());
    begins.recv_timeout(PATIENCE).expect("it begins");
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE));
    assert_eq!(peer.response().body, "GET /slow ");
    peer.expect_fin();
    assert!(stopping.join().expect("no panic") < PATIENCE / 2);
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[test]
fn shutdown_does_not_wait_for_kept_connections_that_ask_nothing() {
    let (server, _events, _begins) = server(config());
    let mut peer = server.connect();
    assert_eq!(peer.ask(&get("/page")).status, 200);
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE));
    peer.expect_fin();
    assert!(stopping.join().expect("no panic") < PATIENCE / 2);
}

#[test]
fn shutdown_ends_in_time_although_a_request_does_not() {
    let (began, begins) = std::sync::mpsc::channel();
    let server = Server::new(config()).mount("/later", Undecided(began.clone()));
    let server = TestServer::of(server.start(Mirror { began }).expect("a loopback port"));
    let mut peer = server.connect();
    assert_eq!(peer.ask(&get("/page")).status, 200);
    peer.write(get("/later").as_bytes());
    begins.recv_timeout(PATIENCE).expect("the mount is asked");
    assert!(server.shutdown(CloseCode::SERVICE_RESTART, Duration::from_millis(300)) < PATIENCE / 2);
}
