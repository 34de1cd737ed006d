//! Servers compared: started one beside the other on one core, the generator on another, and loaded in turns
//! (A B A B ..), so that a neighbour's noise falls on all alike. What counts is the median of the ratios within a round.

mod cells;
mod contest;
mod programs;
mod server;
mod table;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use contest::Contest;
use table::Table;

use crate::process::{cores, pin, raise_open_files};

/// The core that servers run on, and the one of the generator.
const SERVER_CORE: usize = 0;
const GENERATOR_CORE: usize = 1;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Raw messages that come back.
    Echo,
    /// One raw message that goes to many.
    Fanout,
    /// Memory of a connection that does nothing.
    Idle,
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
    const ALL: [Self; 6] = [Self::Echo, Self::Fanout, Self::Idle, Self::Channels, Self::ChannelIdle, Self::JoinStorm];
}

/// A server that somebody else brings: a program that takes `--listen ADDRESS` and prints `listening on ADDRESS`.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What it is called in the table.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
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
    /// One JSON object per line instead of a table.
    pub is_json: bool,
    /// The reference app, if it shall not be built.
    pub app: Option<PathBuf>,
    /// More servers, for the raw cells.
    pub peers: Vec<Peer>,
}

impl Suite {
    /// Measures `name` and prints as it goes. False if a cell failed; the others are measured all the same.
    pub fn run(&self, name: Name) -> io::Result<bool> {
        let names = if name == Name::All { &Name::ALL[..] } else { &[name] };
        raise_open_files()?;
        if cores()? <= GENERATOR_CORE {
            return Err(io::Error::other("needs two cores: one for the server, one for the generator"));
        }
        pin(GENERATOR_CORE)?;
        let mut is_good = true;
        for &name in names {
            if let Some(contest) = self.contest(name)? {
                is_good &= contest.run(self, &mut Table::new(self.is_json))?;
            }
        }
        Ok(is_good)
    }

    /// `None` for what is no contest of its own.
    fn contest(&self, name: Name) -> io::Result<Option<Contest>> {
        Ok(Some(match name {
            Name::Echo => Contest::raw("echo", self, cells::echo(self.duration))?,
            Name::Fanout => Contest::raw("fanout", self, cells::fanout(self.duration))?,
            Name::Idle => Contest::raw("idle", self, cells::idle())?.with_fresh_servers(),
            Name::Channels => Contest::channels("channels", self, cells::channels(self.duration))?,
            Name::ChannelIdle => Contest::channels("channel-idle", self, cells::channel_idle())?.with_fresh_servers(),
            Name::JoinStorm => Contest::channels("join-storm", self, cells::join_storm())?.with_fresh_servers(),
            Name::All => return Ok(None),
        }))
    }
}
