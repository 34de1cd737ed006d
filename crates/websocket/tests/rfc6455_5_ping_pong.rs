//! RFC 6455 §5.5.2 and §5.5.3: Pings are answered, Pongs are not.

mod peer;

use peer::{BINARY, CLIENT, CLOSE, FIN, PING, PONG};
use peer::{feed, from, masked, outcome, ping, plain, pong, to};
use wingbeat_websocket::{Connection, Limits, Received, Role};

#[test]
fn ws_p1_a_pong_carries_the_payload_of_the_ping() {
    for role in [Role::Server, CLIENT] {
        for payload in [&b""[..], b"x", b"\x00\xFF\xFE\xFD", &[0xAB; 124], &[0xAB; 125]] {
            let outcome = outcome("ping", role, &to(role, FIN | PING, payload));
            assert_eq!(outcome.received, [ping(payload)]);
            assert_eq!(outcome.output, from(role, FIN | PONG, payload));
        }
    }
}

#[test]
fn ws_p1_no_pong_after_the_peer_closed() {
    let stream = [masked(FIN | CLOSE, b""), masked(FIN | PING, b"late")].concat();
    let outcome = outcome("ping after close", Role::Server, &stream);
    assert_eq!((outcome.received, outcome.output), (vec![Received::Close(None)], plain(FIN | CLOSE, b"")));
}

#[test]
fn ws_p2_pongs_leave_in_order_at_once() {
    let pings: Vec<[u8; 1]> = (0..10).map(|count| [count]).collect();
    let stream: Vec<u8> = pings.iter().flat_map(|payload| masked(FIN | PING, payload)).collect();
    let outcome = outcome("Autobahn 2.10", Role::Server, &stream);
    let pongs: Vec<u8> = pings.iter().flat_map(|payload| plain(FIN | PONG, payload)).collect();
    assert_eq!(outcome.output, pongs);
}

#[test]
fn ws_p3_a_flood_of_pings_stops_when_the_caller_stops() {
    // One Ping a call: a caller whose output is full asks no more, and the rest stays in its input.
    let mut input = masked(FIN | PING, &[7; 125]).repeat(10_000);
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    let (used, received) = server.handle_input(&mut input, &mut output).unwrap();
    assert_eq!((used, received), (2 + 4 + 125, Some(ping(&[7; 125]))));
    assert_eq!(output, plain(FIN | PONG, &[7; 125]));
}

#[test]
fn ws_p4_a_pong_is_told_and_not_answered() {
    for role in [Role::Server, CLIENT] {
        let stream = [to(role, FIN | PONG, b"unasked"), to(role, FIN | PONG, b"")].concat();
        let outcome = outcome("pong", role, &stream);
        assert_eq!((outcome.received, outcome.output), (vec![pong(b"unasked"), pong(b"")], vec![]));
    }
}

#[test]
fn ws_p5_a_ping_after_our_close_is_told_and_not_answered() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    server.close(None, &mut Vec::new());
    let outcome = feed(&mut server, [&masked(FIN | PING, b"still there?")[..]]);
    assert_eq!((outcome.received, outcome.output, outcome.error), (vec![ping(b"still there?")], vec![], None));
}

#[test]
fn pings_of_one_stream_borrow_their_payload() {
    let mut input = [masked(FIN | PING, b"borrowed"), masked(FIN | BINARY, b"borrowed")].concat();
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let (used, received) = server.handle_input(&mut input, &mut Vec::new()).unwrap();
    assert!(matches!(received, Some(Received::Ping(std::borrow::Cow::Borrowed(b"borrowed")))));
    let (_, received) = server.handle_input(&mut input[used..], &mut Vec::new()).unwrap();
    assert!(matches!(received, Some(Received::Binary(std::borrow::Cow::Borrowed(b"borrowed")))));
}
