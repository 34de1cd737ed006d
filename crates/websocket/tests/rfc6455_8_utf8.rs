//! RFC 6455 §5.6 and §8.1: text is UTF-8, over frames and pieces, judged at the first impossible byte.

mod peer;

use peer::{CLIENT, CONTINUATION, FIN, TEXT};
use peer::{check, check_error, feed, masked, plain, text};
use wingbeat_websocket::{Connection, Limits, MessageKind, ProtocolError, Role, SendError};

/// Characters of one to four bytes, and those at the borders.
const GOOD: &str = "aß水🐦\0\u{7F}\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FEFF}\u{FFFE}\u{FFFF}\u{10000}\u{10FFFF}κόσμε";

/// Where each goes wrong: the first byte after which no text is possible.
const BAD: [(&str, &[u8], usize); 18] = [
    ("lone continuation", b"a\x80", 2),
    ("overlong C0", b"\xC0\x80", 1),
    ("overlong C1", b"\xC1\xBF", 1),
    ("overlong E0", b"\xE0\x9F\xBF", 2),
    ("overlong F0", b"\xF0\x8F\xBF\xBF", 2),
    ("first surrogate", b"\xED\xA0\x80", 2),
    ("last surrogate", b"\xED\xBF\xBF", 2),
    ("above U+10FFFF", b"\xF4\x90\x80\x80", 2),
    ("F5", b"\xF5\x80\x80\x80", 1),
    ("FE", b"\xFE", 1),
    ("FF", b"\xFF", 1),
    ("five bytes", b"\xF8\x88\x80\x80\x80", 1),
    ("ASCII after a lead", b"\xC3(", 2),
    ("ASCII after two of three", b"\xE2\x82(", 3),
    ("ASCII after three of four", b"\xF0\x9F\x90(", 4),
    ("lead after lead", b"\xE2\xE2\x82\xAC", 2),
    ("too many continuations", b"\xC3\xB6\xB6", 3),
    ("T2", b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80\x65", 13),
];

#[test]
fn ws_f21_good_text() {
    for role in [Role::Server, CLIENT] {
        for padding in [0, 1, 60, 63, 64, 100] {
            let good = "x".repeat(padding) + GOOD;
            check("good", role, &peer::to(role, FIN | TEXT, good.as_bytes()), &[text(&good)]);
        }
    }
}

#[test]
fn ws_f21_bad_text() {
    for (name, bad, _) in BAD {
        for padding in ["", "0123456", &"水".repeat(50)] {
            let payload = [padding.as_bytes(), bad, b"tail"].concat();
            check_error(name, Role::Server, &masked(FIN | TEXT, &payload), ProtocolError::InvalidUtf8, 1007);
            check_error(name, CLIENT, &plain(FIN | TEXT, &payload), ProtocolError::InvalidUtf8, 1007);
        }
    }
}

#[test]
fn ws_t1_every_cut_over_frames() {
    let good = GOOD.as_bytes();
    for at in 0..=good.len() {
        for control in [vec![], masked(FIN | peer::PONG, b"\xFF")] {
            let (head, tail) = good.split_at(at);
            let stream = [masked(TEXT, head), control, masked(FIN | CONTINUATION, tail)].concat();
            let mut server = Connection::new(Role::Server, Limits::DEFAULT);
            let outcome = feed(&mut server, stream.chunks(7));
            assert_eq!((outcome.received.last(), outcome.error), (Some(&text(GOOD)), None), "cut at {at}");
        }
    }
    let single: Vec<u8> = good.iter().flat_map(|&byte| masked(CONTINUATION, &[byte])).collect();
    let stream = [masked(TEXT, b""), single, masked(FIN, b"")].concat();
    check("a byte a frame", Role::Server, &stream, &[text(GOOD)]);
}

#[test]
fn ws_t2_fails_at_the_first_impossible_byte() {
    for (name, bad, at) in BAD {
        for padding in ["", "水"] {
            let payload = [padding.as_bytes(), bad].concat();
            let at = padding.len() + at;
            // The frame is announced with more than will ever come; the byte before is good, this one is not.
            let header_bytes = 6;
            let frame = masked(FIN | TEXT, &[&payload[..], b"never sent"].concat());
            for (end, error) in [(at - 1, None), (at, Some(ProtocolError::InvalidUtf8))] {
                for size in 1..=frame.len() {
                    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
                    let outcome = feed(&mut server, frame[..header_bytes + end].chunks(size));
                    assert_eq!((outcome.received, outcome.error), (vec![], error), "{name}, {end} bytes");
                }
                // The same as fragments of one byte.
                let mut stream = masked(TEXT, b"");
                stream.extend(payload[..end].iter().flat_map(|&byte| masked(CONTINUATION, &[byte])));
                let mut server = Connection::new(Role::Server, Limits::DEFAULT);
                assert_eq!(feed(&mut server, [&stream[..]]).error, error, "{name}, {end} fragments");
            }
        }
    }
}

#[test]
fn ws_t3_a_message_does_not_end_inside_a_character() {
    for character in ["ß", "水", "🐦"] {
        for cut in 1..character.len() {
            let start = &character.as_bytes()[..cut];
            let error = ProtocolError::InvalidUtf8;
            check_error("one frame", Role::Server, &masked(FIN | TEXT, start), error, 1007);
            let empty_end = [masked(TEXT, start), masked(FIN | CONTINUATION, b"")].concat();
            check_error("empty last fragment", Role::Server, &empty_end, error, 1007);
        }
    }
}

#[test]
fn ws_t4_ascii_after_a_lead_byte_of_the_last_fragment() {
    for lead in [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F\x90"] {
        let stream = [masked(TEXT, lead), masked(FIN | CONTINUATION, b"ascii")].concat();
        check_error("fragment", Role::Server, &stream, ProtocolError::InvalidUtf8, 1007);
    }
}

/// The validator of cowlib had no clause for it and took the process down (mended in 2.17).
#[test]
fn ws_sec34_ascii_after_a_lead_byte_of_the_last_piece() {
    for lead in [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F\x90"] {
        let frame = masked(FIN | TEXT, &[lead, b"ascii, and more of it".repeat(10).as_slice()].concat());
        let mut server = Connection::new(Role::Server, Limits::DEFAULT);
        let (head, tail) = frame.split_at(8 + lead.len());
        let outcome = feed(&mut server, [head, tail]);
        assert_eq!((outcome.received, outcome.error), (vec![], Some(ProtocolError::InvalidUtf8)));
    }
}

#[test]
fn the_next_message_begins_anew() {
    let stream = [masked(TEXT, b"\xC3"), masked(FIN, b"\xB6"), masked(FIN | TEXT, "ü".as_bytes())].concat();
    check("anew", Role::Server, &stream, &[text("ö"), text("ü")]);
}

#[test]
fn binary_is_not_judged() {
    for (_, bad, _) in BAD {
        check("binary", Role::Server, &masked(FIN | peer::BINARY, bad), &[peer::binary(bad)]);
    }
}

#[test]
fn ws_f21_what_we_send_as_text_is_checked() {
    for (name, bad, _) in BAD {
        for role in [Role::Server, CLIENT] {
            let mut connection = Connection::new(role, Limits::DEFAULT);
            let mut output = b"before".to_vec();
            let sent = connection.send_with(MessageKind::Text, &mut output, |payload| payload.extend_from_slice(bad));
            assert_eq!((sent, &output[..]), (Err(SendError::InvalidUtf8), &b"before"[..]), "{name}");
            let sent = connection.send_fragment(MessageKind::Text, bad, false, &mut output);
            assert_eq!((sent, &output[..]), (Err(SendError::InvalidUtf8), &b"before"[..]), "{name}");
            connection.send_with(MessageKind::Binary, &mut output, |payload| payload.extend_from_slice(bad)).unwrap();
        }
    }
}

#[test]
fn characters_may_be_cut_between_fragments_we_send() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut output = Vec::new();
    server.send_fragment(MessageKind::Text, b"\xE2\x82", false, &mut output).unwrap();
    assert_eq!(server.send_fragment(MessageKind::Text, b"", true, &mut output), Err(SendError::InvalidUtf8));
    assert_eq!(server.send_fragment(MessageKind::Text, b"x", false, &mut output), Err(SendError::InvalidUtf8));
    server.send_fragment(MessageKind::Text, b"\xAC", true, &mut output).unwrap();
    assert_eq!(output, [plain(TEXT, b"\xE2\x82"), plain(FIN, b"\xAC")].concat());
    check("received", CLIENT, &output, &[text("€")]);
}
