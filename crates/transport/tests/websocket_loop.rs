//! The loop: `while let Some(message) = socket.recv().await`.

mod support;

use std::pin::{Pin, pin};
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use support::{BINARY, CLOSE, FIN, PATIENCE, TEXT, TestServer, close_payload, config, eventually, masked, options};
use tokio::sync::Notify;
use wingbeat_transport::{Cause, Closed, Message, OwnedMessage, SendError, Server, SocketOptions, WebSocket};
use wingbeat_websocket::{CloseCode, Received};

/// Messages that wait for a loop at most.
const QUEUE: usize = 16;

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it happens")
}

fn serve_with<F>(options: SocketOptions, serve: impl Fn(WebSocket) -> F + Send + Sync + 'static) -> TestServer
where
    F: Future<Output = ()> + Send + 'static,
{
    TestServer::start(Server::new(config()).socket("/", options, serve))
}

/// A server whose loop is the test's own: it gets each socket and drives it on its own thread.
fn sockets(options: SocketOptions) -> (TestServer, Receiver<WebSocket>) {
    let (sender, receiver) = channel();
    let server = serve_with(options, move |socket| {
        let _ = sender.send(socket);
        async {}
    });
    (server, receiver)
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        socket.send(message.as_message()).await.expect("open");
    }
}

#[test]
fn echo_in_order_of_more_than_the_queue_holds() {
    let server = serve_with(options(), echo);
    let mut peer = server.open("/");
    for round in 0..3 {
        // In one segment, so that many are there before the loop takes the first.
        let burst: Vec<u8> =
            (0..500_u32).flat_map(|index| masked(FIN | TEXT, format!("{round} {index}").as_bytes())).collect();
        peer.write(&burst);
        for index in 0..500 {
            assert_eq!(peer.recv_text(), format!("{round} {index}"));
        }
    }
    peer.write(&masked(FIN | BINARY, &[7; 100_000]));
    assert_eq!(peer.recv_binary(), [7; 100_000]);
    peer.close(1000, "");
    peer.expect_close(1000);
    peer.expect_fin();
}

#[test]
fn recv_ends_after_the_last_message_and_closed_tells_why() {
    let (server, sockets) = sockets(options());
    let mut peer = server.open("/");
    let mut socket = next(&sockets);
    peer.write(&[masked(FIN | TEXT, b"last"), masked(FIN | CLOSE, &close_payload(4000, "enough"))].concat());
    support::wait_for(async {
        assert_eq!(socket.recv().await, Some(OwnedMessage::Text("last".into())));
        assert_eq!(socket.recv().await, None);
        assert_eq!(socket.recv().await, None, "again");
        let closed = socket.closed().await.clone();
        assert_eq!((closed.code.value(), closed.reason.as_str(), closed.cause), (4000, "enough", Cause::Peer));
        assert_eq!(*socket.closed().await, closed, "again");
        assert_eq!(socket.send(Message::Text("late")).await, Err(SendError::Closed));
    });
    peer.expect_close(4000);
    peer.expect_fin();
}

#[test]
fn close_and_closed() {
    let (server, sockets) = sockets(options());
    let mut peer = server.open("/");
    let mut socket = next(&sockets);
    let outcome = std::thread::spawn(move || {
        support::wait_for(async move {
            socket.send(Message::Text("before")).await.expect("open");
            socket.close(CloseCode::new(4002).expect("may travel"), "over");
            assert_eq!(socket.send(Message::Text("after")).await, Err(SendError::Closed));
            socket.closed().await.clone()
        })
    });
    assert_eq!(peer.recv_text(), "before");
    peer.expect_close(4002);
    peer.expect_fin();
    let closed = outcome.join().expect("no panic");
    assert_eq!((closed.code.value(), closed.cause), (4002, Cause::Local));
}

#[test]
fn closed_hears_of_the_end_although_nobody_receives() {
    // The queue is full and reading paused when the loop decides to wait for the end.
    for closes_first in [false, true] {
        let (server, sockets) = sockets(options().with_close_timeout(PATIENCE));
        let mut peer = server.open("/");
        let mut socket = next(&sockets);
        let burst = masked(FIN | TEXT, b"unheard").repeat(100);
        peer.write(&burst);
        eventually("the queue is full", || socket.waiting_messages() == QUEUE);
        peer.close(3000, "from the peer");
        let closed = support::wait_for(async {
            if closes_first {
                socket.close(CloseCode::NORMAL, "");
            }
            socket.closed().await.clone()
        });
        assert_eq!((closed.code.value(), closed.reason.as_str()), (3000, "from the peer"));
        assert_eq!(closed.cause, if closes_first { Cause::Local } else { Cause::Peer });
    }
}

