//! Peers that do not read: what is dropped for them, what never is, and who is told.

mod support;

use std::sync::mpsc::{Receiver, Sender, channel};

use support::{Event, PATIENCE, Peer, TestServer, config, echo, eventually, options, probe, probe_server, silent};
use wingbeat_transport::{
    Cause, ConnectionHandle, ConnectionId, Context, DeflateConfig, DeflateParams, EncodedMessage, Handler, Info,
    Message, SendError, Server, SocketOptions, Turn, WhenFull,
};
use wingbeat_websocket::{CloseCode, Received};

/// What `job` returns in a turn of the first worker.
fn in_turn<T: Send + 'static>(server: &TestServer, job: impl FnOnce(&mut Turn) -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    let workers = server.running().workers();
    let worker = workers.ids().next().expect("one");
    workers.run(worker, move |turn| drop(sender.send(job(turn)))).expect("a worker");
    receiver.recv_timeout(PATIENCE).expect("it runs")
}

fn numbered(index: u32, bytes: usize) -> EncodedMessage {
    EncodedMessage::binary(&[index.to_be_bytes().as_slice(), &vec![index as u8; bytes - 4]].concat())
}

/// The number of a message, all of which must be as it was sent.
#[track_caller]
fn number(message: &[u8]) -> u32 {
    let index = u32::from_be_bytes(message[..4].try_into().expect("four bytes"));
    assert!(message[4..].iter().all(|byte| *byte == index as u8), "message {index} is whole");
    index
}

/// A peer that reads everything, counting, in a thread of its own.
fn reader(mut peer: Peer, count: u32) -> (Receiver<u32>, std::thread::JoinHandle<()>) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        for expected in 0..count {
            assert_eq!(number(&peer.recv_binary()), expected, "in order, none missing");
            let _ = sender.send(expected);
        }
    });
    (receiver, thread)
}

/// What a stuck peer gets once it reads again, up to the text "end".
fn read_to_the_end(peer: &mut Peer) -> Vec<u32> {
    let mut numbers = Vec::new();
    loop {
        match peer.recv() {
            Received::Binary(bytes) => numbers.push(number(&bytes)),
            Received::Text(text) => break assert_eq!(text, "end"),
            other => panic!("{other:?}"),
        }
    }
    numbers
}

/// `stuck` peers that do not read and `healthy` ones that do get `count` messages of each of the `sizes` in turn. Returns
/// what the stuck ones got at last, and how many messages were dropped.
fn broadcast(
    options: SocketOptions,
    (stuck, healthy): (usize, usize),
    count: u32,
    sizes: &'static [usize],
) -> (Vec<Vec<u32>>, u64) {
    let (open, events) = probe(silent);
    let mut config = config();
    config.send_buffer_bytes = Some(64 << 10);
    let server = TestServer::start(Server::new(config).handler("/", options, open));
    let mut stuck: Vec<_> = (0..stuck).map(|_| server.open("/")).collect();
    let stuck_handles: Vec<_> = stuck.iter().map(|_| events.opened()).collect();
    let readers: Vec<_> = (0..healthy).map(|_| reader(server.open("/"), count)).collect();
    let healthy_ids: Vec<_> = (0..healthy).map(|_| events.opened().id()).collect();
    let ids: Vec<ConnectionId> = stuck_handles.iter().map(ConnectionHandle::id).chain(healthy_ids).collect();
    let mut sent = 0;
    for index in 0..count {
        let (ids, message) = (ids.clone(), numbered(index, sizes[index as usize % sizes.len()]));
        sent += in_turn(&server, move |turn| turn.send_many(ids, &message));
        for (reader, _) in readers.iter().filter(|_| index % 4 == 3) {
            while reader.recv_timeout(PATIENCE).expect("the healthy get everything") != index {}
        }
    }
    for (_, thread) in readers {
        thread.join().expect("no panic");
    }
    for handle in &stuck_handles {
        handle.reply(EncodedMessage::text("end")).expect("a worker");
    }
    let dropped = in_turn(&server, |turn| turn.dropped_messages());
    let is_slow = |event: &Event| matches!(event, Event::Closed(closed) if closed.cause == Cause::SlowConsumer);
    assert!(!events.rest().iter().any(is_slow), "nobody is closed");
    let got: Vec<_> = stuck.iter_mut().map(read_to_the_end).collect();
    let delivered: usize = got.iter().map(Vec::len).sum();
    let all = stuck.len() * count as usize;
    assert!(dropped > 0);
    assert_eq!(dropped, (all - delivered) as u64, "what was dropped is what did not arrive");
    for numbers in &got {
        assert!(numbers.windows(2).all(|two| two[0] < two[1]), "the order holds: {numbers:?}");
    }
    assert!(sent <= all + healthy * count as usize);
    (got, dropped)
}

