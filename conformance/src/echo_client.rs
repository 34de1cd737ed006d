//! Says back what a server says, as the suites that test clients want it.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use wingbeat_websocket::{Limits, Received};

use crate::client::{Client, Event};

/// How long the next frame of a suite may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Suites send messages of 16 MiB in one frame, and 4 MiB in fragments of 64 bytes.
const LIMITS: Limits =
    Limits::DEFAULT.with_max_frame_bytes(32 << 20).with_max_message_bytes(32 << 20).with_max_fragments(1 << 17);

/// Connects and says back every message until the server hangs up. Returns the last one.
///
/// # Errors
/// There is no connection, or the server stays and says nothing more.
pub fn echo(host: &str, resource: &str) -> io::Result<Option<Received<'static>>> {
    let mut client = Client::connect(host, resource, LIMITS, Instant::now() + PATIENCE)?;
    let mut last = None;
    loop {
        let message = match client.receive(Instant::now() + PATIENCE)? {
            Event::Received(message @ (Received::Text(_) | Received::Binary(_))) => message,
            Event::Received(_) | Event::Broken(_) => continue,
            Event::Lost => return Ok(last),
        };
        match send(&mut client, &message) {
            // The server has hung up already; what it said before is still to be read.
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                return Err(error);
            }
            _ => last = Some(message),
        }
    }
}

/// Sends the message; after a Close it is dropped, as there is nobody to say it to.
fn send(client: &mut Client, message: &Received<'_>) -> io::Result<()> {
    client.send(|connection, output| {
        let _ = match message {
            Received::Text(text) => connection.send_text(text, output),
            Received::Binary(bytes) => connection.send_binary(bytes, output),
            _ => Ok(()),
        };
    })
}
