//! What holds for every compressed stream: what was sent arrives however it is cut, and nothing panics.

#![cfg(feature = "deflate")]

mod deflating;
mod peer;

use deflating::{RSV1, agreed, extension, feed_with};
use peer::{CLIENT, CONTINUATION, FIN, TEXT, to};
use proptest::prelude::*;
use wingbeat_websocket::deflate::{Compression, DeflateConfig, DeflatePool};
use wingbeat_websocket::{Connection, Limits, MessageKind, Received, Role};

/// Something one side says.
#[derive(Clone, Debug)]
enum Said {
    Message(MessageKind, Vec<u8>, Compression),
    /// To all connections with such a window, so it refers to nothing. A client has no such frames.
    Shared(Vec<u8>),
    /// Not compressed, in fragments, with a Ping in between.
    Fragments(Vec<u8>, Vec<u8>),
}

/// Bytes that compress, and bytes that do not.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        prop::collection::vec(0..4_u8, 0..3000),
        (0..3000_usize, 0..9_usize).prop_map(|(size, from)| deflating::wordy(size + from)[from..].into()),
        (0..80_000_usize, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let compression = prop_oneof![Just(Compression::Auto), Just(Compression::Always), Just(Compression::Never)];
    let message = (payload(), compression.clone());
    prop_oneof![
        3 => message.prop_map(|(payload, compression)| Said::Message(MessageKind::Binary, payload, compression)),
        3 => ("\\PC{0,300}", compression)
            .prop_map(|(text, compression)| Said::Message(MessageKind::Text, text.into(), compression)),
        1 => payload().prop_map(Said::Shared),
        1 => (payload(), payload()).prop_map(|(first, last)| Said::Fragments(first, last)),
    ]
}

fn config() -> impl Strategy<Value = DeflateConfig> {
    (9..=15_u8, 9..=15_u8, any::<(bool, bool)>(), 1..=9_u8, 0..600_usize).prop_map(
        |(server_bits, client_bits, (server_takeover, client_takeover), level, min_bytes)| {
            DeflateConfig::DEFAULT
                .with_server_max_window_bits(server_bits)
                .with_client_max_window_bits(client_bits)
                .with_server_takeover(server_takeover)
                .with_client_takeover(client_takeover)
                .with_level(level)
                .with_min_bytes(min_bytes)
        },
    )
}

/// Sends it and returns what the other side must receive.
fn send(
    sender: &mut Connection,
    is_server: bool,
    pool: &mut DeflatePool,
    said: &Said,
    output: &mut Vec<u8>,
) -> Vec<Received<'static>> {
    match said {
        Said::Message(MessageKind::Text, payload, compression) => {
            let text = std::str::from_utf8(payload).unwrap();
            sender.send_text_with(text, *compression, pool, output).unwrap();
            vec![peer::text(text)]
        }
        Said::Message(MessageKind::Binary, payload, compression) => {
            sender.send_binary_with(payload, *compression, pool, output).unwrap();
            vec![peer::binary(payload)]
        }
        Said::Shared(payload) => {
            let window_bits = sender.send_window_bits().filter(|_| is_server);
            let kind = MessageKind::Binary;
            if window_bits.is_some_and(|bits| pool.encode_server_frame(kind, payload, bits, output)) {
                sender.reset_deflater();
            } else {
                sender.send_binary(payload, output).unwrap();
            }
            vec![peer::binary(payload)]
        }
        Said::Fragments(first, last) => {
            sender.send_fragment(MessageKind::Binary, first, false, output).unwrap();
            sender.send_ping(b"between", output).unwrap();
            sender.send_fragment(MessageKind::Binary, last, true, output).unwrap();
            vec![peer::ping(b"between"), peer::binary(&[&first[..], last].concat())]
        }
    }
}

