//! As much of Phoenix's V2 text messages as a load needs: joining, and knowing a reply.
//!
//! References never change, so all answers to one push are alike, byte for byte, and need only be counted.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::frame::{Opcode, client_frame, server_frame_len, server_header_len};

/// Answers that are waited for one by one are asked for in batches of so many.
const BATCH: usize = 64;
/// No answer that we wait for is longer.
const MAX_FRAME_BYTES: usize = 1 << 20;
const JOIN_REF: &str = "1";
const PUSH_REF: &str = "2";

/// The topic of the `number`th connection. All are of one length, so that all answers are.
pub(super) fn own_topic(number: usize) -> String {
    format!("room:{number:06}")
}

/// An object that is `size` bytes of JSON, or as short as one can be.
pub(super) fn payload(size: usize) -> Value {
    let frame = json!({ "m": "" }).to_string().len();
    json!({ "m": "x".repeat(size.saturating_sub(frame)) })
}

/// The frame that joins `topic`.
pub(super) fn join_frame(topic: &str) -> Vec<u8> {
    client_frame(Opcode::Text, json!([JOIN_REF, JOIN_REF, topic, "phx_join", {}]).to_string().as_bytes())
}

/// The frame that pushes `event` to `topic`.
pub(super) fn push_frame(topic: &str, event: &str, payload: &Value) -> Vec<u8> {
    client_frame(Opcode::Text, json!([JOIN_REF, PUSH_REF, topic, event, payload]).to_string().as_bytes())
}

/// A whole frame as received.
pub(super) struct Answer(pub(super) Vec<u8>);

impl Answer {
    /// Receives one frame; blocks.
    pub(super) fn receive(stream: &mut TcpStream) -> io::Result<Self> {
        let mut frame = Vec::new();
        let mut byte = [0];
        let len = loop {
            stream.read_exact(&mut byte)?;
            frame.push(byte[0]);
            if let Some(len) = server_frame_len(&frame) {
                break len;
            }
        };
        if len > MAX_FRAME_BYTES {
            return Err(Error::new(ErrorKind::InvalidData, format!("a frame of {len} bytes was not asked for")));
        }
        let header_len = frame.len();
        frame.resize(len, 0);
        stream.read_exact(&mut frame[header_len..])?;
        Ok(Self(frame))
    }

    fn message(&self) -> Option<Value> {
        serde_json::from_slice(self.0.get(server_header_len(*self.0.get(1)?)..)?).ok()
    }

    /// Checks that it is the ok reply on `topic`, with `response` if that is given.
    pub(super) fn check_reply(&self, topic: &str, response: Option<&Value>) -> io::Result<()> {
        let message = self.message().unwrap_or_default();
        let is_reply = message[2] == topic && message[3] == "phx_reply" && message[4]["status"] == "ok";
        self.demand(is_reply && response.is_none_or(|response| message[4]["response"] == *response))
    }

    /// Checks that it is the broadcast of `event` with `payload` on `topic`.
    pub(super) fn check_broadcast(&self, topic: &str, event: &str, payload: &Value) -> io::Result<()> {
        let message = self.message().unwrap_or_default();
        self.demand(message[2] == topic && message[3] == event && message[4] == *payload)
    }

    fn demand(&self, holds: bool) -> io::Result<()> {
        if holds {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidData, format!("unexpected answer: {}", String::from_utf8_lossy(&self.0))))
    }
}

/// Joins one topic on each of `streams` and checks the replies.
pub(super) fn join(streams: &mut [TcpStream], topic: impl Fn(usize) -> String) -> io::Result<()> {
    ask(streams, |index| join_frame(&topic(index)), |index, answer| answer.check_reply(&topic(index), None))
}

/// Sends one frame on each of `streams`, and hands each answer to `check`.
pub(super) fn ask(
    streams: &mut [TcpStream],
    frame: impl Fn(usize) -> Vec<u8>,
    mut check: impl FnMut(usize, Answer) -> io::Result<()>,
) -> io::Result<()> {
    for (batch, streams) in streams.chunks_mut(BATCH).enumerate() {
        let first = batch * BATCH;
        for (index, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&frame(first + index))?;
        }
        for (index, stream) in streams.iter_mut().enumerate() {
            check(first + index, Answer::receive(stream)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::frame::server_frame;

    fn answer(text: &str) -> Answer {
        Answer(server_frame(Opcode::Text, text.as_bytes()))
    }

    #[test]
    fn only_an_ok_reply_on_the_topic_counts_as_one() {
        let payload = payload(64);
        assert_eq!(payload.to_string().len(), 64);
        let reply = json!(["1", "2", "room:000001", "phx_reply", {"status": "ok", "response": payload}]).to_string();
        assert!(answer(&reply).check_reply("room:000001", Some(&payload)).is_ok());
        assert!(answer(&reply).check_reply("room:000002", None).is_err());
        assert!(answer(&reply.replace("ok", "error")).check_reply("room:000001", None).is_err());
        assert!(answer(&reply.replace('x', "y")).check_reply("room:000001", Some(&payload)).is_err());
        assert!(answer("").check_reply("room:000001", None).is_err());
    }

    #[test]
    fn only_the_broadcast_asked_for_counts_as_one() {
        let text = json!([null, null, "room:1", "shout", {"m": 1}]).to_string();
        assert!(answer(&text).check_broadcast("room:1", "shout", &json!({"m": 1})).is_ok());
        assert!(answer(&text).check_broadcast("room:1", "from", &json!({"m": 1})).is_err());
        assert!(answer(&text).check_broadcast("room:1", "shout", &json!({"m": 2})).is_err());
    }
}
