//! Events as types: what `handle_in` receives.

use alloc::string::{String, ToString};
use core::fmt;
use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::PayloadError;
use crate::message::Name;
use crate::payload::{Payload, PayloadRef};

/// What a channel can be told: any type that serde reads from `{"event": .., "payload": ..}`, or [`RawEvent`].
///
/// With serde this is an enum tagged `#[serde(tag = "event", content = "payload")]`; an event without a variant is an
/// error, and the channel crashes as one without a matching clause does.
pub trait FromEvent: Sized {
    /// Reads one event.
    fn from_event(event: &Name<'_>, payload: PayloadRef<'_>) -> Result<Self, PayloadError>;
}

impl<T: DeserializeOwned> FromEvent for T {
    fn from_event(event: &Name<'_>, payload: PayloadRef<'_>) -> Result<Self, PayloadError> {
        let event = text(event)?;
        let payload = match payload {
            PayloadRef::Json(json) => json.get(),
            PayloadRef::Binary(bytes) => return Err(PayloadError::Binary(bytes.len())),
        };
        let result = T::deserialize(EventDeserializer { event, payload: Some(payload) });
        // A unit variant has no content, yet clients send `{}` (or null) with everything.
        match result {
            Err(_) if matches!(payload, "{}" | "null") => {
                T::deserialize(EventDeserializer { event, payload: None }).or(result)
            }
            result => result,
        }
        .map_err(PayloadError::Json)
    }
}

/// An event as it came, for channels that route by hand or want the bytes.
#[derive(Clone, Debug)]
pub struct RawEvent {
    /// Its name.
    pub event: String,
    /// What it carries, not looked at yet.
    pub payload: Payload,
}

/// Not `Deserialize` on purpose: this one takes bytes, too.
impl FromEvent for RawEvent {
    fn from_event(event: &Name<'_>, payload: PayloadRef<'_>) -> Result<Self, PayloadError> {
        Ok(Self { event: text(event)?.to_string(), payload: payload.to_payload() })
    }
}

fn text<'a>(event: &'a Name<'_>) -> Result<&'a str, PayloadError> {
    event.as_str().ok_or_else(|| PayloadError::Event(event.as_json().unwrap_or_default().chars().take(40).collect()))
}

/// Presents event and payload as a map of two entries, tag first, so that serde reads the content without keeping it.
struct EventDeserializer<'a> {
    event: &'a str,
    payload: Option<&'a str>,
}

impl<'de> Deserializer<'de> for EventDeserializer<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        visitor.visit_map(Entries { event: Some(self.event), payload: self.payload })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'a> {
    event: Option<&'a str>,
    payload: Option<&'a str>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, serde_json::Error> {
        let key = match (self.event, self.payload) {
            (Some(_), _) => "event",
            (None, Some(_)) => "payload",
            (None, None) => return Ok(None),
        };
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, serde_json::Error> {
        if let Some(event) = self.event.take() {
            return seed.deserialize(BorrowedStrDeserializer::new(event));
        }
        let Some(payload) = self.payload.take() else {
            return Err(de::Error::custom(fmt::Error));
        };
        let mut deserializer = serde_json::Deserializer::from_str(payload);
        let value = seed.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::Value;
    use serde_json::value::RawValue;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "event", content = "payload", rename_all = "snake_case")]
    enum Said {
        Broadcast {
            message: String,
        },
        Typing,
        Any(Value),
        Options {
            #[serde(default)]
            loud: bool,
        },
    }

    fn read<T: FromEvent>(event: &str, payload: &str) -> Result<T, PayloadError> {
        let raw: &RawValue = serde_json::from_str(payload).unwrap();
        T::from_event(&Name::from(event), PayloadRef::Json(raw))
    }

    #[test]
    fn typed_events() {
        for (event, payload, expected) in [
            ("broadcast", r#"{"message":"a\nb","more":1}"#, Said::Broadcast { message: "a\nb".into() }),
            ("typing", "{}", Said::Typing),
            ("typing", "null", Said::Typing),
            ("any", "[1]", Said::Any(serde_json::json!([1]))),
            ("any", "{}", Said::Any(serde_json::json!({}))),
            ("options", "{}", Said::Options { loud: false }),
        ] {
            assert_eq!(read::<Said>(event, payload).unwrap(), expected, "{event} {payload}");
        }
    }

    #[test]
    fn events_nobody_declared() {
        for (event, payload) in
            [("nope", "{}"), ("broadcast", "{}"), ("broadcast", r#"{"message":5}"#), ("typing", "[1]"), ("", "{}")]
        {
            assert!(read::<Said>(event, payload).is_err(), "{event} {payload}");
        }
    }

    #[test]
    fn ch_a32_raw_events_take_anything() {
        let raw = read::<RawEvent>("whatever", r#"[1, 2]"#).unwrap();
        assert_eq!((raw.event.as_str(), raw.payload.as_json()), ("whatever", Some("[1, 2]")));
        let bytes = RawEvent::from_event(&Name::from("bin"), PayloadRef::Binary(&[1, 2])).unwrap();
        assert_eq!(bytes.payload.as_binary().unwrap().as_ref(), [1, 2]);
    }
}
