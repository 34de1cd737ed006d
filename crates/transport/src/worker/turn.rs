//! A worker from the inside: its connections, and what happens to them within one turn.
//!
//! While a callback runs, its handler is taken out of its connection, so the callback has the whole turn in its hands:
//! it may send to any connection of the worker. Callbacks never nest: what one of them asks of another handler is a
//! command, carried out after it.

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use slab::Slab;
use wingbeat_websocket::CloseCode;

use crate::connection::Connection;
use crate::context::Context;
use crate::handler::{Cause, Handler, Info};
use crate::message::EncodedMessage;
use crate::observer::RequestHead;
use crate::observer::redaction::Redaction;
use crate::observer::stats::Figures;
use crate::observer::watch::Watch;
use crate::output::answers::Answers;
use crate::output::sending::Corked;
use crate::server::Shared;
use crate::worker::inbox::{
    Command, ConnectionId, WorkerId, Workers, has_commands, put_back_commands, take_command, take_commands,
};
use crate::worker::pools::Pools;
use crate::worker::pulse::{Deed, Pulse};
use crate::worker::wheel::{Tick, Wheel};

/// Callbacks carried out at once. Handlers that answer each other without end share the worker with all others.
const CALLBACKS_PER_TURN: usize = 4096;

/// A callback panicked.
pub(crate) struct Panicked;

/// The worker, in one of its turns.
pub struct Turn {
    pub(crate) connections: Slab<Connection>,
    pub(crate) cork: Vec<u8>,
    pub(crate) answers: Answers,
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
    /// Messages dropped so far.
    pub(crate) dropped: u64,
    /// Tasks of loops that have not ended.
    pub(crate) tasks: usize,
    /// Who sees everything, if anybody does.
    pub(crate) watch: Option<Box<Watch>>,
    /// What was asked by connections that have no answer yet, by place in the slab, if somebody wants to know.
    pub(crate) asked: HashMap<usize, Box<RequestHead>>,
    pub(crate) redaction: Redaction,
    pub(crate) figures: Figures,
    pub(crate) pulse: Pulse,
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

    /// Sends to a connection of this worker; `false` if it is closed or gone, or does not read and was closed for it, or
    /// the message was dropped for it, see [`WhenFull`](crate::WhenFull).
    pub fn send_to(&mut self, id: ConnectionId, message: &EncodedMessage) -> bool {
        self.send_many([id], message) == 1
    }

    /// Sends to many connections of this worker, and says to how many: those that are gone or closed do not count, nor
    /// those for which the message was dropped, see [`WhenFull`](crate::WhenFull). The frame is copied once for all of them; each
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
                None => self.send_frame(key, message.as_frame(), true, &mut plain),
                Some(pool) => self.send_deflated(key, pool, message, true),
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
    pub(crate) fn new(shared: &Shared, id: WorkerId, wheel: Wheel, pulse: Pulse) -> Self {
        Self {
            connections: Slab::new(),
            cork: Vec::new(),
            answers: Answers::default(),
            touched: VecDeque::new(),
            again: Vec::new(),
            lost: Vec::new(),
            wheel,
            now: 0,
            workers: shared.workers.clone(),
            id,
            pools: Pools::default(),
            dropped: 0,
            tasks: 0,
            watch: shared.observer.clone().map(Watch::new),
            asked: HashMap::new(),
            redaction: shared.config.redaction.clone(),
            figures: Figures::default(),
            pulse,
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
        match self.catch(key, |handler, turn| callback(handler, &mut Context { turn, key, input: &[] }))? {
            Ok(outcome) => Some(outcome),
            Err(Panicked) => {
                self.handle_panic(key);
                None
            }
        }
    }

    /// Calls `callback` with the handler of `key`, if it has one.
    #[inline]
    pub(crate) fn catch<R>(
        &mut self,
        key: usize,
        callback: impl FnOnce(&mut dyn Handler, &mut Self) -> R,
    ) -> Option<Result<R, Panicked>> {
        let mut handler = self.connections.get_mut(key)?.handler.take()?;
        let outcome = catch_unwind(AssertUnwindSafe(|| callback(&mut *handler, self)));
        // Connections leave the slab only between callbacks, so it is still the same one.
        self.connections[key].handler = Some(handler);
        Some(outcome.map_err(|_| Panicked))
    }

    #[cold]
    pub(crate) fn handle_panic(&mut self, key: usize) {
        tracing::error!(connection = ?self.id_of(key), "a callback panicked; its connection is closed with 1011");
        self.close_connection(key, Cause::Panic, CloseCode::INTERNAL_ERROR, "");
        self.finish_unanswered(key);
    }

    /// Calls a handler after the present callback.
    pub(crate) fn call_later(&mut self, command: Command) {
        self.callbacks.push_back(command);
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
        if self.has_pending() {
            self.carry_out_pending();
        }
    }

    #[inline(never)]
    fn carry_out_pending(&mut self) {
        for _ in 0..CALLBACKS_PER_TURN {
            self.apply_commands();
            match self.callbacks.pop_front() {
                Some(Command::Info { to, info }) => self.deliver_info(to, info),
                Some(Command::Nothing) => {}
                Some(Command::Drained { to }) => self.deliver_drained(to),
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
            self.pulse.note(Deed::Info, key);
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
            Command::Reply { to, message } => drop(self.send_shared(to, &message, false)),
            Command::Close { to, code, reason } => self.close_now(to, code, &reason),
            Command::Run(job) => self.run_job(job),
            Command::Info { .. } | Command::Drained { .. } | Command::Nothing => self.callbacks.push_back(command),
            Command::Decide { .. }
            | Command::Adopt { .. }
            | Command::Wake { .. }
            | Command::HttpBegun
            | Command::HttpEnded
            | Command::TaskEnded
            | Command::Drain { .. }
            | Command::Stop { .. } => {
                unreachable!("the worker itself takes these from its inbox")
            }
        }
    }

    /// What the job asks for comes before what was asked for after the job.
    fn run_job(&mut self, job: Box<dyn FnOnce(&mut Self) + Send>) {
        let later = take_commands();
        self.pulse.note(Deed::Job, 0);
        if catch_unwind(AssertUnwindSafe(|| job(self))).is_err() {
            tracing::error!("a job in a worker's turn panicked");
        }
        self.apply_commands();
        put_back_commands(later);
    }

    pub(crate) fn set_deadline(&mut self, key: usize, at: Tick) {
        let connection = &mut self.connections[key];
        connection.deadline = at;
        self.schedule(key, at);
    }

    /// The wheel looks at `key` at `at`, if not before.
    pub(crate) fn schedule(&mut self, key: usize, at: Tick) {
        let connection = &mut self.connections[key];
        if at < connection.scheduled {
            connection.scheduled = at;
            self.wheel.insert(at, key as u32);
        }
    }

    pub(crate) fn resume(&mut self, key: usize) {
        self.set_paused(key, false);
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