/// More than the kernel takes off us for one connection, by far.
const COUNT: u32 = 2000;

#[test]
fn ws_sec10_drop_newest_keeps_what_waits_and_counts_what_it_drops() {
    let options = options().with_max_output(128 << 10, 1024).with_when_full(WhenFull::DropNewest);
    let (got, _) = broadcast(options, (2, 3), COUNT, &[16 << 10, 300, 16 << 10, 9000]);
    for numbers in got {
        assert!(numbers.starts_with(&[0, 1, 2, 3, 4, 5]), "{numbers:?}");
        // Room was only for small ones after that: the newest was what was dropped.
        assert!(numbers.last().is_some_and(|last| *last < COUNT / 2), "{numbers:?}");
    }
}

#[test]
fn ws_sec10_drop_oldest_keeps_what_is_new_and_counts_what_it_drops() {
    let options = options().with_max_output(128 << 10, 1024).with_when_full(WhenFull::DropOldest);
    let (got, _) = broadcast(options, (2, 3), COUNT, &[16 << 10, 300, 16 << 10, 9000]);
    for numbers in got {
        let newest: Vec<_> = (COUNT - 10..COUNT).collect();
        assert!(numbers.starts_with(&[0, 1, 2, 3]), "what was on its way is not touched: {numbers:?}");
        assert!(numbers.ends_with(&newest), "{numbers:?}");
    }
}

#[test]
fn ws_sec10_drop_oldest_by_messages() {
    let options = options().with_max_output(16 << 20, 10).with_when_full(WhenFull::DropOldest);
    let (got, _) = broadcast(options, (1, 1), COUNT, &[16 << 10]);
    // Ten waited: these, the text at the end, and the one that had begun, if one had.
    let contiguous = |numbers: &[u32]| numbers.windows(2).rev().take_while(|two| two[0] + 1 == two[1]).count() + 1;
    assert!((8..=9).contains(&contiguous(&got[0])), "{:?}", got[0]);
}

#[test]
fn ws_sec10_many_that_never_read_and_some_that_do() {
    let options = options().with_max_output(64 << 10, 1024).with_when_full(WhenFull::DropNewest);
    let (got, dropped) = broadcast(options, (50, 10), 400, &[16 << 10]);
    assert!(got.iter().all(|numbers| numbers.len() < 400) && dropped > 50 * 100, "{dropped}");
}

#[test]
fn ws_sec10_answers_are_never_dropped_and_take_the_place_of_what_may_be() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let options = options().with_max_output(256 << 10, 1024).with_when_full(policy).with_close_timeout(PATIENCE);
        let (server, events) = probe_server(options, silent);
        let mut peer = server.open("/");
        let handle = events.opened();
        // Broadcasts until some were dropped.
        let mut broadcasts = 0;
        let id = handle.id();
        while in_turn(&server, |turn| turn.dropped_messages()) < 10 {
            let message = numbered(broadcasts, 16 << 10);
            in_turn(&server, move |turn| turn.send_to(id, &message));
            broadcasts += 1;
        }
        for index in 0..100 {
            handle.reply(numbered(1_000_000 + index, 1000)).expect("a worker");
        }
        handle.reply(EncodedMessage::text("end")).expect("a worker");
        let dropped = in_turn(&server, |turn| turn.dropped_messages());
        let got = read_to_the_end(&mut peer);
        let (answers, others): (Vec<u32>, Vec<u32>) = got.iter().partition(|index| **index >= 1_000_000);
        assert_eq!(answers, (1_000_000..1_000_100).collect::<Vec<_>>(), "{policy:?}");
        assert_eq!(u64::from(broadcasts) - others.len() as u64, dropped, "{policy:?}");
        assert!(got.windows(2).all(|two| two[0] < two[1]), "the order holds");
        assert!(dropped > 10, "{policy:?}: answers made broadcasts go");
    }
}

