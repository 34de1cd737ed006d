//! How a stream is cut never matters, and what we answer is good for the other side.

use wingbeat_websocket::{Connection, Limits, Received, Role};

use crate::stream::{self, CLIENT, Outcome, Side};

/// A byte of flags, two of configuration, four sizes of pieces; the rest is the stream.
pub fn decoder(data: &[u8]) {
    let Some((&[flags, bits, more, ref sizes @ ..], stream)) = data.split_first_chunk::<7>() else { return };
    let (role, peer) = if flags & 1 == 0 { (Role::Server, CLIENT) } else { (CLIENT, Role::Server) };
    let limits = match flags & 2 {
        0 => Limits::DEFAULT,
        _ => Limits::DEFAULT.with_max_frame_bytes(100).with_max_message_bytes(150).with_max_fragments(3),
    };
    let config = stream::config([bits, more]);
    let deflate = stream::granted(&config).filter(|_| flags & 4 != 0);
    let side = || Side::new(role, limits, config, deflate);

    let whole = side().feed([stream]);
    assert!(whole.received.iter().all(|received| size(received) <= limits.max_message_bytes), "a message is too big");
    for pieces in [stream.chunks(1).collect(), stream::cut(stream, sizes)] {
        let pieces: Vec<&[u8]> = pieces;
        assert_eq!(side().feed(pieces), whole);
    }
    // Without a pool at hand the same comes, only slower.
    if deflate.is_some() {
        let mut alone = side();
        let mut output = Vec::new();
        let mut input = stream.to_vec();
        let received = alone.connection.handle_input(&mut input, &mut output);
        match received.map(|(_, received)| received.map(Received::into_owned)) {
            Ok(received) => assert_eq!(received.as_ref(), whole.received.first()),
            Err(error) => assert_eq!((Some(error), whole.received.len()), (whole.error, 0)),
        }
    }
    check_answer(&whole, peer);
}

fn size(received: &Received<'_>) -> usize {
    match received {
        Received::Text(text) => text.len(),
        Received::Binary(bytes) | Received::Ping(bytes) | Received::Pong(bytes) => bytes.len(),
        Received::Close(_) => 0,
    }
}

/// What was appended to the output is frames that the peer understands, Pongs and a Close.
fn check_answer(outcome: &Outcome, peer: Role) {
    let mut peer = Connection::new(peer, Limits::DEFAULT);
    let mut answer = outcome.output.clone();
    let mut rest = &mut answer[..];
    let mut said = 0;
    while !rest.is_empty() {
        let (used, received) = peer.handle_input(rest, &mut Vec::new()).expect("our answer is well-formed");
        assert!(received.is_some(), "our answer is whole frames");
        said += 1;
        rest = &mut rest[used..];
    }
    assert!(said <= outcome.received.len() + usize::from(outcome.error.is_some()), "nothing is said unasked");
}