#[test]
fn dropping_the_socket_closes_with_1000() {
    let server = serve_with(options(), |mut socket| async move {
        socket.recv().await;
    });
    let mut peer = server.open("/");
    peer.write(&masked(FIN | TEXT, b"x").repeat(100));
    peer.expect_close(1000);
    peer.expect_fin();
    eventually("it is gone", || server.running().connections() == 0);
}

#[test]
fn ws_sec14_a_loop_that_panics_closes_with_1011() {
    let server = serve_with(options(), |mut socket| async move {
        socket.recv().await;
        panic!("on purpose");
    });
    let (mut peer, mut other) = (server.open("/"), server.open("/"));
    peer.send_text("go");
    peer.expect_close(1011);
    peer.expect_fin();
    other.send_text("go");
    other.expect_close(1011);
}

#[test]
fn a_loop_that_does_not_receive_is_not_read_for() {
    let (server, sockets) = sockets(options());
    let mut peer = server.open("/");
    let mut socket = next(&sockets);
    // Far more than the queue and the kernel take: writing must stop.
    let message = masked(FIN | BINARY, &[7; 100_000]);
    peer.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let mut written = 0;
    while written < 1 << 28 {
        match std::io::Write::write(&mut peer.stream, &message[written % message.len()..]) {
            Ok(count) => written += count,
            Err(_) => break,
        }
    }
    assert!(written < 1 << 28, "a quarter of a gigabyte was taken for nobody");
    support::wait_for(async {
        for index in 0..written / message.len() {
            let received = socket.recv().await;
            assert!(received == Some(OwnedMessage::Binary(vec![7; 100_000])), "message {index}");
        }
    });
}

#[test]
fn ws_sec10_send_waits_while_the_peer_does_not_read() {
    let (server, sockets) = sockets(options());
    let mut peer = server.open("/");
    let socket = next(&sockets);
    let message = vec![7; 50_000];
    // Sending goes on while the kernel takes it, then waits; the output never gets full.
    let sent = support::wait_for(async {
        let mut sent = 0;
        let send = async {
            loop {
                socket.send(Message::Binary(&message)).await.expect("it waits, it does not fail");
                sent += 1;
                assert!(sent < 2000, "100 MB are taken for a peer that does not read");
            }
        };
        tokio::select! {
            () = send => {}
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        sent
    });
    assert!(sent > 0);
    let reader = std::thread::spawn(move || {
        let mut received = 0;
        while let Received::Binary(bytes) = peer.recv() {
            assert_eq!(bytes.len(), 50_000);
            received += 1;
        }
        received
    });
    support::wait_for(async {
        for _ in 0..100 {
            socket.send(Message::Binary(&message)).await.expect("the peer reads again");
        }
        socket.close(CloseCode::NORMAL, "");
    });
    // The one whose future was dropped may have been sent or not.
    let received = reader.join().expect("no panic");
    assert!((sent + 100..=sent + 101).contains(&received), "{received} of {sent} + 100");
}

#[test]
fn send_ends_when_the_connection_does() {
    // More than the kernel takes on either side, so that what follows has to wait.
    let large = vec![7; 64 << 20];
    let (server, sockets) = sockets(options().with_max_output(1 << 30, 1024));
    let mut peer = server.open("/");
    let socket = next(&sockets);
    support::wait_for(async {
        socket.send(Message::Binary(&large)).await.expect("nothing waits before it");
        peer.peek_frame();
        let mut waiting = pin!(socket.send(Message::Text("behind it")));
        assert!(poll_once(waiting.as_mut()).is_none());
        // The inbox has an order: when this has run, the message was taken and has no room.
        support::in_turn(&server, |_| ());
        assert_eq!(poll_once(waiting.as_mut()), None, "the peer does not read");
        peer.reset();
        assert_eq!(waiting.await, Err(SendError::Closed));
        assert_eq!(socket.send(Message::Text("late")).await, Err(SendError::Closed));
    });
}

/// What the future comes to when it is asked once.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn ws_sec15_recv_is_cancel_safe() {
    let notify = std::sync::Arc::new(Notify::new());
    let server = serve_with(options(), move |mut socket| {
        let notify = notify.clone();
        async move {
            loop {
                // Another branch wins again and again while messages come in.
                let message = tokio::select! {
                    biased;
                    () = notify.notified() => continue,
                    () = tokio::task::yield_now() => continue,
                    message = socket.recv() => message,
                };
                let Some(message) = message else { return };
                socket.send(message.as_message()).await.expect("open");
                notify.notify_one();
            }
        }
    });
    // `yield_now` is ready at its second poll: `recv` is polled once and dropped, many times over.
    let mut peer = server.open("/");
    let stream: Vec<u8> = (0..1000).flat_map(|index: u32| masked(FIN | TEXT, index.to_string().as_bytes())).collect();
    peer.write(&stream);
    for index in 0..1000 {
        assert_eq!(peer.recv_text(), index.to_string());
    }
}

