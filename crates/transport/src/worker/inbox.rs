//! What others ask of a worker, and how it reaches it.
//!
//! From inside a turn of the same worker a command goes to the turn's own queue, without lock or wake, and is carried
//! out right after the present callback. From anywhere else it goes to the inbox: a lock-free queue that wakes the
//! worker once per batch. Either way commands keep the order in which one thread gave them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;
use wingbeat_websocket::CloseCode;

use crate::connection::Waiting;
use crate::error::SendError;
use crate::handle::ConnectionHandle;
use crate::handler::Info;
use crate::http::HttpSeat;
use crate::message::EncodedMessage;
use crate::mount::{Answer, Upgrade};
use crate::observer::stats::Stats;
use crate::server::drain::Drain;
use crate::server::seats::Seat;
use crate::stream::Stream;
use crate::worker::turn::Turn;

/// Names a worker of a server: 0 to [`Workers::len`] - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub(crate) u16);

impl WorkerId {
    /// Its place among the workers, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Names a connection of a server for as long as the server lives; never used twice within four thousand million
/// connections of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) worker: WorkerId,
}

impl ConnectionId {
    /// The worker to which the connection belongs.
    #[must_use]
    pub fn worker(self) -> WorkerId {
        self.worker
    }
}

/// Short, for logs: worker, place and generation.
impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker.0, self.index, self.generation)
    }
}

/// Nobody panics with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) enum Command {
    Send {
        to: ConnectionId,
        message: EncodedMessage,
        written: Option<Waiting>,
    },
    Reply {
        to: ConnectionId,
        message: EncodedMessage,
    },
    /// Ends a run of messages.
    Nothing,
    Drained {
        to: ConnectionId,
    },
    Close {
        to: ConnectionId,
        code: CloseCode,
        reason: Box<str>,
    },
    Info {
        to: ConnectionId,
        info: Info,
    },
    Decide {
        to: ConnectionId,
        answer: Answer,
    },
    /// `served` is the HTTP connection that this was until now.
    Adopt {
        stream: Stream,
        early: Vec<u8>,
        upgrade: Upgrade,
        /// The client, as the request had it.
        peer_addr: Option<SocketAddr>,
        seat: Seat,
        served: Option<HttpSeat>,
    },
    /// A stream that the readiness set does not know has become ready.
    Wake {
        to: ConnectionId,
    },
    /// A connection is answered elsewhere and will be given to the worker: it waits for that.
    HttpBegun,
    HttpEnded,
    TaskEnded,
    Run(Box<dyn FnOnce(&mut Turn) + Send>),
    Drain {
        drain: Box<(Drain, Arc<AtomicUsize>)>,
        by: Instant,
    },
    Stop {
        code: CloseCode,
        reason: Box<str>,
        by: Instant,
    },
}

thread_local! {
    /// Commands given inside the present turn of this thread, if one is going on.
    static COMMANDS: RefCell<VecDeque<Command>> = const { RefCell::new(VecDeque::new()) };
    /// Whether there are any: asked once or twice per message, so it is worth a place of its own.
    static HAS_COMMANDS: Cell<bool> = const { Cell::new(false) };
    /// Identity of the inbox of the worker whose turn it is; 0 outside a turn.
    static PRESENT: Cell<usize> = const { Cell::new(0) };
}

/// While this lives, commands for the worker given on this thread stay in the turn.
pub(crate) struct InTurn;

impl InTurn {
    pub(crate) fn enter(inbox: &Inbox) -> Self {
        PRESENT.set(inbox.identity());
        Self
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        PRESENT.set(0);
    }
}

/// Whether a command was given inside the present turn.
#[inline]
pub(crate) fn has_commands() -> bool {
    HAS_COMMANDS.get()
}

/// The next command given inside the present turn.
#[inline]
pub(crate) fn take_command() -> Option<Command> {
    if !has_commands() {
        return None;
    }
    take_first()
}

/// All commands given inside the present turn.
pub(crate) fn take_commands() -> VecDeque<Command> {
    if !HAS_COMMANDS.replace(false) {
        return VecDeque::new();
    }
    COMMANDS.take()
}

/// Gives back what [`take_commands`] took, once nothing was given before it any more.
pub(crate) fn put_back_commands(later: VecDeque<Command>) {
    if !later.is_empty() {
        COMMANDS.set(later);
        HAS_COMMANDS.set(true);
    }
}

#[cold]
fn take_first() -> Option<Command> {
    COMMANDS.with_borrow_mut(|commands| {
        let first = commands.pop_front();
        HAS_COMMANDS.set(!commands.is_empty());
        first
    })
}

