//! What reaches a connection from elsewhere: other threads, other connections of its worker, other workers; and in
//! which order.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};

use support::{Event, PATIENCE, Peer, TestServer, config, echo_server, eventually, options, probe_server, silent};
use wingbeat_transport::{
    Closed, ConnectionHandle, ConnectionId, Context, EncodedMessage, Handler, Info, Message, SendError, Server, Turn,
    WorkerId,
};
use wingbeat_websocket::CloseCode;

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it happens")
}

#[test]
fn one_thread_s_sends_infos_and_close_keep_their_order() {
    let (server, events) = probe_server(options(), silent);
    let mut peer = server.open("/");
    let handle = events.opened();
    let other_thread = std::thread::spawn(move || {
        for index in 0..500_u32 {
            handle.send(EncodedMessage::binary(&index.to_be_bytes())).expect("a worker");
            handle.info(index).expect("a worker");
        }
        handle.close(CloseCode::NORMAL, "done").expect("a worker");
        handle.send(EncodedMessage::text("too late")).expect("taken, though not sent");
    });
    for index in 0..500_u32 {
        assert_eq!(peer.recv_binary(), index.to_be_bytes());
    }
    peer.expect_close(1000);
    peer.expect_fin();
    for index in 0..500_u32 {
        let Event::Info(info) = events.next() else { panic!("expected Info") };
        assert_eq!(*info.downcast::<u32>().expect("a number"), index);
    }
    assert_eq!(events.closed().code, CloseCode::NORMAL);
    other_thread.join().expect("no panic");
}

