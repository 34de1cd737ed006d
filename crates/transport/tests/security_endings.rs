//! Peers that leave at the worst moment, half or whole, and peers that never do.

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use support::{
    CLOSE, FIN, PATIENCE, Peer, TEXT, TestServer, close_payload, config, echo, eventually, masked, options, probe,
    probe_server, upgrade,
};
use wingbeat_transport::{
    Answer, Cause, Closed, ConnectionHandle, Context, EncodedMessage, Handler, Http2Config, Info, Listener, Message,
    Mount, Request, Server,
};
use wingbeat_websocket::CloseCode;

/// What a [`Subject`] has been through.
#[derive(Debug)]
enum Seen {
    Opened(ConnectionHandle),
    Heard,
    Closed(Closed),
    Dropped,
}

/// Does as it is told, and tells everything.
struct Subject(Sender<Seen>);

impl Handler for Subject {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = self.0.send(Seen::Opened(cx.handle()));
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        match message.as_bytes() {
            b"close" => cx.close(CloseCode::new(4001).expect("may travel"), ""),
            b"pause" => cx.pause(),
            b"flood" => flood(message, cx),
            _ => drop(cx.send(message)),
        }
        let _ = self.0.send(Seen::Heard);
    }

    fn handle_info(&mut self, _: Info, cx: &mut Context<'_>) {
        cx.resume();
    }

    fn handle_close(&mut self, closed: Closed, _: &mut Context<'_>) {
        let _ = self.0.send(Seen::Closed(closed));
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.0.send(Seen::Dropped);
    }
}

/// Sends far more than the kernel takes for somebody who does not read.
fn flood(_: Message<'_>, cx: &mut Context<'_>) {
    for _ in 0..32 {
        cx.send_encoded(&EncodedMessage::binary(&vec![7; 1 << 20])).expect("room for all of it");
    }
}

/// Never decides.
struct Undecided;

impl Mount for Undecided {
    fn handle_request(&self, _: Request) -> Answer {
        Answer::Later(Box::pin(std::future::pending()))
    }
}

/// Where in its life a connection is when its peer leaves.
struct Moment {
    name: &'static str,
    /// Brings a peer there.
    reach: fn(&TestServer, &Receiver<Seen>) -> Peer,
    /// How the end is told if the peer resets the connection; `None`: nobody was told of a beginning.
    by_reset: Option<fn(Cause) -> bool>,
    /// The same if it only hangs up.
    by_fin: Option<fn(Cause) -> bool>,
    code: u16,
}

fn is_error(cause: Cause) -> bool {
    matches!(cause, Cause::Io(_))
}

fn is_lost(cause: Cause) -> bool {
    cause == Cause::Lost
}

/// What the peer has not read when it closes its socket makes the system send a reset.
fn is_lost_or_error(cause: Cause) -> bool {
    is_lost(cause) || is_error(cause)
}

fn is_local(cause: Cause) -> bool {
    cause == Cause::Local
}

fn is_peer(cause: Cause) -> bool {
    cause == Cause::Peer
}

fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(PATIENCE).expect("it happens")
}

fn opened(server: &TestServer, seen: &Receiver<Seen>) -> (Peer, ConnectionHandle) {
    let peer = server.open("/");
    let Seen::Opened(handle) = next(seen) else { panic!("it opens first") };
    (peer, handle)
}

/// An open connection that has been sent `bytes`.
fn opened_and_sent(server: &TestServer, seen: &Receiver<Seen>, bytes: &[u8]) -> Peer {
    let (mut peer, _) = opened(server, seen);
    peer.write(bytes);
    peer
}

/// An open connection that was told `order` and has carried it out.
fn opened_and_told(server: &TestServer, seen: &Receiver<Seen>, order: &str) -> (Peer, ConnectionHandle) {
    let (mut peer, handle) = opened(server, seen);
    peer.send_text(order);
    assert!(matches!(next(seen), Seen::Heard));
    (peer, handle)
}

