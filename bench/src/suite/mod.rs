//! Servers compared: started one beside the other on one core, the generator on another, and loaded in turns
//! (A B A B ..), so that a neighbour's noise falls on all alike. What counts is the median of the ratios within a round.

mod cells;
mod contest;
mod figures;
mod flood;
mod markdown;
mod programs;
mod raw;
mod server;
mod slow;
mod table;
mod verdict;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use contest::Contest;
use server::Placement;

pub use cells::Peers;
pub use slow::LIMIT_BYTES as SLOW_LIMIT_BYTES;

use crate::process::raise_open_files;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Raw messages that come back.
    Echo,
    /// One raw message that goes to many.
    Fanout,
    /// Memory of a connection that does nothing.
    Idle,
    /// Readers that do not read, and those who do beside them.
    Slow,
    /// Frames that say little, many of them, and messages that grow.
    Flood,
    /// Pushes that are replied to, and broadcasts, against raw frames of the floor.
    Channels,
    /// Memory of a connection with one joined channel.
    ChannelIdle,
    /// Connect, upgrade, join: 100 at a time.
    JoinStorm,
    /// All of these.
    All,
}

impl Name {
    const ALL: [Self; 8] = [
        Self::Echo,
        Self::Fanout,
        Self::Idle,
        Self::Slow,
        Self::Flood,
        Self::Channels,
        Self::ChannelIdle,
        Self::JoinStorm,
    ];
}

/// How the outcome is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A row for each server in each cell, as they come.
    Table,
    /// The same as one JSON object per line.
    Json,
    /// A row for each cell, at the end.
    Markdown,
}

/// A server that somebody else brings: a program that takes `--listen ADDRESS` and prints `listening on ADDRESS`.
#[derive(Clone, Debug)]
pub struct Other {
    /// What it is called in the table.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    /// What it is told beside.
    pub arguments: Vec<String>,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Rounds per cell, each with a turn of every server. More than one, or there is no median.
    pub rounds: usize,
    /// How long a turn is measured.
    pub duration: Duration,
    /// Only cells whose name contains this.
    pub only: String,
    /// How the outcome is told.
    pub format: Format,
    /// Threads of each server.
    pub threads: usize,
    /// Messages published to readers that do not read. Default: 10,000.
    pub messages: Option<u64>,
    /// Where the other crates play.
    pub peers: Peers,
    /// The reference app, if it shall not be built.
    pub app: Option<PathBuf>,
    /// More servers, for the raw cells.
    pub others: Vec<Other>,
}

impl Suite {
    /// Measures `name` and prints as it goes. False if a cell failed; the others are measured all the same.
    pub fn run(&self, name: Name) -> io::Result<bool> {
        let names = if name == Name::All { &Name::ALL[..] } else { &[name] };
        raise_open_files()?;
        let placement = Placement::of(self.threads)?;
        placement.keep_generator()?;
        if !placement.is_apart() {
            eprintln!(
                "{} server threads and no core left: the generator shares the last one with them. CPU ns says what a \
                 message costs; rates say what the machine gives to both, and only their ratios mean something.",
                self.threads
            );
        }
        let mut is_good = true;
        for &name in names {
            if name == Name::Flood {
                is_good &= flood::run(self, placement)?;
            }
            if name == Name::Slow {
                // Who counts the drops is one worker.
                slow::run(self, placement.with_one_thread())?;
            }
            if let Some(contest) = self.contest(name)? {
                is_good &= contest.run(self, placement)?;
            }
        }
        Ok(is_good)
    }

    /// `None` for what is no contest of its own.
    fn contest(&self, name: Name) -> io::Result<Option<Contest>> {
        Ok(Some(match name {
            Name::Echo => Contest::raw("echo", self, raw::echo(self.duration))?.judged_by(verdict::echo),
            Name::Fanout => Contest::raw("fanout", self, raw::fanout(self.duration))?.judged_by(verdict::fanout),
            Name::Idle => {
                let contest = Contest::raw("idle", self, raw::idle())?;
                contest.with_fresh_servers().with_lean_peers().with_lanes(&raw::LANES).judged_by(verdict::idle)
            }
            Name::Channels => Contest::channels("channels", self, cells::channels(self.duration))?,
            Name::ChannelIdle => Contest::channels("channel-idle", self, cells::channel_idle())?.with_fresh_servers(),
            Name::JoinStorm => Contest::channels("join-storm", self, cells::join_storm())?.with_fresh_servers(),
            Name::Slow | Name::Flood | Name::All => return Ok(None),
        }))
    }
}
