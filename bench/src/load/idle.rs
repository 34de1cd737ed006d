//! Memory of connections that do nothing: the slope between two counts, so that what a server takes once does not count.

use std::fmt;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::echo::check;
use super::lanes::{Multiplexed, open_tls};
use super::payload::Payload;
use super::target::Target;
use crate::process::resident_bytes;

/// Memory counts as settled when it stayed the same for so long.
const SETTLED: Duration = Duration::from_millis(300);
/// Longest wait for that.
const PATIENCE: Duration = Duration::from_secs(5);
/// Payload of the one echo.
const ECHO_BYTES: usize = 20;

/// How many connections to open.
#[derive(Clone, Debug)]
pub struct IdleLoad {
    /// Path of the echo.
    pub path: String,
    /// Connections at the first reading.
    pub from: usize,
    /// Connections at the second.
    pub to: usize,
    /// Whether each gets one echo of 20 bytes first. In other lanes than the plain one each does.
    pub is_echoed: bool,
    /// How they come.
    pub lane: Lane,
}

/// How a connection comes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// HTTP/1.1 over TCP.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TCP, so many WebSockets to a connection.
    Http2(usize),
}

/// What connections cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Slope {
    /// Connections at the first reading.
    pub from: usize,
    /// Connections at the second.
    pub to: usize,
    /// Resident memory at the first reading.
    pub from_bytes: u64,
    /// Resident memory at the second.
    pub to_bytes: u64,
    /// Bytes per connection between them.
    pub bytes_each: f64,
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} bytes per connection between {} and {}", self.bytes_each, self.from, self.to)
    }
}

impl IdleLoad {
    /// Opens the connections and reads the server's memory at both counts.
    pub fn run(&self, target: &Target) -> io::Result<Slope> {
        let pid = known(target)?;
        let (from_bytes, to_bytes) = self.watch(target, || settled_bytes(pid))?;
        Ok(Slope::new((self.from, from_bytes), (self.to, to_bytes)))
    }

    /// Opens the connections and takes a reading at both counts.
    pub fn watch<R>(&self, target: &Target, read: impl FnMut() -> io::Result<R>) -> io::Result<(R, R)> {
        let kind = Payload::Binary;
        let (frame, answer) = (kind.client_frame(ECHO_BYTES), kind.server_frame(ECHO_BYTES));
        let echo = (frame.as_slice(), answer.as_slice());
        match self.lane {
            Lane::Plain => twice((self.from, self.to), read, |already, count| {
                let mut streams = target.open_from(&self.path, already, count)?;
                if self.is_echoed {
                    check(&mut streams, &frame, &answer)?;
                }
                Ok(streams)
            }),
            Lane::Tls => {
                twice((self.from, self.to), read, |already, count| open_tls(target, &self.path, already, count, echo))
            }
            Lane::Http2(per_connection) => {
                let mut multiplexed = Multiplexed::new(per_connection)?;
                twice((self.from, self.to), read, |_, count| multiplexed.open(target, &self.path, count, echo))
            }
        }
    }
}

impl Slope {
    fn new((from, from_bytes): (usize, u64), (to, to_bytes): (usize, u64)) -> Self {
        let bytes_each = (to_bytes as f64 - from_bytes as f64) / (to - from) as f64;
        Self { from, to, from_bytes, to_bytes, bytes_each }
    }
}

fn known(target: &Target) -> io::Result<u32> {
    target.pid.ok_or_else(|| io::Error::other("memory needs the server's process: --pid"))
}

/// Lets `open` open connections (given: how many are open, how many more), up to both counts, and reads at each.
fn twice<S, R>(
    (from, to): (usize, usize),
    mut read: impl FnMut() -> io::Result<R>,
    mut open: impl FnMut(usize, usize) -> io::Result<Vec<S>>,
) -> io::Result<(R, R)> {
    let mut streams = open(0, from)?;
    let first = read()?;
    streams.extend(open(from, to - from)?);
    Ok((first, read()?))
}

/// The server's memory at both counts.
pub(super) fn slope<S>(
    target: &Target,
    from: usize,
    to: usize,
    open: impl FnMut(usize, usize) -> io::Result<Vec<S>>,
) -> io::Result<Slope> {
    let pid = known(target)?;
    let (from_bytes, to_bytes) = twice((from, to), || settled_bytes(pid), open)?;
    Ok(Slope::new((from, from_bytes), (to, to_bytes)))
}

fn settled_bytes(pid: u32) -> io::Result<u64> {
    let begun = Instant::now();
    let mut bytes = resident_bytes(pid)?;
    let mut since = Instant::now();
    while since.elapsed() < SETTLED && begun.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20));
        let now = resident_bytes(pid)?;
        if now != bytes {
            bytes = now;
            since = Instant::now();
        }
    }
    Ok(bytes)
}
