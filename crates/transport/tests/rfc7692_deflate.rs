//! permessage-deflate on the wire: what is agreed on, what is compressed, what is shared, what is refused.

mod support;

use std::sync::Arc;
use std::sync::mpsc::channel;

use support::{PATIENCE, Peer, TestServer, echo, eventually, options, probe_server, silent};
use wingbeat_transport::{
    Cause, Compression, Context, DeflateBudget, DeflateConfig, EncodedMessage, Message, SocketOptions, Turn,
};
use wingbeat_websocket::deflate::DeflateParams;
use wingbeat_websocket::{CloseCode, Limits};

const PLAIN: DeflateConfig = DeflateConfig::DEFAULT;
const TAKEOVER: DeflateConfig = PLAIN.with_server_takeover(true).with_client_takeover(true);
/// RSV1: the message is compressed (RFC 7692 §6).
const RSV1: u8 = 0x40;

fn deflating() -> SocketOptions {
    options().with_deflate(PLAIN)
}

fn open(server: &TestServer, deflate: DeflateConfig) -> Peer {
    let (peer, params) = Peer::open_deflating(server.addr(), "/", deflate);
    assert!(params.is_some(), "compression is agreed on");
    peer
}

fn long_text() -> String {
    "wing beat, wing beat. ".repeat(400)
}

#[test]
fn ws_d5_cb15_without_the_option_or_the_offer_there_is_none() {
    let (server, _events) = probe_server(options(), echo);
    let (mut peer, params) = Peer::open_deflating(server.addr(), "/", PLAIN);
    assert_eq!(params, None, "the mount does not compress");
    peer.send_text(&long_text());
    assert_eq!(peer.recv_text(), long_text());
    let (server, _events) = probe_server(deflating(), echo);
    let mut peer = server.open("/");
    peer.send_text(&long_text());
    assert_eq!(peer.peek_frame()[0] & RSV1, 0, "this client offers nothing");
    assert_eq!(peer.recv_text(), long_text());
}

#[test]
fn ws_d14_by_default_neither_side_takes_its_context_over() {
    let (server, _events) = probe_server(deflating(), echo);
    let (_, params) = Peer::open_deflating(server.addr(), "/", PLAIN);
    let answer = params.expect("agreed").to_string();
    assert!(answer.contains("server_no_context_takeover"), "{answer}");
    assert!(answer.contains("client_no_context_takeover"), "{answer}");
}

#[test]
fn ws_d23_messages_are_compressed_from_the_threshold_on() {
    let (server, _events) = probe_server(deflating(), echo);
    for deflate in [PLAIN, TAKEOVER] {
        let mut peer = open(&server, deflate);
        for _ in 0..3 {
            peer.send_text("short");
            assert_eq!(peer.peek_frame()[0] & RSV1, 0);
            assert_eq!(peer.recv_text(), "short");
            peer.send_text(&long_text());
            assert_eq!(peer.peek_frame()[0] & RSV1, RSV1);
            assert_eq!(peer.recv_text(), long_text());
            let binary = vec![7; 200_000];
            peer.send(Message::Binary(&binary));
            assert_eq!(peer.recv_binary(), binary);
        }
        assert_eq!(peer.inflated_messages(), 6);
    }
}

#[test]
fn ws_sec4_cb8_a_message_may_be_kept_from_compression() {
    let act = |message: Message<'_>, cx: &mut Context<'_>| {
        assert!(cx.is_compressed());
        cx.send_with(message, Compression::Never).expect("open");
        cx.send_text_with(|output| output.extend_from_slice(long_text().as_bytes())).expect("open");
    };
    let (server, _events) = probe_server(options().with_deflate(TAKEOVER), act);
    let mut peer = open(&server, TAKEOVER);
    for _ in 0..2 {
        peer.send_text(&long_text());
        assert_eq!(peer.peek_frame()[0] & RSV1, 0);
        assert_eq!(peer.recv_text(), long_text());
        assert_eq!(peer.peek_frame()[0] & RSV1, RSV1);
        assert_eq!(peer.recv_text(), long_text());
    }
}

