//! axum: its `WebSocketUpgrade` behind `axum::serve`, tokio-tungstenite beneath; `feed` for each message, one flush.

use std::io;

use ::axum::Router;
use ::axum::extract::State;
use ::axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use ::axum::http::Uri;
use ::axum::response::Response;
use ::axum::routing::any;
use ::axum::serve::ListenerExt as _;
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::head::Role;
use crate::{MAX_MESSAGE_BYTES, Settings, sinks};

/// Its read buffer where memory counts; its documentation names no figure.
const LEAN_BYTES: usize = 4 << 10;

impl sinks::Message for Message {
    fn is_data(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Binary(_))
    }

    fn binary(payload: Bytes) -> Self {
        Self::Binary(payload)
    }

    fn into_payload(self) -> Bytes {
        self.into_data()
    }
}

pub(super) async fn serve(listener: TcpListener, settings: Settings) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let app = Router::new().route("/", any(open)).route("/{*path}", any(open)).with_state(settings);
    ::axum::serve(listener, app).await
}

async fn open(State(settings): State<Settings>, uri: Uri, upgrade: WebSocketUpgrade) -> Response {
    let mut upgrade = upgrade.max_message_size(MAX_MESSAGE_BYTES).max_frame_size(MAX_MESSAGE_BYTES);
    if settings.is_lean {
        upgrade = upgrade.read_buffer_size(LEAN_BYTES).write_buffer_size(LEAN_BYTES);
    }
    let role = Role::of(uri.path());
    upgrade.on_upgrade(move |socket| tokio::task::unconstrained(converse(socket, role, settings)))
}

async fn converse(socket: WebSocket, role: Role, settings: Settings) {
    let _ = match role {
        Role::Echo => sinks::echo(socket).await,
        Role::Subscriber => sinks::subscribe(socket, settings.hub.subscribe()).await,
        Role::Publisher => sinks::publish(socket, &settings.hub).await,
    };
}