const MOMENTS: &[Moment] = &[
    Moment { name: "before the head", reach: |server, _| server.connect(), by_reset: None, by_fin: None, code: 0 },
    Moment {
        name: "in the head",
        reach: |server, _| {
            let mut peer = server.connect();
            peer.write(&upgrade("/", server.addr(), "").as_bytes()[..40]);
            peer
        },
        by_reset: None,
        by_fin: None,
        code: 0,
    },
    Moment {
        name: "while it is decided",
        reach: |server, _| {
            let mut peer = server.connect();
            peer.write(upgrade("/undecided", server.addr(), "").as_bytes());
            peer
        },
        by_reset: None,
        by_fin: None,
        code: 0,
    },
    Moment {
        name: "after the 101",
        reach: |server, seen| opened(server, seen).0,
        by_reset: Some(is_error),
        by_fin: Some(is_lost),
        code: 1006,
    },
    Moment {
        name: "in the header of a frame",
        reach: |server, seen| opened_and_sent(server, seen, &[FIN | TEXT]),
        by_reset: Some(is_error),
        by_fin: Some(is_lost),
        code: 1006,
    },
    Moment {
        name: "in a frame",
        reach: |server, seen| opened_and_sent(server, seen, &masked(FIN | TEXT, b"unfinished")[..9]),
        by_reset: Some(is_error),
        by_fin: Some(is_lost),
        code: 1006,
    },
    Moment {
        name: "in a large frame",
        reach: |server, seen| opened_and_sent(server, seen, &masked(FIN | TEXT, &[b'x'; 300_000])[..250_000]),
        by_reset: Some(is_error),
        by_fin: Some(is_lost),
        code: 1006,
    },
    Moment {
        name: "in a message",
        reach: |server, seen| opened_and_sent(server, seen, &masked(TEXT, b"to be continued")),
        by_reset: Some(is_error),
        by_fin: Some(is_lost),
        code: 1006,
    },
    Moment {
        name: "before the echo is read",
        reach: |server, seen| opened_and_told(server, seen, "echo").0,
        by_reset: Some(is_error),
        by_fin: Some(is_lost_or_error),
        code: 1006,
    },
    Moment {
        name: "in its Close",
        reach: |server, seen| opened_and_sent(server, seen, &masked(FIN | CLOSE, &close_payload(1000, "x"))[..7]),
        by_reset: Some(is_error),
        by_fin: Some(is_lost),
        code: 1006,
    },
    Moment {
        name: "after its Close",
        reach: |server, seen| opened_and_sent(server, seen, &masked(FIN | CLOSE, &close_payload(3000, ""))),
        by_reset: Some(is_peer),
        by_fin: Some(is_peer),
        code: 3000,
    },
    Moment {
        name: "after both have said Close",
        reach: |server, seen| {
            let mut peer = opened_and_sent(server, seen, &masked(FIN | CLOSE, &close_payload(3000, "")));
            assert_eq!(peer.recv_close(), 3000);
            peer
        },
        by_reset: Some(is_peer),
        by_fin: Some(is_peer),
        code: 3000,
    },
    Moment {
        name: "before our Close is read",
        reach: |server, seen| opened_and_told(server, seen, "close").0,
        by_reset: Some(is_local),
        by_fin: Some(is_local),
        code: 4001,
    },
    Moment {
        name: "after our Close",
        reach: |server, seen| {
            let (peer, _) = opened_and_told(server, seen, "close");
            let mut peer = peer.rude();
            assert_eq!(peer.recv_close(), 4001);
            peer
        },
        by_reset: Some(is_local),
        by_fin: Some(is_local),
        code: 4001,
    },
    Moment {
        name: "while output waits",
        reach: |server, seen| opened_and_told(server, seen, "flood").0,
        by_reset: Some(is_error),
        by_fin: Some(is_lost_or_error),
        code: 1006,
    },
    Moment {
        name: "while we are paused",
        reach: |server, seen| {
            let (mut peer, handle) = opened_and_told(server, seen, "pause");
            peer.write(&masked(FIN | TEXT, b"unread")[..7]);
            // Reading goes on at some time, before or after the peer has left.
            handle.info(()).expect("a worker");
            peer
        },
        by_reset: Some(is_error),
        by_fin: Some(is_lost),
        code: 1006,
    },
];

/// At whatever byte a peer leaves: an application that was told of a beginning is told of one end, its handler is
/// dropped, and nothing is left of the connection.
#[test]
fn ws_sec6_cb5_cb34_cb35_c8_whenever_a_peer_leaves_it_is_told_once() {
    let (told, seen) = channel();
    let options = options().with_max_output(64 << 20, 1000).with_close_timeout(PATIENCE);
    let config = config().with_handshake_timeout(Duration::from_millis(200));
    let server = Server::new(config).mount("/undecided", Undecided);
    let server = TestServer::start(server.handler("/", options, move |_| Ok(Subject(told.clone()))));
    for Moment { name, reach, by_reset, by_fin, code } in MOMENTS {
        for (is_reset, expected) in [(true, by_reset), (false, by_fin)].into_iter().cycle().take(6) {
            let peer = reach(&server, &seen);
            if is_reset {
                peer.reset();
            } else {
                drop(peer);
            }
            if let Some(is_right) = expected {
                let closed = loop {
                    match next(&seen) {
                        Seen::Closed(closed) => break closed,
                        Seen::Heard => {}
                        other => panic!("{other:?} {name}"),
                    }
                };
                assert!(is_right(closed.cause), "{:?} {name}, reset: {is_reset}", closed.cause);
                assert_eq!(closed.code.value(), *code, "{name}, reset: {is_reset}");
                assert!(matches!(next(&seen), Seen::Dropped), "{name}");
            }
            eventually(name, || server.running().connections() == 0);
            assert!(seen.try_recv().is_err(), "{name}: nothing is told after the end");
        }
    }
}

