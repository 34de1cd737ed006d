//! yawc: a stream and a sink, text checked, compression off, with the buffers that its own benchmark takes;
//! `feed` for each message, one flush.

use std::pin::Pin;
use std::task::{Context, Poll};

use ::yawc::{Frame, OpCode, Options, Role as Side, WebSocket, WebSocketError};
use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream};
use tokio::net::TcpStream;

use super::Ended;
use crate::head::Role;
use crate::{MAX_MESSAGE_BYTES, Settings, sinks};

/// Buffers of its own benchmark: reading, and how much may gather.
const TUNED_BYTES: (usize, usize) = (128 << 10, 64 << 10);
/// Both buffers as its documentation has them for many idle connections.
const LEAN_BYTES: usize = 1 << 10;

impl sinks::Message for Frame {
    fn is_data(&self) -> bool {
        matches!(self.opcode(), OpCode::Text | OpCode::Binary)
    }

    fn binary(payload: Bytes) -> Self {
        Self::binary(payload)
    }

    fn into_payload(self) -> Bytes {
        self.into_payload()
    }
}

/// Its stream without the errors is told apart from one that has ended.
struct Socket(WebSocket<TcpStream>);

impl Stream for Socket {
    type Item = Result<Frame, WebSocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_frame(cx).map(Some)
    }
}

impl Sink<Frame> for Socket {
    type Error = WebSocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), Self::Error> {
        self.0.start_send_unpin(frame)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_close_unpin(cx)
    }
}

pub(super) async fn serve(stream: TcpStream, role: Role, settings: Settings) -> Ended {
    let options = Options::default().without_compression().with_utf8();
    let options = options.with_limits(MAX_MESSAGE_BYTES, 2 * MAX_MESSAGE_BYTES);
    let options = match settings.is_lean {
        true => options.with_read_buffer_capacity(LEAN_BYTES).with_write_buffer_capacity(LEAN_BYTES),
        false => options.with_read_buffer_capacity(TUNED_BYTES.0).with_backpressure_boundary(TUNED_BYTES.1),
    };
    let socket = Socket(WebSocket::from_stream(stream, Side::Server, options)?);
    match role {
        Role::Echo => sinks::echo(socket).await?,
        Role::Subscriber => sinks::subscribe(socket, settings.hub.subscribe()).await?,
        Role::Publisher => sinks::publish(socket, &settings.hub).await?,
    }
    Ok(())
}
