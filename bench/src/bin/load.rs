//! The load generator by hand: one run against a server that is already there.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use wingbeat_bench::load::echo::EchoLoad;
use wingbeat_bench::load::fanout::FanoutLoad;
use wingbeat_bench::load::idle::IdleLoad;
use wingbeat_bench::load::payload::Payload;
use wingbeat_bench::load::target::Target;
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
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    process::raise_open_files()?;
    if let Some(core) = arguments.core {
        process::pin(core)?;
    }
    let target = Target { address: arguments.target, pid: arguments.pid };
    let report = match arguments.mode {
        Mode::Echo { path, size, text, connections, window, rate, length } => {
            if rate.is_some() && window != 1 {
                return Err("a rate needs a window of 1".into());
            }
            let duration = length.duration();
            EchoLoad { path, size, payload: text, connections, window, duration, rate }.run(&target)?
        }
        Mode::Fanout { size, text, subscribers, window, length } => FanoutLoad {
            subscribe_path: "/sub".into(),
            publish_path: "/pub".into(),
            size,
            payload: text,
            subscribers,
            window,
            duration: length.duration(),
        }
        .run(&target)?,
        Mode::Idle { path, connections, silent } => {
            let [from, to] = connections[..] else { return Err("--connections takes two counts: FROM,TO".into()) };
            let slope = IdleLoad { path, from, to, is_echoed: !silent }.run(&target)?;
            match arguments.json {
                true => println!("{}", serde_json::to_string(&slope)?),
                false => println!("{:.0} bytes per connection between {from} and {to}", slope.bytes_each),
            }
            return Ok(());
        }
    };
    match arguments.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => println!("{report}"),
    }
    Ok(())
}
