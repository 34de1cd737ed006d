//! What we want of compression, and what the peer's may cost us.

/// What is offered, granted and used. `Default` is [`DeflateConfig::DEFAULT`].
///
/// By default no side takes its context over from message to message: a message is inflated without what came before
/// it, so no connection holds a context while it is idle. Windows and takeover are named after the side that
/// compresses, for both roles.
///
/// Compressing secrets together with what an attacker wrote tells their length (CRIME, BREACH): leave such messages as
/// they are, see [`Compression::Never`](super::Compression::Never).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    server_max_window_bits: u8,
    client_max_window_bits: u8,
    has_server_takeover: bool,
    has_client_takeover: bool,
    level: u8,
    min_bytes: usize,
    max_ratio: u32,
    ratio_floor_bytes: usize,
}

impl DeflateConfig {
    /// The smallest window we compress into. RFC 7692 knows 8 bits as well, but no zlib does.
    pub const MIN_WINDOW_BITS: u8 = 9;
    /// The largest window (RFC 7692 §7.1.2).
    pub const MAX_WINDOW_BITS: u8 = 15;

    /// Windows of 15 bits, no takeover, level 3; messages of 512 bytes and more are compressed; what inflates to more
    /// than 1 MiB may be 100 times as large as it came.
    pub const DEFAULT: Self = Self {
        server_max_window_bits: Self::MAX_WINDOW_BITS,
        client_max_window_bits: Self::MAX_WINDOW_BITS,
        has_server_takeover: false,
        has_client_takeover: false,
        level: 3,
        min_bytes: 512,
        max_ratio: 100,
        ratio_floor_bytes: 1 << 20,
    };

    /// Limits the server's window to two to the power of `bits` bytes, 9 to 15; taken to the nearest of these. Default:
    /// 15.
    #[must_use]
    pub const fn with_server_max_window_bits(self, bits: u8) -> Self {
        Self { server_max_window_bits: window_bits(bits), ..self }
    }

    /// Limits the client's window to two to the power of `bits` bytes, 9 to 15; taken to the nearest of these. Default:
    /// 15. A server with less than 15 declines clients that cannot be limited (RFC 7692 §7.1.2.2).
    #[must_use]
    pub const fn with_client_max_window_bits(self, bits: u8) -> Self {
        Self { client_max_window_bits: window_bits(bits), ..self }
    }

    /// Whether the server may refer to its earlier messages. Default: no. It compresses better, and costs the server up
    /// to 400 KiB for each connection.
    #[must_use]
    pub const fn with_server_takeover(self, has_server_takeover: bool) -> Self {
        Self { has_server_takeover, ..self }
    }

    /// Whether the client may refer to its earlier messages. Default: no. It costs the server up to 32 KiB for each
    /// connection.
    #[must_use]
    pub const fn with_client_takeover(self, has_client_takeover: bool) -> Self {
        Self { has_client_takeover, ..self }
    }

    /// How hard to try, 1 (fast) to 9 (small); taken to the nearest of these. Default: 3, at which
    /// JSON becomes hardly larger than at 6 and takes half the time or less.
    #[must_use]
    pub const fn with_level(self, level: u8) -> Self {
        let level = if level < 1 { 1 } else { level };
        Self { level: if level > 9 { 9 } else { level }, ..self }
    }

    /// Smallest message that is compressed unless asked for, in bytes. Default: 512; below, little is won.
    #[must_use]
    pub const fn with_min_bytes(self, min_bytes: usize) -> Self {
        Self { min_bytes, ..self }
    }

    /// How many times as large as it came a message may become, once it is larger than the floor. Default: 100; no
    /// deflate stream reaches 1,033. Over it: Close 1009.
    #[must_use]
    pub const fn with_max_ratio(self, max_ratio: u32) -> Self {
        Self { max_ratio, ..self }
    }

    /// The size in bytes up to which a message may inflate at any ratio. Default: 1 MiB.
    #[must_use]
    pub const fn with_ratio_floor_bytes(self, ratio_floor_bytes: usize) -> Self {
        Self { ratio_floor_bytes, ..self }
    }

    /// The limit of the server's window, in bits.
    pub const fn server_max_window_bits(&self) -> u8 {
        self.server_max_window_bits
    }

    /// The limit of the client's window, in bits.
    pub const fn client_max_window_bits(&self) -> u8 {
        self.client_max_window_bits
    }

    /// Whether the server may refer to its earlier messages.
    pub const fn has_server_takeover(&self) -> bool {
        self.has_server_takeover
    }

    /// Whether the client may refer to its earlier messages.
    pub const fn has_client_takeover(&self) -> bool {
        self.has_client_takeover
    }

    /// How hard to try, 1 to 9.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Smallest message that is compressed unless asked for, in bytes.
    pub const fn min_bytes(&self) -> usize {
        self.min_bytes
    }

    /// How many times as large as it came a message may become, once it is larger than the floor.
    pub const fn max_ratio(&self) -> u32 {
        self.max_ratio
    }

    /// The size in bytes up to which a message may inflate at any ratio.
    pub const fn ratio_floor_bytes(&self) -> usize {
        self.ratio_floor_bytes
    }

    /// The size up to which `compressed_bytes` may inflate as far as the ratio goes.
    pub(crate) fn ratio_limit(&self, compressed_bytes: usize) -> usize {
        compressed_bytes.saturating_mul(self.max_ratio as usize).max(self.ratio_floor_bytes)
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const fn window_bits(bits: u8) -> u8 {
    match bits {
        ..DeflateConfig::MIN_WINDOW_BITS => DeflateConfig::MIN_WINDOW_BITS,
        DeflateConfig::MAX_WINDOW_BITS.. => DeflateConfig::MAX_WINDOW_BITS,
        _ => bits,
    }
}