/// Cuts `bytes` into pieces of the given sizes, over and over.
fn cut<'b>(bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
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

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..20_usize, 100..2000_usize, 10_000..70_000_usize], 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_arrives_however_it_was_cut(
        is_server in any::<bool>(),
        config in config(),
        conversation in prop::collection::vec(said(), 0..10),
        sizes in sizes(),
    ) {
        let (here, there) = if is_server { (Role::Server, CLIENT) } else { (CLIENT, Role::Server) };
        let mut sender = Connection::new(here, Limits::DEFAULT);
        let mut receiver = Connection::new(there, Limits::DEFAULT);
        sender.set_deflate(agreed(config), None);
        receiver.set_deflate(agreed(config), None);
        let mut pool = DeflatePool::new(config);
        let mut output = Vec::new();
        let expected: Vec<_> = conversation
            .iter()
            .flat_map(|said| send(&mut sender, is_server, &mut pool, said, &mut output))
            .collect();
        let outcome = feed_with(&mut receiver, &mut pool, cut(&output, &sizes));
        prop_assert_eq!(outcome.error, None);
        prop_assert!(outcome.received == expected);
    }

    /// CivetWeb wrote past its buffer with what it inflated (CVE-2026-29035). Here it grows within the limit, and whoever
    /// runs this under a checker of memory sees that nothing else is written.
    #[test]
    fn ws_sec31_any_bytes_inflate_or_fail_the_same_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        start in prop_oneof![Just(&b""[..]), Just(&deflating::HELLO[..]), Just(&deflating::HELLO_BLOCKS[..])],
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        at in any::<prop::sample::Index>(),
        config in config(),
        sizes in sizes(),
    ) {
        // A good stream that went wrong somewhere gets further than noise does.
        let mut payload = [start, &bytes].concat();
        for (index, flip) in flips {
            if !payload.is_empty() {
                let index = index.index(payload.len());
                payload[index] ^= flip;
            }
        }
        let (first, last) = payload.split_at(at.index(payload.len() + 1));
        let frames = [
            to(Role::Server, FIN | RSV1 | TEXT, &deflating::HELLO),
            to(Role::Server, RSV1 | TEXT, first),
            to(Role::Server, FIN | CONTINUATION, last),
        ];
        let limits = Limits::DEFAULT.with_max_message_bytes(1000);
        let run = |pieces: Vec<&[u8]>| {
            let mut server = deflating::connection_with(Role::Server, config, limits);
            feed_with(&mut server, &mut DeflatePool::new(config), pieces)
        };
        let bytes = frames.concat();
        let whole = run(vec![&bytes]);
        prop_assert_eq!(&whole, &run(cut(&bytes, &sizes)));
        prop_assert_eq!(&whole.received[0], &peer::text("Hello"));
        prop_assert!(whole.received.len() == 2 || whole.error.is_some());
    }

    #[test]
    fn any_offer_is_answered_or_declined_and_the_answer_is_one_the_client_takes(
        config in config(),
        params in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits",
                    "client_max_window_bits", "x",
                ]),
                prop::option::of(prop_oneof![(0..20_u32).prop_map(|bits| bits.to_string()), "[0-9a-z]{1,4}"]),
            ),
            0..5,
        ),
    ) {
        let written: Vec<String> = params
            .iter()
            .map(|(name, value)| value.as_ref().map_or(name.to_string(), |value| format!("{name}={value}")))
            .collect();
        let written = written.join("; ");
        let Some(agreed) = config.accept([extension(&written)]) else { return Ok(()) };
        let has = |wanted: &str| params.iter().any(|(name, _)| *name == wanted);
        let answer = agreed.to_string();
        prop_assert!(!has("server_no_context_takeover") || answer.contains("server_no_context_takeover"));
        prop_assert!(has("client_max_window_bits") || !answer.contains("client_max_window_bits"));
        prop_assert!(has("server_max_window_bits") <= answer.contains("server_max_window_bits"));
        prop_assert!(agreed.server_window_bits() <= config.server_max_window_bits());
        prop_assert!(agreed.client_window_bits() <= config.client_max_window_bits());
        let client = DeflateConfig::DEFAULT.with_server_takeover(true).with_client_takeover(true);
        let params = answer.strip_prefix("permessage-deflate").unwrap();
        let taken = client.check_answer(&extension(params)).unwrap();
        prop_assert_eq!(taken.to_string(), answer);
    }
}
