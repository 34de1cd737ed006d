//! The examples do what they say.

#[allow(dead_code, reason = "the tests start the servers themselves")]
#[path = "../examples/echo.rs"]
mod echo;
#[allow(dead_code, reason = "the tests start the servers themselves")]
#[path = "../examples/rooms.rs"]
mod rooms;
#[allow(dead_code, reason = "the tests start the servers themselves")]
#[path = "../examples/stream.rs"]
mod stream;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use wingbeat::transport::{Limits, MessageKind, Running};
use wingbeat::websocket::handshake::{Answer, ClientHandshake, ClientOptions, WebSocketUri};
use wingbeat::websocket::{Connection, Received, Role};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A client that blocks.
struct Client {
    stream: TcpStream,
    protocol: Connection,
    input: Vec<u8>,
}

impl Client {
    /// Opens a WebSocket, or says with which status that was refused.
    fn open(server: &Running, path: &str) -> Result<Self, u16> {
        let address = server.local_addr();
        let mut stream = TcpStream::connect(address).expect("someone listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let uri = WebSocketUri::parse(&format!("ws://{address}{path}")).expect("a URI");
        let handshake = ClientHandshake::new(&uri, [7; 16], ClientOptions::default()).expect("good options");
        stream.write_all(handshake.request()).expect("it is taken");
        let limits = Limits::DEFAULT.with_max_message_bytes(1 << 30).with_max_frame_bytes(1 << 30);
        let protocol = Connection::new(Role::Client { mask_key: || [1, 2, 3, 4] }, limits);
        let mut client = Self { stream, protocol, input: Vec::new() };
        loop {
            client.read();
            match handshake.handle_input(&client.input).expect("an answer") {
                Some((Answer::Accepted(_), used)) => {
                    client.input.drain(..used);
                    return Ok(client);
                }
                Some((Answer::Refused(refused), _)) => return Err(refused.status().as_u16()),
                None => {}
            }
        }
    }

    fn read(&mut self) {
        let mut piece = vec![0; 64 << 10];
        let count = self.stream.read(&mut piece).expect("something comes");
        assert!(count > 0, "the server hung up");
        self.input.extend_from_slice(&piece[..count]);
    }

    fn say(&mut self, say: impl FnOnce(&mut Connection, &mut Vec<u8>)) {
        let mut output = Vec::new();
        say(&mut self.protocol, &mut output);
        self.stream.write_all(&output).expect("it is taken");
    }

    fn send(&mut self, text: &str) {
        self.say(|protocol, output| protocol.send_text(text, output).expect("open"));
    }

    fn recv(&mut self) -> Received<'static> {
        loop {
            let (used, received) = self.protocol.handle_input(&mut self.input, &mut Vec::new()).expect("a good server");
            let received = received.map(Received::into_owned);
            self.input.drain(..used);
            match received {
                Some(received) => return received,
                None => self.read(),
            }
        }
    }

    fn recv_text(&mut self) -> String {
        match self.recv() {
            Received::Text(text) => text.into_owned(),
            other => panic!("expected text, not {other:?}"),
        }
    }
}

#[test]
fn echo() {
    let server = echo::start(ANY).expect("a port");
    for path in ["/echo", "/loop"] {
        let mut client = Client::open(&server, path).expect("open");
        for text in ["hello", "tschüß"] {
            client.send(text);
            assert_eq!(client.recv_text(), text, "{path}");
        }
    }
}

#[test]
fn rooms() {
    let server = rooms::start(ANY).expect("a port");
    assert_eq!(Client::open(&server, "/rooms/lobby").err(), Some(400), "who is it?");
    let mut ann = Client::open(&server, "/rooms/lobby?name=ann").expect("open");
    assert_eq!(ann.recv_text(), "ann has come");
    let mut elsewhere = Client::open(&server, "/rooms/attic?name=eve").expect("open");
    assert_eq!(elsewhere.recv_text(), "eve has come");
    let mut bob = Client::open(&server, "/rooms/lobby?name=bob").expect("open");
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.recv_text(), "bob has come");
    }
    ann.send("hello");
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.recv_text(), "ann: hello");
    }
    drop(bob);
    assert_eq!(ann.recv_text(), "bob has gone");
    elsewhere.send("anyone?");
    assert_eq!(elsewhere.recv_text(), "eve: anyone?", "and nothing of the lobby");
}

#[test]
fn stream() {
    let server = stream::start(ANY).expect("a port");
    let mut client = Client::open(&server, "/up").expect("open");
    for _ in 0..2 {
        // More than a message may have by default.
        for index in 0..20 {
            let part = vec![7; 1_000_000];
            client.say(|protocol, output| {
                protocol.send_fragment(MessageKind::Binary, &part, index == 19, output).expect("open");
            });
        }
        assert_eq!(client.recv_text(), "20000000 bytes");
    }
    let mut client = Client::open(&server, "/down/20").expect("open");
    let Received::Binary(bytes) = client.recv() else { panic!("expected bytes") };
    assert_eq!(bytes.len(), 20 << 20);
    assert!((0..20).all(|megabyte| bytes[megabyte << 20] == megabyte as u8));
    assert_eq!(Client::open(&server, "/down/many").err(), Some(400));
}
