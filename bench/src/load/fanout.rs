//! Fan-out: one publishes a window of messages in one write, and the next when everyone has received all of them.

use std::io::{self, ErrorKind, Write};
use std::net;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};

use super::flow::{Flow, FrameRow, Sink, expect};
use super::payload::Payload;
use super::report::{Meter, Report, histogram};
use super::target::Target;

const WARM_UP: Duration = Duration::from_millis(200);
/// How long one burst may take to reach everyone.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_EVENTS: usize = 1024;

/// What to publish, and to how many.
#[derive(Clone, Debug)]
pub struct FanoutLoad {
    /// Path of those who receive.
    pub subscribe_path: String,
    /// Path of the one that sends.
    pub publish_path: String,
    /// Payload bytes of a message.
    pub size: usize,
    /// What the payload is.
    pub payload: Payload,
    /// Connections that receive.
    pub subscribers: usize,
    /// Messages of one burst.
    pub window: usize,
    /// How long to measure.
    pub duration: Duration,
}

impl FanoutLoad {
    /// Runs, after one message to each subscriber that was checked byte by byte, and again at the end. The report counts
    /// deliveries; its latency is that of the last receipt of each burst.
    pub fn run(&self, target: &Target) -> io::Result<Report> {
        let frame = self.payload.client_frame(self.size);
        let delivery = self.payload.server_frame(self.size);
        let mut subscribers = target.open(&self.subscribe_path, self.subscribers)?;
        let mut publisher = target.open_from(&self.publish_path, self.subscribers, 1)?;
        check(&mut publisher, &mut subscribers, &frame, &delivery)?;
        let poll = Poll::new()?;
        let mut flows = Vec::with_capacity(subscribers.len() + 1);
        for (index, stream) in subscribers.into_iter().chain(publisher).enumerate() {
            flows.push(Flow::new(stream, poll.registry(), index)?);
        }
        let mut run = Run {
            poll,
            publisher: flows.len() - 1,
            flows,
            row: FrameRow::new(&frame, self.window),
            delivery_len: delivery.len(),
            window: self.window,
            sink: Sink::new(),
            delivered: 0,
            latency: histogram(),
        };
        let report = run.measure(self.duration, target)?;
        let (mut publisher, mut subscribers) = run.into_streams()?;
        check(&mut publisher, &mut subscribers, &frame, &delivery)?;
        Ok(report)
    }
}

/// One message to everyone, compared byte by byte.
fn check(
    publisher: &mut [net::TcpStream],
    subscribers: &mut [net::TcpStream],
    frame: &[u8],
    delivery: &[u8],
) -> io::Result<()> {
    let mut received = Vec::new();
    for publisher in publisher {
        publisher.write_all(frame)?;
        for subscriber in &mut *subscribers {
            expect(subscriber, delivery, &mut received)?;
        }
    }
    Ok(())
}

struct Run {
    poll: Poll,
    /// The subscribers, then the publisher.
    flows: Vec<Flow>,
    publisher: usize,
    row: FrameRow,
    delivery_len: usize,
    window: usize,
    sink: Sink,
    delivered: u64,
    latency: Histogram<u64>,
}

impl Run {
    fn measure(&mut self, duration: Duration, target: &Target) -> io::Result<Report> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        let warm = Instant::now() + WARM_UP;
        while Instant::now() < warm {
            self.burst(&mut events)?;
        }
        self.latency.clear();
        let meter = Meter::start(target.pid, self.delivered)?;
        let end = meter.since() + duration;
        while Instant::now() < end {
            self.burst(&mut events)?;
        }
        meter.stop(self.delivered, &self.latency)
    }

    /// Publishes a window and waits until everyone has all of it.
    fn burst(&mut self, events: &mut Events) -> io::Result<()> {
        let begun = Instant::now();
        let expected = self.delivered + (self.window * self.publisher) as u64;
        self.flows[self.publisher].send(&self.row, self.window)?;
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
                if index == self.publisher {
                    self.flows[index].flush(&self.row)?;
                } else if event.is_readable() {
                    self.delivered += self.flows[index].receive(&mut self.sink, self.delivery_len)? as u64;
                }
            }
        }
        self.latency.saturating_record(begun.elapsed().as_nanos() as u64);
        Ok(())
    }

    fn into_streams(mut self) -> io::Result<(Vec<net::TcpStream>, Vec<net::TcpStream>)> {
        let registry = self.poll.registry();
        let publisher = self.flows.split_off(self.publisher);
        let streams = |flows: Vec<Flow>| flows.into_iter().map(|flow| flow.into_stream(registry)).collect();
        Ok((io::Result::from_iter(publisher.into_iter().map(|flow| flow.into_stream(registry)))?, {
            let subscribers: io::Result<Vec<_>> = streams(self.flows);
            subscribers?
        }))
    }
}
