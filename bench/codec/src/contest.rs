//! In turns (A B A B ..), so that a neighbour's noise falls on all alike. A ratio is taken within a round; what is shown
//! is the median.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::json;

use crate::cells::{Cell, Pass};
use crate::peers::Result;

/// What we are called. The ratio of the others is their time by ours.
pub const OURS: &str = "wingbeat";

/// How to measure.
pub struct Contest {
    /// Turns of everybody, in each cell.
    pub rounds: usize,
    /// How long a turn is.
    pub turn: Duration,
    /// One JSON object per line instead of a table.
    pub is_json: bool,
}

/// The medians of one contestant in one cell.
struct Figure {
    whose: &'static str,
    nanos: f64,
    ratio: f64,
}

impl Contest {
    /// Measures the cells and prints each as it is done.
    pub fn run(&self, cells: impl Iterator<Item = Cell>) -> Result {
        if !self.is_json {
            println!("ns per message, and in brackets how many times as long as {OURS} it takes");
        }
        for cell in cells {
            let name = cell.name.clone();
            let figures = self.measure(cell)?;
            if self.is_json {
                for Figure { whose, nanos, ratio } in figures {
                    println!(
                        "{}",
                        json!({ "bench": "codec", "cell": name, "peer": whose, "ns": nanos, "ratio": ratio })
                    );
                }
            } else {
                println!("{name:<24}{}", figures.iter().map(shown).collect::<String>());
            }
        }
        Ok(())
    }

    fn measure(&self, cell: Cell) -> Result<Vec<Figure>> {
        let Cell { mut contestants, .. } = cell;
        let mut turns: Vec<Vec<f64>> = vec![Vec::new(); contestants.len()];
        for round in 0..=self.rounds {
            for ((_, pass), turns) in contestants.iter_mut().zip(&mut turns) {
                let nanos = self.turn(pass)?;
                // The first round warms up.
                if round > 0 {
                    turns.push(nanos);
                }
            }
        }
        let ratios = |theirs: &[f64]| theirs.iter().zip(&turns[0]).map(|(their, our)| their / our).collect();
        let figure = |((whose, _), nanos): (&(&'static str, Pass), &Vec<f64>)| Figure {
            whose,
            nanos: median(nanos.clone()),
            ratio: median(ratios(nanos)),
        };
        Ok(contestants.iter().zip(&turns).map(figure).collect())
    }

    /// Nanoseconds per message.
    fn turn(&self, pass: &mut Pass) -> Result<f64> {
        let begun = Instant::now();
        let mut messages = 0;
        loop {
            for _ in 0..8 {
                messages += pass()?;
            }
            let elapsed = begun.elapsed();
            if elapsed >= self.turn {
                return Ok(elapsed.as_nanos() as f64 / messages as f64);
            }
        }
    }
}

fn shown(figure: &Figure) -> String {
    let Figure { whose, nanos, ratio } = figure;
    if *whose == OURS { format!("{whose} {nanos:.1}") } else { format!("   {whose} {nanos:.1} ({ratio:.2})") }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Binds this thread to the last core it may run on; where that is not possible, it goes where it is sent.
pub fn stay_on_one_core() {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let Some(core) = (0..CpuSet::MAX_CPU).rev().find(|&core| allowed.is_set(core)) else { return };
    let mut only = CpuSet::new();
    only.set(core);
    let _ = sched_setaffinity(None, &only);
}
