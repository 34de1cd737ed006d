//! The binary `wingbeat`. One file per command; `serve` is the one it takes if none is named.

mod chat;
mod listen;
mod metrics;
mod page;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// WebSockets and real-time channels.
#[derive(Debug, Parser)]
#[command(name = "wingbeat", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the chat, until SIGINT or SIGTERM (the default).
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let Command::Serve(serve) = cli.command.unwrap_or(Command::Serve(cli.serve));
    match serve.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wingbeat: {error}");
            ExitCode::FAILURE
        }
    }
}
