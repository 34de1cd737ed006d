//! A storm of joins, as after a restart: connect, upgrade, join, with so many of them under way at once.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::frame::server_frame_len;
use super::phoenix::{Answer, join_frame, own_topic};
use super::report::{Meter, Report, histogram};
use super::target::{Target, check_response};

/// How long nothing at all may happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who joins.
#[derive(Clone, Debug)]
pub struct StormLoad {
    /// Path of the socket.
    pub path: String,
    /// Connections, each joins a topic of its own.
    pub connections: usize,
    /// Connections under way at once.
    pub in_flight: usize,
    /// Whether the answer must be a reply that says ok. Not so if an echo is measured, to know the least that it costs.
    pub is_checked: bool,
}

/// How far a connection is.
struct Arrival {
    stream: TcpStream,
    since: Instant,
    is_upgraded: bool,
    received: Vec<u8>,
}

impl StormLoad {
    /// Runs until all have joined. The report counts joins; latency is from connect to reply.
    pub fn run(&self, target: &Target) -> io::Result<Report> {
        let mut run = Run {
            poll: Poll::new()?,
            arrivals: Vec::with_capacity(self.connections),
            request: target.request(&self.path),
            is_checked: self.is_checked,
            latency: histogram(),
        };
        let meter = Meter::start(target.pid, 0)?;
        let mut events = Events::with_capacity(1024);
        let mut joined = 0;
        while joined < self.connections {
            while run.arrivals.len() < self.connections && run.arrivals.len() - joined < self.in_flight {
                run.arrive(target)?;
            }
            run.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(Error::new(ErrorKind::TimedOut, format!("{joined} have joined, then nothing happened")));
            }
            for event in &events {
                joined += usize::from(event.is_readable() && run.advance(event.token().0)?);
            }
        }
        meter.stop(joined as u64, &run.latency)
    }
}

struct Run {
    poll: Poll,
    arrivals: Vec<Arrival>,
    request: String,
    is_checked: bool,
    latency: Histogram<u64>,
}

impl Run {
    fn arrive(&mut self, target: &Target) -> io::Result<()> {
        let index = self.arrivals.len();
        let since = Instant::now();
        let stream = target.connect(index)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        stream.write_all(self.request.as_bytes())?;
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        self.arrivals.push(Arrival { stream, since, is_upgraded: false, received: Vec::new() });
        Ok(())
    }

    /// Receives; true when the reply to the join is there.
    fn advance(&mut self, index: usize) -> io::Result<bool> {
        let arrival = &mut self.arrivals[index];
        let mut chunk = [0; 4096];
        match arrival.stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(received) => arrival.received.extend_from_slice(&chunk[..received]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        let topic = own_topic(index);
        if !arrival.is_upgraded {
            if check_response(&arrival.received)? {
                arrival.is_upgraded = true;
                arrival.received.clear();
                arrival.stream.write_all(&join_frame(&topic))?;
            }
            return Ok(false);
        }
        if server_frame_len(&arrival.received) != Some(arrival.received.len()) {
            return Ok(false);
        }
        let answer = Answer(std::mem::take(&mut arrival.received));
        if self.is_checked {
            answer.check_reply(&topic, None)?;
        }
        self.latency.saturating_record(arrival.since.elapsed().as_nanos() as u64);
        Ok(true)
    }
}
