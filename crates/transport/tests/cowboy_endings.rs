//! Every way a connection can end, as Cowboy's `terminate` is told: rows CB25 to CB36 (CB30 is in `panics.rs`).

mod support;

use std::time::Duration;

use http::StatusCode;
use support::log::{Do, Log, log_server, logged};
use support::{BINARY, CLOSE, FIN, Peer, TEXT, TestServer, close_payload, config, masked, options, upgrade};
use wingbeat_transport::{CloseCode, Limits, Message, Server, SocketOptions, refuse};

/// A connection whose handler answers any message with what `message` does.
fn open(options: SocketOptions, acts: Do) -> (TestServer, Peer, Log) {
    let (server, log) = log_server(options, acts);
    let peer = server.open("/");
    log.expect("open");
    (server, peer, log)
}

#[test]
fn ws_cb25_a_request_answered_with_http_has_no_end_to_tell() {
    let (make, log) = logged(Do::default());
    let server = Server::new(config()).handler("/", options(), move |request| {
        if request.query().is_some() { Ok(make()) } else { Err(refuse(StatusCode::GONE, "moved on")) }
    });
    let server = TestServer::start(server);
    assert_eq!(server.connect().ask(&upgrade("/", server.addr(), "")).status, 410);
    let late = server.shutdown(CloseCode::GOING_AWAY, support::PATIENCE);
    assert!(late < support::PATIENCE);
    assert!(log.rest().is_empty());
}

#[test]
fn ws_cb26_an_empty_close_is_answered_with_an_empty_one() {
    let (_server, mut peer, log) = open(options(), Do::default());
    peer.write(&masked(FIN | CLOSE, b""));
    peer.expect_close(1005);
    peer.expect_fin();
    log.expect("close Peer 1005 \"\"");
}

#[test]
fn ws_cb27_a_close_is_answered_with_its_code_and_without_its_reason() {
    for (code, reason) in [(1000, "bye"), (1001, ""), (3000, "tschüß"), (4999, "x")] {
        let (_server, mut peer, log) = open(options(), Do::default());
        peer.write(&masked(FIN | CLOSE, &close_payload(code, reason)));
        assert_eq!(peer.peek_frame(), [FIN | CLOSE, 2], "no reason");
        peer.expect_close(code);
        log.expect(&format!("close Peer {code} {reason:?}"));
    }
}

#[test]
fn ws_cb28_what_the_application_ends_is_its_own() {
    let acts = Do { message: |_, cx| cx.close(CloseCode::NORMAL, ""), ..Do::default() };
    let (_server, mut peer, log) = open(options(), acts);
    peer.send_text("end");
    peer.expect_close(1000);
    peer.expect_fin();
    log.expect("text end");
    log.expect("close Local 1000 \"\"");
}

#[test]
fn ws_cb29_silence() {
    let options = options()
        .with_idle_timeout(Some(Duration::from_millis(60)))
        .with_idle_close(CloseCode::new(4008).expect("4008"));
    let (_server, mut peer, log) = open(options, Do::default());
    peer.expect_close(4008);
    log.expect("close Idle 4008 \"\"");
}

#[test]
fn ws_cb31_cb32_cb33_cb40_cb42_what_the_peer_did_wrong() {
    let limits = Limits::DEFAULT.with_max_frame_bytes(8).with_max_message_bytes(12).with_max_fragments(4);
    let pieces = |bytes: &[u8]| [masked(TEXT, bytes), masked(0, bytes)].concat();
    for (name, input, code, cause) in [
        ("a reserved opcode", masked(FIN | 3, b""), 1002, "Protocol"),
        ("a bit without meaning", masked(FIN | 0x40 | TEXT, b""), 1002, "Protocol"),
        ("a Close of one byte", masked(FIN | CLOSE, b"x"), 1002, "Protocol"),
        ("text that is none", masked(FIN | TEXT, b"\xFF"), 1007, "Encoding"),
        ("a reason that is no text", masked(FIN | CLOSE, b"\x03\xE8\xFF"), 1007, "Encoding"),
        ("a frame too large", masked(FIN | BINARY, &[0; 9]), 1009, "TooBig"),
        ("a message too large", pieces(&[b'x'; 7]), 1009, "TooBig"),
        ("a message in too many parts", [pieces(b""), masked(0, b"").repeat(3)].concat(), 1008, "TooBig"),
    ] {
        let (make, log) = logged(Do::default());
        let server = Server::new(config()).handler("/", options().with_limits(limits), move |_| Ok(make()));
        let server = TestServer::start(server);
        let mut peer = server.open("/");
        log.expect("open");
        peer.write(&input);
        assert_eq!(peer.recv_close(), code, "{name}");
        peer.expect_fin();
        let told = log.next();
        assert!(told.starts_with(&format!("close {cause} {code} ")), "{name}: {told}");
        assert!(!told.ends_with("\"\""), "{name}: the reason says what was wrong");
    }
}

#[test]
fn ws_cb34_a_peer_that_hangs_up_without_a_close() {
    let (_server, peer, log) = open(options(), Do::default());
    peer.hang_up();
    log.expect("close Lost 1006 \"\"");
}

#[test]
fn ws_cb35_a_socket_that_fails() {
    let (_server, peer, log) = open(options(), Do::default());
    peer.reset();
    log.expect("close Io(ConnectionReset) 1006 \"\"");
}

#[test]
fn ws_cb36_the_server_goes() {
    let (server, mut peer, log) = open(options(), Do::default());
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, support::PATIENCE));
    peer.expect_close(1012);
    peer.expect_fin();
    log.expect("close Shutdown 1012 \"\"");
    drop(peer);
    stopping.join().expect("no panic");
}

#[test]
fn ws_cb36_cb39_the_first_cause_counts() {
    // The application had closed before the server went.
    let acts = Do { message: |_, cx| cx.close(CloseCode::NORMAL, ""), ..Do::default() };
    let (server, mut peer, log) = open(options(), acts);
    peer = peer.rude();
    peer.send_text("end");
    peer.expect_close(1000);
    log.expect("text end");
    let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, support::PATIENCE));
    peer.write(&masked(FIN | CLOSE, &close_payload(1000, "")));
    peer.expect_fin();
    log.expect("close Local 1000 \"\"");
    drop(peer);
    stopping.join().expect("no panic");
}

#[test]
fn ws_cb30_a_panic_is_told_to_the_handler_that_panicked() {
    let acts = Do { message: |_, _| panic!("on purpose"), ..Do::default() };
    let (_server, mut peer, log) = open(options(), acts);
    peer.send(Message::Text("boom"));
    peer.expect_close(1011);
    log.expect("text boom");
    log.expect("close Panic 1011 \"\"");
}
