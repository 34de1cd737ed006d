//! The opening handshake (RFC 6455 §4.2), as short as it can be, for all who can take over an open stream.

use std::io::{self, Error, ErrorKind};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const MAX_HEAD_BYTES: usize = 16 << 10;

/// What a connection is for, told by the path of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Echo,
    Subscriber,
    Publisher,
}

impl Role {
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/sub" => Self::Subscriber,
            "/pub" => Self::Publisher,
            _ => Self::Echo,
        }
    }
}

/// Reads the request and answers 101. A client says nothing more before it has the answer.
pub(crate) async fn accept(stream: &mut TcpStream) -> io::Result<Role> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        let received = stream.read(&mut chunk).await?;
        if received == 0 || head.len() > MAX_HEAD_BYTES {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..received]);
    }
    let head = String::from_utf8(head).map_err(Error::other)?;
    let path = head.split(' ').nth(1).unwrap_or("/");
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    let key = key.ok_or_else(|| Error::other("no upgrade"))?;
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(Role::of(path))
}
