//! Phoenix channels on the server: [`Socket`], [`Channel`], topics, PubSub, tokens.
//!
//! - **A channel costs nothing while idle**: its state, no task, no mailbox. A callback is polled once where it stands,
//!   so that its answer leaves in the same write; only a callback that waits becomes a task.
//! - **One callback of a channel at a time, in order**; a slow one delays neither its neighbours nor the heartbeat.
//! - **A callback that panics ends its channel** (`phx_error`), never its socket.
//! - **A broadcast is encoded once per wire version**, frame header included, and each worker delivers to its own.
//! - **Every queue a client can fill has a limit** ([`MountOptions`]) and an answer when it is full.
//!
//! `Handler::handle_message → Multiplexer → Serializer::decode → Actor → Channel::handle_in`, and back by
//! [`Outcome`], [`Context::push`] or [`Context::broadcast`].

mod assets;
mod callback;
mod channel;
mod config;
mod endpoint;
mod error;
mod handle;
mod handshake;
mod mount;
mod multiplexer;
mod params;
mod pubsub;
mod refusal;
mod router;
mod socket;
pub mod token;

pub use channel::{Channel, ChannelHandle, Context, Info, Joined, Outcome, Reason, Reply, SocketRef};
pub use config::{Config, ConfigError, ErrorHandler, MountOptions};
pub use endpoint::{Endpoint, Running};
pub use error::Error;
pub use handle::EndpointHandle;
pub use params::{Param, Params, ParamsError};
pub use pubsub::TopicCount;
pub use refusal::Refusal;
pub use router::Routes;
pub use socket::{ConnectInfo, Socket};
pub use wingbeat_phoenix::{IntoPayload, Payload, PayloadError, RawEvent, Topic};
pub use wingbeat_transport::{CheckOrigin, DeflateConfig, NotFound, OriginPattern, not_found};
