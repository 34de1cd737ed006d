//! Who a client is: its own address, what a PROXY header or a header field says, and how many it may be.

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use support::{PATIENCE, Peer, TestServer, config, options, upgrade};
use wingbeat_transport::{
    Cause, CheckOrigin, Config, Context, ForwardedFields, Handler, Listener, Message, Network, Request, Server,
    TlsConfig,
};
use wingbeat_websocket::CloseCode;
use wire::{Folder, Identity, open, tcp, unix};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn network(text: &str) -> Network {
    text.parse().expect(text)
}

/// What the mount was asked, and what its handler sees later.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    address: Option<String>,
    scheme: String,
    host: String,
}

struct Quiet;

impl Handler for Quiet {
    fn handle_message(&mut self, _: Message<'_>, cx: &mut Context<'_>) {
        let address = cx.peer_addr().map(|address| address.to_string());
        let _ = cx.send(Message::Text(&format!("{address:?}")));
    }
}

fn server(config: Config) -> (TestServer, Receiver<Seen>) {
    let (seen, all_seen) = channel();
    let open = move |request: &Request| {
        let _ = seen.send(Seen {
            address: request.peer_addr.map(|address| address.to_string()),
            scheme: request.scheme.to_string(),
            host: request.header("host").unwrap_or_default().to_owned(),
        });
        Ok(Quiet)
    };
    let options = options().with_check_origin(CheckOrigin::SameOrigin);
    (TestServer::start(Server::new(config).handler("/", options, open)), all_seen)
}

#[track_caller]
fn expect(seen: &Receiver<Seen>, address: Option<&str>, scheme: &str, host: &str) {
    let expected = Seen { address: address.map(str::to_owned), scheme: scheme.into(), host: host.into() };
    assert_eq!(seen.recv_timeout(PATIENCE).expect("the mount is asked"), expected);
}

/// A client whose connection begins with `preamble`.
fn proxied(addr: SocketAddr, preamble: &[u8]) -> std::net::TcpStream {
    let mut stream = tcp(addr);
    stream.write_all(preamble).expect("room");
    stream
}

fn v2(client: [u8; 4], port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f".to_vec();
    header.extend(client);
    header.extend([127, 0, 0, 1, high, low, 0x01, 0xBB]);
    // An entry to be skipped.
    header.extend([0x04, 0, 0]);
    header
}

