//! A connection's turn: read, decode, call the handler, write once.

use std::io::ErrorKind;

use wingbeat_websocket::{CloseFrame, ProtocolError, Received};

use crate::connection::Phase;
use crate::context::Context;
use crate::handler::Handler;
use crate::message::Message;
use crate::turn::Turn;
use crate::worker::Worker;

/// Output of its own after which a connection is written in the middle of its turn.
const WRITE_EARLY_BYTES: usize = 256 << 10;

impl Worker {
    /// The turn of `key`: takes what its socket has, at most one buffer full, and writes what came of it.
    pub(crate) fn take_turn(&mut self, key: usize) {
        self.read(key);
        self.turn.carry_out();
        if self.turn.connections.get(key).is_some_and(|connection| connection.touched) {
            self.turn.connections[key].touched = false;
            self.turn.write(key);
            self.turn.forget_touched(key);
        }
    }

    fn read(&mut self, key: usize) {
        loop {
            self.take_left_over(key);
            let Some(connection) = self.turn.connections.get_mut(key) else { return };
            if !connection.may_read() || !connection.readable || connection.left_over || connection.lost {
                return;
            }
            let before = connection.rest.len();
            self.buffer[..before].copy_from_slice(&connection.rest);
            match connection.stream.read(&mut self.buffer[before..]) {
                Ok(0) => return self.turn.handle_eof(key),
                Ok(count) => {
                    let is_short = connection.stream.is_drained(count, self.buffer.len() - before);
                    connection.readable = !is_short || connection.hung_up;
                    let is_open = connection.phase == Phase::Open;
                    if is_open && connection.idle_ticks != crate::wheel::NEVER {
                        connection.deadline = self.turn.now.saturating_add(connection.idle_ticks);
                    }
                    self.take_buffer(key, before + count);
                    if !is_short {
                        return self.read_again(key);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.readable = false,
                Err(error) => return self.turn.lose_by(key, &error),
            }
        }
    }

    fn read_again(&mut self, key: usize) {
        if self.turn.connections.contains(key) {
            self.turn.read_again(key);
        }
    }

    /// Works off the first `length` bytes of the buffer and keeps what could not be used up.
    fn take_buffer(&mut self, key: usize, length: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let used = self.take_input(key, &mut buffer[..length]);
        if let Some(connection) = self.turn.connections.get_mut(key) {
            connection.keep_rest(&buffer[used..length]);
            if connection.protocol.is_receiving() || connection.extra.is_some() {
                self.turn.watch_message(key);
            }
        }
        self.buffer = buffer;
    }

    /// Works off what a pause left over, before anything new is read.
    fn take_left_over(&mut self, key: usize) {
        let Some(connection) = self.turn.connections.get_mut(key) else { return };
        if !connection.left_over || !connection.may_read() {
            return;
        }
        connection.left_over = false;
        let mut rest = std::mem::take(&mut connection.rest);
        let used = self.take_input(key, &mut rest);
        if let Some(connection) = self.turn.connections.get_mut(key) {
            connection.keep_rest(&rest[used..]);
        }
    }

    /// Takes as much of `input` as can be taken now, and says how much.
    fn take_input(&mut self, key: usize, input: &mut [u8]) -> usize {
        let mut used = 0;
        while let Some(connection) = self.turn.connections.get(key) {
            let step = match connection.phase {
                Phase::Lingering => return input.len(),
                Phase::Deciding => None,
                Phase::Preamble => self.handle_preamble(key, &input[used..]),
                Phase::Head => self.handle_head(key, &input[used..]),
                Phase::Open | Phase::Closing => self.turn.take_messages(key, &mut input[used..]),
            };
            match step {
                Some(step) => used += step,
                None => break,
            }
        }
        used
    }
}

/// Why a run of messages ended.
enum Run {
    /// Nothing more can be taken now.
    Over,
    /// What the handler asked for comes before its next message.
    Interrupted,
    Closed(Option<CloseFrame>),
    Failed(ProtocolError),
}

impl Turn {
    /// Decodes and delivers the messages of `input` for as long as the connection listens; `None` if it took nothing.
    fn take_messages(&mut self, key: usize, input: &mut [u8]) -> Option<usize> {
        let mut used = 0;
        loop {
            let run = self.call_only(key, |handler, cx| cx.turn.deliver_messages(key, handler, input, &mut used));
            match run {
                Some(Run::Interrupted) => self.carry_out(),
                Some(Run::Closed(frame)) => self.handle_peer_close(key, frame),
                Some(Run::Failed(error)) => {
                    self.fail(key, &error);
                    used = input.len();
                }
                Some(Run::Over) | None => break,
            }
        }
        self.carry_out();
        (used > 0).then_some(used)
    }

    /// One run of messages to a handler that is out of its connection: until the input is used up, or something else
    /// has to be done first.
    #[inline]
    fn deliver_messages(&mut self, key: usize, handler: &mut dyn Handler, input: &mut [u8], used: &mut usize) -> Run {
        while *used < input.len() {
            self.relieve_cork();
            let start = self.cork.len();
            let connection = &mut self.connections[key];
            if !connection.listens() {
                break;
            }
            let rest = &mut input[*used..];
            let taken = match connection.pool {
                None => connection.protocol.handle_input(rest, &mut self.cork),
                Some(id) => connection.protocol.handle_input_with(self.pools.get(id), rest, &mut self.cork),
            };
            let (step, received) = match taken {
                Ok((0, _)) => break,
                Ok(taken) => taken,
                Err(error) => return Run::Failed(error),
            };
            *used += step;
            if self.cork.len() > start {
                connection.output.push_corked(start as u32..self.cork.len() as u32, 0);
                self.touch(key);
            }
            let cx = &mut Context { turn: self, key };
            match received {
                Some(Received::Text(text)) => handler.handle_message(Message::Text(&text), cx),
                Some(Received::Binary(bytes)) => handler.handle_message(Message::Binary(&bytes), cx),
                Some(Received::Close(frame)) => return Run::Closed(frame),
                Some(Received::Ping(payload)) => handler.handle_ping(&payload, cx),
                Some(Received::Pong(payload)) if !cx.turn.take_pong(key, &payload) => handler.handle_pong(&payload, cx),
                Some(Received::Pong(_)) | None => {}
            }
            self.write_early(key);
            if self.has_pending() {
                return Run::Interrupted;
            }
        }
        Run::Over
    }

    /// A connection that has much to say does not wait for the end of its turn.
    #[inline]
    fn write_early(&mut self, key: usize) {
        if self.connections.get(key).is_some_and(|connection| connection.output.len() > WRITE_EARLY_BYTES) {
            self.write(key);
        }
    }

    /// The peer has hung up. What we owe it may still arrive if it only closed its own half.
    fn handle_eof(&mut self, key: usize) {
        self.write(key);
        let connection = &mut self.connections[key];
        if (connection.output.is_empty() && !connection.blocked) || connection.lost {
            return self.lose(key);
        }
        (connection.readable, connection.hung_up) = (false, true);
        self.finish_unanswered(key);
    }

    /// `key` was written out of order: usually it is the newest of the touched.
    fn forget_touched(&mut self, key: usize) {
        if self.touched.back() == Some(&(key as u32)) {
            self.touched.pop_back();
        }
        if self.touched.is_empty() {
            self.cork.clear();
        }
    }
}
