//! Making a token: `SFMyNTY.payload.signature`.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::etf::{MAX_DEPTH, to_term};
use super::payload::{Payload, millis};
use super::verify::Algorithm;
use super::{DEFAULT_MAX_AGE, MAX_TOKEN_BYTES, MaxAge, Tokens};

/// What a new token says of itself besides its data. `Default` is `DEFAULT`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SignOptions {
    /// How long it is good unless who verifies says otherwise. Default: one day.
    pub max_age: MaxAge,
    /// When it is said to be signed, kept in whole milliseconds. Default: now.
    pub signed_at: Option<SystemTime>,
}

impl SignOptions {
    /// Good for a day from now.
    pub const DEFAULT: Self = Self { max_age: DEFAULT_MAX_AGE, signed_at: None };

    /// Good for so long.
    #[must_use]
    pub fn with_max_age(self, max_age: impl Into<MaxAge>) -> Self {
        Self { max_age: max_age.into(), ..self }
    }

    /// Signed then.
    #[must_use]
    pub const fn with_signed_at(self, signed_at: SystemTime) -> Self {
        Self { signed_at: Some(signed_at), ..self }
    }
}

impl Default for SignOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The data cannot be put into a token. Our own fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// It has no form as a term: not-a-number, an infinite float, or what its `Serialize` refuses.
    #[error("data cannot be signed: {0}")]
    Unserializable(String),
    /// It nests deeper than anyone would decode.
    #[error("data nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The token would be longer than [`MAX_TOKEN_BYTES`]; holds how long.
    #[error("token would be {0} bytes long, at most {MAX_TOKEN_BYTES} are allowed")]
    TooLong(usize),
}

impl Tokens {
    /// Signs `data` for a day. The salt is the token's purpose, not a secret: a token is good only for its own.
    ///
    /// Strings become binaries, structs become maps with string keys, `None` and `()` become `nil`, tuples stay tuples.
    ///
    /// # Errors
    /// [`SignError`] if `data` has no form as a term or makes too long a token.
    pub fn sign<T: Serialize + ?Sized>(&self, salt: &str, data: &T) -> Result<String, SignError> {
        self.sign_with(salt, data, SignOptions::DEFAULT)
    }

    /// Signs `data` with an age or a time of its own.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub fn sign_with<T: Serialize + ?Sized>(
        &self,
        salt: &str,
        data: &T,
        options: SignOptions,
    ) -> Result<String, SignError> {
        let data = to_term(data).map_err(|error| SignError::Unserializable(error.to_string()))?;
        if data.depth() >= MAX_DEPTH {
            return Err(SignError::TooDeep);
        }
        let signed_at_ms = millis(options.signed_at.unwrap_or_else(SystemTime::now));
        self.seal(salt, &Payload { data, signed_at_ms, max_age: options.max_age }.encode())
    }

    pub(super) fn seal(&self, salt: &str, payload: &[u8]) -> Result<String, SignError> {
        let algorithm = Algorithm::Hs256;
        let mut token = format!("{}.", algorithm.header());
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = algorithm.sign(&self.key(salt), token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        if token.len() > MAX_TOKEN_BYTES { Err(SignError::TooLong(token.len())) } else { Ok(token) }
    }
}
