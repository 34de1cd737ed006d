//! Our mounts in somebody else's server: a tower service for axum, tower or hyper.
//!
//! The other server accepts, speaks TLS and HTTP, and routes; what opens a WebSocket here is answered through it, and
//! then the stream is taken out and given to a worker. Workers have threads of their own, as on our own listener: what
//! lives in a worker is not shared between threads, which is why it needs no lock and why no runtime of many threads
//! could hold it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http::uri::Scheme;
use http_body_util::Full;
use tokio::sync::watch;
use tower_service::Service;

use crate::error::Error;
use crate::http::HttpSeat;
use crate::mount::upgrade::{self, NoPlace, Place, Response, Source};
use crate::server::running::Running;
use crate::server::{Server, Shared, refusal};
use crate::worker::inbox::{WorkerId, Workers};

/// What mounts answer, as a tower service over requests with any body: for hyper's connections, a tower stack, or, with
/// the feature `axum`, [`router`](Self::router). Clone is cheap, and all clones are the same service.
///
/// Paths that are not mounted are answered 404. In a nested router paths count from where it is nested; the whole one is
/// in axum's `OriginalUri`, among the extensions of [`Request::head`](crate::Request::head).
#[derive(Clone, Debug)]
pub struct Mounted {
    shared: Arc<Shared>,
    paths: Arc<[String]>,
    next: Arc<AtomicUsize>,
    stopped: watch::Receiver<bool>,
    source: Source,
}

impl Server {
    /// Starts the workers without a listener, for a server that is there already. [`Config::listen`](crate::Config) and
    /// what else is about listening and HTTP does not count then: that is for the other server to decide. Everything about
    /// connections counts, [`Config::max_connections`](crate::Config::max_connections) among them, as soon as they open.
    ///
    /// What is returned beside the service ends the connections: have it shut down with the server around.
    ///
    /// # Errors
    /// A path cannot be mounted, or the system has no thread left.
    pub fn into_service(self) -> Result<(Mounted, Running), Error> {
        let paths = self.paths();
        let (running, stopped) = self.start_workers()?;
        let source = Source { peer_addr: None, scheme: Scheme::HTTP, listener: None };
        let shared = running.shared.clone();
        Ok((Mounted { shared, paths, next: Arc::default(), stopped, source }, running))
    }
}

impl Mounted {
    /// The same service for the requests of one connection, whose other end is `peer_addr`. axum's
    /// `into_make_service_with_connect_info::<SocketAddr>()` says it just as well.
    #[must_use]
    pub fn with_peer_addr(mut self, peer_addr: SocketAddr) -> Self {
        self.source.peer_addr = Some(peer_addr);
        self
    }

    /// The same service for requests that came over `https`, which matters to
    /// [`CheckOrigin::SameOrigin`](crate::CheckOrigin::SameOrigin) alone. Over HTTP/2 the request itself says so.
    #[must_use]
    pub fn with_https(mut self) -> Self {
        self.source.scheme = Scheme::HTTPS;
        self
    }

    /// The workers that have the connections.
    #[must_use]
    pub fn workers(&self) -> &Workers {
        &self.shared.workers
    }

    /// The paths of all mounts as they were given, for routers that want to be told.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// One route for each mount, to be merged into or nested in a router of any state.
    ///
    /// The router's layers see the request and the answer to it, and nothing of the WebSocket.
    #[cfg(feature = "axum")]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        let route = |router: axum::Router<S>, path: &str| router.route_service(&axum_path(path), self.clone());
        self.paths().fold(axum::Router::new(), route)
    }

    /// One worker after the other: which has how many connections levels out.
    fn next_worker(&self) -> WorkerId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let at = count % self.shared.workers.len();
        self.shared.workers.ids().nth(at).expect("there is at least one worker")
    }

    fn source_of(&self, head: &http::request::Parts) -> Source {
        let mut source = self.source.clone();
        #[cfg(feature = "axum")]
        if let Some(info) = head.extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
            source.peer_addr = Some(info.0);
        }
        if let Some(scheme) = head.uri.scheme() {
            source.scheme = scheme.clone();
        }
        source
    }

    async fn answer<B>(self, request: http::Request<B>) -> Response {
        let (head, body) = request.into_parts();
        let found = self.shared.routes.find(head.uri.path()).map(|(mount, params)| (mount.clone(), params));
        let Some(found) = found else { return refusal(StatusCode::NOT_FOUND, "not found").map(Full::new) };
        match upgrade::screen(&head) {
            Ok(None) => {}
            Ok(Some(response)) => return response,
            // Through another server no stream can be reset.
            Err(_) => return refusal(StatusCode::BAD_REQUEST, "the extended CONNECT is malformed").map(Full::new),
        }
        if *self.stopped.borrow() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "the server is going down").map(Full::new);
        }
        let source = self.source_of(&head);
        let place = |payer| {
            let (seat, worker) = (self.shared.seats.take_for(payer)?, self.next_worker());
            // Who has been answered is closed like any other, though the worker may stop before it has the stream.
            let served = HttpSeat::announce(self.shared.workers.inbox(worker).clone()).ok_or(NoPlace::Full)?;
            Ok(Place { worker, seat, served: Some(served), guard: None })
        };
        upgrade::answer(self.shared.clone(), found, http::Request::from_parts(head, body), source, place).await
    }
}

impl<B: Send + 'static> Service<http::Request<B>> for Mounted {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let answer = self.clone().answer(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

/// `:name` is `{name}` there, and braces are doubled.
#[cfg(feature = "axum")]
fn axum_path(path: &str) -> String {
    let segment = |segment: &str| match segment.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => segment.replace('{', "{{").replace('}', "}}"),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(all(test, feature = "axum"))]
mod tests {
    use super::*;

    #[test]
    fn paths_in_axums_words() {
        for (ours, theirs) in
            [("/", "/"), ("/ws/:uid/websocket", "/ws/{uid}/websocket"), ("/:_any/", "/{_any}/"), ("/a{b}", "/a{{b}}")]
        {
            assert_eq!(axum_path(ours), theirs);
        }
    }
}
