//! How long compressing and inflating a message takes, and what it saves. `cargo bench -p wingbeat-websocket`.

use std::hint::black_box;
use std::time::Instant;

use wingbeat_websocket::deflate::{Compression, DeflateConfig, DeflatePool};
use wingbeat_websocket::handshake::Extension;
use wingbeat_websocket::{Connection, Limits, Role};

/// Messages as a channel sends them: the same keys, other values.
fn messages(bytes: usize) -> Vec<String> {
    let mut number = 0x9E37_79B9_u32;
    let mut next = move || {
        number = number.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
        number >> 8
    };
    let message = |_| {
        let mut text = format!("[null,null,\"room:{}\",\"new_msg\",{{\"list\":[", next());
        while text.len() < bytes {
            let (id, at, user) = (next(), next(), next() % 5000);
            text += &format!(
                "{{\"id\":{id},\"user\":\"user{user}\",\"at\":\"2026-11-22T20:{at}\",\"body\":\"wing {at}\"}},"
            );
        }
        text.truncate(bytes);
        text
    };
    // More than a window full, so that takeover does not find the same message again.
    (0..(96 << 10) / bytes.min(6 << 10)).map(message).collect()
}

fn connection(role: Role, config: DeflateConfig) -> Connection {
    let mut connection = Connection::new(role, Limits::DEFAULT);
    let offer = Extension { name: "permessage-deflate", params: vec![] };
    connection.set_deflate(config.accept([offer]).unwrap(), None);
    connection
}

/// Nanoseconds to compress a message and to inflate it, the best of many rounds, and how large it is then.
fn measure(config: DeflateConfig, bytes: usize) -> (f64, f64, usize) {
    let config = config.with_min_bytes(0);
    let messages = messages(bytes);
    let mut pool = DeflatePool::new(config);
    let mut server = connection(Role::Server, config);
    let mut client = connection(Role::Client { mask_key: || [1, 2, 3, 4] }, config);
    let (mut best, mut output) = ((u128::MAX, u128::MAX), Vec::new());
    let mut compressed_bytes = 0;
    for _ in 0..20 {
        output.clear();
        let start = Instant::now();
        for message in &messages {
            server.send_text_with(black_box(message), Compression::Always, &mut pool, &mut output).unwrap();
        }
        best.0 = best.0.min(start.elapsed().as_nanos());
        compressed_bytes = output.len() / messages.len();
        let (start, mut used) = (Instant::now(), 0);
        while used < output.len() {
            let (taken, received) = client.handle_input_with(&mut pool, &mut output[used..], &mut Vec::new()).unwrap();
            black_box(received);
            used += taken;
        }
        best.1 = best.1.min(start.elapsed().as_nanos());
    }
    let count = messages.len() as f64;
    (best.0 as f64 / count, best.1 as f64 / count, compressed_bytes)
}

fn main() {
    // `cargo test --all-targets` runs this file, too, and has no use for figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!(
        "{:>10} {:>8} {:>10} {:>12} {:>12} {:>8}",
        "bytes", "level", "takeover", "deflate ns", "inflate ns", "bytes"
    );
    for bytes in [64, 256, 512, 1024, 4096, 16 << 10, 64 << 10] {
        for takeover in [false, true] {
            for level in [1, 3, 6, 9] {
                let config = DeflateConfig::DEFAULT.with_level(level).with_server_takeover(takeover);
                let (deflate, inflate, compressed_bytes) = measure(config, bytes);
                println!("{bytes:>10} {level:>8} {takeover:>10} {deflate:>12.0} {inflate:>12.0} {compressed_bytes:>8}");
            }
        }
    }
}
