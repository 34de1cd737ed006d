//! RFC 6455 as a state machine: bytes in, messages out. No socket, no clock, no task.
//!
//! ```text
//! bytes ─► header, mask ─► assembler, utf8 ─► Received     Connection::handle_input
//! bytes ◄───── header, mask ◄──── encoder ◄── message      Connection::send_*, close, fail
//! ```
//!
//! - **A frame is checked before its payload is kept**: a hostile length costs 14 bytes (§5.2).
//! - **At most one message is in flight**: a new data frame between fragments is an error (§5.4).
//! - **What lies whole in the input is borrowed** from there, unmasked in place; only fragments and pieces are gathered.
//! - **How the bytes were cut never matters**: same bytes, same messages, same errors.
//! - **After the closing handshake, silence**: nothing more is read or written (§7.1.7).
//!
//! The opening handshake is in [`handshake`]: pure functions from heads to heads. Compression, the feature `deflate`, is
//! in the module of that name.

#![no_std]

extern crate alloc;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod assembler;
mod close;
mod connection;
mod decoder;
mod encoder;
mod error;
mod fragment;
mod header;
mod limits;
mod mask;
mod message;
mod opcode;
mod utf8;

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod handshake;

pub use close::{CloseCode, CloseFrame, MAX_REASON_BYTES};
pub use connection::{Connection, Role};
pub use encoder::{encode_server_frame, encode_server_frame_with, encode_server_header};
pub use error::{ProtocolError, SendError};
pub use fragment::{Fragment, ReceivedFragment};
pub use limits::Limits;
pub use message::{MessageKind, Received, WholeMessage};
pub use opcode::Opcode;
