//! What can go wrong, and whose fault it is.

use alloc::string::String;

/// The peer sent something that is no message. Phoenix ends the whole socket for it: Close 1011 (spec 1.11).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not JSON, or not an array of at least five items.
    #[error("not a message: {0}")]
    Json(serde_json::Error),
    /// This serializer knows no binary frames (V1 never; V2 comes with its own layout).
    #[error("binary frames are not supported by this serializer")]
    Binary,
}

/// We tried to send what the wire cannot carry. The application's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload of a push or broadcast must be an object (spec 1.4): clients discard the frame otherwise.
    #[error("the payload of a push or broadcast must be a JSON object, got {0}")]
    NotAnObject(String),
    /// The serializer of this client has no form for a binary payload.
    #[error("this serializer cannot carry a binary payload")]
    Binary,
    /// There is no payload to begin with.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// A payload could not be read as, or made from, the type asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// serde said no.
    #[error("{0}")]
    Json(serde_json::Error),
    /// Bytes came where JSON was expected.
    #[error("expected a JSON payload, got {0} bytes of binary")]
    Binary(usize),
    /// The event is not a string, so no type can name it.
    #[error("expected the event to be a string, got {0}")]
    Event(String),
}

/// No serializer speaks the version the client asked for: refuse with 403 (spec 1.3, row C8).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VsnError {
    /// Not three numbers with dots between.
    #[error("vsn {0:?} is not a version of three components")]
    Malformed(String),
    /// A version nobody here speaks.
    #[error("vsn {0:?} is not supported, expected 2.0.x")]
    Unsupported(String),
}
