//! A server at work, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use wingbeat_websocket::CloseCode;

use crate::observer::stats::Stats;
use crate::server::Shared;
use crate::server::tls::TlsError;
use crate::worker::inbox::{Command, Workers};

/// A server at work. Dropping it does not stop it; [`shutdown`](Self::shutdown) does.
#[derive(Debug)]
pub struct Running {
    pub(crate) local_addrs: Vec<SocketAddr>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) all_done: mpsc::Receiver<()>,
}

impl Running {
    /// Where it listens: the first TCP address. A server on Unix sockets alone has none and says `0.0.0.0:0`.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// The TCP addresses where it listens, in the order of [`Config::listeners`](crate::Config::listeners).
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Reads the certificates and keys of all listeners again, as far as they are from files. Connections that come
    /// from now on get the new ones; the others live on as they are.
    ///
    /// # Errors
    /// The first that cannot be used; it and what comes after it stay as they were.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        let mut configs = self.shared.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        configs.try_for_each(|tls| tls.reload().map(drop))
    }

    /// Its workers.
    #[must_use]
    pub fn workers(&self) -> &Workers {
        &self.shared.workers
    }

    /// What it has done and does, in figures.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.workers.stats()
    }

    /// How many TCP connections there are now, HTTP included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.seats.taken()
    }

    /// Stops accepting, closes every connection with `code`, and waits until all are gone, `within` at most; what is
    /// left then is dropped. Not cancel-safe in so far as the server stops even if the future is dropped.
    pub async fn shutdown(mut self, code: CloseCode, reason: &str, within: Duration) {
        let by = Instant::now() + within;
        for worker in self.shared.workers.ids() {
            let stop = Command::Stop { code, reason: reason.into(), by };
            let _ = self.shared.workers.inbox(worker).post_always(stop);
        }
        let _ = self.stop.send(true);
        // No worker ever sends: the channel ends with the last of them.
        let _ = self.all_done.recv().await;
    }

    /// Waits until every worker has ended, which only a failure of the system makes them do. Cancel-safe.
    pub async fn wait(&mut self) {
        let _ = self.all_done.recv().await;
    }
}
