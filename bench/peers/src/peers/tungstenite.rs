//! tokio-tungstenite: a stream and a sink with buffers of its own; `feed` for each message, one flush.

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role as Side, WebSocketConfig};

use super::Ended;
use crate::head::Role;
use crate::{MAX_MESSAGE_BYTES, Settings, sinks};

/// Its read buffer where memory counts; its documentation names no figure.
const LEAN_BYTES: usize = 4 << 10;

impl sinks::Message for Message {
    fn is_data(&self) -> bool {
        self.is_binary() || self.is_text()
    }

    fn binary(payload: Bytes) -> Self {
        Self::Binary(payload)
    }

    fn into_payload(self) -> Bytes {
        self.into_data()
    }
}

pub(super) async fn serve(stream: TcpStream, role: Role, settings: Settings) -> Ended {
    let limit = Some(MAX_MESSAGE_BYTES);
    let mut config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    if settings.is_lean {
        config = config.read_buffer_size(LEAN_BYTES).write_buffer_size(LEAN_BYTES);
    }
    let socket = WebSocketStream::from_raw_socket(stream, Side::Server, Some(config)).await;
    match role {
        Role::Echo => sinks::echo(socket).await?,
        Role::Subscriber => sinks::subscribe(socket, settings.hub.subscribe()).await?,
        Role::Publisher => sinks::publish(socket, &settings.hub).await?,
    }
    Ok(())
}
