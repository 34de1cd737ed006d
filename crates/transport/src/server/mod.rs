//! A server: its mounts, its workers, its beginning and its end.

pub(crate) mod binding;
pub(crate) mod drain;
pub(crate) mod listener;
pub(crate) mod running;
pub(crate) mod seats;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use wingbeat_websocket::handshake::HeadLimits;

use crate::config::Config;
use crate::error::Error;
use crate::http::{Http, HttpService};
use crate::mount::accept::{Accept, Opening};
use crate::mount::raw::RawMount;
use crate::mount::{Mount, Request, Routes};
use crate::observer::Observer;
use crate::options::SocketOptions;
use crate::server::binding::{Acceptor, bind};
use crate::server::listener::Listener;
use crate::server::running::Running;
use crate::server::seats::Seats;
use crate::websocket::WebSocket;
use crate::worker::inbox::{Inbox, InboxReceiver, WorkerId, Workers};
use crate::worker::pulse::Pulse;
use crate::worker::{MAX_LISTENERS, ServeHttp, Worker};

/// What all workers of a server share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) head_limits: HeadLimits,
    pub(crate) default_options: Arc<SocketOptions>,
    pub(crate) routes: Routes,
    pub(crate) workers: Workers,
    pub(crate) seats: Seats,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Shared {
    /// Whether HTTP/2 is spoken at one of the listeners.
    pub(crate) fn speaks_http2(&self, listener: u8) -> bool {
        self.config.http2.is_enabled && self.listeners[usize::from(listener)].http2
    }
}

/// A server that is being put together.
///
/// ```no_run
/// use wingbeat_transport::{Config, Context, Handler, Message, Server, SocketOptions, not_found};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
///         let _ = cx.send(message);
///     }
/// }
///
/// let server = Server::new(Config::default()).handler("/echo", SocketOptions::default(), |_| Ok(Echo));
/// let running = server.start(not_found())?;
/// println!("listening on {}", running.local_addr());
/// # Ok::<(), wingbeat_transport::Error>(())
/// ```
#[derive(Default)]
pub struct Server {
    config: Config,
    mounts: Vec<(String, Arc<dyn Mount>)>,
    observer: Option<Arc<dyn Observer>>,
}

impl Server {
    /// A server without mounts.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, mounts: Vec::new(), observer: None }
    }

    /// Mounts something at an exact path, whose segments may be `:variables`.
    #[must_use]
    pub fn mount(mut self, path: &str, mount: impl Mount) -> Self {
        self.mounts.push((path.to_owned(), Arc::new(mount)));
        self
    }

    /// Shows everything that happens on the connections to `observer`, however they came. Without one, nothing is spent
    /// on it.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Mounts a raw handler. The handshake is checked in full, then the origin, then `open` sees the request and gives a
    /// handler, or an [`Accept`] with more to say, or refuses with any HTTP answer ([`refuse`] makes plain ones).
    #[must_use]
    pub fn handler<A: Into<Accept>>(
        self,
        path: &str,
        options: SocketOptions,
        open: impl Fn(&Request) -> Result<A, http::Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let open = move |request: Request| Opening::Now(open(&request).map(Into::into));
        self.mount(path, RawMount { options: Arc::new(options), open })
    }

    /// As [`handler`](Self::handler), for an `open` that takes time: it runs as a task and has to come to an end within
    /// [`Config::handshake_timeout`], else the answer is 503.
    #[must_use]
    pub fn handler_async<A: Into<Accept>, Fut>(
        self,
        path: &str,
        options: SocketOptions,
        open: impl Fn(Request) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        Fut: Future<Output = Result<A, http::Response<Bytes>>> + Send + 'static,
    {
        let open = move |request: Request| {
            let decision = open(request);
            Opening::Later(Box::pin(async { decision.await.map(Into::into) }))
        };
        self.mount(path, RawMount { options: Arc::new(options), open })
    }

    /// Mounts a loop: `serve` is called with each new connection and runs as a task. Where the loop needs something of
    /// its request, give [`handler`](Self::handler) a [`WebSocket::handler`].
    #[must_use]
    pub fn socket<F, Fut>(self, path: &str, options: SocketOptions, serve: F) -> Self
    where
        F: Fn(WebSocket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let serve = Arc::new(serve);
        let accept = move |_: &Request| {
            let serve = serve.clone();
            Ok(WebSocket::handler(move |socket| serve(socket)))
        };
        self.handler(path, options, accept)
    }

    /// Listens, starts the workers, and returns. `http` serves what is not for one of the mounts.
    ///
    /// Requests for mounts never reach `http`: tower layers around it (of logging, authentication, time limits) see nothing
    /// of them. What has to be said about them is for the mount to say. Where the layers are to count, have an axum
    /// server of your own and use [`into_service`](Self::into_service).
    ///
    /// # Errors
    /// The address cannot be had, a path cannot be mounted, or the system has no thread left.
    pub fn start<S, B>(self, http: S) -> Result<Running, Error>
    where
        S: HttpService<B>,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let listeners = match &self.config.listeners[..] {
            [] => vec![self.config.listen.into()],
            listeners => listeners.to_vec(),
        };
        let (acceptors, local_addrs) = bind_all(&self.config, &listeners)?;
        let (shared, ends) = self.into_shared(listeners)?;
        let (stop, stopped) = watch::channel(false);
        let (done, all_done) = mpsc::channel(1);
        for ((id, acceptors), ends) in shared.workers.ids().zip(acceptors).zip(ends) {
            let serve_http = serve_http_with(http.clone(), shared.clone(), id, stopped.clone());
            spawn_worker(id, shared.clone(), acceptors, ends, serve_http, done.clone())?;
        }
        Ok(Running { local_addrs, shared, stop, all_done })
    }

    /// Starts workers that do not listen: what they get they adopt.
    pub(crate) fn start_workers(self) -> Result<(Running, watch::Receiver<bool>), Error> {
        let (shared, ends) = self.into_shared(Vec::new())?;
        let (stop, stopped) = watch::channel(false);
        let (done, all_done) = mpsc::channel(1);
        for (id, ends) in shared.workers.ids().zip(ends) {
            // Nothing that is adopted is ever handed to hyper.
            spawn_worker(id, shared.clone(), Vec::new(), ends, Box::new(|_, _, _, _| {}), done.clone())?;
        }
        Ok((Running { local_addrs: Vec::new(), shared, stop, all_done }, stopped))
    }

    /// The paths of all mounts.
    pub(crate) fn paths(&self) -> Arc<[String]> {
        self.mounts.iter().map(|(path, _)| path.clone()).collect()
    }

    fn into_shared(self, listeners: Vec<Listener>) -> Result<(Arc<Shared>, Vec<WorkerEnds>), Error> {
        let mut routes = Routes::default();
        for (path, mount) in self.mounts {
            routes.insert(&path, mount)?;
        }
        let config = self.config;
        let (inboxes, receivers): (_, Vec<_>) =
            (0..config.threads.max(1)).map(|_| Inbox::new(config.max_inbox_commands)).unzip();
        let shared = Shared {
            head_limits: HeadLimits::DEFAULT.with_max_bytes(config.max_head_bytes).with_max_headers(config.max_headers),
            default_options: Arc::default(),
            routes,
            workers: Workers::new(inboxes),
            seats: Seats::new(config.max_connections, config.max_connections_per_address),
            listeners,
            observer: self.observer,
            config,
        };
        #[cfg(feature = "metrics")]
        crate::observer::metrics::describe();
        let pulses = crate::worker::pulse::start(receivers.len());
        Ok((Arc::new(shared), receivers.into_iter().zip(pulses).collect()))
    }
}

