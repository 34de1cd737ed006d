//! One connection: a plain struct in its worker's slab. It owns no task, no timer and, while idle, no buffer.

pub(crate) mod closing;
pub(crate) mod control;
pub(crate) mod extra;
pub(crate) mod fragments;
pub(crate) mod keep_alive;
pub(crate) mod opening;
pub(crate) mod preamble;
pub(crate) mod rate_limit;
pub(crate) mod reading;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::oneshot;
use wingbeat_websocket::deflate::Compression;
use wingbeat_websocket::{self as websocket, CloseCode, Role};

use crate::connection::extra::Extra;
use crate::error::SendError;
use crate::handler::{Cause, Handler};
use crate::options::SocketOptions;
use crate::output::Output;
use crate::server::seats::Seat;
use crate::stream::Stream;
use crate::worker::pools::PoolId;
use crate::worker::wheel::{NEVER, Tick};

/// Output beyond which a connection's input is left unread: a peer that does not read is not read either.
pub(crate) const PAUSE_OUTPUT_BYTES: usize = 64 << 10;

/// How far a connection has come. What its deadline means follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The PROXY header is being read that comes before everything else. Deadline: the handshake's.
    Preamble,
    /// Its request head is being read. Deadline: the handshake's.
    Head,
    /// A task decides about its request. Deadline: the handshake's.
    Deciding,
    /// Messages travel. Deadline: the idle timeout.
    Open,
    /// Our Close is out, the peer's has not come (RFC 6455 §7.1.3). Deadline: the peer's answer.
    Closing,
    /// Nothing is listened to any more: what waits is written, then FIN, then the peer's FIN is awaited so that no
    /// reset destroys what is under way (§7.1.1). Deadline: the end.
    Lingering,
}

/// Someone who waits until a message has room.
pub(crate) type Waiting = oneshot::Sender<Result<(), SendError>>;

pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) protocol: websocket::Connection,
    pub(crate) handler: Option<Box<dyn Handler>>,
    pub(crate) options: Arc<SocketOptions>,
    /// Counts us among the server's connections while it lives.
    pub(crate) seat: Seat,
    pub(crate) output: Output,
    /// Input that could not be used up: an unfinished head or frame, or what a pause left over.
    pub(crate) rest: Vec<u8>,
    /// Who waits until what it sent has room.
    pub(crate) waiting: Vec<Waiting>,
    /// What only some connections have.
    pub(crate) extra: Option<Box<Extra>>,
    pub(crate) generation: u32,
    pub(crate) deadline: Tick,
    /// Where the wheel will look at us next.
    pub(crate) scheduled: Tick,
    /// Ticks of silence allowed while open.
    pub(crate) idle_ticks: Tick,
    pub(crate) phase: Phase,
    /// Which of the server's listeners it came by.
    pub(crate) listener: u8,
    /// Which of the worker's pools compresses for us; `None` if compression was not agreed on.
    pub(crate) pool: Option<PoolId>,
    /// Whether it does so where nothing else is said about a message.
    pub(crate) compression: Compression,
    /// Messages are taken in parts, whatever the handler then sees of them.
    pub(crate) takes_parts: bool,
    /// Why we closed, and with which code.
    pub(crate) closing: Option<(Cause, CloseCode)>,
    /// The request is a HEAD.
    pub(crate) asks_for_head: bool,
    /// The socket may have something to read.
    pub(crate) readable: bool,
    /// The peer has sent FIN: read to the end even after a short read.
    pub(crate) hung_up: bool,
    /// The application does not want to read.
    pub(crate) paused: bool,
    /// The socket took no more and has not said that it does again.
    pub(crate) blocked: bool,
    /// More waits than its peer is quick to take, and its handler will be told when that is over.
    pub(crate) congested: bool,
    /// A message is being sent in fragments: no other may go between them.
    pub(crate) is_streaming: bool,
    /// The connection is in the turn's flush list.
    pub(crate) touched: bool,
    /// `rest` holds more than an unfinished frame.
    pub(crate) left_over: bool,
    /// FIN is out.
    pub(crate) is_shut: bool,
    /// The socket failed; to be ended after the present callback.
    pub(crate) lost: bool,
}

impl Connection {
    pub(crate) fn new(stream: Stream, generation: u32, options: Arc<SocketOptions>, seat: Seat) -> Self {
        Self {
            stream,
            protocol: websocket::Connection::new(Role::Server, options.limits),
            handler: None,
            options,
            seat,
            output: Output::default(),
            rest: Vec::new(),
            waiting: Vec::new(),
            extra: None,
            generation,
            deadline: NEVER,
            scheduled: NEVER,
            idle_ticks: NEVER,
            phase: Phase::Head,
            listener: 0,
            pool: None,
            compression: Compression::Auto,
            takes_parts: false,
            closing: None,
            asks_for_head: false,
            readable: false,
            hung_up: false,
            paused: false,
            blocked: false,
            congested: false,
            is_streaming: false,
            touched: false,
            left_over: false,
            is_shut: false,
            lost: false,
        }
    }

    /// Whether input may be taken now.
    #[inline]
    pub(crate) fn may_read(&self) -> bool {
        match self.phase {
            Phase::Preamble | Phase::Head | Phase::Lingering => true,
            Phase::Deciding => false,
            Phase::Open | Phase::Closing => self.listens(),
        }
    }

    /// Whether messages are taken now.
    #[inline]
    pub(crate) fn listens(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing) && !self.paused && self.has_room()
    }

    /// Whether the peer has said something that the application does not want to hear yet.
    pub(crate) fn is_kept_waiting(&self) -> bool {
        self.paused && (self.readable || self.left_over)
    }

    /// Keeps input that could not be used up now. More than an unfinished head or frame there is only after a pause.
    pub(crate) fn keep_rest(&mut self, rest: &[u8]) {
        self.left_over = !rest.is_empty() && !self.may_read();
        if rest.is_empty() {
            if self.rest.capacity() > 0 {
                self.rest = Vec::new();
            }
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(rest);
        }
    }

    /// The client, as far as is known: what a trusted proxy says, else the other end of the socket.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        let named = self.extra.as_ref().and_then(|extra| extra.peer_addr);
        named.or_else(|| self.stream.peer_addr())
    }

    /// Whether what the peer was sent has left, or nearly.
    pub(crate) fn has_room(&self) -> bool {
        !self.blocked || self.output.len() <= PAUSE_OUTPUT_BYTES.min(self.options.max_output_bytes)
    }

    /// Who waits for room learns that there is some, or that there never will be.
    pub(crate) fn settle_waiting(&mut self, result: Result<(), SendError>) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle connection costs us, beside its handler and what the kernel takes.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
    }
}
