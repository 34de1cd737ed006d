//! Why a connection ends: the code and the reason of a Close (§5.5.1, §7.4).

use alloc::boxed::Box;
use core::fmt;

use crate::error::ProtocolError;
use crate::utf8;

/// Most bytes the reason of a Close may have: 125 less the two of the code (§5.5).
pub const MAX_REASON_BYTES: usize = 123;

/// Why a connection ended, as a number (§7.4, and the IANA registry for 1012-1014).
///
/// Either a code that may travel, or one of the local meanings [`NO_STATUS`](Self::NO_STATUS),
/// [`ABNORMAL`](Self::ABNORMAL) and [`TLS_FAILED`](Self::TLS_FAILED), which are never sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled. `phoenix.js` does not come back after it.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes away: a server stops, a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The peer sent a type of data that is not accepted here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Local: the Close had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// Local: the connection was lost without a Close. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// The payload does not fit its type, as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of ours.
    pub const POLICY: Self = Self(1008);
    /// The message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// A client needs an extension that the server did not grant.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// We failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server restarts; come back after a short while.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server is overloaded; come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A gateway got no good answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// Local: TLS could not be set up. Never sent.
    pub const TLS_FAILED: Self = Self(1015);

    /// The code with this number, if it may travel: 1000-1003, 1007-1014, 3000-4999 (§7.4).
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// Whether this code may be sent; false only for the local meanings 1005, 1006 and 1015.
    pub const fn may_travel(self) -> bool {
        !matches!(self, Self::NO_STATUS | Self::ABNORMAL | Self::TLS_FAILED)
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// What a Close says: a code and a reason of at most [`MAX_REASON_BYTES`].
///
/// The reason is for developers and logs; it must not be shown to users (§5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: Box<str>,
}

impl CloseFrame {
    /// A Close with `code` and `reason`, the reason cut to [`MAX_REASON_BYTES`] on a character border.
    ///
    /// A local code ([`CloseCode::NO_STATUS`], ..) leaves as an empty Close: it says that there is no code.
    pub fn new(code: CloseCode, reason: &str) -> Self {
        let mut end = reason.len().min(MAX_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self { code, reason: reason[..end].into() }
    }

    /// The code.
    pub const fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason; often empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Reads the payload of a Close: nothing, or two bytes of code and a reason in UTF-8 (§5.5.1).
    pub(crate) fn decode(payload: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return if payload.is_empty() { Ok(None) } else { Err(ProtocolError::CloseTooShort) };
        };
        let code = u16::from_be_bytes(*code);
        let code = CloseCode::new(code).ok_or(ProtocolError::InvalidCloseCode(code))?;
        let reason = utf8::check(reason).ok_or(ProtocolError::InvalidCloseReason)?;
        Ok(Some(Self { code, reason: reason.into() }))
    }
}

impl From<CloseCode> for CloseFrame {
    /// A Close with this code and no reason.
    fn from(code: CloseCode) -> Self {
        Self::new(code, "")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn ws_c1_codes_that_may_travel() {
        for number in (0..=5000).chain([u16::MAX]) {
            let may_travel = match number {
                1000..=1003 => true,
                // 1004 is reserved; 1005, 1006 and 1015 are local (§7.4.1).
                1004..=1006 | 1015 => false,
                1007..=1014 => true,
                3000..=4999 => true,
                _ => false,
            };
            let frame = CloseFrame::decode(&number.to_be_bytes());
            match CloseCode::new(number) {
                Some(code) => {
                    assert!(may_travel && code.may_travel(), "{number}");
                    assert_eq!(frame, Ok(Some(code.into())));
                }
                None => {
                    assert!(!may_travel, "{number}");
                    assert_eq!(frame, Err(ProtocolError::InvalidCloseCode(number)));
                }
            }
        }
    }

    #[test]
    fn local_codes_do_not_travel() {
        for code in [CloseCode::NO_STATUS, CloseCode::ABNORMAL, CloseCode::TLS_FAILED] {
            assert!(!code.may_travel());
            assert_eq!(CloseCode::new(code.value()), None);
        }
    }

    #[test]
    fn close_payloads_5_5_1() {
        let with_reason = |reason: &[u8]| [&[0x03, 0xE8], reason].concat();
        for (payload, expected) in [
            (Vec::new(), Ok(None)),
            ([0x03].to_vec(), Err(ProtocolError::CloseTooShort)),
            (with_reason(b""), Ok(Some(CloseFrame::new(CloseCode::NORMAL, "")))),
            (with_reason("tschüß".as_bytes()), Ok(Some(CloseFrame::new(CloseCode::NORMAL, "tschüß")))),
            (with_reason(b"\xCE"), Err(ProtocolError::InvalidCloseReason)),
            (with_reason(b"\xED\xA0\x80"), Err(ProtocolError::InvalidCloseReason)),
        ] {
            assert_eq!(CloseFrame::decode(&payload), expected, "{payload:02x?}");
        }
    }

    #[test]
    fn reasons_are_cut_on_a_character_border() {
        for (reason, bytes) in [("a".repeat(122), 122), ("a".repeat(123), 123), ("a".repeat(124), 123)] {
            assert_eq!(CloseFrame::new(CloseCode::NORMAL, &reason).reason().len(), bytes);
        }
        assert_eq!(CloseFrame::new(CloseCode::NORMAL, &"ß".repeat(62)).reason(), "ß".repeat(61));
        assert_eq!(CloseFrame::new(CloseCode::NORMAL, &"🐦".repeat(31)).reason(), "🐦".repeat(30));
    }
}
