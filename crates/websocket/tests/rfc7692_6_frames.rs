//! RFC 7692 §6: which frames may say that they are compressed, and what may come between them.

#![cfg(feature = "deflate")]

mod deflating;
mod peer;

use deflating::{HELLO, HELLO_FINAL, NO_TAKEOVER, RSV1, connection, feed_with, outcome, outcome_with};
use peer::{BINARY, CLIENT, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};
use peer::{binary, close, close_payload, ping, pong, text, to};
use wingbeat_websocket::deflate::DeflatePool;
use wingbeat_websocket::{Connection, Limits, ProtocolError, Role};

const ROLES: [Role; 2] = [Role::Server, CLIENT];

#[track_caller]
fn check_error(role: Role, bytes: &[u8], error: ProtocolError, code: u16) {
    let outcome = outcome(role, bytes);
    assert_eq!((outcome.received, outcome.error), (vec![], Some(error)), "{bytes:02x?}");
    assert_eq!(error.close_code().value(), code);
}

#[test]
fn ws_f5_only_the_first_reserved_bit_has_a_meaning() {
    for role in ROLES {
        for bits in 1..8_u8 {
            let first = FIN | bits << 4 | TEXT;
            let outcome = outcome(role, &to(role, first, &HELLO));
            if first & !FIN == RSV1 | TEXT {
                assert_eq!((outcome.received, outcome.error), (vec![text("Hello")], None));
            } else {
                assert_eq!(outcome.error, Some(ProtocolError::ReservedBits(first)));
            }
            // One byte is enough to tell.
            let early = deflating::outcome(role, &[first]).error;
            assert_eq!(early.is_some(), bits != 4, "{first:#x}");
        }
    }
}

#[test]
fn ws_f5_without_the_extension_no_message_is_compressed() {
    for role in ROLES {
        let mut connection = Connection::new(role, Limits::DEFAULT);
        let bytes = to(role, FIN | RSV1 | TEXT, &HELLO);
        let outcome = feed_with(&mut connection, &mut DeflatePool::default(), [bytes]);
        assert_eq!(outcome.error, Some(ProtocolError::ReservedBits(FIN | RSV1 | TEXT)));
    }
}

#[test]
fn ws_f14_control_frames_are_not_compressed() {
    for role in ROLES {
        for opcode in [CLOSE, PING, PONG] {
            for payload in [&b""[..], &HELLO] {
                for first in [FIN | RSV1 | opcode, RSV1 | opcode] {
                    check_error(role, &to(role, first, payload), ProtocolError::ReservedBits(first), 1002);
                }
            }
        }
    }
}

#[test]
fn ws_f15_continuations_do_not_say_that_they_are_compressed() {
    for role in ROLES {
        for first in [RSV1 | TEXT, TEXT, RSV1 | BINARY, BINARY] {
            for next in [RSV1 | CONTINUATION, FIN | RSV1 | CONTINUATION] {
                let bytes = [to(role, first, b"abc"), to(role, next, b"def")].concat();
                check_error(role, &bytes, ProtocolError::ReservedBits(next), 1002);
            }
        }
        let alone = FIN | RSV1 | CONTINUATION;
        check_error(role, &to(role, alone, &HELLO), ProtocolError::ReservedBits(alone), 1002);
        let twice = to(role, RSV1 | TEXT, &HELLO).repeat(2);
        check_error(role, &twice, ProtocolError::MessageNotFinished, 1002);
    }
}

#[test]
fn ws_f16_compressed_fragments_of_any_size() {
    for role in ROLES {
        for cut in 0..=HELLO.len() {
            let (first, last) = HELLO.split_at(cut);
            let bytes = [
                to(role, RSV1 | TEXT, first),
                to(role, CONTINUATION, b""),
                to(role, CONTINUATION, last),
                to(role, FIN | CONTINUATION, b""),
                to(role, FIN | TEXT, b"plain"),
            ];
            let outcome = outcome(role, &bytes.concat());
            assert_eq!((outcome.received, outcome.error), (vec![text("Hello"), text("plain")], None), "cut at {cut}");
        }
    }
}

