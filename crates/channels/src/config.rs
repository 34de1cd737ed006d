//! Every setting and limit of this layer, with its default.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wingbeat_transport::{self as transport, CheckOrigin, DeflateConfig};
use wingbeat_websocket::{CloseCode, Limits};

use crate::channel::actor::DEFAULT_GRACE;
use crate::refusal::Refusal;

/// How an endpoint listens, and its secret.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// Address, threads, and the limits of the layer below.
    pub transport: transport::Config,
    /// What tokens are signed with; at least 20 bytes. Default: a random one, so that tokens end with the process.
    pub secret_key_base: Option<String>,
}

impl Config {
    /// Defaults: `127.0.0.1:4000`, a worker per core, a random secret.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `WINGBEAT_LISTEN` (an address), `PORT` (of `127.0.0.1`, unless an address is given), `WINGBEAT_THREADS`
    /// and `WINGBEAT_SECRET`. What is unset keeps its default.
    ///
    /// # Errors
    /// A variable is set to something that cannot be read as what it is for; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = Self::new();
        if let Some(port) = read(&variable, "PORT")? {
            config.transport.listen.set_port(port);
        }
        if let Some(listen) = read(&variable, "WINGBEAT_LISTEN")? {
            config.transport.listen = listen;
        }
        if let Some(threads) = read::<std::num::NonZeroUsize>(&variable, "WINGBEAT_THREADS")? {
            config.transport.threads = threads.get();
        }
        config.secret_key_base = variable("WINGBEAT_SECRET");
        Ok(config)
    }

    /// Sets where to listen.
    #[must_use]
    pub fn with_listen(mut self, listen: SocketAddr) -> Self {
        self.transport.listen = listen;
        self
    }

    /// Sets the number of workers.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.transport = self.transport.with_threads(threads);
        self
    }

    /// Sets what tokens are signed with.
    #[must_use]
    pub fn with_secret_key_base(self, secret_key_base: impl Into<String>) -> Self {
        Self { secret_key_base: Some(secret_key_base.into()), ..self }
    }
}

fn read<T: FromStr>(
    variable: impl Fn(&'static str) -> Option<String>,
    name: &'static str,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = variable(name) else { return Ok(None) };
    let parsed = value.trim().parse().map_err(|_| ConfigError { name, value });
    parsed.map(Some)
}

/// Says nothing of the secret.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// A variable of the environment holds something else than it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}, expected {}", expected(name))]
pub struct ConfigError {
    name: &'static str,
    value: String,
}

fn expected(name: &str) -> &'static str {
    match name {
        "PORT" => "a port such as 4000",
        "WINGBEAT_LISTEN" => "an address such as 127.0.0.1:4000",
        _ => "a number above 0",
    }
}

/// What answers a refused connection instead of 403.
pub type ErrorHandler = Arc<dyn Fn(&Refusal) -> http::Response<Bytes> + Send + Sync>;

/// How one socket is mounted: what its connections may do and cost.
#[derive(Clone)]
#[non_exhaustive]
pub struct MountOptions {
    /// The segment behind the mount's path. Default: `/websocket`.
    pub path: String,
    /// Who may connect from a browser. Default: [`CheckOrigin::SameHost`].
    pub check_origin: CheckOrigin,
    /// Silence of the client after which it is closed with 1002; `None` never. Default: 60 s.
    pub idle_timeout: Option<Duration>,
    /// Largest frame, and largest message, in bytes. Default: 10,000,000. Beyond it: Close 1009.
    pub max_frame_bytes: usize,
    /// Channels of one client at once. Default: 100. Beyond it: `too many channels joined`.
    pub max_channels: usize,
    /// Messages that may wait for a channel whose callback takes its time. Default: 64. Beyond it: `busy`.
    pub max_mailbox_messages: usize,
    /// Payload bytes that may wait for such a channel. Default: 1 MiB. Beyond it: `busy`.
    pub max_mailbox_bytes: usize,
    /// How long `join` may take. Default: 30 s. Beyond it: `join timeout`.
    pub join_timeout: Duration,
    /// What callbacks get when their channel has to end. Default: 5 s. Then they are dropped.
    pub shutdown_grace: Duration,
    /// How messages are compressed where the client offers it (row C32). Default: `None`, not at all. A broadcast is
    /// compressed once for all that get it.
    pub compress: Option<DeflateConfig>,
    /// Answers a connection that was refused with a reason. Default: 403 without a body.
    pub error_handler: Option<ErrorHandler>,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            path: "/websocket".into(),
            check_origin: CheckOrigin::SameHost,
            idle_timeout: Some(Duration::from_secs(60)),
            max_frame_bytes: 10_000_000,
            max_channels: 100,
            max_mailbox_messages: 64,
            max_mailbox_bytes: 1 << 20,
            join_timeout: Duration::from_secs(30),
            shutdown_grace: DEFAULT_GRACE,
            compress: None,
            error_handler: None,
        }
    }
}

