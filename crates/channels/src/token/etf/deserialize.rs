//! Terms → serde: an atom is as good as a string, a tuple as good as a list.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor, value::Error};
use serde::forward_to_deserialize_any;

use super::Term;

/// The term as a value.
pub(in super::super) fn from_term<T: DeserializeOwned>(term: Term) -> Result<T, Error> {
    T::deserialize(term)
}

impl<'de> de::Deserializer<'de> for Term {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Atom(name) => match name.as_str() {
                "nil" => visitor.visit_unit(),
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                _ => visitor.visit_string(name),
            },
            Self::Integer(value) => visit_integer(value, visitor),
            Self::BigInteger { negative, magnitude } => visit_big(negative, &magnitude, visitor),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Binary(bytes) => match String::from_utf8(bytes) {
                Ok(string) => visitor.visit_string(string),
                Err(error) => visitor.visit_byte_buf(error.into_bytes()),
            },
            Self::List(items) | Self::Tuple(items) => {
                let mut items = SeqDeserializer::new(items.into_iter());
                let value = visitor.visit_seq(&mut items)?;
                items.end().map(|()| value)
            }
            Self::Map(entries) => {
                let mut entries = MapDeserializer::new(entries.into_iter());
                let value = visitor.visit_map(&mut entries)?;
                entries.end().map(|()| value)
            }
            Self::Opaque(bytes) => visitor.visit_byte_buf(bytes),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Atom(name) if name == "nil" => visitor.visit_none(),
            term => visitor.visit_some(term),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Map(entries) => {
                visitor.visit_enum(de::value::MapAccessDeserializer::new(MapDeserializer::new(entries.into_iter())))
            }
            Self::Atom(name) => visitor.visit_enum(name.into_deserializer()),
            Self::Binary(bytes) => {
                let name = String::from_utf8(bytes).map_err(|_| de::Error::custom("a variant's name is not UTF-8"))?;
                visitor.visit_enum(name.into_deserializer())
            }
            _ => Err(de::Error::custom("neither a name nor a map of one entry")),
        }
    }

    /// Names stay names, be they `nil` or `true`.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Atom(name) => visitor.visit_string(name),
            term => term.deserialize_any(visitor),
        }
    }

    /// Bytes stay bytes, be they UTF-8 or not.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Binary(bytes) => visitor.visit_byte_buf(bytes),
            term => term.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct seq tuple
        tuple_struct map struct ignored_any
    }
}

impl IntoDeserializer<'_> for Term {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The narrowest visit that holds it: not every visitor knows the wide ones.
fn visit_integer<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, Error> {
    match (u64::try_from(value), i64::try_from(value)) {
        (Ok(value), _) => visitor.visit_u64(value),
        (_, Ok(value)) => visitor.visit_i64(value),
        _ => visitor.visit_i128(value),
    }
}

fn visit_big<'de, V: Visitor<'de>>(negative: bool, magnitude: &[u8], visitor: V) -> Result<V::Value, Error> {
    let mut bytes = [0; 16];
    match bytes.get_mut(..magnitude.len()) {
        Some(low) if !negative => {
            low.copy_from_slice(magnitude);
            visitor.visit_u128(u128::from_le_bytes(bytes))
        }
        _ => Err(de::Error::custom("an integer beyond 128 bits")),
    }
}
