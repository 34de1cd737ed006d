//! Measures Wingbeat against the floor: starts the servers, loads them in turns, prints medians and ratios.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use wingbeat_bench::suite::{Name, Peer, Suite};

/// Measures Wingbeat against the floor, what the kernel leaves possible. Wants two cores to itself.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure.
    name: Name,
    /// One JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds per cell, each with a turn of every server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long a turn is measured.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only cells whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The reference app, for the channel cells. Default: built by cargo.
    #[arg(long)]
    app: Option<PathBuf>,
    /// Another server for the raw cells: NAME=PROGRAM. It takes `--listen ADDRESS` and prints `listening on ADDRESS`.
    #[arg(long, value_parser = peer)]
    peer: Vec<Peer>,
}

fn peer(text: &str) -> Result<Peer, String> {
    let (name, program) = text.split_once('=').ok_or("not of the form NAME=PROGRAM")?;
    Ok(Peer { name: name.into(), program: program.into() })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Ok(duration) = Duration::try_from_secs_f64(arguments.seconds) else {
        eprintln!("{} is not a length of time", arguments.seconds);
        return ExitCode::FAILURE;
    };
    let suite = Suite {
        rounds: usize::from(arguments.rounds),
        duration,
        only: arguments.only,
        is_json: arguments.json,
        app: arguments.app,
        peers: arguments.peer,
    };
    match suite.run(arguments.name) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
