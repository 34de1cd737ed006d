//! Bursts: one sends a window of messages in one write, and the next when everyone has received all of them.

use std::io::{self, ErrorKind};
use std::net;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};

use super::flow::{Flow, FrameRow, Sink};
use super::report::{Meter, Report, histogram};
use super::target::Target;

const WARM_UP: Duration = Duration::from_millis(200);
/// How long one burst may take to reach everyone.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_EVENTS: usize = 1024;

/// How long it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// A time, after a short one that is not measured.
    Time(Duration),
    /// So many bursts, all of them measured.
    Bursts(u64),
}

/// Who sends what to whom.
pub(super) struct Bursts {
    /// All connections. Those that receive come first.
    pub(super) streams: Vec<net::TcpStream>,
    /// How many receive.
    pub(super) receivers: usize,
    /// Which one sends; it may be one that receives.
    pub(super) sender: usize,
    /// What it sends.
    pub(super) frame: Vec<u8>,
    /// How many messages in a burst.
    pub(super) window: usize,
    /// Length of the frame that each receives.
    pub(super) delivery_len: usize,
}

impl Bursts {
    /// Runs and hands the connections back, with nothing in flight. The report counts deliveries; its
    /// latency is that of the last receipt of each burst.
    pub(super) fn run(self, target: &Target, extent: Extent) -> io::Result<(Report, Vec<net::TcpStream>)> {
        let poll = Poll::new()?;
        let mut flows = Vec::with_capacity(self.streams.len());
        for (index, stream) in self.streams.into_iter().enumerate() {
            flows.push(Flow::new(stream, poll.registry(), index)?);
        }
        let mut run = Run {
            poll,
            flows,
            receivers: self.receivers,
            sender: self.sender,
            row: FrameRow::new(&self.frame, self.window),
            delivery_len: self.delivery_len,
            window: self.window,
            sink: Sink::new(),
            delivered: 0,
            latency: histogram(),
        };
        let report = run.measure(extent, target)?;
        let registry = run.poll.registry();
        let streams: io::Result<_> = run.flows.into_iter().map(|flow| flow.into_stream(registry)).collect();
        Ok((report, streams?))
    }
}

struct Run {
    poll: Poll,
    flows: Vec<Flow>,
    receivers: usize,
    sender: usize,
    row: FrameRow,
    delivery_len: usize,
    window: usize,
    sink: Sink,
    delivered: u64,
    latency: Histogram<u64>,
}

impl Run {
    fn measure(&mut self, extent: Extent, target: &Target) -> io::Result<Report> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        if let Extent::Time(_) = extent {
            let warm = Instant::now() + WARM_UP;
            while Instant::now() < warm {
                self.burst(&mut events)?;
            }
            self.latency.clear();
        }
        let meter = Meter::start(target.pid, self.delivered)?;
        match extent {
            Extent::Bursts(count) => (0..count).try_for_each(|_| self.burst(&mut events))?,
            Extent::Time(duration) => {
                let end = meter.since() + duration;
                while Instant::now() < end {
                    self.burst(&mut events)?;
                }
            }
        }
        meter.stop(self.delivered, &self.latency)
    }

    /// Publishes a window and waits until everyone has all of it.
    fn burst(&mut self, events: &mut Events) -> io::Result<()> {
        let begun = Instant::now();
        let expected = self.delivered + (self.window * self.receivers) as u64;
        self.flows[self.sender].send(&self.row, self.window)?;
        while self.delivered < expected {
            match self.poll.poll(events, Some(PATIENCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if events.is_empty() {
                return Err(io::Error::other(format!("{} deliveries are missing", expected - self.delivered)));
            }
            for event in &*events {
                let index = event.token().0;
                if index == self.sender {
                    self.flows[index].flush(&self.row)?;
                }
                if index < self.receivers && event.is_readable() {
                    self.delivered += self.flows[index].receive(&mut self.sink, self.delivery_len)? as u64;
                }
            }
        }
        self.latency.saturating_record(begun.elapsed().as_nanos() as u64);
        Ok(())
    }
}
