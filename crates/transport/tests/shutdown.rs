//! The beginning and the end of a server.

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Events, PATIENCE, TestServer, config, echo, echo_server, masked, options, probe, silent, upgrade};
use wingbeat_transport::{Cause, Error, Server, not_found};
use wingbeat_websocket::{CloseCode, Received};

#[test]
fn c11_shutdown_closes_everyone_with_its_code_and_reason() {
    let (open, events) = probe(echo);
    let server = TestServer::start(Server::new(config().with_threads(2)).handler("/", options(), open));
    let mut peers: Vec<_> = (0..20).map(|_| server.open("/")).collect();
    let addr = server.addr();
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE));
    for peer in &mut peers {
        let Received::Close(Some(frame)) = peer.recv() else { panic!("expected Close") };
        assert_eq!((frame.code(), frame.reason()), (CloseCode::SERVICE_RESTART, "bye"));
        peer.expect_fin();
        peer.hang_up();
    }
    assert!(stopping.join().expect("no panic") < PATIENCE / 2, "it does not wait longer than it must");
    for _ in 0..20 {
        let closed = events.until_closed();
        assert_eq!((closed.code, closed.cause), (CloseCode::SERVICE_RESTART, Cause::Shutdown));
    }
    assert!(TcpStream::connect(addr).is_err(), "nobody listens any more");
    drop(TcpListener::bind(addr).expect("the port is free"));
}

#[test]
fn shutdown_ends_within_its_deadline_although_a_peer_is_silent() {
    let (server, events) = echo_server();
    let addr = server.addr();
    let mut peer = server.open("/").rude();
    events.opened();
    let deadline = Duration::from_millis(300);
    let took = server.shutdown(CloseCode::SERVICE_RESTART, deadline);
    assert!(took >= deadline && took < PATIENCE / 2, "{took:?}");
    peer.expect_close(1012);
    let closed = events.closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::SERVICE_RESTART, Cause::Shutdown));
    drop(TcpListener::bind(addr).expect("the port is free although the peer is still there"));
}

#[test]
fn shutdown_closes_who_is_paused_or_does_not_read() {
    let (server, events) = support::probe_server(options(), |_, cx| {
        cx.pause();
        for _ in 0..9 {
            let _ = cx.send(wingbeat_transport::Message::Binary(&[7; 100_000]));
        }
    });
    let mut peer = server.open("/");
    peer.send_text("go");
    events.opened();
    events.text();
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE));
    for _ in 0..9 {
        assert_eq!(peer.recv_binary().len(), 100_000, "what was sent before comes first");
    }
    peer.expect_close(1012);
    peer.expect_fin();
    drop(peer);
    assert!(stopping.join().expect("no panic") < PATIENCE / 2);
    assert_eq!(events.closed().code, CloseCode::SERVICE_RESTART);
}

#[test]
fn shutdown_in_the_middle_of_a_handshake() {
    let (open, events): (_, Events) = probe(silent);
    let server = TestServer::start(Server::new(config()).handler("/", options(), open));
    let mut mute = server.connect();
    let mut halfway = server.connect();
    halfway.write(&upgrade("/", server.addr(), "").as_bytes()[..50]);
    support::eventually("both are there", || server.running().connections() == 2);
    // The half of a head has been read once the worker has answered someone who came later.
    drop(server.open("/"));
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE));
    mute.expect_fin();
    halfway.hang_up();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut halfway.stream, &mut answer).expect("FIN, not a reset");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(stopping.join().expect("no panic") < PATIENCE / 2);
    assert!(matches!(events.rest()[..], [support::Event::Opened(_), support::Event::Closed(_)]));
}

#[test]
fn a_server_without_connections_ends_at_once() {
    let (server, _events) = echo_server();
    assert!(server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE) < PATIENCE / 2);
}

#[test]
fn messages_sent_before_shutdown_arrive_before_the_close() {
    let (server, events) = echo_server();
    let mut peer = server.open("/");
    let handle = events.opened();
    for index in 0..100_u32 {
        handle.send(wingbeat_transport::EncodedMessage::binary(&index.to_be_bytes())).expect("a worker");
    }
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE));
    for index in 0..100_u32 {
        assert_eq!(peer.recv_binary(), index.to_be_bytes());
    }
    peer.expect_close(1012);
    drop(peer);
    stopping.join().expect("no panic");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let addr = taken.local_addr().expect("bound");
    for threads in [1, 3] {
        let server = Server::new(config().with_listen(addr).with_threads(threads));
        let error = server.start(not_found()).expect_err("the port is taken");
        assert!(matches!(error, Error::Listen { address, .. } if address == addr));
        assert!(error.to_string().starts_with(&format!("cannot listen on {addr}: ")), "{error}");
    }
    let (server, _events) = echo_server();
    let error = Server::new(config().with_listen(server.addr())).start(not_found()).expect_err("ours, too");
    assert!(matches!(error, Error::Listen { .. }));
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = Server::new(config().with_listen(foreign)).start(not_found()).expect_err("not our address");
    assert!(matches!(error, Error::Listen { address, .. } if address == foreign));
}

#[test]
fn paths_that_cannot_be_mounted_are_errors() {
    for paths in [&["echo"][..], &[""], &["/a", "/a"], &["/a/:"]] {
        let server = paths.iter().fold(Server::new(config()), |server, path| {
            let (open, _events) = probe(silent);
            server.handler(path, options(), open)
        });
        assert!(matches!(server.start(not_found()), Err(Error::Path { .. })), "{paths:?}");
    }
}

#[test]
fn a_tiny_read_buffer_is_enough() {
    let mut tiny = config();
    tiny.read_buffer_bytes = 0;
    let (open, _events) = probe(echo);
    let server = TestServer::start(Server::new(tiny).handler("/", options(), open));
    let mut peer = server.connect();
    let response = peer.ask(&upgrade("/", server.addr(), &format!("X-Long: {}\r\n", "a".repeat(15_000))));
    assert_eq!(response.status, 101);
    for length in [0, 200, 100_000] {
        peer.write(&masked(support::FIN | support::BINARY, &vec![7; length]));
        assert_eq!(peer.recv_binary().len(), length);
    }
}

#[test]
fn peers_are_spread_and_served_by_all_workers_until_the_end() {
    let (open, events) = probe(echo);
    let server = TestServer::start(Server::new(config().with_threads(4)).handler("/", options(), open));
    let begun = Instant::now();
    let mut peers: Vec<_> = (0..64).map(|_| server.open("/")).collect();
    let workers: std::collections::HashSet<_> = (0..64).map(|_| events.opened().id().worker()).collect();
    assert!(workers.len() > 1, "64 connections on one of 4 workers");
    for peer in &mut peers {
        peer.send_text("hello");
    }
    for peer in &mut peers {
        assert_eq!(peer.recv_text(), "hello");
    }
    assert!(begun.elapsed() < PATIENCE);
}
