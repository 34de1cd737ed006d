//! One crate, one file: how a connection is served through its public API.

mod axum;
mod fastwebsockets;
mod tokio_websockets;
mod tungstenite;
mod wtx;
mod yawc;

use std::error::Error;
use std::io;

use clap::ValueEnum;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::unconstrained;

use crate::Settings;
use crate::head::{self, Role};

/// What a peer's connection ends with. All fare alike: the connection is dropped.
type Ended = Result<(), Box<dyn Error + Send + Sync>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Tungstenite,
    Fastwebsockets,
    TokioWebsockets,
    Wtx,
    Yawc,
    Axum,
}

impl Peer {
    /// Serves for ever.
    pub(crate) async fn serve(self, listener: TcpListener, settings: Settings) -> io::Result<()> {
        match self {
            Self::Axum => axum::serve(listener, settings).await,
            Self::Tungstenite => accept(listener, settings, tungstenite::serve).await,
            Self::Fastwebsockets => accept(listener, settings, fastwebsockets::serve).await,
            Self::TokioWebsockets => accept(listener, settings, tokio_websockets::serve).await,
            Self::Wtx => accept(listener, settings, wtx::serve).await,
            Self::Yawc => accept(listener, settings, yawc::serve).await,
        }
    }
}

/// One task per connection, outside tokio's budget, as the examples of fastwebsockets and tokio-websockets have it.
async fn accept<F>(
    listener: TcpListener,
    settings: Settings,
    serve: impl Fn(TcpStream, Role, Settings) -> F + Copy + Send + 'static,
) -> io::Result<()>
where
    F: Future<Output = Ended> + Send + 'static,
{
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let settings = settings.clone();
        tokio::spawn(unconstrained(async move {
            if let Ok(role) = head::accept(&mut stream).await {
                let _ = serve(stream, role, settings).await;
            }
        }));
    }
}
