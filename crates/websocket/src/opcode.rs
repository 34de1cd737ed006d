//! What a frame is for (§5.2).

/// The six opcodes in use; 3-7 and 11-15 are reserved and never get this far (§5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Goes on with the message in flight (§5.4).
    Continuation = 0x0,
    /// Starts a text message (§5.6).
    Text = 0x1,
    /// Starts a binary message (§5.6).
    Binary = 0x2,
    /// Starts or answers the closing handshake (§5.5.1).
    Close = 0x8,
    /// Asks for a Pong (§5.5.2).
    Ping = 0x9,
    /// Answers a Ping, or comes unasked (§5.5.3).
    Pong = 0xA,
}

impl Opcode {
    /// The opcode of the low four bits; `None` if they are reserved (§5.2).
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether this is a Close, Ping or Pong: at most 125 bytes, never fragmented (§5.5).
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_f6_reserved_opcodes_have_no_name() {
        for bits in 0..=0xFF_u8 {
            let known = [0x0, 0x1, 0x2, 0x8, 0x9, 0xA].contains(&bits);
            assert_eq!(Opcode::from_bits(bits).map(|opcode| opcode as u8), known.then_some(bits));
        }
    }

    #[test]
    fn control_opcodes_have_the_high_bit() {
        let control = |opcode: Opcode| opcode.is_control();
        assert!([Opcode::Close, Opcode::Ping, Opcode::Pong].into_iter().all(control));
        assert!(![Opcode::Continuation, Opcode::Text, Opcode::Binary].into_iter().any(control));
    }
}
