//! What one peer may cost us (§10.4).

/// The limits on what one peer sends. `Default` is [`Limits::DEFAULT`], chosen for a public server.
///
/// A frame or message over its size is answered with Close 1009, too many fragments with 1008. Both sizes are checked
/// when the header is read, before any payload is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest payload of one data frame, in bytes. Default: 1 MiB. Control frames have their own limit, 125 (§5.5).
    pub max_frame_bytes: usize,
    /// Largest message, its fragments joined, in bytes. Default: 8 MiB.
    pub max_message_bytes: usize,
    /// Most frames one message may come in, empty ones counted. Default: 1,024.
    pub max_fragments: u32,
}

impl Limits {
    /// 1 MiB a frame, 8 MiB a message, 1,024 fragments.
    pub const DEFAULT: Self = Self { max_frame_bytes: 1 << 20, max_message_bytes: 8 << 20, max_fragments: 1024 };

    /// Sets the largest payload of one data frame, in bytes.
    #[must_use]
    pub const fn with_max_frame_bytes(self, max_frame_bytes: usize) -> Self {
        Self { max_frame_bytes, ..self }
    }

    /// Sets the largest message, in bytes.
    #[must_use]
    pub const fn with_max_message_bytes(self, max_message_bytes: usize) -> Self {
        Self { max_message_bytes, ..self }
    }

    /// Sets how many frames one message may come in.
    #[must_use]
    pub const fn with_max_fragments(self, max_fragments: u32) -> Self {
        Self { max_fragments, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const _: () = assert!(Limits::DEFAULT.max_frame_bytes <= Limits::DEFAULT.max_message_bytes);
