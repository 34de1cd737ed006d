//! What an idle connection leaves in our heap, counted to the byte: a guard that no noise can move. It has a program to
//! itself, because the allocator counts for all of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use wingbeat_bench::heap::{Counting, live, take_largest};
use wingbeat_bench::load::payload::Payload;
use wingbeat_bench::load::target::Target;
use wingbeat_bench::process::raise_open_files;
use wingbeat_transport::{Config, Context, Handler, Message, Running, Server, SocketOptions, not_found};

/// Connections that are measured. With the one before them they are a power of two, so that the slab, which grows by
/// doubling, has no place to spare.
const CONNECTIONS: usize = 2047;
/// Heap of one idle connection after one message: its place in the slab, and its places in the wheel and other lists.
/// A connection may be 256 bytes (a test in the transport holds that), the rest is what points to it. Resident memory has
/// to fit in 300, with what the allocator and the slab's last page waste.
const MAX_BYTES_EACH: isize = 272;
/// What a connection may leave behind when it is closed: its places in the wheel, until their time has come.
const MAX_BYTES_LEFT: isize = 16;
const PATIENCE: Duration = Duration::from_secs(30);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        cx.send(message).expect("an echo fits");
    }
}

/// Opens as many connections as are measured, and lets each have one message echoed.
fn open(target: &Target) -> Vec<TcpStream> {
    let mut streams = target.open("/", CONNECTIONS).expect("connections open");
    let (frame, answer) = (Payload::Binary.client_frame(20), Payload::Binary.server_frame(20));
    let mut received = [0; 64];
    for stream in &mut streams {
        stream.write_all(&frame).expect("the server reads");
        stream.read_exact(&mut received[..answer.len()]).expect("and answers");
        assert_eq!(received[..answer.len()], answer);
    }
    streams
}

fn close(streams: Vec<TcpStream>, running: &Running) {
    drop(streams);
    let begun = Instant::now();
    while running.connections() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} connections are still there", running.connections());
        yield_now();
    }
}

/// The heap once nobody is at work any more: the same for a while.
fn settled() -> isize {
    let (mut bytes, mut since) = (live(), Instant::now());
    while since.elapsed() < Duration::from_millis(100) {
        let now = live();
        if now != bytes {
            (bytes, since) = (now, Instant::now());
        }
        yield_now();
    }
    bytes
}

#[test]
fn an_idle_connection_is_small_and_leaves_nothing_behind() {
    let files = raise_open_files().expect("limits can be read");
    assert!(files > 2 * CONNECTIONS as u64 + 100, "too few files may be open: {files}");
    let config = Config::default().with_listen(SocketAddr::from(([127, 0, 0, 1], 0))).with_threads(1);
    let server = Server::new(config).handler("/", SocketOptions::default(), |_| Ok(Echo));
    let running = server.start(not_found()).expect("the server starts");
    let target = Target { address: running.local_addr(), pid: None };

    // What a worker takes once is taken by a connection before all others.
    let first = target.open("/", 1).expect("a connection opens");
    let before = settled();
    take_largest();
    let streams = open(&target);
    let ours = (streams.capacity() * size_of::<TcpStream>()) as isize;
    let each = (settled() - before - ours) / CONNECTIONS as isize;
    // With so many connections the largest piece is the slab.
    let place = take_largest() / (CONNECTIONS + 1);
    println!("{each} bytes of heap for each idle connection: {place} in the slab, the rest in lists");
    assert!(each <= MAX_BYTES_EACH, "{each} bytes of heap for each idle connection");
    assert!(place > 100 && each > place as isize, "{each} bytes, {place} of them in the slab: that was not counted");
    drop(first);
    close(streams, &running);

    let closed = settled();
    close(open(&target), &running);
    let left = (settled() - closed) / CONNECTIONS as isize;
    println!("{left} bytes of heap left by each closed connection");
    assert!(left <= MAX_BYTES_LEFT, "{left} bytes of heap left by each closed connection");
}
