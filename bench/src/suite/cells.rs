//! The cells: what is sent, how large, by how many.

use std::io;
use std::time::Duration;

use crate::load::channels::{ChannelEchoLoad, ChannelFanoutLoad, ChannelIdleLoad, SOCKET_PATH};
use crate::load::echo::EchoLoad;
use crate::load::fanout::FanoutLoad;
use crate::load::idle::{IdleLoad, Slope};
use crate::load::payload::Payload;
use crate::load::report::Report;
use crate::load::storm::StormLoad;
use crate::load::target::Target;
use crate::load::windows::Pace;

/// Size, connections, window.
const ECHO: [(usize, usize, usize, Payload); 19] = [
    (20, 1, 1, Payload::Binary),
    (20, 1, 16, Payload::Binary),
    (20, 100, 1, Payload::Binary),
    (20, 100, 16, Payload::Binary),
    (20, 1000, 1, Payload::Binary),
    (20, 1000, 16, Payload::Binary),
    (1024, 100, 1, Payload::Binary),
    (1024, 100, 16, Payload::Binary),
    (1024, 1000, 16, Payload::Binary),
    (16_384, 1, 16, Payload::Binary),
    (16_384, 100, 1, Payload::Binary),
    (16_384, 100, 16, Payload::Binary),
    (16_384, 1000, 16, Payload::Binary),
    (1_048_576, 100, 16, Payload::Binary),
    (20, 50, 256, Payload::Binary),
    (128, 50, 256, Payload::Binary),
    (1024, 100, 16, Payload::Ascii),
    (1024, 100, 16, Payload::Nonascii),
    (16_384, 100, 1, Payload::Nonascii),
];
/// Size, subscribers, window.
const FANOUT: [(usize, usize, usize); 6] =
    [(64, 100, 1), (64, 1000, 1), (64, 1000, 16), (1024, 1000, 1), (1024, 1000, 16), (16_384, 100, 16)];
/// Connections, window.
const CHANNEL_ECHO: [(usize, usize); 4] = [(100, 1), (100, 16), (1000, 1), (1000, 16)];
/// Members, window.
const CHANNEL_FANOUT: [(usize, usize); 6] = [(100, 1), (100, 16), (1000, 1), (1000, 16), (10_000, 1), (10_000, 16)];
const CHANNEL_BYTES: usize = 64;
const IDLE: (usize, usize) = (4000, 16_000);
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
    pub(super) floor: Option<Turn>,
    /// What all others are asked.
    pub(super) others: Turn,
}

impl Cell {
    /// The same for all.
    fn alike(name: String, turn: impl Fn(&Target) -> io::Result<Outcome> + Clone + 'static) -> Self {
        Self { name, floor: Some(Box::new(turn.clone())), others: Box::new(turn) }
    }
}

pub(super) fn echo(duration: Duration) -> Vec<Cell> {
    let cell = |(size, connections, window, payload): (usize, usize, usize, Payload)| {
        let load = raw_echo(size, payload, connections, window, duration);
        let kind = match payload {
            Payload::Binary => "",
            Payload::Ascii => " ASCII",
            Payload::Nonascii => " non-ASCII",
        };
        let name = format!("{}{kind} x {connections} x {window}", bytes(size));
        Cell::alike(name, move |target| load.run(target).map(Outcome::Load))
    };
    ECHO.map(cell).into()
}

pub(super) fn fanout(duration: Duration) -> Vec<Cell> {
    let cell = |(size, subscribers, window)| {
        let load = raw_fanout(size, subscribers, window, duration);
        let name = format!("{} x {subscribers} x {window}", bytes(size));
        Cell::alike(name, move |target| load.run(target).map(Outcome::Load))
    };
    FANOUT.map(cell).into()
}

pub(super) fn idle() -> Vec<Cell> {
    let cell = |is_echoed| {
        let load = IdleLoad { path: "/".into(), from: IDLE.0, to: IDLE.1, is_echoed };
        let name = if is_echoed { "after one echo" } else { "silent" };
        Cell::alike(name.into(), move |target| load.run(target).map(Outcome::Memory))
    };
    [true, false].map(cell).into()
}

pub(super) fn channels(duration: Duration) -> Vec<Cell> {
    let echo = |(connections, window)| {
        let raw = raw_echo(CHANNEL_BYTES, Payload::Ascii, connections, window, duration);
        let pace = Pace { window, duration, rate: None };
        let load = ChannelEchoLoad { path: SOCKET_PATH.into(), size: CHANNEL_BYTES, connections, pace };
        Cell {
            name: format!("push and reply x {connections} x {window}"),
            floor: Some(Box::new(move |target| raw.run(target).map(Outcome::Load))),
            others: Box::new(move |target| load.run(target).map(Outcome::Load)),
        }
    };
    let fanout = |(members, window)| {
        let raw = raw_fanout(CHANNEL_BYTES, members, window, duration);
        let load = ChannelFanoutLoad { path: SOCKET_PATH.into(), size: CHANNEL_BYTES, members, window, duration };
        Cell {
            name: format!("broadcast x {members} x {window}"),
            floor: Some(Box::new(move |target| raw.run(target).map(Outcome::Load))),
            others: Box::new(move |target| load.run(target).map(Outcome::Load)),
        }
    };
    CHANNEL_ECHO.into_iter().map(echo).chain(CHANNEL_FANOUT.into_iter().map(fanout)).collect()
}

pub(super) fn channel_idle() -> Vec<Cell> {
    let cell = |is_pushed| {
        let load = ChannelIdleLoad { path: SOCKET_PATH.into(), from: IDLE.0, to: IDLE.1, is_pushed };
        let name = if is_pushed { "joined, after one push" } else { "joined" };
        Cell { name: name.into(), floor: None, others: Box::new(move |target| load.run(target).map(Outcome::Memory)) }
    };
    [false, true].map(cell).into()
}

pub(super) fn join_storm() -> Vec<Cell> {
    let (connections, in_flight) = STORM;
    let load = |is_checked| StormLoad { path: SOCKET_PATH.into(), connections, in_flight, is_checked };
    let (raw, load) = (load(false), load(true));
    vec![Cell {
        name: format!("{connections} joins, {in_flight} at a time"),
        floor: Some(Box::new(move |target| raw.run(target).map(Outcome::Load))),
        others: Box::new(move |target| load.run(target).map(Outcome::Load)),
    }]
}

fn raw_echo(size: usize, payload: Payload, connections: usize, window: usize, duration: Duration) -> EchoLoad {
    let pace = Pace { window, duration, rate: None };
    EchoLoad { path: "/".into(), size, payload, connections, pace }
}

fn raw_fanout(size: usize, subscribers: usize, window: usize, duration: Duration) -> FanoutLoad {
    let (subscribe_path, publish_path) = ("/sub".into(), "/pub".into());
    FanoutLoad { subscribe_path, publish_path, size, payload: Payload::Binary, subscribers, window, duration }
}

fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}
