//! Windows: each connection keeps as many messages in flight as its window allows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::net;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};

use super::flow::{Flow, FrameRow, Sink};
use super::report::{Meter, Report, histogram};
use super::target::Target;

/// How long the load runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long what is in flight may take to come back at the end.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_EVENTS: usize = 1024;
/// At most so many connections are handed back to be checked again after the run.
const CHECKED_AFTERWARDS: usize = 100;

/// How hard to push.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Messages that each connection keeps in flight.
    pub window: usize,
    /// How long to measure.
    pub duration: Duration,
    /// Messages a second over all connections, at times fixed beforehand: latency then counts from the intended time.
    /// Only with a window of 1. None: as fast as it goes.
    pub rate: Option<f64>,
}

/// Runs `rows` (one for each connection, or one for all), whose answers are `answer_len` bytes long, and hands back some
/// of the connections, with nothing in flight.
pub(super) fn run(
    target: &Target,
    pace: Pace,
    streams: Vec<net::TcpStream>,
    rows: Vec<FrameRow>,
    answer_len: usize,
) -> io::Result<(Report, Vec<net::TcpStream>)> {
    let mut run = Run::new(pace, streams, rows, answer_len)?;
    let report = run.measure(pace.duration, target)?;
    run.drain()?;
    Ok((report, run.into_streams()?))
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
    /// One for each connection, or one for all.
    rows: Vec<FrameRow>,
    answer_len: usize,
    sink: Sink,
    echoed: u64,
    sent: u64,
    latency: Histogram<u64>,
}

impl Run {
    fn new(pace: Pace, streams: Vec<net::TcpStream>, rows: Vec<FrameRow>, answer_len: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let flows = streams
            .into_iter()
            .enumerate()
            .map(|(index, stream)| Flow::new(stream, poll.registry(), index))
            .collect::<io::Result<Vec<_>>>()?;
        let interval = pace.rate.map(|rate| Duration::from_secs_f64(flows.len() as f64 / rate));
        Ok(Self {
            poll,
            intended: vec![Instant::now(); flows.len()],
            waiting: BinaryHeap::new(),
            interval,
            window: pace.window,
            flows,
            rows,
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
                    self.flows[index].send(row(&self.rows, index), self.window)?;
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
                }
            }
            self.flows[index].flush(row(&self.rows, index))?;
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
            self.flows[index].send(row(&self.rows, index), whole)?;
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
            self.flows[index].send(row(&self.rows, index), 1)?;
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

fn row(rows: &[FrameRow], index: usize) -> &FrameRow {
    &rows[index.min(rows.len() - 1)]
}