impl MountOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the segment behind the mount's path (row C4).
    #[must_use]
    pub fn with_path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Sets who may connect from a browser.
    #[must_use]
    pub fn with_check_origin(self, check_origin: CheckOrigin) -> Self {
        Self { check_origin, ..self }
    }

    /// Sets the silence after which a client is closed.
    #[must_use]
    pub fn with_idle_timeout(self, idle_timeout: Option<Duration>) -> Self {
        Self { idle_timeout, ..self }
    }

    /// Sets the largest frame.
    #[must_use]
    pub fn with_max_frame_bytes(self, max_frame_bytes: usize) -> Self {
        Self { max_frame_bytes, ..self }
    }

    /// Compresses messages where the client offers it.
    #[must_use]
    pub fn with_compress(self, compress: DeflateConfig) -> Self {
        Self { compress: Some(compress), ..self }
    }

    /// Sets how many channels a client may join (row R12).
    #[must_use]
    pub fn with_max_channels(self, max_channels: usize) -> Self {
        Self { max_channels, ..self }
    }

    /// Sets how many messages may wait for one channel.
    #[must_use]
    pub fn with_max_mailbox_messages(self, max_mailbox_messages: usize) -> Self {
        Self { max_mailbox_messages, ..self }
    }

    /// Sets how many bytes of payload may wait for one channel.
    #[must_use]
    pub fn with_max_mailbox_bytes(self, max_mailbox_bytes: usize) -> Self {
        Self { max_mailbox_bytes, ..self }
    }

    /// Sets how long `join` may take.
    #[must_use]
    pub fn with_join_timeout(self, join_timeout: Duration) -> Self {
        Self { join_timeout, ..self }
    }

    /// Sets how long callbacks get when their channel has to end.
    #[must_use]
    pub fn with_shutdown_grace(self, shutdown_grace: Duration) -> Self {
        Self { shutdown_grace, ..self }
    }

    /// Answers connections refused with a reason (row C11). Browsers see neither status nor body; other clients do.
    #[must_use]
    pub fn with_error_handler(
        self,
        handler: impl Fn(&Refusal) -> http::Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        Self { error_handler: Some(Arc::new(handler)), ..self }
    }

    pub(crate) fn to_transport(&self) -> transport::SocketOptions {
        let limits =
            Limits::DEFAULT.with_max_frame_bytes(self.max_frame_bytes).with_max_message_bytes(self.max_frame_bytes);
        let options = match self.compress {
            Some(deflate) => transport::SocketOptions::default().with_deflate(deflate),
            None => transport::SocketOptions::default(),
        };
        options
            .with_limits(limits)
            .with_idle_timeout(self.idle_timeout)
            // As Bandit does; phoenix.js stays away after 1000.
            .with_idle_close(CloseCode::PROTOCOL_ERROR)
            .with_check_origin(self.check_origin.clone())
    }
}

impl std::fmt::Debug for MountOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MountOptions")
            .field("path", &self.path)
            .field("check_origin", &self.check_origin)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_frame_bytes", &self.max_frame_bytes)
            .field("max_channels", &self.max_channels)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment() {
        let read = |variables: &'static [(&str, &str)]| {
            let find = move |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            Config::from_variables(find).map(|config| (config.transport.listen.to_string(), config.secret_key_base))
        };
        assert_eq!(read(&[]).unwrap(), ("127.0.0.1:4000".into(), None));
        assert_eq!(read(&[("PORT", "80")]).unwrap().0, "127.0.0.1:80");
        assert_eq!(read(&[("PORT", "80"), ("WINGBEAT_LISTEN", "[::1]:0")]).unwrap().0, "[::1]:0");
        assert_eq!(read(&[("WINGBEAT_SECRET", "s")]).unwrap().1.as_deref(), Some("s"));
        for variables in [&[("PORT", "x")][..], &[("WINGBEAT_LISTEN", "4000")], &[("WINGBEAT_THREADS", "0")]] {
            let error = Config::from_variables(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            });
            assert!(error.unwrap_err().to_string().starts_with(variables[0].0));
        }
    }
}
