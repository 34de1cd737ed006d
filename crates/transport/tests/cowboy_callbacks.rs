//! What Cowboy's `cowboy_websocket` calls, and when: rows CB1 to CB5.

mod support;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use support::log::{Do, log_server, logged};
use support::{FIN, PING, TEXT, TestServer, config, echo, masked, options, upgrade};
use tokio::sync::Notify;
use wingbeat_transport::{
    Accept, ConnectionHandle, Context, EncodedMessage, Handler, Limits, Message, Request, Server, refuse,
};
use wingbeat_websocket::{CloseCode, Received};

#[test]
fn ws_cb1_open_sees_the_whole_request() {
    let (make, log) = logged(Do::default());
    let (seen, sees) = std::sync::mpsc::channel();
    let server = Server::new(config()).handler("/room/:name", options(), move |request: &Request| {
        let subprotocols: Vec<_> = request.subprotocols().collect();
        let extensions: Vec<_> = request.extensions().map(|extension| extension.name).collect();
        let _ = seen.send(format!(
            "{:?} {:?} {:?} {} {subprotocols:?} {extensions:?} {:?}",
            request.path_param("name"),
            request.query(),
            request.header("x-who"),
            request.scheme,
            request.choose_subprotocol(&["third", "second", "first"]),
        ));
        assert!(request.peer_addr.is_some_and(|addr| addr.ip().is_loopback()));
        Ok(make())
    });
    let server = TestServer::start(server);
    let mut peer = server.connect();
    let more = "X-Who: me\r\nSec-WebSocket-Protocol: first, second\r\nSec-WebSocket-Extensions: a;b=1, c\r\n";
    let response = peer.ask(&upgrade("/room/7?a=b", server.addr(), more));
    assert_eq!(response.status, 101);
    assert!(response.all("sec-websocket-protocol").is_empty(), "the application chose none");
    assert_eq!(
        sees.recv().expect("seen"),
        r#"Some("7") Some("a=b") Some("me") http ["first", "second"] ["a", "c"] Some("second")"#
    );
    log.expect("open");
}

#[test]
fn ws_cb1_any_answer_in_place_of_the_upgrade() {
    // At once and later: the refusal arrives as it is, and no callback ever runs.
    let (make, log) = logged(Do::default());
    let later = make.clone();
    let refuse = || {
        let mut response = refuse(StatusCode::FORBIDDEN, "not you");
        response.headers_mut().insert("x-why", HeaderValue::from_static("because"));
        response
    };
    let server = Server::new(config())
        .handler(
            "/now",
            options(),
            move |request| if request.query() == Some("x") { Ok(make()) } else { Err(refuse()) },
        )
        .handler_async("/later", options(), move |request: Request| {
            let make = later.clone();
            async move {
                tokio::task::yield_now().await;
                if request.query() == Some("x") { Ok(make()) } else { Err(refuse()) }
            }
        });
    let server = TestServer::start(server);
    for path in ["/now", "/later"] {
        let response = server.connect().ask(&upgrade(path, server.addr(), ""));
        assert_eq!((response.status, response.body.as_str()), (403, "not you"));
        assert_eq!(response.all("x-why"), ["because"]);
    }
    assert!(log.rest().is_empty());
    for path in ["/now?x", "/later?x"] {
        server.open(path);
        log.expect("open");
        log.expect("close Lost 1006 \"\"");
    }
}

#[test]
fn ws_cb1_open_may_wait_for_something_else() {
    let (make, log) = logged(Do { message: echo, ..Do::default() });
    let ready = Arc::new(Notify::new());
    let waiting = ready.clone();
    let server = Server::new(config()).handler_async("/", options(), move |_| {
        let (make, waiting) = (make.clone(), waiting.clone());
        async move {
            waiting.notified().await;
            Ok(make())
        }
    });
    let server = TestServer::start(server);
    let mut peer = server.connect();
    // The first message comes before it is decided; it waits.
    let request = upgrade("/", server.addr(), "").into_bytes();
    peer.write(&[request, masked(FIN | TEXT, b"early")].concat());
    assert!(log.rest().is_empty());
    ready.notify_one();
    assert_eq!(peer.response().status, 101);
    assert_eq!(peer.recv_text(), "early");
    log.expect("open");
    log.expect("text early");
}