/// The way into one worker from anywhere. A clone is one reference count.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sender: mpsc::UnboundedSender<Command>,
    waiting: AtomicUsize,
    max_waiting: usize,
    /// What the worker has counted.
    stats: Mutex<Stats>,
    /// What was refused without the worker, by status.
    refused: Mutex<BTreeMap<u16, u64>>,
}

/// The worker's end of its inbox.
pub(crate) struct InboxReceiver {
    pub(crate) receiver: mpsc::UnboundedReceiver<Command>,
    shared: Arc<Shared>,
}

impl Inbox {
    pub(crate) fn new(max_waiting: usize) -> (Self, InboxReceiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            sender,
            waiting: AtomicUsize::new(0),
            max_waiting,
            stats: Mutex::default(),
            refused: Mutex::default(),
        });
        (Self(shared.clone()), InboxReceiver { receiver, shared })
    }

    /// How many commands wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn publish(&self, stats: &Stats) {
        lock(&self.0.stats).clone_from(stats);
    }

    pub(crate) fn count_refusal(&self, status: http::StatusCode) {
        *lock(&self.0.refused).entry(status.as_u16()).or_default() += 1;
        #[cfg(feature = "metrics")]
        metrics::counter!("wingbeat_handshakes_total", "status" => status.as_str().to_owned()).increment(1);
    }

    /// The figures of the worker behind it.
    fn stats(&self) -> Stats {
        let mut stats = lock(&self.0.stats).clone();
        for (status, count) in &*lock(&self.0.refused) {
            *stats.handshakes.entry(*status).or_default() += count;
        }
        stats
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    fn is_present(&self) -> bool {
        PRESENT.get() == self.identity()
    }

    pub(crate) fn post(&self, command: Command) -> Result<(), SendError> {
        if self.is_present() {
            COMMANDS.with_borrow_mut(|commands| commands.push_back(command));
            HAS_COMMANDS.set(true);
            return Ok(());
        }
        if self.0.waiting.load(Ordering::Relaxed) >= self.0.max_waiting {
            return Err(SendError::Busy);
        }
        self.post_always(command)
    }

    /// For what must not be lost however full the inbox is: at most one each per connection.
    pub(crate) fn post_always(&self, command: Command) -> Result<(), SendError> {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        self.0.sender.send(command).map_err(|_| SendError::Closed)
    }
}

impl InboxReceiver {
    /// Counts `taken` commands as no longer waiting.
    pub(crate) fn settle(&self, taken: usize) {
        self.shared.waiting.fetch_sub(taken, Ordering::Relaxed);
    }
}

/// All workers of a server, from any thread. Clone is cheap.
#[derive(Clone, Debug)]
pub struct Workers {
    inboxes: Arc<[Inbox]>,
}

impl Workers {
    pub(crate) fn new(inboxes: Vec<Inbox>) -> Self {
        Self { inboxes: inboxes.into() }
    }

    /// How many there are; at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.inboxes.len()
    }

    /// Figures of all workers together, at most a tenth of a second old.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.inboxes.iter().for_each(|inbox| sum.add(&inbox.stats()));
        sum
    }

    /// The workers' names.
    pub fn ids(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.inboxes.len() as u16).map(WorkerId)
    }

    pub(crate) fn inbox(&self, worker: WorkerId) -> &Inbox {
        &self.inboxes[worker.index()]
    }

    pub(crate) fn handle(&self, id: ConnectionId) -> ConnectionHandle {
        ConnectionHandle { id, inbox: self.inbox(id.worker).clone() }
    }

    /// Runs `job` in a turn of `worker`: right after the present callback if that worker's turn is going on here, else
    /// when it comes to its inbox.
    ///
    /// # Errors
    /// [`SendError::Busy`] if the worker's inbox is full, [`SendError::Closed`] if the worker has ended.
    pub fn run(&self, worker: WorkerId, job: impl FnOnce(&mut Turn) + Send + 'static) -> Result<(), SendError> {
        self.inbox(worker).post(Command::Run(Box::new(job)))
    }

    /// Runs `job` in a turn of every worker, as [`run`](Self::run) does for one.
    ///
    /// # Errors
    /// The first error, after every worker was tried.
    pub fn run_everywhere(&self, job: impl Fn(&mut Turn) + Send + Sync + 'static) -> Result<(), SendError> {
        let job = Arc::new(job);
        let post = |worker| {
            let job = job.clone();
            self.run(worker, move |turn| job(turn))
        };
        self.ids().map(post).fold(Ok(()), Result::and)
    }
}
