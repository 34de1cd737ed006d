//! Pings of ours, peers that are gone, and messages that never end.

mod support;

use std::time::{Duration, Instant};

use support::{BINARY, FIN, PATIENCE, Peer, TestServer, config, echo, masked, options, probe, probe_server, silent};
use wingbeat_transport::{Cause, Context, EncodedMessage, KeepAlive, Message, Server, SocketOptions};
use wingbeat_websocket::{CloseCode, MessageKind, Received};

const MS_100: Duration = Duration::from_millis(100);

/// The payload of the Ping that comes next.
fn ping(peer: &mut Peer) -> Vec<u8> {
    match peer.recv() {
        Received::Ping(payload) => payload.into_owned(),
        other => panic!("expected Ping, not {other:?}"),
    }
}

#[test]
fn ws_p6_a_silent_peer_that_answers_pings_stays() {
    let options = options().with_keep_alive(KeepAlive::new(MS_100, PATIENCE));
    let (server, _events) = probe_server(options, |_, cx| {
        let rtt = format!("{:?}", cx.rtt().is_some_and(|rtt| rtt > Duration::ZERO && rtt < PATIENCE));
        cx.send(Message::Text(&rtt)).expect("open");
    });
    let mut peer = server.open("/");
    peer.send_text("before any answer");
    assert_eq!(peer.recv_text(), "false");
    let begun = Instant::now();
    let pings: Vec<_> = (0..4).map(|_| ping(&mut peer)).collect();
    assert!(begun.elapsed() >= 3 * MS_100, "each after silence");
    assert!(pings.windows(2).all(|two| two[0] != two[1] && two[0].starts_with(b"ka")), "{pings:?}");
    peer.send_text("and now?");
    assert_eq!(peer.recv_text(), "true");
}

#[test]
fn ws_p6_sec6_a_half_open_peer_is_found() {
    let (server, events) = probe_server(options().with_keep_alive(KeepAlive::new(MS_100, 2 * MS_100)), silent);
    let mut peer = server.open("/").rude();
    events.opened();
    let begun = Instant::now();
    let closed = events.closed();
    let took = begun.elapsed();
    assert_eq!((closed.code, closed.cause), (CloseCode::GOING_AWAY, Cause::Idle));
    assert!(took >= 2 * MS_100 && took < PATIENCE / 2, "{took:?}");
    // It was asked once, and is told although nobody seems to be there.
    ping(&mut peer);
    peer.expect_close(1001);
    peer.expect_fin();
}

#[test]
fn ws_p6_a_busy_peer_is_never_cut_although_it_answers_no_ping() {
    let keep_alive = KeepAlive::new(MS_100, 12 * MS_100).with_when_busy(true);
    let (server, events) = probe_server(options().with_keep_alive(keep_alive), silent);
    let mut peer = server.open("/").rude();
    events.opened();
    let begun = Instant::now();
    while begun.elapsed() < 30 * MS_100 {
        peer.send_text("still here");
        std::thread::sleep(MS_100 / 5);
    }
    let events = events.rest();
    assert!(events.iter().all(|event| matches!(event, support::Event::Text(_))), "{events:?}");
    // Busy as it is, it was asked again and again.
    assert_ne!(ping(&mut peer), ping(&mut peer));
}

#[test]
fn ws_p6_who_is_heard_is_not_asked() {
    let interval = 10 * MS_100;
    let (server, _events) = probe_server(options().with_keep_alive(KeepAlive::new(interval, PATIENCE)), echo);
    let mut peer = server.open("/");
    let (begun, mut last) = (Instant::now(), Instant::now());
    while begun.elapsed() < 2 * interval {
        peer.send_text("hello");
        match peer.recv() {
            Received::Text(_) => {}
            // Unless this thread was away for so long.
            other => assert!(last.elapsed() > interval / 2, "{other:?}"),
        }
        last = Instant::now();
        std::thread::sleep(interval / 50);
    }
}

#[test]
fn ws_p6_sec6_a_peer_that_takes_nothing_is_given_up_although_it_has_said_something() {
    let options = options().with_max_output(1 << 30, 1 << 20).with_keep_alive(KeepAlive::new(MS_100, 2 * MS_100));
    let (server, events) = probe_server(options, |_, cx| {
        cx.send(Message::Binary(&vec![7; 32 << 20])).expect("open");
    });
    let mut peer = server.open("/").rude();
    peer.send_text("go");
    events.opened();
    events.text();
    // Behind all that waits nobody reads it.
    peer.send_text("more");
    let closed = events.until_closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::GOING_AWAY, Cause::Idle));
}

#[test]
fn ws_p6_a_peer_that_reads_slowly_is_not_given_up() {
    let keep_alive = KeepAlive::new(2 * MS_100, 10 * MS_100);
    let options = options().with_max_output(1 << 30, 1 << 20).with_keep_alive(keep_alive);
    let (server, events) = probe_server(options, |_, cx| {
        cx.send(Message::Binary(&vec![7; 32 << 20])).expect("open");
    });
    let mut peer = server.open("/").rude();
    peer.send_text("go");
    events.opened();
    events.text();
    let begun = Instant::now();
    let mut piece = vec![0; 256 << 10];
    // Nothing is said all the while, and not all of it is read.
    for _ in 0..90 {
        std::io::Read::read(&mut peer.stream, &mut piece).expect("more of it");
        std::thread::sleep(MS_100 / 3);
    }
    assert!(begun.elapsed() > 25 * MS_100);
    assert!(events.rest().is_empty(), "it is still open");
}

