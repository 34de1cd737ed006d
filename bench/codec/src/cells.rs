//! What is measured, and that it is done right.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use crate::frames::{self, Frames, Payload};
use crate::kernels::{self, Check, Mask};
use crate::peers::{self, Open, OpenDeflating, RAW, Result};
use crate::pipe::Pipe;

const SIZES: [usize; 4] = [20, 64, 1024, 65_536];

/// Does a pass, and says of how many messages.
pub type Pass = Box<dyn FnMut() -> Result<usize>>;

/// One line of the table.
pub struct Cell {
    /// What is done with what, of which size.
    pub name: String,
    /// Whose turn, and what is done in it; ours first.
    pub contestants: Vec<(&'static str, Pass)>,
}

/// All cells in their order. They are checked as they are made.
pub fn all() -> Vec<Cell> {
    let texts = [Payload::Ascii, Payload::Nonascii];
    let kinds = [Payload::Binary, Payload::Ascii, Payload::Nonascii];
    let mut cells = Vec::new();
    cells.extend(SIZES.map(masking));
    cells.extend(texts.into_iter().flat_map(|text| SIZES.map(|size| checking(text, size))));
    cells.extend(kinds.into_iter().flat_map(|kind| SIZES.map(|size| reading(kind, size))));
    cells.extend(SIZES.map(echoing));
    cells.extend(SIZES.map(deflating));
    cells.extend(SIZES.map(inflating));
    cells
}

fn name(verb: &str, payload: Payload, size: usize) -> String {
    let kind = match payload {
        Payload::Binary => "binary",
        Payload::Ascii => "ASCII",
        Payload::Nonascii => "non-ASCII",
        Payload::Broken => "broken",
        Payload::Json => "JSON",
    };
    format!("{verb} {kind} {}", bytes(size))
}

fn bytes(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size >> 10) }
}

/// How often an inner loop runs in one pass.
fn repetitions(size: usize) -> usize {
    (16 << 10) / size.min(16 << 10)
}

fn masking(size: usize) -> Cell {
    let repetitions = repetitions(size);
    let contestant = |(whose, mask): (&'static str, Mask)| -> (&'static str, Pass) {
        let mut buffer = Payload::Ascii.bytes(size);
        let key = [0x37, 0xFA, 0x21, 0x3D];
        let pass = move || {
            for _ in 0..repetitions {
                mask(black_box(&mut buffer), black_box(key));
            }
            Ok(repetitions)
        };
        (whose, Box::new(pass))
    };
    let mut contestants: Vec<_> = kernels::MASKING.into_iter().map(contestant).collect();
    let (source, mut target) = (Payload::Ascii.bytes(size), vec![0; size]);
    let copy = move || {
        for _ in 0..repetitions {
            black_box(&mut target).copy_from_slice(black_box(&source));
        }
        Ok(repetitions)
    };
    contestants.push(("memcpy", Box::new(copy)));
    Cell { name: format!("mask {}", bytes(size)), contestants }
}

fn checking(text: Payload, size: usize) -> Cell {
    let repetitions = repetitions(size);
    let contestant = |(whose, check): (&'static str, Check)| -> (&'static str, Pass) {
        let text = text.bytes(size);
        let pass = move || {
            for _ in 0..repetitions {
                if !black_box(check(black_box(&text))) {
                    return Err("this is text".into());
                }
            }
            Ok(repetitions)
        };
        (whose, Box::new(pass))
    };
    Cell { name: name("utf8", text, size), contestants: kernels::UTF8.into_iter().map(contestant).collect() }
}

fn reading(payload: Payload, size: usize) -> Cell {
    let frames = Frames::new(payload, size);
    let contestant = |(whose, open): (&'static str, Open)| -> (&'static str, Pass) {
        if payload != Payload::Binary {
            let read = open(Pipe::new(&Frames::new(Payload::Broken, size))).read(1);
            assert!(read.is_err(), "{whose} does not check text");
        }
        let (mut peer, count) = (open(Pipe::new(&frames)), frames.count);
        (whose, Box::new(move || peer.read(count).map(|()| count)))
    };
    Cell { name: name("read", payload, size), contestants: peers::ALL.into_iter().map(contestant).collect() }
}

fn echoing(size: usize) -> Cell {
    let frames = Frames::new(Payload::Binary, size);
    let contestant = |(whose, open): (&'static str, Open)| -> (&'static str, Pass) {
        let (pipe, checked) = Pipe::checked(&frames);
        let echoed = open(pipe).echo(2 * frames.count);
        assert!(echoed.is_ok(), "{whose}: {echoed:?}");
        assert_eq!(checked.load(Ordering::Relaxed), 2 * frames.echoed.len(), "{whose} has not echoed all");
        let (mut peer, count) = (open(Pipe::new(&frames)), frames.count);
        (whose, Box::new(move || peer.echo(count).map(|()| count)))
    };
    Cell { name: name("echo", Payload::Binary, size), contestants: peers::ALL.into_iter().map(contestant).collect() }
}

fn deflating(size: usize) -> Cell {
    let message = Payload::Json.bytes(size);
    let text = String::from_utf8(message.clone()).expect("it is text");
    let count = repetitions(size);
    let contestant = |(whose, open): (&'static str, OpenDeflating)| -> (&'static str, Pass) {
        let (pipe, written) = Pipe::counted();
        open(pipe).and_then(|mut peer| peer.send(&text, 1)).expect(whose);
        let written = written.load(Ordering::Relaxed);
        assert!(written > 0 && (size < 1024 || written < size), "{whose} has sent {written} of {size} bytes");
        let (mut peer, text) = (open(Pipe::new(&frames::deflated(size))).expect(whose), text.clone());
        (whose, Box::new(move || peer.send(&text, count).map(|()| count)))
    };
    let mut contestants: Vec<_> = peers::DEFLATING.into_iter().map(contestant).collect();
    let mut raw = peers::raw_deflate(message);
    contestants.push((RAW, Box::new(move || (0..count).try_for_each(|_| raw()).map(|()| count))));
    Cell { name: name("deflate", Payload::Json, size), contestants }
}

fn inflating(size: usize) -> Cell {
    let frames = frames::deflated(size);
    let count = frames.count;
    let contestant = |(whose, open): (&'static str, OpenDeflating)| -> (&'static str, Pass) {
        let mut peer = open(Pipe::new(&frames)).expect(whose);
        assert_eq!(peer.receive(count).expect(whose), count * size, "{whose} has not read all");
        (whose, Box::new(move || peer.receive(count).map(|_| count)))
    };
    let mut contestants: Vec<_> = peers::DEFLATING.into_iter().map(contestant).collect();
    let mut raw = peers::raw_inflate(Payload::Json.bytes(size));
    contestants.push((RAW, Box::new(move || (0..count).try_for_each(|_| raw()).map(|()| count))));
    Cell { name: name("inflate", Payload::Json, size), contestants }
}
