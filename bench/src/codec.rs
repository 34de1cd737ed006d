//! The protocol core alone: nanoseconds per message on one core, the copy into the buffer included.

use std::hint::black_box;
use std::io::{self, Error};
use std::time::{Duration, Instant};

use serde::Serialize;
use wingbeat_websocket::{Connection, Limits, Received, Role};

use crate::load::payload::Payload;

/// Bytes that one pass copies in, or one frame, if that is longer: as much as a receive may bring.
const PASS_BYTES: usize = 16 << 10;

/// What is done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Frame in, message out.
    Read,
    /// And sent back: frame out.
    Echo,
}

/// One figure of the codec.
#[derive(Clone, Copy, Debug)]
pub struct CodecLoad {
    /// What is done.
    pub work: Work,
    /// What the payload is.
    pub payload: Payload,
    /// Payload bytes of a message.
    pub size: usize,
}

impl CodecLoad {
    /// Runs for `duration` and returns nanoseconds per message.
    pub fn run(&self, duration: Duration) -> io::Result<f64> {
        let frame = self.payload.client_frame(self.size);
        let count = (PASS_BYTES / frame.len()).max(1);
        let frames = frame.repeat(count);
        let mut pass = Pass {
            connection: Connection::new(Role::Server, Limits::default()),
            input: frames.clone(),
            output: Vec::with_capacity(frames.len()),
            work: self.work,
        };
        let received = pass.run(&frames)?;
        if received != count {
            return Err(Error::other(format!("{received} of {count} messages came out")));
        }
        if self.work == Work::Echo && pass.output != self.payload.server_frame(self.size).repeat(count) {
            return Err(Error::other("the echo is not what was sent"));
        }
        let begun = Instant::now();
        let mut messages = 0;
        while begun.elapsed() < duration {
            for _ in 0..16 {
                messages += pass.run(&frames)?;
            }
        }
        Ok(begun.elapsed().as_nanos() as f64 / messages as f64)
    }
}

struct Pass {
    connection: Connection,
    input: Vec<u8>,
    output: Vec<u8>,
    work: Work,
}

impl Pass {
    fn run(&mut self, frames: &[u8]) -> io::Result<usize> {
        self.input.copy_from_slice(frames);
        self.output.clear();
        let mut messages = 0;
        let mut at = 0;
        while at < self.input.len() {
            let (used, received) =
                self.connection.handle_input(&mut self.input[at..], &mut self.output).map_err(Error::other)?;
            at += used;
            match received {
                None => break,
                Some(received) if self.work == Work::Read => {
                    black_box(&received);
                }
                Some(Received::Text(text)) => {
                    self.connection.send_text(&text, &mut self.output).map_err(Error::other)?;
                }
                Some(Received::Binary(bytes)) => {
                    self.connection.send_binary(&bytes, &mut self.output).map_err(Error::other)?;
                }
                Some(other) => return Err(Error::other(format!("{other:?} was not sent"))),
            }
            messages += 1;
        }
        black_box(&self.output);
        Ok(messages)
    }
}