#[test]
fn ws_sec15_a_recv_dropped_between_messages_loses_none() {
    let (server, sockets) = sockets(options());
    let mut peer = server.open("/");
    let mut socket = next(&sockets);
    let writer = std::thread::spawn(move || {
        for index in 0..200 {
            peer.send_text(&index.to_string());
        }
        peer
    });
    support::wait_for(async {
        let mut index = 0;
        while index < 200 {
            let patience = Duration::from_micros(index % 7 * 50);
            let Ok(message) = tokio::time::timeout(patience, socket.recv()).await else { continue };
            assert_eq!(message, Some(OwnedMessage::Text(index.to_string())));
            index += 1;
        }
    });
    drop(writer.join().expect("no panic"));
}

#[test]
fn a_busy_worker_does_not_make_a_loop_lose_its_wakening() {
    // While the inbox is full a resume must get through all the same, and so must the close of a dropped socket.
    let mut config = config();
    config.max_inbox_commands = 1;
    let (sender, sockets) = channel();
    let server = Server::new(config).socket("/", options(), move |socket| {
        let _ = sender.send(socket);
        async {}
    });
    let server = TestServer::start(server);
    let mut peer = server.open("/");
    let mut socket = next(&sockets);
    peer.write(&masked(FIN | TEXT, b"x").repeat(100));
    eventually("the queue is full", || socket.waiting_messages() == QUEUE);
    let (hold, held) = channel::<()>();
    let (standing, stands) = channel();
    let workers = server.running().workers().clone();
    let worker = socket.handle().id().worker();
    let job = move |_: &mut wingbeat_transport::Turn| {
        let _ = standing.send(());
        let _ = held.recv();
    };
    workers.run(worker, job).expect("room");
    next(&stands);
    workers.run(worker, |_| {}).expect("the last room there is");
    assert_eq!(workers.run(worker, |_| {}), Err(SendError::Busy));
    support::wait_for(async {
        for index in 0..QUEUE {
            assert_eq!(socket.recv().await, Some(OwnedMessage::Text("x".into())), "message {index}");
        }
    });
    hold.send(()).expect("the worker waits");
    support::wait_for(async {
        for index in QUEUE..100 {
            assert_eq!(socket.recv().await, Some(OwnedMessage::Text("x".into())), "message {index}");
        }
    });
}

#[test]
fn a_loop_that_is_dropped_at_once() {
    let server = serve_with(options(), |_| async {});
    for _ in 0..20 {
        let mut peer = server.open("/");
        peer.expect_close(1000);
        peer.expect_fin();
    }
}

#[test]
fn the_handle_of_a_socket_serves_others() {
    let (server, sockets) = sockets(options());
    let mut peer = server.open("/");
    let socket = next(&sockets);
    socket.handle().send(wingbeat_transport::EncodedMessage::text("from elsewhere")).expect("a worker");
    assert_eq!(peer.recv_text(), "from elsewhere");
    let message: OwnedMessage = Message::Binary(b"x").into();
    assert_eq!(message, OwnedMessage::Binary(b"x".to_vec()));
    let lost: Closed = {
        let mut socket = socket;
        drop(peer);
        support::wait_for(async { socket.closed().await.clone() })
    };
    assert_eq!((lost.code, lost.cause), (CloseCode::ABNORMAL, Cause::Lost), "it hung up");
}

#[test]
fn at_shutdown_a_loop_puts_things_in_order_until_the_deadline() {
    for (within, is_in_time) in [(PATIENCE, true), (Duration::from_millis(200), false)] {
        let (ended, ends) = channel();
        let (done, is_done) = channel();
        let go_on = std::sync::Arc::new(Notify::new());
        let waiting = go_on.clone();
        let server = serve_with(options(), move |mut socket| {
            let (ended, done, waiting) = (ended.clone(), done.clone(), waiting.clone());
            async move {
                while socket.recv().await.is_some() {}
                let _ = ended.send(());
                waiting.notified().await;
                let _ = done.send(());
            }
        });
        let mut peer = server.open("/");
        let stopping = std::thread::spawn(move || server.shutdown(CloseCode::SERVICE_RESTART, within));
        peer.expect_close(1012);
        peer.expect_fin();
        drop(peer);
        next(&ends);
        if is_in_time {
            // The connection is gone, the worker is not.
            assert!(is_done.recv_timeout(Duration::from_millis(100)).is_err());
            assert!(!stopping.is_finished(), "it waits for the loop");
            go_on.notify_one();
            next(&is_done);
        }
        stopping.join().expect("no panic");
        assert!(is_done.try_recv().is_err());
    }
}
