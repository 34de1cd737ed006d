//! Replays the transcripts of a real Phoenix against a server and says where it differs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use wingbeat_conformance::replay::{Transcript, replay, waits_for};

/// Replays what a real Phoenix said.
#[derive(Parser)]
struct Arguments {
    /// The server: ws://HOST:PORT.
    #[arg(long)]
    url: String,
    /// Only those whose name begins so; then also those that wait for something.
    names: Vec<String>,
}

fn main() -> ExitCode {
    let Arguments { url, names } = Arguments::parse();
    let Some(host) = url.strip_prefix("ws://").map(|rest| rest.trim_end_matches('/')) else {
        eprintln!("the url must be ws://HOST:PORT");
        return ExitCode::FAILURE;
    };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let transcripts = match Transcript::read_all(&folder) {
        Ok(transcripts) => transcripts,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for transcript in &transcripts {
        let name = &transcript.name;
        if !names.is_empty() && !names.iter().any(|beginning| name.starts_with(beginning)) {
            continue;
        }
        if let (Some(reason), true) = (waits_for(name), names.is_empty()) {
            println!("waits   {name}: {reason}");
            skipped += 1;
            continue;
        }
        match replay(transcript, host) {
            Ok(()) => {
                println!("ok      {name}");
                passed += 1;
            }
            Err(difference) => {
                println!("FAILED  {name}: {difference}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
