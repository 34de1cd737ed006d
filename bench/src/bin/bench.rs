//! Measures Wingbeat against the floor and other crates: starts the servers, loads them in turns, prints medians, ratios
//! and whether the goals are met.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use wingbeat_bench::suite::{Format, Name, Other, Peers, Suite};

/// Measures Wingbeat against the floor, what the kernel leaves possible, and other crates. Wants two cores to itself.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure.
    name: Name,
    /// One JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// One Markdown table at the end, to paste.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Rounds per cell, each with a turn of every server.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long a turn is measured.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only cells whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Threads of each server.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Messages published to readers that do not read. Default: 10,000.
    #[arg(long)]
    messages: Option<u64>,
    /// The other crates play in every cell. Default: in those that are named for it.
    #[arg(long)]
    peers: bool,
    /// The other crates do not play, and are not built.
    #[arg(long, conflicts_with = "peers")]
    no_peers: bool,
    /// The reference app, for the channel cells. Default: built by cargo.
    #[arg(long)]
    app: Option<PathBuf>,
    /// Another server for the raw cells: "NAME=PROGRAM ARGUMENTS". It takes `--listen ADDRESS` beside them and prints
    /// `listening on ADDRESS`.
    #[arg(long, value_parser = other)]
    other: Vec<Other>,
}

fn other(text: &str) -> Result<Other, String> {
    let (name, command) = text.split_once('=').ok_or("not of the form NAME=PROGRAM")?;
    let mut words = command.split_whitespace().map(String::from);
    let program = words.next().ok_or("no program")?.into();
    Ok(Other { name: name.into(), program, arguments: words.collect() })
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
        format: match (arguments.json, arguments.markdown) {
            (true, _) => Format::Json,
            (_, true) => Format::Markdown,
            _ => Format::Table,
        },
        threads: usize::from(arguments.threads),
        messages: arguments.messages,
        peers: match (arguments.peers, arguments.no_peers) {
            (true, _) => Peers::Everywhere,
            (_, true) => Peers::Nowhere,
            _ => Peers::Named,
        },
        app: arguments.app,
        others: arguments.other,
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
