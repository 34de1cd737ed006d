//! Floods: what a frame that says little costs us, and whether memory stays as it is.

use std::io;

use super::figures::median;
use super::programs::{self, Kind, Program};
use super::server::{Placement, Server};
use super::table::{Table, number};
use super::verdict::{self, Goal};
use super::{Format, Suite};
use crate::load::flood::{Flood, FloodLoad, Flooded};

/// Memory may grow by this whoever comes: the worker's own buffers, once each is as large as it gets.
const GROWTH: u64 = 4 << 20;
/// What a connection may add to it that is sent more than it reads: what may wait before its own input waits, and what
/// was under way then.
const GROWTH_EACH: u64 = 256 << 10;
/// What a bomb may take before it is found out: the largest message, in a buffer that grows by doubling.
const GROWTH_BOMB: u64 = 2 * (8 << 20);
const CONNECTIONS: usize = 100;
/// What a bomb would come to: eight times what a message may have.
const BOMB_BYTES: usize = 64 << 20;

/// Name, path, what comes down, by how much memory may grow.
const CELLS: [(&str, &str, Flood, u64); 6] = [
    ("pings", "/", Flood::Pings, GROWTH),
    ("pings, answers unread", "/", Flood::UnreadPings, GROWTH + CONNECTIONS as u64 * GROWTH_EACH),
    ("empty messages", "/", Flood::EmptyMessages, GROWTH),
    ("fragments of one byte", "/", Flood::TinyFragments, GROWTH),
    ("fragments of no byte", "/", Flood::EmptyFragments, GROWTH),
    ("bombs, 1000 : 1", "/deflate", Flood::Bombs(BOMB_BYTES), GROWTH + GROWTH_BOMB),
];

pub(super) fn run(suite: &Suite, placement: Placement) -> io::Result<bool> {
    let path = programs::build(env!("CARGO_PKG_NAME"), "echo")?;
    let ours = Program::new(Kind::Ours, "wingbeat", path);
    let table = Table::quiet("flood", suite.format);
    if suite.format == Format::Markdown {
        println!("| what comes | frames per second | CPU ns | grown MiB |\n| --- | --- | --- | --- |");
    }
    let (mut goals, mut is_good) = (Vec::new(), true);
    for (name, path, flood, limit) in CELLS.into_iter().filter(|cell| cell.0.contains(&suite.only)) {
        let load = FloodLoad { flood, path: path.into(), connections: CONNECTIONS, duration: suite.duration };
        let round = || load.run(&Server::start(&ours, placement)?.target());
        match (0..suite.rounds).map(|_| round()).collect::<io::Result<Vec<_>>>() {
            Ok(rounds) => {
                let flooded = medians(&rounds);
                match suite.format {
                    Format::Table => println!("{name:<24} {flooded}"),
                    Format::Json => table.print_json(&serde_json::json!({ "cell": name, "figures": flooded })),
                    Format::Markdown => {
                        let Flooded { rate, cpu_ns, grown_bytes } = flooded;
                        let cpu_ns = number(cpu_ns, 0);
                        println!("| {name} | {rate:.0} | {cpu_ns} | {:.2} |", grown_bytes as f64 / 1_048_576.0);
                    }
                }
                goals.push(goal(name, flooded.grown_bytes, limit));
            }
            Err(error) => {
                is_good = false;
                table.fail(name, &error);
            }
        }
    }
    table.judge(&goals, &verdict::summary(&goals));
    Ok(is_good)
}

fn medians(rounds: &[Flooded]) -> Flooded {
    Flooded {
        rate: median(rounds.iter().map(|round| round.rate).collect()).unwrap_or(f64::NAN),
        cpu_ns: median(rounds.iter().filter_map(|round| round.cpu_ns).collect()),
        grown_bytes: rounds.iter().map(|round| round.grown_bytes).max().unwrap_or(0),
    }
}

fn goal(name: &str, grown: u64, limit: u64) -> Goal {
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let what = format!("{name}: memory grows by at most {:.0} MiB", mib(limit));
    Goal::new(what, format!("{:.2} MiB", mib(grown)), grown <= limit)
}
