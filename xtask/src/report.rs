//! One line per step: what it is, how it went, how long it took.

use std::io::{self, Write as _};
use std::time::Instant;

use crate::tally::Tally;
use crate::workspace::Failure;

/// How many lines of a failed step are shown; its end says most.
const SHOWN_LINES: usize = 300;

/// What has been run so far.
#[derive(Default)]
pub(crate) struct Report {
    tally: Tally,
    failed_steps: Vec<&'static str>,
}

impl Report {
    /// Runs a step and tells how it went. What it printed is shown only if it failed.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<Tally, Failure>) {
        print!("{name:<12} ");
        let _ = io::stdout().flush();
        let start = Instant::now();
        let (tally, shown) = match run() {
            Ok(tally) => (tally, None),
            Err(Failure(output)) => (failed(&output), Some(output)),
        };
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        println!("{verdict:<7} {:>6.1} s   {tally}", start.elapsed().as_secs_f64());
        if let Some(output) = shown {
            let lines: Vec<&str> = output.lines().collect();
            let from = lines.len().saturating_sub(SHOWN_LINES);
            lines[from..].iter().for_each(|line| println!("    {line}"));
        }
        if tally.failed > 0 {
            self.failed_steps.push(name);
        }
        self.tally += tally;
    }

    /// Prints the closing line and says whether all went well.
    pub(crate) fn finish(self) -> bool {
        if !self.failed_steps.is_empty() {
            println!("failed: {}", self.failed_steps.join(", "));
        }
        println!("{}", self.tally);
        self.failed_steps.is_empty()
    }
}

/// A step that ended in failure has failed at least once, whatever its runner counted.
fn failed(output: &str) -> Tally {
    let tally = Tally::of(output);
    if tally.failed == 0 { Tally { failed: 1, ..tally } } else { tally }
}
