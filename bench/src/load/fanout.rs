//! Fan-out: what one connection publishes goes to all that subscribe.

use std::io::{self, Write};
use std::net;
use std::time::Duration;

use super::bursts::{Bursts, Extent};
use super::flow::expect;
use super::payload::Payload;
use super::report::Report;
use super::target::Target;

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
    /// Messages of one burst: the next begins when everyone has all of it.
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
        let mut streams = target.open(&self.subscribe_path, self.subscribers)?;
        streams.extend(target.open_from(&self.publish_path, self.subscribers, 1)?);
        check(&mut streams, &frame, &delivery)?;
        let bursts = Bursts {
            streams,
            receivers: self.subscribers,
            sender: self.subscribers,
            frame: frame.clone(),
            window: self.window,
            delivery_len: delivery.len(),
        };
        let (report, mut streams) = bursts.run(target, Extent::Time(self.duration))?;
        check(&mut streams, &frame, &delivery)?;
        Ok(report)
    }
}

/// One message from the last to all others, compared byte by byte.
pub(super) fn check(streams: &mut [net::TcpStream], frame: &[u8], delivery: &[u8]) -> io::Result<()> {
    let Some((publisher, subscribers)) = streams.split_last_mut() else { return Ok(()) };
    let mut received = Vec::new();
    publisher.write_all(frame)?;
    subscribers.iter_mut().try_for_each(|subscriber| expect(subscriber, delivery, &mut received))
}
