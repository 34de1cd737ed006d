//! Offers and answers (RFC 7692 §7.1): pure functions over the parameters of an extension.

use alloc::string::{String, ToString};
use core::fmt;
use core::num::NonZeroU8;

use super::DeflateConfig;
use super::codec::deflater_bytes;
use crate::connection::Role;
use crate::handshake::{Extension, ResponseError};

/// The name of the extension (RFC 7692 §7).
pub const DEFLATE_EXTENSION: &str = "permessage-deflate";

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// What both sides have agreed on (RFC 7692 §7.1). Two bytes; it comes from a negotiation only.
///
/// Its `Display` is the answer as it stands in the server's Sec-WebSocket-Extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeflateParams {
    server: Window,
    client: Window,
}

impl DeflateParams {
    /// The server's window is two to the power of this many bytes: 8 to 15.
    pub const fn server_window_bits(self) -> u8 {
        self.server.bits()
    }

    /// The client's window is two to the power of this many bytes: 8 to 15.
    pub const fn client_window_bits(self) -> u8 {
        self.client.bits()
    }

    /// Whether the server may refer to its earlier messages.
    pub const fn has_server_takeover(self) -> bool {
        self.server.has_takeover()
    }

    /// Whether the client may refer to its earlier messages.
    pub const fn has_client_takeover(self) -> bool {
        self.client.has_takeover()
    }

    /// The same with both `no_context_takeover` parameters. A server may always answer so (RFC 7692 §7.1.1).
    #[must_use]
    pub const fn without_takeover(self) -> Self {
        Self { server: self.server.without_takeover(), client: self.client.without_takeover() }
    }

    /// Most bytes of heap the contexts of one connection take: none without context takeover.
    pub const fn takeover_bytes(self, role: Role) -> usize {
        let (own, peer) = self.sides(role);
        let own_bytes = if own.has_takeover() && own.can_deflate() { deflater_bytes(own.bits()) } else { 0 };
        let peer_bytes = if peer.has_takeover() { peer.bytes() } else { 0 };
        own_bytes + peer_bytes
    }

    /// Our own window and the peer's.
    pub(crate) const fn sides(self, role: Role) -> (Window, Window) {
        match role {
            Role::Server => (self.server, self.client),
            Role::Client { .. } => (self.client, self.server),
        }
    }
}

impl fmt::Display for DeflateParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DEFLATE_EXTENSION)?;
        for (side, name) in [(self.server, SERVER_NO_CONTEXT_TAKEOVER), (self.client, CLIENT_NO_CONTEXT_TAKEOVER)] {
            if !side.has_takeover() {
                write!(f, "; {name}")?;
            }
        }
        for (side, name) in [(self.server, SERVER_MAX_WINDOW_BITS), (self.client, CLIENT_MAX_WINDOW_BITS)] {
            if side.is_named() {
                write!(f, "; {name}={}", side.bits())?;
            }
        }
        Ok(())
    }
}

/// How one side compresses, in one byte, so that a connection stays small.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Window(NonZeroU8);

impl Window {
    /// The largest window there is (RFC 7692 §7.1.2).
    const MAX_BITS: u8 = 15;
    const BITS: u8 = 0x0F;
    const TAKEOVER: u8 = 0x10;
    /// The size stands in the answer.
    const NAMED: u8 = 0x20;

    const fn new(bits: u8, has_takeover: bool, is_named: bool) -> Self {
        let takeover = if has_takeover { Self::TAKEOVER } else { 0 };
        let named = if is_named { Self::NAMED } else { 0 };
        Self(NonZeroU8::new(bits | takeover | named).expect("a window has 8 bits or more"))
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0.get() & Self::BITS
    }

    /// The size of the window, in bytes.
    pub(crate) const fn bytes(self) -> usize {
        1 << self.bits()
    }

    pub(crate) const fn has_takeover(self) -> bool {
        self.0.get() & Self::TAKEOVER != 0
    }

    /// Whether we can fill such a window. No zlib compresses into 256 bytes, so a client told to sends as it is.
    pub(crate) const fn can_deflate(self) -> bool {
        self.bits() >= DeflateConfig::MIN_WINDOW_BITS
    }

    const fn is_named(self) -> bool {
        self.0.get() & Self::NAMED != 0
    }

    const fn without_takeover(self) -> Self {
        Self::new(self.bits(), false, self.is_named())
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = if self.has_takeover() { "takeover" } else { "no takeover" };
        write!(f, "Window({} bits, {takeover})", self.bits())
    }
}

/// The parameters as they came, each at most once and with a value that may be.
#[derive(Clone, Copy, Debug, Default)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// The value may be missing in an offer.
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    /// `None` for an unknown or repeated parameter, a value too much, too little or out of range (RFC 7692 §7.1).
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut read = Self::default();
        for (index, (name, value)) in extension.params.iter().enumerate() {
            if extension.params[..index].iter().any(|(earlier, _)| earlier == name) {
                return None;
            }
            match (*name, value.as_deref()) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => read.server_no_takeover = true,
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => read.client_no_takeover = true,
                (SERVER_MAX_WINDOW_BITS, Some(bits)) => read.server_bits = Some(window_bits(bits)?),
                (CLIENT_MAX_WINDOW_BITS, None) => read.client_bits = Some(None),
                (CLIENT_MAX_WINDOW_BITS, Some(bits)) => read.client_bits = Some(Some(window_bits(bits)?)),
                _ => return None,
            }
        }
        Some(read)
    }
}

