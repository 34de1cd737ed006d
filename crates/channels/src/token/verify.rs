//! Reading a token back: signature first, then the terms, then its age.

use std::time::SystemTime;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use serde::de::DeserializeOwned;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::etf::from_term;
use super::payload::{Payload, millis};
use super::{MAX_TOKEN_BYTES, MaxAge, Tokens};

/// Written without padding, read with or without, as on the BEAM.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a token is judged. `Default` is `DEFAULT`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// How old it may be. Default: what the token says.
    pub max_age: Option<MaxAge>,
    /// What time it is. Default: the system's clock.
    pub now: Option<SystemTime>,
}

impl VerifyOptions {
    /// By the token's own age and the system's clock.
    pub const DEFAULT: Self = Self { max_age: None, now: None };

    /// At most so old, whatever the token says.
    #[must_use]
    pub fn with_max_age(self, max_age: impl Into<MaxAge>) -> Self {
        Self { max_age: Some(max_age.into()), ..self }
    }

    /// Judged as at another time.
    #[must_use]
    pub const fn with_now(self, now: SystemTime) -> Self {
        Self { now: Some(now), ..self }
    }
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The token is not good. The peer's fault; says no more than the peer may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none.
    #[error("token is missing")]
    Missing,
    /// Not a token, not ours, for another purpose, changed on its way, signed in the future, or holding other data than asked for.
    #[error("token is invalid")]
    Invalid,
    /// It was good once.
    #[error("token has expired")]
    Expired,
}

impl Tokens {
    /// What was signed for this salt. Takes a token or an `Option` of one.
    ///
    /// # Errors
    /// [`TokenError`]; a token whose data does not fit `T` is [`Invalid`](TokenError::Invalid).
    #[expect(single_use_lifetimes, reason = "an argument of `impl` type cannot leave it out")]
    pub fn verify<'t, T: DeserializeOwned>(
        &self,
        salt: &str,
        token: impl Into<Option<&'t str>>,
    ) -> Result<T, TokenError> {
        self.verify_with(salt, token, VerifyOptions::DEFAULT)
    }

    /// What was signed for this salt, judged by an age or a time of the caller's.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    #[expect(single_use_lifetimes, reason = "an argument of `impl` type cannot leave it out")]
    pub fn verify_with<'t, T: DeserializeOwned>(
        &self,
        salt: &str,
        token: impl Into<Option<&'t str>>,
        options: VerifyOptions,
    ) -> Result<T, TokenError> {
        let payload = self.open(salt, token.into())?;
        let now_ms = millis(options.now.unwrap_or_else(SystemTime::now));
        check_age(payload.signed_at_ms, options.max_age.unwrap_or(payload.max_age), now_ms)?;
        from_term(payload.data).map_err(|_| TokenError::Invalid)
    }

    /// Checks the signature and decodes; does not look at the age.
    pub(super) fn open(&self, salt: &str, token: Option<&str>) -> Result<Payload, TokenError> {
        let token = token.ok_or(TokenError::Missing)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Invalid)?;
        let algorithm = Algorithm::parse(header).ok_or(TokenError::Invalid)?;
        let signature = BASE64.decode(signature).map_err(|_| TokenError::Invalid)?;
        let expected = algorithm.sign(&self.key(salt), signed.as_bytes());
        if !bool::from(expected.ct_eq(&signature)) {
            return Err(TokenError::Invalid);
        }
        let payload = BASE64.decode(payload).map_err(|_| TokenError::Invalid)?;
        Payload::decode(&payload).map_err(|_| TokenError::Invalid)
    }
}

/// For ever passes, for no time does not; a token from the future is not one of ours.
fn check_age(signed_at_ms: i128, max_age: MaxAge, now_ms: i128) -> Result<(), TokenError> {
    match max_age {
        MaxAge::Infinite => Ok(()),
        MaxAge::Within(age) if age.is_zero() => Err(TokenError::Expired),
        MaxAge::Within(_) if signed_at_ms > now_ms => Err(TokenError::Invalid),
        MaxAge::Within(age) if signed_at_ms.saturating_add(age.as_millis() as i128) < now_ms => {
            Err(TokenError::Expired)
        }
        MaxAge::Within(_) => Ok(()),
    }
}

/// The hash of the signature, named by the token's first part. We write the first and read all.
#[derive(Clone, Copy)]
pub(super) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    /// The name in base64, as it stands in a token.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Hs256 => "SFMyNTY",
            Self::Hs384 => "SFMzODQ",
            Self::Hs512 => "SFM1MTI",
        }
    }

    fn parse(header: &str) -> Option<Self> {
        [Self::Hs256, Self::Hs384, Self::Hs512].into_iter().find(|algorithm| algorithm.header() == header)
    }

    pub(super) fn sign(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Hs256 => mac::<Hmac<Sha256>>(key, message),
            Self::Hs384 => mac::<Hmac<Sha384>>(key, message),
            Self::Hs512 => mac::<Hmac<Sha512>>(key, message),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}
