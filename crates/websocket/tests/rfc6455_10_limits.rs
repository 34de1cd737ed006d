//! RFC 6455 §10.4: what one peer may cost us, at each limit, one below and one above.

mod peer;

use peer::{BINARY, CONTINUATION, FIN, KEY, TEXT};
use peer::{binary, feed, masked, outcome_with};
use wingbeat_websocket::{Connection, Limits, ProtocolError, Received, Role};

#[test]
fn ws_l1_frame_bytes() {
    let limits = Limits::DEFAULT.with_max_frame_bytes(100);
    let too_big = ProtocolError::FrameTooBig { limit: 100 };
    assert_eq!(too_big.close_code().value(), 1009);
    for (size, error) in [(99, None), (100, None), (101, Some(too_big)), (200, Some(too_big)), (70_000, Some(too_big))]
    {
        let whole = outcome_with("whole", Role::Server, limits, &masked(FIN | BINARY, &vec![1; size]));
        assert_eq!((whole.received.len(), whole.error), (usize::from(error.is_none()), error), "{size}");
        let stream = [masked(BINARY, b"a"), masked(FIN, &vec![1; size])].concat();
        let fragment = outcome_with("fragment", Role::Server, limits, &stream);
        assert_eq!((fragment.received.len(), fragment.error), (usize::from(error.is_none()), error), "{size}");
    }
}

#[test]
fn ws_l2_message_bytes() {
    let limits = Limits::DEFAULT.with_max_message_bytes(100);
    let too_big = ProtocolError::MessageTooBig { limit: 100 };
    assert_eq!(too_big.close_code().value(), 1009);
    for (size, error) in [(99, None), (100, None), (101, Some(too_big))] {
        let whole = outcome_with("whole", Role::Server, limits, &masked(FIN | TEXT, &vec![b'x'; size]));
        assert_eq!((whole.received.len(), whole.error), (usize::from(error.is_none()), error), "{size}");
        for first in [0, 1, 50, 99] {
            let stream = [masked(TEXT, &vec![b'x'; first]), masked(FIN, &vec![b'x'; size - first])].concat();
            let fragments = outcome_with("fragments", Role::Server, limits, &stream);
            assert_eq!((fragments.received.len(), fragments.error), (usize::from(error.is_none()), error), "{size}");
        }
        let half_character =
            [masked(TEXT, b"\xC3"), masked(CONTINUATION, &[b"\xB6", &vec![b'x'; size - 2][..]].concat())];
        let pending = outcome_with("pending bytes count", Role::Server, limits, &half_character.concat());
        assert_eq!(pending.error, error, "{size}");
    }
}

#[test]
fn ws_l3_fragments() {
    let limits = Limits::DEFAULT.with_max_fragments(10);
    let too_many = ProtocolError::TooManyFragments { limit: 10 };
    assert_eq!(too_many.close_code().value(), 1008);
    for (count, error) in [(9, None), (10, None), (11, Some(too_many))] {
        for payload in [&b""[..], b"x"] {
            let middle = masked(CONTINUATION, payload).repeat(count - 2);
            let stream = [masked(BINARY, payload), middle, masked(FIN, payload)].concat();
            let outcome = outcome_with("fragments", Role::Server, limits, &stream);
            assert_eq!((outcome.received.len(), outcome.error), (usize::from(error.is_none()), error), "{count}");
        }
    }
}

/// Bandit limited frames and not what they add up to (CVE-2026-42786, before 1.11.0).
#[test]
fn ws_sec25_many_small_fragments_do_not_pass_the_limit_of_the_message() {
    let limits = Limits::DEFAULT.with_max_message_bytes(1000);
    let stream = [masked(BINARY, b""), masked(CONTINUATION, &[1; 10]).repeat(101)].concat();
    let outcome = outcome_with("small", Role::Server, limits, &stream);
    assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 1000 }));
    let stream = [masked(BINARY, b""), masked(CONTINUATION, &[1; 10]).repeat(100)].concat();
    assert_eq!(outcome_with("small", Role::Server, limits, &stream).error, None);
}

