//! Refs: the client's names for its own messages. Any JSON, echoed verbatim (row M16).

use alloc::borrow::Cow;
use alloc::boxed::Box;

/// A `ref` or `join_ref` as the client wrote it: JSON text, not interpreted.
#[derive(Clone, Debug)]
pub struct Ref<'a>(Cow<'a, str>);

impl<'a> Ref<'a> {
    /// No ref.
    pub const NULL: Ref<'static> = Ref(Cow::Borrowed("null"));

    /// `json` must be one JSON value.
    pub(crate) const fn from_json(json: &'a str) -> Self {
        Self(Cow::Borrowed(json))
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Whether the client sent `null`.
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// Whether both mean the same value. `4` is not `"4"`; `"\u0034"` is (the stale test of spec 1.8).
    pub fn is_same(&self, other: &Ref<'_>) -> bool {
        self.0 == other.0
            || ((self.is_spelt_oddly() || other.is_spelt_oddly())
                && self.value().is_some_and(|value| other.value() == Some(value)))
    }

    /// Texts that differ may still be equal: escapes, `1.0` and `1.00`, objects.
    fn is_spelt_oddly(&self) -> bool {
        !self.0.starts_with('"') || self.0.contains('\\')
    }

    fn value(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.0).ok()
    }

    /// A copy that lives as long as one likes; without an allocation up to 22 bytes.
    pub fn to_buf(&self) -> RefBuf {
        let json = self.as_json();
        if self.is_null() {
            return RefBuf(Repr::Null);
        }
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..json.len()) {
            Some(start) => {
                start.copy_from_slice(json.as_bytes());
                RefBuf(Repr::Inline(json.len() as u8, bytes))
            }
            None => RefBuf(Repr::Heap(json.into())),
        }
    }
}

const INLINE: usize = 22;

/// An owned [`Ref`] of 24 bytes. Refs are short (phoenix.js counts up), so there is nearly always no allocation.
#[derive(Clone, Debug, Default)]
pub struct RefBuf(Repr);

#[derive(Clone, Debug, Default)]
enum Repr {
    #[default]
    Null,
    Inline(u8, [u8; INLINE]),
    Heap(Box<str>),
}

impl RefBuf {
    /// Borrowed again.
    pub fn as_ref(&self) -> Ref<'_> {
        match &self.0 {
            Repr::Null => Ref::NULL,
            // Inline bytes are a whole `str` by construction; were they not, no ref is the safe reading.
            Repr::Inline(len, bytes) => {
                Ref::from_json(core::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or("null"))
            }
            Repr::Heap(json) => Ref::from_json(json),
        }
    }

    /// Whether this is no ref.
    pub fn is_null(&self) -> bool {
        matches!(self.0, Repr::Null)
    }
}

const _: () = assert!(size_of::<RefBuf>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ch_r14_the_stale_test_is_strict() {
        for (one, other, expected) in [
            (r#""4""#, r#""4""#, true),
            ("4", r#""4""#, false),
            ("4", "4", true),
            (r#""\u0034""#, r#""4""#, true),
            ("null", r#""4""#, false),
            (r#""""#, r#""""#, true),
            (r#""4""#, r#""5""#, false),
            (r#"{"a":1}"#, r#"{ "a":1}"#, true),
        ] {
            assert_eq!(Ref::from_json(one).is_same(&Ref::from_json(other)), expected, "{one} and {other}");
        }
    }

    #[test]
    fn ch_m16_refs_survive_owning() {
        for json in
            ["null", "7", r#""""#, r#""12345678901234567890""#, r#""a ref that is longer than 22 bytes""#, r#""żółć""#]
        {
            let owned = Ref::from_json(json).to_buf();
            assert_eq!(owned.as_ref().as_json(), json);
            assert_eq!(owned.is_null(), json == "null");
        }
    }
}