#[test]
fn a_proxy_header_names_the_client() {
    let identity = Identity::new();
    let plain = Listener::tcp(ANY_PORT).with_proxy_protocol(Network::loopback());
    let config = config().with_listener(plain.clone()).with_listener(plain.with_tls(identity.tls()));
    let (server, seen) = server(config);
    let [plain, encrypted] = *server.running().local_addrs() else { panic!("two addresses") };
    let line = b"PROXY TCP6 2001:db8::7 ::1 5555 80\r\n";
    let mut peer = open(proxied(plain, line), "/", "");
    expect(&seen, Some("[2001:db8::7]:5555"), "http", "127.0.0.1:80");
    peer.send_text("who am I?");
    assert_eq!(peer.recv_text(), "Some(\"[2001:db8::7]:5555\")", "the handler sees it, too");
    open(proxied(plain, &v2([192, 0, 2, 7], 99)), "/", "");
    expect(&seen, Some("192.0.2.7:99"), "http", "127.0.0.1:80");
    open(identity.encrypt(proxied(encrypted, &v2([192, 0, 2, 8], 98))), "/", "");
    expect(&seen, Some("192.0.2.8:98"), "https", "127.0.0.1:80");
    // A health check speaks for itself.
    let stream = proxied(plain, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    let own = stream.local_addr().expect("connected").to_string();
    open(stream, "/", "");
    expect(&seen, Some(&own), "http", "127.0.0.1:80");
    // Header and request drop by drop.
    let mut stream = tcp(plain);
    let request = upgrade("/", plain, "");
    for byte in [&v2([192, 0, 2, 9], 97)[..], request.as_bytes()].concat() {
        stream.write_all(&[byte]).expect("room");
    }
    assert_eq!(Peer::over(stream).response().status, 101);
    expect(&seen, Some("192.0.2.9:97"), "http", &plain.to_string());
}

#[test]
fn ws_sec_proxy_whoever_is_no_trusted_proxy_is_refused() {
    let strict = Listener::tcp(ANY_PORT).with_proxy_protocol([network("10.0.0.0/8")]);
    let open_to_us = Listener::tcp(ANY_PORT).with_proxy_protocol(Network::loopback());
    let config = config().with_handshake_timeout(Duration::from_millis(300));
    let (server, seen) = server(config.with_listener(strict).with_listener(open_to_us));
    let [strict, open_to_us] = *server.running().local_addrs() else { panic!("two addresses") };
    let is_cut = |addr, preamble: &[u8]| {
        let mut stream = tcp(addr);
        let _ = stream.write_all(preamble);
        let _ = stream.write_all(upgrade("/", addr, "").as_bytes());
        // An end or a reset, and not a byte.
        matches!(stream.read(&mut [0; 9]), Ok(0) | Err(_))
    };
    assert!(is_cut(strict, b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 443\r\n"));
    assert!(is_cut(open_to_us, b""), "a request without a header");
    assert!(is_cut(open_to_us, b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 443 or so\r\n"));
    // Half a header is cut at the handshake's deadline.
    let mut stream = proxied(open_to_us, b"PROXY TCP4 192.0.2.7");
    assert!(matches!(stream.read(&mut [0; 9]), Ok(0) | Err(_)));
    assert!(seen.try_recv().is_err(), "nobody got through");
    support::eventually("their seats are free", || server.running().connections() == 0);
}

#[test]
fn ws_sec_forwarded_header_fields_count_from_trusted_proxies_only() {
    let folder = Folder::new("forwarded");
    let path = folder.path("a.sock");
    let config = config()
        .with_listener(Listener::tcp(ANY_PORT).with_trusted_proxies(Network::loopback()))
        .with_listener(Listener::tcp(ANY_PORT).with_trusted_proxies([network("10.0.0.0/8")]))
        .with_listener(
            Listener::tcp(ANY_PORT)
                .with_trusted_proxies(Network::loopback())
                .with_forwarded_fields(ForwardedFields::Rfc7239),
        )
        .with_listener(Listener::unix(&path).with_trusted_proxies([]))
        .with_listener(
            Listener::tcp(ANY_PORT)
                .with_proxy_protocol(Network::loopback())
                .with_trusted_proxies([network("192.0.2.0/24")]),
        );
    let (server, seen) = server(config);
    let addrs = server.running().local_addrs().to_vec();
    let fields = "X-Forwarded-For: 10.66.66.66, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: chat.example.com\r\nOrigin: https://chat.example.com\r\n";
    open(tcp(addrs[0]), "/", fields);
    expect(&seen, Some("198.51.100.7:0"), "https", "chat.example.com");
    open(unix(&path), "/", fields);
    expect(&seen, Some("198.51.100.7:0"), "https", "chat.example.com");
    open(tcp(addrs[2]), "/", "Forwarded: for=198.51.100.8;proto=https;host=a.b\r\nOrigin: https://a.b\r\n");
    expect(&seen, Some("198.51.100.8:0"), "https", "a.b");
    // The proxy that the PROXY header names is trusted for its fields; another is not.
    open(proxied(addrs[3], &v2([192, 0, 2, 1], 1)), "/", fields);
    expect(&seen, Some("198.51.100.7:0"), "https", "chat.example.com");
    for (addr, preamble) in [(addrs[1], vec![]), (addrs[3], v2([203, 0, 113, 1], 1))] {
        let mut peer = Peer::over(proxied(addr, &preamble));
        // The origin is that of the field, not that of the request: it is a spoofed one.
        let response = peer.ask(&upgrade("/", addr, fields));
        assert_eq!(response.status, 403, "{response:?}");
    }
    let stream = tcp(addrs[1]);
    let own = stream.local_addr().expect("connected").to_string();
    open(stream, "/", "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Forwarded-Proto: https\r\n");
    expect(&seen, Some(&own), "http", "127.0.0.1:80");
}

#[test]
fn ws_l12_an_address_has_so_many_connections_and_no_more() {
    let identity = Identity::new();
    let config = config()
        .with_max_connections_per_address(Some(3))
        .with_listener(Listener::tcp(ANY_PORT))
        .with_listener(Listener::tcp(ANY_PORT).with_tls(identity.tls()))
        .with_listener(Listener::tcp(ANY_PORT).with_proxy_protocol(Network::loopback()))
        .with_listener(Listener::tcp(ANY_PORT).with_trusted_proxies(Network::loopback()));
    let (server, _seen) = server(config);
    let addrs = server.running().local_addrs().to_vec();
    let mut peers: Vec<_> = (0..3).map(|_| open(tcp(addrs[0]), "/", "")).collect();
    let mut refused = Peer::over(tcp(addrs[0]));
    assert_eq!(refused.response().status, 429, "without being asked");
    let mut stream = identity.encrypt(tcp(addrs[1]));
    let begun =
        stream.write_all(b"GET / HTTP/1.1\r\n").and_then(|()| stream.flush()).and_then(|()| stream.read(&mut [0; 1]));
    assert!(begun.is_err(), "before the handshake: {begun:?}");
    // From elsewhere, though it is the same machine.
    for client in [[192, 0, 2, 1], [192, 0, 2, 2]] {
        let mut same: Vec<_> = (0..3).map(|port| open(proxied(addrs[2], &v2(client, port)), "/", "")).collect();
        let mut refused = Peer::over(proxied(addrs[2], &v2(client, 9)));
        assert_eq!(refused.response().status, 429);
        same[0].close(1000, "");
        same[0].expect_close(1000);
        same[0].expect_fin();
        drop(same);
    }
    for client in ["192.0.2.4", "192.0.2.5"] {
        let field = format!("X-Forwarded-For: {client}\r\n");
        let same: Vec<_> = (0..3).map(|_| open(tcp(addrs[3]), "/", &field)).collect();
        let response = Peer::over(tcp(addrs[3])).ask(&upgrade("/", addrs[3], &field));
        assert_eq!((response.status, response.body.as_str()), (429, "too many connections from this address"));
        drop(same);
    }
    // Who leaves makes room.
    let mut leaving = peers.pop().expect("a peer");
    leaving.close(1000, "");
    leaving.expect_close(1000);
    leaving.expect_fin();
    drop(leaving);
    support::eventually("there is room again", || {
        let mut peer = Peer::over(tcp(addrs[0]));
        peer.ask(&upgrade("/", addrs[0], "")).status == 101
    });
}

#[test]
fn certificates_are_replaced_at_run_time() {
    let folder = Folder::new("reload");
    let (chain, key) = (folder.path("chain.pem"), folder.path("key.pem"));
    let write = |identity: &Identity| {
        let (certificate, private) = identity.pem();
        std::fs::write(&chain, certificate).expect("a file");
        std::fs::write(&key, private).expect("a file");
    };
    let (first, second) = (Identity::new(), Identity::new());
    write(&first);
    let tls = TlsConfig::from_pem_files(&chain, &key).expect("a pair");
    let (server, _seen) = server(config().with_listener(Listener::tcp(ANY_PORT).with_tls(tls.clone())));
    let addr = server.addr();
    let is_trusted = |identity: &Identity| {
        let mut stream = identity.encrypt(tcp(addr));
        let hello = stream.write_all(b"GET / HTTP/1.1\r\n").and_then(|()| stream.flush());
        hello.is_ok()
    };
    let mut old = open(first.encrypt(tcp(addr)), "/", "");
    std::fs::write(&chain, "not a certificate").expect("a file");
    let error = server.running().reload_tls().expect_err("a broken file").to_string();
    assert_eq!(error, format!("{}: there is no certificate in it", chain.display()));
    assert!(is_trusted(&first) && !is_trusted(&second), "what worked goes on working");
    write(&second);
    server.running().reload_tls().expect("a pair");
    assert!(is_trusted(&second) && !is_trusted(&first));
    old.send_text("old ones live on");
    assert!(old.recv_text().starts_with("Some("));
    tls.replace(first.server_config());
    assert!(is_trusted(&first));
    assert!(server.shutdown(CloseCode::GOING_AWAY, Duration::ZERO) < PATIENCE);
}

#[test]
fn alpn_offers_what_the_listener_speaks() {
    let identity = Identity::new();
    let tls = Listener::tcp(ANY_PORT).with_tls(identity.tls());
    let config = config().with_listener(tls.clone()).with_listener(tls.with_http2(false));
    let (server, _seen) = server(config);
    let [both, old] = *server.running().local_addrs() else { panic!("two addresses") };
    for (addr, offered, chosen) in [
        (both, &["h2", "http/1.1"][..], Some("h2")),
        (both, &["http/1.1"], Some("http/1.1")),
        (both, &[], None),
        (old, &["h2", "http/1.1"], Some("http/1.1")),
    ] {
        let mut stream = identity.encrypt_offering(tcp(addr), offered);
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("room");
        stream.flush().expect("room");
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).expect("an answer");
        let protocol = stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(protocol.as_deref(), chosen, "{offered:?}");
        let is_settings = answer[3] == 4;
        assert_eq!(is_settings, addr == both, "{}", answer.escape_ascii());
    }
    let mut stream = identity.encrypt_offering(tcp(both), &["spdy/3"]);
    assert!(stream.write_all(b"x").and_then(|()| stream.flush()).is_err(), "nothing in common");
}

#[test]
fn ws_sec5_a_slow_handshake_of_tls_is_cut_at_the_deadline() {
    let identity = Identity::new();
    let config = config().with_handshake_timeout(Duration::from_millis(300));
    let (server, seen) = server(config.with_listener(Listener::tcp(ANY_PORT).with_tls(identity.tls())));
    // Nothing; a record that announces more than comes; a session in which nothing is asked, or half a head.
    let silent = tcp(server.addr());
    let mut half = tcp(server.addr());
    half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xFC]).expect("room");
    let mut idle = identity.encrypt(tcp(server.addr()));
    idle.conn.complete_io(&mut idle.sock).expect("a handshake");
    let mut slow = identity.encrypt(tcp(server.addr()));
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").and_then(|()| slow.flush()).expect("room");
    let is_over = |mut stream: std::net::TcpStream| matches!(stream.read(&mut [0; 9]), Ok(0) | Err(_));
    assert!(is_over(silent) && is_over(half));
    assert!(matches!(idle.read(&mut [0; 9]), Ok(0) | Err(_)));
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(seen.try_recv().is_err());
    drop((idle, slow));
    support::eventually("their seats are free", || server.running().connections() == 0);
}

#[test]
fn ws_sec_tls_a_truncated_end_is_a_loss_and_half_a_request_is_none() {
    let identity = Identity::new();
    let (handler, events) = support::probe(support::echo);
    let config = config().with_listener(Listener::tcp(ANY_PORT).with_tls(identity.tls()));
    let server = TestServer::start(Server::new(config).handler("/", options(), handler));
    let raw = tcp(server.addr());
    let cut = raw.try_clone().expect("a second handle");
    let mut peer = open(identity.encrypt(raw), "/", "");
    events.opened();
    // Half a message, then a FIN that no close_notify announces.
    peer.write(&support::masked(support::TEXT, b"transfer 100 to"));
    cut.shutdown(std::net::Shutdown::Write).expect("connected");
    let closed = events.until_closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::ABNORMAL, Cause::Io(ErrorKind::UnexpectedEof)));
    // A request that is cut off in its head opens nothing.
    let raw = tcp(server.addr());
    let cut = raw.try_clone().expect("a second handle");
    let mut stream = identity.encrypt(raw);
    let request = upgrade("/", server.addr(), "");
    stream.write_all(&request.as_bytes()[..request.len() - 1]).and_then(|()| stream.flush()).expect("room");
    cut.shutdown(std::net::Shutdown::Write).expect("connected");
    assert!(stream.read(&mut [0; 9]).is_err(), "no answer, no close_notify");
    assert!(events.rest().is_empty());
}