#[test]
fn ws_cb1_what_is_said_beside_the_101() {
    let (make, log) = logged(Do::default());
    let server = Server::new(config()).handler("/", options(), move |request| {
        let own = options().with_limits(Limits::DEFAULT.with_max_message_bytes(3));
        Ok(Accept::new(make())
            .with_subprotocol(request.choose_subprotocol(&["b", "a"]))
            .with_header(HeaderName::from_static("set-cookie"), HeaderValue::from_static("x=1"))
            .with_header(HeaderName::from_static("set-cookie"), HeaderValue::from_static("y=2"))
            .with_header(http::header::UPGRADE, HeaderValue::from_static("h2c"))
            .with_options(Arc::new(own)))
    });
    let server = TestServer::start(server);
    let mut peer = server.connect();
    let response = peer.ask(&upgrade("/", server.addr(), "Sec-WebSocket-Protocol: a, b\r\n"));
    assert_eq!(response.status, 101);
    assert_eq!(response.all("sec-websocket-protocol"), ["b"], "the server's order counts");
    assert_eq!(response.all("set-cookie"), ["x=1", "y=2"]);
    assert_eq!(response.all("upgrade"), ["websocket"], "the handshake's own fields stay");
    log.expect("open");
    peer.write(&masked(FIN | TEXT, b"four"));
    peer.expect_close(1009);
}

#[test]
fn ws_cb1_a_subprotocol_that_was_not_offered_is_our_own_mistake() {
    let (make, log) = logged(Do::default());
    let open = move |_: &Request| Ok(Accept::new(make()).with_subprotocol(Some("z")));
    let server = TestServer::start(Server::new(config()).handler("/", options(), open));
    let response = server.connect().ask(&upgrade("/", server.addr(), "Sec-WebSocket-Protocol: a\r\n"));
    assert_eq!(response.status, 500);
    assert!(log.rest().is_empty());
}

#[test]
fn ws_cb2_what_open_says_is_the_first_frame() {
    let (server, log) = log_server(
        options(),
        Do {
            open: |cx| {
                assert_eq!((cx.subprotocol(), cx.deflate()), (None, None));
                cx.send(Message::Text("hello")).expect("open");
            },
            message: echo,
            ..Do::default()
        },
    );
    let mut peer = server.connect();
    // A message and a Ping lie behind the request in one segment: still `hello` comes first.
    let glued =
        [upgrade("/", server.addr(), "").into_bytes(), masked(FIN | PING, b"p"), masked(FIN | TEXT, b"glued")].concat();
    peer.write(&glued);
    assert_eq!(peer.response().status, 101);
    assert_eq!(peer.recv_text(), "hello");
    assert_eq!(peer.recv(), Received::Pong(b"p"[..].into()));
    assert_eq!(peer.recv_text(), "glued");
    ["open", "ping p", "text glued"].iter().for_each(|line| log.expect(line));
}

#[test]
fn ws_cb2_open_may_close_and_may_leave_everything_unread() {
    let close = Do { open: |cx| cx.close(CloseCode::GOING_AWAY, "not today"), ..Do::default() };
    let (server, log) = log_server(options(), close);
    let mut peer = server.open("/");
    peer.expect_close(1001);
    peer.expect_fin();
    log.expect("open");
    log.expect("close Local 1001 \"\"");

    static PAUSED: OnceLock<ConnectionHandle> = OnceLock::new();
    let pause = Do {
        open: |cx| {
            cx.pause();
            PAUSED.set(cx.handle()).expect("one connection");
        },
        info: |_, cx| cx.resume(),
        ..Do::default()
    };
    let (make, log) = logged(pause);
    let server = TestServer::start(Server::new(config()).handler("/", options(), move |_| Ok(make())).handler(
        "/other",
        options(),
        |_| Ok(Echo),
    ));
    let mut peer = server.connect();
    let glued = [upgrade("/", server.addr(), "").into_bytes(), masked(FIN | TEXT, b"unread")].concat();
    peer.write(&glued);
    assert_eq!(peer.response().status, 101);
    log.expect("open");
    // The other connection's turn comes after whatever the first had to say.
    let mut other = server.open("/other");
    other.send_text("?");
    assert_eq!(other.recv_text(), "?");
    assert!(log.rest().is_empty(), "not a byte is read");
    PAUSED.get().expect("open").info(()).expect("a worker");
    log.expect("info");
    log.expect("text unread");
}

struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        echo(message, cx);
    }
}

