//! Servers that leave without hurry.

mod support;

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::{Event, Events, PATIENCE, Peer, config, echo, options, probe, silent, upgrade, wait_for};
use wingbeat_transport::{Answer, Cause, Config, Drain, Mount, Request, Running, Server, not_found};
use wingbeat_websocket::{CloseCode, Received};

fn server(config: Config) -> (Running, SocketAddr, Events) {
    let (open, events) = probe(echo);
    let running = Server::new(config).handler("/", options(), open).start(not_found()).expect("a loopback port");
    let addr = running.local_addr();
    (running, addr, events)
}

/// Leaves on a thread of its own, and says how long that took.
fn drain(mut running: Running, drain: Drain) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let begun = Instant::now();
        wait_for(running.drain(drain));
        begun.elapsed()
    })
}

#[test]
fn ws_c11_a_drain_closes_in_batches_with_its_code() {
    let (running, addr, events) = server(config().with_threads(2));
    let (closed, order) = channel();
    let peers: Vec<_> = (0..12)
        .map(|_| {
            let mut peer = Peer::open(addr, "/");
            let closed = closed.clone();
            std::thread::spawn(move || {
                let Received::Close(Some(frame)) = peer.recv() else { panic!("expected Close") };
                assert_eq!((frame.code(), frame.reason()), (CloseCode::SERVICE_RESTART, "back soon"));
                let _ = closed.send(Instant::now());
                peer.expect_fin();
            })
        })
        .collect();
    (0..12).for_each(|_| drop(events.opened()));
    let plan = Drain::default().with_code(CloseCode::SERVICE_RESTART, "back soon");
    // Each of two workers closes one at a time, and one of them has six or more.
    let leaving = drain(running, plan.with_batches(2, Duration::from_millis(100)).with_within(PATIENCE));
    let mut times: Vec<_> = (0..12).map(|_| order.recv_timeout(PATIENCE).expect("all are closed")).collect();
    times.sort();
    assert!(times[11] - times[0] >= Duration::from_millis(5 * 50), "{times:?}");
    peers.into_iter().for_each(|peer| peer.join().expect("no panic"));
    let took = leaving.join().expect("no panic");
    assert!(took < PATIENCE / 2, "it ends when the last is gone: {took:?}");
    for _ in 0..12 {
        assert_eq!(events.until_closed().cause, Cause::Shutdown);
    }
    std::net::TcpStream::connect(addr).expect_err("nobody listens any more");
}

#[test]
fn a_drain_that_is_too_slow_hurries_at_half_of_its_time() {
    let (running, addr, _events) = server(config());
    let mut peers: Vec<_> = (0..5).map(|_| Peer::open(addr, "/")).collect();
    let plan = Drain::default().with_batches(1, Duration::from_secs(3600)).with_within(Duration::from_secs(6));
    let begun = Instant::now();
    let leaving = drain(running, plan);
    for peer in &mut peers {
        peer.expect_close(1012);
        peer.expect_fin();
    }
    assert!(begun.elapsed() >= Duration::from_secs(2));
    drop(peers);
    assert!(leaving.join().expect("no panic") < Duration::from_secs(6), "all have answered");
}

#[test]
fn a_drain_can_be_cut_short() {
    let (mut running, addr, events) = server(config());
    let mut peer = Peer::open(addr, "/").rude();
    events.opened();
    let begun = Instant::now();
    wait_for(async {
        let patient = Drain::default().with_within(Duration::from_secs(3600));
        // The peer answers no Close, so this would take an hour.
        tokio::time::timeout(Duration::from_millis(200), running.drain(patient)).await.expect_err("it waits");
        running.shutdown(CloseCode::GOING_AWAY, "", Duration::ZERO).await;
    });
    assert!(begun.elapsed() < PATIENCE / 2);
    peer.expect_close(1012);
    assert_eq!(events.closed().cause, Cause::Shutdown);
}

/// Never decides.
struct Undecided;

impl Mount for Undecided {
    fn handle_request(&self, _: Request) -> Answer {
        Answer::Later(Box::pin(std::future::pending()))
    }
}

#[test]
fn who_is_not_open_yet_gets_an_answer() {
    let (open, events) = probe(silent);
    let server = Server::new(config()).handler("/", options(), open).mount("/undecided", Undecided);
    let running = server.start(not_found()).expect("a loopback port");
    let addr = running.local_addr();
    let mut undecided = Peer::connect(addr);
    undecided.write(upgrade("/undecided", addr, "").as_bytes());
    let (mut half, mut mute) = (Peer::connect(addr), Peer::connect(addr));
    let request = upgrade("/", addr, "");
    let (first, second) = request.split_at(30);
    half.write(first.as_bytes());
    // Whoever came before has been seen.
    let mut last = Peer::open(addr, "/");
    events.opened();
    let leaving = drain(running, Drain::default());
    assert_eq!(undecided.response().status, 503);
    last.expect_close(1012);
    // Its connection was taken, so its request is, too; it is told at once that it should come back.
    half.write(second.as_bytes());
    assert_eq!(half.response().status, 101);
    half.expect_close(1012);
    half.expect_fin();
    mute.expect_fin();
    drop((undecided, half, mute, last));
    assert!(leaving.join().expect("no panic") < PATIENCE / 2, "nobody is waited for who says nothing");
}

#[test]
fn who_waited_to_be_accepted_is_served_and_closed() {
    let (block, blocked) = probe(|_, _| std::thread::sleep(Duration::from_millis(700)));
    let (open, _events) = probe(silent);
    let server = Server::new(config()).handler("/block", options(), block).handler("/", options(), open);
    let running = server.start(not_found()).expect("a loopback port");
    let addr = running.local_addr();
    let mut blocker = Peer::open(addr, "/block");
    blocker.send_text("now");
    blocked.opened();
    assert_eq!(blocked.text(), "now", "the worker is in the callback, and accepts nobody");
    let mut waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut peer = Peer::connect(addr);
            peer.write(upgrade("/", addr, "").as_bytes());
            peer
        })
        .collect();
    let leaving = drain(running, Drain::default().with_batches(1000, Duration::from_millis(10)));
    for peer in &mut waiting {
        assert_eq!(peer.response().status, 101);
        peer.expect_close(1012);
        peer.expect_fin();
    }
    blocker.expect_close(1012);
    drop((blocker, waiting));
    leaving.join().expect("no panic");
}

#[test]
fn a_new_server_takes_the_port_while_the_old_one_leaves() {
    let shared = config().with_shared_port(true);
    let (old, addr, _old) = server(shared.clone());
    let mut before = Peer::open(addr, "/");
    let (new, same, new_events) = server(shared.with_listen(addr));
    assert_eq!(addr, same);
    let leaving = drain(old, Drain::default());
    before.expect_close(1012);
    drop(before);
    leaving.join().expect("no panic");
    for _ in 0..20 {
        let mut peer = Peer::open(addr, "/");
        peer.send_text("hello");
        assert_eq!(peer.recv_text(), "hello");
    }
    let opened = new_events.rest().into_iter().filter(|event| matches!(event, Event::Opened(_))).count();
    assert_eq!(opened, 20, "the new one has all of them");
    wait_for(new.shutdown(CloseCode::GOING_AWAY, "", Duration::ZERO));
}
