//! A small inflater of our own (RFC 1951): slow, plain, and strict about distances.

const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Inflates messages and sees to it that nothing refers further back than the window.
pub(crate) struct Inflater {
    window_bytes: usize,
    /// All that was inflated since the context began.
    history: Vec<u8>,
    /// The farthest anything has referred back.
    pub(crate) farthest: usize,
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u8) -> usize {
        (0..count).map(|shift| self.bit() << shift).sum()
    }

    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }
}

/// A Huffman code: how many codes there are of each length, and the symbols in their order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        for &symbol in &symbols {
            counts[usize::from(lengths[symbol])] += 1;
        }
        Self { counts, symbols }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.bit();
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no symbol has this code");
    }
}

impl Inflater {
    pub(crate) fn new(window_bits: u8) -> Self {
        Self { window_bytes: 1 << window_bits, history: Vec::new(), farthest: 0 }
    }

    /// Forgets what came before, as without context takeover.
    pub(crate) fn reset(&mut self) {
        self.history.clear();
    }

    /// The message in a compressed payload.
    pub(crate) fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let start = self.history.len();
        let stream = [payload, &[0x00, 0x00, 0xFF, 0xFF]].concat();
        let mut bits = Bits { bytes: &stream, at: 0 };
        while bits.at < stream.len() * 8 {
            let is_final = bits.bit() == 1;
            match bits.take(2) {
                0 => self.stored(&mut bits),
                1 => {
                    let lengths: Vec<u8> = (0..288)
                        .map(|symbol| match symbol {
                            ..144 | 280.. => 8,
                            ..256 => 9,
                            _ => 7,
                        })
                        .collect();
                    self.compressed(&mut bits, &Code::new(&lengths), &Code::new(&[5; 30]));
                }
                2 => {
                    let (literals, distances) = dynamic(&mut bits);
                    self.compressed(&mut bits, &literals, &distances);
                }
                _ => panic!("block type 3"),
            }
            if is_final {
                bits.at = bits.at.next_multiple_of(8);
            }
        }
        assert_eq!(bits.at, stream.len() * 8, "the tail ends the last block");
        self.history[start..].to_vec()
    }

    fn stored(&mut self, bits: &mut Bits<'_>) {
        bits.at = bits.at.next_multiple_of(8);
        let (len, check) = (bits.take(16), bits.take(16));
        assert_eq!(len, check ^ 0xFFFF);
        let at = bits.at / 8;
        self.history.extend_from_slice(&bits.bytes[at..at + len]);
        bits.at += len * 8;
    }

    fn compressed(&mut self, bits: &mut Bits<'_>, literals: &Code, distances: &Code) {
        loop {
            match literals.symbol(bits) {
                literal @ ..256 => self.history.push(literal as u8),
                256 => return,
                symbol => {
                    let (base, extra) = LENGTHS[symbol - 257];
                    let length = usize::from(base) + bits.take(extra);
                    let (base, extra) = DISTANCES[distances.symbol(bits)];
                    let distance = usize::from(base) + bits.take(extra);
                    assert!(distance <= self.window_bytes, "{distance} of {}", self.window_bytes);
                    assert!(distance <= self.history.len(), "{distance} before the beginning");
                    self.farthest = self.farthest.max(distance);
                    for _ in 0..length {
                        self.history.push(self.history[self.history.len() - distance]);
                    }
                }
            }
        }
    }
}

/// The codes of a block that brings its own.
fn dynamic(bits: &mut Bits<'_>) -> (Code, Code) {
    let (literals, distances, count) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut lengths = [0; 19];
    for &index in &ORDER[..count] {
        lengths[index] = bits.take(3) as u8;
    }
    let code = Code::new(&lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.symbol(bits) {
            16 => (lengths[lengths.len() - 1], 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length as u8, 1),
        };
        lengths.extend(vec![length; times]);
    }
    (Code::new(&lengths[..literals]), Code::new(&lengths[literals..]))
}
