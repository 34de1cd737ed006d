//! The inner loops alone: masking and UTF-8.

use std::hint::black_box;

// What wtx's `unmask` expects of its crate, as it is there for x86-64 without further options.
macro_rules! _simd {
    (4 => $_four:expr, 16 => $sixteen:expr, 32 => $_wider:expr, 64 => $_widest:expr $(,)?) => {
        $sixteen
    };
}
macro_rules! _internal_doc {
    () => {
        "Of wtx."
    };
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// Masks in place.
pub type Mask = fn(&mut [u8], [u8; 4]);
/// Whether it is text.
pub type Check = fn(&[u8]) -> bool;

/// Whose, and how it masks in place.
pub const MASKING: [(&str, Mask); 6] = [
    (crate::contest::OURS, |bytes, key| {
        black_box(crate::mask::Mask::new(key).apply(bytes));
    }),
    ("tungstenite", |bytes, key| tungstenite::apply_mask(bytes, key)),
    ("fastwebsockets", |bytes, key| fastwebsockets::unmask(bytes, key)),
    ("tokio-websockets", |bytes, mut key| tokio_websockets::frame(&mut key, bytes)),
    ("wtx", |bytes, key| wtx::unmask(bytes, key)),
    ("yawc", |bytes, key| yawc::mask::apply_mask(bytes, key)),
];

/// Whose, and how text is checked.
pub const UTF8: [(&str, Check); 3] = [
    (crate::contest::OURS, |bytes| crate::utf8::check(bytes).is_some()),
    ("simdutf8", |bytes| simdutf8::basic::from_utf8(bytes).is_ok()),
    ("std", |bytes| std::str::from_utf8(bytes).is_ok()),
];
