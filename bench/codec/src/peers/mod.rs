//! The crates that are compared, each used as its documentation wants it.

mod deflate;
mod fastwebsockets;
mod tokio_websockets;
mod tungstenite;
mod wingbeat;
mod wtx;
mod yawc;

use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::contest::OURS;
use crate::pipe::Pipe;

/// What went wrong, in the crate's own words.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A server's connection, open.
pub trait Peer {
    /// Reads `count` messages.
    fn read(&mut self, count: usize) -> Result;
    /// Reads `count` messages and sends each back, flushed at the end.
    fn echo(&mut self, count: usize) -> Result;
}

/// Opens a connection on the pipe.
pub type Open = fn(Pipe) -> Box<dyn Peer>;

/// All of them, ours first.
pub const ALL: [(&str, Open); 6] = [
    (OURS, wingbeat::open),
    ("tungstenite", tungstenite::open),
    ("fastwebsockets", fastwebsockets::open),
    ("tokio-websockets", tokio_websockets::open),
    ("wtx", wtx::open),
    ("yawc", yawc::open),
];

pub use deflate::{OpenDeflating, RAW, raw_deflate, raw_inflate};

/// Those that compress, ours first.
pub const DEFLATING: [(&str, OpenDeflating); 3] =
    [(OURS, deflate::wingbeat), ("wtx", deflate::wtx), ("yawc", deflate::yawc)];

/// Runs a future that never waits, as the pipe is always ready.
fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => Err("waits for a pipe that is ready".into()),
    }
}
