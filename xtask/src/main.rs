//! The project's chores, as one command: `cargo xtask test | spec | fuzz | conformance | bench`.

mod autobahn;
mod bench;
mod conformance;
mod dependencies;
mod fuzz;
mod guard;
mod install;
mod report;
mod server;
mod spec;
mod suite;
mod tally;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::{Failure, Workspace};

/// Tests, measures and checks Wingbeat.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs what the tests need and runs all of them; what a change must pass before it lands.
    Test {
        /// Only these steps, by name; see --list.
        #[arg(value_name = "STEP")]
        only: Vec<String>,
        /// Names the steps in their order and ends.
        #[arg(long)]
        list: bool,
    },
    /// Lists the rows of a specification that have no test, and fails if there are any.
    Spec {
        /// Which one: websocket.
        name: String,
    },
    /// Holds Wingbeat against the suites and clients of others.
    #[command(subcommand)]
    Conformance(conformance::Suite),
    /// Gives bytes of chance to what reads the bytes of strangers.
    Fuzz {
        /// Only these targets; see fuzz/fuzz_targets.
        #[arg(value_name = "TARGET")]
        only: Vec<String>,
        /// How long each runs.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Runs a benchmark and prints a table, or one JSON object a line.
    Bench {
        /// Which one, and what it takes: codec, guard, or those that `help` names.
        #[arg(value_name = "NAME", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(chore: Chore) -> Result<bool, Failure> {
    let workspace = Workspace::find()?;
    match chore {
        Chore::Test { list: true, .. } => {
            suite::STEPS.iter().for_each(|step| println!("{:<12} {}", step.name, step.about));
            Ok(true)
        }
        Chore::Test { only, .. } => suite::run(&workspace, &only),
        Chore::Spec { name } => {
            let findings = spec::check(&workspace, &name)?;
            println!("{}\n{}", findings.text, findings.tally);
            Ok(findings.tally.failed == 0)
        }
        Chore::Conformance(suite) => {
            let tally = suite.run(&workspace.aloud())?;
            println!("{tally}");
            Ok(tally.failed == 0)
        }
        Chore::Fuzz { only, seconds } => {
            let tally = fuzz::run(&workspace.aloud(), seconds, &only)?;
            println!("{tally}");
            Ok(tally.failed == 0)
        }
        Chore::Bench { arguments } => bench::run(&workspace, &arguments),
    }
}
