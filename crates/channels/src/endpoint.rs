//! The endpoint: state, mounts, secret; what serves.

use std::sync::Arc;

use bytes::Bytes;
pub use wingbeat_transport::Running;
use wingbeat_transport::{HttpService, Mounted, Server};

use crate::assets;
use crate::config::{Config, MountOptions};
use crate::error::Error;
use crate::handle::EndpointHandle;
use crate::mount::SocketMount;
use crate::socket::Socket;
use crate::token::{SecretError, Tokens};

/// What all connections of an endpoint share.
pub(crate) struct Shared<A> {
    pub(crate) state: A,
    pub(crate) handle: EndpointHandle,
}

/// Sockets and their paths, put together to be served.
///
/// ```no_run
/// # async fn example<S: wingbeat_channels::Socket<State = ()>>() -> Result<(), wingbeat_channels::Error> {
/// use wingbeat_channels::{Config, Endpoint};
///
/// let endpoint = Endpoint::new(Config::from_env()?).socket::<S>("/socket");
/// let running = endpoint.start(wingbeat_channels::not_found())?;
/// println!("listening on {}", running.local_addr());
/// # Ok(())
/// # }
/// ```
pub struct Endpoint<A = ()> {
    server: Server,
    shared: Arc<Shared<A>>,
    /// Reported when the endpoint starts, so that putting it together needs no `?`.
    secret: Result<(), SecretError>,
}

impl Endpoint {
    /// An endpoint without sockets. It serves the browser client at `/wingbeat.js`.
    pub fn new(config: Config) -> Self {
        let (tokens, secret) = tokens(config.secret_key_base);
        let shared = Arc::new(Shared { state: (), handle: EndpointHandle::new(tokens) });
        Self { server: assets::mount(Server::new(config.transport)), shared, secret }
    }
}

impl<A: Send + Sync + 'static> Endpoint<A> {
    /// Gives the application's own state to the sockets mounted after this.
    #[must_use]
    pub fn with_state<B: Send + Sync + 'static>(self, state: B) -> Endpoint<B> {
        let handle = self.shared.handle.clone();
        Endpoint { server: self.server, shared: Arc::new(Shared { state, handle }), secret: self.secret }
    }

    /// Mounts a socket at `path` with the default options: clients connect to `path` + `/websocket`. The path may have
    /// `:variables`, which become params.
    #[must_use]
    pub fn socket<S: Socket<State = A>>(self, path: &str) -> Self {
        self.socket_with::<S>(path, MountOptions::default())
    }

    /// Mounts a socket at `path` with options of its own.
    #[must_use]
    pub fn socket_with<S: Socket<State = A>>(mut self, path: &str, options: MountOptions) -> Self {
        let path = format!("{}{}", path.trim_end_matches('/'), options.path);
        let mount = SocketMount::<S>::new(options, self.shared.clone());
        // Phoenix ignores a slash at the end.
        self.server = self.server.mount(&format!("{path}/"), mount.clone()).mount(&path, mount);
        self
    }

    /// Adds what the layer below can mount: raw handlers, loops, mounts of one's own.
    #[must_use]
    pub fn with_server(mut self, change: impl FnOnce(Server) -> Server) -> Self {
        self.server = change(self.server);
        self
    }

    /// The endpoint from HTTP routes and jobs.
    pub fn handle(&self) -> EndpointHandle {
        self.shared.handle.clone()
    }

    /// Listens, starts the workers, and returns. `app` serves what is not for a socket: an axum router, say.
    ///
    /// Requests for sockets never reach `app`: tower layers around it see nothing of them. Where they are to count, have
    /// a server of your own around [`into_service`](Self::into_service).
    ///
    /// # Errors
    /// The address is taken, the secret too short, a path cannot be mounted, panics abort the program.
    pub fn start<S, B>(self, app: S) -> Result<Running, Error>
    where
        S: HttpService<B>,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        self.check()?;
        let running = self.server.start(app)?;
        self.shared.handle.pubsub().start(running.workers());
        Ok(running)
    }

    /// Starts the workers without a listener, for a server that is there already; see
    /// [`Server::into_service`]. What is returned beside the service ends the connections.
    ///
    /// # Errors
    /// The secret is too short, a path cannot be mounted, panics abort the program.
    pub fn into_service(self) -> Result<(Mounted, Running), Error> {
        self.check()?;
        let (mounted, running) = self.server.into_service()?;
        self.shared.handle.pubsub().start(running.workers());
        Ok((mounted, running))
    }

    /// As [`into_service`](Self::into_service): the sockets as routes, to be merged into an axum router or nested in it.
    ///
    /// ```no_run
    /// # async fn example<S: wingbeat_channels::Socket<State = ()>>() -> Result<(), Box<dyn std::error::Error>> {
    /// # use wingbeat_channels::{Config, Endpoint};
    /// # use wingbeat_transport::CloseCode;
    /// # use std::time::Duration;
    /// let (sockets, running) = Endpoint::new(Config::from_env()?).socket::<S>("/socket").router()?;
    /// let app = axum::Router::new().merge(sockets);
    /// let stopped = async {
    ///     // .. when it is time:
    ///     running.shutdown(CloseCode::SERVICE_RESTART, "", Duration::from_secs(10)).await;
    /// };
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
    /// axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`into_service`](Self::into_service).
    #[cfg(feature = "axum")]
    pub fn router<R: Clone + Send + Sync + 'static>(self) -> Result<(axum::Router<R>, Running), Error> {
        let (mounted, running) = self.into_service()?;
        Ok((mounted.router(), running))
    }

    fn check(&self) -> Result<(), Error> {
        if cfg!(panic = "abort") {
            return Err(Error::PanicAbort);
        }
        Ok(self.secret?)
    }

    /// Serves until the process ends. Who wants to know the address or to shut down uses [`start`](Self::start).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn serve<S, B>(self, app: S) -> Result<(), Error>
    where
        S: HttpService<B>,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let mut running = self.start(app)?;
        tracing::info!(address = %running.local_addr(), "listening");
        running.wait().await;
        Ok(())
    }
}

impl<A> std::fmt::Debug for Endpoint<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The tokens of a secret. Without one, or with one too short, of a random one.
fn tokens(secret: Option<String>) -> (Tokens, Result<(), SecretError>) {
    let outcome = match secret.map(Tokens::new) {
        Some(Ok(tokens)) => return (tokens, Ok(())),
        Some(Err(error)) => Err(error),
        None => {
            tracing::warn!("no secret is configured: a random one is made, and its tokens end with this process");
            Ok(())
        }
    };
    let mut random = [0_u8; 64];
    getrandom::fill(&mut random).expect("the system has randomness");
    (Tokens::new(random).expect("64 bytes are enough"), outcome)
}
