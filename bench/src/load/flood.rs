//! Floods: many frames that say little, answered or not, and messages that grow when they are unpacked. What a frame
//! costs, and what memory they take.

use std::fmt;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress};
use serde::Serialize;

use super::flow::{FrameRow, expect};
use super::frame::{Opcode, client_frame, server_frame};
use super::report::{Meter, Report, histogram};
use super::target::Target;
use super::windows::{self, Pace};
use crate::process::{peak_bytes, resident_bytes};

/// Frames of a message that comes in fragments: below what a server must take at least, which is its own to say.
const FRAGMENTS: usize = 1000;
/// Payload of what is not empty.
const SOME: [u8; 5] = *b"hello";
/// Messages in flight on each connection.
const WINDOW: usize = 16;
/// Frames in one write of those who do not read.
const UNREAD_BATCH: usize = 1000;
/// A socket that takes nothing for so long is stuck.
const STUCK: Duration = Duration::from_millis(200);
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// What comes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Pings of five bytes, each answered.
    Pings,
    /// The same from peers that read no answer.
    UnreadPings,
    /// Messages without a byte, each echoed.
    EmptyMessages,
    /// Messages of a thousand fragments of one byte.
    TinyFragments,
    /// Messages of a thousand fragments, all but the last without a byte.
    EmptyFragments,
    /// Compressed messages of so many bytes of zeros, each on a connection of its own that must be closed for it with
    /// 1009.
    Bombs(usize),
}

/// How much of it.
#[derive(Clone, Debug)]
pub struct FloodLoad {
    /// What.
    pub flood: Flood,
    /// Path of an echo; for bombs of one that agrees on compression.
    pub path: String,
    /// Connections.
    pub connections: usize,
    /// How long to measure, where there is no end to it.
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Flooded {
    /// Frames per second.
    pub rate: f64,
    /// CPU time of the server per frame in nanoseconds; not where the kernel holds what the server does not take.
    pub cpu_ns: Option<f64>,
    /// Resident memory of the server: its peak less what it was with all connections open.
    pub grown_bytes: u64,
}

impl fmt::Display for Flooded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, cpu_ns, grown_bytes } = self;
        write!(f, "{rate:.0} frames a second, ")?;
        if let Some(cpu_ns) = cpu_ns {
            write!(f, "{cpu_ns:.0} ns CPU each, ")?;
        }
        write!(f, "memory grew by {:.2} MiB", *grown_bytes as f64 / 1_048_576.0)
    }
}

impl FloodLoad {
    /// Runs, after a first message on each connection that was checked byte by byte.
    pub fn run(&self, target: &Target) -> io::Result<Flooded> {
        let pid = target.pid.ok_or_else(|| Error::other("memory needs the server's process: --pid"))?;
        let mut streams = match self.flood {
            Flood::Bombs(_) => target.open_deflating(&self.path, self.connections)?,
            _ => target.open(&self.path, self.connections)?,
        };
        let (frame, answer) = (client_frame(Opcode::Binary, &SOME), server_frame(Opcode::Binary, &SOME));
        let mut received = Vec::new();
        for stream in &mut streams {
            stream.write_all(&frame)?;
            expect(stream, &answer, &mut received)?;
        }
        let before = resident_bytes(pid)?;
        let (report, frames) = match self.flood {
            Flood::Pings => self.answered(target, streams, (Opcode::Ping, &SOME), (Opcode::Pong, &SOME))?,
            Flood::EmptyMessages => self.answered(target, streams, (Opcode::Binary, &[]), (Opcode::Binary, &[]))?,
            Flood::TinyFragments => self.fragments(target, streams, &[b'x'; FRAGMENTS], 1)?,
            Flood::EmptyFragments => self.fragments(target, streams, b"x", 0)?,
            Flood::UnreadPings => (self.unread(target, streams)?, 1),
            Flood::Bombs(bytes) => (bombs(target, streams, bytes)?, 1),
        };
        Ok(Flooded {
            rate: report.rate * frames as f64,
            cpu_ns: report.cpu_ns.filter(|_| self.flood != Flood::UnreadPings).map(|cpu_ns| cpu_ns / frames as f64),
            grown_bytes: peak_bytes(pid)?.saturating_sub(before),
        })
    }

    /// What is sent and what comes back, each one frame. Returns also how many frames a message has.
    fn answered(
        &self,
        target: &Target,
        streams: Vec<TcpStream>,
        sent: (Opcode, &[u8]),
        answer: (Opcode, &[u8]),
    ) -> io::Result<(Report, usize)> {
        let (frame, answer) = (client_frame(sent.0, sent.1), server_frame(answer.0, answer.1));
        Ok((self.echoed(target, streams, &frame, &answer)?, 1))
    }

