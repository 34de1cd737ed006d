//! Messages sent in fragments as they become available.

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use support::log::{Do, log_server};
use support::{BINARY, CONTINUATION, FIN, PATIENCE, PING, Peer, TEXT, TestServer, config, options, wait_for};
use wingbeat_transport::{
    CloseCode, Context, EncodedMessage, Handler, Message, MessageKind, SendError, Server, SocketOptions, WebSocket,
};
use wingbeat_websocket::Received;

/// A server whose loop is the test's own.
fn sockets(options: SocketOptions) -> (TestServer, Receiver<WebSocket>) {
    let (sender, receiver) = channel();
    let server = Server::new(config()).socket("/", options, move |socket| {
        let _ = sender.send(socket);
        async {}
    });
    (TestServer::start(server), receiver)
}

fn open(options: SocketOptions) -> (TestServer, Peer, WebSocket) {
    let (server, sockets) = sockets(options);
    let peer = server.open("/");
    (server, peer, sockets.recv_timeout(PATIENCE).expect("open"))
}

#[test]
fn fragments_control_frames_between_them_and_everything_else_behind() {
    let acts = Do {
        message: |_, cx| {
            let id = cx.id();
            cx.send(Message::Text("before")).expect("open");
            cx.send_fragment(Message::Text("one"), false).expect("open");
            assert!(cx.is_streaming());
            cx.ping(b"between").expect("control frames may");
            assert_eq!(cx.send(Message::Text("no")), Err(SendError::MessageNotFinished));
            assert_eq!(cx.send_text_with(|_| {}), Err(SendError::MessageNotFinished));
            assert_eq!(cx.send_fragment(Message::Binary(b"no"), false), Err(SendError::MessageNotFinished));
            // What others send waits.
            assert!(cx.turn().send_to(id, &EncodedMessage::text("held 1")));
            cx.handle().send(EncodedMessage::text("held 2")).expect("a worker");
            cx.send_encoded(&EncodedMessage::text("held 3")).expect("open");
            cx.send_fragment(Message::Text(""), false).expect("open");
            cx.send_fragment(Message::Text("two"), true).expect("open");
            assert!(!cx.is_streaming());
            cx.send(Message::Text("after")).expect("open");
        },
        ..Do::default()
    };
    let (server, _log) = log_server(options(), acts);
    let mut peer = server.open("/");
    peer.send_text("go");
    for (first, payload) in [
        (FIN | TEXT, "before"),
        (TEXT, "one"),
        (FIN | PING, "between"),
        (CONTINUATION, ""),
        (FIN | CONTINUATION, "two"),
        (FIN | TEXT, "held 1"),
        (FIN | TEXT, "held 2"),
        (FIN | TEXT, "held 3"),
        (FIN | TEXT, "after"),
    ] {
        assert_eq!(peer.frame(), (first, payload.into()));
    }
}

#[test]
fn pings_are_answered_in_the_middle_of_a_message() {
    let acts = Do {
        message: |message, cx| {
            let is_final = message.as_bytes() == b"end";
            cx.send_fragment(message, is_final).expect("open");
        },
        ..Do::default()
    };
    let (server, _log) = log_server(options(), acts);
    let mut peer = server.open("/");
    for text in ["one", "two", "end"] {
        peer.send_text(text);
        peer.ping(text.as_bytes());
        if text != "end" {
            assert_eq!(peer.recv(), Received::Pong(text.as_bytes().into()));
        }
    }
    assert_eq!(peer.recv_text(), "onetwoend");
    assert_eq!(peer.recv(), Received::Pong(b"end"[..].into()));
}

