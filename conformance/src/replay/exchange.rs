//! One HTTP request, sent byte for byte, and its response.

use std::io::{self, ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use crate::client::read;

/// A response, as far as it is compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Response {
    /// Sends the request on a stream of its own and waits for the whole response.
    pub(super) fn to(request: &str, host: &str, deadline: Instant) -> io::Result<Self> {
        let mut stream = TcpStream::connect(host)?;
        stream.write_all(request.as_bytes())?;
        let has_body = !request.starts_with("HEAD ");
        let mut input = Vec::new();
        loop {
            let ended = read(&mut stream, &mut input, deadline)? == 0;
            match Self::parse(&String::from_utf8_lossy(&input), has_body) {
                Some(response) => return Ok(response),
                None if ended => return Err(ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
    }

    /// `None` while it is not complete.
    pub(super) fn parse(text: &str, has_body: bool) -> Option<Self> {
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self { status, headers, body: String::new() };
        let length = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if has_body && length > 0 {
            rest.get(..length)?.clone_into(&mut response.body);
        }
        Some(response)
    }

    /// The first header of this name, given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first thing in which this differs from the recorded response, told.
    pub(super) fn difference(&self, recorded: &Self) -> Option<String> {
        if self.status != recorded.status {
            return Some(format!("status {} instead of {}, body {:?}", self.status, recorded.status, self.body));
        }
        if self.body != recorded.body {
            return Some(format!("body {:?} instead of {:?}", self.body, recorded.body));
        }
        COMPARED.into_iter().find_map(|name| {
            let (ours, theirs) = (self.header(name), recorded.header(name));
            let same = match (ours, theirs) {
                (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
                (ours, theirs) => ours == theirs,
            };
            (!same).then(|| format!("{name} is {ours:?} instead of {theirs:?}"))
        })
    }
}

/// The headers that a client acts upon. Others tell of the server that they were recorded from.
const COMPARED: [&str; 4] = ["upgrade", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"];
