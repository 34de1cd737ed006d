//! What one connection may do and cost, with its defaults.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use wingbeat_websocket::deflate::{DeflateBudget, DeflateConfig};
use wingbeat_websocket::{CloseCode, Limits};

use crate::connection::keep_alive::KeepAlive;
use crate::connection::rate_limit::RateLimit;
use crate::mount::origin::CheckOrigin;
use crate::output::pressure::WhenFull;

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
    /// Pings of ours, and how soon a peer that is gone is found. Default: `None`, no pings. Set, it takes the place of
    /// [`idle_timeout`](Self::idle_timeout).
    pub keep_alive: Option<KeepAlive>,
    /// How long a message may take from its first byte to its last; `None` any time. Default: 5 min. Beyond it: Close
    /// 1008. What arrives byte by byte is never silent, so the idle timeout does not end it.
    pub message_timeout: Option<Duration>,
    /// How much the peer may send. Default: `None`, as much as it likes; [`RateLimit::default`] suits a public server.
    pub rate_limit: Option<RateLimit>,
    /// How long the peer may take to answer our Close, and to hang up after it. Default: 5 s.
    pub close_timeout: Duration,
    /// Bytes that may wait for a peer that does not read, counted as the memory they take. Default: 1 MiB. Beyond it:
    /// [`when_full`](Self::when_full).
    pub max_output_bytes: usize,
    /// Messages that may wait for a peer that does not read. Default: 1,024. Beyond it: [`when_full`](Self::when_full).
    pub max_output_messages: usize,
    /// What happens to a message beyond that. Default: [`WhenFull::Close`], with 1013.
    pub when_full: WhenFull,
    /// Bytes that may wait for a peer before it counts as [congested](crate::Context::is_congested). Default: 64 KiB.
    pub congested_bytes: usize,
    /// How messages are compressed where the client offers permessage-deflate (RFC 7692). Default: `None`, not at all;
    /// read [`Compression::Never`](crate::Compression::Never) before secrets go into compressed messages.
    pub deflate: Option<DeflateConfig>,
    /// Memory of all connections with context takeover together; who finds none left is connected without takeover.
    /// Default: one budget of 256 MiB for the whole process.
    pub deflate_budget: Arc<DeflateBudget>,
    /// Whether a loop receives Pings and Pongs, too, by [`WebSocket::recv_any`](crate::WebSocket::recv_any). Default: no.
    /// A [`Handler`](crate::Handler) is told of them anyway.
    pub has_control_frames: bool,
    /// Whether messages are handed over in parts, as they arrive, to
    /// [`Handler::handle_fragment`](crate::Handler::handle_fragment). Default: no. Nothing is gathered then, so with
    /// [`Limits`] of `usize::MAX` and `u32::MAX` a message may go on for ever; what is inflated as it comes takes some
    /// 80 KiB for each such message in flight, and no message is cut for taking long.
    pub has_fragments: bool,
    /// Whether text is checked to be UTF-8. Default: yes, as RFC 6455 §8.1 wants it. Without it text comes as bytes, to
    /// [`Handler::handle_unchecked_text`](crate::Handler::handle_unchecked_text); reasons of a Close stay checked.
    pub checks_text: bool,
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
            keep_alive: None,
            message_timeout: Some(Duration::from_secs(300)),
            rate_limit: None,
            close_timeout: Duration::from_secs(5),
            max_output_bytes: 1 << 20,
            max_output_messages: 1024,
            when_full: WhenFull::Close,
            congested_bytes: 64 << 10,
            deflate: None,
            deflate_budget: DEFLATE_BUDGET.clone(),
            has_control_frames: false,
            has_fragments: false,
            checks_text: true,
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

    /// Sends pings of ours, and finds peers that are gone.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: KeepAlive) -> Self {
        Self { keep_alive: Some(keep_alive), ..self }
    }

    /// Sets how long a message may take from its first byte to its last; `None` any time.
    #[must_use]
    pub fn with_message_timeout(self, message_timeout: Option<Duration>) -> Self {
        Self { message_timeout, ..self }
    }

    /// Sets how much the peer may send.
    #[must_use]
    pub fn with_rate_limit(self, rate_limit: RateLimit) -> Self {
        Self { rate_limit: Some(rate_limit), ..self }
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

    /// Sets what happens to a message for which there is no room.
    #[must_use]
    pub fn with_when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// Sets how many bytes may wait for a peer before it counts as congested.
    #[must_use]
    pub fn with_congested_bytes(self, congested_bytes: usize) -> Self {
        Self { congested_bytes, ..self }
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

    /// Says whether a loop receives Pings and Pongs.
    #[must_use]
    pub fn with_control_frames(self, has_control_frames: bool) -> Self {
        Self { has_control_frames, ..self }
    }

    /// Hands messages over in parts, as they arrive.
    #[must_use]
    pub fn with_fragments(self, has_fragments: bool) -> Self {
        Self { has_fragments, ..self }
    }

    /// Says whether text is checked to be UTF-8.
    #[must_use]
    pub fn with_checked_text(self, checks_text: bool) -> Self {
        Self { checks_text, ..self }
    }

    /// Sets who may open a connection from a browser.
    #[must_use]
    pub fn with_check_origin(self, check_origin: CheckOrigin) -> Self {
        Self { check_origin, ..self }
    }
}