#[test]
fn ws_p6_a_worker_that_was_away_asks_before_it_gives_up() {
    let (block, _blocked) = probe(|message: Message<'_>, cx: &mut Context<'_>| {
        std::thread::sleep(18 * MS_100);
        let _ = cx.send(message);
    });
    let (open, events) = probe(echo);
    let server = Server::new(config()).handler("/block", options(), block).handler(
        "/",
        options().with_keep_alive(KeepAlive::new(MS_100, 12 * MS_100)),
        open,
    );
    let server = TestServer::start(server);
    let mut blocker = server.open("/block");
    // They answer whatever they are asked, from threads of their own.
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut peer = server.open("/");
            std::thread::spawn(move || while matches!(peer.recv(), Received::Ping(_)) {})
        })
        .collect();
    let handles: Vec<_> = (0..3).map(|_| events.opened()).collect();
    blocker.send_text("block");
    assert_eq!(blocker.recv_text(), "block");
    std::thread::sleep(16 * MS_100);
    let events = events.rest();
    assert!(events.is_empty(), "nobody is given up: {events:?}");
    for handle in handles {
        handle.send(EncodedMessage::text("bye")).expect("a worker");
    }
    for reader in readers {
        reader.join().expect("no panic");
    }
}

#[test]
fn ws_sec6_a_message_that_drips_is_cut() {
    let (server, events) = probe_server(options().with_message_timeout(Some(3 * MS_100)), silent);
    let mut peer = server.open("/").rude();
    events.opened();
    let message = masked(FIN | BINARY, &[7; 60_000]);
    let begun = Instant::now();
    let mut bytes = message.chunks(1);
    peer.write(bytes.by_ref().take(20).flatten().copied().collect::<Vec<_>>().as_slice());
    for byte in bytes {
        // Never silent for long.
        if peer.try_write(byte).is_err() || !events.rest().is_empty() {
            break;
        }
        std::thread::sleep(MS_100 / 10);
        if begun.elapsed() > 10 * MS_100 {
            break;
        }
    }
    peer.expect_close(1008);
    assert!(begun.elapsed() >= 2 * MS_100);
}

#[test]
fn ws_sec6_a_fragmented_message_that_never_ends_is_cut() {
    for checks_text in [true, false] {
        let options = options().with_message_timeout(Some(3 * MS_100)).with_checked_text(checks_text);
        let (server, _events) = probe_server(options, silent);
        let mut peer = server.open("/").rude();
        let begun = Instant::now();
        while begun.elapsed() < 8 * MS_100 {
            peer.send_fragment(MessageKind::Binary, b"more", false);
            std::thread::sleep(MS_100 / 2);
        }
        peer.expect_close(1008);
    }
}

#[test]
fn ws_sec6_a_message_taken_in_fragments_may_last() {
    let options = options().with_message_timeout(Some(2 * MS_100)).with_fragments(true);
    let (server, events) = probe_server(options, silent);
    let mut peer = server.open("/").rude();
    events.opened();
    let begun = Instant::now();
    while begun.elapsed() < 8 * MS_100 {
        peer.send_fragment(MessageKind::Binary, b"more", false);
        std::thread::sleep(MS_100 / 2);
    }
    assert!(events.rest().is_empty(), "it is still open");
}

#[test]
fn ws_sec6_many_messages_in_pieces_are_not_one_that_takes_long() {
    for checks_text in [true, false] {
        many_in_pieces(options().with_checked_text(checks_text));
    }
}

fn many_in_pieces(options: SocketOptions) {
    let timeout = 8 * MS_100;
    let (server, _events) = probe_server(options.with_message_timeout(Some(timeout)), echo);
    let mut peer = server.open("/");
    let message = masked(FIN | BINARY, &[b'x'; 300]);
    let (first, second) = message.split_at(150);
    peer.write(first);
    let (begun, mut last) = (Instant::now(), Instant::now());
    while begun.elapsed() < 2 * timeout {
        std::thread::sleep(MS_100 / 5);
        // The end of one and the beginning of the next come together, so that always one is in flight.
        peer.write(&[second, first].concat());
        match peer.recv() {
            Received::Binary(bytes) => assert_eq!(bytes.len(), 300),
            // Unless this thread was away for so long.
            other => return assert!(last.elapsed() > timeout / 2, "{other:?}"),
        }
        last = Instant::now();
    }
    peer.write(second);
    assert_eq!(peer.recv_binary().len(), 300);
}

#[test]
fn ws_p6_what_waits_unread_by_our_own_choice_is_no_silence() {
    let (server, events) = probe_server(options().with_keep_alive(KeepAlive::new(MS_100, MS_100)), |_, cx| cx.pause());
    let mut peer = server.open("/").rude();
    events.opened();
    peer.send_text("pause");
    events.text();
    peer.send_text("unread");
    // Whoever is silent after that is given up: so long it took at least.
    let _bystander = server.open("/").rude();
    events.opened();
    assert_eq!(events.closed().cause, Cause::Idle);
    assert!(events.rest().is_empty(), "only one is given up");
    peer.ping(b"it is still open");
}
