//! What a handler answers while messages of its connection are delivered.
//!
//! Most of what is sent is an answer to what has just come. It goes to the end of the cork and is counted here, so a
//! small one asks nothing of its connection, and a large payload that lies in the input is not copied at all. The
//! connection's output is told at the end of the run, or before anything else is said or done: see [`Context::settle`].

use std::ops::Range;

use crate::connection::Phase;
use crate::context::Context;
use crate::message::Message;
use crate::output::{SHARED_FROM_BYTES, Written};
use crate::worker::inbox::has_commands;
use crate::worker::turn::Turn;
use wingbeat_websocket::{encode_server_frame, encode_server_header};

/// Answers are written when there are so many bytes of them, even in the middle of a turn.
const WRITE_FROM_BYTES: usize = 256 << 10;
/// Payloads from this size on stay in the input.
const LENT_FROM_BYTES: usize = 4 << 10;
/// The longest header of a frame.
const HEADER_BYTES: usize = 10;
/// Room for one answer more: the longest payload that is delivered in a run, 65,535 bytes.
const ONE_MORE_BYTES: usize = (64 << 10) + HEADER_BYTES;

const _: () = assert!(LENT_FROM_BYTES <= SHARED_FROM_BYTES);

/// Where the answers of the present run are. Empty and closed outside of one.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Bytes that may still be answered without asking the connection.
    room: usize,
    /// With less room than this the run is over.
    low: usize,
    /// Where in the cork they begin.
    start: usize,
    messages: u32,
    lent: Vec<Lent>,
}

/// A payload that stays in the input.
#[derive(Debug)]
struct Lent {
    /// Where in the cork it would be.
    at: usize,
    payload: Range<usize>,
    /// Messages up to this one.
    messages: u32,
}

impl Answers {
    /// Whether the outputs know of everything.
    pub(crate) fn are_settled(&self) -> bool {
        self.messages == 0
    }

    /// Whether the run can go on as it began.
    #[inline]
    pub(crate) fn have_room(&self) -> bool {
        self.room >= self.low && !has_commands()
    }

    #[inline]
    fn count(&mut self, size: usize) {
        self.room -= size;
        self.messages += 1;
    }

    /// What is answered, in order.
    fn pieces<'a>(&'a self, cork: &'a [u8], input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let starts = std::iter::once(self.start).chain(self.lent.iter().map(|lent| lent.at));
        let lent = self.lent.iter().map(|lent| (lent.at, &input[lent.payload.clone()]));
        let ends = lent.chain(std::iter::once((cork.len(), &[][..])));
        starts.zip(ends).flat_map(|(start, (end, lent))| [&cork[start..end], lent])
    }

    /// The bytes of what is answered.
    fn len(&self, cork: &[u8]) -> usize {
        cork.len() - self.start + self.lent.iter().map(|lent| lent.payload.len()).sum::<usize>()
    }

    /// How many messages are not among the first `written` bytes in full.
    fn messages_after(&self, written: usize) -> u32 {
        let (mut end, mut begun, mut messages) = (0, self.start, self.messages);
        for lent in &self.lent {
            end += lent.at - begun + lent.payload.len();
            begun = lent.at;
            if end <= written {
                messages = self.messages - lent.messages;
            }
        }
        messages
    }

    fn clear(&mut self) {
        self.lent.clear();
        (self.room, self.low, self.messages) = (0, 1, 0);
    }
}

