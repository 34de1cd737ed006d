//! Peers that do not read, handlers that do not want to, and what either may cost.

mod support;

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use support::{
    BINARY, CLOSE, Event, FIN, PATIENCE, PING, TEXT, TestServer, close_payload, config, echo, eventually, in_turn,
    masked, options, probe, probe_server, silent,
};
use wingbeat_transport::{Cause, ConnectionHandle, Context, EncodedMessage, Handler, Info, Message, SendError, Server};
use wingbeat_websocket::{CloseCode, Received};

/// More than the kernel keeps for one connection, by far.
const MORE_THAN_THE_KERNEL_TAKES: usize = 32 << 20;

#[test]
fn ws_l9_sec6_sec10_a_slow_consumer_by_bytes_is_closed_with_1013_and_others_are_unharmed() {
    let (slow, slow_events) = probe(|_: Message<'_>, cx: &mut Context<'_>| {
        let message = vec![7; 100_000];
        let mut taken = 0;
        let error = loop {
            match cx.send(Message::Binary(&message)) {
                Ok(()) => taken += message.len(),
                Err(error) => break error,
            }
            assert!(taken < MORE_THAN_THE_KERNEL_TAKES, "what waits is bounded");
        };
        assert_eq!(error, SendError::Full);
        assert_eq!(cx.send(Message::Binary(b"more")), Err(SendError::Closed), "it is being closed");
    });
    let (other, _events) = probe(echo);
    let server = Server::new(config())
        .handler("/slow", options().with_close_timeout(Duration::from_millis(300)), slow)
        .handler("/", options(), other);
    let server = TestServer::start(server);
    let mut bystander = server.open("/");
    let mut peer = server.open("/slow").rude();
    peer.send_text("go");
    let closed = slow_events.until_closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::TRY_AGAIN_LATER, Cause::SlowConsumer));
    bystander.send_text("unharmed");
    assert_eq!(bystander.recv_text(), "unharmed");
}

#[test]
fn ws_sec10_a_slow_consumer_that_reads_after_all_gets_everything_and_the_close() {
    let (server, events) = probe_server(options().with_close_timeout(PATIENCE), |_, cx| {
        let mut index = 0_u32;
        while cx.send(Message::Binary(&[index.to_be_bytes().as_slice(), &[7; 100_000]].concat())).is_ok() {
            index += 1;
        }
        cx.handle().info(index).expect("a worker");
    });
    let mut peer = server.open("/");
    peer.send_text("go");
    events.opened();
    events.text();
    let Event::Info(count) = events.next() else { panic!("the count comes") };
    let count = *count.downcast::<u32>().expect("a number");
    for index in 0..count {
        assert_eq!(peer.recv_binary()[..4], index.to_be_bytes(), "in order");
    }
    peer.expect_close(1013);
    peer.expect_fin();
    let closed = events.closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::TRY_AGAIN_LATER, Cause::SlowConsumer));
}

#[test]
fn ws_l9_sec10_a_slow_consumer_by_messages() {
    let options = options().with_max_output(1 << 30, 10).with_close_timeout(PATIENCE);
    let (server, events) = probe_server(options, silent);
    let mut peer = server.open("/").rude();
    peer.send_text("hello");
    let handle = events.opened();
    events.text();
    // Each is a turn of its own, so each is written at once while the kernel takes it.
    let message = EncodedMessage::binary(&vec![7; 1 << 20]);
    let id = handle.id();
    let send = || {
        let message = message.clone();
        in_turn(&server, move |turn| turn.send_to(id, &message))
    };
    let sent = std::iter::repeat_with(send).take_while(|is_sent| *is_sent).take(1000).count();
    assert!((10..1000).contains(&sent), "{sent} were sent");
    let mut messages = 0;
    while let Received::Binary(_) = peer.recv() {
        messages += 1;
    }
    assert_eq!(messages, sent, "all that was admitted arrives");
    peer.write(&masked(FIN | CLOSE, &close_payload(1013, "")));
    let closed = events.closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::TRY_AGAIN_LATER, Cause::SlowConsumer));
}

