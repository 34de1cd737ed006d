//! What bytes of a stranger may do, as one function a target. Each panics if what must hold does not.
//!
//! `cargo xtask fuzz` gives them to libFuzzer, `tests/seeds.rs` gives them the seeds and each regression on any machine.

mod decoder;
mod differential;
mod handshake;
mod inflater;
mod negotiation;
mod roundtrip;
mod serializer;
mod stream;

pub use decoder::decoder;
pub use differential::differential;
pub use handshake::handshake;
pub use inflater::inflater;
pub use negotiation::negotiation;
pub use roundtrip::roundtrip;
pub use serializer::serializer;

/// The name of each target, and what it does with some bytes.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("decoder", decoder),
    ("differential", differential),
    ("handshake", handshake),
    ("inflater", inflater),
    ("negotiation", negotiation),
    ("roundtrip", roundtrip),
    ("serializer", serializer),
];