/// For each worker its acceptors, in the order of the listeners; and the addresses of those that have one.
fn bind_all(config: &Config, listeners: &[Listener]) -> Result<(Vec<Vec<Acceptor>>, Vec<SocketAddr>), Error> {
    let workers = config.threads.max(1);
    if listeners.len() > MAX_LISTENERS {
        return Err(Error::Listeners(listeners.len()));
    }
    let mut by_worker: Vec<Vec<Acceptor>> = (0..workers).map(|_| Vec::new()).collect();
    let mut local_addrs = Vec::new();
    for listener in listeners {
        let (acceptors, local) = bind(&listener.place, workers, config)?;
        local_addrs.extend(local);
        by_worker.iter_mut().zip(acceptors).for_each(|(worker, acceptor)| worker.push(acceptor));
    }
    Ok((by_worker, local_addrs))
}

fn serve_http_with<S, B>(service: S, shared: Arc<Shared>, worker: WorkerId, stop: watch::Receiver<bool>) -> ServeHttp
where
    S: HttpService<B>,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    Box::new(move |stream, early, source, seat| {
        let http = Http { service: service.clone(), shared: shared.clone(), worker, stop: stop.clone() };
        tokio::spawn(http.serve(stream, early, source, seat));
    })
}

/// What a worker alone has of what others see of it.
type WorkerEnds = (InboxReceiver, Pulse);

/// A thread with a runtime of its own, on which the worker and all its tasks live.
fn spawn_worker(
    id: WorkerId,
    shared: Arc<Shared>,
    acceptors: Vec<Acceptor>,
    (receiver, pulse): WorkerEnds,
    serve_http: ServeHttp,
    done: mpsc::Sender<()>,
) -> Result<(), Error> {
    let (started, is_started) = std::sync::mpsc::channel();
    let run = move || {
        let _done = done;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let worker = Worker::new(id, shared, acceptors, receiver, serve_http, pulse);
        match runtime.and_then(|runtime| Ok((runtime, worker?))) {
            Ok((runtime, worker)) => {
                let _ = started.send(Ok(()));
                if let Err(error) = runtime.block_on(worker.run()) {
                    tracing::error!(%error, worker = id.index(), "a worker failed");
                }
            }
            Err(error) => drop(started.send(Err(error))),
        }
    };
    std::thread::Builder::new().name(format!("wingbeat-{}", id.index())).spawn(run).map_err(Error::Worker)?;
    let lost = |_| std::io::Error::other("the worker's thread ended at once");
    is_started.recv().map_err(lost).flatten().map_err(Error::Worker)
}

/// An HTTP answer of one sentence, to refuse a request with.
#[must_use]
pub fn refuse(status: http::StatusCode, why: &str) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::copy_from_slice(why.as_bytes()));
    *response.status_mut() = status;
    response
}

/// An HTTP answer of one sentence.
pub(crate) fn refusal(status: http::StatusCode, why: &'static str) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::from_static(why.as_bytes()));
    *response.status_mut() = status;
    response
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths: Vec<_> = self.mounts.iter().map(|(path, _)| path).collect();
        f.debug_struct("Server").field("config", &self.config).field("mounts", &paths).finish()
    }
}
