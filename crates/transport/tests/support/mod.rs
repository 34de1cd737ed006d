//! A server on a loopback port, and a peer that can behave and misbehave.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub(crate) mod log;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wingbeat_transport::{
    CheckOrigin, Closed, Config, ConnectionHandle, Context, Handler, Info, Message, Request, Running, Server,
    SocketOptions, Turn, not_found,
};
use wingbeat_websocket::deflate::{Compression, DeflateConfig, DeflateParams, DeflatePool};
use wingbeat_websocket::handshake::{Answer, ClientHandshake, ClientOptions, WebSocketUri};
use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, MessageKind, Received, Role};

/// Longer than anything takes that works: only a hang gets here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// One worker on a port of the system's choice.
pub(crate) fn config() -> Config {
    Config::default().with_listen(SocketAddr::from(([127, 0, 0, 1], 0))).with_threads(1)
}

/// Options without an idle timeout, for any origin.
pub(crate) fn options() -> SocketOptions {
    SocketOptions::default().with_idle_timeout(None).with_check_origin(CheckOrigin::Any)
}

/// A running server; it ends with the test.
pub(crate) struct TestServer {
    running: Option<Running>,
    addr: SocketAddr,
}

impl TestServer {
    pub(crate) fn start(server: Server) -> Self {
        Self::of(server.start(not_found()).expect("a loopback port"))
    }

    pub(crate) fn of(running: Running) -> Self {
        let addr = running.local_addr();
        Self { running: Some(running), addr }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("not stopped yet")
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.addr)
    }

    /// A peer whose WebSocket at `path` is open.
    pub(crate) fn open(&self, path: &str) -> Peer {
        Peer::open(self.addr, path)
    }

    /// Stops the server and says how long that took.
    pub(crate) fn shutdown(mut self, code: CloseCode, within: Duration) -> Duration {
        let begun = Instant::now();
        stop(self.running.take().expect("not stopped yet"), code, within);
        begun.elapsed()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // After a failure a hung worker must not hide it.
        if let Some(running) = self.running.take()
            && !std::thread::panicking()
        {
            stop(running, CloseCode::GOING_AWAY, Duration::ZERO);
        }
    }
}

fn stop(running: Running, code: CloseCode, within: Duration) {
    wait_for(running.shutdown(code, "bye", within));
}

/// Runs a future to its end on this thread.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it hangs") })
}

/// What `job` returns in a turn of the first worker.
pub(crate) fn in_turn<T: Send + 'static>(server: &TestServer, job: impl FnOnce(&mut Turn) -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    let workers = server.running().workers();
    let worker = workers.ids().next().expect("one");
    workers.run(worker, move |turn| drop(sender.send(job(turn)))).expect("a worker");
    receiver.recv_timeout(PATIENCE).expect("it runs")
}

/// What a [`Probe`] has seen.
#[derive(Debug)]
pub(crate) enum Event {
    Opened(ConnectionHandle),
    Text(String),
    Binary(Vec<u8>),
    Info(Info),
    Closed(Closed),
}

/// The test's end of all probes of one mount.
pub(crate) struct Events {
    receiver: Receiver<Event>,
}

impl Events {
    pub(crate) fn next(&self) -> Event {
        self.receiver.recv_timeout(PATIENCE).expect("the handler is called")
    }

    /// What comes next, if it comes in time.
    pub(crate) fn within(&self, patience: Duration) -> Option<Event> {
        self.receiver.recv_timeout(patience).ok()
    }

