//! A WebSocket client on a plain stream: Wingbeat's own client role, waiting for one thing at a time.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use wingbeat_websocket::deflate::{Compression, DeflateConfig, DeflateParams, DeflatePool};
use wingbeat_websocket::handshake::{Answer, ClientHandshake, ClientOptions, WebSocketUri};
use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, ProtocolError, Received, Role, SendError};

/// How long a server may leave what we send unread.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// What a connection is opened with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// What the server may send.
    pub limits: Limits,
    /// What is offered of compression; nothing, if there is nothing.
    pub deflate: Option<DeflateConfig>,
}

/// A connection to one server.
pub struct Client {
    stream: TcpStream,
    connection: Connection,
    pool: DeflatePool,
    /// What has been read and not been used up.
    input: Vec<u8>,
}

/// The next thing that came.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A message or a control frame.
    Received(Received<'static>),
    /// The server broke the protocol and has been told. Only [`Event::Lost`] follows.
    Broken(ProtocolError),
    /// The stream ended.
    Lost,
}

impl Client {
    /// Connects to `ws://host/resource` and opens the WebSocket.
    ///
    /// # Errors
    /// There is no connection, the server refuses or answers wrongly, or nothing comes until the deadline.
    pub fn connect(host: &str, resource: &str, setup: Setup, deadline: Instant) -> io::Result<Self> {
        let mut options = ClientOptions::default();
        options.deflate = setup.deflate;
        let uri = WebSocketUri::parse(&format!("ws://{host}{resource}")).map_err(io::Error::other)?;
        let handshake = ClientHandshake::new(&uri, random(), options).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        stream.write_all(handshake.request())?;
        let mut input = Vec::new();
        loop {
            match handshake.handle_input(&input).map_err(io::Error::other)? {
                Some((Answer::Accepted(accepted), used)) => {
                    input.drain(..used);
                    let mut connection = Connection::new(Role::Client { mask_key: random }, setup.limits);
                    if let Some(params) = accepted.deflate {
                        connection.set_deflate(params, None);
                    }
                    let pool = DeflatePool::new(setup.deflate.unwrap_or_default());
                    return Ok(Self { stream, connection, pool, input });
                }
                Some((Answer::Refused(response), _)) => {
                    return Err(io::Error::other(format!("the server answered {}", response.status())));
                }
                None if read(&mut stream, &mut input, deadline)? == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
    }

    /// Sends what `say` appends.
    ///
    /// # Errors
    /// The server takes nothing more.
    pub fn send(&mut self, say: impl FnOnce(&mut Connection, &mut Vec<u8>)) -> io::Result<()> {
        let mut output = Vec::new();
        say(&mut self.connection, &mut output);
        self.stream.write_all(&output)
    }

    /// Sends a message or a Ping or Pong again as it came; a message is compressed, if that was agreed on. After a Close
    /// it is dropped, as there is nobody to say it to.
    ///
    /// # Errors
    /// The server takes nothing more.
    pub fn send_back(&mut self, received: &Received<'_>) -> io::Result<()> {
        let Self { connection, pool, .. } = self;
        let mut output = Vec::new();
        let sent = match received {
            Received::Text(text) => connection.send_text_with(text, Compression::Always, pool, &mut output),
            Received::Binary(bytes) => connection.send_binary_with(bytes, Compression::Always, pool, &mut output),
            Received::Ping(bytes) => connection.send_ping(bytes, &mut output),
            Received::Pong(bytes) => connection.send_pong(bytes, &mut output),
            Received::Close(_) => Ok(()),
        };
        match sent {
            Ok(()) | Err(SendError::Closed) => self.stream.write_all(&output),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// What was agreed on of compression.
    pub const fn deflate(&self) -> Option<DeflateParams> {
        self.connection.deflate()
    }

    /// Begins the closing handshake.
    ///
    /// # Errors
    /// The server takes nothing more.
    pub fn close(&mut self, reason: &str) -> io::Result<()> {
        self.send(|connection, output| connection.close(Some(CloseFrame::new(CloseCode::NORMAL, reason)), output))
    }

    /// Waits for the next frame or the end. What the server sends after both have said Close is passed over.
    ///
    /// # Errors
    /// Nothing came until the deadline, or the stream failed other than by being reset.
    pub fn receive(&mut self, deadline: Instant) -> io::Result<Event> {
        loop {
            let mut output = Vec::new();
            let taken = self.connection.handle_input_with(&mut self.pool, &mut self.input, &mut output);
            let (used, event) = match taken {
                Ok((used, received)) => (used, received.map(|received| Event::Received(received.into_owned()))),
                Err(error) => {
                    self.connection.fail(&error, &mut output);
                    (self.input.len(), Some(Event::Broken(error)))
                }
            };
            self.input.drain(..used);
            if !output.is_empty() {
                self.stream.write_all(&output)?;
            }
            if let Some(event) = event {
                return Ok(event);
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
    ///
    /// # Errors
    /// It does say something, or stays until the deadline.
    pub fn wait_for_end(&mut self, deadline: Instant) -> io::Result<()> {
        match read(&mut self.stream, &mut self.input, deadline) {
            Ok(0) => Ok(()),
            Ok(_) => Err(io::Error::other("the server went on after the closing handshake")),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Reads once, appending; 0 at the end of the stream, an error at the deadline.
pub(crate) fn read(stream: &mut TcpStream, input: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "nothing came"));
    }
    stream.set_read_timeout(Some(left))?;
    let mut chunk = [0; 64 * 1024];
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
