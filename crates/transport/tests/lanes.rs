//! The same behaviour whatever lies under a connection: TCP, a Unix socket, TLS over either, a PROXY header before it.

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use support::{BINARY, CONTINUATION, FIN, PATIENCE, PING, TEXT, TestServer, config, echo, masked, options, probe};
use wingbeat_transport::{Cause, Config, Listener, Message, Network, Server, not_found};
use wingbeat_websocket::{CloseCode, Received};
use wire::{AnyPeer, Folder, Identity, open, tcp, unix};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const PROXY_LINE: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 443\r\n";

/// Every way to connect to one server.
struct Lanes {
    identity: Identity,
    folder: Folder,
}

const LANES: [&str; 6] = ["tcp", "unix", "tls", "tls over unix", "proxy", "proxy before tls"];

impl Lanes {
    fn new(name: &str) -> Self {
        Self { identity: Identity::new(), folder: Folder::new(name) }
    }

    fn config(&self) -> Config {
        let (plain, tls) = (self.folder.path("plain.sock"), self.folder.path("tls.sock"));
        config()
            .with_listener(Listener::tcp(ANY_PORT))
            .with_listener(Listener::unix(plain).with_mode(0o600))
            .with_listener(Listener::tcp(ANY_PORT).with_tls(self.identity.tls()))
            .with_listener(Listener::unix(tls).with_tls(self.identity.tls()))
            .with_listener(Listener::tcp(ANY_PORT).with_proxy_protocol(Network::loopback()))
            .with_listener(
                Listener::tcp(ANY_PORT).with_tls(self.identity.tls()).with_proxy_protocol(Network::loopback()),
            )
    }

