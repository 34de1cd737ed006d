//! HTTP/2 on our own listener: hyper speaks it, mounts answer its extended CONNECTs (RFC 8441).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::{Http, HttpSeat, HttpService, log_end, stopped};
use crate::mount::upgrade::{self, Place, Source};

/// What a client begins with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How HTTP/2 is spoken, and what one connection of it may cost. `Default` is chosen for a public server.
///
/// What is not named here is h2's: a client may have 20 streams reset that we have not looked at (rapid reset,
/// CVE-2023-44487) and break the protocol on 1,024; then its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http2Config {
    /// Whether it is spoken at all. Default: yes. If not, it is answered 505.
    pub is_enabled: bool,
    /// Whether WebSockets may be opened over it (RFC 8441): the settings say so, and browsers then open all WebSockets of
    /// an origin on the one connection they have. Default: yes. If not, an extended CONNECT is a malformed request.
    pub has_websockets: bool,
    /// Requests and WebSockets that one connection may have open at once. Default: 256, for a browser opens up to 255
    /// WebSockets to one host and would have them all here. Beyond it: the stream is refused.
    pub max_concurrent_streams: u32,
    /// Bytes that one stream may send before they are read. Default: 64 KiB. A connection may send as much for each of
    /// its streams, so that no paused WebSocket holds up its neighbours. Beyond it: the connection is closed.
    pub stream_window_bytes: u32,
    /// How often the other side is asked whether it is there. Default: 30 s.
    pub keep_alive_interval: Duration,
    /// How long it may take to answer. Default: 20 s. Then the connection is closed, its WebSockets with it.
    pub keep_alive_timeout: Duration,
    /// Time without a request or a WebSocket after which the client is told to go (GOAWAY); a quiet WebSocket counts.
    /// Default: 60 s, kept to the nearest multiple above.
    pub idle_timeout: Duration,
}

impl Default for Http2Config {
    fn default() -> Self {
        Self {
            is_enabled: true,
            has_websockets: true,
            max_concurrent_streams: 256,
            stream_window_bytes: 64 << 10,
            keep_alive_interval: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl Http2Config {
    /// Sets whether HTTP/2 is spoken at all.
    #[must_use]
    pub fn with_enabled(self, is_enabled: bool) -> Self {
        Self { is_enabled, ..self }
    }

    /// Sets whether WebSockets may be opened over it.
    #[must_use]
    pub fn with_websockets(self, has_websockets: bool) -> Self {
        Self { has_websockets, ..self }
    }

    /// Sets how many requests and WebSockets one connection may have open at once.
    #[must_use]
    pub fn with_max_concurrent_streams(self, max_concurrent_streams: u32) -> Self {
        Self { max_concurrent_streams, ..self }
    }

    /// Sets how many bytes one stream may send before they are read.
    #[must_use]
    pub fn with_stream_window_bytes(self, stream_window_bytes: u32) -> Self {
        Self { stream_window_bytes, ..self }
    }

    /// Sets how often the other side is asked whether it is there, and how long it may take to answer.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive_interval: Duration, keep_alive_timeout: Duration) -> Self {
        Self { keep_alive_interval, keep_alive_timeout, ..self }
    }

    /// Sets the time without a request or a WebSocket after which the client is told to go.
    #[must_use]
    pub fn with_idle_timeout(self, idle_timeout: Duration) -> Self {
        Self { idle_timeout, ..self }
    }

    /// Room for every stream's window; HTTP/2 allows no more than 2^31 - 1.
    fn connection_window_bytes(self) -> u32 {
        self.stream_window_bytes.saturating_mul(self.max_concurrent_streams).clamp(65_535, (1 << 31) - 1)
    }
}

impl<S> Http<S> {
    /// Serves a connection that has begun with the preface, until it ends or the server stops.
    pub(crate) async fn serve_http2<B>(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        source: Source,
        seat: HttpSeat,
    ) where
        S: HttpService<B>,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let Self { service, shared, worker, mut stop } = self;
        let (config, max_head_bytes) = (shared.config.http2, shared.config.max_head_bytes);
        let activity = Arc::new(Activity::default());
        let seen = activity.clone();
        let answer = service_fn(move |request: http::Request<Incoming>| {
            let (mut service, shared, source) = (service.clone(), shared.clone(), source.clone());
            let busy = Busy::new(seen.clone());
            async move {
                let (head, body) = request.into_parts();
                if let Some(response) = upgrade::screen(&head)? {
                    return Ok::<_, h2::Error>(response.map(Either::Right));
                }
                let request = http::Request::from_parts(head, body);
                let found = shared.routes.find(request.uri().path()).map(|(mount, params)| (mount.clone(), params));
                let Some(found) = found else {
                    let response = service.call(request).await.unwrap_or_else(|never: Infallible| match never {});
                    drop(busy);
                    return Ok(response.map(Either::Left));
                };
                let seats = shared.clone();
                let place = move |payer| {
                    let seat = seats.seats.take_for(payer)?;
                    Ok(Place { worker, seat, served: None, guard: Some(Box::new(busy)) })
                };
                Ok(upgrade::answer(shared, found, request, source, place).await.map(Either::Right))
            }
        });
        let connection = builder(config, max_head_bytes).serve_connection(TokioIo::new(io), answer);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return log_end(result),
            () = stopped(&mut stop) => {}
            () = activity.idle(config.idle_timeout) => {}
        }
        connection.as_mut().graceful_shutdown();
        log_end(connection.await);
        drop(seat);
    }
}

fn builder(config: Http2Config, max_head_bytes: usize) -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_concurrent_streams)
        .initial_stream_window_size(config.stream_window_bytes)
        .initial_connection_window_size(config.connection_window_bytes())
        .max_header_list_size(u32::try_from(max_head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(config.keep_alive_interval)
        .keep_alive_timeout(config.keep_alive_timeout);
    if config.has_websockets {
        builder.enable_connect_protocol();
    }
    builder
}

/// What is going on on a connection.
#[derive(Debug, Default)]
struct Activity {
    open: AtomicUsize,
    begun: AtomicU64,
}

impl Activity {
    /// Until nothing was open or begun for `timeout`.
    async fn idle(&self, timeout: Duration) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(timeout).await;
            if self.open.load(Ordering::Relaxed) == 0 && self.begun.load(Ordering::Relaxed) == begun {
                return;
            }
        }
    }
}

/// A request or a WebSocket that is going on.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::Relaxed);
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
