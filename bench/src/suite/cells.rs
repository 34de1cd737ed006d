//! The cells: what is sent, how large, by how many. Here those of channels; [`raw`](super::raw) has the others.

use std::io;
use std::time::Duration;

use super::programs::{Kind, Program};
use super::raw::{raw_echo, raw_fanout};
use crate::load::channels::{ChannelEchoLoad, ChannelFanoutLoad, ChannelIdleLoad, SOCKET_PATH};
use crate::load::idle::Slope;
use crate::load::payload::Payload;
use crate::load::report::Report;
use crate::load::storm::StormLoad;
use crate::load::target::Target;
use crate::load::windows::Pace;

/// Connections, window.
const CHANNEL_ECHO: [(usize, usize); 4] = [(100, 1), (100, 16), (1000, 1), (1000, 16)];
/// Members, window.
const CHANNEL_FANOUT: [(usize, usize); 6] = [(100, 1), (100, 16), (1000, 1), (1000, 16), (10_000, 1), (10_000, 16)];
const CHANNEL_BYTES: usize = 64;
pub(super) const IDLE: (usize, usize) = (4000, 16_000);
const STORM: (usize, usize) = (5000, 100);

/// One turn of one server.
type Turn = Box<dyn Fn(&Target) -> io::Result<Outcome>>;

/// What a turn brings.
pub(super) enum Outcome {
    Load(Report),
    Memory(Slope),
}

/// One line of the table.
pub(super) struct Cell {
    pub(super) name: String,
    /// What the floor is asked; nothing, if it has no part in the cell.
    floor: Option<Turn>,
    /// What all others are asked.
    others: Turn,
    /// The only server that plays, by its name: one of ours that is set up otherwise.
    variant: Option<&'static str>,
    pub(super) judged: Judged,
}

/// What a cell counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// Here the other crates play, and we want to be ahead of each.
    pub(super) is_named: bool,
    /// Text, checked, beside a floor that echoes as much binary.
    pub(super) is_text: bool,
    /// Whose rate is the mark if it is better than the floor's.
    pub(super) rival: Option<&'static str>,
}

impl Cell {
    pub(super) fn new(name: String, turn: impl Fn(&Target) -> io::Result<Outcome> + 'static) -> Self {
        Self { name, floor: None, others: Box::new(turn), variant: None, judged: Judged::default() }
    }

    /// The same for all.
    pub(super) fn alike(name: String, turn: impl Fn(&Target) -> io::Result<Outcome> + Clone + 'static) -> Self {
        Self::new(name, turn.clone()).with_floor(turn)
    }

    pub(super) fn with_floor(self, turn: impl Fn(&Target) -> io::Result<Outcome> + 'static) -> Self {
        Self { floor: Some(Box::new(turn)), ..self }
    }

    pub(super) fn with_judged(self, judged: Judged) -> Self {
        Self { judged, ..self }
    }

    /// Played by nobody but the variant of this name.
    pub(super) fn for_variant(self, name: &'static str) -> Self {
        Self { variant: Some(name), ..self }
    }

    pub(super) fn has_floor(&self) -> bool {
        self.floor.is_some()
    }

    /// What `program` is asked, if it has a part in the cell.
    pub(super) fn turn(&self, program: &Program, peers: Peers) -> Option<&Turn> {
        let plays = match (program.kind, self.variant) {
            (Kind::Variant, variant) => variant == Some(program.name.as_str()),
            (_, Some(_)) => false,
            (Kind::Floor, None) => return self.floor.as_ref(),
            (Kind::Ours | Kind::Brought, None) => true,
            (Kind::Peer, None) => peers == Peers::Everywhere || self.judged.is_named,
        };
        plays.then_some(&self.others)
    }
}

/// In which cells the other crates play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// In none.
    Nowhere,
    /// In those that are named for it.
    Named,
    /// In all.
    Everywhere,
}

pub(super) fn channels(duration: Duration) -> Vec<Cell> {
    let echo = |(connections, window)| {
        let raw = raw_echo(CHANNEL_BYTES, Payload::Ascii, connections, window, duration);
        let pace = Pace { window, duration, rate: None };
        let load = ChannelEchoLoad { path: SOCKET_PATH.into(), size: CHANNEL_BYTES, connections, pace };
        let name = format!("push and reply x {connections} x {window}");
        Cell::new(name, move |target| load.run(target).map(Outcome::Load))
            .with_floor(move |target| raw.run(target).map(Outcome::Load))
    };
    let fanout = |(members, window)| {
        let raw = raw_fanout(CHANNEL_BYTES, members, window, duration);
        let load = ChannelFanoutLoad { path: SOCKET_PATH.into(), size: CHANNEL_BYTES, members, window, duration };
        Cell::new(format!("broadcast x {members} x {window}"), move |target| load.run(target).map(Outcome::Load))
            .with_floor(move |target| raw.run(target).map(Outcome::Load))
    };
    CHANNEL_ECHO.into_iter().map(echo).chain(CHANNEL_FANOUT.into_iter().map(fanout)).collect()
}

pub(super) fn channel_idle() -> Vec<Cell> {
    let cell = |is_pushed| {
        let load = ChannelIdleLoad { path: SOCKET_PATH.into(), from: IDLE.0, to: IDLE.1, is_pushed };
        let name = if is_pushed { "joined, after one push" } else { "joined" };
        Cell::new(name.into(), move |target| load.run(target).map(Outcome::Memory))
    };
    [false, true].map(cell).into()
}

pub(super) fn join_storm() -> Vec<Cell> {
    let (connections, in_flight) = STORM;
    let load = |is_checked| StormLoad { path: SOCKET_PATH.into(), connections, in_flight, is_checked };
    let (raw, load) = (load(false), load(true));
    let name = format!("{connections} joins, {in_flight} at a time");
    let cell = Cell::new(name, move |target| load.run(target).map(Outcome::Load));
    vec![cell.with_floor(move |target| raw.run(target).map(Outcome::Load))]
}