#[test]
fn a_stream_from_another_task_and_who_waits_for_it() {
    let (_server, mut peer, socket) = open(options());
    wait_for(async {
        let mut stream = socket.stream(MessageKind::Binary);
        stream.send(&b"one"[..]).await.expect("open");
        let mut other = socket.handle().stream(MessageKind::Text);
        assert_eq!(other.send("no").await, Err(SendError::MessageNotFinished), "one at a time");
        drop(other);
        // A message that waits for its turn does not hold up the stream.
        let mut waits = pin!(socket.send(Message::Text("behind")));
        assert!(waits.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
        stream.send(vec![b'2'; 100_000]).await.expect("open");
        stream.finish("").await.expect("open");
        waits.await.expect("open");
    });
    assert_eq!(peer.frame(), (BINARY, b"one".to_vec()));
    assert_eq!(peer.frame(), (CONTINUATION, vec![b'2'; 100_000]));
    assert_eq!(peer.frame(), (FIN | CONTINUATION, vec![]));
    assert_eq!(peer.frame(), (FIN | TEXT, b"behind".to_vec()));
}

#[test]
fn a_message_of_any_size_needs_no_more_room_than_a_fragment() {
    const FRAGMENT_BYTES: usize = 64 << 10;
    const FRAGMENTS: usize = 4000; // 250 MiB, 30 times what loopback sockets hold
    let (_server, mut peer, socket) = open(options());
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = sent.clone();
    let streaming = std::thread::spawn(move || {
        wait_for(async {
            let mut stream = socket.stream(MessageKind::Binary);
            let fragment = bytes::Bytes::from(vec![7; FRAGMENT_BYTES]);
            for _ in 0..FRAGMENTS {
                stream.send(fragment.clone()).await.expect("open");
                counting.fetch_add(1, Ordering::Relaxed);
            }
            stream.finish("").await.expect("open");
            socket
        })
    });
    // Nobody reads: it comes to a halt.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) || before == 0 {
        before = sent.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(before < FRAGMENTS / 4, "{before} fragments were taken of which none was read");
    let mut fragments = 0;
    loop {
        let (first, payload) = peer.frame();
        assert!(payload.iter().all(|byte| *byte == 7));
        if first & FIN != 0 {
            assert_eq!(payload.len(), 0);
            break;
        }
        assert_eq!(payload.len(), FRAGMENT_BYTES);
        fragments += 1;
    }
    assert_eq!(fragments, FRAGMENTS);
    drop(streaming.join().expect("no panic"));
}

/// Streams 20 MB from its callbacks, as the peer takes them.
struct Streaming {
    left: usize,
    drained: Arc<AtomicUsize>,
}

const PIECE: [u8; 20_000] = [7; 20_000];

impl Streaming {
    fn go_on(&mut self, cx: &mut Context<'_>) {
        while self.left > 0 && !cx.is_congested() {
            match cx.send_fragment(Message::Binary(&PIECE), self.left == 1) {
                Ok(()) => self.left -= 1,
                Err(SendError::NoRoom) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Handler for Streaming {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        self.go_on(cx);
    }
    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}
    fn handle_drained(&mut self, cx: &mut Context<'_>) {
        self.drained.fetch_add(1, Ordering::Relaxed);
        self.go_on(cx);
    }
}

#[test]
fn a_handler_streams_from_its_callbacks() {
    // With and without a limit that lets it run into `NoRoom`.
    for max_output_bytes in [1 << 20, 25_000] {
        let drained = Arc::new(AtomicUsize::new(0));
        let counting = drained.clone();
        let server = Server::new(config()).handler("/", options().with_max_output(max_output_bytes, 1024), move |_| {
            Ok(Streaming { left: 1000, drained: counting.clone() })
        });
        let server = TestServer::start(server);
        let mut peer = server.open("/");
        assert_eq!(peer.recv_binary().len(), 1000 * PIECE.len());
        assert!(drained.load(Ordering::Relaxed) > 0, "it had to wait");
    }
}

#[test]
fn a_stream_that_is_dropped_unfinished_closes() {
    let (_server, mut peer, mut socket) = open(options());
    wait_for(async {
        let mut stream = socket.stream(MessageKind::Text);
        stream.send("half").await.expect("open");
        socket.handle().send(EncodedMessage::text("held")).expect("a worker");
        drop(stream);
        assert_eq!(socket.send(Message::Text("late")).await, Err(SendError::Closed));
    });
    assert_eq!(peer.frame(), (TEXT, b"half".to_vec()));
    peer.expect_close(1011);
    wait_for(async { assert_eq!(socket.closed().await.code, CloseCode::INTERNAL_ERROR) });
    // One that never began is nothing.
    let (_server, mut peer, socket) = open(options());
    drop(socket.stream(MessageKind::Text));
    wait_for(async { socket.send(Message::Text("still open")).await.expect("open") });
    assert_eq!(peer.recv_text(), "still open");
}

#[test]
fn a_close_ends_a_message_in_its_middle() {
    let (_server, mut peer, socket) = open(options());
    wait_for(async {
        let mut stream = socket.stream(MessageKind::Text);
        stream.send("half").await.expect("open");
        assert_eq!(stream.send(&b"\xFF"[..]).await, Err(SendError::InvalidUtf8));
        socket.close(CloseCode::GOING_AWAY, "");
        assert_eq!(stream.send("more").await, Err(SendError::Closed));
    });
    assert_eq!(peer.frame(), (TEXT, b"half".to_vec()));
    peer.expect_close(1001);
    peer.expect_fin();
}

#[test]
fn what_is_held_back_has_limits() {
    let (_server, mut peer, mut socket) = open(options().with_max_output(100_000, 20));
    wait_for(async {
        let mut stream = socket.stream(MessageKind::Text);
        stream.send("half").await.expect("open");
        for _ in 0..25 {
            socket.handle().send(EncodedMessage::text("held")).expect("a worker");
        }
        assert_eq!(socket.closed().await.cause, wingbeat_transport::Cause::SlowConsumer);
    });
    assert_eq!(peer.frame(), (TEXT, b"half".to_vec()));
    peer.expect_close(1013);
}

#[test]
fn ws_sec15_futures_dropped_at_every_await_leave_the_stream_whole() {
    let (_server, mut peer, socket) = open(options());
    // Polled once and dropped, wherever the worker is by then.
    fn begin(future: impl Future) {
        let _ = pin!(future).poll(&mut TaskContext::from_waker(Waker::noop()));
    }
    wait_for(async {
        for round in 0..50 {
            // Never polled: nothing is sent.
            drop(socket.send(Message::Text("never")));
            let text = format!("message {round}");
            begin(socket.send(Message::Text(&text)));
            let mut stream = socket.stream(MessageKind::Text);
            drop(stream.send("never"));
            for part in 0..3 {
                begin(stream.send(format!("part {part} ")));
            }
            stream.finish(format!("of {round}")).await.expect("open");
        }
    });
    for round in 0..50 {
        assert_eq!(peer.recv_text(), format!("message {round}"));
        assert_eq!(peer.recv_text(), format!("part 0 part 1 part 2 of {round}"));
    }
}

#[test]
fn ws_sec15_a_finish_that_is_dropped_ends_the_message() {
    let (_server, mut peer, socket) = open(options());
    wait_for(async {
        let mut stream = socket.stream(MessageKind::Text);
        stream.send("one ").await.expect("open");
        let mut finish = Box::pin(stream.finish("two"));
        let _ = finish.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
        drop(finish);
        socket.send(Message::Text("next")).await.expect("open");
    });
    assert_eq!((peer.recv_text(), peer.recv_text()), ("one two".into(), "next".into()));
}
