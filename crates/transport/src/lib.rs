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

mod accept;
mod answers;
mod binding;
mod closing;
mod config;
mod connection;
mod context;
mod control;
mod drain;
mod error;
mod extra;
mod forwarded;
mod fragments;
mod handle;
mod handler;
mod handshake;
mod http;
mod http2;
mod inbox;
mod keep_alive;
mod listener;
mod message;
#[cfg(feature = "metrics")]
mod metrics;
mod moments;
mod mount;
mod mounted;
mod network;
mod observer;
mod opening;
mod options;
mod origin;
mod output;
mod pools;
mod preamble;
mod pressure;
mod proxy_protocol;
mod pulse;
mod rate_limit;
mod raw;
mod reading;
mod redaction;
mod request;
mod running;
mod seats;
mod sending;
mod server;
mod stats;
mod stream;
mod streaming;
mod tasks;
mod tls;
mod turn;
mod upgrade;
mod watch;
mod websocket;
mod wheel;
mod worker;
mod writing;

pub use crate::accept::Accept;
pub use crate::config::Config;
pub use crate::context::Context;
pub use crate::drain::Drain;
pub use crate::error::{Error, SendError};
pub use crate::forwarded::ForwardedFields;
pub use crate::handle::ConnectionHandle;
pub use crate::handler::{Cause, Closed, Handler, Info};
pub use crate::handshake::{Handshake, OpeningError};
pub use crate::http::{HttpService, NotFound, not_found};
pub use crate::http2::Http2Config;
pub use crate::inbox::{ConnectionId, WorkerId, Workers};
pub use crate::keep_alive::KeepAlive;
pub use crate::listener::Listener;
pub use crate::message::{EncodedMessage, Message};
pub use crate::mount::{Answer, Mount, PathParams, Request, Upgrade};
pub use crate::mounted::Mounted;
pub use crate::network::{Network, NetworkError};
pub use crate::observer::{Direction, Exchange, Frame, Observer, RequestHead};
pub use crate::options::SocketOptions;
pub use crate::origin::{CheckOrigin, OriginError, OriginPattern};
pub use crate::pressure::WhenFull;
pub use crate::rate_limit::{Allowance, RateLimit, RateLimitAction};
pub use crate::redaction::Redaction;
pub use crate::running::Running;
pub use crate::server::{Server, refuse};
pub use crate::streaming::MessageStream;
pub use crate::stats::Stats;
pub use crate::tls::{TlsConfig, TlsError};
pub use crate::turn::Turn;
pub use crate::websocket::{Incoming, OwnedMessage, WebSocket};
pub use wingbeat_websocket::deflate::{Compression, DeflateBudget, DeflateConfig, DeflateParams};
pub use wingbeat_websocket::handshake::Extension;
pub use wingbeat_websocket::{CloseCode, Fragment, Limits, MessageKind};
