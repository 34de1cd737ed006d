//! Whatever may be sent arrives, however it is compressed, fragmented and cut.

use arbitrary::{Result, Unstructured};
use wingbeat_websocket::deflate::Compression;
use wingbeat_websocket::{CloseCode, CloseFrame, Limits, MessageKind, Received, Role};

use crate::stream::{self, CLIENT, Side};

/// More than the window, the length field of two bytes and a read hold.
const LONG_BYTES: usize = 70_000;

/// Around every change of the header's form.
const BORDERS: [usize; 8] = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537];

/// A conversation that is longer shows nothing new.
const MAX_SAID: usize = 40;

/// A conversation, made out of the bytes until they end.
pub fn roundtrip(data: &[u8]) {
    // Too few bytes make no conversation, or a short one.
    let _ = conversation(&mut Unstructured::new(data));
}

fn conversation(bytes: &mut Unstructured<'_>) -> Result<()> {
    let (here, there) = if bytes.arbitrary()? { (Role::Server, CLIENT) } else { (CLIENT, Role::Server) };
    let config = stream::config(bytes.arbitrary()?);
    let deflate = if bytes.arbitrary()? { stream::granted(&config) } else { None };
    let sizes: [u8; 4] = bytes.arbitrary()?;
    let mut sender = Side::new(here, Limits::DEFAULT, config, deflate);
    let mut receiver = Side::new(there, Limits::DEFAULT, config, deflate);
    let (mut output, mut expected) = (Vec::new(), Vec::new());
    while !bytes.is_empty() && expected.len() < MAX_SAID {
        say(bytes, &mut sender, &mut output, &mut expected)?;
    }
    let goodbye = CloseFrame::new(CloseCode::NORMAL, "goodbye");
    sender.connection.close(Some(goodbye.clone()), &mut output);
    expected.push(Received::Close(Some(goodbye)));

    let outcome = receiver.feed(stream::cut(&output, &sizes));
    assert_eq!((&outcome.received, outcome.error), (&expected, None));
    let answer = sender.feed(stream::cut(&outcome.output, &sizes));
    assert_eq!(answer.error, None);
    assert!(sender.connection.is_done() && receiver.connection.is_done());
    Ok(())
}

/// Sends something, and notes what must arrive of it.
fn say(
    bytes: &mut Unstructured<'_>,
    sender: &mut Side,
    output: &mut Vec<u8>,
    expected: &mut Vec<Received<'static>>,
) -> Result<()> {
    let Side { connection, pool, .. } = sender;
    let kind = bytes.int_in_range(0..=7)?;
    let compression = *bytes.choose(&[Compression::Auto, Compression::Always, Compression::Never])?;
    match kind {
        0 => {
            let text: &str = bytes.arbitrary()?;
            connection.send_text_with(text, compression, pool, output).expect("open");
            expected.push(Received::Text(text.to_owned().into()));
        }
        1 => {
            let payload: &[u8] = bytes.arbitrary()?;
            connection.send_binary_with(payload, compression, pool, output).expect("open");
            expected.push(Received::Binary(payload.to_owned().into()));
        }
        2 => {
            let payload: &[u8] = bytes.arbitrary()?;
            let times = LONG_BYTES / payload.len().max(1);
            let payload = payload.repeat(bytes.int_in_range(0..=times)?);
            connection.send_binary_with(&payload, compression, pool, output).expect("open");
            expected.push(Received::Binary(payload.into()));
        }
        3 => {
            let payload: &[u8] = bytes.arbitrary()?;
            let payload = &payload[..payload.len().min(125)];
            connection.send_ping(payload, output).expect("open");
            expected.push(Received::Ping(payload.to_owned().into()));
        }
        4 => {
            let text: &str = bytes.arbitrary()?;
            fragments(bytes, sender, MessageKind::Text, text.as_bytes(), output, expected)?;
            expected.push(Received::Text(text.to_owned().into()));
        }
        5 => {
            let payload: &[u8] = bytes.arbitrary()?;
            fragments(bytes, sender, MessageKind::Binary, payload, output, expected)?;
            expected.push(Received::Binary(payload.to_owned().into()));
        }
        6 => shared(bytes, sender, output, expected)?,
        _ => {
            let size = *bytes.choose(&BORDERS)?;
            let payload = vec![bytes.arbitrary()?; size];
            if bytes.arbitrary()? {
                let write = |output: &mut Vec<u8>| output.extend_from_slice(&payload);
                connection.send_with(MessageKind::Binary, output, write).expect("open");
            } else {
                connection.send_binary_with(&payload, compression, pool, output).expect("open");
            }
            expected.push(Received::Binary(payload.into()));
        }
    }
    Ok(())
}

/// The payload in fragments, with Pings in between.
fn fragments(
    bytes: &mut Unstructured<'_>,
    sender: &mut Side,
    kind: MessageKind,
    payload: &[u8],
    output: &mut Vec<u8>,
    expected: &mut Vec<Received<'static>>,
) -> Result<()> {
    let mut rest = payload;
    for _ in 0..bytes.int_in_range(0..=4)? {
        let (part, behind) = rest.split_at(bytes.int_in_range(0..=rest.len())?);
        rest = behind;
        sender.connection.send_fragment(kind, part, false, output).expect("open, and valid so far");
        sender.connection.send_ping(b"between", output).expect("open");
        expected.push(Received::Ping(b"between"[..].into()));
    }
    sender.connection.send_fragment(kind, rest, true, output).expect("open, and valid");
    Ok(())
}

/// A frame that others are sent, too.
fn shared(
    bytes: &mut Unstructured<'_>,
    sender: &mut Side,
    output: &mut Vec<u8>,
    expected: &mut Vec<Received<'static>>,
) -> Result<()> {
    let payload: &[u8] = bytes.arbitrary()?;
    let Some(bits) = sender.connection.send_window_bits() else { return Ok(()) };
    // What a client sends is masked, each frame by itself: nothing is shared.
    if sender.is_server && sender.pool.encode_server_frame(MessageKind::Binary, payload, bits, output) {
        sender.connection.reset_deflater();
        expected.push(Received::Binary(payload.to_owned().into()));
    }
    Ok(())
}
