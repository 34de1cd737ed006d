//! A client over a blocking socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use wingbeat_websocket::deflate::{DeflateConfig, DeflatePool};
use wingbeat_websocket::handshake::Extension;
use wingbeat_websocket::{CloseFrame, Connection, Limits, Received, Role};

pub struct Client {
    stream: TcpStream,
    protocol: Connection,
    pool: DeflatePool,
    input: Vec<u8>,
}

fn mask_key() -> [u8; 4] {
    [1, 2, 3, 4]
}

fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Sends a request as it is and gives the answer as it is.
pub fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = dial(address);
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) => panic!("{error}, got {:?}", String::from_utf8_lossy(&answer)),
        }
        if is_complete(&answer) {
            break;
        }
    }
    String::from_utf8(answer).expect("text")
}

fn is_complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.starts_with("http/1.1 101") {
        return true;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

pub fn upgrade(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr, target: &str) -> Self {
        Self::connect_with(address, target, "").0
    }

    /// Offers compression; says what the head of the answer was, too.
    #[track_caller]
    pub fn connect_deflating(address: SocketAddr, target: &str) -> (Self, String) {
        let offer = Extension { name: "permessage-deflate", params: Vec::new() };
        let (mut client, head) =
            Self::connect_with(address, target, "sec-websocket-extensions: permessage-deflate\r\n");
        if head.to_lowercase().contains("sec-websocket-extensions") {
            let params = DeflateConfig::DEFAULT.accept([offer]).expect("a good offer");
            client.protocol.set_deflate(params, None);
        }
        (client, head)
    }

    #[track_caller]
    fn connect_with(address: SocketAddr, target: &str, more: &str) -> (Self, String) {
        let mut stream = dial(address);
        stream.write_all(upgrade(target, more).as_bytes()).expect("the server reads");
        let mut input = Vec::new();
        let mut buffer = [0; 4096];
        let end = loop {
            let count = stream.read(&mut buffer).expect("an answer in time");
            assert!(count > 0, "closed: {:?}", String::from_utf8_lossy(&input));
            input.extend_from_slice(&buffer[..count]);
            if let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        assert!(input.starts_with(b"HTTP/1.1 101"), "{:?}", String::from_utf8_lossy(&input));
        let head = String::from_utf8(input.drain(..end).collect()).expect("text");
        let limits = Limits::DEFAULT.with_max_frame_bytes(1 << 24).with_max_message_bytes(1 << 24);
        let protocol = Connection::new(Role::Client { mask_key }, limits);
        (Self { stream, protocol, pool: DeflatePool::default(), input }, head)
    }

    /// Sends a text frame.
    pub fn send(&mut self, text: &str) {
        self.send_all(&[text]);
    }

    /// Sends text frames in one write.
    pub fn send_all(&mut self, texts: &[&str]) {
        let mut output = Vec::new();
        for text in texts {
            self.protocol.send_text(text, &mut output).expect("open");
        }
        self.stream.write_all(&output).expect("the server reads");
    }

    pub fn send_binary(&mut self, bytes: &[u8]) {
        let mut output = Vec::new();
        self.protocol.send_binary(bytes, &mut output).expect("open");
        self.stream.write_all(&output).expect("the server reads");
    }

    /// How many messages came compressed.
    pub fn inflated(&self) -> u64 {
        self.pool.inflated_messages()
    }

    /// Begins the closing handshake.
    pub fn close(&mut self) {
        let mut output = Vec::new();
        self.protocol.close(Some(CloseFrame::new(wingbeat_websocket::CloseCode::NORMAL, "bye")), &mut output);
        self.stream.write_all(&output).expect("the server reads");
    }

    /// The next message, or the code of the Close: `close 1011`.
    #[track_caller]
    pub fn recv(&mut self) -> String {
        let mut output = Vec::new();
        loop {
            let (used, received) =
                self.protocol.handle_input_with(&mut self.pool, &mut self.input, &mut output).expect("good frames");
            let received = received.map(|received| match received {
                Received::Text(text) => text.into_owned(),
                Received::Binary(bytes) => format!("{bytes:?}"),
                Received::Close(frame) => format!("close {}", frame.map_or(1005, |frame| u16::from(frame.code()))),
                Received::Ping(_) | Received::Pong(_) => String::new(),
            });
            self.input.drain(..used);
            if !output.is_empty() {
                // The other side may be gone once it has said Close.
                let _ = self.stream.write_all(&std::mem::take(&mut output));
            }
            match received {
                Some(text) if !text.is_empty() => return text,
                Some(_) => continue,
                None => {}
            }
            let mut buffer = [0; 16 << 10];
            let count = self.stream.read(&mut buffer).expect("something comes in time");
            if count == 0 {
                return "end".into();
            }
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    /// Sends `text` and expects exactly `answers`, in order, then silence.
    #[track_caller]
    pub fn check(&mut self, text: &str, answers: &[&str]) {
        self.send(text);
        self.expect(answers);
        self.expect_silence();
    }

    /// Expects exactly these, in order.
    #[track_caller]
    pub fn expect(&mut self, answers: &[&str]) {
        for answer in answers {
            assert_eq!(self.recv(), *answer);
        }
    }

    /// Whatever was sent before is answered by now: the heartbeat's reply comes next.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.send(r#"[null,"hb","phoenix","heartbeat",{}]"#);
        assert_eq!(self.recv(), r#"[null,"hb","phoenix","phx_reply",{"response":{},"status":"ok"}]"#);
    }

    /// Joins and expects `ok`.
    #[track_caller]
    pub fn join(&mut self, join_ref: &str, topic: &str) {
        self.send(&format!(r#"["{join_ref}","{join_ref}","{topic}","phx_join",{{}}]"#));
        let ok = format!(r#"["{join_ref}","{join_ref}","{topic}","phx_reply",{{"response":{{}},"status":"ok"}}]"#);
        assert_eq!(self.recv(), ok);
    }
}