    pub(crate) fn opened(&self) -> ConnectionHandle {
        match self.next() {
            Event::Opened(handle) => handle,
            other => panic!("expected Opened, not {other:?}"),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self.next() {
            Event::Text(text) => text,
            other => panic!("expected Text, not {other:?}"),
        }
    }

    pub(crate) fn closed(&self) -> Closed {
        match self.next() {
            Event::Closed(closed) => closed,
            other => panic!("expected Closed, not {other:?}"),
        }
    }

    pub(crate) fn until_closed(&self) -> Closed {
        loop {
            if let Event::Closed(closed) = self.next() {
                return closed;
            }
        }
    }

    /// Whatever has been seen and not been asked for.
    pub(crate) fn rest(&self) -> Vec<Event> {
        self.receiver.try_iter().collect()
    }
}

/// A handler that tells the test what it sees, and otherwise does what it is told.
pub(crate) struct Probe<A> {
    events: Sender<Event>,
    act: A,
}

/// What a probe does with a message.
pub(crate) trait Act: Fn(Message<'_>, &mut Context<'_>) + Clone + Send + Sync + 'static {}
impl<A: Fn(Message<'_>, &mut Context<'_>) + Clone + Send + Sync + 'static> Act for A {}

impl<A: Act> Handler for Probe<A> {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = self.events.send(Event::Opened(cx.handle()));
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let _ = self.events.send(match message {
            Message::Text(text) => Event::Text(text.to_owned()),
            Message::Binary(bytes) => Event::Binary(bytes.to_owned()),
        });
        (self.act)(message, cx);
    }

    fn handle_info(&mut self, info: Info, _: &mut Context<'_>) {
        let _ = self.events.send(Event::Info(info));
    }

    fn handle_close(&mut self, closed: Closed, _: &mut Context<'_>) {
        let _ = self.events.send(Event::Closed(closed));
    }
}

/// What `Server::handler` takes, for a probe, and the test's end of it.
pub(crate) fn probe<A: Act>(act: A) -> (impl Fn(&Request) -> Result<Probe<A>, http::Response<Bytes>>, Events) {
    let (events, receiver) = channel();
    (move |_: &Request| Ok(Probe { events: events.clone(), act: act.clone() }), Events { receiver })
}

/// A server with one probe at `/`.
pub(crate) fn probe_server(options: SocketOptions, act: impl Act) -> (TestServer, Events) {
    let (open, events) = probe(act);
    (TestServer::start(Server::new(config()).handler("/", options, open)), events)
}

pub(crate) fn echo(message: Message<'_>, cx: &mut Context<'_>) {
    let _ = cx.send(message);
}

pub(crate) fn silent(_: Message<'_>, _: &mut Context<'_>) {}

/// A server that echoes at `/`.
pub(crate) fn echo_server() -> (TestServer, Events) {
    probe_server(options(), echo)
}

/// A good opening handshake, with more header lines.
pub(crate) fn upgrade(path: &str, addr: SocketAddr, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// An HTTP answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// The values of one header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// The other side of a connection. By itself it answers Pings and Closes when it receives.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    protocol: Connection,
    pool: DeflatePool,
    input: Vec<u8>,
    received: VecDeque<Received<'static>>,
    is_polite: bool,
}

impl Peer {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("someone listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self::over(stream)
    }

    pub(crate) fn open(addr: SocketAddr, path: &str) -> Self {
        let mut peer = Self::connect(addr);
        peer.write(upgrade(path, addr, "").as_bytes());
        let response = peer.response();
        assert_eq!(response.status, 101, "{response:?}");
        peer
    }

    /// Offers compression; says what was answered, too.
    pub(crate) fn open_deflating(
        addr: SocketAddr,
        path: &str,
        deflate: DeflateConfig,
    ) -> (Self, Option<DeflateParams>) {
        let mut peer = Self::connect(addr);
        let uri = WebSocketUri::parse(&format!("ws://{addr}{path}")).expect("a URI");
        let options = ClientOptions::default().with_deflate(deflate);
        let handshake = ClientHandshake::new(&uri, [7; 16], options).expect("good options");
        peer.write(handshake.request());
        loop {
            assert!(peer.read(), "FIN instead of an answer");
            match handshake.handle_input(&peer.input).expect("a good answer") {
                Some((Answer::Accepted(accepted), used)) => {
                    peer.input.drain(..used);
                    if let Some(params) = accepted.deflate {
                        peer.protocol.set_deflate(params, None);
                        peer.pool = DeflatePool::new(deflate);
                    }
                    return (peer, accepted.deflate);
                }
                Some((Answer::Refused(refused), _)) => panic!("refused: {refused:?}"),
                None => {}
            }
        }
    }

