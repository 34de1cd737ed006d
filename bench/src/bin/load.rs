//! The load generator by hand: one run against a server that is already there.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use wingbeat_bench::load::channels::{ChannelEchoLoad, ChannelFanoutLoad, ChannelIdleLoad, SOCKET_PATH};
use wingbeat_bench::load::echo::EchoLoad;
use wingbeat_bench::load::fanout::FanoutLoad;
use wingbeat_bench::load::idle::{IdleLoad, Lane};
use wingbeat_bench::load::payload::Payload;
use wingbeat_bench::load::report::Report;
use wingbeat_bench::load::slow::SlowLoad;
use wingbeat_bench::load::storm::StormLoad;
use wingbeat_bench::load::target::Target;
use wingbeat_bench::load::windows::Pace;
use wingbeat_bench::process;

/// Loads a WebSocket server and tells what that costs it.
#[derive(Parser)]
struct Arguments {
    /// Where the server listens.
    #[arg(long, global = true, default_value = "127.0.0.1:4000")]
    target: SocketAddr,
    /// The server's process: its CPU time and memory are read from /proc.
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// The core to run on.
    #[arg(long, global = true)]
    core: Option<usize>,
    /// One JSON object instead of a sentence.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Messages that come back.
    Echo {
        #[arg(long, default_value = "/")]
        path: String,
        /// Payload bytes.
        #[arg(long, default_value_t = 20)]
        size: usize,
        /// What the payload is.
        #[arg(long, value_enum, default_value = "binary")]
        text: Payload,
        #[arg(long, default_value_t = 100)]
        connections: usize,
        /// Messages in flight on each connection.
        #[arg(long, default_value_t = 1)]
        window: usize,
        /// Messages a second over all connections at times fixed beforehand, with a window of 1.
        #[arg(long)]
        rate: Option<f64>,
        #[command(flatten)]
        length: Length,
    },
    /// Messages on `/pub` that go to everyone on `/sub`.
    Fanout {
        /// Payload bytes.
        #[arg(long, default_value_t = 64)]
        size: usize,
        /// What the payload is.
        #[arg(long, value_enum, default_value = "binary")]
        text: Payload,
        #[arg(long, default_value_t = 100)]
        subscribers: usize,
        /// Messages of one burst.
        #[arg(long, default_value_t = 1)]
        window: usize,
        #[command(flatten)]
        length: Length,
    },
    /// Memory of connections that do nothing.
    Idle {
        #[arg(long, default_value = "/")]
        path: String,
        /// The two counts between which the slope is taken.
        #[arg(long, value_delimiter = ',', num_args = 1, default_value = "4000,16000")]
        connections: Vec<usize>,
        /// Without the one echo that each connection otherwise gets.
        #[arg(long)]
        silent: bool,
    },
    /// Readers on `/slow` that do not read while everyone is sent to.
    Slow {
        /// Payload bytes.
        #[arg(long, default_value_t = 16_384)]
        size: usize,
        /// Subscribers that read.
        #[arg(long, default_value_t = 100)]
        healthy: usize,
        /// Subscribers that do not.
        #[arg(long, default_value_t = 500)]
        stuck: usize,
        /// Messages published.
        #[arg(long, default_value_t = 10_000)]
        messages: u64,
        /// Bytes of the kernel's buffers of those who do not.
        #[arg(long, default_value_t = 65_536)]
        buffer_bytes: usize,
    },
    /// Pushes to a channel of the reference app that are replied to.
    ChanEcho {
        #[arg(long, default_value = SOCKET_PATH)]
        path: String,
        /// Bytes of JSON in the payload.
        #[arg(long, default_value_t = 64)]
        size: usize,
        #[arg(long, default_value_t = 100)]
        connections: usize,
        /// Pushes in flight on each connection.
        #[arg(long, default_value_t = 1)]
        window: usize,
        /// Pushes a second over all connections at times fixed beforehand, with a window of 1.
        #[arg(long)]
        rate: Option<f64>,
        #[command(flatten)]
        length: Length,
    },
    /// Broadcasts to the members of one topic of the reference app.
    ChanFanout {
        #[arg(long, default_value = SOCKET_PATH)]
        path: String,
        /// Bytes of JSON in the payload.
        #[arg(long, default_value_t = 64)]
        size: usize,
        #[arg(long, default_value_t = 100)]
        members: usize,
        /// Broadcasts of one burst.
        #[arg(long, default_value_t = 1)]
        window: usize,
        #[command(flatten)]
        length: Length,
    },
    /// Memory of connections with one joined channel each.
    ChanIdle {
        #[arg(long, default_value = SOCKET_PATH)]
        path: String,
        /// The two counts between which the slope is taken.
        #[arg(long, value_delimiter = ',', num_args = 1, default_value = "4000,16000")]
        connections: Vec<usize>,
        /// Each pushes once and gets its reply.
        #[arg(long)]
        pushed: bool,
    },
    /// Connect, upgrade and join, many at once.
    JoinStorm {
        #[arg(long, default_value = SOCKET_PATH)]
        path: String,
        #[arg(long, default_value_t = 5000)]
        connections: usize,
        /// Connections under way at once.
        #[arg(long, default_value_t = 100)]
        in_flight: usize,
        /// Takes any answer for a reply: against an echo, to know the least that it costs.
        #[arg(long)]
        unchecked: bool,
    },
}

