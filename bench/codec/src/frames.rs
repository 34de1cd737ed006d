//! What a client sends, frame after frame, and what a server answers.

use flate2::{Compress, Compression, FlushCompress};

/// Bytes of frames in one pass, or one frame, if that is longer: as much as a receive may bring.
const PASS_BYTES: usize = 16 << 10;

/// What messages are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Pseudo-random bytes.
    Binary,
    /// Text of letters.
    Ascii,
    /// Text in which every other character takes two to four bytes.
    Nonascii,
    /// Text that is none: its last byte is impossible.
    Broken,
    /// JSON as it is sent: names again and again, values that differ.
    Json,
}

impl Payload {
    /// `size` bytes of it.
    pub fn bytes(self, size: usize) -> Vec<u8> {
        let text = match self {
            Self::Binary => return noise(size),
            Self::Ascii | Self::Broken => "The quick brown fox jumps over the lazy dog. ",
            Self::Nonascii => "größe 水 κόσμε 🐦 hello ",
            Self::Json => return json(size),
        };
        let text = text.repeat(size / text.len() + 1);
        let border = text.floor_char_boundary(size);
        let mut bytes = text.as_bytes()[..border].to_vec();
        bytes.resize(size, b'.');
        if self == Self::Broken {
            *bytes.last_mut().expect("a message is not empty") = 0xFF;
        }
        bytes
    }

    const fn first_byte(self) -> u8 {
        if matches!(self, Self::Binary) { 0x82 } else { 0x81 }
    }
}

fn json(size: usize) -> Vec<u8> {
    let values = noise(size / 2 + 64);
    let mut text = String::from("[");
    for (index, value) in values.chunks_exact(8).enumerate() {
        let (id, price) =
            (u32::from_ne_bytes([value[0], value[1], value[2], 0]), u16::from_ne_bytes([value[3], value[4]]));
        text.push_str(&format!(r#"{{"id":{id},"line":{index},"price":{price},"name":"{:x}"}},"#, value[5]));
    }
    text.truncate(size);
    text.into_bytes()
}

/// Frames of compressed messages of `size` bytes, as a client sends them (RFC 7692 §7.2.1), each on its own.
pub fn deflated(size: usize) -> Frames {
    let message = Payload::Json.bytes(size);
    let mut compressed = Vec::with_capacity(size + 64);
    let mut deflater = Compress::new(Compression::new(6), false);
    deflater.compress_vec(&message, &mut compressed, FlushCompress::Sync).expect("there is room");
    compressed.truncate(compressed.len() - 4);
    let count = (PASS_BYTES / (compressed.len() + 8)).max(1);
    let mut sent = Vec::new();
    for _ in 0..count {
        masked(0xC1, &compressed, [0x91, 0x37, 0x5E, 0xC3], &mut sent);
    }
    Frames { sent, echoed: Vec::new(), count }
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// One pass: as many frames as fit.
#[derive(Clone, Debug)]
pub struct Frames {
    /// As a client sends them, each masked with another key.
    pub sent: Vec<u8>,
    /// As a server sends them back.
    pub echoed: Vec<u8>,
    /// How many there are.
    pub count: usize,
}

impl Frames {
    /// Frames of messages of `size` bytes.
    pub fn new(payload: Payload, size: usize) -> Self {
        let message = payload.bytes(size);
        let count = (PASS_BYTES / (size + 8)).max(1);
        let (mut sent, mut echoed) = (Vec::new(), Vec::new());
        for index in 0..count {
            let key = (0x9137_5EC3_u32.wrapping_add(0x9E37_79B9_u32.wrapping_mul(index as u32))).to_be_bytes();
            masked(payload.first_byte(), &message, key, &mut sent);
            header(payload.first_byte(), size, 0, &mut echoed);
            echoed.extend_from_slice(&message);
        }
        Self { sent, echoed, count }
    }
}

/// A client's frame.
fn masked(first_byte: u8, payload: &[u8], key: [u8; 4], output: &mut Vec<u8>) {
    header(first_byte, payload.len(), 0x80, output);
    output.extend_from_slice(&key);
    output.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// RFC 6455 §5.2.
fn header(first_byte: u8, size: usize, mask_bit: u8, output: &mut Vec<u8>) {
    output.push(first_byte);
    match size {
        0..=125 => output.push(mask_bit | size as u8),
        126..=0xFFFF => {
            output.push(mask_bit | 126);
            output.extend_from_slice(&(size as u16).to_be_bytes());
        }
        _ => {
            output.push(mask_bit | 127);
            output.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
}
