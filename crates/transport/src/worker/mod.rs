//! One task, one readiness set, one slab of connections.
//!
//! A worker waits for readiness, its inbox and the next deadline at once. When something is there it takes a batch:
//! every ready connection has its turn and is written at the end of it; what a turn sent to others is written at the
//! end of the batch, at most [`WRITES_PER_BATCH`] connections before others get their chance.

pub(crate) mod inbox;
pub(crate) mod pools;
pub(crate) mod pulse;
pub(crate) mod spin;
pub(crate) mod tasks;
pub(crate) mod turn;
pub(crate) mod wheel;

use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::{Events, Token};
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use crate::config::MAX_SPIN;
use crate::http::HttpSeat;
use crate::mount::upgrade::Source;
use crate::server::Shared;
use crate::server::binding::Acceptor;
use crate::server::drain::Leaving;
use crate::stream::{Socket, Stream};
use crate::worker::inbox::{Command, ConnectionId, InTurn, Inbox, InboxReceiver, WorkerId};
use crate::worker::pulse::{Deed, Pulse};
use crate::worker::spin::Spin;
use crate::worker::turn::Turn;
use crate::worker::wheel::Wheel;

/// Readiness taken at once.
const EVENTS_PER_BATCH: usize = 1024;
/// There is always room to read this much.
const MIN_READ_BYTES: usize = 4 << 10;
/// Commands taken at once.
const COMMANDS_PER_BATCH: usize = 1024;
/// Connections accepted at once.
const ACCEPTS_PER_BATCH: usize = 256;
/// Connections written at the end of a batch before the worker looks for readiness again.
const WRITES_PER_BATCH: usize = 256;
/// How often a worker that spins looks before it lets other tasks work.
const LOOKS_PER_YIELD: usize = 16;
/// A batch longer than this is worth a warning: some callback blocks the worker.
const SLOW_BATCH: Duration = Duration::from_millis(100);
/// After the system refused to accept (no descriptors left, say), how long to leave it alone.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Addresses a server may listen on.
pub(crate) const MAX_LISTENERS: usize = 64;
/// Tokens from here on are those of the listeners, by their place among them.
const FIRST_LISTENER: usize = usize::MAX - 1 - MAX_LISTENERS;

fn is_listener(event: &mio::event::Event) -> bool {
    event.token().0 >= FIRST_LISTENER
}

/// Serves what is no request for one of our mounts, with the bytes read so far.
pub(crate) type ServeHttp = Box<dyn Fn(Stream, Bytes, Source, HttpSeat) + Send>;

pub(crate) struct Worker {
    pub(crate) turn: Turn,
    pub(crate) poll: mio::Poll,
    pub(crate) buffer: Vec<u8>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) serve_http: ServeHttp,
    pub(crate) generation: u32,
    acceptors: Vec<Acceptor>,
    accept_at: Option<Instant>,
    inbox: Inbox,
    receiver: InboxReceiver,
    /// Connections that hyper serves.
    pub(crate) http_connections: usize,
    pub(crate) leaving: Option<Leaving>,
}

