//! The cells of raw frames: what the goals are about.

use std::time::Duration;

use super::cells::{Cell, IDLE, Judged, Outcome};
use crate::load::echo::EchoLoad;
use crate::load::fanout::FanoutLoad;
use crate::load::idle::{IdleLoad, Lane};
use crate::load::payload::Payload;
use crate::load::windows::Pace;

/// Size, connections, window. Thirteen of the grid of sizes, connections and windows, a burst of small messages, and
/// messages larger than any buffer.
const ECHO: [(usize, usize, usize); 15] = [
    (20, 1, 1),
    (20, 100, 1),
    (20, 100, 16),
    (20, 1000, 1),
    (128, 100, 1),
    (128, 1000, 16),
    (1024, 100, 1),
    (1024, 100, 16),
    (1024, 1000, 16),
    (16_384, 1, 16),
    (16_384, 100, 1),
    (16_384, 100, 16),
    (16_384, 1000, 16),
    (20, 50, 256),
    (1 << 20, 10, 1),
];
/// Where crates differ: batches of every size, bursts, and many connections that ask for one thing at a time. With few
/// of those all that are any good tie at what the kernel takes.
const ECHO_NAMED: [(usize, usize, usize); 6] =
    [(20, 100, 16), (20, 1000, 1), (128, 1000, 16), (1024, 1000, 16), (16_384, 100, 16), (20, 50, 256)];
/// Where another crate has been ahead of the floor, so that the floor is no mark.
const ECHO_RIVAL: ((usize, usize, usize), &str) = ((16_384, 100, 16), "yawc");
/// Text that is no ASCII.
const ECHO_TEXT: [(usize, usize, usize); 4] = [(1024, 100, 1), (1024, 100, 16), (16_384, 100, 1), (16_384, 100, 16)];

/// Size, subscribers, window.
const FANOUT: [(usize, usize, usize); 12] = [
    (64, 100, 1),
    (64, 100, 16),
    (64, 1000, 1),
    (64, 1000, 16),
    (1024, 100, 1),
    (1024, 100, 16),
    (1024, 1000, 1),
    (1024, 1000, 16),
    (16_384, 100, 1),
    (16_384, 100, 16),
    (16_384, 1000, 1),
    (16_384, 1000, 16),
];
const FANOUT_NAMED: [(usize, usize, usize); 3] = [(64, 1000, 16), (1024, 1000, 1), (16_384, 100, 16)];

pub(super) fn echo(duration: Duration) -> Vec<Cell> {
    let binary = ECHO.into_iter().map(|cell| {
        let (size, connections, window) = cell;
        let load = raw_echo(size, Payload::Binary, connections, window, duration);
        let rival = (cell == ECHO_RIVAL.0).then_some(ECHO_RIVAL.1);
        Cell::alike(name(size, "", connections, window), move |target| load.run(target).map(Outcome::Load))
            .with_judged(Judged { is_named: ECHO_NAMED.contains(&cell), rival, is_text: false })
    });
    let text = ECHO_TEXT.into_iter().map(|(size, connections, window)| {
        let load = |payload| raw_echo(size, payload, connections, window, duration);
        let (binary, text) = (load(Payload::Binary), load(Payload::Nonascii));
        Cell::new(name(size, " text", connections, window), move |target| text.run(target).map(Outcome::Load))
            .with_floor(move |target| binary.run(target).map(Outcome::Load))
            .with_judged(Judged { is_text: true, ..Judged::default() })
    });
    binary.chain(text).collect()
}

pub(super) fn fanout(duration: Duration) -> Vec<Cell> {
    let cell = |cell| {
        let (size, subscribers, window) = cell;
        let load = raw_fanout(size, subscribers, window, duration);
        Cell::alike(name(size, "", subscribers, window), move |target| load.run(target).map(Outcome::Load))
            .with_judged(Judged { is_named: FANOUT_NAMED.contains(&cell), ..Judged::default() })
    };
    FANOUT.map(cell).into()
}

/// How else we can be talked to: what it is called, how our echo server is started for it, how connections come.
pub(super) const LANES: [(&str, &[&str], Lane); 5] = [
    ("received in a loop", &["--lane", "loop"], Lane::Plain),
    ("over TLS", &["--lane", "tls"], Lane::Tls),
    ("over HTTP/2, 100 together", &[], Lane::Http2(100)),
    ("over HTTP/2, alone", &[], Lane::Http2(1)),
    ("mounted in axum", &["--lane", "axum"], Lane::Plain),
];

pub(super) fn idle() -> Vec<Cell> {
    let load = |lane| IdleLoad { path: "/".into(), from: IDLE.0, to: IDLE.1, is_echoed: true, lane };
    let plain = load(Lane::Plain);
    let plain = Cell::alike("after one message".into(), move |target| plain.run(target).map(Outcome::Memory))
        .with_judged(Judged { is_named: true, ..Judged::default() });
    let lanes = LANES.into_iter().map(|(name, _, lane)| {
        let load = load(lane);
        Cell::new(name.into(), move |target| load.run(target).map(Outcome::Memory)).for_variant(name)
    });
    std::iter::once(plain).chain(lanes).collect()
}

pub(super) fn raw_echo(
    size: usize,
    payload: Payload,
    connections: usize,
    window: usize,
    duration: Duration,
) -> EchoLoad {
    let pace = Pace { window, duration, rate: None };
    EchoLoad { path: "/".into(), size, payload, connections, pace }
}

pub(super) fn raw_fanout(size: usize, subscribers: usize, window: usize, duration: Duration) -> FanoutLoad {
    let (subscribe_path, publish_path) = ("/sub".into(), "/pub".into());
    FanoutLoad { subscribe_path, publish_path, size, payload: Payload::Binary, subscribers, window, duration }
}

fn name(size: usize, kind: &str, connections: usize, window: usize) -> String {
    let bytes = match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    };
    format!("{bytes}{kind} x {connections} x {window}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_cells_are_cells() {
        assert!(ECHO_NAMED.iter().all(|cell| ECHO.contains(cell)));
        assert!(FANOUT_NAMED.iter().all(|cell| FANOUT.contains(cell)));
        let cells = echo(Duration::ZERO);
        let count = |is: fn(&Judged) -> bool| cells.iter().filter(|cell| is(&cell.judged)).count();
        assert_eq!(count(|cell| !cell.is_text), 15);
        assert_eq!(count(|cell| cell.is_named), 6);
        assert_eq!(count(|cell| cell.rival.is_some()), 1);
        let mut names: Vec<_> = cells.iter().map(|cell| &cell.name).collect();
        names.dedup();
        assert_eq!(names.len(), cells.len());
    }
}
