//! `wingbeat serve`: the chat, from its first address to its last goodbye.

use std::io;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use wingbeat::prelude::*;
use wingbeat::transport::Drain;
use wingbeat::websocket::CloseCode;

use crate::chat::{self, CharacterSocket};
use crate::listen::{self, Listen};
use crate::page;

/// What connections get to close after SIGINT or SIGTERM; a second one ends it at once. The process ends within 5 s.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Serves the chat.
#[derive(Args, Debug)]
#[command(after_help = "Environment:
  PORT              the port to listen on at 127.0.0.1, unless --listen is given
  WINGBEAT_SECRET   what tokens are signed with, at least 20 bytes; a random one is made if it is not set
  WINGBEAT_THREADS  how many threads serve; one per core if it is not set")]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,
}

impl Serve {
    /// Serves until a signal says otherwise. An error is one line for whoever started it.
    pub(crate) fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
        let config = self.config()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(config))
    }

    fn config(self) -> Result<Config, Box<dyn std::error::Error>> {
        let mut config = self.listen.apply(Config::from_env()?)?;
        if config.secret_key_base.is_none() {
            eprintln!("WINGBEAT_SECRET is not set: a random secret is made, and tokens end with this process");
            config = config.with_secret_key_base(random_secret()?);
        }
        Ok(config)
    }
}

async fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    // Before anybody is told the address: a signal from here on ends us in order.
    let mut signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let mut reload = signal(SignalKind::hangup())?;
    let transport = config.transport.clone();
    let endpoint = Endpoint::new(config).socket::<CharacterSocket>("/socket");
    let app = axum::Router::new().merge(page::router()).merge(chat::router(endpoint.handle()));
    let mut running = endpoint.start(app).map_err(|error| match error {
        Error::Secret(error) => format!("WINGBEAT_SECRET: {error}"),
        error => error.to_string(),
    })?;
    listen::announce(&running, &transport);
    loop {
        tokio::select! {
            () = either(&mut signals) => break,
            _ = reload.recv() => match running.reload_tls() {
                Ok(()) => tracing::info!("certificates are read again"),
                Err(error) => tracing::error!(%error, "the certificates stay as they were"),
            },
        }
    }
    tracing::info!(connections = running.connections(), "closing");
    let is_hurried = tokio::select! {
        () = running.drain(Drain::default().with_within(SHUTDOWN)) => false,
        () = either(&mut signals) => true,
    };
    if is_hurried {
        running.shutdown(CloseCode::SERVICE_RESTART, "", Duration::ZERO).await;
    }
    Ok(())
}

async fn either([interrupt, terminate]: &mut [Signal; 2]) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn random_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
