//! What bytes of a stranger may do, as one function a target. Each panics if what must hold does not.
//!
//! `cargo xtask fuzz` gives them to libFuzzer, `tests/seeds.rs` gives them the seeds and each regression on any machine.

mod decoder;
mod differential;
mod handshake;
mod inflater;
mod negotiation;
mod proxies;
mod roundtrip;
mod serializer;
mod stream;

// Pure files of the transport, which shows them to nobody. They are formatted, and their tests run, where they belong.
#[rustfmt::skip]
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/transport/src/mount/forwarded.rs"]
mod forwarded;
#[rustfmt::skip]
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/transport/src/mount/network.rs"]
mod network;
#[rustfmt::skip]
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/transport/src/mount/proxy_protocol.rs"]
mod proxy_protocol;

pub use decoder::decoder;
pub use differential::differential;
pub use handshake::handshake;
pub use inflater::inflater;
pub use negotiation::negotiation;
pub use proxies::proxies;
pub use roundtrip::roundtrip;
pub use serializer::serializer;

/// What is done with some bytes.
pub type Target = fn(&[u8]);

/// Each target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("decoder", decoder),
    ("differential", differential),
    ("handshake", handshake),
    ("inflater", inflater),
    ("negotiation", negotiation),
    ("proxies", proxies),
    ("roundtrip", roundtrip),
    ("serializer", serializer),
];