/// A client behind the proxy may have sent much before the worker looks.
#[test]
fn much_behind_a_proxy_header_is_taken_in_turn() {
    let identity = Identity::new();
    let listener = Listener::tcp(ANY_PORT).with_proxy_protocol(Network::loopback()).with_tls(identity.tls());
    let (server, _seen) = server(config().with_listener(listener));
    let [addr] = *server.running().local_addrs() else { panic!("one address") };
    let (hold, held) = channel::<()>();
    let workers = server.running().workers();
    let worker = workers.ids().next().expect("one");
    workers.run(worker, move |_| held.recv().expect("it is told")).expect("a worker");
    let mut stream = proxied(addr, &[&v2([192, 0, 2, 7], 99)[..], &[0x16; 120_000]].concat());
    hold.send(()).expect("the worker waits");
    assert!(matches!(stream.read(&mut [0; 9]), Ok(_) | Err(_)), "an alert or an end");
    open(identity.encrypt(proxied(addr, &v2([192, 0, 2, 8], 98))), "/", "");
}

/// A client that is refused does not spoil the connection for the next.
#[test]
fn a_proxys_connection_outlives_a_client_that_was_refused() {
    let listener = Listener::tcp(ANY_PORT).with_trusted_proxies(Network::loopback());
    let (server, _seen) = server(config().with_listener(listener).with_max_connections_per_address(Some(1)));
    let [addr] = *server.running().local_addrs() else { panic!("one address") };
    let client = |address: &str| upgrade("/", addr, &format!("X-Forwarded-For: {address}\r\n"));
    let mut first = Peer::over(tcp(addr));
    assert_eq!(first.ask(&client("192.0.2.1")).status, 101);
    let mut kept = Peer::over(tcp(addr));
    assert_eq!(kept.ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").status, 404);
    assert_eq!(kept.ask(&client("192.0.2.1")).status, 429);
    // Either it is closed (then `Connection: close` must stand in the 429), or:
    assert_eq!(server.running().connections(), 2, "it is still counted");
    assert_eq!(kept.ask(&client("192.0.2.2")).status, 101, "there is room for another");
}

/// A long header that comes in two parts hides nothing of the request behind it.
#[test]
fn a_proxy_header_in_two_parts() {
    let listener = Listener::tcp(ANY_PORT).with_proxy_protocol(Network::loopback());
    let (server, _seen) = server(config().with_listener(listener));
    let [addr] = *server.running().local_addrs() else { panic!("one address") };
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend((12_u16 + 1000).to_be_bytes());
    header.extend([192, 0, 2, 7, 127, 0, 0, 1, 1, 1, 1, 1]);
    header.extend(vec![0; 1000]);
    let mut stream = proxied(addr, &header[..900]);
    support::eventually("it is read by itself", || server.running().stats().bytes_received == 900);
    stream.write_all(&[&header[900..], upgrade("/", addr, "").as_bytes()].concat()).expect("room");
    assert_eq!(Peer::over(stream).response().status, 101);
}
