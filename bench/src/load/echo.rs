//! Echo: each connection keeps a window of messages in flight.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Write};
use std::net;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};

use super::flow::{Flow, FrameRow, Sink, expect};
use super::payload::Payload;
use super::report::{Meter, Report, histogram};
use super::target::Target;

/// How long the load runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long what is in flight may take to come back at the end.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_EVENTS: usize = 1024;
/// At most so many connections are checked again after the run.
const CHECKED_AFTERWARDS: usize = 100;

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
    /// Messages that each connection keeps in flight.
    pub window: usize,
    /// How long to measure.
    pub duration: Duration,
    /// Messages a second over all connections, at times fixed beforehand: latency then counts from the intended time.
    /// Only with a window of 1. None: as fast as it goes.
    pub rate: Option<f64>,
}

impl EchoLoad {
    /// Runs, after each connection has had one echo that was checked byte by byte.
    pub fn run(&self, target: &Target) -> io::Result<Report> {
        let row = FrameRow::new(&self.payload.client_frame(self.size), self.window);
        let answer = self.payload.server_frame(self.size);
        let mut streams = target.open(&self.path, self.connections)?;
        check(&mut streams, &row, &answer)?;
        let mut run = Run::new(self, streams, row, answer.len())?;
        let report = run.measure(self.duration, target)?;
        run.drain()?;
        let mut streams = run.into_streams()?;
        check(&mut streams, &FrameRow::new(&self.payload.client_frame(self.size), 1), &answer)?;
        Ok(report)
    }
}

/// One echo on each connection, compared byte by byte.
pub(super) fn check(streams: &mut [net::TcpStream], row: &FrameRow, answer: &[u8]) -> io::Result<()> {
    let mut received = Vec::new();
    for batch in streams.chunks_mut(16) {
        for stream in &mut *batch {
            stream.write_all(row.frame())?;
        }
        for stream in batch {
            expect(stream, answer, &mut received)?;
        }
    }
    Ok(())
}

struct Run {
    poll: Poll,
    flows: Vec<Flow>,
    /// When the message in flight was to be sent, for a window of 1.
    intended: Vec<Instant>,
    /// Connections that wait for their time, by it.
    waiting: BinaryHeap<Reverse<(Instant, usize)>>,
    interval: Option<Duration>,
    window: usize,
    row: FrameRow,
    answer_len: usize,
    sink: Sink,
    echoed: u64,
    sent: u64,
    latency: Histogram<u64>,
}

impl Run {
    fn new(load: &EchoLoad, streams: Vec<net::TcpStream>, row: FrameRow, answer_len: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let flows = streams
            .into_iter()
            .enumerate()
            .map(|(index, stream)| Flow::new(stream, poll.registry(), index))
            .collect::<io::Result<Vec<_>>>()?;
        let interval = load.rate.map(|rate| Duration::from_secs_f64(flows.len() as f64 / rate));
        Ok(Self {
            poll,
            intended: vec![Instant::now(); flows.len()],
            waiting: BinaryHeap::new(),
            interval,
            window: load.window,
            flows,
            row,
            answer_len,
            sink: Sink::new(),
            echoed: 0,
            sent: 0,
            latency: histogram(),
        })
    }

    fn measure(&mut self, duration: Duration, target: &Target) -> io::Result<Report> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        self.begin()?;
        let warm = Instant::now() + WARM_UP;
        while Instant::now() < warm {
            self.turn(&mut events, true)?;
        }
        self.latency.clear();
        let meter = Meter::start(target.pid, self.echoed)?;
        let end = meter.since() + duration;
        while Instant::now() < end {
            self.turn(&mut events, true)?;
        }
        meter.stop(self.echoed, &self.latency)
    }

    /// Fills all windows, or plans the first message of each connection, spread evenly.
    fn begin(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for index in 0..self.flows.len() {
            match self.interval {
                Some(interval) => {
                    let due = now + interval.mul_f64(index as f64 / self.flows.len() as f64);
                    self.waiting.push(Reverse((due, index)));
                }
                None => {
                    self.intended[index] = Instant::now();
                    self.sent += self.window as u64;
                    self.flows[index].send(&self.row, self.window)?;
                }
            }
        }
        Ok(())
    }

    /// One look at the readiness set; `again` tells whether what came back is answered by as much.
    fn turn(&mut self, events: &mut Events, again: bool) -> io::Result<()> {
        self.send_due(again)?;
        let patience = if self.waiting.is_empty() { Duration::from_millis(100) } else { Duration::ZERO };
        match self.poll.poll(events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &*events {
            let index = event.token().0;
            let flow = &mut self.flows[index];
            if event.is_readable() {
                let whole = flow.receive(&mut self.sink, self.answer_len)?;
                self.echoed += whole as u64;
                if whole > 0 {
                    self.answer(index, whole, again)?;
                    continue;
                }
            }
            self.flows[index].flush(&self.row)?;
        }
        Ok(())
    }

    fn answer(&mut self, index: usize, whole: usize, again: bool) -> io::Result<()> {
        if self.window == 1 {
            let now = Instant::now();
            self.latency.saturating_record((now - self.intended[index]).as_nanos() as u64);
            if let (Some(interval), true) = (self.interval, again) {
                self.waiting.push(Reverse((self.intended[index] + interval, index)));
                return Ok(());
            }
            self.intended[index] = now;
        }
        if again {
            self.sent += whole as u64;
            self.flows[index].send(&self.row, whole)?;
        }
        Ok(())
    }

    fn send_due(&mut self, again: bool) -> io::Result<()> {
        if !again {
            self.waiting.clear();
        }
        while let Some(&Reverse((due, index))) = self.waiting.peek()
            && due <= Instant::now()
        {
            self.waiting.pop();
            self.intended[index] = due;
            self.sent += 1;
            self.flows[index].send(&self.row, 1)?;
        }
        Ok(())
    }

    /// Waits until everything that was sent has come back.
    fn drain(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        let end = Instant::now() + PATIENCE;
        while self.echoed < self.sent {
            if Instant::now() > end {
                let missing = self.sent - self.echoed;
                return Err(io::Error::other(format!("{missing} messages did not come back")));
            }
            self.turn(&mut events, false)?;
        }
        Ok(())
    }

    fn into_streams(self) -> io::Result<Vec<net::TcpStream>> {
        let flows = self.flows.into_iter().take(CHECKED_AFTERWARDS);
        flows.map(|flow| flow.into_stream(self.poll.registry())).collect()
    }
}