#[test]
fn sends_of_many_threads_all_arrive_each_in_order() {
    let (server, events) = probe_server(options(), silent);
    let mut peer = server.open("/");
    let handle = events.opened();
    let threads = (0..4_u32).map(|thread| {
        let handle = handle.clone();
        std::thread::spawn(move || {
            for index in 0..2000_u32 {
                let bytes = [thread.to_be_bytes(), index.to_be_bytes()].concat();
                handle.send(EncodedMessage::binary(&bytes)).expect("a worker");
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    let mut next_of = [0; 4];
    for _ in 0..4 * 2000 {
        let bytes = peer.recv_binary();
        let thread = u32::from_be_bytes(bytes[..4].try_into().expect("4 bytes")) as usize;
        let index = u32::from_be_bytes(bytes[4..].try_into().expect("4 bytes"));
        assert_eq!(index, next_of[thread], "thread {thread}");
        next_of[thread] += 1;
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// Sends in every way there is, one after the other.
fn every_way(message: Message<'_>, cx: &mut Context<'_>) {
    let (handle, id) = (cx.handle(), cx.id());
    let encoded = |text: &str| EncodedMessage::text(text);
    cx.send(message).expect("open");
    handle.send(encoded("1")).expect("a worker");
    handle.send(encoded("2")).expect("a worker");
    cx.send(Message::Text("3")).expect("open");
    handle.send(encoded("4")).expect("a worker");
    cx.send_encoded(&encoded("5")).expect("open");
    handle.send(encoded("6")).expect("a worker");
    cx.send_text_with(|buffer| buffer.extend_from_slice(b"7")).expect("open");
    handle.send(encoded("8")).expect("a worker");
    assert!(cx.turn().send_to(id, &encoded("9")));
    handle.send(encoded("10")).expect("a worker");
    assert_eq!(cx.turn().send_many([id, id], &encoded("11")), 2);
    let workers = cx.turn().workers().clone();
    workers.run(id.worker(), move |turn| assert!(turn.send_to(id, &encoded("12")))).expect("a worker");
    // Large ones go another way to the socket, in the same order.
    cx.send_encoded(&encoded(&"x".repeat(50_000))).expect("open");
    cx.send(Message::Text(&"y".repeat(50_000))).expect("open");
    handle.close(CloseCode::NORMAL, "").expect("a worker");
    handle.send(encoded("too late")).expect("a worker");
    assert_eq!(cx.send(Message::Text("too late")), Err(SendError::Closed), "closed already");
}

#[test]
fn inside_a_callback_all_ways_of_sending_keep_program_order() {
    let (server, _events) = probe_server(options(), every_way);
    let mut peer = server.open("/");
    peer.send_text("0");
    let numbers = (0..=11).chain([11, 12]);
    for number in numbers {
        assert_eq!(peer.recv_text(), number.to_string());
    }
    assert_eq!(peer.recv_text(), "x".repeat(50_000));
    assert_eq!(peer.recv_text(), "y".repeat(50_000));
    peer.expect_close(1000);
    peer.expect_fin();
}

#[test]
fn a_handle_outlives_its_connection_and_never_means_another() {
    let (server, events) = echo_server();
    let first = server.open("/");
    let stale = events.opened();
    drop(first);
    events.closed();
    eventually("it is gone", || server.running().connections() == 0);
    // It takes the place of the first.
    let mut second = server.open("/");
    let fresh = events.opened();
    assert_ne!(stale.id(), fresh.id());
    stale.send(EncodedMessage::text("for someone else")).expect("a worker");
    stale.info("for someone else").expect("a worker");
    stale.close(CloseCode::NORMAL, "").expect("a worker");
    fresh.send(EncodedMessage::text("for you")).expect("a worker");
    assert_eq!(second.recv_text(), "for you");
    assert!(events.rest().is_empty());
}

#[test]
fn after_the_end_of_the_server_handles_say_so() {
    let (server, events) = echo_server();
    let _peer = server.open("/");
    let handle = events.opened();
    let workers = server.running().workers().clone();
    drop(server);
    assert_eq!(handle.send(EncodedMessage::text("x")), Err(SendError::Closed));
    assert_eq!(handle.close(CloseCode::NORMAL, ""), Err(SendError::Closed));
    assert_eq!(handle.info(()), Err(SendError::Closed));
    assert_eq!(workers.run_everywhere(|_| {}), Err(SendError::Closed));
}

/// A room: who is in it is the worker's own knowledge.
#[derive(Default)]
struct Room {
    members: RefCell<Vec<ConnectionId>>,
    said: Cell<usize>,
}

/// Says what it hears to everyone of its worker, by `send_many`.
struct Member;

impl Handler for Member {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let id = cx.id();
        cx.turn().local::<Room>().members.borrow_mut().push(id);
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let room = cx.turn().local::<Room>();
        room.said.set(room.said.get() + 1);
        let encoded = EncodedMessage::new(message);
        cx.send(Message::Text("before")).expect("open");
        let sent = cx.turn().send_many(room.members.borrow().iter().copied(), &encoded);
        cx.send(Message::Text(&format!("to {sent}"))).expect("open");
    }

    fn handle_info(&mut self, info: Info, cx: &mut Context<'_>) {
        let text = info.downcast::<&str>().expect("a text");
        cx.send(Message::Text(*text)).expect("open");
    }

    fn handle_close(&mut self, _: Closed, cx: &mut Context<'_>) {
        let id = cx.id();
        cx.turn().local::<Room>().members.borrow_mut().retain(|member| *member != id);
    }
}

fn room_server(threads: usize) -> TestServer {
    let server = Server::new(config().with_threads(threads)).handler("/", options(), |_| Ok(Member));
    TestServer::start(server)
}

#[test]
fn turn_send_many_reaches_everyone_of_the_worker() {
    let server = room_server(1);
    let mut peers: Vec<_> = (0..20).map(|_| server.open("/")).collect();
    for text in ["hello", &"large".repeat(10_000)] {
        peers[7].send_text(text);
        for (index, peer) in peers.iter_mut().enumerate() {
            if index == 7 {
                assert_eq!(peer.recv_text(), "before");
                assert!(peer.recv_text() == text);
                assert_eq!(peer.recv_text(), "to 20");
            } else {
                assert!(peer.recv_text() == text, "peer {index}");
            }
        }
    }
    // Who is gone is not counted.
    drop(peers.pop());
    eventually("one is gone", || server.running().connections() == 19);
    peers[0].send_text("bye");
    assert_eq!((peers[0].recv_text(), peers[0].recv_text()), ("before".into(), "bye".into()));
    assert_eq!(peers[0].recv_text(), "to 19");
}

#[test]
fn turn_info_and_close_reach_other_connections() {
    let server = room_server(1);
    let mut peers: Vec<_> = (0..3).map(|_| server.open("/")).collect();
    let job = |turn: &mut Turn| {
        let members = turn.local::<Room>().members.borrow().clone();
        turn.info(members[0], Box::new("one"));
        turn.info(members[0], Box::new("two"));
        turn.close(members[1], CloseCode::POLICY, "out");
        assert!(!turn.send_to(members[1], &EncodedMessage::text("too late")));
        assert!(turn.send_to(members[2], &EncodedMessage::text("direct")));
    };
    server.running().workers().run_everywhere(job).expect("a worker");
    assert_eq!((peers[0].recv_text(), peers[0].recv_text()), ("one".into(), "two".into()));
    peers[1].expect_close(1008);
    assert_eq!(peers[2].recv_text(), "direct");
}

/// Connections until each of `count` workers has one; the kernel deals them out.
fn one_peer_each(
    server: &TestServer,
    opened: &Receiver<ConnectionHandle>,
    count: usize,
) -> Vec<(Peer, ConnectionHandle)> {
    let mut found: Vec<(Peer, ConnectionHandle)> = Vec::new();
    let mut others = Vec::new();
    while found.len() < count {
        let peer = server.open("/");
        let handle = next(opened);
        let is_new = found.iter().all(|(_, known)| known.id().worker() != handle.id().worker());
        match is_new {
            true => found.push((peer, handle)),
            false => others.push(peer),
        }
        assert!(others.len() < 2000, "the kernel uses all listeners");
    }
    found
}

struct Telling(Sender<ConnectionHandle>);

impl Handler for Telling {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        assert_eq!(cx.id().worker(), cx.turn().worker());
        let _ = self.0.send(cx.handle());
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let from = cx.turn().worker().index();
        let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
        let said = EncodedMessage::text(&format!("{text} from {from}"));
        let workers = cx.turn().workers().clone();
        let job = move |turn: &mut Turn| {
            let ids = turn.local::<RefCell<Vec<ConnectionId>>>().borrow().clone();
            turn.send_many(ids, &said);
        };
        workers.run_everywhere(job).expect("workers");
    }
}

#[test]
fn several_workers_reach_each_other() {
    let (sender, opened) = channel();
    let server = Server::new(config().with_threads(3)).handler("/", options(), move |_| Ok(Telling(sender.clone())));
    let server = TestServer::start(server);
    let workers = server.running().workers().clone();
    assert_eq!(workers.len(), 3);
    assert_eq!(workers.ids().map(WorkerId::index).collect::<Vec<_>>(), [0, 1, 2]);
    let mut peers = one_peer_each(&server, &opened, 3);
    for (_, handle) in &peers {
        let id = handle.id();
        workers.run(id.worker(), move |turn| turn.local::<RefCell<Vec<_>>>().borrow_mut().push(id)).expect("a worker");
    }
    for speaker in 0..3 {
        let from = peers[speaker].1.id().worker().index();
        peers[speaker].0.send_text("hello");
        for (peer, _) in &mut peers {
            assert_eq!(peer.recv_text(), format!("hello from {from}"));
        }
    }
    // A connection of another worker cannot be reached from inside a turn, only by its handle.
    let (ids, message) = (peers.iter().map(|(_, handle)| handle.id()).collect::<Vec<_>>(), EncodedMessage::text("x"));
    let (told, counts) = channel();
    let job = move |turn: &mut Turn| {
        let _ = told.send(turn.send_many(ids.clone(), &message));
    };
    workers.run_everywhere(job).expect("workers");
    assert_eq!([next(&counts), next(&counts), next(&counts)], [1; 3]);
    for (peer, handle) in &mut peers {
        assert_eq!(peer.recv_text(), "x");
        handle.send(EncodedMessage::text("by handle")).expect("a worker");
        assert_eq!(peer.recv_text(), "by handle");
    }
}

#[test]
fn run_everywhere_runs_once_on_each_worker_s_own_thread() {
    let server = room_server(4);
    let (told, threads) = channel();
    let job = move |turn: &mut Turn| {
        let _ = told.send((turn.worker(), std::thread::current().id(), turn.workers().len()));
    };
    server.running().workers().run_everywhere(job).expect("workers");
    let seen: Vec<_> = (0..4).map(|_| next(&threads)).collect();
    assert!(threads.recv().is_err(), "no fifth");
    assert_eq!(seen.iter().map(|(worker, ..)| worker).collect::<HashSet<_>>().len(), 4);
    assert_eq!(seen.iter().map(|(_, thread, _)| thread).collect::<HashSet<_>>().len(), 4);
    assert!(seen.iter().all(|(.., count)| *count == 4));
}

#[test]
fn local_state_is_one_per_worker_and_type() {
    let server = room_server(2);
    let (told, counts) = channel();
    for _ in 0..3 {
        let told = told.clone();
        let job = move |turn: &mut Turn| {
            let counter = turn.local::<Cell<u32>>();
            counter.set(counter.get() + 1);
            assert_eq!(turn.local::<Cell<u64>>().get(), 0, "another type is another state");
            let _ = told.send((turn.worker().index(), counter.get()));
        };
        server.running().workers().run_everywhere(job).expect("workers");
    }
    let mut counts: Vec<_> = (0..6).map(|_| next(&counts)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]);
}

#[test]
fn a_full_inbox_says_busy_and_recovers() {
    let mut small = config();
    small.max_inbox_commands = 10;
    let (open, events) = support::probe(silent);
    let server = TestServer::start(Server::new(small).handler("/", options(), open));
    let mut peer = server.open("/");
    let handle = events.opened();
    let (hold, held) = channel::<()>();
    let (standing, stands) = channel();
    let workers = server.running().workers().clone();
    let job = move |_: &mut Turn| {
        let _ = standing.send(());
        let _ = held.recv();
    };
    workers.run(handle.id().worker(), job).expect("room");
    next(&stands);
    let sent = (0..100_u32).take_while(|index| handle.send(EncodedMessage::binary(&index.to_be_bytes())).is_ok());
    let sent = sent.count() as u32;
    assert_eq!(sent, 10);
    assert_eq!(handle.info(()), Err(SendError::Busy));
    assert_eq!(workers.run_everywhere(|_| {}), Err(SendError::Busy));
    hold.send(()).expect("the worker waits");
    for index in 0..sent {
        assert_eq!(peer.recv_binary(), index.to_be_bytes());
    }
    eventually("there is room again", || handle.send(EncodedMessage::text("more")).is_ok());
    assert_eq!(peer.recv_text(), "more");
}

#[test]
fn context_tells_who_it_is() {
    let (told, told_addr) = channel();
    let (server, events) = probe_server(options(), move |_, cx| {
        assert!(cx.is_open());
        assert_eq!(cx.id(), cx.handle().id());
        let _ = told.send(cx.peer_addr());
    });
    let mut peer = server.open("/");
    peer.send_text("who am I?");
    assert_eq!(next(&told_addr), Some(peer.stream.local_addr().expect("connected")));
    assert!(format!("{:?}", events.opened().id()).contains("ConnectionId"));
}

#[test]
fn a_job_s_sends_keep_their_order_whichever_way_they_go() {
    let (server, events) = probe_server(options(), silent);
    let mut peer = server.open("/");
    let handle = events.opened();
    let (id, workers) = (handle.id(), server.running().workers().clone());
    let inner = handle.clone();
    let job = move |turn: &mut Turn| {
        inner.send(EncodedMessage::text("1")).expect("a worker");
        assert!(turn.send_to(id, &EncodedMessage::text("2")));
        inner.send(EncodedMessage::text("3")).expect("a worker");
        turn.workers().clone().run(id.worker(), |_| ()).expect("a worker");
        turn.close(id, CloseCode::NORMAL, "");
    };
    workers.run(id.worker(), job).expect("a worker");
    for expected in ["1", "2", "3"] {
        assert_eq!(peer.recv_text(), expected);
    }
    peer.expect_close(1000);
}

/// Sends itself one info after another, for ever.
struct Restless(Sender<()>);

impl Handler for Restless {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        self.handle_info(Box::new(()), cx);
        let _ = self.0.send(());
    }

    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}

    fn handle_info(&mut self, info: Info, cx: &mut Context<'_>) {
        let id = cx.id();
        cx.turn().info(id, info);
    }
}

#[test]
fn a_handler_that_never_rests_shares_its_worker() {
    let (started, is_started) = channel();
    let (server, _events) = {
        let (open, events) = support::probe(support::echo);
        let server = Server::new(config())
            .handler("/restless", options(), move |_| Ok(Restless(started.clone())))
            .handler("/", options(), open);
        (TestServer::start(server), events)
    };
    let _restless = server.open("/restless");
    next(&is_started);
    let mut peer = server.open("/");
    peer.send_text("still there?");
    assert_eq!(peer.recv_text(), "still there?");
}
