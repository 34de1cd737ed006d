//! RFC 6455 §5.4: messages in fragments, with control frames in between.

mod peer;

use peer::{BINARY, CLIENT, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};
use peer::{binary, check, check_error, close, close_payload, masked, outcome, ping, plain, pong, text, to};
use wingbeat_websocket::{Connection, Limits, MessageKind, ProtocolError, Role, SendError};

#[test]
fn ws_f15_order_of_fragments() {
    let first = ProtocolError::UnexpectedContinuation;
    for bytes in [masked(CONTINUATION, b"a"), masked(FIN | CONTINUATION, b"")] {
        check_error("continuation first", Role::Server, &bytes, first, 1002);
    }
    for second in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
        let bytes = [masked(TEXT, b"a"), masked(second, b"b")].concat();
        check_error("message within a message", Role::Server, &bytes, ProtocolError::MessageNotFinished, 1002);
    }
    let bytes = [masked(TEXT, b"a"), masked(FIN, b"b"), masked(FIN, b"c")].concat();
    let outcome = outcome("continuation after the end", Role::Server, &bytes);
    assert_eq!((outcome.received, outcome.error), (vec![text("ab")], Some(first)));
}

#[test]
fn ws_f16_fragments_of_any_size() {
    for role in [Role::Server, CLIENT] {
        let three_empty = [to(role, TEXT, b""), to(role, CONTINUATION, b""), to(role, FIN, b"")].concat();
        check("Autobahn 6.1.2", role, &three_empty, &[text("")]);
        let empty_around = [to(role, TEXT, b""), to(role, CONTINUATION, b"middle"), to(role, FIN, b"")].concat();
        check("Autobahn 6.1.3", role, &empty_around, &[text("middle")]);
        let sizes = [0, 1, 125, 126, 127, 300, 0, 5];
        let payload: Vec<u8> = (0..sizes.iter().sum()).map(|index: usize| index as u8).collect();
        let mut stream = Vec::new();
        let mut rest = &payload[..];
        for (index, size) in sizes.into_iter().enumerate() {
            let (fragment, behind) = rest.split_at(size);
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            let fin = if index + 1 == sizes.len() { FIN } else { 0 };
            stream.extend(to(role, fin | opcode, fragment));
            rest = behind;
        }
        check("sizes", role, &stream.repeat(2), &[binary(&payload), binary(&payload)]);
    }
}

#[test]
fn ws_f17_control_frames_between_fragments_keep_their_order() {
    let stream = [
        masked(TEXT, b"one "),
        masked(FIN | PING, b"p1"),
        masked(CONTINUATION, b""),
        masked(FIN | PONG, b"p2"),
        masked(FIN | PING, b""),
        masked(FIN | CONTINUATION, b"two"),
        masked(FIN | BINARY, b"three"),
    ];
    let outcome = outcome("ping between", Role::Server, &stream.concat());
    assert_eq!(outcome.received, [ping(b"p1"), pong(b"p2"), ping(b""), text("one two"), binary(b"three")]);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.output, [plain(FIN | PONG, b"p1"), plain(FIN | PONG, b"")].concat());
}

#[test]
fn ws_f17_a_close_between_fragments_ends_the_message() {
    // The fragment ends inside a character: the reason of the Close has nothing to do with it.
    let close_frame = masked(FIN | CLOSE, &close_payload(1001, "gehe schön"));
    let stream = [masked(TEXT, b"\xC3"), close_frame, masked(FIN | CONTINUATION, b"\xB6")].concat();
    let outcome = outcome("close between", Role::Server, &stream);
    assert_eq!((outcome.received, outcome.error), (vec![close(1001, "gehe schön")], None));
    assert_eq!(outcome.output, plain(FIN | CLOSE, &close_payload(1001, "")));
}

#[test]
fn ws_f18_fragments_of_two_messages_do_not_mix() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    server.send_fragment(MessageKind::Binary, b"a", false, &mut output).unwrap();
    let refused = Err(SendError::MessageNotFinished);
    assert_eq!(server.send_text("x", &mut output), refused);
    assert_eq!(server.send_binary(b"x", &mut output), refused);
    assert_eq!(server.send_with(MessageKind::Binary, &mut output, |_| unreachable!("not asked to write")), refused);
    assert_eq!(server.send_fragment(MessageKind::Text, b"x", true, &mut output), refused);
    server.send_ping(b"p", &mut output).unwrap();
    server.send_fragment(MessageKind::Binary, b"b", true, &mut output).unwrap();
    server.send_text("next", &mut output).unwrap();
    let expected =
        [plain(BINARY, b"a"), plain(FIN | PING, b"p"), plain(FIN | CONTINUATION, b"b"), plain(FIN | TEXT, b"next")];
    assert_eq!(output, expected.concat());
}

#[test]
fn ws_f20_frame_borders_do_not_show() {
    let whole = masked(FIN | TEXT, "frame borders 🐦".as_bytes());
    for at in 0.."frame borders 🐦".len() {
        let (head, tail) = "frame borders 🐦".as_bytes().split_at(at);
        let cut = [masked(TEXT, head), masked(FIN | CONTINUATION, tail)].concat();
        let cut = outcome("cut", Role::Server, &cut).received;
        assert_eq!(cut, outcome("whole", Role::Server, &whole).received, "cut at {at}");
    }
}
