//! Requests that are not for one of our mounts: hyper serves them, beginning with the bytes the worker has read.
//!
//! A connection kept alive there may still ask for an upgrade to one of our mounts later; it then comes back to a
//! worker.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tower_service::Service;

use crate::inbox::{Command, Inbox, WorkerId};
use crate::mount::{Answer, Request, Upgrade};
use crate::opening::{ask, poll_answer, scheme};
use crate::seats::Seat;
use crate::server::{Shared, refusal};
use crate::stream::{AsyncStream, Stream};

/// What [`Server::start`](crate::Server::start) takes for all that is not for one of our mounts: an `axum::Router`, or
/// any tower service of this shape.
pub trait HttpService<B>:
    Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S, B> HttpService<B> for S where
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// What a connection served by hyper needs to know.
pub(crate) struct Http<S> {
    pub(crate) service: S,
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: WorkerId,
    pub(crate) stop: watch::Receiver<bool>,
}

impl<S> Http<S> {
    /// Serves `stream` until it ends, is upgraded, or the server stops.
    pub(crate) async fn serve<B>(self, stream: Stream, early: Bytes, seat: HttpSeat)
    where
        S: HttpService<B>,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let Ok(stream) = stream.into_async() else { return };
        let (peer_addr, is_encrypted) = (stream.peer_addr(), stream.is_encrypted());
        let seat = Arc::new(std::sync::Mutex::new(Some(seat)));
        let Self { service, shared, worker, mut stop } = self;
        let answer = service_fn(move |request: http::Request<Incoming>| {
            let (mut service, shared, seat) = (service.clone(), shared.clone(), seat.clone());
            async move {
                let Some((mount, path_params)) = shared.routes.find(request.uri().path()) else {
                    return service.call(request).await.map(|response| response.map(Either::Left));
                };
                let (head, body) = request.into_parts();
                let mut request = http::Request::from_parts(head.clone(), body);
                let (scheme, workers) = (scheme(is_encrypted), shared.workers.clone());
                let asked = Request { head, peer_addr, scheme, path_params, workers };
                let within = shared.config.handshake_timeout;
                let seen = shared.note_request(&asked);
                let answer = settle(ask(mount, asked, &shared.config.redaction));
                let response = match tokio::time::timeout(within, answer).await {
                    Err(_) => {
                        let late = "the request was not decided in time";
                        let response = refusal(http::StatusCode::SERVICE_UNAVAILABLE, late);
                        shared.note_refusal(seen.as_deref(), &response);
                        response.map(Full::new)
                    }
                    Ok(Settled::Respond(response)) => {
                        shared.note_refusal(seen.as_deref(), &response);
                        response.map(Full::new)
                    }
                    Ok(Settled::Upgrade(mut upgrade)) => {
                        upgrade.asked = seen;
                        let response = clone_head(&upgrade.response).map(|()| Full::default());
                        let seat = seat.lock().expect("no one panics with it").take();
                        let upgrading = hyper::upgrade::on(&mut request);
                        tokio::spawn(come_back(upgrading, upgrade, shared, worker, seat));
                        response
                    }
                };
                Ok::<_, Infallible>(response.map(Either::Right))
            }
        });
        let io = TokioIo::new(Rewound { early, stream });
        let mut builder = hyper::server::conn::http1::Builder::new();
        let connection = builder.timer(TokioTimer::new()).serve_connection(io, answer).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => log_end(result),
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                log_end(connection.await);
            }
        }
    }
}

/// Until the server stops; the guard that `wait_for` gives must not be kept.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await.map(drop);
}

fn log_end(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}

/// The seat of a connection that hyper serves. Its worker does not end before it.
pub(crate) struct HttpSeat {
    seat: Option<Seat>,
    inbox: Inbox,
}

impl HttpSeat {
    pub(crate) fn new(seat: Seat, inbox: Inbox) -> Self {
        Self { seat: Some(seat), inbox }
    }

    pub(crate) fn take(mut self) -> Option<Seat> {
        self.seat.take()
    }
}

impl Drop for HttpSeat {
    fn drop(&mut self) {
        let _ = self.inbox.post_always(Command::HttpEnded);
    }
}

enum Settled {
    Respond(http::Response<Bytes>),
    Upgrade(Upgrade),
}

async fn settle(mut answer: Answer) -> Settled {
    loop {
        match answer {
            Answer::Respond(response) => return Settled::Respond(response),
            Answer::Upgrade(upgrade) => return Settled::Upgrade(upgrade),
            Answer::Later(mut future) => answer = poll_fn(|cx| poll_answer(&mut future, cx)).await,
        }
    }
}

fn clone_head(response: &http::Response<()>) -> http::Response<()> {
    let mut clone = http::Response::new(());
    *clone.status_mut() = response.status();
    *clone.headers_mut() = response.headers().clone();
    clone
}

/// Once hyper has written the 101, takes the stream out of it and gives it to the worker.
async fn come_back(
    upgrading: hyper::upgrade::OnUpgrade,
    upgrade: Upgrade,
    shared: Arc<Shared>,
    worker: WorkerId,
    seat: Option<HttpSeat>,
) {
    let Ok(upgraded) = upgrading.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Rewound>>() else { return };
    let Some(seat) = seat else { return };
    // What hyper has read and not used, and what it was given to read and has not.
    let Rewound { early, stream } = parts.io.into_inner();
    let early = [parts.read_buf, early].concat();
    let Ok(stream) = stream.into_stream() else { return };
    let command = Command::Adopt { stream, early, upgrade, seat };
    let _ = shared.workers.inbox(worker).post_always(command);
}

/// A stream that gives again what was read from it before.
pub(crate) struct Rewound {
    early: Bytes,
    stream: AsyncStream,
}

impl AsyncRead for Rewound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..count]);
        self.early.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Answers 404 to everything; for servers that have mounts and nothing else.
#[must_use]
pub fn not_found() -> NotFound {
    NotFound
}

/// See [`not_found`].
#[derive(Clone, Copy, Debug)]
pub struct NotFound;

impl Service<http::Request<Incoming>> for NotFound {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Incoming>) -> Self::Future {
        let response = refusal(http::StatusCode::NOT_FOUND, "not found").map(Full::new);
        std::future::ready(Ok(response))
    }
}