    /// FIN: nothing more is sent.
    pub(crate) fn hang_up(&self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// RST: gone at once.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("an option");
    }
}

impl<S: Read + Write> Peer<S> {
    /// A peer on any stream that blocks.
    pub(crate) fn over(stream: S) -> Self {
        let limits = Limits::DEFAULT.with_max_frame_bytes(1 << 30).with_max_message_bytes(1 << 30);
        let protocol = Connection::new(Role::Client { mask_key: || KEY }, limits);
        Self {
            stream,
            protocol,
            pool: DeflatePool::default(),
            input: Vec::new(),
            received: VecDeque::new(),
            is_polite: true,
        }
    }

    /// The bytes of the next frame's first two, header bits and length field.
    pub(crate) fn peek_frame(&mut self) -> [u8; 2] {
        while self.input.len() < 2 {
            assert!(self.read(), "FIN instead of a frame");
        }
        [self.input[0], self.input[1]]
    }

    /// The next frame as it is: its first byte and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let [first, field] = self.peek_frame();
        let (header_bytes, length_bytes) = match field {
            126 => (4, 2),
            127 => (10, 8),
            _ => (2, 0),
        };
        while self.input.len() < header_bytes {
            assert!(self.read(), "FIN inside a header");
        }
        let long = self.input[2..2 + length_bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let length = if length_bytes == 0 { usize::from(field) } else { long };
        while self.input.len() < header_bytes + length {
            assert!(self.read(), "FIN inside a frame");
        }
        let frame: Vec<u8> = self.input.drain(..header_bytes + length).collect();
        (first, frame[header_bytes..].to_vec())
    }

    /// How many messages came compressed so far.
    pub(crate) fn inflated_messages(&self) -> u64 {
        self.pool.inflated_messages()
    }

    /// Receives without answering Pings and Closes from now on.
    pub(crate) fn rude(mut self) -> Self {
        self.is_polite = false;
        self
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Writes to a server that may have hung up already.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn send(&mut self, message: Message<'_>) {
        let mut output = Vec::new();
        match message {
            Message::Text(text) => self.protocol.send_text_with(text, Compression::Auto, &mut self.pool, &mut output),
            Message::Binary(bytes) => {
                self.protocol.send_binary_with(bytes, Compression::Auto, &mut self.pool, &mut output)
            }
        }
        .expect("open");
        self.write(&output);
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(Message::Text(text));
    }

    pub(crate) fn send_fragment(&mut self, kind: MessageKind, payload: &[u8], is_last: bool) {
        let mut output = Vec::new();
        self.protocol.send_fragment(kind, payload, is_last, &mut output).expect("open");
        self.write(&output);
    }

    pub(crate) fn ping(&mut self, payload: &[u8]) {
        let mut output = Vec::new();
        self.protocol.send_ping(payload, &mut output).expect("open");
        self.write(&output);
    }

    /// Begins the closing handshake; receiving goes on.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        let mut output = Vec::new();
        let code = CloseCode::new(code).expect("a code that may travel");
        self.protocol.close(Some(CloseFrame::new(code, reason)), &mut output);
        self.write(&output);
    }

