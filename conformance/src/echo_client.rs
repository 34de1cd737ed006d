//! Says back what a server says, as the suites that test clients want it.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use wingbeat_websocket::deflate::DeflateConfig;
use wingbeat_websocket::{Limits, Received};

use crate::client::{Client, Event, Setup};

/// How long the next frame of a suite may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Suites send messages of 16 MiB in one frame, and 4 MiB in fragments of 64 bytes.
const LIMITS: Limits =
    Limits::DEFAULT.with_max_frame_bytes(32 << 20).with_max_message_bytes(32 << 20).with_max_fragments(1 << 17);

/// The server may have it without takeover; a suite tries both.
const DEFLATE: DeflateConfig = DeflateConfig::DEFAULT.with_server_takeover(true).with_client_takeover(true);

/// Connects and says back every message until the server hangs up. Returns the last one.
///
/// # Errors
/// There is no connection, or the server stays and says nothing more.
pub fn echo(host: &str, resource: &str) -> io::Result<Option<Received<'static>>> {
    let setup = Setup { limits: LIMITS, deflate: Some(DEFLATE) };
    let mut client = Client::connect(host, resource, setup, Instant::now() + PATIENCE)?;
    let mut last = None;
    loop {
        let message = match client.receive(Instant::now() + PATIENCE)? {
            Event::Received(message @ (Received::Text(_) | Received::Binary(_))) => message,
            Event::Received(_) | Event::Broken(_) => continue,
            Event::Lost => return Ok(last),
        };
        match client.send_back(&message) {
            // The server has hung up already; what it said before is still to be read.
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                return Err(error);
            }
            _ => last = Some(message),
        }
    }
}
