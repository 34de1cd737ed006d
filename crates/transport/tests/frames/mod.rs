//! HTTP/2 frame by frame, for what a well-behaved client would not do or not show.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Error codes (RFC 9113 §7).
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;

/// One frame (RFC 9113 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// What RST_STREAM and the tail of GOAWAY hold, and WINDOW_UPDATE.
    pub(crate) fn number(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// A client that says what it is told to, and shows all that comes.
pub(crate) struct Raw {
    stream: TcpStream,
    input: Vec<u8>,
    /// All frames that came, in order.
    pub(crate) seen: Vec<Frame>,
}

impl Raw {
    /// Preface and empty settings.
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::connect_with(addr, &[])
    }

    pub(crate) fn connect_with(addr: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(addr).expect("someone listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        let mut client = Self { stream, input: Vec::new(), seen: Vec::new() };
        client.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("taken");
        let setting = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        client.send(SETTINGS, 0, 0, &settings.iter().flat_map(setting).collect::<Vec<_>>());
        client
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(kind, flags, stream, payload).expect("taken");
    }

    /// To a server that may have hung up.
    pub(crate) fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.stream.write_all(&[head, payload.to_vec()].concat())
    }

    /// HEADERS whose fields are literals without indexing (RFC 7541 §6.2.2).
    pub(crate) fn headers(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.try_headers(stream, fields).expect("taken");
    }

    pub(crate) fn try_headers(&mut self, stream: u32, fields: &[(&str, &str)]) -> std::io::Result<()> {
        let field = |(name, value): &(&str, &str)| {
            [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
        };
        let block: Vec<u8> = fields.iter().flat_map(field).collect();
        self.try_send(HEADERS, END_HEADERS, stream, &block)
    }

    /// The next frame; settings and pings are acknowledged. `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                if frame.flags & ACK == 0 && [SETTINGS, PING].contains(&frame.kind) {
                    self.send(frame.kind, ACK, 0, if frame.kind == PING { &frame.payload } else { &[] });
                }
                self.seen.push(frame.clone());
                return Some(frame);
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}; before: {:?}", self.seen),
            }
        }
    }

    /// The next frame of a kind on a stream; what comes before it is in `seen`.
    pub(crate) fn until(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let Some(frame) = self.next() else { panic!("the end came first: {:?}", self.seen) };
            if (frame.kind, frame.stream, frame.flags & ACK) == (kind, stream, 0)
                || (frame.kind, frame.stream) == (kind, stream) && ![SETTINGS, PING].contains(&kind)
            {
                return frame;
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head = self.input.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (kind, flags) = (head[3], head[4]);
        let payload = self.input.get(9..9 + length)?.to_vec();
        self.input.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }
}
