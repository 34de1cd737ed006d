//! What keeps an endpoint from serving.

use crate::config::ConfigError;
use crate::token::SecretError;

/// The endpoint cannot serve. Never the fault of a client: those are answered on their own connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The environment holds something that is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secret is too short.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The program is built with `panic = "abort"`, so that one panicking channel would end it for everybody.
    #[error("built with panic = \"abort\": a panicking channel must end itself only, build with panic = \"unwind\"")]
    PanicAbort,
    /// The address is taken, a path cannot be mounted, a worker cannot start.
    #[error(transparent)]
    Transport(#[from] wingbeat_transport::Error),
}
