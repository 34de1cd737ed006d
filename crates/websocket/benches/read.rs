//! How long reading a message takes: decode, unmask, check the text. `cargo bench -p wingbeat-websocket`.

use std::hint::black_box;
use std::time::Instant;

use wingbeat_websocket::{Connection, Limits, Opcode, Received, Role};

/// What came is counted, so that none of it can be left out.
fn read(connection: &mut Connection, input: &mut [u8], output: &mut Vec<u8>) -> usize {
    let (mut used, mut payload_bytes) = (0, 0);
    while used < input.len() {
        let (taken, received) = connection.handle_input(&mut input[used..], output).unwrap();
        used += taken;
        payload_bytes += match received {
            Some(Received::Text(text)) => text.len(),
            Some(Received::Binary(bytes)) => bytes.len(),
            _ => 0,
        };
    }
    payload_bytes
}

/// Frames of a client, each with another key, about 24 KiB of them or one.
fn frames(opcode: Opcode, payload: &[u8]) -> (Vec<u8>, usize) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static KEY: AtomicU32 = AtomicU32::new(0x9137_5EC3);
    let mask_key = || KEY.fetch_add(0x9E37_79B9, Ordering::Relaxed).to_be_bytes();
    let mut client = Connection::new(Role::Client { mask_key }, Limits::DEFAULT);
    let mut frames = Vec::new();
    let count = (24 << 10) / (payload.len() + 8);
    for _ in 0..count.max(1) {
        let sent = match opcode {
            Opcode::Text => client.send_text(std::str::from_utf8(payload).unwrap(), &mut frames),
            _ => client.send_binary(payload, &mut frames),
        };
        sent.unwrap();
    }
    (frames, count.max(1))
}

/// The best of many rounds, in nanoseconds for one message; with `piece_bytes` at a time.
fn measure(opcode: Opcode, payload: &[u8], piece_bytes: usize) -> f64 {
    let (frames, count) = frames(opcode, payload);
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let (mut input, mut output) = (frames.clone(), Vec::new());
    let rounds = (40_000_000 / frames.len()).clamp(50, 3000);
    let nanos = (0..rounds).map(|_| {
        input.copy_from_slice(&frames);
        let start = Instant::now();
        for piece in black_box(&mut input).chunks_mut(piece_bytes) {
            black_box(read(&mut server, piece, &mut output));
        }
        start.elapsed().as_nanos()
    });
    nanos.min().unwrap_or_default() as f64 / count as f64
}

fn main() {
    // `cargo test --all-targets` runs this file, too, and has no use for figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mixed = "größe 水 κόσμε 🐦 hello ".repeat(4000);
    println!("{:>24} {:>10} {:>10} {:>10}   ns a message", "payload bytes", "binary", "ASCII", "mixed");
    let whole = [0, 4, 20, 125, 1000, 16 << 10, 64 << 10].map(|size| (size, usize::MAX));
    let pieces = [4 << 10, 16 << 10].map(|piece| (64 << 10, piece));
    for (size, piece_bytes) in whole.into_iter().chain(pieces) {
        let ascii = "a".repeat(size);
        let border = (0..=size).rev().find(|&at| mixed.is_char_boundary(at)).unwrap_or_default();
        let [binary, ascii, mixed] = [
            measure(Opcode::Binary, ascii.as_bytes(), piece_bytes),
            measure(Opcode::Text, ascii.as_bytes(), piece_bytes),
            measure(Opcode::Text, &mixed.as_bytes()[..border], piece_bytes),
        ];
        let name = if piece_bytes == usize::MAX { size.to_string() } else { format!("{size} in {piece_bytes}s") };
        println!("{name:>24} {binary:>10.1} {ascii:>10.1} {mixed:>10.1}");
    }
}
