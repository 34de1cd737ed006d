//! Whom the generator talks to, and the opening of connections.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::frame::accept_key;

/// Connections that are opened side by side; a listener with a short backlog must hold them.
const BATCH: usize = 64;
/// Connections from one source address; below the number of ephemeral ports, which is 28,000.
const CONNECTIONS_PER_SOURCE: usize = 20_000;
/// How long a server may take to answer something that is waited for alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// The key of RFC 6455's own example. Servers answer it like any other.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MAX_HEAD_BYTES: usize = 16 << 10;

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, if what it costs shall be told.
    pub pid: Option<u32>,
}

impl Target {
    /// Opens `count` WebSockets on `path`. They block, give up after ten seconds, and leave no TIME_WAIT behind.
    pub fn open(&self, path: &str, count: usize) -> io::Result<Vec<TcpStream>> {
        self.open_from(path, 0, count)
    }

    /// As [`open`](Self::open), where `already` connections are open: the source address changes before ports run out.
    pub fn open_from(&self, path: &str, already: usize, count: usize) -> io::Result<Vec<TcpStream>> {
        self.open_by(&self.request(path), count, |index| self.connect(already + index))
    }

    /// As [`open`](Self::open), with permessage-deflate, which the server must agree on.
    pub fn open_deflating(&self, path: &str, count: usize) -> io::Result<Vec<TcpStream>> {
        let plain = self.request(path);
        let request = plain.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        self.open_by(&request, count, |index| self.connect(index))
    }

    /// As [`open`](Self::open), with receive buffers of so many bytes in the kernel.
    pub fn open_narrow(&self, path: &str, count: usize, receive_bytes: usize) -> io::Result<Vec<TcpStream>> {
        self.open_by(&self.request(path), count, |index| {
            let socket = self.socket(index)?;
            socket.set_recv_buffer_size(receive_bytes)?;
            self.connect_by(socket)
        })
    }

    fn open_by(
        &self,
        request: &str,
        count: usize,
        connect: impl Fn(usize) -> io::Result<TcpStream>,
    ) -> io::Result<Vec<TcpStream>> {
        let mut streams = Vec::with_capacity(count);
        while streams.len() < count {
            let batch = BATCH.min(count - streams.len());
            let first = streams.len();
            for index in first..first + batch {
                let mut stream = connect(index)?;
                stream.write_all(request.as_bytes())?;
                streams.push(stream);
            }
            for stream in &mut streams[first..] {
                read_response(stream)?;
            }
        }
        Ok(streams)
    }

    /// A plain TCP connection, the `index`th of this process.
    pub fn connect(&self, index: usize) -> io::Result<TcpStream> {
        self.connect_by(self.socket(index)?)
    }

    fn socket(&self, index: usize) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        let source = index / CONNECTIONS_PER_SOURCE;
        if source > 0 && self.address.ip().is_loopback() && self.address.is_ipv4() {
            let host = u8::try_from(source + 1).map_err(|_| Error::other("no source address left"))?;
            socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0).into())?;
        }
        Ok(socket)
    }

    fn connect_by(&self, socket: Socket) -> io::Result<TcpStream> {
        socket.connect(&self.address.into())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket.into())
    }

    /// The opening handshake of a client (RFC 6455 §4.1).
    pub fn request(&self, path: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            self.address
        )
    }
}

/// Checks the answer to [`Target::request`]; what follows it is left in `head`. False if it is not whole yet.
pub fn check_response(head: &[u8]) -> io::Result<bool> {
    if !head.ends_with(b"\r\n\r\n") {
        return Ok(false);
    }
    let text = String::from_utf8_lossy(head);
    if text.starts_with("HTTP/1.1 101") && text.contains(&accept_key(KEY)) {
        return Ok(true);
    }
    Err(Error::new(ErrorKind::InvalidData, format!("the server does not upgrade: {text}")))
}

fn read_response(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !check_response(&head)? {
        let received = stream.read(&mut chunk)?;
        head.extend_from_slice(&chunk[..received]);
        if received == 0 || head.len() > MAX_HEAD_BYTES {
            let text = String::from_utf8_lossy(&head).into_owned();
            return Err(Error::new(ErrorKind::InvalidData, format!("the server does not upgrade: {text}")));
        }
    }
    Ok(())
}
