//! wtx: messages read where they lie (`Adaptive`), text checked; it writes each frame by itself.

use ::wtx::collection::Vector;
use ::wtx::rng::{Xorshift64, simple_seed};
use ::wtx::web_socket::{Frame, OpCode, WebSocketBuffer, WebSocketOwned, WebSocketPayloadOrigin};
use bytes::Bytes;
use tokio::net::TcpStream;

use super::Ended;
use crate::head::Role;
use crate::{MAX_MESSAGE_BYTES, Settings};

type Socket = WebSocketOwned<(), Xorshift64, TcpStream, false>;

pub(super) async fn serve(stream: TcpStream, role: Role, settings: Settings) -> Ended {
    let random = Xorshift64::from(simple_seed());
    let mut socket: Socket = WebSocketOwned::new((), false, random, stream, WebSocketBuffer::new());
    socket.set_max_payload_len(MAX_MESSAGE_BYTES);
    match role {
        Role::Echo => echo(socket).await?,
        Role::Subscriber => {
            let mut published = settings.hub.subscribe();
            while let Some(payload) = published.recv().await {
                // What is sent must be its own: it could have to be masked.
                socket.write_frame(&mut Frame::new_fin(OpCode::Binary, payload.to_vec())).await?;
            }
        }
        Role::Publisher => {
            let mut buffer = Vector::new();
            loop {
                buffer.clear();
                let frame = socket.read_frame(&mut buffer, WebSocketPayloadOrigin::Adaptive).await?;
                match frame.op_code() {
                    OpCode::Close => break,
                    OpCode::Text | OpCode::Binary => settings.hub.publish(&Bytes::copy_from_slice(frame.payload())),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

async fn echo(mut socket: Socket) -> ::wtx::Result<()> {
    let mut buffer = Vector::new();
    let (mut common, mut reader, mut writer) = socket.split_mut();
    loop {
        buffer.clear();
        let mut frame = reader.read_frame(&mut buffer, &mut common, WebSocketPayloadOrigin::Adaptive).await?;
        match frame.op_code() {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => writer.write_frame(&mut common, &mut frame).await?,
            _ => {}
        }
    }
}