/// Peers that only close their own half, and then neither read nor leave. One that is owed much is waited for until the
/// idle timeout, for it might read; one that is owed little until the close timeout.
#[test]
fn ws_sec6_a_half_closed_peer_that_never_reads_is_not_waited_for() {
    let (told, seen) = channel();
    let options = options()
        .with_max_output(64 << 20, 1000)
        .with_idle_timeout(Some(Duration::from_millis(300)))
        .with_close_timeout(Duration::from_millis(200));
    let server = Server::new(config()).handler("/", options, move |_| Ok(Subject(told.clone())));
    let server = TestServer::start(server);
    let mut peers = Vec::new();
    for (order, code, cause) in [("flood", 1001, Cause::Idle), ("echo", 1006, Cause::Lost)] {
        let (peer, _) = opened_and_told(&server, &seen, order);
        peer.hang_up();
        let Seen::Closed(closed) = next(&seen) else { panic!("it ends") };
        assert_eq!((closed.code.value(), closed.cause), (code, cause), "{order}");
        assert!(matches!(next(&seen), Seen::Dropped));
        peers.push(peer);
    }
    eventually("they are given up", || server.running().connections() == 0);
}

/// Peers that neither read, nor speak, nor leave: silence ends them however much waits for them.
#[test]
fn ws_sec6_a_peer_that_neither_reads_nor_speaks_is_idle() {
    let (told, seen) = channel();
    let options = options()
        .with_max_output(64 << 20, 1000)
        .with_idle_timeout(Some(Duration::from_millis(200)))
        .with_close_timeout(Duration::from_millis(200));
    let server = Server::new(config()).handler("/", options, move |_| Ok(Subject(told.clone())));
    let server = TestServer::start(server);
    let (_peer, _) = opened_and_told(&server, &seen, "flood");
    let Seen::Closed(closed) = next(&seen) else { panic!("it ends") };
    assert_eq!((closed.code, closed.cause), (CloseCode::GOING_AWAY, Cause::Idle));
    eventually("it is given up", || server.running().connections() == 0);
}

/// Many that do nothing but be there, each at another stage, hold up nobody and are gone when their time is over.
#[test]
fn ws_sec6_half_open_peers_of_every_kind_hold_up_nobody() {
    let (probe, events) = probe(echo);
    let timeout = Duration::from_millis(500);
    let config = config().with_handshake_timeout(timeout);
    let options = options().with_idle_timeout(Some(timeout)).with_close_timeout(timeout);
    let server = TestServer::start(Server::new(config).handler("/", options, probe));
    let mut peers = Vec::new();
    for index in 0..200 {
        let mut peer = match index % 4 {
            0 | 1 => server.connect(),
            _ => server.open("/").rude(),
        };
        match index % 4 {
            0 => {}
            1 => peer.write(b"GET / HTTP/1.1\r\nHost:"),
            2 => peer.write(&masked(FIN | TEXT, &[b'x'; 1000])[..9]),
            _ => peer.write(&masked(TEXT, b"never ends")),
        }
        peers.push(peer);
    }
    let mut bystander = server.open("/");
    let begun = Instant::now();
    let mut told = 0;
    let mut answers = 0;
    while server.running().connections() > 1 {
        assert!(begun.elapsed() < PATIENCE, "{} are still there", server.running().connections());
        let asked = Instant::now();
        bystander.send_text("still there?");
        assert_eq!(bystander.recv_text(), "still there?");
        assert!(asked.elapsed() < timeout, "{:?} for an echo", asked.elapsed());
        answers += 1;
    }
    for event in events.rest() {
        told += usize::from(matches!(event, support::Event::Closed(Closed { cause: Cause::Idle, .. })));
    }
    assert_eq!(told, 100, "each that was open has ended, once");
    assert!(answers > 10, "{answers} answers meanwhile");
    drop(peers);
}

