//! A key per salt: PBKDF2 over the secret, kept once derived.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, PoisonError, RwLock};

use pbkdf2::pbkdf2_hmac;
use sha2::{Sha256, Sha384, Sha512};

/// How many derived keys are kept. Salts are words of the program, so a few are usual; past this a key is derived anew
/// each time instead of being kept.
const MAX_CACHED_KEYS: usize = 64;

/// The hash under PBKDF2. It does not change the hash of the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyDigest {
    /// SHA-256, the default.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a key is derived from secret and salt. `Default` is `DEFAULT`, what Phoenix.Token does when nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct KeyOptions {
    /// The hash under PBKDF2. Default: SHA-256.
    pub digest: KeyDigest,
    /// Rounds of PBKDF2. Default: 1000.
    pub iterations: NonZeroU32,
    /// Length of the key in bytes. Default: 32.
    pub key_bytes: NonZeroU16,
}

impl KeyOptions {
    /// SHA-256, 1000 rounds, 32 bytes.
    pub const DEFAULT: Self = Self {
        digest: KeyDigest::Sha256,
        iterations: NonZeroU32::new(1000).unwrap(),
        key_bytes: NonZeroU16::new(32).unwrap(),
    };

    /// With another hash under PBKDF2.
    #[must_use]
    pub const fn with_digest(self, digest: KeyDigest) -> Self {
        Self { digest, ..self }
    }

    /// With another number of rounds.
    #[must_use]
    pub const fn with_iterations(self, iterations: NonZeroU32) -> Self {
        Self { iterations, ..self }
    }

    /// With keys of another length.
    #[must_use]
    pub const fn with_key_bytes(self, key_bytes: NonZeroU16) -> Self {
        Self { key_bytes, ..self }
    }
}

impl Default for KeyOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Keys by the salt and settings that they were derived with.
type Derived = HashMap<(Box<str>, KeyOptions), Arc<[u8]>>;

/// The secret and what was derived from it.
pub(super) struct Keys {
    secret: Box<[u8]>,
    /// Read at each token, written once per salt.
    derived: RwLock<Derived>,
}

impl Keys {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self { secret: secret.into(), derived: RwLock::default() }
    }

    pub(super) fn derive(&self, salt: &str, options: KeyOptions) -> Arc<[u8]> {
        let name = (Box::from(salt), options);
        // A poisoned table is still a table of right keys: entries go in whole.
        if let Some(key) = self.derived.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Arc::clone(key);
        }
        let key: Arc<[u8]> = derive(&self.secret, salt.as_bytes(), options).into();
        let mut derived = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        if derived.len() < MAX_CACHED_KEYS {
            derived.insert(name, Arc::clone(&key));
        }
        key
    }
}

fn derive(secret: &[u8], salt: &[u8], options: KeyOptions) -> Vec<u8> {
    let mut key = vec![0; usize::from(options.key_bytes.get())];
    let rounds = options.iterations.get();
    match options.digest {
        KeyDigest::Sha256 => pbkdf2_hmac::<Sha256>(secret, salt, rounds, &mut key),
        KeyDigest::Sha384 => pbkdf2_hmac::<Sha384>(secret, salt, rounds, &mut key),
        KeyDigest::Sha512 => pbkdf2_hmac::<Sha512>(secret, salt, rounds, &mut key),
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ch_k1_derives_the_known_keys() {
        assert_eq!(
            hex(&derive(b"password", b"salt", KeyOptions::DEFAULT)),
            "632c2812e46d4604102ba7618e9d6d7d2f8128f6266b4a03264d2a0460b7dcb3"
        );
        assert_eq!(
            hex(&derive("abcdefgh".repeat(8).as_bytes(), b"user socket", KeyOptions::DEFAULT)),
            "d3f12b5b79f2122342c5c52cb5d451bb588e5c5af0a7c73cf6a90cc45b397d80"
        );
    }

    #[test]
    fn ch_k1_keeps_a_key_and_bounds_the_table() {
        let keys = Keys::new(b"a secret that is long enough");
        let options = KeyOptions::DEFAULT.with_iterations(NonZeroU32::MIN);
        assert!(Arc::ptr_eq(&keys.derive("salt", options), &keys.derive("salt", options)));
        for salt in 0..2 * MAX_CACHED_KEYS {
            keys.derive(&salt.to_string(), options);
        }
        assert_eq!(keys.derived.read().unwrap().len(), MAX_CACHED_KEYS);
        assert_eq!(keys.derive("127", options), keys.derive("127", options));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