/// The set's descriptor, for tokio to watch; the set itself stays ours.
struct Watched(RawFd);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Worker {
    pub(crate) fn new(
        id: WorkerId,
        shared: Arc<Shared>,
        mut acceptors: Vec<Acceptor>,
        receiver: InboxReceiver,
        serve_http: ServeHttp,
        pulse: Pulse,
    ) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        for (index, acceptor) in acceptors.iter_mut().enumerate() {
            acceptor.register(poll.registry(), Token(FIRST_LISTENER + index))?;
        }
        Ok(Self {
            turn: Turn::new(&shared, id, Wheel::new(Instant::now()), pulse),
            poll,
            // An unfinished head lies before what is read next.
            buffer: vec![0; shared.config.read_buffer_bytes.max(shared.config.max_head_bytes + MIN_READ_BYTES)],
            inbox: shared.workers.inbox(id).clone(),
            shared,
            serve_http,
            generation: 0,
            acceptors,
            accept_at: None,
            receiver,
            http_connections: 0,
            leaving: None,
        })
    }

    /// Works until the server is stopped and the last connection is gone.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let set = watch(&self.poll)?;
        let mut events = Events::with_capacity(EVENTS_PER_BATCH);
        let mut commands = Vec::with_capacity(COMMANDS_PER_BATCH);
        let mut alarm = Alarm { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), at: None };
        let mut spin = Spin::new(self.shared.config.spin.min(MAX_SPIN));
        // What there is none of yet shall be seen, too.
        self.turn.publish();
        while !self.is_done() {
            events.clear();
            if !self.turn.has_work() {
                let since = spin.is_on().then(Instant::now);
                if !self.spin(&spin, &mut events, &mut commands).await? {
                    self.wait(&set, &mut alarm, &mut commands).await;
                }
                if let Some(since) = since {
                    spin.note(since.elapsed());
                }
            } else {
                tokio::task::yield_now().await;
                poll_fn(|cx| {
                    let _ = self.receiver.receiver.poll_recv_many(cx, &mut commands, COMMANDS_PER_BATCH);
                    Poll::Ready(())
                })
                .await;
            }
            self.take_batch(&set, &mut events, &mut commands)?;
        }
        let _present = InTurn::enter(&self.inbox);
        for key in self.keys() {
            self.turn.lose(key);
        }
        self.turn.carry_out();
        self.turn.publish();
        Ok(())
    }

    fn is_done(&self) -> bool {
        let Some(leaving) = &self.leaving else { return false };
        let is_empty = self.turn.connections.is_empty() && self.http_connections == 0 && self.turn.tasks == 0;
        is_empty || leaving.is_over()
    }

    pub(crate) fn keys(&self) -> Vec<usize> {
        self.turn.connections.iter().map(|(key, _)| key).collect()
    }

    /// Until there is readiness, a command or a deadline.
    async fn wait(&mut self, set: &AsyncFd<Watched>, alarm: &mut Alarm, commands: &mut Vec<Command>) {
        let leave_at = self.leaving.as_ref().map(Leaving::next);
        let publish_at = self.turn.figures.publish_at().map(|tick| self.turn.wheel.instant(tick));
        let next = [self.turn.wheel.next(), self.accept_at, leave_at, publish_at].into_iter().flatten().min();
        poll_fn(|cx| {
            let has_commands = self.receiver.receiver.poll_recv_many(cx, commands, COMMANDS_PER_BATCH).is_ready();
            let is_ready = set.poll_read_ready(cx).is_ready();
            if alarm.poll(cx, next) || has_commands || is_ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Looks for readiness and commands for as long as `spin` says; whether there was any.
    async fn spin(&mut self, spin: &Spin, events: &mut Events, commands: &mut Vec<Command>) -> io::Result<bool> {
        let Some(limit) = spin.limit() else { return Ok(false) };
        let begun = Instant::now();
        while begun.elapsed() < limit {
            for _ in 0..LOOKS_PER_YIELD {
                self.look(events)?;
                let found = self.receiver.receiver.poll_recv_many(
                    &mut Context::from_waker(Waker::noop()),
                    commands,
                    COMMANDS_PER_BATCH,
                );
                if !events.is_empty() || found.is_ready() {
                    return Ok(true);
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(false)
    }

    /// Asks the set what is ready, without sleep.
    fn look(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn take_batch(
        &mut self,
        set: &AsyncFd<Watched>,
        events: &mut Events,
        commands: &mut Vec<Command>,
    ) -> io::Result<()> {
        let _present = InTurn::enter(&self.inbox);
        self.turn.pulse.begin();
        let begun = Instant::now();
        self.turn.now = self.turn.wheel.tick(begun);
        self.receiver.settle(commands.len());
        for command in commands.drain(..) {
            self.handle_command(command);
        }
        self.handle_readiness(set, events)?;
        for index in std::mem::take(&mut self.turn.again) {
            self.take_turn(index as usize);
        }
        self.turn.handle_deadlines();
        if self.accept_at.is_some_and(|at| at <= begun) {
            self.accept_at = None;
            self.accept();
        }
        if self.leaving.is_some() {
            self.drain(begun);
        }
        self.turn.pulse.note(Deed::Other, 0);
        self.turn.flush(WRITES_PER_BATCH);
        self.turn.carry_out();
        let spent = begun.elapsed();
        if spent > SLOW_BATCH {
            self.turn.note_slow_turn(spent);
        }
        self.turn.pulse.end();
        self.turn.figures.now.http_connections = self.http_connections as u64;
        self.turn.publish_in_time();
        Ok(())
    }

    fn handle_readiness(&mut self, set: &AsyncFd<Watched>, events: &mut Events) -> io::Result<()> {
        // Who has looked has found what there is.
        if events.is_empty() {
            // The guard is taken before the set is asked: what becomes ready after that makes the set ready anew.
            let Poll::Ready(guard) = set.poll_read_ready(&mut Context::from_waker(Waker::noop())) else {
                return Ok(());
            };
            let mut guard = guard?;
            self.look(events)?;
            if events.iter().count() < EVENTS_PER_BATCH {
                guard.clear_ready();
            }
        }
        for event in events.iter().filter(|event| !is_listener(event)) {
            self.handle_event(event);
        }
        // Last, or a new connection might get the place of one that is gone, and with it what is said about that.
        if events.iter().any(is_listener) {
            self.accept();
        }
        Ok(())
    }

    fn handle_event(&mut self, event: &mio::event::Event) {
        let key = event.token().0;
        let Some(connection) = self.turn.connections.get_mut(key) else { return };
        connection.hung_up |= event.is_read_closed() || event.is_error();
        connection.readable |= event.is_readable() || connection.hung_up;
        if event.is_writable() && (std::mem::take(&mut connection.blocked) || connection.stream.owes()) {
            self.turn.write(key);
            self.turn.note_progress(key);
            self.turn.read_again(key);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.take_turn(key);
        }
    }

    /// As [`handle_event`](Self::handle_event), for a stream that is polled: it does not say in which direction.
    fn handle_wake(&mut self, id: ConnectionId) {
        let Some(key) = self.turn.key_of(id) else { return };
        let connection = &mut self.turn.connections[key];
        connection.stream.handle_wake();
        connection.readable = true;
        if std::mem::take(&mut connection.blocked) || connection.stream.owes() {
            self.turn.write(key);
        }
        self.take_turn(key);
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Decide { to, answer } => self.decide(to, answer),
            Command::Adopt { stream, early, upgrade, peer_addr, seat, served } => {
                self.adopt(stream, early, upgrade, peer_addr, seat);
                drop(served);
            }
            Command::Wake { to } => self.handle_wake(to),
            Command::HttpBegun => self.http_connections += 1,
            Command::HttpEnded => self.http_connections -= 1,
            Command::TaskEnded => self.turn.tasks -= 1,
            Command::Stop { code, reason, by } => self.stop(Leaving::at_once(code, reason, by)),
            Command::Drain { drain, by } => self.begin_drain(*drain, by),
            command => self.turn.apply(command),
        }
        self.turn.carry_out();
    }

    fn accept(&mut self) {
        for index in 0..self.acceptors.len() {
            self.accept_at_listener(index);
        }
    }

    /// Takes all who wait.
    pub(crate) fn accept_the_last(&mut self) {
        for _ in 0..ACCEPTS_PER_BATCH {
            self.accept_at = None;
            self.accept();
            // None are left, or none can be taken now.
            if self.accept_at.is_none_or(|at| at > Instant::now()) {
                break;
            }
        }
    }

    /// Accepts no more.
    pub(crate) fn end_listening(&mut self) {
        self.accept_at = None;
        for mut acceptor in self.acceptors.drain(..) {
            let _ = acceptor.deregister(self.poll.registry());
        }
    }

    /// Takes who waits there, some at a time.
    fn accept_at_listener(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_BATCH {
            match self.acceptors[index].accept() {
                Ok((socket, peer)) => self.admit(index as u8, socket, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    self.accept_at = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        self.accept_at = Some(Instant::now());
    }

    fn admit(&mut self, listener: u8, mut socket: Socket, peer: Option<SocketAddr>) {
        self.turn.figures.now.accepted += 1;
        let Some(mut seat) = self.shared.seats.take() else {
            self.turn.figures.now.turned_away += 1;
            if self.shared.listeners[usize::from(listener)].tls.is_none() {
                // One small write to an empty socket buffer; who cannot take even that learns nothing.
                let _ =
                    socket.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
            return;
        };
        if !self.is_within_address_limit(listener, peer, &mut seat) {
            self.turn.figures.now.turned_away += 1;
            return self.turn_away(listener, socket);
        }
        let Some((stream, phase)) = self.prepare(listener, socket, peer) else { return };
        let options = self.shared.default_options.clone();
        if let Some(key) = self.insert(stream, options, seat) {
            let connection = &mut self.turn.connections[key];
            (connection.listener, connection.phase) = (listener, phase);
            let deadline = self.turn.wheel.deadline(self.turn.now, self.shared.config.handshake_timeout);
            self.turn.set_deadline(key, deadline);
        }
    }
}

/// Lets tokio watch the set. It is dropped before the worker, hence before the descriptor it names.
#[expect(deprecated, reason = "its replacement is unsafe; the descriptor outlives the watch, as is said above")]
fn watch(poll: &mio::Poll) -> io::Result<AsyncFd<Watched>> {
    AsyncFd::with_interest(Watched(poll.as_raw_fd()), tokio::io::Interest::READABLE)
}

/// The one timer of a worker.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Option<Instant>,
}

impl Alarm {
    /// Whether `next` has come; else the task is woken when it does.
    fn poll(&mut self, cx: &mut Context<'_>, next: Option<Instant>) -> bool {
        if let Some(next) = next
            && self.at != Some(next)
        {
            self.sleep.as_mut().reset(next.into());
            self.at = Some(next);
        }
        next.is_some() && self.sleep.as_mut().poll(cx).is_ready()
    }
}