/// 8 to 15, decimal, without leading zeros (RFC 7692 §7.1.2).
fn window_bits(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [digit @ (b'8' | b'9')] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

impl DeflateConfig {
    /// Server: what to answer to the extension `offers` of a client, the one it likes best first. `None`: nothing can be
    /// agreed on, the connection opens without compression.
    ///
    /// Offers of other extensions are passed over. The first offer that can be granted is (RFC 7692 §5.1); one that asks
    /// for a window of 8 bits of ours cannot, nor can one that does not let us limit the client's window though we want
    /// to.
    #[allow(single_use_lifetimes, reason = "an `impl Trait` argument cannot do without the name yet")]
    pub fn accept<'o>(&self, offers: impl IntoIterator<Item = Extension<'o>>) -> Option<DeflateParams> {
        let mut offers = offers.into_iter().filter(|offer| offer.name == DEFLATE_EXTENSION);
        offers.find_map(|offer| self.accept_offer(&offer))
    }

    fn accept_offer(&self, offer: &Extension<'_>) -> Option<DeflateParams> {
        let offer = Parameters::read(offer)?;
        let server_bits = offer.server_bits.unwrap_or(Window::MAX_BITS).min(self.server_max_window_bits());
        let client_bits = match offer.client_bits {
            // Without the parameter in the offer we may not ask (RFC 7692 §7.1.2.2).
            None if self.client_max_window_bits() < Window::MAX_BITS => return None,
            None => Window::MAX_BITS,
            Some(limit) => limit.unwrap_or(Window::MAX_BITS).min(self.client_max_window_bits()),
        };
        if server_bits < Self::MIN_WINDOW_BITS {
            return None;
        }
        let server_takeover = self.has_server_takeover() && !offer.server_no_takeover;
        let client_takeover = self.has_client_takeover() && !offer.client_no_takeover;
        // What the client asked of us must stand in the answer (RFC 7692 §7.1.2.1).
        let names_server = offer.server_bits.is_some() || server_bits < Window::MAX_BITS;
        let names_client = client_bits < Window::MAX_BITS;
        Some(DeflateParams {
            server: Window::new(server_bits, server_takeover, names_server),
            client: Window::new(client_bits, client_takeover, names_client),
        })
    }

    /// Client: the offer, as it stands in Sec-WebSocket-Extensions.
    ///
    /// It always lets the server limit our window; all else is named only where it differs from what holds without.
    pub fn offer(&self) -> String {
        let mut offer = DEFLATE_EXTENSION.to_string();
        let mut name = |wanted: bool, name: &str, bits: Option<u8>| {
            if wanted {
                offer.push_str("; ");
                offer.push_str(name);
            }
            if let Some(bits) = bits.filter(|_| wanted) {
                offer.push('=');
                offer.push_str(&bits.to_string());
            }
        };
        let limit = |bits: u8| Some(bits).filter(|&bits| bits < Window::MAX_BITS);
        let server_limit = limit(self.server_max_window_bits());
        name(!self.has_server_takeover(), SERVER_NO_CONTEXT_TAKEOVER, None);
        name(!self.has_client_takeover(), CLIENT_NO_CONTEXT_TAKEOVER, None);
        name(server_limit.is_some(), SERVER_MAX_WINDOW_BITS, server_limit);
        name(true, CLIENT_MAX_WINDOW_BITS, limit(self.client_max_window_bits()));
        offer
    }

    /// Client: judges the server's answer to our [`offer`](Self::offer).
    ///
    /// # Errors
    ///
    /// [`ResponseError::Deflate`]: a parameter is unknown, repeated, out of range, or not what was offered. The
    /// connection must be failed (RFC 7692 §5.1, §7.1).
    pub fn check_answer(&self, answer: &Extension<'_>) -> Result<DeflateParams, ResponseError> {
        self.params_of(answer).ok_or(ResponseError::Deflate)
    }

    fn params_of(&self, answer: &Extension<'_>) -> Option<DeflateParams> {
        let answer = Parameters::read(answer)?;
        // What we asked for, the server grants by naming it (RFC 7692 §7.1.1.1, §7.1.2.1).
        let server_limit = self.server_max_window_bits();
        let server_bits = match answer.server_bits {
            None if server_limit < Window::MAX_BITS => return None,
            None => Window::MAX_BITS,
            Some(bits) => Some(bits).filter(|&bits| bits <= server_limit)?,
        };
        if !self.has_server_takeover() && !answer.server_no_takeover {
            return None;
        }
        let client_limit = self.client_max_window_bits();
        let client_bits = match answer.client_bits {
            None => client_limit,
            Some(bits) => bits.filter(|&bits| bits <= client_limit)?,
        };
        let client_takeover = self.has_client_takeover() && !answer.client_no_takeover;
        Some(DeflateParams {
            server: Window::new(server_bits, !answer.server_no_takeover, answer.server_bits.is_some()),
            client: Window::new(client_bits, client_takeover, answer.client_bits.is_some()),
        })
    }
}
