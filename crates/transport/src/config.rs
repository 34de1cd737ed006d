//! How a server listens: its limits and timeouts, with their defaults.

use std::net::SocketAddr;
use std::time::Duration;

use crate::http::http2::Http2Config;
use crate::observer::redaction::Redaction;
use crate::server::listener::Listener;

/// The longest that a worker looks for work.
pub(crate) const MAX_SPIN: Duration = Duration::from_micros(50);

/// How a server listens. `Default` is chosen for a public server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen, unless there are [`listeners`](Self::listeners). Default: `127.0.0.1:4000`. Port 0 lets the
    /// system choose.
    pub listen: SocketAddr,
    /// Where to listen with settings of each address's own: TLS, Unix sockets, proxies; at most 64. Default: none, and
    /// [`listen`](Self::listen) counts.
    pub listeners: Vec<Listener>,
    /// Whether other processes may listen on the same TCP ports, so that a new server can begin before the old one
    /// [leaves](crate::Running::drain). All of them must say so, and belong to one user. Default: no, a port that is taken
    /// is an error.
    pub shared_port: bool,
    /// Workers, each with a thread and a listener of its own. Default: one per core.
    pub threads: usize,
    /// Most connections at once, over all workers; further ones are answered 503. Default: 1,000,000.
    pub max_connections: usize,
    /// Most connections from one address at once (IPv6: from one /64); further ones are answered 429, or closed where
    /// there is TLS. Clients that a trusted proxy names are counted by the address it names. Default: `None`, no limit:
    /// behind a proxy that is not named as such all clients have one address. A public server without a proxy does well
    /// with some hundreds.
    pub max_connections_per_address: Option<usize>,
    /// From the first byte we could read to the answer, an asynchronous `connect` included. Default: 10 s.
    pub handshake_timeout: Duration,
    /// Largest request head. Default: 16 KiB. Beyond it: 431.
    pub max_head_bytes: usize,
    /// Most header fields of a request. Default: 100. Beyond it: 431.
    pub max_headers: usize,
    /// Bytes one read takes from a socket at most; one buffer of this size per worker. Default: 512 KiB.
    ///
    /// A connection that stops listening in the middle of a read, because its handler pauses it or its peer does not read
    /// what it is sent, keeps what is left of that read until it listens again: up to so much for each such connection, on
    /// top of [`SocketOptions::max_output_bytes`](crate::SocketOptions::max_output_bytes). While it does not listen nothing
    /// more is read.
    pub read_buffer_bytes: usize,
    /// What the system keeps of each connection's output, a hint to it (SO_SNDBUF). Default: `None`, as much as the system
    /// thinks best, which may be megabytes for a peer that does not read.
    pub send_buffer_bytes: Option<usize>,
    /// Commands of other threads that may wait in one worker's inbox. Default: 1,048,576. Beyond it: [`SendError::Busy`](crate::SendError::Busy).
    pub max_inbox_commands: usize,
    /// How long a worker that has nothing to do looks for work before it sleeps. Default: zero, it sleeps at once. See
    /// [`with_spin`](Self::with_spin).
    pub spin: Duration,
    /// Whether and how HTTP/2 is spoken.
    pub http2: Http2Config,
    /// What is masked in logs and for observers. Default: what speaks of tokens, passwords and the like.
    pub redaction: Redaction,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4000)),
            listeners: Vec::new(),
            shared_port: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 1_000_000,
            max_connections_per_address: None,
            handshake_timeout: Duration::from_secs(10),
            max_head_bytes: 16 << 10,
            max_headers: 100,
            read_buffer_bytes: 512 << 10,
            send_buffer_bytes: None,
            max_inbox_commands: 1 << 20,
            spin: Duration::ZERO,
            http2: Http2Config::default(),
            redaction: Redaction::default(),
        }
    }
}

impl Config {
    /// Sets where to listen.
    #[must_use]
    pub fn with_listen(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    /// Adds an address to listen on; from now on [`listen`](Self::listen) does not count.
    #[must_use]
    pub fn with_listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Sets whether other processes may listen on the same TCP ports.
    #[must_use]
    pub fn with_shared_port(self, shared_port: bool) -> Self {
        Self { shared_port, ..self }
    }

    /// Sets the number of workers; 0 counts as 1.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// Lets a worker look for work for so long before it sleeps, at most 50 us; more counts as that. It does so only
    /// where work has lately come within that time, and lets the runtime's other tasks work in between. Being woken is
    /// what ping-pong over a few connections mostly waits for; the price is a core that is busy while they talk. Under
    /// load, when there is always something to do, and while all are silent it changes nothing.
    ///
    /// Measured: ping-pong of 20 bytes over one connection on a machine of two cores takes 20 us at the median instead of
    /// 67, and 0.99 of a core instead of 0.36. `bench/README.md` has the command.
    #[must_use]
    pub fn with_spin(self, spin: Duration) -> Self {
        Self { spin: spin.min(MAX_SPIN), ..self }
    }

    /// Sets the number of connections beyond which new ones are answered 503.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }

    /// Sets the number of connections of one address beyond which new ones are refused; `None` for no limit.
    #[must_use]
    pub fn with_max_connections_per_address(self, max_connections_per_address: Option<usize>) -> Self {
        Self { max_connections_per_address, ..self }
    }

    /// Sets whether and how HTTP/2 is spoken.
    #[must_use]
    pub fn with_http2(self, http2: Http2Config) -> Self {
        Self { http2, ..self }
    }

    /// Sets the time from accepting to the answer.
    #[must_use]
    pub fn with_handshake_timeout(self, handshake_timeout: Duration) -> Self {
        Self { handshake_timeout, ..self }
    }

    /// Sets what is masked in logs and for observers.
    #[must_use]
    pub fn with_redaction(self, redaction: Redaction) -> Self {
        Self { redaction, ..self }
    }
}
