//! fastwebsockets: `FragmentCollector`, which hands on whole messages and checked text; it writes each frame by itself.

use ::fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, Role as Side, WebSocket, WebSocketError};
use bytes::Bytes;
use tokio::net::TcpStream;

use super::Ended;
use crate::head::Role;
use crate::{MAX_MESSAGE_BYTES, Settings};

pub(super) async fn serve(stream: TcpStream, role: Role, settings: Settings) -> Ended {
    let mut socket = WebSocket::after_handshake(stream, Side::Server);
    socket.set_max_message_size(MAX_MESSAGE_BYTES);
    match role {
        Role::Echo => echo(FragmentCollector::new(socket)).await?,
        Role::Subscriber => {
            let mut published = settings.hub.subscribe();
            while let Some(payload) = published.recv().await {
                socket.write_frame(Frame::binary(Payload::Borrowed(&payload))).await?;
            }
        }
        Role::Publisher => {
            let mut socket = FragmentCollector::new(socket);
            loop {
                let frame = socket.read_frame().await?;
                match frame.opcode {
                    OpCode::Close => break,
                    OpCode::Text | OpCode::Binary => settings.hub.publish(&Bytes::copy_from_slice(&frame.payload)),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

async fn echo(mut socket: FragmentCollector<TcpStream>) -> Result<(), WebSocketError> {
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
