//! The example of an axum application works as it stands.

#![cfg(feature = "axum")]

#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/axum.rs"]
mod example;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use wingbeat::websocket::{CloseCode, Connection, Limits, Received, Role};

/// A client of the least possible size.
struct Client {
    stream: TcpStream,
    protocol: Connection,
    input: Vec<u8>,
}

fn request(addr: SocketAddr, head: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    (stream, String::from_utf8(answer).expect("text"))
}

impl Client {
    fn open(addr: SocketAddr, target: &str) -> Self {
        let (stream, answer) = request(
            addr,
            &format!(
                "GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
        );
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        let protocol = Connection::new(Role::Client { mask_key: || [1, 2, 3, 4] }, Limits::DEFAULT);
        Self { stream, protocol, input: Vec::new() }
    }

    fn send(&mut self, text: &str) {
        let mut output = Vec::new();
        self.protocol.send_text(text, &mut output).expect("open");
        self.stream.write_all(&output).expect("it reads");
    }

    /// The next text, or the code of a Close.
    fn recv(&mut self) -> Result<String, CloseCode> {
        loop {
            let (used, received) = self.protocol.handle_input(&mut self.input, &mut Vec::new()).expect("good");
            let received = match received {
                Some(Received::Text(text)) => Some(Ok(text.into_owned())),
                Some(Received::Close(frame)) => Some(Err(frame.expect("a code").code())),
                _ => None,
            };
            self.input.drain(..used);
            if let Some(received) = received {
                return received;
            }
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).expect("something comes");
            assert!(count > 0, "the end came first");
            self.input.extend_from_slice(&piece[..count]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn channels_and_a_raw_handler_beside_pages() {
    let (application, running) = example::application().expect("it starts");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, application).await });
    let talked = tokio::task::spawn_blocking(move || {
        let mut echo = Client::open(addr, "/echo");
        echo.send("hello");
        assert_eq!(echo.recv().as_deref(), Ok("hello"));
        let mut room = Client::open(addr, "/socket/websocket?vsn=2.0.0");
        room.send(r#"["1","1","room:lobby","phx_join",{}]"#);
        let ok = r#"["1","1","room:lobby","phx_reply",{"response":{},"status":"ok"}]"#;
        assert_eq!(room.recv().as_deref(), Ok(ok));
        let post = "POST /rooms/lobby HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nnews";
        assert!(request(addr, post).1.starts_with("HTTP/1.1 200"));
        assert_eq!(room.recv().as_deref(), Ok(r#"[null,null,"room:lobby","announcement",{"message":"news"}]"#));
        room
    });
    let mut room = talked.await.expect("no panic");
    let told = tokio::task::spawn_blocking(move || room.recv());
    running.shutdown(CloseCode::SERVICE_RESTART, "", Duration::from_millis(200)).await;
    assert_eq!(told.await.expect("no panic"), Err(CloseCode::SERVICE_RESTART));
}
