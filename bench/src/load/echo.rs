//! Echo: what is sent comes back.

use std::io::{self, Write};
use std::net;

use super::flow::{FrameRow, expect};
use super::payload::Payload;
use super::report::Report;
use super::target::Target;
use super::windows::{self, Pace};

/// What to send, and how much of it.
#[derive(Clone, Debug)]
pub struct EchoLoad {
    /// Path of the echo.
    pub path: String,
    /// Payload bytes of a message.
    pub size: usize,
    /// What the payload is.
    pub payload: Payload,
    /// Connections.
    pub connections: usize,
    /// How hard to push.
    pub pace: Pace,
}

impl EchoLoad {
    /// Runs, after each connection has had one echo that was checked byte by byte; some are checked again afterwards.
    pub fn run(&self, target: &Target) -> io::Result<Report> {
        let frame = self.payload.client_frame(self.size);
        let answer = self.payload.server_frame(self.size);
        let mut streams = target.open(&self.path, self.connections)?;
        check(&mut streams, &frame, &answer)?;
        let rows = vec![FrameRow::new(&frame, self.pace.window)];
        let (report, mut streams) = windows::run(target, self.pace, streams, rows, answer.len())?;
        check(&mut streams, &frame, &answer)?;
        Ok(report)
    }
}

/// One echo on each connection, compared byte by byte.
pub(super) fn check(streams: &mut [net::TcpStream], frame: &[u8], answer: &[u8]) -> io::Result<()> {
    let mut received = Vec::new();
    for batch in streams.chunks_mut(16) {
        for stream in &mut *batch {
            stream.write_all(frame)?;
        }
        for stream in batch {
            expect(stream, answer, &mut received)?;
        }
    }
    Ok(())
}
