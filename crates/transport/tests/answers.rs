//! Answers keep their order, whatever else is said in between, and whether they were copied or not.

mod support;

use std::io::Write;
use std::time::Duration;

use support::{BINARY, FIN, PATIENCE, echo, masked, options, probe_server};
use wingbeat_transport::{Cause, Context, EncodedMessage, Message, SendError};
use wingbeat_websocket::{CloseCode, Received};

/// Below and above what stays in the input, and at the lengths where headers grow.
const SIZES: [usize; 12] = [20, 5000, 0, 4095, 4096, 16_384, 125, 126, 65_535, 1, 60_000, 300];

/// The `index`-th message: its number and then filling.
fn payload(index: u32, size: usize) -> Vec<u8> {
    let filling = (0..size).map(|at| (at as u32).wrapping_mul(31).wrapping_add(index) as u8);
    index.to_be_bytes().into_iter().chain(filling).collect()
}

/// Many messages in one write, so that many lie in one read.
fn frames(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().flat_map(|message| masked(FIN | BINARY, message)).collect()
}

fn messages(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|index| payload(index, SIZES[index as usize % SIZES.len()])).collect()
}

/// What the handler says to one message, in one of the ways there are.
fn say(bytes: &[u8], cx: &mut Context<'_>) {
    let index = u32::from_be_bytes(*bytes.first_chunk().expect("a number"));
    let (message, note) = (Message::Binary(bytes), EncodedMessage::binary(&index.to_le_bytes()));
    match index % 11 {
        0 | 1 => cx.send(message),
        2 => cx.send_encoded(&note).and_then(|()| cx.send(message)),
        3 => cx.send(message).and_then(|()| cx.send_encoded(&note)),
        4 => cx.handle().send(note).and_then(|()| cx.send(message)),
        5 => cx.send(message).and_then(|()| cx.handle().send(note)),
        6 => cx.send(message).and_then(|()| cx.ping(b"between")).and_then(|()| cx.send(message)),
        7 => cx
            .send(Message::Binary(&payload(index, bytes.len() - 4)))
            .and_then(|()| cx.send_text_with(|text| text.push(b'!'))),
        8 => cx.send(Message::Binary(&bytes[bytes.len() / 2..])),
        9 => {
            let id = cx.id();
            let sent = cx.send(message);
            assert!(cx.turn().send_to(id, &note));
            sent.and_then(|()| cx.send(message))
        }
        _ => {
            let sent = cx.send(message);
            cx.pause();
            cx.resume();
            sent.and_then(|()| cx.send(message))
        }
    }
    .expect("open, with room");
}

/// What the peer gets for it.
fn said(bytes: &[u8]) -> Vec<Received<'static>> {
    let index = u32::from_be_bytes(*bytes.first_chunk().expect("a number"));
    let binary = |bytes: &[u8]| Received::Binary(bytes.to_vec().into());
    let (message, note) = (binary(bytes), binary(&index.to_le_bytes()));
    match index % 11 {
        0 | 1 => vec![message],
        2 | 4 => vec![note, message],
        3 | 5 => vec![message, note],
        6 => vec![message.clone(), Received::Ping(b"between".to_vec().into()), message],
        7 => vec![message, Received::Text("!".into())],
        8 => vec![binary(&bytes[bytes.len() / 2..])],
        9 => vec![message.clone(), note, message],
        _ => vec![message.clone(), message],
    }
}

#[test]
fn ws_sec10_answers_keep_their_order_in_whatever_way_they_are_sent() {
    let (server, _events) = probe_server(options().with_max_output(64 << 20, 100_000), |message, cx| {
        say(message.as_bytes(), cx);
    });
    let mut peer = server.open("/");
    let messages = messages(7 * 11 * 12);
    for batch in messages.chunks(12) {
        peer.write(&frames(batch));
        for message in batch {
            for expected in said(message) {
                assert!(peer.recv() == expected, "the answers to {:?}", &message[..4]);
            }
        }
    }
}

#[test]
fn ws_sec10_answers_that_the_socket_does_not_take_are_kept_in_order() {
    let (server, _events) = probe_server(options().with_max_output(64 << 20, 100_000), echo);
    let mut peer = server.open("/");
    let messages = messages(1200);
    let (mut writer, all) = (peer.stream.try_clone().expect("a descriptor"), frames(&messages));
    // The peer reads nothing until everybody is stuck.
    writer.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let mut written = 0;
    while let Ok(count) = writer.write(&all[written..]) {
        written += count;
    }
    assert!(written < all.len(), "more than the kernel takes");
    writer.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let writing = std::thread::spawn(move || writer.write_all(&all[written..]));
    for message in &messages {
        assert!(peer.recv_binary() == *message, "{:?}", &message[..4]);
    }
    writing.join().expect("no panic").expect("written");
}

#[test]
fn what_was_answered_before_a_panic_is_said_before_the_close() {
    let (server, events) =
        probe_server(options().with_close_timeout(PATIENCE), |message: Message<'_>, cx: &mut Context<'_>| {
            cx.send(message).expect("open");
            assert!(message.as_bytes().len() != 16_388, "on purpose");
        });
    let mut peer = server.open("/");
    let messages: Vec<_> =
        [20, 8000, 16_384].into_iter().enumerate().map(|(index, size)| payload(index as u32, size)).collect();
    peer.write(&frames(&messages));
    for message in &messages {
        assert!(peer.recv_binary() == *message);
    }
    peer.expect_close(1011);
    assert_eq!(events.until_closed().cause, Cause::Panic);
}

#[test]
fn ws_l9_answers_are_bounded_as_all_output_is() {
    let (server, events) =
        probe_server(options().with_max_output(100_000, 1024), |message: Message<'_>, cx: &mut Context<'_>| {
            let mut taken = 0;
            while cx.send(message) != Err(SendError::Full) {
                taken += message.as_bytes().len();
                assert!(taken < 64 << 20, "what waits is bounded");
            }
            assert_eq!(cx.send(message), Err(SendError::Closed));
        });
    let mut peer = server.open("/").rude();
    peer.write(&frames(&[payload(0, 16_384)]));
    let closed = events.until_closed();
    assert_eq!((closed.code, closed.cause), (CloseCode::TRY_AGAIN_LATER, Cause::SlowConsumer));
}
