//! Channels: the same loads as raw frames, spoken in Phoenix's V2 messages to the reference app.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::bursts::{Bursts, Extent};
use super::flow::FrameRow;
use super::idle::{Slope, slope};
use super::phoenix::{Answer, ask, join, own_topic, payload, push_frame};
use super::report::Report;
use super::target::Target;
use super::windows::{self, Pace};

/// The topic that all members of a fan-out join.
const SHARED_TOPIC: &str = "room:shared";
/// The event that the reference app answers with its payload.
const ECHO: &str = "echo";
/// The event that the reference app broadcasts.
const SHOUT: &str = "shout";

/// Where the user socket of the reference app is mounted.
pub const SOCKET_PATH: &str = "/socket/websocket?vsn=2.0.0";

/// Pushes that are replied to, each connection on a topic of its own.
#[derive(Clone, Debug)]
pub struct ChannelEchoLoad {
    /// Path of the socket.
    pub path: String,
    /// Bytes of JSON in the payload.
    pub size: usize,
    /// Connections, each with one joined channel.
    pub connections: usize,
    /// How hard to push.
    pub pace: Pace,
}

impl ChannelEchoLoad {
    /// Runs, after each connection has joined and had one reply that was checked; some are checked again afterwards.
    pub fn run(&self, target: &Target) -> io::Result<Report> {
        let payload = payload(self.size);
        let mut streams = target.open(&self.path, self.connections)?;
        join(&mut streams, own_topic)?;
        let answer_len = check_echo(&mut streams, &payload)?;
        let row = |index| FrameRow::new(&push_frame(&own_topic(index), ECHO, &payload), self.pace.window);
        let rows = (0..self.connections).map(row).collect();
        let (report, mut streams) = windows::run(target, self.pace, streams, rows, answer_len)?;
        check_echo(&mut streams, &payload)?;
        Ok(report)
    }
}

/// One push on each connection, its reply checked. Returns the length of the reply, the same for all.
fn check_echo(streams: &mut [TcpStream], payload: &Value) -> io::Result<usize> {
    let mut reply_len = 0;
    let frame = |index| push_frame(&own_topic(index), ECHO, payload);
    ask(streams, frame, |index, answer| {
        answer.check_reply(&own_topic(index), Some(payload))?;
        same_len(&mut reply_len, &answer)
    })?;
    Ok(reply_len)
}

fn same_len(len: &mut usize, answer: &Answer) -> io::Result<()> {
    if *len != 0 && *len != answer.0.len() {
        return Err(io::Error::other("answers are of different lengths, so they cannot be counted by bytes"));
    }
    *len = answer.0.len();
    Ok(())
}

/// Broadcasts to the members of one topic.
#[derive(Clone, Debug)]
pub struct ChannelFanoutLoad {
    /// Path of the socket.
    pub path: String,
    /// Bytes of JSON in the payload.
    pub size: usize,
    /// Connections that have joined the topic, the one that broadcasts included: it receives its own.
    pub members: usize,
    /// Messages of one burst: the next begins when everyone has all of it.
    pub window: usize,
    /// How long to measure.
    pub duration: Duration,
}

impl ChannelFanoutLoad {
    /// Runs, after one broadcast that each member received and that was checked, and again at the end. The report counts
    /// deliveries; its latency is that of the last receipt of each burst.
    pub fn run(&self, target: &Target) -> io::Result<Report> {
        let payload = payload(self.size);
        let mut streams = target.open(&self.path, self.members)?;
        join(&mut streams, |_| SHARED_TOPIC.to_owned())?;
        let frame = push_frame(SHARED_TOPIC, SHOUT, &payload);
        let delivery_len = check_fanout(&mut streams, &frame, &payload)?;
        let bursts = Bursts {
            streams,
            receivers: self.members,
            sender: 0,
            frame: frame.clone(),
            window: self.window,
            delivery_len,
        };
        let (report, mut streams) = bursts.run(target, Extent::Time(self.duration))?;
        check_fanout(&mut streams, &frame, &payload)?;
        Ok(report)
    }
}

/// One broadcast from the first to all. Returns the length of the frame that each receives.
fn check_fanout(streams: &mut [TcpStream], frame: &[u8], payload: &Value) -> io::Result<usize> {
    let mut delivery_len = 0;
    if let Some(sender) = streams.first_mut() {
        sender.write_all(frame)?;
    }
    for stream in streams {
        let answer = Answer::receive(stream)?;
        answer.check_broadcast(SHARED_TOPIC, SHOUT, payload)?;
        same_len(&mut delivery_len, &answer)?;
    }
    Ok(delivery_len)
}

/// Connections with one joined channel each, on topics of their own, that do nothing.
#[derive(Clone, Debug)]
pub struct ChannelIdleLoad {
    /// Path of the socket.
    pub path: String,
    /// Connections at the first reading.
    pub from: usize,
    /// Connections at the second.
    pub to: usize,
    /// Whether each pushes once first.
    pub is_pushed: bool,
}

impl ChannelIdleLoad {
    /// Opens the connections, joins, and reads the server's memory at both counts.
    pub fn run(&self, target: &Target) -> io::Result<Slope> {
        slope(target, self.from, self.to, |already, count| {
            let mut streams = target.open_from(&self.path, already, count)?;
            let topic = |index| own_topic(already + index);
            join(&mut streams, topic)?;
            if self.is_pushed {
                let payload = payload(64);
                let frame = |index| push_frame(&topic(index), ECHO, &payload);
                ask(&mut streams, frame, |index, answer| answer.check_reply(&topic(index), Some(&payload)))?;
            }
            Ok(streams)
        })
    }
}