#[test]
fn ws_cb3_cb37_whole_messages_pings_and_pongs_but_no_close() {
    let acts =
        Do { message: echo, ping: |payload, cx| cx.send(Message::Binary(payload)).expect("open"), ..Do::default() };
    let (server, log) = log_server(options(), acts);
    let mut peer = server.open("/");
    peer.write(&masked(TEXT, b"one "));
    peer.ping(b"between");
    peer.write(&masked(FIN, b"message"));
    peer.write(&masked(FIN | support::PONG, b""));
    assert_eq!(peer.recv(), Received::Pong(b"between"[..].into()), "answered before the handler is told");
    assert_eq!(peer.recv_binary(), b"between");
    assert_eq!(peer.recv_text(), "one message");
    peer.close(1000, "done");
    peer.expect_close(1000);
    ["open", "ping between", "text one message", "pong ", "close Peer 1000 \"done\""]
        .iter()
        .for_each(|line| log.expect(line));
}

#[test]
fn ws_cb4_info_reaches_a_handler_whose_peer_is_silent() {
    let acts = Do {
        open: |cx| {
            let handle = cx.handle();
            std::thread::spawn(move || handle.info(String::from("from a thread")));
        },
        info: |info, cx| {
            let text = info.downcast::<String>().expect("text");
            cx.send(Message::Text(&text)).expect("open");
        },
        ..Do::default()
    };
    let (server, _log) = log_server(options(), acts);
    assert_eq!(server.open("/").recv_text(), "from a thread");
}

#[test]
fn ws_cb4_handles_send_ping_and_close_from_any_thread() {
    let acts = Do {
        open: |cx| {
            let handle = cx.handle();
            std::thread::spawn(move || {
                handle.ping(b"are you there").expect("a worker");
                handle.send_many(["a", "b"].map(EncodedMessage::text)).expect("a worker");
                handle.pong(b"").expect("a worker");
                assert!(handle.ping(&[0; 126]).is_err(), "too long for a Ping");
                handle.close(CloseCode::NORMAL, "").expect("a worker");
            });
        },
        ..Do::default()
    };
    let (server, log) = log_server(options(), acts);
    let mut peer = server.open("/");
    assert_eq!(peer.recv(), Received::Ping(b"are you there"[..].into()));
    assert_eq!((peer.recv_text(), peer.recv_text()), ("a".into(), "b".into()));
    assert_eq!(peer.recv(), Received::Pong(b""[..].into()));
    peer.expect_close(1000);
    ["open", "pong are you there", "close Local 1000 \"\""].iter().for_each(|line| log.expect(line));
}

#[test]
fn ws_cb4_what_is_sent_together_stays_together() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 200;
    let acts = Do {
        open: |cx| {
            for thread in 0..THREADS {
                let handle = cx.handle();
                std::thread::spawn(move || {
                    for _ in 0..ROUNDS {
                        let triple = (0..3).map(|part| EncodedMessage::binary(&[thread as u8, part]));
                        handle.send_many(triple).expect("a worker");
                    }
                });
            }
        },
        ..Do::default()
    };
    let (server, _log) = log_server(options().with_max_output(1 << 20, 1 << 20), acts);
    let mut peer = server.open("/");
    for _ in 0..THREADS * ROUNDS {
        let first = peer.recv_binary();
        assert_eq!(first[1], 0);
        for part in 1..3 {
            assert_eq!(peer.recv_binary(), [first[0], part]);
        }
    }
}

#[test]
fn ws_cb5_the_end_is_told_once_and_last() {
    let acts = Do {
        message: |_, cx| {
            // All of this comes too late or twice.
            cx.close(CloseCode::NORMAL, "first");
            cx.close(CloseCode::GOING_AWAY, "second");
            let _ = cx.handle().close(CloseCode::POLICY, "third");
            let _ = cx.handle().info(());
        },
        close: |_, cx| assert!(cx.send(Message::Text("too late")).is_err()),
        ..Do::default()
    };
    let (server, log) = log_server(options().with_close_timeout(Duration::from_secs(1)), acts);
    let mut peer = server.open("/");
    peer.send_text("go");
    peer.expect_close(1000);
    peer.expect_fin();
    drop(peer);
    ["open", "text go", "info", "close Local 1000 \"\""].iter().for_each(|line| log.expect(line));
    support::eventually("it is gone", || server.running().connections() == 0);
    assert!(log.rest().is_empty());
}
