//! WebSocket connections in workers: the only place where bytes meet sockets.
//!
//! - **A connection is a struct in a slab, not a task.** Its worker reads it, calls its [`Handler`] and writes it, so no
//!   lock exists per connection and an idle one costs some hundred bytes.
//! - **One thread writes a connection: its worker.** From inside a turn a send appends to the output; from other
//!   threads it is a command to the worker's inbox ([`ConnectionHandle`]). Either way order is kept.
//! - **A turn ends in at most one write per connection that it touched.**
//! - **Nothing is unbounded**: see [`Config`] and [`SocketOptions`].
//!
//! `readiness → worker → a connection's turn → websocket::Connection → Handler → output → one write`
//!
//! The handshake on our own listener is the worker's, too; what is not a request for one of the [`Mount`]s goes to
//! hyper, with the bytes read so far.

mod config;
mod connection;
mod context;
mod error;
mod handle;
mod handler;
mod http;
mod message;
mod mount;
mod observer;
mod options;
mod output;
mod server;
mod stream;
mod websocket;
mod worker;

pub use crate::config::Config;
pub use crate::connection::keep_alive::KeepAlive;
pub use crate::connection::rate_limit::{Allowance, RateLimit, RateLimitAction};
pub use crate::context::Context;
pub use crate::error::{Error, SendError};
pub use crate::handle::ConnectionHandle;
pub use crate::handler::{Cause, Closed, Handler, Info};
pub use crate::http::http2::Http2Config;
pub use crate::http::mounted::Mounted;
pub use crate::http::{HttpService, NotFound, not_found};
pub use crate::message::{EncodedMessage, Message};
pub use crate::mount::accept::Accept;
pub use crate::mount::forwarded::ForwardedFields;
pub use crate::mount::handshake::{Handshake, OpeningError};
pub use crate::mount::network::{Network, NetworkError};
pub use crate::mount::origin::{CheckOrigin, OriginError, OriginPattern};
pub use crate::mount::{Answer, Mount, PathParams, Request, Upgrade};
pub use crate::observer::redaction::Redaction;
pub use crate::observer::stats::Stats;
pub use crate::observer::{Direction, Exchange, Frame, Observer, RequestHead};
pub use crate::options::SocketOptions;
pub use crate::output::pressure::WhenFull;
pub use crate::output::streaming::MessageStream;
pub use crate::server::drain::Drain;
pub use crate::server::listener::Listener;
pub use crate::server::running::Running;
pub use crate::server::tls::{TlsConfig, TlsError};
pub use crate::server::{Server, refuse};
pub use crate::websocket::{Incoming, OwnedMessage, WebSocket};
pub use crate::worker::inbox::{ConnectionId, WorkerId, Workers};
pub use crate::worker::turn::Turn;
pub use ::http::StatusCode;
pub use wingbeat_websocket::deflate::{Compression, DeflateBudget, DeflateConfig, DeflateParams};
pub use wingbeat_websocket::handshake::Extension;
pub use wingbeat_websocket::{CloseCode, Fragment, Limits, MessageKind};
