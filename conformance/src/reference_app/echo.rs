//! `GET /echo`: a raw WebSocket that says back what it hears, for suites that test frames.

use wingbeat_transport::{CheckOrigin, Context, DeflateConfig, Handler, Message, Server, SocketOptions};
use wingbeat_websocket::Limits;

/// The largest message, and the largest frame. Suites send 16 MiB.
const MAX_BYTES: usize = 32 << 20;

/// Suites cut 4 MiB into fragments of 64 bytes.
const MAX_FRAGMENTS: u32 = 1 << 17;

/// How many answers may wait for a suite that is slow to read.
const MAX_WAITING: usize = 1 << 16;

struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        // A connection that is closing takes no more; then there is nobody to say it to.
        let _ = cx.send(message);
    }
}

pub(super) fn mount(server: Server) -> Server {
    let limits = Limits::DEFAULT
        .with_max_frame_bytes(MAX_BYTES)
        .with_max_message_bytes(MAX_BYTES)
        .with_max_fragments(MAX_FRAGMENTS);
    let options = SocketOptions::default()
        .with_limits(limits)
        .with_idle_timeout(None)
        .with_deflate(DeflateConfig::DEFAULT.with_server_takeover(true).with_client_takeover(true))
        .with_max_output(2 * MAX_BYTES, MAX_WAITING)
        .with_check_origin(CheckOrigin::Any);
    server.handler("/echo", options, |_| Ok(Echo))
}