    fn open(&self, server: &TestServer, lane: &str, path: &str) -> AnyPeer {
        let addrs = server.running().local_addrs();
        let proxied = |at: usize| {
            let mut stream = tcp(addrs[at]);
            stream.write_all(PROXY_LINE).expect("room");
            stream
        };
        match lane {
            "tcp" => open(tcp(addrs[0]), path, ""),
            "unix" => open(unix(&self.folder.path("plain.sock")), path, ""),
            "tls" => open(self.identity.encrypt(tcp(addrs[1])), path, ""),
            "tls over unix" => open(self.identity.encrypt(unix(&self.folder.path("tls.sock"))), path, ""),
            "proxy" => open(proxied(2), path, ""),
            "proxy before tls" => open(self.identity.encrypt(proxied(3)), path, ""),
            other => panic!("no lane {other}"),
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

#[test]
fn messages_fragments_and_pings_travel() {
    let lanes = Lanes::new("travel");
    let (handler, _events) = probe(echo);
    let server = TestServer::start(Server::new(lanes.config().with_threads(2)).handler("/", options(), handler));
    for lane in LANES {
        let mut peer = lanes.open(&server, lane, "/");
        for text in ["", "a", "größer"] {
            peer.send_text(text);
            assert_eq!(peer.recv_text(), text, "{lane}");
        }
        peer.write(&masked(TEXT, b"in "));
        peer.write(&masked(FIN | PING, b"now"));
        peer.write(&masked(CONTINUATION, b"three "));
        peer.write(&masked(FIN | CONTINUATION, b"pieces"));
        assert!(matches!(peer.recv(), Received::Pong(payload) if *payload == *b"now"), "{lane}");
        assert_eq!(peer.recv_text(), "in three pieces", "{lane}");
        // Each byte in a write, and a record, of its own.
        for byte in masked(FIN | TEXT, b"drop by drop") {
            peer.write(&[byte]);
        }
        assert_eq!(peer.recv_text(), "drop by drop", "{lane}");
        // Many at once, in order.
        let many: Vec<u8> = (0..500).flat_map(|at: u32| masked(FIN | TEXT, at.to_string().as_bytes())).collect();
        peer.write(&many);
        for at in 0..500 {
            assert_eq!(peer.recv_text(), at.to_string(), "{lane}");
        }
    }
}

#[test]
fn large_messages_reach_a_slow_reader_whole() {
    let lanes = Lanes::new("large");
    let (handler, _events) = probe(|message: Message<'_>, cx: &mut wingbeat_transport::Context<'_>| {
        // One beyond all limits, and small ones behind it.
        let _ = cx.send(message);
        for at in 0..10 {
            let _ = cx.send(Message::Text(&format!("{at} after {}", message.as_bytes().len())));
        }
    });
    let many = options().with_max_output(64 << 20, 10_000);
    let server = TestServer::start(Server::new(lanes.config()).handler("/", many, handler));
    for lane in LANES {
        let mut peer = lanes.open(&server, lane, "/");
        for size in [20_000, 70_000, 300_000, 5_000_000] {
            let payload = pattern(size);
            for piece in payload.chunks(1 << 20).enumerate().map(|(at, piece)| {
                let is_last = (at + 1) << 20 >= size;
                let opcode = if at == 0 { BINARY } else { CONTINUATION };
                masked(if is_last { FIN | opcode } else { opcode }, piece)
            }) {
                peer.write(&piece);
            }
            assert!(peer.recv_binary() == payload, "{size} bytes over {lane}");
            for at in 0..10 {
                assert_eq!(peer.recv_text(), format!("{at} after {size}"), "{lane}");
            }
        }
    }
}

#[test]
fn who_does_not_read_is_bounded_and_delays_nobody() {
    let lanes = Lanes::new("slow");
    let (handler, events) = probe(|_, cx: &mut wingbeat_transport::Context<'_>| {
        for _ in 0..2_000 {
            if cx.send(Message::Binary(&[7; 10_000])).is_err() {
                break;
            }
        }
    });
    let (other, _others) = probe(echo);
    let closing = options().with_close_timeout(Duration::from_millis(200));
    let server = Server::new(lanes.config()).handler("/", closing, handler).handler("/echo", options(), other);
    let server = TestServer::start(server);
    for lane in LANES {
        let mut peer = lanes.open(&server, lane, "/").rude();
        events.opened();
        peer.send_text("flood me");
        let mut healthy = lanes.open(&server, lane, "/echo");
        healthy.send_text("still there?");
        assert_eq!(healthy.recv_text(), "still there?", "{lane}");
        let closed = events.until_closed();
        assert_eq!((closed.code, closed.cause), (CloseCode::TRY_AGAIN_LATER, Cause::SlowConsumer), "{lane}");
    }
}

#[test]
fn both_sides_may_close_and_the_end_is_clean() {
    let lanes = Lanes::new("close");
    let (handler, events) = probe(|_, cx: &mut wingbeat_transport::Context<'_>| cx.close(CloseCode::NORMAL, "enough"));
    let server = TestServer::start(Server::new(lanes.config()).handler("/", options(), handler));
    for lane in LANES {
        let mut peer = lanes.open(&server, lane, "/");
        peer.close(3001, "mine");
        peer.expect_close(3001);
        // Over TLS this is a close_notify: an end without it would be an error.
        peer.expect_fin();
        let closed = events.until_closed();
        assert_eq!((closed.code.value(), closed.cause), (3001, Cause::Peer), "{lane}");

        let mut peer = lanes.open(&server, lane, "/");
        peer.send_text("close");
        peer.expect_close(1000);
        peer.expect_fin();
        let closed = events.until_closed();
        assert_eq!((closed.code, closed.cause), (CloseCode::NORMAL, Cause::Local), "{lane}");

        let peer = lanes.open(&server, lane, "/");
        events.opened();
        drop(peer);
        let closed = events.until_closed();
        assert_eq!(closed.code, CloseCode::ABNORMAL, "{lane}");
        // An end that no close_notify announces may be anybody's doing.
        let is_told =
            if lane.contains("tls") { matches!(closed.cause, Cause::Io(_)) } else { closed.cause == Cause::Lost };
        assert!(is_told, "{:?} over {lane}", closed.cause);
    }
}

#[test]
fn a_shutdown_reaches_everyone() {
    let lanes = Lanes::new("shutdown");
    let (handler, _events) = probe(echo);
    let server = TestServer::start(Server::new(lanes.config().with_threads(2)).handler("/", options(), handler));
    let mut peers = LANES.map(|lane| lanes.open(&server, lane, "/"));
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, PATIENCE));
    for peer in &mut peers {
        peer.expect_close(1012);
        peer.expect_fin();
    }
    drop(peers);
    assert!(stopping.join().expect("no panic") < PATIENCE / 2);
    assert!(!lanes.folder.path("plain.sock").exists(), "the file is gone");
}

#[test]
fn what_hyper_has_answered_may_still_become_a_websocket() {
    let lanes = Lanes::new("hyper");
    let (handler, _events) = probe(echo);
    let server = Server::new(lanes.config()).handler("/", options(), handler);
    let server = TestServer::of(server.start(not_found()).expect("ports"));
    let addr = server.running().local_addrs()[1];
    let mut stream = lanes.identity.encrypt(tcp(addr));
    // A large answer in pieces tries the way out, too.
    stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("room");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 404");
    let mut rest = Vec::new();
    while !rest.ends_with(b"not found") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more of it");
        rest.extend(byte);
    }
    let mut peer = open(stream, "/", "");
    for size in [5, 100_000] {
        let payload = pattern(size);
        peer.write(&masked(FIN | BINARY, &payload));
        assert!(peer.recv_binary() == payload, "the session has survived");
    }
    peer.close(1000, "");
    peer.expect_close(1000);
    peer.expect_fin();
}
