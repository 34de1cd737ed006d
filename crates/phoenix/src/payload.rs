//! What a message carries: JSON, kept raw until somebody asks, or bytes.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{EncodeError, PayloadError};

/// What a message carries. JSON is kept as the client wrote it: passing it on costs no parsing and loses no digit.
#[derive(Clone, Debug)]
pub enum Payload {
    /// One JSON value.
    Json(Box<RawValue>),
    /// Bytes, which travel in binary frames.
    Binary(Bytes),
}

impl Payload {
    /// Serializes `value`. Fails only where serde does (a map with keys that are no strings, say).
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self, PayloadError> {
        to_raw_value(value).map(Self::Json).map_err(PayloadError::Json)
    }

    /// The empty object.
    pub fn empty() -> Self {
        Self::Json(RawValue::from_string("{}".to_owned()).unwrap_or_default())
    }

    /// Reads the payload as a `T`, which may borrow from it.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PayloadError> {
        self.borrow().parse()
    }

    /// The JSON text, if it is JSON.
    pub fn as_json(&self) -> Option<&str> {
        match self {
            Self::Json(json) => Some(json.get()),
            Self::Binary(_) => None,
        }
    }

    /// The bytes, if it is binary.
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Json(_) => None,
            Self::Binary(bytes) => Some(bytes),
        }
    }

    /// Whether it must travel in a binary frame.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// A view that costs nothing to copy.
    pub fn borrow(&self) -> PayloadRef<'_> {
        match self {
            Self::Json(json) => PayloadRef::Json(json),
            Self::Binary(bytes) => PayloadRef::Binary(bytes),
        }
    }

    /// Pushes and broadcasts carry objects or bytes (row M13).
    pub fn require_object(&self) -> Result<(), EncodeError> {
        match self.as_json() {
            Some(json) if !json.starts_with('{') => Err(EncodeError::NotAnObject(shorten(json))),
            _ => Ok(()),
        }
    }
}

/// Enough of a payload to recognise it in a log, never all of it.
fn shorten(json: &str) -> String {
    json.chars().take(40).collect()
}

/// A [`Payload`] where it lies.
#[derive(Clone, Copy, Debug)]
pub enum PayloadRef<'a> {
    /// One JSON value.
    Json(&'a RawValue),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> PayloadRef<'a> {
    /// Reads the payload as a `T`, which may borrow from it.
    pub fn parse<T: Deserialize<'a>>(self) -> Result<T, PayloadError> {
        match self {
            Self::Json(json) => serde_json::from_str(json.get()).map_err(PayloadError::Json),
            Self::Binary(bytes) => Err(PayloadError::Binary(bytes.len())),
        }
    }

    /// Bytes of JSON, or bytes.
    #[allow(clippy::len_without_is_empty, reason = "JSON is never empty")]
    pub fn len(self) -> usize {
        match self {
            Self::Json(json) => json.get().len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// A copy of its own.
    pub fn to_payload(self) -> Payload {
        match self {
            Self::Json(json) => Payload::Json(json.to_owned()),
            Self::Binary(bytes) => Payload::Binary(Bytes::copy_from_slice(bytes)),
        }
    }
}

/// What may be sent: anything serde can serialize (`json!({..})`, your own types), or a [`Payload`] passed on.
pub trait IntoPayload {
    /// The payload, or why there is none.
    fn into_payload(self) -> Result<Payload, PayloadError>;
}

impl<T: Serialize> IntoPayload for T {
    fn into_payload(self) -> Result<Payload, PayloadError> {
        Payload::json(&self)
    }
}

/// Not `Serialize` on purpose: passing a payload on must not depend on the serializer at hand, and bytes have no JSON.
impl IntoPayload for Payload {
    fn into_payload(self) -> Result<Payload, PayloadError> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn json_is_passed_on_to_the_digit() {
        let text = r#"{"f":1.0,"i":10000000000000000000000,"u":"\u0000"}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        assert_eq!(PayloadRef::Json(raw).to_payload().as_json(), Some(text));
    }

    #[test]
    fn ch_m13_only_objects_and_bytes_may_be_pushed() {
        for (payload, expected) in [
            (json!({}).into_payload().unwrap(), true),
            (json!({ "a": 1 }).into_payload().unwrap(), true),
            (json!("text").into_payload().unwrap(), false),
            (json!([1]).into_payload().unwrap(), false),
            (Value::Null.into_payload().unwrap(), false),
            (Payload::Binary(Bytes::from_static(b"\x01")), true),
        ] {
            assert_eq!(payload.require_object().is_ok(), expected, "{payload:?}");
        }
    }

    #[test]
    fn ch_a32_bytes_are_no_json() {
        let payload = Payload::Binary(Bytes::from_static(b"ab"));
        assert!(matches!(payload.parse::<Value>(), Err(PayloadError::Binary(2))));
        assert_eq!(payload.as_binary().map(Bytes::len), Some(2));
    }
}
