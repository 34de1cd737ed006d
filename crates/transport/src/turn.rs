//! A worker from the inside: its connections, and what happens to them within one turn.
//!
//! While a callback runs, its handler is taken out of its connection, so the callback has the whole turn in its hands:
//! it may send to any connection of the worker. Callbacks never nest: what one of them asks of another handler is a
//! command, carried out after it.

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use bytes::Bytes;
use slab::Slab;
use wingbeat_websocket::deflate::Compression;
use wingbeat_websocket::{CloseCode, CloseFrame, Opcode, encode_server_frame, encode_server_header};

use crate::connection::{Connection, Phase, Waiting};
use crate::context::Context;
use crate::error::SendError;
use crate::handler::{Cause, Handler, Info};
use crate::inbox::{
    Command, ConnectionId, WorkerId, Workers, has_commands, put_back_commands, take_command, take_commands,
};
use crate::message::{EncodedMessage, Message};
use crate::output::{SHARED_FROM_BYTES, Written};
use crate::pools::{PoolId, Pools};
use crate::wheel::{Tick, Wheel};

/// The cork is written out when it has grown beyond this, even in the middle of a turn.
const MAX_CORK_BYTES: usize = 1 << 20;

/// Callbacks carried out at once. Handlers that answer each other without end share the worker with all others.
const CALLBACKS_PER_TURN: usize = 4096;

/// Where in the cork a frame lies that goes to many.
type Corked = Option<std::ops::Range<u32>>;

/// The worker, in one of its turns.
pub struct Turn {
    pub(crate) connections: Slab<Connection>,
    pub(crate) cork: Vec<u8>,
    /// Connections with output that this turn has not written yet.
    pub(crate) touched: VecDeque<u32>,
    /// Connections that may have more to read than one read took.
    pub(crate) again: Vec<u32>,
    /// Connections whose socket failed while something else was going on.
    pub(crate) lost: Vec<u32>,
    pub(crate) wheel: Wheel,
    pub(crate) now: Tick,
    pub(crate) workers: Workers,
    pub(crate) id: WorkerId,
    pub(crate) pools: Pools,
    /// Commands that call handlers: they wait until the present callback has returned.
    callbacks: VecDeque<Command>,
    locals: HashMap<TypeId, Rc<dyn Any>>,
}

/// The public face.
impl Turn {
    /// Which worker this is.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.id
    }

    /// All workers of the server.
    #[must_use]
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The worker's own `T`, made when first asked for; it lives as long as the worker. Only this worker's thread ever
    /// sees it, so a `RefCell` inside is all it needs.
    pub fn local<T: Default + 'static>(&mut self) -> Rc<T> {
        let local = self.locals.entry(TypeId::of::<T>()).or_insert_with(|| Rc::new(T::default()));
        local.clone().downcast().unwrap_or_else(|_| unreachable!("entries are keyed by their type"))
    }

    /// Sends to a connection of this worker; `false` if it is closed or gone, or does not read and was closed for it.
    pub fn send_to(&mut self, id: ConnectionId, message: &EncodedMessage) -> bool {
        self.send_many([id], message) == 1
    }

    /// Sends to many connections of this worker, and says to how many. The frame is copied once for all of them; each
    /// gets one write at the end of the turn, whatever else it is sent until then. Those that have agreed on compression
    /// share a compressed frame in the same way.
    pub fn send_many(&mut self, ids: impl IntoIterator<Item = ConnectionId>, message: &EncodedMessage) -> usize {
        self.apply_commands();
        self.relieve_cork();
        let mut plain = Corked::default();
        let mut sent = 0;
        for id in ids {
            let Some(key) = self.key_of(id) else { continue };
            let result = match self.connections[key].pool {
                None => self.send_frame(key, message.as_frame(), &mut plain),
                Some(pool) => self.send_deflated(key, pool, message),
            };
            sent += usize::from(result.is_ok());
        }
        sent
    }

    /// How many messages this worker has compressed: a broadcast counts once for each window size.
    #[must_use]
    pub fn deflated_messages(&self) -> u64 {
        self.pools.deflated_messages()
    }

    /// Tells the handler of a connection of this worker something, after the present callback.
    pub fn info(&mut self, id: ConnectionId, info: Info) {
        self.callbacks.push_back(Command::Info { to: id, info });
    }

    /// Begins the closing handshake of a connection of this worker.
    pub fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.apply_commands();
        self.close_now(id, code, reason);
    }
}

