//! The external term format of Erlang, as far as tokens need it, and its meeting with serde.
//!
//! - **Nothing is reserved by an announced length**: what is not there is refused before memory is asked for.
//! - **Atoms are strings**: no table grows with what a peer sends.
//! - **Functions are refused**, and so are node-local terms, bit strings and improper lists.

mod decode;
mod deserialize;
mod encode;
mod serialize;
mod term;

pub(super) use decode::{DecodeError, decode};
pub(super) use deserialize::from_term;
pub(super) use encode::encode;
pub(super) use serialize::to_term;
pub(super) use term::Term;

/// How deep terms may nest: 64 levels.
pub(super) const MAX_DEPTH: usize = 64;

/// How large a compressed term may become: 1 MiB.
const MAX_INFLATED_BYTES: usize = 1 << 20;

/// The first byte of every term.
const VERSION: u8 = 131;

/// The byte before each term that says what it is.
mod tag {
    pub(super) const FLOAT: u8 = 70;
    pub(super) const COMPRESSED: u8 = 80;
    pub(super) const NEW_PID: u8 = 88;
    pub(super) const NEW_PORT: u8 = 89;
    pub(super) const NEWER_REFERENCE: u8 = 90;
    pub(super) const SMALL_INTEGER: u8 = 97;
    pub(super) const INTEGER: u8 = 98;
    pub(super) const ATOM: u8 = 100;
    pub(super) const PORT: u8 = 102;
    pub(super) const PID: u8 = 103;
    pub(super) const SMALL_TUPLE: u8 = 104;
    pub(super) const LARGE_TUPLE: u8 = 105;
    pub(super) const NIL: u8 = 106;
    pub(super) const STRING: u8 = 107;
    pub(super) const LIST: u8 = 108;
    pub(super) const BINARY: u8 = 109;
    pub(super) const SMALL_BIG: u8 = 110;
    pub(super) const LARGE_BIG: u8 = 111;
    pub(super) const NEW_REFERENCE: u8 = 114;
    pub(super) const SMALL_ATOM: u8 = 115;
    pub(super) const MAP: u8 = 116;
    pub(super) const ATOM_UTF8: u8 = 118;
    pub(super) const SMALL_ATOM_UTF8: u8 = 119;
    pub(super) const V4_PORT: u8 = 120;
}
