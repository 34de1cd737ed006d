//! A connection's turn: read, decode, call the handler, write once.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wingbeat_websocket::{CloseFrame, ProtocolError, Received, WholeMessage};

use crate::connection::Phase;
use crate::context::Context;
use crate::handler::Handler;
use crate::message::Message;
use crate::worker::Worker;
use crate::worker::pulse::Deed;
use crate::worker::turn::{Panicked, Turn};

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
                    self.turn.figures.now.bytes_received += count as u64;
                    let is_short = connection.stream.is_drained(count, self.buffer.len() - before);
                    connection.readable = !is_short || connection.hung_up;
                    let is_open = connection.phase == Phase::Open;
                    if is_open && connection.idle_ticks != crate::worker::wheel::NEVER {
                        connection.deadline = self.turn.now.saturating_add(connection.idle_ticks);
                    }
                    self.take_buffer(key, before + count);
                    if !is_short {
                        return self.read_again(key);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.readable = false,
                Err(error) => {
                    self.turn.note_read_error(key, &error);
                    return self.turn.lose_by(key, &error);
                }
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
        while used < input.len()
            && let Some(connection) = self.turn.connections.get(key)
        {
            let step = match connection.phase {
                Phase::Lingering => return input.len(),
                Phase::Deciding => None,
                Phase::Preamble => self.handle_preamble(key, &input[used..]),
                Phase::Head => {
                    // What was looked at before, less what has been taken meanwhile: a PROXY header may lie before it.
                    let seen = connection.rest.len().saturating_sub(used);
                    self.handle_head(key, &input[used..], seen)
                }
                Phase::Open | Phase::Closing if self.turn.watch.is_some() => {
                    self.turn.take_watched(key, &mut input[used..])
                }
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
pub(crate) enum Run {
    /// Nothing more can be taken now.
    Over,
    /// What the handler asked for comes before its next message.
    Interrupted,
    Closed(Option<CloseFrame>),
    Failed(ProtocolError),
}

/// Why messages in one frame are delivered no longer.
enum Step {
    /// What comes next is something else, or not all there.
    NotWhole,
    /// Something was done that is more than an answer, or there are enough answers.
    Interrupted,
    Failed(ProtocolError),
}

impl Turn {
    /// Decodes and delivers the messages of `input` for as long as the connection listens; `None` if it took nothing.
    pub(crate) fn take_messages(&mut self, key: usize, input: &mut [u8]) -> Option<usize> {
        let mut used = 0;
        let takes_parts = self.connections[key].takes_parts;
        let is_metered = self.connections[key].is_metered();
        loop {
            let before = used;
            if is_metered && used < input.len() {
                if !self.is_within_rate(key) {
                    let is_over =
                        self.connections.get(key).is_none_or(|connection| connection.phase == Phase::Lingering);
                    return if is_over { Some(input.len()) } else { (used > 0).then_some(used) };
                }
                self.end_run_early();
            }
            self.pulse.note(Deed::Message, key);
            let run = self.catch(key, |handler, turn| match takes_parts {
                false => turn.deliver_messages(key, handler, input, &mut used),
                true => turn.deliver_fragments(key, handler, input, &mut used),
            });
            if is_metered {
                self.count_input(key, used - before);
            }
            match run {
                Some(Ok(Run::Over)) | None => break,
                Some(Ok(Run::Interrupted)) => self.carry_out(),
                Some(Ok(Run::Closed(frame))) => self.handle_peer_close(key, frame),
                Some(Ok(Run::Failed(error))) => {
                    self.fail(key, &error);
                    used = input.len();
                }
                Some(Err(Panicked)) => {
                    // What was answered before is said before the Close.
                    self.end_answers(key, input);
                    self.handle_panic(key);
                    break;
                }
            }
        }
        self.carry_out();
        (used > 0).then_some(used)
    }

    /// One run of messages to a handler that is out of its connection: until the input is used up, or something else
    /// has to be done first.
    fn deliver_messages(&mut self, key: usize, handler: &mut dyn Handler, input: &mut [u8], used: &mut usize) -> Run {
        while *used < input.len() {
            self.relieve_cork();
            if !self.connections[key].listens() {
                break;
            }
            self.begin_answers(key);
            let run = self.deliver_whole(key, handler, input, used);
            self.end_answers(key, input);
            let run = match run {
                Step::NotWhole if *used == input.len() => break,
                Step::NotWhole => self.deliver_next(key, handler, &mut input[*used..], used),
                Step::Interrupted => None,
                Step::Failed(error) => Some(Run::Failed(error)),
            };
            if let Some(run) = run {
                return run;
            }
            self.write_early(key);
            if self.has_pending() {
                return Run::Interrupted;
            }
        }
        Run::Over
    }

    /// Delivers messages that lie in one frame each, which nearly all do, for as long as nothing else is going on.
    #[inline]
    fn deliver_whole(&mut self, key: usize, handler: &mut dyn Handler, input: &mut [u8], used: &mut usize) -> Step {
        if self.connections[key].pool.is_some() {
            return Step::NotWhole;
        }
        loop {
            let (message, end, input) = match self.connections[key].protocol.handle_whole(input, *used) {
                Ok(Some(taken)) => taken,
                Ok(None) => return Step::NotWhole,
                Err(error) => return Step::Failed(error),
            };
            *used = end;
            self.figures.now.messages_received += 1;
            let cx = &mut Context { turn: self, key, input };
            match message {
                WholeMessage::Text(text) => handler.handle_message(Message::Text(text), cx),
                WholeMessage::Binary(bytes) => handler.handle_message(Message::Binary(bytes), cx),
            }
            if !self.answers.have_room() {
                return Step::Interrupted;
            }
        }
    }

    /// Delivers whatever comes next, if all of it is there; `Some` if the run ends with it.
    #[inline(never)]
    fn deliver_next(
        &mut self,
        key: usize,
        handler: &mut dyn Handler,
        input: &mut [u8],
        used: &mut usize,
    ) -> Option<Run> {
        let start = self.cork.len();
        let connection = &mut self.connections[key];
        let taken = match connection.pool {
            None => connection.protocol.handle_input(input, &mut self.cork),
            Some(id) => connection.protocol.handle_input_with(self.pools.get(id), input, &mut self.cork),
        };
        let (step, received) = match taken {
            Ok((0, _)) => return Some(Run::Over),
            Ok(taken) => taken,
            Err(error) => return Some(Run::Failed(error)),
        };
        *used += step;
        let is_message = matches!(received, Some(Received::Text(_) | Received::Binary(_)));
        self.figures.now.messages_received += u64::from(is_message);
        if self.cork.len() > start {
            let answer = start as u32..self.cork.len() as u32;
            self.push_control(key, answer);
        }
        let cx = &mut Context { turn: self, key, input: &[] };
        match received {
            Some(Received::Text(text)) => cx.turn.deliver_gathered(key, handler, Message::Text(&text)),
            Some(Received::Binary(bytes)) => cx.turn.deliver_gathered(key, handler, Message::Binary(&bytes)),
            Some(Received::Close(frame)) => return Some(Run::Closed(frame)),
            Some(Received::Ping(payload)) => handler.handle_ping(&payload, cx),
            Some(Received::Pong(payload)) if !cx.turn.take_pong(key, &payload) => handler.handle_pong(&payload, cx),
            Some(Received::Pong(_)) | None => {}
        }
        None
    }

    /// Delivers a message that lies in memory of its own, from where it is answered as others are from the input.
    fn deliver_gathered(&mut self, key: usize, handler: &mut dyn Handler, message: Message<'_>) {
        let input = message.as_bytes();
        self.begin_answers(key);
        let cx = &mut Context { turn: self, key, input };
        let outcome = catch_unwind(AssertUnwindSafe(|| handler.handle_message(message, cx)));
        self.end_answers(key, input);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    /// A connection that has much to say does not wait for the end of its turn.
    #[inline]
    pub(crate) fn write_early(&mut self, key: usize) {
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
