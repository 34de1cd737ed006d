//! What holds for every stream: cutting does not matter, what was sent arrives, nothing panics.

mod peer;

use peer::{CLIENT, feed};
use proptest::prelude::*;
use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, MessageKind, Received, Role};

/// Something one side says.
#[derive(Clone, Debug)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A message in fragments, with a Ping after each but the last.
    Fragments(MessageKind, Vec<Vec<u8>>),
}

fn said() -> impl Strategy<Value = Said> {
    let text = "\\PC{0,40}";
    let control = || prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![
        text.prop_map(Said::Text),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Said::Binary),
        (65_000..66_000_usize, any::<u8>()).prop_map(|(size, byte)| Said::Binary(vec![byte; size])),
        control().prop_map(Said::Ping),
        control().prop_map(Said::Pong),
        (text, prop::collection::vec(0..10_usize, 1..8)).prop_map(|(text, sizes)| {
            let mut rest = text.as_bytes();
            let mut parts: Vec<Vec<u8>> = Vec::new();
            for size in sizes {
                let (part, behind) = rest.split_at(size.min(rest.len()));
                parts.push(part.to_vec());
                rest = behind;
            }
            parts.push(rest.to_vec());
            Said::Fragments(MessageKind::Text, parts)
        }),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5)
            .prop_map(|parts| Said::Fragments(MessageKind::Binary, parts)),
    ]
}

/// Sends it and returns what the other side must receive.
fn send(connection: &mut Connection, said: Said, output: &mut Vec<u8>) -> Vec<Received<'static>> {
    match said {
        Said::Text(text) => {
            connection.send_text(&text, output).unwrap();
            vec![peer::text(&text)]
        }
        Said::Binary(bytes) => {
            connection.send_binary(&bytes, output).unwrap();
            vec![peer::binary(&bytes)]
        }
        Said::Ping(payload) => {
            connection.send_ping(&payload, output).unwrap();
            vec![peer::ping(&payload)]
        }
        Said::Pong(payload) => {
            connection.send_pong(&payload, output).unwrap();
            vec![peer::pong(&payload)]
        }
        Said::Fragments(kind, parts) => {
            let mut received = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                let is_last = index + 1 == parts.len();
                connection.send_fragment(kind, part, is_last, output).unwrap();
                if !is_last {
                    connection.send_ping(&[index as u8], output).unwrap();
                    received.push(peer::ping(&[index as u8]));
                }
            }
            let payload = parts.concat();
            received.push(match kind {
                MessageKind::Text => peer::text(std::str::from_utf8(&payload).unwrap()),
                MessageKind::Binary => peer::binary(&payload),
            });
            received
        }
    }
}

/// Cuts `bytes` into pieces of the given sizes, over and over.
fn cut<'b>(bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Sizes of pieces: small ones, and ones around what a socket gives.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..20_usize, 1..2000_usize, 60_000..70_000_usize], 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_arrives_however_it_was_cut(
        is_server in any::<bool>(),
        conversation in prop::collection::vec(said(), 0..12),
        sizes in sizes(),
    ) {
        let (here, there) = if is_server { (Role::Server, CLIENT) } else { (CLIENT, Role::Server) };
        let mut sender = Connection::new(here, Limits::DEFAULT);
        let mut output = Vec::new();
        let mut expected: Vec<_> =
            conversation.into_iter().flat_map(|said| send(&mut sender, said, &mut output)).collect();
        let goodbye = CloseFrame::new(CloseCode::NORMAL, "goodbye");
        sender.close(Some(goodbye.clone()), &mut output);
        expected.push(Received::Close(Some(goodbye)));

        let mut receiver = Connection::new(there, Limits::DEFAULT);
        let outcome = feed(&mut receiver, cut(&output, &sizes));
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(outcome.received, expected);
        prop_assert!(receiver.is_done());

        // What the receiver answered, Pongs and a Close, is good for the sender, too.
        let answer = feed(&mut sender, cut(&outcome.output, &sizes));
        prop_assert_eq!(answer.error, None);
        prop_assert!(sender.is_done());
    }

    #[test]
    fn ws_sec14_any_bytes_give_the_same_in_any_pieces(
        // Bytes that look like frames more often than noise would.
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(0x81), Just(0x01), Just(0x80), Just(0x00), Just(0x89), Just(0x82), 0x80..0x88_u8],
            0..200,
        ),
        is_server in any::<bool>(),
        sizes in sizes(),
    ) {
        let role = if is_server { Role::Server } else { CLIENT };
        let limits = Limits::DEFAULT.with_max_frame_bytes(50).with_max_message_bytes(80).with_max_fragments(4);
        let whole = feed(&mut Connection::new(role, limits), [&bytes[..]]);
        let pieces = feed(&mut Connection::new(role, limits), cut(&bytes, &sizes));
        prop_assert_eq!(&pieces, &whole);
        let single = feed(&mut Connection::new(role, limits), bytes.chunks(1));
        prop_assert_eq!(single, whole);
    }

    #[test]
    fn text_is_judged_as_the_standard_library_judges_it(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(b'a'), 0x80..0xC0_u8, Just(0xE2), Just(0xF0), Just(0xF4), Just(0xED)],
            0..100,
        ),
        sizes in sizes(),
    ) {
        let expected = std::str::from_utf8(&bytes).map(peer::text).ok();
        for frame in [peer::masked(0x81, &bytes), [peer::masked(0x01, &bytes), peer::masked(0x80, b"")].concat()] {
            let outcome = feed(&mut Connection::new(Role::Server, Limits::DEFAULT), cut(&frame, &sizes));
            prop_assert_eq!(outcome.received.first(), expected.as_ref());
            prop_assert_eq!(outcome.error.is_some(), expected.is_none());
        }
    }
}
