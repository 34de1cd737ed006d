//! RFC 6455 §5.1-5.3 and §5.5: what a frame looks like, and what is refused at which byte.

mod peer;

use peer::{BINARY, CLIENT, CLOSE, CONTINUATION, FIN, KEY, PING, PONG, TEXT};
use peer::{binary, check, check_error, feed, masked, outcome, outcome_with, ping, plain, text};
use wingbeat_websocket::{
    Connection, Limits, MessageKind, Opcode, ProtocolError, Role, SendError, encode_server_frame,
    encode_server_frame_with,
};

/// Around every change of the header's form, and beyond.
const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 1000, 65_535, 65_536, 65_537];

#[test]
fn ws_f1_unmasked_frames_of_a_client() {
    let not_masked = ProtocolError::NotMasked;
    check_error("RFC 6455 §5.7", Role::Server, b"\x81\x05Hello", not_masked, 1002);
    check_error("empty", Role::Server, b"\x82\x00", not_masked, 1002);
    check_error("control", Role::Server, b"\x89\x00", not_masked, 1002);
}

/// The check of Bandit for unmasked frames looked at another form of the header than came (GHSA-rhh8-5xw9-c3gm). Here it is
/// made on the second byte, whatever form of length follows.
#[test]
fn ws_sec27_unmasked_frames_in_every_form_of_the_length() {
    for size in [5, 300, 70_000] {
        check_error("whole", Role::Server, &plain(FIN | BINARY, &vec![7; size]), ProtocolError::NotMasked, 1002);
    }
    for second in [0, 1, 125, 126, 127] {
        check_error("two bytes", Role::Server, &[FIN | TEXT, second], ProtocolError::NotMasked, 1002);
    }
}

#[test]
fn ws_f2_masked_frames_of_a_server() {
    for payload in [&b""[..], b"Hello", &[7; 300], &[7; 70_000]] {
        check_error("data", CLIENT, &masked(FIN | TEXT, payload), ProtocolError::Masked, 1002);
    }
    check_error("control", CLIENT, &masked(FIN | PING, b""), ProtocolError::Masked, 1002);
}

#[test]
fn ws_f3_a_server_masks_nothing_it_sends() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    let mut expected = Vec::new();
    server.send_text("a", &mut output).unwrap();
    expected.extend(plain(FIN | TEXT, b"a"));
    server.send_binary(&[7; 200], &mut output).unwrap();
    expected.extend(plain(FIN | BINARY, &[7; 200]));
    server.send_with(MessageKind::Text, &mut output, |payload| payload.extend_from_slice(b"b")).unwrap();
    expected.extend(plain(FIN | TEXT, b"b"));
    server.send_fragment(MessageKind::Binary, b"c", false, &mut output).unwrap();
    expected.extend(plain(BINARY, b"c"));
    server.send_ping(b"", &mut output).unwrap();
    expected.extend(plain(FIN | PING, b""));
    server.send_pong(b"d", &mut output).unwrap();
    expected.extend(plain(FIN | PONG, b"d"));
    output.extend(feed(&mut server, [&masked(FIN | PING, b"e")[..]]).output);
    expected.extend(plain(FIN | PONG, b"e"));
    server.close(None, &mut output);
    expected.extend(plain(FIN | CLOSE, b""));
    assert_eq!(output, expected);
}

#[test]
fn ws_f4_a_client_masks_everything_it_sends() {
    let mut client = Connection::new(CLIENT, Limits::DEFAULT);
    let mut output = Vec::new();
    let mut expected = Vec::new();
    client.send_text("Hello", &mut output).unwrap();
    expected.extend(b"\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58");
    client.send_with(MessageKind::Text, &mut output, |payload| payload.extend_from_slice(&[b'x'; 300])).unwrap();
    expected.extend(masked(FIN | TEXT, &[b'x'; 300]));
    client.send_fragment(MessageKind::Binary, b"c", true, &mut output).unwrap();
    expected.extend(masked(FIN | BINARY, b"c"));
    client.send_ping(b"", &mut output).unwrap();
    expected.extend(masked(FIN | PING, b""));
    output.extend(feed(&mut client, [&plain(FIN | PING, b"e")[..]]).output);
    expected.extend(masked(FIN | PONG, b"e"));
    client.close(None, &mut output);
    expected.extend(masked(FIN | CLOSE, b""));
    assert_eq!(output, expected);
}

