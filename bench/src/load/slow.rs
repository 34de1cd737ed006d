//! Readers that do not read, while everyone is sent to: what they cost in memory, what others feel of them, and whether
//! what was not delivered was counted as dropped.

use std::fmt;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mio::{Events, Poll};
use serde::Serialize;

use super::bursts::{Bursts, Extent};
use super::fanout::check;
use super::flow::{Flow, Sink};
use super::frame::{Opcode, client_frame, server_frame_len, server_header_len};
use super::payload::Payload;
use super::report::{Latency, Report};
use super::target::Target;
use crate::process::{narrow_listeners, peak_bytes, resident_bytes};

/// What is published goes to those on the first two, by those on the third; the fourth tells what was dropped.
const HEALTHY_PATH: &str = "/sub";
const STUCK_PATH: &str = "/slow";
const PUBLISH_PATH: &str = "/pub";
const COUNT_PATH: &str = "/dropped";

/// Nothing more comes once nothing came for so long.
const SILENCE: Duration = Duration::from_secs(1);

/// Who reads, who does not, and what all are sent.
#[derive(Clone, Debug)]
pub struct SlowLoad {
    /// Subscribers that read.
    pub healthy: usize,
    /// Subscribers that do not.
    pub stuck: usize,
    /// Payload bytes of a message.
    pub size: usize,
    /// Messages published, each when all who read have the one before.
    pub messages: u64,
    /// Bytes of the kernel's buffers, ours and the server's, of a connection that is stuck.
    pub buffer_bytes: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Slowed {
    /// Messages sent to those who do not read, each counted for each.
    pub sent: u64,
    /// How many of them they found when they read at last.
    pub delivered: u64,
    /// How many the server says that it has dropped.
    pub dropped: u64,
    /// Resident memory of the server: its peak less what it was before.
    pub grown_bytes: u64,
    /// Deliveries per second to those who read.
    pub rate: f64,
    /// From publishing to the last receipt of those who read.
    pub latency: Option<Latency>,
}

impl fmt::Display for Slowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, delivered, dropped, grown_bytes, rate, latency } = self;
        write!(f, "sent {sent} to who does not read: {delivered} delivered, {dropped} dropped; ")?;
        write!(
            f,
            "memory grew by {:.1} MiB; {rate:.0} deliveries a second to who reads",
            *grown_bytes as f64 / 1_048_576.0
        )?;
        if let Some(Latency { p50, p99, .. }) = latency {
            write!(f, "; last receipt in us: p50 {p50:.1}, p99 {p99:.1}")?;
        }
        Ok(())
    }
}

impl SlowLoad {
    /// Runs, after one message to all who read that was checked byte by byte, and again at the end.
    pub fn run(&self, target: &Target) -> io::Result<Slowed> {
        let pid = target.pid.ok_or_else(|| Error::other("memory needs the server's process: --pid"))?;
        let frame = Payload::Binary.client_frame(self.size);
        let delivery = Payload::Binary.server_frame(self.size);
        let mut streams = target.open(HEALTHY_PATH, self.healthy)?;
        streams.extend(target.open(PUBLISH_PATH, 1)?);
        let mut counter = target.open(COUNT_PATH, 1)?;
        narrow_listeners(pid, self.buffer_bytes)?;
        let stuck = target.open_narrow(STUCK_PATH, self.stuck, self.buffer_bytes)?;
        let before = resident_bytes(pid)?;
        check(&mut streams, &frame, &delivery)?;
        let bursts = Bursts {
            streams,
            receivers: self.healthy,
            sender: self.healthy,
            frame: frame.clone(),
            window: 1,
            delivery_len: delivery.len(),
        };
        let (Report { rate, latency, .. }, mut streams) = bursts.run(target, Extent::Bursts(self.messages))?;
        check(&mut streams, &frame, &delivery)?;
        let grown_bytes = peak_bytes(pid)?.saturating_sub(before);
        let dropped = ask(&mut counter[0])?;
        let delivered = receive_all(stuck, delivery.len())?;
        let sent = (self.messages + 2) * self.stuck as u64;
        Ok(Slowed { sent, delivered, dropped, grown_bytes, rate, latency })
    }
}

/// The number that the server answers with, as text, whatever it is sent.
fn ask(stream: &mut TcpStream) -> io::Result<u64> {
    stream.write_all(&client_frame(Opcode::Text, b"?"))?;
    let mut answer = [0; 64];
    let mut received = 0;
    while server_frame_len(&answer[..received]).is_none_or(|len| received < len) {
        match stream.read(&mut answer[received..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => received += count,
        }
    }
    let text = &answer[server_header_len(answer[1])..received];
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::new(ErrorKind::InvalidData, "the server tells no number"))
}

/// How many frames of `frame_len` bytes there are to be read on all of `streams`; all must be whole.
fn receive_all(streams: Vec<TcpStream>, frame_len: usize) -> io::Result<u64> {
    let mut poll = Poll::new()?;
    let flow = |(index, stream)| Flow::new(stream, poll.registry(), index);
    let mut flows = streams.into_iter().enumerate().map(flow).collect::<io::Result<Vec<_>>>()?;
    let (mut sink, mut events, mut whole) = (Sink::new(), Events::with_capacity(1024), 0);
    loop {
        poll.poll(&mut events, Some(SILENCE))?;
        if events.is_empty() {
            break;
        }
        for event in events.iter().filter(|event| event.is_readable()) {
            whole += flows[event.token().0].receive(&mut sink, frame_len)? as u64;
        }
    }
    match flows.iter().filter(|flow| !flow.is_between_frames()).count() {
        0 => Ok(whole),
        broken => Err(Error::new(ErrorKind::InvalidData, format!("{broken} connections end within a message"))),
    }
}
