//! The closing handshake in every direction, and the ends that have none (RFC 6455 §7).

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use support::{
    CLOSE, Events, FIN, PATIENCE, TEXT, close_payload, echo, echo_server, eventually, masked, options, probe_server,
    silent,
};
use wingbeat_transport::{Cause, Context, EncodedMessage, Message, SendError};
use wingbeat_websocket::{CloseCode, Received};

/// Closes with 4001 when told "close", else echoes.
fn close_when_told(message: Message<'_>, cx: &mut Context<'_>) {
    if message.as_bytes() == b"close" {
        cx.close(CloseCode::new(4001).expect("may travel"), "as you wish");
        assert!(!cx.is_open());
        assert_eq!(cx.send(message), Err(SendError::Closed), "F22: nothing after Close");
    } else {
        let _ = cx.send(message);
    }
}

#[track_caller]
fn check_closed(events: &Events, code: u16, reason: &str, cause: Cause) {
    let closed = events.until_closed();
    assert_eq!((closed.code.value(), closed.reason.as_str(), closed.cause), (code, reason, cause));
    assert!(events.rest().is_empty(), "the end comes once and last");
}

#[test]
fn ws_c1_c3_the_peer_closes() {
    // No timeout helps here: FIN comes because it is time for it.
    let (server, events) = probe_server(options().with_close_timeout(10 * PATIENCE), echo);
    for code in [1000, 1001, 1008, 1011, 1012, 3000, 4999] {
        let mut peer = server.open("/");
        peer.close(code, "enough");
        peer.expect_close(code);
        // The server ends TCP first, although we have not.
        peer.expect_fin();
        check_closed(&events, code, "enough", Cause::Peer);
    }
}

#[test]
fn ws_c1_a_close_without_a_code_is_answered_without() {
    let (server, events) = echo_server();
    let mut peer = server.open("/");
    peer.write(&masked(FIN | CLOSE, b""));
    assert_eq!(peer.recv(), Received::Close(None));
    peer.expect_fin();
    check_closed(&events, 1005, "", Cause::Peer);
}

#[test]
fn the_answer_to_a_close_comes_after_what_was_sent_before() {
    let (server, events) = echo_server();
    let mut peer = server.open("/");
    let text = masked(FIN | TEXT, b"last words");
    let close = masked(FIN | CLOSE, &close_payload(1000, ""));
    peer.write(&[&text[..], &text, &close, &text].concat());
    assert_eq!((peer.recv_text(), peer.recv_text()), ("last words".into(), "last words".into()));
    peer.expect_close(1000);
    peer.expect_fin();
    let events_seen = [events.next(), events.next(), events.next()];
    assert!(matches!(events_seen, [support::Event::Opened(_), support::Event::Text(_), support::Event::Text(_)]));
    assert_eq!(events.closed().code, CloseCode::NORMAL, "the text behind the Close is not delivered");
}

#[test]
fn we_close_and_the_peer_answers() {
    let (server, events) = probe_server(options(), close_when_told);
    let mut peer = server.open("/");
    peer.send_text("close");
    assert_eq!(peer.recv_close(), 4001);
    peer.expect_fin();
    check_closed(&events, 4001, "", Cause::Local);
}

#[test]
fn ws_c5_both_close_and_the_first_code_received_counts() {
    let (server, events) = probe_server(options(), close_when_told);
    let mut peer = server.open("/").rude();
    peer.send_text("close");
    peer.close(3333, "me too");
    peer.expect_close(4001);
    peer.expect_fin();
    check_closed(&events, 3333, "me too", Cause::Local);
}

#[test]
fn messages_of_the_peer_are_delivered_until_it_answers() {
    let (server, events) = probe_server(options(), close_when_told);
    let mut peer = server.open("/").rude();
    peer.send_text("close");
    peer.expect_close(4001);
    // The protocol of the test's side is closed, so by hand.
    peer.write(&masked(FIN | TEXT, b"I was not done"));
    peer.write(&masked(FIN | CLOSE, &close_payload(4001, "")));
    peer.expect_fin();
    events.opened();
    assert_eq!((events.text(), events.text()), ("close".into(), "I was not done".into()));
    check_closed(&events, 4001, "", Cause::Local);
}

