//! Readers that do not read: our echo server with them and without, in turns, each time afresh.

use std::io;

use super::figures::median;
use super::programs::{self, Kind, Program};
use super::server::{Placement, Server};
use super::table::Table;
use super::verdict::{self, Goal};
use super::{Format, Suite};
use crate::load::slow::{SlowLoad, Slowed};

/// Those who read, and those who do not.
const HEALTHY: usize = 100;
const STUCK: usize = 500;
const SIZE: usize = 16_384;
const MESSAGES: u64 = 10_000;
const BUFFER_BYTES: usize = 64 << 10;
/// What may wait for one who does not read: what our echo server is set up with.
pub const LIMIT_BYTES: usize = 1 << 20;

/// Growth of memory by what the limits of all who do not read come to.
const GROWTH: f64 = 1.1;
/// p99 of those who read by what it is when they are alone.
const P99: f64 = 1.5;

/// The rounds of one kind.
struct Runs {
    name: String,
    stuck: usize,
    rounds: Vec<Slowed>,
}

pub(super) fn run(suite: &Suite, placement: Placement) -> io::Result<()> {
    let path = programs::build(env!("CARGO_PKG_NAME"), "echo")?;
    let ours = Program::new(Kind::Ours, "wingbeat", path);
    let runs = |stuck| Runs { name: format!("{HEALTHY} read, {stuck} do not"), stuck, rounds: Vec::new() };
    let mut both = [runs(0), runs(STUCK)];
    for _ in 0..suite.rounds {
        for runs in &mut both {
            let server = Server::start(&ours, placement)?;
            let load = SlowLoad {
                healthy: HEALTHY,
                stuck: runs.stuck,
                size: SIZE,
                messages: suite.messages.unwrap_or(MESSAGES),
                buffer_bytes: BUFFER_BYTES,
            };
            let slowed = load.run(&server.target())?;
            if suite.format == Format::Table {
                println!("{:<24} {slowed}", runs.name);
            }
            runs.rounds.push(slowed);
        }
    }
    let table = Table::quiet("slow", suite.format);
    if suite.format == Format::Markdown {
        println!("| who is there | sent | delivered | dropped | per second | grown MiB | p50 us | p99 us |");
        println!("|{}", " --- |".repeat(8));
    }
    for runs in &both {
        runs.print(&table, suite.format);
    }
    let goals = goals(&both[0], &both[1]);
    table.judge(&goals, &verdict::summary(&goals));
    Ok(())
}

impl Runs {
    fn median(&self, figure: impl Fn(&Slowed) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect()).unwrap_or(f64::NAN)
    }

    fn print(&self, table: &Table, format: Format) {
        match format {
            Format::Json => {
                self.rounds
                    .iter()
                    .for_each(|round| table.print_json(&serde_json::json!({ "cell": self.name, "round": round })));
            }
            Format::Markdown => println!(
                "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} |",
                self.name,
                self.median(|round| round.sent as f64),
                self.median(|round| round.delivered as f64),
                self.median(|round| round.dropped as f64),
                self.median(|round| round.rate),
                self.median(|round| round.grown_bytes as f64) / 1_048_576.0,
                self.median(|round| round.latency.map_or(f64::NAN, |latency| latency.p50)),
                self.median(|round| round.latency.map_or(f64::NAN, |latency| latency.p99)),
            ),
            Format::Table => {}
        }
    }
}

fn goals(alone: &Runs, beside: &Runs) -> Vec<Goal> {
    let limits = beside.stuck as f64 * LIMIT_BYTES as f64;
    let growth = beside.rounds.iter().map(|round| round.grown_bytes as f64 / limits).fold(0.0, f64::max);
    let is_counted = |round: &Slowed| round.dropped > 0 && round.sent == round.delivered + round.dropped;
    let counted = beside.rounds.iter().filter(|round| is_counted(round)).count();
    let p99 = |round: &Slowed| round.latency.map(|latency| latency.p99);
    let pairs = alone.rounds.iter().zip(&beside.rounds);
    let p99 = median(pairs.filter_map(|(alone, beside)| Some(p99(beside)? / p99(alone)?)).collect());
    let p99 = p99.unwrap_or(f64::INFINITY);
    let rounds = beside.rounds.len();
    vec![
        Goal::new(
            format!("growth at most {GROWTH} x ({} connections x {} MiB)", beside.stuck, LIMIT_BYTES >> 20),
            format!("{growth:.3}"),
            growth <= GROWTH,
        ),
        Goal::new(
            "drops more than 0, and as many as sent less delivered",
            format!("in {counted} of {rounds} rounds"),
            counted == rounds,
        ),
        Goal::new(format!("p99 of who reads at most {P99} of it alone"), format!("{p99:.3}"), p99 <= P99),
    ]
}
