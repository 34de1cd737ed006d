//! What can go wrong, by who is at fault: the application ([`SendError`]) or the world ([`Error`]). What a peer does
//! wrong ends its own connection and is told to its handler ([`Closed`](crate::Closed)), nobody else.

use std::io;
use std::net::SocketAddr;

/// The server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is taken, not ours, or not permitted.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The path of a Unix socket is taken, or not permitted.
    #[error("cannot listen on {}: {source}", path.display())]
    ListenUnix {
        /// Where we wanted to listen.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More addresses to listen on than a server takes.
    #[error("{0} listeners are too many, at most {max} are taken", max = crate::worker::MAX_LISTENERS)]
    Listeners(usize),
    /// A worker's thread, runtime or readiness set could not be made.
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
    /// A mount's path does not begin with `/`, has an empty variable, or is mounted twice.
    #[error("path {path:?} cannot be mounted: {why}")]
    Path {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A message was not taken. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is gone, or its closing handshake has begun (RFC 6455 §6.1: send only while open).
    #[error("the connection is closed")]
    Closed,
    /// The peer does not read and its output is full; the connection is being closed with 1013.
    #[error("the output of the connection is full")]
    Full,
    /// The peer does not read, its output is full, and the mount's [`WhenFull`](crate::WhenFull) says that the message is
    /// dropped; the connection goes on.
    #[error("the message was dropped: the output of the connection is full")]
    Dropped,
    /// The worker has [`Config::max_inbox_commands`](crate::Config::max_inbox_commands) commands waiting.
    #[error("the worker is busy")]
    Busy,
    /// A Ping or Pong carries at most 125 bytes (RFC 6455 §5.5).
    #[error("a control frame carries at most 125 bytes")]
    ControlTooLong,
    /// A message that is being sent in fragments has not been finished (RFC 6455 §5.4).
    #[error("a message in fragments has not been finished")]
    MessageNotFinished,
    /// A fragment has no room now; the connection stays open, and
    /// [`Handler::handle_drained`](crate::Handler::handle_drained) tells when there is some.
    #[error("there is no room for the fragment now")]
    NoRoom,
    /// A fragment of a text cuts a character, or is no text at all.
    #[error("a fragment of a text is not UTF-8")]
    InvalidUtf8,
}
