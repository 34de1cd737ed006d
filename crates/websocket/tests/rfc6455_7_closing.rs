//! RFC 6455 §5.5.1 and §7: the closing handshake, and failing the connection.

mod peer;

use peer::{BINARY, CLIENT, CLOSE, FIN, Outcome, PING, TEXT};
use peer::{binary, check_error, close, close_payload, feed, from, masked, outcome, plain, text, to};
use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, MessageKind, ProtocolError, Received, Role};

#[test]
fn ws_c1_a_close_is_answered_with_its_code() {
    for role in [Role::Server, CLIENT] {
        for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]) {
            let outcome = outcome("code", role, &to(role, FIN | CLOSE, &close_payload(code, "why ✓")));
            assert_eq!((outcome.received, outcome.error), (vec![close(code, "why ✓")], None));
            assert_eq!(outcome.output, from(role, FIN | CLOSE, &code.to_be_bytes()));
        }
        let outcome = outcome("empty stays empty", role, &to(role, FIN | CLOSE, b""));
        assert_eq!(outcome.received, [Received::Close(None)]);
        assert_eq!(outcome.output, from(role, FIN | CLOSE, b""));
    }
}

#[test]
fn ws_c1_malformed_closes() {
    check_error("one byte", Role::Server, &masked(FIN | CLOSE, b"\x03"), ProtocolError::CloseTooShort, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let bytes = masked(FIN | CLOSE, &close_payload(code, ""));
        check_error("code", Role::Server, &bytes, ProtocolError::InvalidCloseCode(code), 1002);
    }
    let reason = [&1000_u16.to_be_bytes()[..], b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xED\xA0\x80"].concat();
    let bytes = masked(FIN | CLOSE, &reason);
    check_error("Autobahn 7.5.1", Role::Server, &bytes, ProtocolError::InvalidCloseReason, 1007);
}

#[test]
fn ws_c1_the_longest_close() {
    let longest = close_payload(1000, &"x".repeat(123));
    let outcome = outcome("Autobahn 7.3.5", Role::Server, &masked(FIN | CLOSE, &longest));
    assert_eq!(outcome.received, [close(1000, &"x".repeat(123))]);
    check_error("Autobahn 7.3.6", Role::Server, &[FIN | CLOSE, 0xFE], ProtocolError::ControlTooLong, 1002);
}

#[test]
fn ws_c2_our_close_is_the_last_thing_we_say() {
    for role in [Role::Server, CLIENT] {
        let mut connection = Connection::new(role, Limits::DEFAULT);
        let mut output = Vec::new();
        connection.close(Some(CloseFrame::new(CloseCode::GOING_AWAY, "bye")), &mut output);
        assert!(connection.is_closing() && !connection.is_done());
        // Whatever comes or is asked for now, nothing follows.
        let stream = [to(role, FIN | TEXT, b"x"), to(role, FIN | PING, b"y"), to(role, FIN | CLOSE, b"")].concat();
        output.extend(feed(&mut connection, [&stream[..]]).output);
        assert!(connection.send_text("z", &mut output).is_err());
        assert!(connection.send_fragment(MessageKind::Binary, b"z", true, &mut output).is_err());
        connection.close(None, &mut output);
        connection.fail(&ProtocolError::InvalidUtf8, &mut output);
        assert_eq!(output, from(role, FIN | CLOSE, &close_payload(1001, "bye")));
    }
}

#[test]
fn ws_c2_messages_still_come_between_the_closes() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    server.close(Some(CloseCode::NORMAL.into()), &mut Vec::new());
    let stream = [masked(FIN | BINARY, b"in flight"), masked(FIN | CLOSE, &close_payload(1000, ""))].concat();
    let outcome = feed(&mut server, stream.chunks(3));
    assert_eq!((outcome.received, outcome.output), (vec![binary(b"in flight"), close(1000, "")], vec![]));
    assert!(server.is_done());
}

