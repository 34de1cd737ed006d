//! `FragmentCollector`, which hands on whole messages and checked text; it writes each frame by itself.

use std::hint::black_box;

use fastwebsockets::{FragmentCollector, Role, WebSocket};

use super::{Peer, Result, at_once};
use crate::pipe::Pipe;

struct Server(FragmentCollector<Pipe>);

pub fn open(pipe: Pipe) -> Box<dyn Peer> {
    Box::new(Server(FragmentCollector::new(WebSocket::after_handshake(pipe, Role::Server))))
}

impl Peer for Server {
    fn read(&mut self, count: usize) -> Result {
        at_once(async {
            for _ in 0..count {
                black_box(self.0.read_frame().await?);
            }
            Ok(())
        })
    }

    fn echo(&mut self, count: usize) -> Result {
        at_once(async {
            for _ in 0..count {
                let frame = self.0.read_frame().await?;
                self.0.write_frame(frame).await?;
            }
            Ok(())
        })
    }
}