impl Context<'_> {
    /// Answers with `message` if that asks nothing of the connection.
    #[inline]
    pub(crate) fn answer(&mut self, message: Message<'_>) -> bool {
        let payload = message.as_bytes();
        let size = payload.len() + HEADER_BYTES;
        if size > self.turn.answers.room || has_commands() {
            return false;
        }
        if payload.len() >= LENT_FROM_BYTES {
            return self.lend(message);
        }
        encode_server_frame(message.opcode(), payload, &mut self.turn.cork);
        self.turn.answers.count(size);
        true
    }

    /// Answers with a payload that lies in the input, and stays there.
    #[inline(never)]
    fn lend(&mut self, message: Message<'_>) -> bool {
        let payload = message.as_bytes();
        let Some(start) = (payload.as_ptr() as usize).checked_sub(self.input.as_ptr() as usize) else { return false };
        if start + payload.len() > self.input.len() {
            return false;
        }
        let turn = &mut *self.turn;
        encode_server_header(message.opcode(), payload.len(), &mut turn.cork);
        turn.answers.count(payload.len() + HEADER_BYTES);
        let (at, messages) = (turn.cork.len(), turn.answers.messages);
        turn.answers.lent.push(Lent { at, payload: start..start + payload.len(), messages });
        true
    }

    /// Tells the output what was answered. To be called before anything is done or said that is not an answer.
    #[inline]
    pub(crate) fn settle(&mut self) {
        let answers = &self.turn.answers;
        if answers.room > 0 || answers.messages > 0 {
            self.turn.settle_answers(self.key, self.input);
        }
    }
}

impl Turn {
    /// Begins a run of messages to the handler of `key`; nobody may have answers that are not settled.
    #[inline]
    pub(crate) fn begin_answers(&mut self, key: usize) {
        let connection = &self.connections[key];
        let is_free = connection.phase == Phase::Open
            && !(connection.blocked | connection.is_streaming)
            && connection.pool.is_none();
        // A metered one takes its messages one by one: without room a run ends after each.
        let is_free = is_free && !connection.is_metered();
        let limit = if is_free { connection.options.max_output_bytes } else { 0 };
        let room = limit.saturating_sub(connection.output.len()).min(WRITE_FROM_BYTES + ONE_MORE_BYTES);
        self.answers.room = room;
        self.answers.low = room.saturating_sub(WRITE_FROM_BYTES).max(1);
        self.answers.start = self.cork.len();
    }

    /// Ends the run. What was lent is written, because the input is not ours beyond this; the rest waits for the end of
    /// the turn.
    #[inline]
    pub(crate) fn end_answers(&mut self, key: usize, input: &[u8]) {
        // Who watches sees what is in outputs.
        if self.answers.lent.is_empty() || self.watch.is_some() {
            self.settle_answers(key, input);
        } else {
            self.write_answers(key, input);
        }
    }

    /// Takes the answers into the output of `key`; what was lent is copied.
    #[inline]
    fn settle_answers(&mut self, key: usize, input: &[u8]) {
        if !self.answers.lent.is_empty() {
            self.copy_lent(input);
        }
        let messages = self.answers.messages;
        let start = self.answers.start;
        self.answers.clear();
        if messages > 0 {
            self.connections[key].output.push_corked(start as u32..self.cork.len() as u32, messages);
            self.touch(key);
        }
    }

    #[cold]
    fn copy_lent(&mut self, input: &[u8]) {
        let answers = std::mem::take(&mut self.answers);
        let mut copy = Vec::new();
        answers.pieces(&self.cork, input).for_each(|piece| copy.extend_from_slice(piece));
        self.cork.truncate(answers.start);
        self.cork.extend_from_slice(&copy);
        self.answers = Answers { lent: Vec::new(), ..answers };
    }

    /// Writes the answers from where they lie.
    #[inline(never)]
    fn write_answers(&mut self, key: usize, input: &[u8]) {
        let earlier = &self.connections[key];
        if !earlier.output.is_empty() {
            self.write(key);
        }
        let connection = &mut self.connections[key];
        if connection.blocked || connection.lost {
            return self.settle_answers(key, input);
        }
        let mut answers = std::mem::take(&mut self.answers);
        let pieces = answers.pieces(&self.cork, input);
        let (length, kept) = (answers.len(&self.cork), |written| answers.messages_after(written));
        match connection.output.write_through(&mut connection.stream, pieces, length, kept) {
            Ok(Written::All) => self.figures.count_written(length, answers.messages as usize),
            Ok(Written::Blocked) => {
                connection.blocked = true;
                self.note_stall(key, length, answers.messages as usize);
                self.note_congestion(key);
            }
            Err(error) => {
                connection.blame(&error);
                self.mark_lost(key);
            }
        }
        self.cork.truncate(answers.start);
        answers.clear();
        self.answers = answers;
        self.after_write(key);
    }
}