#[test]
fn one_message_is_always_admitted_however_large() {
    let (server, _events) = probe_server(options().with_max_output(1000, 1), |_, cx| {
        cx.send(Message::Binary(&vec![7; 3 << 20])).expect("nothing waits before it");
    });
    let mut peer = server.open("/");
    peer.send_text("go");
    assert_eq!(peer.recv_binary().len(), 3 << 20);
    peer.send_text("again");
    assert_eq!(peer.recv_binary().len(), 3 << 20);
}

#[test]
fn many_messages_of_one_turn_are_no_sign_of_slowness() {
    let (server, _events) = probe_server(options(), |_, cx| {
        for index in 0..5000_u32 {
            cx.send(Message::Binary(&index.to_be_bytes())).expect("far less than a megabyte");
        }
    });
    let mut peer = server.open("/");
    peer.send_text("go");
    for index in 0..5000_u32 {
        assert_eq!(peer.recv_binary(), index.to_be_bytes());
    }
}

#[test]
fn ws_sec10_a_peer_that_does_not_read_is_not_read_and_gets_everything_later_in_order() {
    let (server, events) = probe_server(options(), echo);
    let mut peer = server.open("/");
    events.opened();
    // Echoes pile up until the server stops reading, and then what we write piles up, too.
    let mut writing = peer.stream.try_clone().expect("a second handle");
    let count = MORE_THAN_THE_KERNEL_TAKES / 50_000;
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        for index in 0..count as u32 {
            let payload = [index.to_be_bytes().as_slice(), &[7; 50_000]].concat();
            writing.write_all(&masked(FIN | BINARY, &payload)).expect("in the end");
        }
    });
    // The handler hears of fewer and fewer messages, then of none for as long as a worker needs for thousands.
    let mut heard = 0;
    while events.within(Duration::from_millis(300)).is_some() {
        heard += 1;
    }
    assert!(heard < count, "the server has stopped reading");
    for index in 0..count as u32 {
        let expected = [index.to_be_bytes().as_slice(), &[7; 50_000]].concat();
        assert!(peer.recv_binary() == expected, "message {index}");
    }
    writer.join().expect("no panic");
    assert_eq!(heard + events.rest().len(), count);
}

#[test]
fn ws_sec7_p3_a_flood_of_pings_is_answered_as_fast_as_it_is_read() {
    // Both ways, with room to spare.
    const TOO_MANY_BYTES: usize = 4 * MORE_THAN_THE_KERNEL_TAKES;
    let (server, _events) = probe_server(options(), silent);
    let mut peer = server.open("/").rude();
    let pings = masked(FIN | PING, &[b'p'; 125]).repeat(1000);
    let mut writing = peer.stream.try_clone().expect("a second handle");
    writing.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let written = {
        use std::io::Write;
        // Until the server reads no more, because we do not read its Pongs.
        let mut written = 0;
        while written < TOO_MANY_BYTES {
            match writing.write(&pings[written % pings.len()..]) {
                Ok(count) => written += count,
                Err(_) => break,
            }
        }
        written
    };
    assert!(written < TOO_MANY_BYTES, "{written} bytes of Pings were taken without a Pong being read");
    let whole = written / 131;
    for index in 0..whole {
        assert_eq!(peer.recv(), Received::Pong([b'p'; 125][..].into()), "Pong {index} of {whole}");
    }
}

/// Pauses after every message and resumes when told.
struct Stepper {
    heard: Sender<String>,
    opened: Sender<ConnectionHandle>,
}

impl Handler for Stepper {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = self.opened.send(cx.handle());
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        if let Message::Text(text) = message {
            let _ = self.heard.send(text.to_owned());
        }
        cx.pause();
        let _ = cx.send(Message::Text("paused"));
    }

    fn handle_info(&mut self, _: Info, cx: &mut Context<'_>) {
        cx.resume();
    }
}

