//! The Phoenix channels wire protocol as pure functions: text in, [`Message`] out; [`Outgoing`] in, text out.
//! No IO, no clock, no task, no lock.
//!
//! - **Nothing is copied that may be borrowed**: a decoded [`Message`] points into the caller's text. Payloads stay
//!   raw JSON until somebody asks for a type.
//! - **What a client names is echoed verbatim**: refs, join refs and topics may be any JSON (spec 1.4).
//! - **Output is compact**: no space, no needless escape, the order of the five items fixed (Kotlin's client scans for
//!   commas).
//!
//! `text → Serializer::decode_text → Message`, and back: `Outgoing → Serializer::encode → text`.
#![no_std]
extern crate alloc;

mod error;
mod event;
mod message;
mod payload;
mod reference;
mod serializer;
mod topic;

pub use error::{DecodeError, EncodeError, PayloadError, VsnError};
pub use event::{FromEvent, RawEvent};
pub use message::{Message, MessageBuf, Name, Outgoing, events};
pub use payload::{IntoPayload, Payload, PayloadRef};
pub use reference::{Ref, RefBuf};
pub use serializer::{Serializer, V2Json, Version};
pub use topic::{PatternError, Topic, TopicPattern};
