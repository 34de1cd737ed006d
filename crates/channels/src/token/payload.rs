//! What lies under the signature: the data, when it was signed, how long it is good.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::etf::{DecodeError, Term, decode, encode};
use super::{DEFAULT_MAX_AGE, MaxAge};

/// One token's content.
#[derive(Debug, PartialEq)]
pub(super) struct Payload {
    pub(super) data: Term,
    /// Milliseconds since the epoch.
    pub(super) signed_at_ms: i128,
    pub(super) max_age: MaxAge,
}

impl Payload {
    pub(super) fn encode(self) -> Vec<u8> {
        let max_age = match self.max_age {
            MaxAge::Infinite => Term::atom("infinity"),
            MaxAge::Within(age) if age.subsec_nanos() == 0 => Term::Integer(age.as_secs().into()),
            MaxAge::Within(age) => Term::Float(age.as_secs_f64()),
        };
        encode(&Term::Tuple(vec![self.data, Term::Integer(self.signed_at_ms), max_age]))
    }

    /// Takes the triple, and the two older shapes: a pair without age, and a map `data`, `signed`.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match decode(bytes)? {
            Term::Tuple(items) => Self::from_tuple(items),
            Term::Map(entries) => Self::from_map(entries),
            _ => Err(DecodeError::Shape),
        }
    }

    fn from_tuple(items: Vec<Term>) -> Result<Self, DecodeError> {
        let mut items = items.into_iter();
        match (items.next(), items.next(), items.next(), items.next()) {
            (Some(data), Some(Term::Integer(signed_at_ms)), None, None) => {
                Ok(Self { data, signed_at_ms, max_age: DEFAULT_MAX_AGE })
            }
            (Some(data), Some(Term::Integer(signed_at_ms)), Some(max_age), None) => {
                Ok(Self { data, signed_at_ms, max_age: max_age_of(&max_age)? })
            }
            _ => Err(DecodeError::Shape),
        }
    }

    fn from_map(entries: Vec<(Term, Term)>) -> Result<Self, DecodeError> {
        let (mut data, mut signed) = (None, None);
        for (key, value) in entries {
            match (key, value) {
                (Term::Atom(name), value) if name == "data" => data = Some(value),
                (Term::Atom(name), Term::Integer(at)) if name == "signed" => signed = Some(at),
                _ => {}
            }
        }
        let (data, signed_at_ms) = data.zip(signed).ok_or(DecodeError::Shape)?;
        Ok(Self { data, signed_at_ms, max_age: DEFAULT_MAX_AGE })
    }
}

/// Seconds, whole or not, or `infinity`. A negative age is as good as none.
fn max_age_of(term: &Term) -> Result<MaxAge, DecodeError> {
    let seconds = match term {
        Term::Atom(name) if name == "infinity" => return Ok(MaxAge::Infinite),
        Term::Integer(seconds) => *seconds as f64,
        Term::Float(seconds) => *seconds,
        _ => return Err(DecodeError::Shape),
    };
    // Too large for a `Duration` is longer than the clock can tell.
    Ok(MaxAge::Within(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// Milliseconds since the epoch, negative before it.
pub(super) fn millis(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_millis() as i128,
        Err(before) => -(before.duration().as_millis() as i128),
    }
}
