//! Ours: one receive buffer, frames read where they lie, answers gathered until the buffer is used up.

use std::hint::black_box;

use wingbeat_websocket::{Connection, Limits, Received, Role};

use super::{Peer, Result};
use crate::pipe::Pipe;

/// As much as the receive buffer of a worker takes at once.
const BUFFER_BYTES: usize = 128 << 10;

struct Server {
    connection: Connection,
    pipe: Pipe,
    input: Box<[u8]>,
    output: Vec<u8>,
}

pub fn open(pipe: Pipe) -> Box<dyn Peer> {
    let connection = Connection::new(Role::Server, Limits::DEFAULT);
    Box::new(Server { connection, pipe, input: vec![0; BUFFER_BYTES].into(), output: Vec::new() })
}

impl Server {
    fn pass(
        &mut self,
        count: usize,
        mut each: impl FnMut(&mut Connection, Received<'_>, &mut Vec<u8>) -> Result,
    ) -> Result {
        let mut left = count;
        while left > 0 {
            let filled = self.pipe.fill(&mut self.input);
            let mut input = &mut self.input[..filled];
            while !input.is_empty() {
                let (used, received) = self.connection.handle_input(input, &mut self.output)?;
                if let Some(received) = received {
                    each(&mut self.connection, received, &mut self.output)?;
                    left -= 1;
                }
                input = &mut input[used..];
            }
            if !self.output.is_empty() {
                self.pipe.put(&self.output)?;
                self.output.clear();
            }
        }
        Ok(())
    }
}

impl Peer for Server {
    fn read(&mut self, count: usize) -> Result {
        self.pass(count, |_, received, _| {
            black_box(&received);
            Ok(())
        })
    }

    fn echo(&mut self, count: usize) -> Result {
        self.pass(count, |connection, received, output| {
            match received {
                Received::Text(text) => connection.send_text(&text, output)?,
                Received::Binary(bytes) => connection.send_binary(&bytes, output)?,
                other => return Err(format!("{other:?} was not sent").into()),
            }
            Ok(())
        })
    }
}
