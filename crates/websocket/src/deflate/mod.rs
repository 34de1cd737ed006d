//! Compression of messages: permessage-deflate, for both roles (RFC 7692).
//!
//! ```text
//! offers ─► DeflateConfig::accept ─► DeflateParams ─► the answer, Connection::set_deflate     server
//! DeflateConfig::offer ─► the server's answer ─► DeflateConfig::check_answer ─► the same      client
//! ```
//!
//! - **Without takeover, which is the default, an idle connection holds no context**: all those of a thread share a
//!   [`DeflatePool`], lent to [`Connection::handle_input_with`] and [`Connection::send_text_with`].
//! - **With takeover it holds its own**: a compressor, and of what the peer sent as much as the window is large. A
//!   [`DeflateBudget`] bounds all of them together.
//! - **A message is inflated when all of it is there, under a running limit**: its size, and above a floor its ratio.
//! - **A broadcast is compressed once for each window size**: [`DeflatePool::encode_server_frame`].
//!
//! ```
//! use wingbeat_websocket::deflate::{Compression, DeflateConfig, DeflatePool};
//! use wingbeat_websocket::{Connection, Limits, Role};
//! # use wingbeat_websocket::handshake::Extension;
//! # let offers = [Extension { name: "permessage-deflate", params: vec![] }];
//!
//! let config = DeflateConfig::DEFAULT;
//! let mut pool = DeflatePool::new(config);
//! let mut connection = Connection::new(Role::Server, Limits::DEFAULT);
//! // The offers are those of `UpgradeRequest::extension_offers`, the answer goes into `UpgradeRequest::accept_with`.
//! if let Some(params) = config.accept(offers) {
//!     assert_eq!(
//!         params.to_string(),
//!         "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
//!     );
//!     connection.set_deflate(params, None);
//! }
//! let mut output = Vec::new();
//! connection.send_text_with(&"wing beat ".repeat(100), Compression::Auto, &mut pool, &mut output)?;
//! assert!(output.len() < 50);
//! # Ok::<_, wingbeat_websocket::SendError>(())
//! ```
//!
//! [`Connection::handle_input_with`]: crate::Connection::handle_input_with
//! [`Connection::send_text_with`]: crate::Connection::send_text_with

mod budget;
mod codec;
mod config;
mod contexts;
mod negotiate;
mod pool;
mod stream;

pub use budget::{DeflateBudget, DeflateGrant};
pub use config::DeflateConfig;
pub(crate) use contexts::Contexts;
pub use negotiate::{DEFLATE_EXTENSION, DeflateParams};
pub use pool::DeflatePool;
pub(crate) use stream::InflateStream;

/// Whether a message is compressed, where compression has been agreed on. Chosen for each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// From [`DeflateConfig::min_bytes`] on, if it makes the message smaller.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Not at all: for what is compressed already, and for secrets next to what an attacker wrote (CRIME, BREACH).
    Never,
}