#[test]
fn ws_c5_the_first_close_received_counts() {
    // Both sides close at once, for different reasons: each hears the other's.
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut client = Connection::new(CLIENT, Limits::DEFAULT);
    let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
    server.close(Some(CloseFrame::new(CloseCode::SERVICE_RESTART, "restart")), &mut to_client);
    client.close(Some(CloseFrame::new(CloseCode::GOING_AWAY, "left")), &mut to_server);
    // A second Close on the same stream is not even read.
    to_server.extend(masked(FIN | CLOSE, &close_payload(4000, "second")));
    let outcome = feed(&mut server, [&to_server[..]]);
    assert_eq!((outcome.received, outcome.output), (vec![close(1001, "left")], vec![]));
    let outcome = feed(&mut client, [&to_client[..]]);
    assert_eq!((outcome.received, outcome.output), (vec![close(1012, "restart")], vec![]));
    assert!(server.is_done() && client.is_done());
}

#[test]
fn ws_c6_nothing_is_processed_after_a_failure() {
    let stream = [masked(FIN | TEXT, b"good"), b"\x83".to_vec(), masked(FIN | TEXT, b"never")].concat();
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    let outcome = feed(&mut server, [&stream[..]]);
    assert_eq!((outcome.received, outcome.error), (vec![text("good")], Some(ProtocolError::ReservedOpcode(3))));
    assert!(!server.can_send() && !server.is_done());
    assert_eq!(server.handle_input(&mut masked(FIN | TEXT, b"never"), &mut output), Ok((11, None)));
    server.fail(&outcome.error.unwrap(), &mut output);
    assert!(server.is_done());
    let once = output.clone();
    server.fail(&ProtocolError::InvalidUtf8, &mut output);
    assert_eq!(server.handle_input(&mut masked(FIN | PING, b"never"), &mut output), Ok((11, None)));
    assert_eq!(output, once);
}

#[test]
fn ws_c6_every_kind_of_failure_ends_the_reading() {
    for (name, bad) in [
        ("a short text", masked(FIN | TEXT, b"\xFF")),
        ("a long text", masked(FIN | TEXT, &[0xFF; 300])),
        ("a fragment", masked(TEXT, b"\xFF")),
        ("a header", b"\x83".to_vec()),
        ("a limit", masked(FIN | BINARY, &[0; 2000])),
        ("a close", masked(FIN | CLOSE, b"\x03")),
    ] {
        let limits = Limits::DEFAULT.with_max_frame_bytes(1000);
        let mut server = Connection::new(Role::Server, limits);
        assert!(feed(&mut server, [&bad]).error.is_some(), "{name}");
        assert!(!server.can_send() && server.is_closing() && !server.is_done(), "{name}");
        let after = feed(&mut server, [&masked(FIN | TEXT, b"never"), &masked(FIN | PING, b"never")]);
        assert_eq!(after, Outcome::default(), "{name}");
    }
}

#[test]
fn ws_c6_a_failure_after_our_close_says_nothing_more() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    server.close(None, &mut Vec::new());
    assert_eq!(feed(&mut server, [&b"\x83"[..]]).error, Some(ProtocolError::ReservedOpcode(3)));
    let mut output = Vec::new();
    server.fail(&ProtocolError::ReservedOpcode(3), &mut output);
    assert_eq!(output, b"");
    assert!(server.is_done());
}

#[test]
fn ws_c7_the_close_of_a_failure_names_the_section() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    server.fail(&ProtocolError::InvalidUtf8, &mut output);
    let reason = "a text message is not UTF-8 (RFC 6455 §8.1)";
    assert_eq!(output, plain(FIN | CLOSE, &close_payload(1007, reason)));
}

#[test]
fn ws_c11_local_codes_never_leave() {
    for code in [CloseCode::NO_STATUS, CloseCode::ABNORMAL, CloseCode::TLS_FAILED] {
        let mut output = Vec::new();
        Connection::new(Role::Server, Limits::DEFAULT).close(Some(CloseFrame::new(code, "x")), &mut output);
        assert_eq!(output, plain(FIN | CLOSE, b""));
    }
}

/// Bun panicked over a Close in two packets (PR 23832).
#[test]
fn ws_sec38_a_close_in_pieces_and_nothing_after_it() {
    let stream = [masked(FIN | CLOSE, &close_payload(1000, "piece by piece")), b"\x83garbage".to_vec()].concat();
    let outcome = outcome("garbage after close", Role::Server, &stream);
    assert_eq!((outcome.received, outcome.error), (vec![close(1000, "piece by piece")], None));
}