#[test]
fn ws_c3_l8_a_peer_that_never_answers_is_dropped_after_the_close_timeout() {
    let timeout = Duration::from_millis(200);
    let (server, events) = probe_server(options().with_close_timeout(timeout), close_when_told);
    let mut peer = server.open("/").rude();
    let begun = Instant::now();
    peer.send_text("close");
    peer.expect_close(4001);
    peer.expect_fin();
    assert!(begun.elapsed() >= timeout && begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    check_closed(&events, 4001, "", Cause::Local);
    eventually("it is gone", || server.running().connections() == 0);
}

#[test]
fn ws_c3_l8_a_peer_that_answers_but_never_hangs_up_is_dropped_after_the_close_timeout() {
    let (server, events) = probe_server(options().with_close_timeout(Duration::from_millis(200)), silent);
    let mut peer = server.open("/");
    peer.close(1000, "");
    peer.expect_close(1000);
    peer.expect_fin();
    // We keep our half open; the server does not wait for ever.
    check_closed(&events, 1000, "", Cause::Peer);
    eventually("it is gone", || server.running().connections() == 0);
}

#[test]
fn a_peer_that_goes_on_talking_after_the_end_is_dropped_too() {
    let (server, _events) = probe_server(options().with_close_timeout(Duration::from_millis(200)), silent);
    let mut peer = server.open("/").rude();
    peer.close(1000, "");
    let text = masked(FIN | TEXT, &[b'x'; 1000]);
    let begun = Instant::now();
    while peer.try_write(&text).is_ok() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    eventually("it is gone", || server.running().connections() == 0);
}

#[test]
fn ws_c4_a_peer_with_unread_megabytes_under_way_still_sees_our_close() {
    let (server, events) = probe_server(options(), close_when_told);
    let mut peer = server.open("/").rude();
    // A frame that breaks the protocol, and a megabyte behind it that nobody will look at.
    let mut bytes = b"\x83\x80\0\0\0\0".to_vec();
    bytes.extend(masked(FIN | TEXT, &vec![b'x'; 1 << 20]));
    peer.write(&bytes);
    peer.expect_close(1002);
    peer.expect_fin();
    // The worker has ended that turn when it opens another connection.
    let _other = server.open("/");
    // Nobody looks at what we write, but it is taken: a socket given up with something unread is reset.
    for _ in 0..100 {
        peer.write(&[b'x'; 10_000]);
    }
    assert_eq!(events.until_closed().cause, Cause::Protocol);
}

#[test]
fn ws_c8_a_peer_that_vanishes_is_1006() {
    let (server, events) = echo_server();
    for is_reset in [false, true] {
        let mut peer = server.open("/");
        peer.send_text("hello");
        peer.recv_text();
        if is_reset {
            peer.reset();
        } else {
            drop(peer);
        }
        let cause = if is_reset { Cause::Io(ErrorKind::ConnectionReset) } else { Cause::Lost };
        check_closed(&events, 1006, "", cause);
        eventually("it is gone", || server.running().connections() == 0);
    }
    let mut peer = server.open("/");
    peer.write(&masked(FIN | TEXT, b"unfinished")[..9]);
    drop(peer);
    check_closed(&events, 1006, "", Cause::Lost);
}

#[test]
fn a_peer_that_vanishes_while_we_close_keeps_our_code() {
    let (server, events) = probe_server(options(), close_when_told);
    let mut peer = server.open("/").rude();
    peer.send_text("close");
    peer.expect_close(4001);
    drop(peer);
    check_closed(&events, 4001, "", Cause::Local);
}

#[test]
fn a_half_closing_peer_gets_what_it_is_owed() {
    let (server, events) = echo_server();
    let mut peer = server.open("/");
    let text = masked(FIN | TEXT, b"owed");
    peer.write(&text.repeat(1000));
    peer.hang_up();
    for _ in 0..1000 {
        assert_eq!(peer.recv_text(), "owed");
    }
    peer.expect_fin();
    check_closed(&events, 1006, "", Cause::Lost);
}

#[test]
fn a_half_closing_peer_that_reads_slowly_gets_what_it_is_owed() {
    let (server, events) = probe_server(options().with_max_output(64 << 20, 1 << 20), |_, cx| {
        // Far more than the kernel takes at once.
        for _ in 0..40 {
            cx.send_encoded(&EncodedMessage::binary(&vec![7; 500_000])).expect("room for 20 MB");
        }
    });
    let mut peer = server.open("/");
    peer.send_text("go");
    events.opened();
    assert_eq!(events.text(), "go");
    peer.hang_up();
    for index in 0..40 {
        assert_eq!(peer.recv_binary().len(), 500_000, "message {index}");
    }
    peer.expect_fin();
    check_closed(&events, 1006, "", Cause::Lost);
}

#[test]
fn a_half_closing_peer_gets_the_last_small_output_too() {
    // How much the kernel takes is its secret. One of these sizes leaves less than what pauses reading, so that the
    // server sees the FIN while it still has something to say.
    let options = options().with_max_output(64 << 20, 1 << 20).with_close_timeout(PATIENCE);
    let (server, _events) = probe_server(options, |message, cx| {
        let length = std::str::from_utf8(message.as_bytes()).expect("text").parse().expect("a number");
        cx.send(Message::Binary(&vec![7; length])).expect("room");
    });
    let ask = |length: usize| {
        let mut peer = server.open("/");
        peer.send_text(&length.to_string());
        peer.hang_up();
        (length, peer)
    };
    let peers: Vec<_> = (0..112).map(|step| ask(step * 64_000)).collect();
    eventually("those who are owed nothing are gone", || server.running().connections() < peers.len());
    for (length, mut peer) in peers {
        assert_eq!(peer.recv_binary().len(), length);
        peer.expect_fin();
    }
}

#[test]
fn a_second_close_changes_nothing() {
    let (server, events) = probe_server(options(), |_, cx| {
        cx.close(CloseCode::NORMAL, "first");
        cx.close(CloseCode::GOING_AWAY, "second");
        let _ = cx.handle().close(CloseCode::POLICY, "third");
    });
    let mut peer = server.open("/");
    peer.send_text("close");
    peer.expect_close(1000);
    peer.expect_fin();
    check_closed(&events, 1000, "", Cause::Local);
}

#[test]
fn pause_does_not_stop_the_closing_handshake() {
    let (server, events) = probe_server(options().with_close_timeout(PATIENCE), |_, cx| {
        cx.close(CloseCode::NORMAL, "");
        cx.pause();
    });
    let mut peer = server.open("/");
    let begun = Instant::now();
    peer.send_text("close");
    peer.expect_close(1000);
    peer.expect_fin();
    assert!(begun.elapsed() < PATIENCE / 2);
    check_closed(&events, 1000, "", Cause::Local);
}

#[test]
fn nothing_can_be_sent_from_handle_close() {
    struct LastWords(std::sync::mpsc::Sender<Vec<SendError>>);
    impl wingbeat_transport::Handler for LastWords {
        fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}
        fn handle_close(&mut self, _: wingbeat_transport::Closed, cx: &mut Context<'_>) {
            let message = EncodedMessage::text("no");
            let sent = [
                cx.send(Message::Text("no")),
                cx.send_encoded(&message),
                cx.send_text_with(|buffer| buffer.extend_from_slice(b"no")),
            ];
            let id = cx.id();
            assert!(!cx.turn().send_to(id, &message));
            let _ = self.0.send(sent.into_iter().filter_map(Result::err).collect());
        }
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = wingbeat_transport::Server::new(support::config())
        .handler("/", options(), move |_| Ok(LastWords(sender.clone())));
    let server = support::TestServer::start(server);
    let mut peer = server.open("/");
    peer.close(1000, "");
    peer.expect_close(1000);
    peer.expect_fin();
    assert_eq!(receiver.recv_timeout(PATIENCE).expect("the end"), [SendError::Closed; 3]);
}
