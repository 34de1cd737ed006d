//! The protocol core and those of other crates, in one process and one run: nanoseconds per message on one core.
//!
//! - [`pipe`]: the connection: frames without end, in memory, always ready.
//! - [`peers`]: one crate, one file: how it reads and echoes through its public API.
//! - [`kernels`]: masking alone, UTF-8 alone.
//! - [`cells`]: what is measured. [`contest`]: in turns, medians, ratios.

extern crate alloc;

mod cells;
mod contest;
mod frames;
mod kernels;
mod peers;
mod pipe;

// Ours, private where they come from.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/websocket/src/mask.rs"]
mod mask;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/websocket/src/utf8.rs"]
mod utf8;

/// What wtx's `unmask` expects of its crate, as it is there for x86-64 without further options.
const _SIMD_LEN: usize = 16;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Compares the protocol core with those of other crates. Wants one core to itself.
#[derive(Parser)]
struct Arguments {
    /// One JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds per cell, each with a turn of everybody.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Milliseconds of a turn.
    #[arg(long, default_value_t = 20)]
    millis: u64,
    /// Only cells whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let turn = Duration::from_millis(arguments.millis);
    let contest = contest::Contest { rounds: usize::from(arguments.rounds), turn, is_json: arguments.json };
    contest::stay_on_one_core();
    let cells = cells::all().into_iter().filter(|cell| cell.name.contains(&arguments.only));
    match contest.run(cells) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