#[test]
fn ws_f17_control_frames_inside_a_compressed_message() {
    for role in ROLES {
        let bytes = [
            to(role, RSV1 | TEXT, &HELLO[..3]),
            to(role, FIN | PING, b"one"),
            to(role, CONTINUATION, &HELLO[3..5]),
            to(role, FIN | PONG, b"two"),
            to(role, FIN | PING, b""),
            to(role, FIN | CONTINUATION, &HELLO[5..]),
            to(role, RSV1 | BINARY, &HELLO_FINAL[..1]),
            to(role, FIN | CLOSE, &close_payload(1000, "bye")),
        ];
        let outcome = outcome(role, &bytes.concat());
        let expected = [ping(b"one"), pong(b"two"), ping(b""), text("Hello"), close(1000, "bye")];
        assert_eq!((outcome.received.as_slice(), outcome.error), (&expected[..], None));
        let answers = [
            peer::from(role, FIN | PONG, b"one"),
            peer::from(role, FIN | PONG, b""),
            peer::from(role, FIN | CLOSE, &1000_u16.to_be_bytes()),
        ];
        assert_eq!(outcome.output, answers.concat());
    }
}

#[test]
fn ws_f21_text_is_checked_when_it_is_inflated() {
    // A stored block each: a whole character, half of one, none.
    let stored = |payload: &[u8]| {
        let len = payload.len() as u8;
        [&[0, len, 0, !len, 0xFF], payload, &[0]].concat()
    };
    for role in ROLES {
        let message = |first: u8, payload: &[u8]| to(role, first, &stored(payload));
        let outcome = outcome(role, &message(FIN | RSV1 | TEXT, "größe".as_bytes()));
        assert_eq!(outcome.received, [text("größe")]);
        for bad in [&b"\xC3"[..], b"\xFF", b"a\xED\xA0\x80"] {
            check_error(role, &message(FIN | RSV1 | TEXT, bad), ProtocolError::InvalidUtf8, 1007);
            let bytes = [message(RSV1 | TEXT, bad), to(role, FIN, b"")].concat();
            check_error(role, &bytes, ProtocolError::InvalidUtf8, 1007);
            let outcome = deflating::outcome(role, &message(FIN | RSV1 | BINARY, bad));
            assert_eq!((outcome.received, outcome.error), (vec![binary(bad)], None));
        }
    }
}

#[test]
fn ws_c6_nothing_is_inflated_after_a_failure() {
    let bytes = [to(Role::Server, FIN | RSV1 | TEXT, b"\xFF"), to(Role::Server, FIN | RSV1 | TEXT, &HELLO)].concat();
    let mut pool = DeflatePool::new(NO_TAKEOVER);
    let mut server = connection(Role::Server, NO_TAKEOVER);
    assert_eq!(feed_with(&mut server, &mut pool, [&bytes]).error, Some(ProtocolError::InvalidDeflate));
    assert_eq!(pool.inflated_messages(), 1);
    let outcome = feed_with(&mut server, &mut pool, [&bytes]);
    assert_eq!((outcome.received, outcome.error, outcome.output), (vec![], None, vec![]));
    assert_eq!(pool.inflated_messages(), 1);
}

#[test]
fn without_a_pool_at_hand_it_works_as_well() {
    for config in [NO_TAKEOVER, deflating::TAKEOVER] {
        let mut server = connection(Role::Server, config);
        let bytes = to(Role::Server, FIN | RSV1 | TEXT, &HELLO);
        assert_eq!(peer::feed(&mut server, [&bytes]).received, [text("Hello")]);
        let bad = to(Role::Server, FIN | RSV1 | TEXT, b"\xFF");
        assert_eq!(peer::feed(&mut server, [&bad]).error, Some(ProtocolError::InvalidDeflate));
    }
}

#[test]
fn limits_of_fragments_hold_for_compressed_ones() {
    let limits = Limits::DEFAULT.with_max_fragments(3).with_max_frame_bytes(7);
    for (fragments, error) in [(3, None), (4, Some(ProtocolError::TooManyFragments { limit: 3 }))] {
        let middle = to(Role::Server, CONTINUATION, b"").repeat(fragments - 2);
        let bytes = [to(Role::Server, RSV1 | TEXT, &HELLO), middle, to(Role::Server, FIN, b"")].concat();
        assert_eq!(outcome_with(Role::Server, NO_TAKEOVER, limits, &bytes).error, error);
    }
    let bytes = to(Role::Server, FIN | RSV1 | TEXT, &HELLO_FINAL);
    let outcome = outcome_with(Role::Server, NO_TAKEOVER, limits, &bytes);
    assert_eq!(outcome.error, Some(ProtocolError::FrameTooBig { limit: 7 }));
}