/// Empty continuations kept a message of Bandit alive for ever (CVE-2026-65623), and escaped the count of fragments that ws
/// had (PR 2329). Bandit refuses them since; here they are legal, and each counts.
#[test]
fn ws_sec8_sec21_sec26_a_million_empty_continuations_end_at_the_limit() {
    let stream = [masked(BINARY, b""), masked(CONTINUATION, b"").repeat(1_000_000)].concat();
    let outcome = feed(&mut Connection::new(Role::Server, Limits::DEFAULT), [&stream[..]]);
    assert_eq!(outcome.error, Some(ProtocolError::TooManyFragments { limit: 1024 }));
}

#[test]
fn ws_sec9_a_length_alone_reserves_nothing() {
    let limits = Limits::DEFAULT.with_max_frame_bytes(usize::MAX).with_max_message_bytes(usize::MAX);
    let head = [&b"\x82\xFF"[..], &(u64::MAX >> 1).to_be_bytes(), &KEY].concat();
    let mut server = Connection::new(Role::Server, limits);
    // Reserving what is announced would abort; the message is gathered as it comes.
    let outcome = feed(&mut server, [&head[..], &[0; 5000], &[0; 5000]]);
    assert_eq!((outcome.received, outcome.error), (vec![], None));
}

/// gorilla added what was announced to what it had, past the largest number (CVE-2020-27813, before 1.4.1). Here the sum
/// ends at the largest number.
#[test]
fn ws_sec22_lengths_do_not_overflow_the_sum() {
    let limits = Limits::DEFAULT.with_max_frame_bytes(usize::MAX);
    let huge = [&b"\x80\xFF"[..], &(u64::MAX >> 1).to_be_bytes(), &KEY].concat();
    let stream = [masked(BINARY, &[1; 1000]), huge].concat();
    let outcome = outcome_with("sum", Role::Server, limits, &stream);
    assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 8 << 20 }));
}

#[test]
fn ws_sec21_gathering_costs_at_most_twice_the_payload() {
    let payload = vec![5; 100_000];
    let frame = masked(FIN | BINARY, &payload);
    for size in [1, 1000, 4096, 65_536] {
        let mut server = Connection::new(Role::Server, Limits::DEFAULT);
        let mut input = Vec::new();
        let mut message = None;
        for piece in frame.chunks(size) {
            input.extend_from_slice(piece);
            let (used, received) = server.handle_input(&mut input, &mut Vec::new()).unwrap();
            message = received.map(Received::into_owned);
            input.drain(..used);
        }
        let Some(Received::Binary(gathered)) = message else { panic!("no message") };
        let gathered = gathered.into_owned();
        assert!(gathered == payload && gathered.capacity() <= 2 * payload.len(), "{}", gathered.capacity());
    }
}

#[test]
fn limits_can_change_between_messages() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT.with_max_message_bytes(10));
    assert_eq!(feed(&mut server, [&masked(FIN | BINARY, &[1; 10])[..]]).received, [binary(&[1; 10])]);
    server.set_limits(Limits::DEFAULT.with_max_message_bytes(5));
    assert_eq!(server.limits().max_message_bytes, 5);
    let outcome = feed(&mut server, [&masked(FIN | BINARY, &[1; 6])[..]]);
    assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 5 }));
}

#[test]
fn a_message_in_flight_over_a_lowered_limit_is_refused() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    assert_eq!(feed(&mut server, [&masked(BINARY, &[1; 100])[..]]).error, None);
    server.set_limits(Limits::DEFAULT.with_max_message_bytes(50));
    let outcome = feed(&mut server, [&masked(FIN, b"")[..]]);
    assert_eq!(outcome.error, Some(ProtocolError::MessageTooBig { limit: 50 }));
}

#[test]
fn an_idle_connection_is_small_and_owns_no_heap() {
    assert!(size_of::<Connection>() <= 48, "{} bytes", size_of::<Connection>());
}
