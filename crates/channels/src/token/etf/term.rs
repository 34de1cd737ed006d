//! Term: a value of Erlang's.

use std::cmp::Ordering;

/// A value that can stand in a token.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Term {
    /// A name; also `nil`, `true` and `false`.
    Atom(String),
    Integer(i128),
    /// An integer beyond `i128`: its sign and its magnitude, little end first, without leading zeros.
    BigInteger {
        negative: bool,
        magnitude: Vec<u8>,
    },
    /// Always finite.
    Float(f64),
    /// Bytes; Elixir's strings are these.
    Binary(Vec<u8>),
    List(Vec<Term>),
    Tuple(Vec<Term>),
    /// Pairs in the order they came.
    Map(Vec<(Term, Term)>),
    /// A process, port or reference: its bytes as they came, tag included. Means something only where it was made.
    Opaque(Vec<u8>),
}

impl Term {
    pub(in super::super) fn atom(name: &str) -> Self {
        Self::Atom(name.to_owned())
    }

    pub(super) fn nil() -> Self {
        Self::atom("nil")
    }

    /// How many levels lie below this one.
    pub(in super::super) fn depth(&self) -> usize {
        let below = |term: &Self| 1 + term.depth();
        match self {
            Self::List(items) | Self::Tuple(items) => items.iter().map(below).max().unwrap_or(0),
            Self::Map(entries) => entries.iter().map(|(key, value)| below(key).max(below(value))).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// The order of the keys in a small map: integers, atoms, binaries. Others keep theirs.
    pub(super) fn compare_keys(&self, other: &Self) -> Ordering {
        let rank = |term: &Self| match term {
            Self::Integer(_) | Self::BigInteger { .. } => 0,
            Self::Float(_) => 1,
            Self::Atom(_) => 2,
            Self::Opaque(_) => 3,
            Self::Tuple(_) => 4,
            Self::Map(_) => 5,
            Self::List(_) => 6,
            Self::Binary(_) => 7,
        };
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Atom(a), Self::Atom(b)) => a.cmp(b),
            (Self::Binary(a), Self::Binary(b)) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}
