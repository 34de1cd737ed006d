//! What the messages say.

use clap::ValueEnum;
use serde::Serialize;

use super::frame::{Opcode, client_frame, server_frame};

/// The kind of a message's payload: what a server must do with it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// Text, one byte per character.
    Ascii,
    /// Text, mostly of two, three and four bytes per character.
    Nonascii,
    /// Anything.
    Binary,
}

impl Payload {
    /// `size` bytes of it.
    pub fn bytes(self, size: usize) -> Vec<u8> {
        match self {
            Self::Ascii => (0..size).map(|index| b'a' + (index % 26) as u8).collect(),
            Self::Binary => (0..size).map(|index| (index * 151 + 17) as u8).collect(),
            Self::Nonascii => {
                let mut text = String::with_capacity(size);
                for char in "Grüße, 世界! Привет 🎉 ".chars().cycle() {
                    if text.len() + char.len_utf8() > size {
                        break;
                    }
                    text.push(char);
                }
                text.extend(std::iter::repeat_n('.', size - text.len()));
                text.into_bytes()
            }
        }
    }

    fn opcode(self) -> Opcode {
        match self {
            Self::Ascii | Self::Nonascii => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }

    /// The frame in which a client sends `size` bytes of it.
    pub fn client_frame(self, size: usize) -> Vec<u8> {
        client_frame(self.opcode(), &self.bytes(size))
    }

    /// The frame in which a server sends them back.
    pub fn server_frame(self, size: usize) -> Vec<u8> {
        server_frame(self.opcode(), &self.bytes(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_size_and_are_text_where_they_say_so() {
        for size in [0, 1, 2, 3, 20, 64, 1000, 1024, 16_384] {
            assert!(std::str::from_utf8(&Payload::Nonascii.bytes(size)).is_ok(), "{size} bytes");
            for kind in [Payload::Ascii, Payload::Nonascii, Payload::Binary] {
                assert_eq!(kind.bytes(size).len(), size);
            }
        }
    }
}