/// What the worker and its connections need.
impl Turn {
    pub(crate) fn new(workers: Workers, id: WorkerId, wheel: Wheel) -> Self {
        Self {
            connections: Slab::new(),
            cork: Vec::new(),
            touched: VecDeque::new(),
            again: Vec::new(),
            lost: Vec::new(),
            wheel,
            now: 0,
            workers,
            id,
            pools: Pools::default(),
            callbacks: VecDeque::new(),
            locals: HashMap::new(),
        }
    }

    pub(crate) fn key_of(&self, id: ConnectionId) -> Option<usize> {
        let key = id.index as usize;
        let connection = self.connections.get(key)?;
        (connection.generation == id.generation && id.worker == self.id).then_some(key)
    }

    pub(crate) fn id_of(&self, key: usize) -> ConnectionId {
        ConnectionId { index: key as u32, generation: self.connections[key].generation, worker: self.id }
    }

    /// Calls `callback` with the handler of `key`, if it has one, and carries out what was asked for meanwhile.
    #[inline]
    pub(crate) fn call(&mut self, key: usize, callback: impl FnOnce(&mut dyn Handler, &mut Context<'_>)) {
        self.call_only(key, callback);
        self.carry_out();
    }

    /// As [`call`](Self::call), but what was asked for waits; `None` if there is no handler, or it panicked.
    #[inline]
    pub(crate) fn call_only<R>(
        &mut self,
        key: usize,
        callback: impl FnOnce(&mut dyn Handler, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut handler = self.connections.get_mut(key)?.handler.take()?;
        let mut context = Context { turn: self, key };
        let outcome = catch_unwind(AssertUnwindSafe(|| callback(&mut *handler, &mut context)));
        // Connections leave the slab only between callbacks, so it is still the same one.
        self.connections[key].handler = Some(handler);
        if outcome.is_err() {
            tracing::error!(connection = ?self.id_of(key), "a callback panicked; its connection is closed with 1011");
            self.close_connection(key, Cause::Panic, CloseCode::INTERNAL_ERROR, "");
            self.finish_unanswered(key);
        }
        outcome.ok()
    }

    /// Whether something was asked for that has not been carried out.
    #[inline]
    pub(crate) fn has_pending(&self) -> bool {
        has_commands() || !self.callbacks.is_empty() || !self.lost.is_empty()
    }

    /// Whether the next batch has something to do even if nobody asks for anything.
    pub(crate) fn has_work(&self) -> bool {
        !self.touched.is_empty() || !self.again.is_empty() || self.has_pending()
    }

    /// Carries out the commands given since the last time, those that call handlers after the others.
    #[inline]
    pub(crate) fn carry_out(&mut self) {
        for _ in 0..CALLBACKS_PER_TURN {
            self.apply_commands();
            match self.callbacks.pop_front() {
                Some(Command::Info { to, info }) => self.deliver_info(to, info),
                Some(command) => self.apply(command),
                None => break,
            }
        }
        while let Some(index) = self.lost.pop() {
            if self.connections.get(index as usize).is_some_and(|connection| connection.lost) {
                self.lose(index as usize);
            }
        }
    }

    /// Before a direct send: what was asked for earlier comes first, and the cork has room.
    #[inline]
    pub(crate) fn prepare(&mut self) {
        self.apply_commands();
        self.relieve_cork();
    }

    fn deliver_info(&mut self, to: ConnectionId, info: Info) {
        if let Some(key) = self.key_of(to) {
            self.call_only(key, |handler, cx| handler.handle_info(info, cx));
        }
    }

    /// Carries out those commands that call no handler; the others wait.
    #[inline]
    pub(crate) fn apply_commands(&mut self) {
        while let Some(command) = take_command() {
            self.apply(command);
        }
    }

    pub(crate) fn apply(&mut self, command: Command) {
        match command {
            Command::Send { to, message, written } => self.send_command(to, &message, written),
            Command::Close { to, code, reason } => self.close_now(to, code, &reason),
            Command::Run(job) => self.run_job(job),
            Command::Info { .. } => self.callbacks.push_back(command),
            Command::Decide { .. } | Command::Adopt { .. } | Command::HttpEnded | Command::Stop { .. } => {
                unreachable!("the worker itself takes these from its inbox")
            }
        }
    }

    /// What the job asks for comes before what was asked for after the job.
    fn run_job(&mut self, job: Box<dyn FnOnce(&mut Self) + Send>) {
        let later = take_commands();
        if catch_unwind(AssertUnwindSafe(|| job(self))).is_err() {
            tracing::error!("a job in a worker's turn panicked");
        }
        self.apply_commands();
        put_back_commands(later);
    }

    fn send_command(&mut self, to: ConnectionId, message: &EncodedMessage, written: Option<Waiting>) {
        let result = self.send_shared(to, message);
        let Some(written) = written else { return };
        match self.key_of(to) {
            Some(key) if result.is_ok() && !self.connections[key].has_room() => {
                self.connections[key].waiting.push(written);
            }
            _ => drop(written.send(result)),
        }
    }

    fn send_shared(&mut self, id: ConnectionId, message: &EncodedMessage) -> Result<(), SendError> {
        let key = self.key_of(id).ok_or(SendError::Closed)?;
        self.send_encoded(key, message)
    }

    pub(crate) fn send_encoded(&mut self, key: usize, message: &EncodedMessage) -> Result<(), SendError> {
        self.relieve_cork();
        match self.connections[key].pool {
            None => self.send_frame(key, message.as_frame(), &mut Corked::default()),
            Some(pool) => self.send_deflated(key, pool, message),
        }
    }

    /// Sends a frame that others may be sent, too: if it is small, `corked` says where in the cork it lies by then.
    #[inline]
    fn send_frame(&mut self, key: usize, frame: &Bytes, corked: &mut Corked) -> Result<(), SendError> {
        self.admit(key, frame.len())?;
        if frame.len() < SHARED_FROM_BYTES {
            let range = corked.get_or_insert_with(|| {
                let start = self.cork.len() as u32;
                self.cork.extend_from_slice(frame);
                start..self.cork.len() as u32
            });
            self.connections[key].output.push_corked(range.clone(), 1);
        } else {
            self.connections[key].output.push_shared(frame.clone());
        }
        self.touch(key);
        Ok(())
    }

    /// Sends the frame compressed for the connection's window, if that makes it smaller.
    #[inline(never)]
    fn send_deflated(&mut self, key: usize, pool: PoolId, message: &EncodedMessage) -> Result<(), SendError> {
        let bits = self.connections[key].protocol.send_window_bits();
        let deflated = bits.and_then(|bits| message.deflated(bits, self.pools.get(pool)));
        let Some(frame) = deflated else {
            return self.send_frame(key, message.as_frame(), &mut Corked::default());
        };
        self.send_frame(key, frame, &mut Corked::default())?;
        self.connections[key].protocol.reset_deflater();
        Ok(())
    }

    /// Appends to the cork what `write` writes, as the output of `key`.
    #[inline]
    pub(crate) fn write_corked(
        &mut self,
        key: usize,
        messages: u32,
        write: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        let start = self.cork.len();
        let connection = &mut self.connections[key];
        write(connection, &mut self.cork);
        if self.cork.len() > start {
            connection.output.push_corked(start as u32..self.cork.len() as u32, messages);
            self.touch(key);
        }
    }

    /// Sends a message to a connection that may have agreed on compression.
    pub(crate) fn send_compressed(
        &mut self,
        key: usize,
        message: Message<'_>,
        compression: Compression,
    ) -> Result<(), SendError> {
        let Some(id) = self.connections[key].pool else {
            let frame = |_: &mut Connection, cork: &mut Vec<u8>| {
                encode_server_frame(message.opcode(), message.as_bytes(), cork);
            };
            self.write_corked(key, 1, frame);
            return Ok(());
        };
        let start = self.cork.len();
        let (connection, pool) = (&mut self.connections[key], self.pools.get(id));
        let sent = match message {
            Message::Text(text) => connection.protocol.send_text_with(text, compression, pool, &mut self.cork),
            Message::Binary(bytes) => connection.protocol.send_binary_with(bytes, compression, pool, &mut self.cork),
        };
        sent.map_err(|_| SendError::Closed)?;
        connection.output.push_corked(start as u32..self.cork.len() as u32, 1);
        self.touch(key);
        Ok(())
    }

    /// Sends a message too large to be worth a copy, right behind what waits.
    #[cold]
    pub(crate) fn send_large(&mut self, key: usize, opcode: Opcode, payload: &[u8]) {
        self.write(key);
        let mut frame = Vec::new();
        encode_server_header(opcode, payload.len(), &mut frame);
        let connection = &mut self.connections[key];
        if !connection.output.is_empty() {
            frame.extend_from_slice(payload);
            connection.output.push_owned(frame);
            return self.touch(key);
        }
        match connection.output.write_through(&mut connection.stream, &frame, payload) {
            Ok(Written::All) => {}
            Ok(Written::Blocked) => connection.blocked = true,
            Err(_) => self.mark_lost(key),
        }
    }

    #[inline]
    pub(crate) fn touch(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if !connection.touched {
            connection.touched = true;
            self.touched.push_back(key as u32);
        }
    }

    /// Never called while a range of the cork is on its way to an output.
    #[inline]
    pub(crate) fn relieve_cork(&mut self) {
        if self.cork.len() > MAX_CORK_BYTES {
            self.flush(usize::MAX);
        }
    }

    /// Whether `bytes` more may be sent to `key`; if its output is full, it is closed.
    #[inline]
    pub(crate) fn admit(&mut self, key: usize, bytes: usize) -> Result<(), SendError> {
        let connection = &self.connections[key];
        if connection.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        let is_full = connection.output.len() + bytes > connection.options.max_output_bytes
            || connection.blocked && connection.output.messages() >= connection.options.max_output_messages;
        if is_full { self.make_room(key, bytes) } else { Ok(()) }
    }

    /// One message is always admitted, however large, once nothing waits before it.
    #[cold]
    fn make_room(&mut self, key: usize, bytes: usize) -> Result<(), SendError> {
        self.write(key);
        let connection = &self.connections[key];
        let fits = connection.output.len() + bytes <= connection.options.max_output_bytes
            && connection.output.messages() < connection.options.max_output_messages;
        if fits || connection.output.is_empty() {
            return Ok(());
        }
        self.close_connection(key, Cause::SlowConsumer, CloseCode::TRY_AGAIN_LATER, "too slow");
        Err(SendError::Full)
    }

    /// Writes what `key` has to say, unless its socket is known to take nothing.
    pub(crate) fn write(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.blocked {
            connection.output.hold(&self.cork);
            return;
        }
        if !connection.output.is_empty() {
            match connection.output.write(&mut connection.stream, &self.cork) {
                Ok(Written::All) => {}
                Ok(Written::Blocked) => connection.blocked = true,
                Err(_) => self.mark_lost(key),
            }
        }
        self.after_write(key);
    }

    #[inline]
    fn after_write(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if !connection.waiting.is_empty() && connection.has_room() {
            connection.settle_waiting(Ok(()));
        }
        if connection.phase == Phase::Lingering && connection.output.is_empty() && !connection.is_shut {
            connection.is_shut = true;
            connection.stream.shutdown_write();
            if connection.hung_up && !connection.readable {
                self.mark_lost(key);
            }
        }
    }

    #[cold]
    fn mark_lost(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        connection.output = crate::output::Output::default();
        if !connection.lost {
            connection.lost = true;
            // The present callback, which may be sending in a loop, is told by `SendError::Closed`.
            if connection.phase == Phase::Open {
                connection.phase = Phase::Closing;
            }
            self.lost.push(key as u32);
        }
    }

    /// Writes at most `most` of the touched connections; the cork is free again once none is left.
    pub(crate) fn flush(&mut self, most: usize) {
        for _ in 0..most.min(self.touched.len()) {
            let Some(index) = self.touched.pop_front() else { break };
            let key = index as usize;
            if self.connections.get(key).is_some_and(|connection| connection.touched) {
                self.connections[key].touched = false;
                self.write(key);
            }
        }
        if self.touched.is_empty() {
            self.cork.clear();
            self.cork.shrink_to(2 * MAX_CORK_BYTES);
        }
    }

    pub(crate) fn set_deadline(&mut self, key: usize, at: Tick) {
        let connection = &mut self.connections[key];
        connection.deadline = at;
        if at < connection.scheduled {
            connection.scheduled = at;
            self.wheel.insert(at, key as u32);
        }
    }

    fn close_now(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        if let Some(key) = self.key_of(id) {
            self.close_connection(key, Cause::Local, code, reason);
        }
    }

    /// Sends Close and from then on only waits for the peer's (RFC 6455 §7.1.2).
    pub(crate) fn close_connection(&mut self, key: usize, cause: Cause, code: CloseCode, reason: &str) {
        if self.connections[key].phase != Phase::Open {
            return;
        }
        self.write_corked(key, 0, |connection, cork| {
            connection.protocol.close(Some(CloseFrame::new(code, reason)), cork);
            connection.phase = Phase::Closing;
            connection.closing = Some((cause, code));
            connection.paused = false;
        });
        let timeout = self.connections[key].options.close_timeout;
        let deadline = self.wheel.deadline(self.now, timeout);
        self.set_deadline(key, deadline);
        self.read_again(key);
    }

    pub(crate) fn resume(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if std::mem::take(&mut connection.paused) {
            self.read_again(key);
        }
    }

    pub(crate) fn read_again(&mut self, key: usize) {
        let connection = &self.connections[key];
        if connection.readable || connection.left_over {
            self.again.push(key as u32);
        }
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("worker", &self.id).field("connections", &self.connections.len()).finish()
    }
}
