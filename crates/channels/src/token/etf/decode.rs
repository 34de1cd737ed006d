//! Bytes → terms. What follows the term is ignored, as the BEAM does.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::{MAX_DEPTH, MAX_INFLATED_BYTES, Term, VERSION, tag};

/// The bytes are no term that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum DecodeError {
    #[error("term does not begin with the version byte")]
    Version,
    #[error("term ends too early")]
    Truncated,
    #[error("term has tag {0}, which is not taken")]
    Tag(u8),
    #[error("term nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("list does not end in the empty list")]
    Improper,
    #[error("atom is not UTF-8")]
    Atom,
    #[error("float is not a finite number")]
    Float,
    #[error("compressed term cannot be inflated to its announced size")]
    Compressed,
    #[error("compressed term would be larger than {MAX_INFLATED_BYTES} bytes")]
    TooLarge,
    #[error("term has another shape than a token's")]
    Shape,
}

/// Decodes one term, inflating it first if need be.
pub(in super::super) fn decode(bytes: &[u8]) -> Result<Term, DecodeError> {
    let mut input = Input(bytes);
    if input.u8()? != VERSION {
        return Err(DecodeError::Version);
    }
    if input.0.first() != Some(&tag::COMPRESSED) {
        return input.term(0);
    }
    input.u8()?;
    let inflated = inflate(&mut input)?;
    Input(&inflated).term(0)
}

fn inflate(input: &mut Input<'_>) -> Result<Vec<u8>, DecodeError> {
    let size = input.count()?;
    if size > MAX_INFLATED_BYTES {
        return Err(DecodeError::TooLarge);
    }
    let mut inflated = Vec::new();
    // One byte more than announced tells a stream that goes on.
    let limit = size as u64 + 1;
    ZlibDecoder::new(input.0).take(limit).read_to_end(&mut inflated).map_err(|_| DecodeError::Compressed)?;
    if inflated.len() == size { Ok(inflated) } else { Err(DecodeError::Compressed) }
}

/// What is left to decode.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    /// A count or length of four bytes.
    fn count(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|bytes| u32::from_be_bytes(bytes) as usize)
    }

    fn term(&mut self, depth: usize) -> Result<Term, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        let start = self.0;
        match self.u8()? {
            tag::SMALL_INTEGER => Ok(Term::Integer(self.u8()?.into())),
            tag::INTEGER => Ok(Term::Integer(i32::from_be_bytes(self.array()?).into())),
            tag::SMALL_BIG => self.u8().and_then(|len| self.big(len.into())),
            tag::LARGE_BIG => self.count().and_then(|len| self.big(len)),
            tag::FLOAT => self.float(),
            tag::BINARY => self.count().and_then(|len| Ok(Term::Binary(self.take(len)?.to_vec()))),
            tag::NIL => Ok(Term::List(Vec::new())),
            tag::STRING => self.u16().and_then(|len| self.byte_list(len)),
            tag::LIST => self.list(depth),
            tag::SMALL_TUPLE => self.u8().and_then(|count| Ok(Term::Tuple(self.terms(count.into(), depth)?))),
            tag::LARGE_TUPLE => self.count().and_then(|count| Ok(Term::Tuple(self.terms(count, depth)?))),
            tag::MAP => self.map(depth),
            tag @ (tag::PID | tag::NEW_PID | tag::PORT | tag::NEW_PORT | tag::V4_PORT) => self.opaque(tag, start),
            tag @ (tag::NEW_REFERENCE | tag::NEWER_REFERENCE) => self.opaque(tag, start),
            other => self.atom(other),
        }
    }

    /// So many terms. Each takes a byte at least, so a count beyond what is left is a lie and asks for no memory.
    fn terms(&mut self, count: usize, depth: usize) -> Result<Vec<Term>, DecodeError> {
        if count > self.0.len() {
            return Err(DecodeError::Truncated);
        }
        (0..count).map(|_| self.term(depth + 1)).collect()
    }

    fn list(&mut self, depth: usize) -> Result<Term, DecodeError> {
        let count = self.count()?;
        let items = self.terms(count, depth)?;
        if self.u8()? == tag::NIL { Ok(Term::List(items)) } else { Err(DecodeError::Improper) }
    }

    fn map(&mut self, depth: usize) -> Result<Term, DecodeError> {
        let count = self.count()?;
        if count > self.0.len() / 2 {
            return Err(DecodeError::Truncated);
        }
        let entries = (0..count).map(|_| Ok((self.term(depth + 1)?, self.term(depth + 1)?)));
        entries.collect::<Result<_, _>>().map(Term::Map)
    }

    fn byte_list(&mut self, len: usize) -> Result<Term, DecodeError> {
        let bytes = self.take(len)?;
        Ok(Term::List(bytes.iter().map(|&byte| Term::Integer(byte.into())).collect()))
    }

    fn float(&mut self) -> Result<Term, DecodeError> {
        let value = f64::from_be_bytes(self.array()?);
        if value.is_finite() { Ok(Term::Float(value)) } else { Err(DecodeError::Float) }
    }

    fn big(&mut self, len: usize) -> Result<Term, DecodeError> {
        let negative = self.u8()? != 0;
        let mut magnitude = self.take(len)?;
        while let [rest @ .., 0] = magnitude {
            magnitude = rest;
        }
        let mut bytes = [0; 16];
        if let Some(low) = bytes.get_mut(..magnitude.len()) {
            low.copy_from_slice(magnitude);
            if let Ok(value) = i128::try_from(u128::from_le_bytes(bytes)) {
                return Ok(Term::Integer(if negative { -value } else { value }));
            }
        }
        Ok(Term::BigInteger { negative, magnitude: magnitude.to_vec() })
    }

    /// UTF-8, or the Latin-1 of OTP 25 and older, where each byte is its own code point.
    fn atom(&mut self, tag: u8) -> Result<Term, DecodeError> {
        let len = match tag {
            tag::ATOM | tag::ATOM_UTF8 => self.u16()?,
            tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => self.u8()?.into(),
            other => return Err(DecodeError::Tag(other)),
        };
        let name = self.take(len)?;
        match tag {
            tag::ATOM | tag::SMALL_ATOM => Ok(Term::Atom(name.iter().copied().map(char::from).collect())),
            _ => str::from_utf8(name).map(Term::atom).map_err(|_| DecodeError::Atom),
        }
    }

    /// A process, port or reference: the node's name, then numbers. Kept as bytes; only its length must be known.
    fn opaque(&mut self, tag: u8, start: &'a [u8]) -> Result<Term, DecodeError> {
        let numbers = match tag {
            tag::PID => 4 + 4 + 1,
            tag::NEW_PID => 4 + 4 + 4,
            tag::PORT => 4 + 1,
            tag::NEW_PORT => 4 + 4,
            tag::V4_PORT => 8 + 4,
            tag::NEW_REFERENCE => 1 + 4 * self.u16()?,
            _ => 4 + 4 * self.u16()?,
        };
        let node = self.u8()?;
        self.atom(node)?;
        self.take(numbers)?;
        Ok(Term::Opaque(start[..start.len() - self.0.len()].to_vec()))
    }
}