#[test]
fn ws_sec10_where_nothing_may_be_dropped_the_connection_is_closed() {
    let options = options().with_max_output(256 << 10, 1024).with_when_full(WhenFull::DropOldest);
    let (server, events) = probe_server(options.with_close_timeout(PATIENCE), |_, cx| {
        let error = loop {
            if let Err(error) = cx.send(Message::Binary(&[7; 9000])) {
                break error;
            }
        };
        assert_eq!(error, SendError::Full);
        assert_eq!(cx.dropped(), 0);
    });
    let mut peer = server.open("/");
    peer.send_text("go");
    assert_eq!(peer.recv_close(), 1013);
    let closed = events.until_closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::TRY_AGAIN_LATER, Cause::SlowConsumer));
}

#[test]
fn ws_p2_sec7_a_ping_of_a_stuck_peer_is_answered_when_it_reads() {
    let options = options().with_max_output(128 << 10, 1024).with_when_full(WhenFull::DropOldest);
    let (server, events) = probe_server(options, silent);
    let mut peer = server.open("/");
    let id = events.opened().id();
    for index in 0..COUNT {
        let message = numbered(index, 16 << 10);
        in_turn(&server, move |turn| turn.send_to(id, &message));
        if index % 100 == 0 {
            peer.ping(&index.to_be_bytes());
        }
    }
    let mut pongs = Vec::new();
    while pongs.len() < COUNT as usize / 100 {
        match peer.recv() {
            Received::Pong(payload) => pongs.push(u32::from_be_bytes(payload[..].try_into().expect("four bytes"))),
            Received::Binary(bytes) => drop(number(&bytes)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pongs, (0..COUNT / 100).map(|index| index * 100).collect::<Vec<_>>());
}

/// Says what it is told to say, with its own compressor.
struct Sayer(Sender<ConnectionHandle>);

impl Handler for Sayer {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = self.0.send(cx.handle());
    }

    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}

    fn handle_info(&mut self, info: Info, cx: &mut Context<'_>) {
        let text = info.downcast::<String>().expect("a text");
        cx.send(Message::Text(&text)).expect("answers have room");
    }
}

/// Text that compresses only to half, another one for each index.
fn prose(index: u32, letters: usize) -> String {
    let mut state = index.wrapping_mul(2_654_435_761) | 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b'a' + (state % 16) as u8)
    };
    format!("{index} {}", (0..letters).map(letter).collect::<String>())
}

#[test]
fn ws_sec10_dropped_messages_leave_both_compressors_in_step() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let deflate = DeflateConfig::DEFAULT.with_server_takeover(true).with_client_takeover(true);
        let options = options().with_max_output(128 << 10, 1024).with_when_full(policy).with_deflate(deflate);
        let (opened, handles) = channel();
        let server = Server::new(config()).handler("/", options, move |_| Ok(Sayer(opened.clone())));
        let server = TestServer::start(server);
        let (mut peer, params) = Peer::open_deflating(server.addr(), "/", deflate);
        assert!(params.is_some_and(DeflateParams::has_server_takeover), "{params:?}");
        let handle = handles.recv_timeout(PATIENCE).expect("it opens");
        let id = handle.id();
        let (mut broadcasts, mut index) = (0, 0);
        while in_turn(&server, |turn| turn.dropped_messages()) < 50 {
            // Alternately: a shared frame, which may be dropped, and one that refers to what was said before.
            let message = EncodedMessage::text(&prose(index, 20_000));
            in_turn(&server, move |turn| turn.send_to(id, &message));
            if index % 100 == 0 {
                handle.info(format!("said {}", prose(index, 500))).expect("a worker");
            }
            (broadcasts, index) = (broadcasts + 1, index + 1);
        }
        handle.info("end".to_owned()).expect("a worker");
        let (mut said, mut shared) = (0, 0);
        loop {
            let text = peer.recv_text();
            if text == "end" {
                break;
            }
            let (said_text, is_said) = text.strip_prefix("said ").map_or((&text[..], false), |text| (text, true));
            let index: u32 = said_text.split(' ').next().and_then(|index| index.parse().ok()).expect("a number");
            assert!(said_text == prose(index, if is_said { 500 } else { 20_000 }), "text {index} is as it was sent");
            if is_said { said += 1 } else { shared += 1 }
        }
        assert_eq!(said, u32::div_ceil(broadcasts, 100), "what the handler said is all there");
        let dropped = in_turn(&server, |turn| turn.dropped_messages());
        assert_eq!(u64::from(broadcasts - shared), dropped, "{policy:?}");
        assert!(peer.inflated_messages() > 0);
    }
}

