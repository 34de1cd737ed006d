//! Plays the client of a transcript against a server and compares what comes back with what a real Phoenix sent.
//!
//! - **JSON is compared by value**, the order of keys does not matter; `phx_ref` and tokens differ from run to run.
//! - **Order holds within a connection**; frames of different connections interleave freely.
//! - **Nothing more may come**: a frame that the transcript does not have is a difference.

mod compare;
mod exchange;
mod run;
mod transcript;
mod waiting;

#[cfg(test)]
mod tests;

pub use run::{Difference, replay};
pub use transcript::Transcript;
pub use waiting::waits_for;
