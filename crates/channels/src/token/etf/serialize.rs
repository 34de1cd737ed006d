//! serde → terms: strings are binaries, structs are maps with string keys, nothing is `nil`.

use serde::ser::{self, Serialize};

use super::Term;

/// The value as a term.
pub(in super::super) fn to_term<T: Serialize + ?Sized>(value: &T) -> Result<Term, SerializeError> {
    value.serialize(TermSerializer)
}

/// The value has no form as a term.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum SerializeError {
    #[error("{0} is not a finite number")]
    NotFinite(f64),
    #[error("{0}")]
    Custom(String),
}

impl ser::Error for SerializeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

type Result<T, E = SerializeError> = std::result::Result<T, E>;

struct TermSerializer;

macro_rules! integers {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<Term> {
            Ok(Term::Integer(value.into()))
        }
    )*};
}

impl ser::Serializer for TermSerializer {
    type Ok = Term;
    type Error = SerializeError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    integers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);

    fn serialize_u128(self, value: u128) -> Result<Term> {
        Ok(i128::try_from(value).map_or_else(
            |_| Term::BigInteger { negative: false, magnitude: value.to_le_bytes().to_vec() },
            Term::Integer,
        ))
    }

    fn serialize_bool(self, value: bool) -> Result<Term> {
        Ok(Term::atom(if value { "true" } else { "false" }))
    }

    fn serialize_f32(self, value: f32) -> Result<Term> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Term> {
        if value.is_finite() { Ok(Term::Float(value)) } else { Err(SerializeError::NotFinite(value)) }
    }

    fn serialize_char(self, value: char) -> Result<Term> {
        Ok(Term::Binary(value.to_string().into_bytes()))
    }

    fn serialize_str(self, value: &str) -> Result<Term> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Term> {
        Ok(Term::Binary(value.to_vec()))
    }

    fn serialize_none(self) -> Result<Term> {
        Ok(Term::nil())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Term> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Term> {
        Ok(Term::nil())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Term> {
        Ok(Term::nil())
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<Term> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<Term> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Term> {
        Ok(under(Some(variant), to_term(value)?))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items> {
        Ok(Items { variant: None, items: Vec::with_capacity(len.unwrap_or(0)), collect: Term::List })
    }

    fn serialize_tuple(self, len: usize) -> Result<Items> {
        Ok(Items { variant: None, items: Vec::with_capacity(len), collect: Term::Tuple })
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, len: usize) -> Result<Items> {
        Ok(Items { variant: Some(variant), items: Vec::with_capacity(len), collect: Term::Tuple })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries> {
        Ok(Entries { variant: None, key: None, entries: Vec::with_capacity(len.unwrap_or(0)) })
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Entries> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, len: usize) -> Result<Entries> {
        Ok(Entries { variant: Some(variant), key: None, entries: Vec::with_capacity(len) })
    }
}

/// A variant with content is a map of one entry.
fn under(variant: Option<&'static str>, term: Term) -> Term {
    match variant {
        Some(variant) => Term::Map(vec![(Term::Binary(variant.into()), term)]),
        None => term,
    }
}

/// A list or tuple in the making.
struct Items {
    variant: Option<&'static str>,
    items: Vec<Term>,
    collect: fn(Vec<Term>) -> Term,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.items.push(to_term(value)?);
        Ok(())
    }

    fn finish(self) -> Result<Term> {
        Ok(under(self.variant, (self.collect)(self.items)))
    }
}

macro_rules! items {
    ($($trait:ident $method:ident),*) => {$(
        impl ser::$trait for Items {
            type Ok = Term;
            type Error = SerializeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.push(value)
            }

            fn end(self) -> Result<Term> {
                self.finish()
            }
        }
    )*};
}

items!(
    SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

/// A map in the making.
struct Entries {
    variant: Option<&'static str>,
    /// The key whose value comes next.
    key: Option<Term>,
    entries: Vec<(Term, Term)>,
}

impl Entries {
    fn finish(self) -> Result<Term> {
        Ok(under(self.variant, Term::Map(self.entries)))
    }
}

impl ser::SerializeMap for Entries {
    type Ok = Term;
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = Some(to_term(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let key = self.key.take().ok_or_else(|| ser::Error::custom("a map gave a value before its key"))?;
        self.entries.push((key, to_term(value)?));
        Ok(())
    }

    fn end(self) -> Result<Term> {
        self.finish()
    }
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Entries {
            type Ok = Term;
            type Error = SerializeError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
                self.entries.push((Term::Binary(name.into()), to_term(value)?));
                Ok(())
            }

            fn end(self) -> Result<Term> {
                self.finish()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);