/// Streams numbers until it is congested, goes on when it is not any more.
struct Streamer {
    next: u32,
    drained: Sender<u32>,
}

const CHUNKS: u32 = 4000;

impl Streamer {
    fn stream(&mut self, cx: &mut Context<'_>) {
        while self.next < CHUNKS && !cx.is_congested() {
            let chunk = [self.next.to_be_bytes().as_slice(), &[self.next as u8; 9996]].concat();
            cx.send(Message::Binary(&chunk)).expect("it is not full before it is congested");
            self.next += 1;
        }
    }
}

impl Handler for Streamer {
    fn handle_message(&mut self, _: Message<'_>, cx: &mut Context<'_>) {
        self.stream(cx);
    }

    fn handle_drained(&mut self, cx: &mut Context<'_>) {
        assert!(!cx.is_congested());
        let _ = self.drained.send(self.next);
        self.stream(cx);
    }
}

#[test]
fn ws_sec10_a_long_stream_waits_for_its_reader() {
    let (drained, told) = channel();
    let options = options().with_max_output(256 << 10, 64).with_congested_bytes(100_000);
    let open = move |_: &_| Ok(Streamer { next: 0, drained: drained.clone() });
    let server = TestServer::start(Server::new(config()).handler("/", options, open));
    let mut peer = server.open("/");
    peer.send_text("go");
    for index in 0..CHUNKS {
        assert_eq!(number(&peer.recv_binary()), index);
    }
    let told: Vec<_> = told.try_iter().collect();
    assert!(!told.is_empty() && told[0] < CHUNKS, "40 MB did not leave at once");
    assert!(told.windows(2).all(|two| two[0] < two[1]), "told once each time: {told:?}");
}

/// Counts how often it is told.
struct Drains(Sender<ConnectionHandle>, Sender<u64>);

impl Handler for Drains {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = self.0.send(cx.handle());
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        echo(message, cx);
    }

    fn handle_drained(&mut self, cx: &mut Context<'_>) {
        let _ = self.1.send(cx.dropped());
    }
}

#[test]
fn ws_sec10_congestion_is_told_to_senders_and_its_end_to_the_handler_once() {
    let ((opened, handles), (drains, drained)) = (channel(), channel());
    let options = options().with_max_output(256 << 10, 1024).with_when_full(WhenFull::DropNewest);
    let open = move |_: &_| Ok(Drains(opened.clone(), drains.clone()));
    let server = TestServer::start(Server::new(config()).handler("/", options, open));
    let mut peer = server.open("/");
    let handle = handles.recv_timeout(PATIENCE).expect("it opens");
    let id = handle.id();
    assert!(!in_turn(&server, move |turn| turn.is_congested(id)));
    let mut index = 0;
    while in_turn(&server, |turn| turn.dropped_messages()) < 5 {
        let message = numbered(index, 16 << 10);
        in_turn(&server, move |turn| turn.send_to(id, &message));
        index += 1;
    }
    assert!(in_turn(&server, move |turn| turn.is_congested(id)));
    assert!(drained.try_recv().is_err(), "not yet");
    handle.reply(EncodedMessage::text("end")).expect("a worker");
    read_to_the_end(&mut peer);
    assert_eq!(drained.recv_timeout(PATIENCE), Ok(5), "and what was missed");
    assert!(!in_turn(&server, move |turn| turn.is_congested(id)));
    peer.send_text("still there");
    assert_eq!(peer.recv_text(), "still there");
    assert!(drained.try_recv().is_err(), "once");
}

#[test]
fn what_is_gone_is_neither_congested_nor_sent_to() {
    let (server, events) = probe_server(options(), silent);
    let id = {
        let mut peer = server.open("/");
        let id = events.opened().id();
        peer.close(1000, "");
        assert!(matches!(events.next(), Event::Closed(_)));
        id
    };
    eventually("it is gone", || server.running().connections() == 0);
    assert!(!in_turn(&server, move |turn| turn.is_congested(id)));
    assert!(!in_turn(&server, move |turn| turn.send_to(id, &EncodedMessage::text("hello"))));
    assert_eq!(in_turn(&server, |turn| turn.dropped_messages()), 0);
}
