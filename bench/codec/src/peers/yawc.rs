//! `WebSocket` as a stream and a sink, text checked: `feed` for each message, a flush at the end of the pass.

use std::hint::black_box;

use futures_util::SinkExt as _;
use yawc::{Options, Role, WebSocket};

use super::{Peer, Result, at_once};
use crate::pipe::Pipe;

struct Server(WebSocket<Pipe>);

pub fn open(pipe: Pipe) -> Box<dyn Peer> {
    let options = Options::default().without_compression().with_utf8();
    Box::new(Server(WebSocket::from_stream(pipe, Role::Server, options).expect("the options are legal")))
}

impl Peer for Server {
    fn read(&mut self, count: usize) -> Result {
        at_once(async {
            for _ in 0..count {
                black_box(self.0.next_frame().await?);
            }
            Ok(())
        })
    }

    fn echo(&mut self, count: usize) -> Result {
        at_once(async {
            for _ in 0..count {
                let frame = self.0.next_frame().await?;
                self.0.feed(frame).await?;
            }
            Ok(self.0.flush().await?)
        })
    }
}
