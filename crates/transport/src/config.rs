//! Every limit and timeout of this layer, with its default.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use wingbeat_websocket::deflate::{DeflateBudget, DeflateConfig};
use wingbeat_websocket::{CloseCode, Limits};

use crate::origin::CheckOrigin;

/// How a server listens. `Default` is chosen for a public server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen. Default: `127.0.0.1:4000`. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Workers, each with a thread and a listener of its own. Default: one per core.
    pub threads: usize,
    /// Most connections at once, over all workers; further ones are answered 503. Default: 1,000,000.
    pub max_connections: usize,
    /// From the first byte we could read to the answer, an asynchronous `connect` included. Default: 10 s.
    pub handshake_timeout: Duration,
    /// Largest request head. Default: 16 KiB. Beyond it: 431.
    pub max_head_bytes: usize,
    /// Most header fields of a request. Default: 100. Beyond it: 431.
    pub max_headers: usize,
    /// Bytes one read takes from a socket at most; one buffer of this size per worker. Default: 256 KiB.
    pub read_buffer_bytes: usize,
    /// Commands of other threads that may wait in one worker's inbox. Default: 1,048,576. Beyond it: [`SendError::Busy`](crate::SendError::Busy).
    pub max_inbox_commands: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 1_000_000,
            handshake_timeout: Duration::from_secs(10),
            max_head_bytes: 16 << 10,
            max_headers: 100,
            read_buffer_bytes: 256 << 10,
            max_inbox_commands: 1 << 20,
        }
    }
}

impl Config {
    /// Sets where to listen.
    #[must_use]
    pub fn with_listen(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    /// Sets the number of workers; 0 counts as 1.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// Sets the number of connections beyond which new ones are answered 503.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }

    /// Sets the time from accepting to the answer.
    #[must_use]
    pub fn with_handshake_timeout(self, handshake_timeout: Duration) -> Self {
        Self { handshake_timeout, ..self }
    }
}

/// What one connection may do and cost. One value is shared by all connections of a mount.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Frame, message and fragment limits of what comes in. Default: [`Limits::DEFAULT`].
    pub limits: Limits,
    /// Silence of the peer after which it is closed; `None` never. Default: 60 s.
    pub idle_timeout: Option<Duration>,
    /// Code of that close. Default: 1001.
    pub idle_close: CloseCode,
    /// How long the peer may take to answer our Close, and to hang up after it. Default: 5 s.
    pub close_timeout: Duration,
    /// Bytes that may wait for a peer that does not read. Default: 1 MiB. Beyond it: Close 1013.
    pub max_output_bytes: usize,
    /// Messages that may wait for a peer that does not read. Default: 1,024. Beyond it: Close 1013.
    pub max_output_messages: usize,
    /// How messages are compressed where the client offers permessage-deflate (RFC 7692). Default: `None`, not at all;
    /// read [`Compression::Never`](crate::Compression::Never) before secrets go into compressed messages.
    pub deflate: Option<DeflateConfig>,
    /// Memory of all connections with context takeover together; who finds none left is connected without takeover.
    /// Default: one budget of 256 MiB for the whole process.
    pub deflate_budget: Arc<DeflateBudget>,
    /// Who may open a connection from a browser. Default: [`CheckOrigin::SameHost`].
    pub check_origin: CheckOrigin,
}

/// What connections with context takeover may hold where no mount says otherwise.
static DEFLATE_BUDGET: LazyLock<Arc<DeflateBudget>> = LazyLock::new(|| Arc::new(DeflateBudget::new(256 << 20)));

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            idle_timeout: Some(Duration::from_secs(60)),
            idle_close: CloseCode::GOING_AWAY,
            close_timeout: Duration::from_secs(5),
            max_output_bytes: 1 << 20,
            max_output_messages: 1024,
            deflate: None,
            deflate_budget: DEFLATE_BUDGET.clone(),
            check_origin: CheckOrigin::SameHost,
        }
    }
}

impl SocketOptions {
    /// Sets the limits of what comes in.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the silence after which the peer is closed; `None` never.
    #[must_use]
    pub fn with_idle_timeout(self, idle_timeout: Option<Duration>) -> Self {
        Self { idle_timeout, ..self }
    }

    /// Sets the code with which a silent peer is closed.
    #[must_use]
    pub fn with_idle_close(self, idle_close: CloseCode) -> Self {
        Self { idle_close, ..self }
    }

    /// Sets how long the peer may take to answer our Close.
    #[must_use]
    pub fn with_close_timeout(self, close_timeout: Duration) -> Self {
        Self { close_timeout, ..self }
    }

    /// Sets how many bytes and messages may wait for a peer that does not read.
    #[must_use]
    pub fn with_max_output(self, max_output_bytes: usize, max_output_messages: usize) -> Self {
        Self { max_output_bytes, max_output_messages, ..self }
    }

    /// Compresses messages where the client offers it.
    #[must_use]
    pub fn with_deflate(self, deflate: DeflateConfig) -> Self {
        Self { deflate: Some(deflate), ..self }
    }

    /// Sets the memory that connections with context takeover may hold together.
    #[must_use]
    pub fn with_deflate_budget(self, deflate_budget: Arc<DeflateBudget>) -> Self {
        Self { deflate_budget, ..self }
    }

    /// Sets who may open a connection from a browser.
    #[must_use]
    pub fn with_check_origin(self, check_origin: CheckOrigin) -> Self {
        Self { check_origin, ..self }
    }
}