    /// One `payload` in as many fragments as are allowed, each but the last of `bytes_each`.
    fn fragments(
        &self,
        target: &Target,
        streams: Vec<TcpStream>,
        payload: &[u8],
        bytes_each: usize,
    ) -> io::Result<(Report, usize)> {
        let mut frames = Vec::new();
        for index in 0..FRAGMENTS {
            let is_last = index + 1 == FRAGMENTS;
            let begin = (index * bytes_each).min(payload.len());
            let end = if is_last { payload.len() } else { begin + bytes_each };
            let mut frame = client_frame(Opcode::Binary, &payload[begin..end]);
            frame[0] = if index == 0 { Opcode::Binary as u8 } else { 0 } | if is_last { FIN } else { 0 };
            frames.extend_from_slice(&frame);
        }
        let answer = server_frame(Opcode::Binary, payload);
        Ok((self.echoed(target, streams, &frames, &answer)?, FRAGMENTS))
    }

    fn echoed(
        &self,
        target: &Target,
        mut streams: Vec<TcpStream>,
        message: &[u8],
        answer: &[u8],
    ) -> io::Result<Report> {
        super::echo::check(&mut streams, message, answer)?;
        let pace = Pace { window: WINDOW, duration: self.duration, rate: None };
        let rows = vec![FrameRow::new(message, WINDOW)];
        let (report, mut streams) = windows::run(target, pace, streams, rows, answer.len())?;
        super::echo::check(&mut streams, message, answer)?;
        Ok(report)
    }

    /// Sends until the server takes no more from anybody, because nobody reads what it answers.
    fn unread(&self, target: &Target, mut streams: Vec<TcpStream>) -> io::Result<Report> {
        let batch = client_frame(Opcode::Ping, &SOME).repeat(UNREAD_BATCH);
        let frame_len = batch.len() / UNREAD_BATCH;
        for stream in &streams {
            stream.set_nonblocking(true)?;
        }
        let meter = Meter::start(target.pid, 0)?;
        let (mut sent, mut last) = (vec![0usize; streams.len()], Instant::now());
        while last.elapsed() < STUCK {
            for (stream, sent) in streams.iter_mut().zip(&mut sent) {
                match stream.write(&batch[*sent % frame_len..]) {
                    Ok(count) => (*sent, last) = (*sent + count, Instant::now()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let frames: usize = sent.iter().map(|sent| sent / frame_len).sum();
        meter.stop(frames as u64, &histogram())
    }
}

/// One on each connection; every one must be answered by Close 1009.
fn bombs(target: &Target, streams: Vec<TcpStream>, bytes: usize) -> io::Result<Report> {
    let mut bomb = client_frame(Opcode::Binary, &deflated_zeros(bytes)?);
    bomb[0] |= RSV1;
    let meter = Meter::start(target.pid, 0)?;
    let count = streams.len() as u64;
    for mut stream in streams {
        stream.write_all(&bomb)?;
        let mut close = [0; 4];
        stream.read_exact(&mut close)?;
        if close[0] != FIN | 8 || close[2..] != 1009u16.to_be_bytes() {
            return Err(Error::new(ErrorKind::InvalidData, format!("a bomb is answered by {close:02x?}")));
        }
    }
    meter.stop(count, &histogram())
}

/// A message of zeros as permessage-deflate has it: flushed, without the four bytes of the flush (RFC 7692 §7.2.1).
fn deflated_zeros(bytes: usize) -> io::Result<Vec<u8>> {
    static CHUNK: [u8; 1 << 16] = [0; 1 << 16];
    let mut deflate = Compress::new(Compression::best(), false);
    let mut out = Vec::new();
    while (deflate.total_in() as usize) < bytes {
        out.reserve(CHUNK.len());
        let chunk = &CHUNK[..CHUNK.len().min(bytes - deflate.total_in() as usize)];
        deflate.compress_vec(chunk, &mut out, FlushCompress::None)?;
    }
    out.reserve(CHUNK.len());
    deflate.compress_vec(&[], &mut out, FlushCompress::Sync)?;
    out.truncate(out.len().saturating_sub(4));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};

    #[test]
    fn a_bomb_grows_a_thousand_times() {
        let bytes = 4 << 20;
        let bomb = deflated_zeros(bytes).expect("it can be made");
        assert!(bytes / bomb.len() > 900, "{} bytes", bomb.len());
        let mut inflated = Vec::with_capacity(bytes + 1);
        let whole = [bomb, vec![0, 0, 0xff, 0xff]].concat();
        Decompress::new(false).decompress_vec(&whole, &mut inflated, FlushDecompress::Sync).expect("it is whole");
        assert!(inflated.len() == bytes && inflated.iter().all(|&byte| byte == 0));
    }
}