#[derive(Args)]
struct Length {
    /// How long to measure.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

impl Length {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn pace(&self, window: usize, rate: Option<f64>) -> io::Result<Pace> {
        if rate.is_some() && window != 1 {
            return Err(io::Error::other("a rate needs a window of 1"));
        }
        Ok(Pace { window, duration: self.duration(), rate })
    }
}

fn main() -> ExitCode {
    match measure(Arguments::parse()) {
        Ok(outcome) => {
            println!("{outcome}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: Arguments) -> Result<String, Box<dyn Error>> {
    process::raise_open_files()?;
    if let Some(core) = arguments.core {
        process::pin(&[core])?;
    }
    let target = Target { address: arguments.target, pid: arguments.pid };
    let (sentence, json) = match arguments.mode {
        Mode::Idle { path, connections, silent } => {
            let (from, to) = two(&connections)?;
            told(IdleLoad { path, from, to, is_echoed: !silent, lane: Lane::Plain }.run(&target)?)?
        }
        Mode::ChanIdle { path, connections, pushed } => {
            let (from, to) = two(&connections)?;
            told(ChannelIdleLoad { path, from, to, is_pushed: pushed }.run(&target)?)?
        }
        Mode::Slow { size, healthy, stuck, messages, buffer_bytes } => {
            told(SlowLoad { healthy, stuck, size, messages, buffer_bytes }.run(&target)?)?
        }
        mode => told(run(mode, &target)?)?,
    };
    Ok(if arguments.json { json } else { sentence })
}

fn run(mode: Mode, target: &Target) -> io::Result<Report> {
    match mode {
        Mode::Echo { path, size, text, connections, window, rate, length } => {
            let pace = length.pace(window, rate)?;
            EchoLoad { path, size, payload: text, connections, pace }.run(target)
        }
        Mode::Fanout { size, text, subscribers, window, length } => {
            let (subscribe_path, publish_path) = ("/sub".into(), "/pub".into());
            let duration = length.duration();
            FanoutLoad { subscribe_path, publish_path, size, payload: text, subscribers, window, duration }.run(target)
        }
        Mode::ChanEcho { path, size, connections, window, rate, length } => {
            ChannelEchoLoad { path, size, connections, pace: length.pace(window, rate)? }.run(target)
        }
        Mode::ChanFanout { path, size, members, window, length } => {
            ChannelFanoutLoad { path, size, members, window, duration: length.duration() }.run(target)
        }
        Mode::JoinStorm { path, connections, in_flight, unchecked } => {
            StormLoad { path, connections, in_flight, is_checked: !unchecked }.run(target)
        }
        Mode::Idle { .. } | Mode::ChanIdle { .. } | Mode::Slow { .. } => Err(io::Error::other("memory is not a load")),
    }
}

fn two(counts: &[usize]) -> io::Result<(usize, usize)> {
    match *counts {
        [from, to] if from < to => Ok((from, to)),
        _ => Err(io::Error::other("--connections takes two counts, the smaller first: FROM,TO")),
    }
}

fn told<T: Display + Serialize>(outcome: T) -> io::Result<(String, String)> {
    Ok((outcome.to_string(), serde_json::to_string(&outcome)?))
}
