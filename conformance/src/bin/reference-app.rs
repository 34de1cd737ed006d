//! The reference app: what a real Phoenix was recorded doing, done by Wingbeat.

use std::error::Error;
use std::net::SocketAddr;

use clap::Parser;
use wingbeat_conformance::reference_app;

/// Serves the app that the transcripts were recorded from.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many workers. Default: one per core.
    #[arg(long, env = "WINGBEAT_THREADS")]
    threads: Option<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { listen, threads } = Arguments::parse();
    let mut running = reference_app::start(listen, threads)?;
    println!("listening on {}", running.local_addr());
    running.wait().await;
    Ok(())
}
