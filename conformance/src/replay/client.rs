//! A WebSocket client on a plain stream: Wingbeat's own client role, waiting for one thing at a time.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use wingbeat_websocket::handshake::{Answer, ClientHandshake, ClientOptions, WebSocketUri};
use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, Received, Role};

pub(super) struct Client {
    stream: TcpStream,
    connection: Connection,
    /// What has been read and not been used up.
    input: Vec<u8>,
}

/// The next thing that came.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Received(Received<'static>),
    /// The stream ended without a Close.
    Lost,
}

impl Client {
    pub(super) fn connect(host: &str, resource: &str, deadline: Instant) -> io::Result<Self> {
        let uri = WebSocketUri::parse(&format!("ws://{host}{resource}")).map_err(io::Error::other)?;
        let handshake = ClientHandshake::new(&uri, random(), ClientOptions::default()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.write_all(handshake.request())?;
        let mut input = Vec::new();
        loop {
            match handshake.handle_input(&input).map_err(io::Error::other)? {
                Some((Answer::Accepted(_), used)) => {
                    input.drain(..used);
                    let connection = Connection::new(Role::Client { mask_key: random }, Limits::DEFAULT);
                    return Ok(Self { stream, connection, input });
                }
                Some((Answer::Refused(response), _)) => {
                    return Err(io::Error::other(format!("the server answered {}", response.status())));
                }
                None if read(&mut stream, &mut input, deadline)? == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
    }

    pub(super) fn send(&mut self, say: impl FnOnce(&mut Connection, &mut Vec<u8>)) -> io::Result<()> {
        let mut output = Vec::new();
        say(&mut self.connection, &mut output);
        self.stream.write_all(&output)
    }

    pub(super) fn close(&mut self, reason: &str) -> io::Result<()> {
        self.send(|connection, output| connection.close(Some(CloseFrame::new(CloseCode::NORMAL, reason)), output))
    }

    /// Waits for the next frame or the end.
    pub(super) fn receive(&mut self, deadline: Instant) -> io::Result<Event> {
        loop {
            let mut output = Vec::new();
            let taken = self.connection.handle_input(&mut self.input, &mut output);
            let (used, received) =
                taken.map_err(|error| io::Error::other(format!("the server broke the protocol: {error}")))?;
            let received = received.map(Received::into_owned);
            self.input.drain(..used);
            if !output.is_empty() {
                self.stream.write_all(&output)?;
            }
            if let Some(received) = received {
                return Ok(Event::Received(received));
            }
            match read(&mut self.stream, &mut self.input, deadline) {
                Ok(0) => return Ok(Event::Lost),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Event::Lost),
                Err(error) => return Err(error),
            }
        }
    }

    /// After both have said Close the server hangs up (§7.1.1), and says nothing more before it does.
    pub(super) fn wait_for_end(&mut self, deadline: Instant) -> io::Result<()> {
        match read(&mut self.stream, &mut self.input, deadline) {
            Ok(0) => Ok(()),
            Ok(_) => Err(io::Error::other("the server went on after the closing handshake")),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Reads once, appending; 0 at the end of the stream, an error at the deadline.
pub(super) fn read(stream: &mut TcpStream, input: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "nothing came"));
    }
    stream.set_read_timeout(Some(left))?;
    let mut chunk = [0; 16 * 1024];
    let count = stream.read(&mut chunk).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "nothing came"),
        _ => error,
    })?;
    input.extend_from_slice(&chunk[..count]);
    Ok(count)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes
}