/// The same beneath TLS and HTTP/2: sessions that never begin, heads that never end within them, connections that say how
/// they begin and nothing else.
#[test]
fn ws_sec6_half_open_peers_beneath_tls_and_http2_do_not_stay() {
    const ANY_PORT: std::net::SocketAddr =
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
    let timeout = Duration::from_millis(300);
    let identity = wire::Identity::new();
    let http2 = Http2Config::default().with_keep_alive(timeout, timeout).with_idle_timeout(timeout);
    let config = config()
        .with_handshake_timeout(timeout)
        .with_http2(http2)
        .with_listener(Listener::tcp(ANY_PORT))
        .with_listener(Listener::tcp(ANY_PORT).with_tls(identity.tls()));
    let (open, events) = probe(echo);
    let server = TestServer::start(Server::new(config).handler("/", options(), open));
    let [plain, encrypted] = *server.running().local_addrs() else { panic!("two addresses") };
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let begun = |addr, bytes: &[u8]| {
        let mut stream = wire::tcp(addr);
        stream.write_all(bytes).expect("room");
        stream
    };
    let raw = [
        begun(encrypted, b""),
        begun(encrypted, b"\x16"),
        begun(encrypted, b"\x16\x03\x01\x40\x00\x01"),
        begun(encrypted, &[0x16, 3, 1, 0, 200, 1]),
        begun(plain, &preface[..10]),
        begun(plain, preface),
        begun(plain, &[&preface[..], b"\0\0\x06\x04\0\0\0\0\0"].concat()),
        begun(plain, &[&preface[..], b"\0\0\0\x04\0\0\0\0\0"].concat()),
    ];
    let within = [&b"G"[..], b"GET / HTTP/1.1\r\nHost: h\r\n", preface].map(|bytes| {
        let mut session = identity.encrypt(wire::tcp(encrypted));
        session.write_all(bytes).expect("room");
        session.flush().expect("room");
        session
    });
    eventually("they are gone", || server.running().connections() == 0);
    assert!(events.rest().is_empty(), "no handler was made");
    drop((raw, within));
}

/// The end of a token is the end of a connection, whatever the peer is doing; and a user has as many connections as the
/// application allows: it counts them from the request to the end.
#[test]
fn ws_sec16_a_connection_ends_with_the_right_to_it() {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    type Count = Arc<Mutex<HashMap<String, usize>>>;

    struct Session {
        user: String,
        count: Count,
        expires_in: Duration,
    }

    impl Handler for Session {
        fn handle_open(&mut self, cx: &mut Context<'_>) {
            let (handle, expires_in) = (cx.handle(), self.expires_in);
            tokio::spawn(async move {
                tokio::time::sleep(expires_in).await;
                let _ = handle.close(CloseCode::new(4401).expect("may travel"), "the token has expired");
            });
        }

        fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
            let _ = cx.send(message);
        }
    }

    impl Drop for Session {
        fn drop(&mut self) {
            *self.count.lock().expect("no panic").get_mut(&self.user).expect("counted") -= 1;
        }
    }

    let expires_in = Duration::from_millis(300);
    let count = Count::default();
    let server = Server::new(config()).handler("/:user", options(), move |request| {
        let user = request.path_params[0].1.clone();
        let mut counts = count.lock().expect("no panic");
        let mine = counts.entry(user.clone()).or_default();
        if *mine == 2 {
            let response = http::Response::builder().status(429);
            return Err(response.body("two at once are enough".into()).expect("a response"));
        }
        *mine += 1;
        Ok(Session { user, count: count.clone(), expires_in })
    });
    let server = TestServer::start(server);
    let begun = Instant::now();
    let mut busy = server.open("/ann");
    let second = server.open("/ann");
    assert_eq!(server.connect().ask(&upgrade("/ann", server.addr(), "")).status, 429);
    let _another = server.open("/bob");
    // Traffic does not prolong it.
    let code = loop {
        let _ = busy.try_write(&masked(FIN | TEXT, b"busy"));
        match busy.recv() {
            wingbeat_websocket::Received::Text(_) => {}
            wingbeat_websocket::Received::Close(frame) => break frame.expect("a code").code().value(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4401);
    assert!(begun.elapsed() >= expires_in, "{:?}", begun.elapsed());
    drop((busy, second));
    eventually("there is room again", || server.connect().ask(&upgrade("/ann", server.addr(), "")).status == 101);
}

/// A peer that is closed for not reading was told so behind everything else, which it never reads either; nothing of it
/// stays.
#[test]
fn ws_sec6_a_peer_closed_for_not_reading_does_not_stay() {
    let (server, events) = probe_server(options().with_close_timeout(Duration::from_millis(200)), |_, cx| {
        while cx.send(Message::Binary(&[7; 60_000])).is_ok() {}
    });
    let mut peer = server.open("/").rude();
    peer.send_text("go");
    assert_eq!(events.until_closed().cause, Cause::SlowConsumer);
    eventually("it is given up", || server.running().connections() == 0);
}