#[test]
fn ws_cb7_pause_and_resume_step_by_step() {
    let ((heard, messages), (opened, handles)) = (channel(), channel());
    let server = Server::new(config());
    let server = server.handler("/", options(), move |_| Ok(Stepper { heard: heard.clone(), opened: opened.clone() }));
    let server = TestServer::start(server);
    let mut peer = server.open("/");
    let handle = handles.recv_timeout(PATIENCE).expect("it opens");
    let all: Vec<u8> = (0..100).flat_map(|index| masked(FIN | TEXT, index.to_string().as_bytes())).collect();
    let close = masked(FIN | CLOSE, &close_payload(1000, ""));
    // A large part in one segment, the rest byte by byte.
    let (first, second) = all.split_at(all.len() / 2 + 3);
    peer.write(first);
    let mut writing = peer.stream.try_clone().expect("a second handle");
    let second = [second, &close].concat();
    let writer = std::thread::spawn(move || {
        for byte in second.chunks(1) {
            std::io::Write::write_all(&mut writing, byte).expect("taken");
        }
    });
    for index in 0..100 {
        assert_eq!(messages.recv_timeout(PATIENCE).expect("a message"), index.to_string());
        assert_eq!(peer.recv_text(), "paused");
        assert!(messages.try_recv().is_err(), "paused after {index}");
        handle.send(EncodedMessage::text("sent meanwhile")).expect("a worker");
        assert_eq!(peer.recv_text(), "sent meanwhile");
        assert!(messages.try_recv().is_err(), "still paused after {index}");
        handle.info(()).expect("a worker");
    }
    writer.join().expect("no panic");
    peer.expect_close(1000);
    peer.expect_fin();
}

#[test]
fn the_end_of_a_peer_that_does_not_read_frees_everything() {
    let (server, events) = probe_server(options(), echo);
    for is_reset in [false, true] {
        let mut peer = server.open("/");
        peer.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        let text = masked(FIN | TEXT, &[b'x'; 60_000]);
        while peer.try_write(&text).is_ok() {}
        if is_reset {
            peer.reset();
        } else {
            drop(peer);
        }
        // What it left unread is a reset either way, seen by whoever looks first.
        let closed = events.until_closed();
        assert!(matches!(closed.cause, Cause::Lost | Cause::Io(_)), "{closed:?}");
        eventually("it is gone", || server.running().connections() == 0);
    }
}

/// Pauses at "pause", and resumes when told anything.
struct Pausing(Sender<ConnectionHandle>);

impl Handler for Pausing {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        if message == Message::Text("pause") {
            cx.pause();
            let _ = self.0.send(cx.handle());
        } else {
            let _ = cx.send(message);
        }
    }

    fn handle_info(&mut self, _: Info, cx: &mut Context<'_>) {
        cx.resume();
    }
}

#[test]
fn ws_l7_what_waits_unread_is_no_silence() {
    let (paused, is_paused) = channel();
    let (silent, silent_events) = probe(silent);
    let options = options().with_idle_timeout(Some(Duration::from_millis(100)));
    let server = Server::new(config())
        .handler("/pausing", options.clone(), move |_| Ok(Pausing(paused.clone())))
        .handler("/silent", options, silent);
    let server = TestServer::start(server);
    let mut peer = server.open("/pausing");
    peer.send_text("pause");
    peer.send_text("unread");
    let handle = is_paused.recv_timeout(PATIENCE).expect("it pauses");
    // Whoever is silent after that is closed: so long it took at least.
    let _bystander = server.open("/silent");
    assert_eq!(silent_events.until_closed().cause, Cause::Idle);
    handle.info(()).expect("a worker");
    assert_eq!(peer.recv_text(), "unread");
}