#[test]
fn a_broadcast_is_compressed_once_for_each_window_size() {
    let (server, events) = probe_server(options().with_deflate(TAKEOVER), |message, cx| {
        // Compressed in the connection's own context.
        cx.send(message).expect("open");
    });
    let narrow = PLAIN.with_server_max_window_bits(10);
    let mut peers: Vec<_> = [PLAIN, PLAIN, TAKEOVER, TAKEOVER, narrow, narrow].map(|of| open(&server, of)).into();
    peers.push(server.open("/"));
    let ids: Vec<_> = peers.iter().map(|_| events.opened().id()).collect();
    for _ in 0..2 {
        for peer in &mut peers {
            // A context with takeover has a past by then, to which no shared frame may refer, and that no message after
            // a shared frame may refer to.
            peer.send_text(&long_text());
            assert_eq!(peer.recv_text(), long_text());
        }
        let (sender, counts) = channel();
        let ids = ids.clone();
        let job = move |turn: &mut Turn| {
            let before = turn.deflated_messages();
            assert_eq!(turn.send_many(ids.iter().copied(), &EncodedMessage::text(&long_text())), ids.len());
            sender.send(turn.deflated_messages() - before).expect("somebody waits");
        };
        let workers = server.running().workers();
        workers.run(workers.ids().next().expect("one"), job).expect("a worker");
        assert_eq!(counts.recv_timeout(PATIENCE), Ok(2), "once for 15 bits, once for 10");
        for peer in &mut peers {
            assert_eq!(peer.recv_text(), long_text());
        }
    }
    assert!(peers[..6].iter().all(|peer| peer.inflated_messages() == 4));
    assert_eq!(peers[6].inflated_messages(), 0);
}

#[test]
fn a_long_broadcast_is_shared_compressed_too() {
    let (server, events) = probe_server(deflating(), silent);
    let mut peers = [open(&server, PLAIN), open(&server, PLAIN), server.open("/")];
    let message = EncodedMessage::binary(&(0..3_000_000_u32).flat_map(|at| (at / 9).to_be_bytes()).collect::<Vec<_>>());
    for _ in &peers {
        events.opened().send(message.clone()).expect("a worker");
    }
    for peer in &mut peers {
        assert_eq!(peer.recv_binary().len(), 12_000_000);
    }
}

/// Bandit inflated a bomb without a limit (CVE-2026-39804).
#[test]
fn ws_d18_a_bomb_ends_its_own_connection_with_1009() {
    let limits = Limits::DEFAULT.with_max_message_bytes(64 << 10);
    let (server, events) = probe_server(deflating().with_limits(limits), silent);
    let mut bystander = open(&server, PLAIN);
    let mut peer = open(&server, PLAIN);
    let (_, _) = (events.opened(), events.opened());
    peer.send_text(&"0".repeat(1 << 20));
    peer.expect_close(1009);
    let closed = events.closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::TOO_BIG, Cause::TooBig));
    bystander.send_text(&long_text());
    assert_eq!(events.text(), long_text());
}

#[test]
fn ws_d22_cb16_past_the_budget_connections_do_without_takeover() {
    let one = Arc::new(DeflateBudget::new(500 << 10));
    let options = options().with_deflate(TAKEOVER).with_deflate_budget(one.clone());
    let (server, events) = probe_server(options, echo);
    let (mut first, first_params) = Peer::open_deflating(server.addr(), "/", TAKEOVER);
    let (mut second, second_params) = Peer::open_deflating(server.addr(), "/", TAKEOVER);
    assert!(first_params.is_some_and(DeflateParams::has_server_takeover));
    assert!(second_params.is_some_and(|params| !params.has_server_takeover() && !params.has_client_takeover()));
    for peer in [&mut first, &mut second] {
        peer.send_text(&long_text());
        assert_eq!(peer.recv_text(), long_text());
    }
    first.close(1000, "");
    first.expect_close(1000);
    while !matches!(events.next(), support::Event::Closed(_)) {}
    drop(first);
    eventually("the budget is given back", || one.free_bytes() == 500 << 10);
}
