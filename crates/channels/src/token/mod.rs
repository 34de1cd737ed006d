//! Signed tokens in the format of Phoenix.Token: what a node of either kind signs, the other verifies.
//!
//! - **A token names its age**: when it was signed and how long it is good for travel inside, under the signature.
//! - **The signature is checked before anything is decoded**, in constant time.
//! - **A key is derived once per salt** and kept; the table of keys is bounded.
//! - **Terms are plain data**: a function in a token is refused, an atom is only a string.
//!
//! `data → Term → payload (data, signed_at, max_age) → external term format → base64 → HMAC`, and back.

mod etf;
mod keys;
mod payload;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use keys::{KeyDigest, KeyOptions};
pub use sign::{SignError, SignOptions};
pub use verify::{TokenError, VerifyOptions};

use keys::Keys;

/// The shortest `secret_key_base` that is taken, in bytes: 20.
pub const MIN_SECRET_BYTES: usize = 20;

/// The longest token that is signed or looked at, in bytes: 64 KiB.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// How long a token is good for unless it says otherwise: one day.
pub const DEFAULT_MAX_AGE: MaxAge = MaxAge::Within(Duration::from_secs(86_400));

/// Signs and verifies with one `secret_key_base`. Cloning is cheap; all clones share the derived keys.
///
/// ```
/// # use wingbeat_channels::token::{Tokens, TokenError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = Tokens::new("a secret of sixty-four bytes or so, made once and kept")?;
/// let token = tokens.sign("user socket", &42)?;
/// assert_eq!(tokens.verify::<u64>("user socket", token.as_str()), Ok(42));
/// assert_eq!(tokens.verify::<u64>("another salt", token.as_str()), Err(TokenError::Invalid));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tokens {
    keys: Arc<Keys>,
    key_options: KeyOptions,
}

impl Tokens {
    /// Takes the secret as it is written in the configuration: its bytes are the password, nothing is decoded.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] below [`MIN_SECRET_BYTES`].
    pub fn new(secret_key_base: impl AsRef<[u8]>) -> Result<Self, SecretError> {
        let secret = secret_key_base.as_ref();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(SecretError::TooShort(secret.len()));
        }
        Ok(Self { keys: Arc::new(Keys::new(secret)), key_options: KeyOptions::DEFAULT })
    }

    /// The same secret with other settings for deriving keys. Both sides of a token must agree on them.
    #[must_use]
    pub fn with_key_options(&self, key_options: KeyOptions) -> Self {
        Self { keys: Arc::clone(&self.keys), key_options }
    }

    fn key(&self, salt: &str) -> Arc<[u8]> {
        self.keys.derive(salt, self.key_options)
    }
}

/// Says nothing of the secret.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("key_options", &self.key_options).finish_non_exhaustive()
    }
}

/// How long after signing a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxAge {
    /// For so long. Zero: never.
    Within(Duration),
    /// For ever. Such a token can only be taken back by changing the secret or the salt.
    Infinite,
}

impl From<Duration> for MaxAge {
    fn from(duration: Duration) -> Self {
        Self::Within(duration)
    }
}

/// The secret cannot be used. Our own fault: a matter of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Fewer than [`MIN_SECRET_BYTES`]; holds how many there are.
    #[error("secret key base is {0} bytes long, at least {MIN_SECRET_BYTES} are needed")]
    TooShort(usize),
}