#[test]
fn ws_f5_reserved_bits() {
    for bits in 1..8_u8 {
        for (role, length) in [(Role::Server, 0x80), (CLIENT, 0x00)] {
            for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
                let first = FIN | bits << 4 | opcode;
                check_error("reserved bits", role, &[first, length], ProtocolError::ReservedBits(first), 1002);
            }
        }
    }
    // Also between fragments, where RSV1 would not even be allowed with compression (RFC 7692 §6.1).
    let stream = [masked(TEXT, b"a"), masked(0x40 | FIN, b"b")].concat();
    assert_eq!(outcome("continuation", Role::Server, &stream).error, Some(ProtocolError::ReservedBits(0xC0)));
}

#[test]
fn ws_f6_reserved_opcodes() {
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        for fin in [0, FIN] {
            check_error("opcode", Role::Server, &[fin | opcode], ProtocolError::ReservedOpcode(opcode), 1002);
        }
    }
}

#[test]
fn ws_f7_lengths_in_their_shortest_form() {
    for (name, head, error) in [
        ("125 in 16 bits", &b"\x82\xFE\x00\x7D"[..], ProtocolError::LengthNotMinimal(125)),
        ("0 in 16 bits", b"\x82\xFE\x00\x00", ProtocolError::LengthNotMinimal(0)),
        ("65535 in 64 bits", b"\x82\xFF\0\0\0\0\0\0\xFF\xFF", ProtocolError::LengthNotMinimal(65_535)),
        ("1 in 64 bits", b"\x82\xFF\0\0\0\0\0\0\0\x01", ProtocolError::LengthNotMinimal(1)),
    ] {
        check_error(name, Role::Server, head, error, 1002);
    }
}

#[test]
fn ws_f8_the_top_bit_of_a_length() {
    for (length, high) in [(1 << 63, 0x80), (u64::MAX, 0xFF)] {
        let head = [&[0x82, 0xFF][..], &u64::to_be_bytes(length)].concat();
        assert_eq!(head[2], high);
        check_error("top bit", Role::Server, &head, ProtocolError::LengthOverflow(length), 1002);
    }
}

#[test]
fn ws_f9_encoder_uses_the_shortest_form() {
    for size in SIZES {
        let payload = vec![b'x'; size];
        let expected = plain(FIN | BINARY, &payload);

        let mut frame = Vec::new();
        encode_server_frame(Opcode::Binary, &payload, &mut frame);
        assert!(frame == expected, "{size}");

        let mut behind = b"before".to_vec();
        encode_server_frame_with(Opcode::Binary, &mut behind, |output| output.extend_from_slice(&payload));
        assert!(behind == [b"before", &expected[..]].concat(), "{size}");

        let mut sent = Vec::new();
        Connection::new(Role::Server, Limits::DEFAULT).send_binary(&payload, &mut sent).unwrap();
        assert!(sent == expected, "{size}");
        check("plain", CLIENT, &sent, &[binary(&payload)]);

        let mut sent = Vec::new();
        Connection::new(CLIENT, Limits::DEFAULT).send_binary(&payload, &mut sent).unwrap();
        assert!(sent == masked(FIN | BINARY, &payload), "{size}");
        check("masked", Role::Server, &sent, &[binary(&payload)]);
    }
}

#[test]
fn ws_f10_each_frame_asks_for_a_key() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let counting = Role::Client { mask_key: || ASKED.fetch_add(1, Ordering::Relaxed).to_be_bytes() };
    let mut client = Connection::new(counting, Limits::DEFAULT);
    let mut output = Vec::new();
    for _ in 0..10_000 {
        client.send_binary(b"", &mut output).unwrap();
    }
    let keys = output.chunks(6).map(|frame| u32::from_be_bytes([frame[2], frame[3], frame[4], frame[5]]));
    assert!(keys.eq(0..10_000));
}

#[test]
fn ws_f11_masking_keeps_its_place_across_pieces() {
    // A payload as long as several SIMD registers, cut everywhere by `check`, at every alignment of the buffer.
    let payload: Vec<u8> = (0..200).collect();
    for offset in 0..8 {
        let stream = [masked(FIN | BINARY, &payload[..offset]), masked(FIN | BINARY, &payload)].concat();
        check("offsets", Role::Server, &stream, &[binary(&payload[..offset]), binary(&payload)]);
    }
}

#[test]
fn ws_f12_examples_of_5_7() {
    for (name, role, bytes, expected) in [
        ("unmasked text", CLIENT, &b"\x81\x05Hello"[..], text("Hello")),
        ("masked text", Role::Server, b"\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58", text("Hello")),
        ("fragments", CLIENT, b"\x01\x03Hel\x80\x02lo", text("Hello")),
        ("ping", CLIENT, b"\x89\x05Hello", ping(b"Hello")),
        ("pong", Role::Server, b"\x8A\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58", peer::pong(b"Hello")),
    ] {
        check(name, role, bytes, &[expected]);
    }
    for (size, head) in [(256, &b"\x82\x7E\x01\x00"[..]), (65_536, b"\x82\x7F\0\0\0\0\0\x01\0\0")] {
        let payload = vec![9; size];
        check("long", CLIENT, &[head, &payload].concat(), &[binary(&payload)]);
    }
}

