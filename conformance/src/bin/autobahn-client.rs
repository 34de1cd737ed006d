//! Our client role, driven by an Autobahn fuzzing server.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use wingbeat_conformance::echo_client::echo;
use wingbeat_websocket::Received;

/// Runs every case that the fuzzing server has, echoing, and has it write its reports.
#[derive(Parser)]
struct Arguments {
    /// The fuzzing server: ws://HOST:PORT.
    url: String,
    /// The name to appear under in the reports.
    #[arg(long, default_value = "client")]
    agent: String,
}

fn main() -> ExitCode {
    let Arguments { url, agent } = Arguments::parse();
    let Some(host) = url.strip_prefix("ws://").map(|rest| rest.trim_end_matches('/')) else {
        eprintln!("the url must be ws://HOST:PORT");
        return ExitCode::FAILURE;
    };
    match run(host, &agent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A case that fails is for the reports to tell; the others are run all the same.
fn run(host: &str, agent: &str) -> io::Result<()> {
    for case in 1..=case_count(host)? {
        if let Err(error) = echo(host, &format!("/runCase?case={case}&agent={agent}")) {
            eprintln!("case {case}: {error}");
        }
    }
    echo(host, &format!("/updateReports?agent={agent}")).map(drop)
}

fn case_count(host: &str) -> io::Result<u32> {
    let said = echo(host, "/getCaseCount")?;
    let count = said.as_ref().and_then(|message| match message {
        Received::Text(text) => text.parse().ok(),
        _ => None,
    });
    count.ok_or_else(|| io::Error::other(format!("{said:?} is not a number of cases")))
}
