//! Peers that say too much.

mod support;

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use support::{
    BINARY, FIN, PATIENCE, PING, TEXT, TestServer, config, echo, masked, options, probe, probe_server, silent,
};
use wingbeat_transport::{
    Cause, ConnectionHandle, Context, Handler, Info, Message, RateLimit, RateLimitAction, Server,
};
use wingbeat_websocket::{CloseCode, Received};

/// So slow that nothing is added while a test runs.
const NO_MORE: u32 = 1;

fn messages(count: usize) -> Vec<u8> {
    (0..count).flat_map(|index| masked(FIN | TEXT, index.to_string().as_bytes())).collect()
}

#[test]
fn ws_l10_sec7_a_message_too_many_closes_with_1008_and_is_not_delivered() {
    let limit = RateLimit::default().with_messages(NO_MORE, 500);
    let (server, events) = probe_server(options().with_rate_limit(limit), silent);
    let mut peer = server.open("/");
    events.opened();
    let begun = Instant::now();
    peer.write(&messages(700));
    peer.expect_close(1008);
    peer.expect_fin();
    let allowed = 500 + begun.elapsed().as_secs() as usize + 1;
    let mut heard = 0;
    let closed = loop {
        match events.next() {
            support::Event::Text(text) => {
                assert_eq!(text, heard.to_string());
                heard += 1;
            }
            support::Event::Closed(closed) => break closed,
            other => panic!("{other:?}"),
        }
    };
    assert!((500..=allowed).contains(&heard), "{heard}");
    assert_eq!((closed.code, closed.cause), (CloseCode::POLICY, Cause::Protocol));
}

#[test]
fn ws_l10_sec7_pings_count() {
    let limit = RateLimit::default().with_messages(NO_MORE, 100);
    let (server, _events) = probe_server(options().with_rate_limit(limit), silent);
    let mut peer = server.open("/").rude();
    peer.write(&masked(FIN | PING, b"").repeat(1000));
    let mut pongs = 0;
    let code = loop {
        match peer.recv() {
            Received::Pong(_) => pongs += 1,
            Received::Close(frame) => break frame.expect("a code").code(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, CloseCode::POLICY);
    assert!((100..110).contains(&pongs), "{pongs}");
}

#[test]
fn ws_l10_bytes_count_in_pieces_too() {
    let limit = RateLimit::default().with_bytes(NO_MORE, 100_000);
    let (server, events) = probe_server(options().with_rate_limit(limit), silent);
    let mut peer = server.open("/").rude();
    events.opened();
    // One message may be larger than what is left; the next is not taken.
    peer.write(&masked(FIN | BINARY, &[7; 90_000]));
    peer.write(&masked(FIN | BINARY, &[8; 90_000]));
    let _ = peer.try_write(&masked(FIN | BINARY, &[9; 10]));
    peer.expect_close(1008);
    let closed = events.until_closed();
    assert_eq!(closed.cause, Cause::Protocol);
}

#[test]
fn ws_l10_who_keeps_to_it_is_not_disturbed() {
    let limit = RateLimit::default().with_messages(20, 20).with_bytes(2000, 2000);
    let (server, _events) = probe_server(options().with_rate_limit(limit), echo);
    let mut peer = server.open("/");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        peer.send_text("within");
        assert_eq!(peer.recv_text(), "within");
        std::thread::sleep(Duration::from_millis(60));
    }
}

#[test]
fn ws_l10_paused_peers_lose_nothing_and_get_no_more_than_their_rate() {
    let limit = RateLimit::default().with_messages(100, 50).with_action(RateLimitAction::Pause);
    let (limited, _limited) = probe(echo);
    let (free, _free) = probe(echo);
    let server = Server::new(config())
        .handler("/limited", options().with_rate_limit(limit).with_idle_timeout(Some(PATIENCE)), limited)
        .handler("/free", options(), free);
    let server = TestServer::start(server);
    let (mut peer, mut bystander) = (server.open("/limited"), server.open("/free"));
    let begun = Instant::now();
    peer.write(&messages(150));
    bystander.send_text("unharmed");
    assert_eq!(bystander.recv_text(), "unharmed");
    for index in 0..150 {
        assert_eq!(peer.recv_text(), index.to_string(), "in order, none missing");
        let allowed = 50.0 + 100.0 * (begun.elapsed().as_secs_f64() + 0.05);
        assert!(f64::from(index) <= allowed, "{index} after {:?}", begun.elapsed());
    }
    assert!(begun.elapsed() >= Duration::from_millis(900));
    peer.close(1000, "");
    peer.expect_close(1000);
}

/// Pauses at "2", resumes when told anything, and tells what it hears.
struct Pausing(Sender<String>, Sender<ConnectionHandle>);

impl Handler for Pausing {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = self.1.send(cx.handle());
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        if let Message::Text(text) = message {
            let _ = self.0.send(text.to_owned());
        }
        if message == Message::Text("2") {
            cx.pause();
        }
    }

    fn handle_info(&mut self, _: Info, cx: &mut Context<'_>) {
        cx.resume();
    }
}

#[test]
fn ws_l10_a_pause_of_the_application_outlasts_that_of_the_limit() {
    let limit = RateLimit::default().with_messages(50, 5).with_action(RateLimitAction::Pause);
    let ((heard, messages_heard), (opened, handles)) = (channel(), channel());
    let open = move |_: &_| Ok(Pausing(heard.clone(), opened.clone()));
    let server = Server::new(config()).handler("/", options().with_rate_limit(limit), open);
    let server = TestServer::start(server);
    let mut peer = server.open("/");
    let handle = handles.recv_timeout(PATIENCE).expect("it opens");
    peer.write(&messages(20));
    let next = || messages_heard.recv_timeout(PATIENCE).expect("a message");
    assert_eq!([next(), next(), next()], ["0", "1", "2"]);
    // Longer than the limit would have kept it waiting.
    assert!(messages_heard.recv_timeout(Duration::from_millis(300)).is_err(), "it reads nothing");
    handle.info(()).expect("a worker");
    for index in 3..20 {
        assert_eq!(next(), index.to_string());
    }
}
