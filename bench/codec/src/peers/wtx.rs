//! `WebSocket` split by reference, its messages read where they lie; it writes each frame by itself.

use std::hint::black_box;

use wtx::collection::Vector;
use wtx::rng::Xorshift64;
use wtx::web_socket::{WebSocketBuffer, WebSocketOwned, WebSocketPayloadOrigin};

use super::{Peer, Result, at_once};
use crate::pipe::Pipe;

struct Server {
    socket: WebSocketOwned<(), Xorshift64, Pipe, false>,
    buffer: Vector<u8>,
}

pub fn open(pipe: Pipe) -> Box<dyn Peer> {
    let socket = WebSocketOwned::new((), false, Xorshift64::new(1), pipe, WebSocketBuffer::new());
    Box::new(Server { socket, buffer: Vector::new() })
}

impl Peer for Server {
    fn read(&mut self, count: usize) -> Result {
        let Self { socket, buffer } = self;
        at_once(async {
            for _ in 0..count {
                buffer.clear();
                black_box(socket.read_frame(buffer, WebSocketPayloadOrigin::Adaptive).await?.payload());
            }
            Ok(())
        })
    }

    fn echo(&mut self, count: usize) -> Result {
        let Self { socket, buffer } = self;
        let (mut common, mut reader, mut writer) = socket.split_mut();
        at_once(async {
            for _ in 0..count {
                buffer.clear();
                let mut frame = reader.read_frame(buffer, &mut common, WebSocketPayloadOrigin::Adaptive).await?;
                writer.write_frame(&mut common, &mut frame).await?;
            }
            Ok(())
        })
    }
}
