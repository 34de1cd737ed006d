//! Another crate reads the same stream. Where it differs, the difference is known.

use std::io::{self, Read, Write};

use tungstenite::Message;
use tungstenite::protocol::{Role as OtherRole, WebSocket, WebSocketConfig};
use wingbeat_websocket::deflate::DeflateConfig;
use wingbeat_websocket::{CloseFrame, Limits, ProtocolError, Received, Role};

use crate::stream::{CLIENT, Outcome, Side};

const MAX_FRAME_BYTES: usize = 1000;
const MAX_MESSAGE_BYTES: usize = 1500;

/// A byte of flags; the rest is the stream.
pub fn differential(data: &[u8]) {
    let Some((flags, stream)) = data.split_first() else { return };
    let (role, other_role) =
        if flags & 1 == 0 { (Role::Server, OtherRole::Server) } else { (CLIENT, OtherRole::Client) };
    // The other has no limit of fragments.
    let limits = Limits::DEFAULT
        .with_max_frame_bytes(MAX_FRAME_BYTES)
        .with_max_message_bytes(MAX_MESSAGE_BYTES)
        .with_max_fragments(u32::MAX);
    let ours = Side::new(role, limits, DeflateConfig::DEFAULT, None).feed([stream]);
    // We refuse at the first bad byte, the other at the end of the frame: it is shown one. What we refused it must not
    // have delivered even then.
    let padding = if ours.error.is_some() { &[0; 2 * MAX_FRAME_BYTES][..] } else { &[] };
    let theirs = read_by_other(other_role, [stream, padding].concat());
    if let Err(why) = compare(&ours, &theirs) {
        panic!("{why}\nours:   {ours:?}\ntheirs: {theirs:?}");
    }
}

/// What the other made of it.
#[derive(Debug)]
struct Other {
    received: Vec<Received<'static>>,
    /// Why it stopped; `None` if it wants more bytes or has closed.
    error: Option<tungstenite::Error>,
}

fn compare(ours: &Outcome, theirs: &Other) -> Result<(), &'static str> {
    let common = ours.received.iter().zip(&theirs.received).take_while(|(ours, theirs)| ours == theirs).count();
    let (our_rest, their_rest) = (&ours.received[common..], &theirs.received[common..]);
    match (our_rest, their_rest, ours.error) {
        ([], [], None) if theirs.error.is_none() => Ok(()),
        ([], [], None) => Err("only the other refused"),
        ([], [], Some(_)) => Ok(()),
        // It takes lengths in whatever form; to us the longer forms alone are too long for a control frame.
        ([], [_, ..], Some(ProtocolError::LengthNotMinimal(_))) => Ok(()),
        ([], [theirs, ..], Some(ProtocolError::ControlTooLong)) if is_control(theirs) => Ok(()),
        // It turns a code that must not travel into a Close of its own.
        ([], [Received::Close(Some(close))], Some(ProtocolError::InvalidCloseCode(_))) if is_its_own(close) => Ok(()),
        // It does not know 1014, which was registered later (RFC 6455 §11.7).
        ([Received::Close(Some(ours))], [Received::Close(Some(theirs))], None)
            if ours.code().value() == 1014 && is_its_own(theirs) =>
        {
            Ok(())
        }
        _ => Err("we differ"),
    }
}

fn is_control(received: &Received<'_>) -> bool {
    matches!(received, Received::Ping(_) | Received::Pong(_) | Received::Close(_))
}

fn is_its_own(close: &CloseFrame) -> bool {
    (close.code().value(), close.reason()) == (1002, "Protocol violation")
}

fn read_by_other(role: OtherRole, stream: Vec<u8>) -> Other {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_frame_size(Some(MAX_FRAME_BYTES))
        .max_message_size(Some(MAX_MESSAGE_BYTES));
    let mut socket = WebSocket::from_raw_socket(Stream(io::Cursor::new(stream)), role, Some(config));
    let mut received = Vec::new();
    loop {
        let error = match socket.read() {
            Ok(Message::Text(text)) => {
                received.push(Received::Text(text.to_string().into()));
                continue;
            }
            Ok(Message::Binary(bytes)) => {
                received.push(Received::Binary(bytes.to_vec().into()));
                continue;
            }
            Ok(Message::Ping(payload)) => {
                received.push(Received::Ping(payload.to_vec().into()));
                continue;
            }
            Ok(Message::Pong(payload)) => {
                received.push(Received::Pong(payload.to_vec().into()));
                continue;
            }
            Ok(Message::Close(close)) => {
                received.push(Received::Close(close.map(|close| {
                    let code = wingbeat_websocket::CloseCode::new(close.code.into()).expect("a code that may travel");
                    CloseFrame::new(code, &close.reason)
                })));
                None
            }
            Ok(Message::Frame(_)) => unreachable!("it is never received"),
            Err(tungstenite::Error::ConnectionClosed) => None,
            Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => None,
            Err(error) => Some(error),
        };
        return Other { received, error };
    }
}

/// Gives a stream of bytes, and takes whatever is written.
struct Stream(io::Cursor<Vec<u8>>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
