//! Saying no: to a connection or to a join.

use std::fmt;

use serde_json::json;
use wingbeat_phoenix::{IntoPayload, Payload, PayloadError};

use crate::token::TokenError;

/// Why a client may not connect, or join. A refused join is told the payload; a refused connection is answered 403
/// without a body, unless the mount has an error handler ([`MountOptions::error_handler`](crate::MountOptions)).
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    payload: Option<Payload>,
}

impl Refusal {
    /// A refusal that explains nothing.
    pub fn plain() -> Self {
        Self::default()
    }

    /// `{"reason": reason}`
    pub fn reason(reason: impl fmt::Display) -> Self {
        Self::with(json!({ "reason": reason.to_string() }))
    }

    /// Any payload; by custom an object with a `reason`. One that cannot be serialized explains nothing.
    pub fn with(payload: impl IntoPayload) -> Self {
        let payload = payload.into_payload();
        if let Err(error) = &payload {
            tracing::error!(%error, "a refusal's payload cannot be serialized");
        }
        Self { payload: payload.ok() }
    }

    /// What the client of a refused join is told; `None` for a plain one.
    pub fn payload(&self) -> Option<&Payload> {
        self.payload.as_ref()
    }

    /// The `reason` within the payload.
    pub fn as_reason(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct WithReason {
            reason: String,
        }
        self.payload.as_ref()?.parse::<WithReason>().ok().map(|with| with.reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_reason().as_deref().unwrap_or("refused"))
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::reason(error)
    }
}

/// The client sent something we cannot read. It is not told what: the error may show how we are built.
impl From<PayloadError> for Refusal {
    fn from(_: PayloadError) -> Self {
        Self::reason("invalid payload")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        for (refusal, payload, reason) in [
            (Refusal::plain(), None, None),
            (Refusal::reason("no"), Some(r#"{"reason":"no"}"#), Some("no")),
            (Refusal::with(json!({ "code": 5 })), Some(r#"{"code":5}"#), None),
        ] {
            assert_eq!(refusal.payload().and_then(Payload::as_json), payload);
            assert_eq!(refusal.as_reason().as_deref(), reason);
        }
    }
}
