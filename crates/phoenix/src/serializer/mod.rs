//! Serializers: one per wire version, chosen by the client's `vsn`.

mod v2_json;

use alloc::string::ToString;
use core::fmt;

pub use v2_json::V2Json;

use crate::error::{DecodeError, EncodeError, VsnError};
use crate::message::{Message, Outgoing};

/// Turns frames into messages and back. Stateless, so one serves every client.
pub trait Serializer: fmt::Debug + Send + Sync + 'static {
    /// Reads a text frame.
    fn decode_text<'a>(&self, text: &'a str) -> Result<Message<'a>, DecodeError>;

    /// Reads a binary frame.
    fn decode_binary<'a>(&self, bytes: &'a [u8]) -> Result<Message<'a>, DecodeError>;

    /// Appends a frame's payload; text or binary as [`Outgoing::is_binary`] says. On an error nothing is appended.
    fn encode(&self, outgoing: &Outgoing<'_>, output: &mut alloc::vec::Vec<u8>) -> Result<(), EncodeError>;
}

/// A version of the wire that we speak; each has one [`Serializer`]. One byte, so that every member of a topic may
/// carry its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// `~> 2.0.0`: arrays of five.
    V2,
}

impl Version {
    /// Every version; a version's place in here is `version as usize`.
    pub const ALL: [Self; 1] = [Self::V2];

    /// The version for a client's `vsn`; none given means 1.0.0 (rows C7, C8).
    ///
    /// V1 has no serializer yet, so 1.0.x and clients without a `vsn` are refused here like any unknown version.
    pub fn choose(vsn: Option<&str>) -> Result<Self, VsnError> {
        let vsn = vsn.unwrap_or("1.0.0");
        match components(vsn) {
            Some([2, 0, _]) => Ok(Self::V2),
            Some(_) => Err(VsnError::Unsupported(vsn.to_string())),
            None => Err(VsnError::Malformed(vsn.to_string())),
        }
    }

    /// What reads and writes it.
    pub fn serializer(self) -> &'static dyn Serializer {
        match self {
            Self::V2 => &V2Json,
        }
    }
}

/// Three numbers without leading zeros, as Elixir's `Version` reads them. A pre-release never satisfies `~> 2.0.0`.
fn components(vsn: &str) -> Option<[u64; 3]> {
    let mut parts = vsn.split('.').map(|part| match part.as_bytes() {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => part.parse().ok(),
        _ => None,
    });
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ch_c8_vsn_ranges() {
        for (vsn, expected) in [
            (Some("2.0.0"), true),
            (Some("2.0.7"), true),
            (Some("2.0.9"), true),
            (Some("2.0"), false),
            (Some("2"), false),
            (Some("2.1.0"), false),
            (Some("2.0.0-rc.1"), false),
            (Some("02.0.0"), false),
            (Some("2.0.0.0"), false),
            (Some("3.0.0"), false),
            (Some("abc"), false),
            (Some(""), false),
            (Some("9"), false),
            // V1 waits for its serializer.
            (Some("1.0.0"), false),
            (None, false),
        ] {
            assert_eq!(Version::choose(vsn).is_ok(), expected, "{vsn:?}");
        }
    }
}
