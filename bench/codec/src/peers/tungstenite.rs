//! `WebSocket::read` and `write`, with a flush at the end of the pass.

use std::hint::black_box;

use tungstenite::WebSocket;
use tungstenite::protocol::Role;

use super::{Peer, Result};
use crate::pipe::Pipe;

struct Server(WebSocket<Pipe>);

pub fn open(pipe: Pipe) -> Box<dyn Peer> {
    Box::new(Server(WebSocket::from_raw_socket(pipe, Role::Server, None)))
}

impl Peer for Server {
    fn read(&mut self, count: usize) -> Result {
        for _ in 0..count {
            black_box(self.0.read()?);
        }
        Ok(())
    }

    fn echo(&mut self, count: usize) -> Result {
        for _ in 0..count {
            let message = self.0.read()?;
            self.0.write(message)?;
        }
        Ok(self.0.flush()?)
    }
}
