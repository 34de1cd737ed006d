//! tokio-websockets: a stream and a sink. Its reading flushes what is fed, so a batch is read first, then fed.

use ::tokio_websockets::{Config, Error, Limits, Message, ServerBuilder, WebSocketStream};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;

use super::Ended;
use crate::head::Role;
use crate::{MAX_MESSAGE_BYTES, Settings, sinks};

/// What may gather before it flushes by itself.
const FLUSH_BYTES: usize = 256 << 10;

impl sinks::Message for Message {
    fn is_data(&self) -> bool {
        self.is_binary() || self.is_text()
    }

    fn binary(payload: Bytes) -> Self {
        Self::binary(payload)
    }

    fn into_payload(self) -> Bytes {
        self.into_payload().into()
    }
}

pub(super) async fn serve(stream: TcpStream, role: Role, settings: Settings) -> Ended {
    let socket = ServerBuilder::new()
        .config(Config::default().frame_size(usize::MAX).flush_threshold(FLUSH_BYTES))
        .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE_BYTES)))
        .serve(stream);
    match role {
        Role::Echo => echo(socket).await?,
        Role::Subscriber => sinks::subscribe(socket, settings.hub.subscribe()).await?,
        Role::Publisher => sinks::publish(socket, &settings.hub).await?,
    }
    Ok(())
}

async fn echo(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    let mut batch = Vec::new();
    while let Some(message) = socket.next().await {
        batch.push(message?);
        while batch.len() < sinks::MAX_BATCH
            && let Some(message) = sinks::next_ready(&mut socket).await
        {
            let Some(message) = message else { return Ok(()) };
            batch.push(message?);
        }
        for message in batch.drain(..).filter(sinks::Message::is_data) {
            socket.feed(message).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}
