//! Does one thing many times inside [`measured`], for a tool that counts the instructions of that function.
//!
//! Without an argument it names what it can do, and how often: `read binary 20 B<TAB>1000`, a line each.

use std::hint::black_box;
use std::process::ExitCode;

use wingbeat_websocket::{
    Connection, Limits, MessageKind, Opcode, ProtocolError, Received, Role, encode_server_header,
};

/// What is done, how often, with what.
struct Deed {
    name: &'static str,
    count: usize,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    Read(MessageKind, &'static str, usize),
    Echo(usize),
    Header(usize),
}

const ASCII: &str = "The quick brown fox jumps over the lazy dog. ";
const NONASCII: &str = "größe 水 κόσμε 🐦 hello ";

const DEEDS: [Deed; 8] = [
    Deed { name: "read binary 20 B", count: 1000, work: Work::Read(MessageKind::Binary, ASCII, 20) },
    Deed { name: "read text 20 B", count: 1000, work: Work::Read(MessageKind::Text, ASCII, 20) },
    Deed { name: "read binary 1 KiB", count: 1000, work: Work::Read(MessageKind::Binary, ASCII, 1024) },
    Deed { name: "read text 1 KiB", count: 1000, work: Work::Read(MessageKind::Text, ASCII, 1024) },
    Deed { name: "read non-ASCII 1 KiB", count: 1000, work: Work::Read(MessageKind::Text, NONASCII, 1024) },
    Deed { name: "unmask 64 KiB", count: 16, work: Work::Read(MessageKind::Binary, ASCII, 65_536) },
    Deed { name: "echo binary 20 B", count: 1000, work: Work::Echo(20) },
    Deed { name: "broadcast header", count: 1000, work: Work::Header(1024) },
];

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        DEEDS.iter().for_each(|deed| println!("{}\t{}", deed.name, deed.count));
        return ExitCode::SUCCESS;
    };
    let Some(deed) = DEEDS.iter().find(|deed| deed.name == name) else {
        eprintln!("{name} is nothing that can be done");
        return ExitCode::FAILURE;
    };
    match run(deed) {
        Ok(done) if done == deed.count => ExitCode::SUCCESS,
        outcome => {
            eprintln!("{name}: {outcome:?} instead of {}", deed.count);
            ExitCode::FAILURE
        }
    }
}

/// All that counts happens in here. Its name is looked for.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// How often it was done.
fn run(deed: &Deed) -> Result<usize, ProtocolError> {
    let (mut connection, mut output) = (Connection::new(Role::Server, Limits::DEFAULT), Vec::with_capacity(1 << 20));
    match deed.work {
        Work::Read(kind, text, size) => {
            let mut input = frames(kind, text, size, deed.count);
            measured(|| read(&mut connection, &mut input, &mut output))
        }
        Work::Echo(size) => {
            let mut input = frames(MessageKind::Binary, ASCII, size, deed.count);
            measured(|| echo(&mut connection, &mut input, &mut output))
        }
        Work::Header(size) => Ok(measured(|| {
            for _ in 0..deed.count {
                encode_server_header(Opcode::Text, black_box(size), &mut output);
            }
            output.len() / 4
        })),
    }
}

fn read(connection: &mut Connection, input: &mut [u8], output: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    let (mut at, mut messages) = (0, 0);
    while at < input.len() {
        let (used, received) = connection.handle_input(&mut input[at..], output)?;
        at += used;
        messages += usize::from(black_box(&received).is_some());
    }
    Ok(messages)
}

fn echo(connection: &mut Connection, input: &mut [u8], output: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    let (mut at, mut messages) = (0, 0);
    while at < input.len() {
        let (used, received) = connection.handle_input(&mut input[at..], output)?;
        at += used;
        if let Some(Received::Binary(bytes)) = received {
            messages += usize::from(connection.send_binary(&bytes, output).is_ok());
        }
    }
    Ok(messages)
}

/// What a client sends: `count` messages of `size` bytes.
fn frames(kind: MessageKind, text: &str, size: usize, count: usize) -> Vec<u8> {
    let mask_key = || [0x91, 0x37, 0x5E, 0xC3];
    let mut client = Connection::new(Role::Client { mask_key }, Limits::DEFAULT);
    let text = text.repeat(size / text.len() + 1);
    let border = (0..=size).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    let mut payload = text.as_bytes()[..border].to_vec();
    payload.resize(size, b'.');
    let mut frames = Vec::new();
    for _ in 0..count {
        let sent = client.send_with(kind, &mut frames, |output| output.extend_from_slice(&payload));
        sent.expect("nothing is closed");
    }
    frames
}