#[test]
fn ws_f13_a_bad_byte_fails_before_the_rest_arrives() {
    for (name, bytes, error) in [
        ("reserved opcode", &b"\x83"[..], ProtocolError::ReservedOpcode(3)),
        ("reserved bit", b"\xC1", ProtocolError::ReservedBits(0xC1)),
        ("fragmented ping", b"\x09", ProtocolError::ControlFragmented),
        ("no mask", b"\x81\x7E", ProtocolError::NotMasked),
        ("ping of 126 or more", b"\x89\xFE", ProtocolError::ControlTooLong),
        ("length without the key", b"\x82\xFE\x00\x01", ProtocolError::LengthNotMinimal(1)),
    ] {
        check_error(name, Role::Server, bytes, error, 1002);
    }
    let head = [&b"\x82\xFF"[..], &(1_u64 << 40).to_be_bytes(), &KEY].concat();
    check_error("too big", Role::Server, &head, ProtocolError::FrameTooBig { limit: 1 << 20 }, 1009);
}

#[test]
fn ws_f14_control_frames() {
    for opcode in [CLOSE, PING, PONG] {
        check_error("126 bytes", Role::Server, &[FIN | opcode, 0xFE], ProtocolError::ControlTooLong, 1002);
        check_error("64-bit length", CLIENT, &[FIN | opcode, 0x7F], ProtocolError::ControlTooLong, 1002);
        check_error("fragmented", Role::Server, &[opcode], ProtocolError::ControlFragmented, 1002);
    }
    check("125 bytes", Role::Server, &masked(FIN | PING, &[3; 125]), &[ping(&[3; 125])]);
    // A control frame is no data frame: the limits of those do not cut it.
    let tiny = Limits::DEFAULT.with_max_frame_bytes(1).with_max_message_bytes(1).with_max_fragments(1);
    assert_eq!(outcome_with("tiny", Role::Server, tiny, &masked(FIN | PING, &[3; 125])).received, [ping(&[3; 125])]);
}

/// Bandit took reserved bits of control frames as long as FIN was not set (its changelog, 651).
#[test]
fn ws_sec28_reserved_bits_of_control_frames_without_fin() {
    for opcode in [CLOSE, PING, PONG] {
        for first in [0x40 | opcode, 0x20 | opcode, 0x10 | opcode, 0x70 | opcode] {
            check_error("no FIN", Role::Server, &[first, 0x80], ProtocolError::ReservedBits(first), 1002);
        }
    }
}

#[test]
fn ws_f14_control_payloads_we_send_are_at_most_125_bytes() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    server.send_ping(&[1; 125], &mut output).unwrap();
    assert_eq!(output, plain(FIN | PING, &[1; 125]));
    assert_eq!(server.send_ping(&[1; 126], &mut output), Err(SendError::ControlTooLong));
    assert_eq!(server.send_pong(&[1; 126], &mut output), Err(SendError::ControlTooLong));
    assert_eq!(output, plain(FIN | PING, &[1; 125]));
}

#[test]
fn ws_f22_nothing_is_sent_after_close() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    assert!(server.can_send());
    server.close(None, &mut output);
    assert!(!server.can_send());
    let before = output.clone();
    let closed = Err(SendError::Closed);
    assert_eq!(server.send_text("", &mut output), closed);
    assert_eq!(server.send_binary(b"", &mut output), closed);
    assert_eq!(server.send_with(MessageKind::Text, &mut output, |_| unreachable!("not asked to write")), closed);
    assert_eq!(server.send_fragment(MessageKind::Text, b"", true, &mut output), closed);
    assert_eq!(server.send_ping(b"", &mut output), closed);
    assert_eq!(server.send_pong(b"", &mut output), closed);
    server.close(None, &mut output);
    assert_eq!(output, before);
}

#[test]
fn ws_f22_the_first_frame_has_the_opcode_and_the_last_has_fin() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    for (payload, is_last) in [("a", false), ("", false), ("b", true)] {
        server.send_fragment(MessageKind::Text, payload.as_bytes(), is_last, &mut output).unwrap();
    }
    let expected = [plain(TEXT, b"a"), plain(CONTINUATION, b""), plain(FIN | CONTINUATION, b"b")];
    assert_eq!(output, expected.concat());
}