    /// Reads once; whether anything came.
    fn read(&mut self) -> bool {
        let mut piece = [0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.input.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => panic!("the server reset the connection"),
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// The next HTTP answer.
    pub(crate) fn response(&mut self) -> Response {
        let head_bytes = loop {
            match self.input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(self.read(), "FIN instead of an answer: {:?}", self.input.escape_ascii().to_string()),
            }
        };
        let head = String::from_utf8(self.input.drain(..head_bytes).collect()).expect("text");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a first line");
        assert!(status_line.starts_with("HTTP/1.1 "), "{status_line}");
        let status = status_line[9..12].parse().expect("a number");
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.to_owned(), value.trim().to_owned())
        };
        let headers = lines.map(header).collect();
        let mut response = Response { status, headers, body: String::new() };
        if let [length] = response.all("content-length")[..] {
            let length: usize = length.parse().expect("a length");
            while self.input.len() < length {
                assert!(self.read(), "FIN in the body");
            }
            response.body = String::from_utf8(self.input.drain(..length).collect()).expect("text");
        }
        response
    }

    /// Sends a request and reads the answer.
    pub(crate) fn ask(&mut self, request: &str) -> Response {
        self.write(request.as_bytes());
        self.response()
    }

    /// What comes next; `None` after FIN.
    pub(crate) fn try_recv(&mut self) -> Option<Received<'static>> {
        loop {
            if let Some(received) = self.received.pop_front() {
                return Some(received);
            }
            let mut output = Vec::new();
            let taken = self.protocol.handle_input_with(&mut self.pool, &mut self.input, &mut output);
            let (used, received) = taken.expect("a good server");
            let received = received.map(Received::into_owned);
            self.input.drain(..used);
            if self.is_polite && !output.is_empty() {
                // The server may be gone by now; what it sent is still worth reading.
                let _ = self.stream.write_all(&output);
            }
            if received.is_some() {
                return received;
            }
            if !self.read() {
                return None;
            }
        }
    }

    pub(crate) fn recv(&mut self) -> Received<'static> {
        self.try_recv().expect("something, not FIN")
    }

    pub(crate) fn recv_text(&mut self) -> String {
        match self.recv() {
            Received::Text(text) => text.into_owned(),
            other => panic!("expected Text, not {other:?}"),
        }
    }

    pub(crate) fn recv_binary(&mut self) -> Vec<u8> {
        match self.recv() {
            Received::Binary(bytes) => bytes.into_owned(),
            other => panic!("expected Binary, not {other:?}"),
        }
    }

    /// The Close, whatever messages come before it; its code, 1005 if it has none.
    pub(crate) fn recv_close(&mut self) -> u16 {
        loop {
            match self.recv() {
                Received::Close(frame) => return frame.map_or(1005, |frame| frame.code().value()),
                Received::Text(_) | Received::Binary(_) => {}
                other => panic!("expected Close, not {other:?}"),
            }
        }
    }

    /// The very next thing is a Close with this code.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, code: u16) {
        match self.recv() {
            Received::Close(frame) => assert_eq!(frame.map_or(1005, |frame| frame.code().value()), code),
            other => panic!("expected Close {code}, not {other:?}"),
        }
    }

    /// FIN comes next, and nothing before it.
    #[track_caller]
    pub(crate) fn expect_fin(&mut self) {
        assert!(self.input.is_empty(), "{:?}", self.input.escape_ascii().to_string());
        assert!(!self.read(), "{:?}", self.input.escape_ascii().to_string());
    }
}

/// A client's frame, masked.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ KEY[index % 4]));
    frame
}

/// The payload of a Close.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Whether the system holds the connection of the server at `addr` with `peer`: not after its reset has come.
pub(crate) fn is_connected(addr: SocketAddr, peer: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let ends = [listed(addr), listed(peer)];
    table.lines().any(|line| line.split_whitespace().skip(1).take(2).eq(&ends))
}

/// As that table has it: the address as the machine keeps it, in network order.
fn listed(addr: SocketAddr) -> String {
    let SocketAddr::V4(addr) = addr else { panic!("tests speak IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port())
}

/// Waits until `is_true`, which something else brings about soon.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < PATIENCE, "{what} never happens");
        std::thread::sleep(Duration::from_millis(2));
    }
}
