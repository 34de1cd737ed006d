//! `WebSocketStream` as a stream and a sink: `feed` for each message, a flush at the end of the pass.

use std::hint::black_box;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_websockets::{ServerBuilder, WebSocketStream};

use super::{Peer, Result, at_once};
use crate::pipe::Pipe;

struct Server(WebSocketStream<Pipe>);

pub fn open(pipe: Pipe) -> Box<dyn Peer> {
    Box::new(Server(ServerBuilder::new().serve(pipe)))
}

impl Peer for Server {
    fn read(&mut self, count: usize) -> Result {
        at_once(async {
            for _ in 0..count {
                black_box(self.0.next().await.ok_or("the stream ended")??);
            }
            Ok(())
        })
    }

    fn echo(&mut self, count: usize) -> Result {
        at_once(async {
            for _ in 0..count {
                let message = self.0.next().await.ok_or("the stream ended")??;
                self.0.feed(message).await?;
            }
            Ok(self.0.flush().await?)
        })
    }
}
