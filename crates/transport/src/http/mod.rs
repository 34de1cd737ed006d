//! Requests that are not for one of our mounts: hyper serves them, beginning with the bytes the worker has read.
//!
//! A connection kept alive there may still ask for an upgrade to one of our mounts later; it then comes back to a
//! worker.

pub(crate) mod http2;
pub(crate) mod mounted;

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

use crate::connection::opening::poll_answer;
use crate::http::http2::PREFACE;
use crate::mount::upgrade::{self, NoPlace, Payer, Place, Source};
use crate::mount::{Answer, Upgrade};
use crate::server::seats::{Seat, Seats};
use crate::server::{Shared, refusal};
use crate::stream::{AsyncStream, Stream};
use crate::worker::inbox::{Command, Inbox, WorkerId};

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
    pub(crate) async fn serve<B>(self, stream: Stream, early: Bytes, source: Source, seat: HttpSeat)
    where
        S: HttpService<B>,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let Ok(stream) = stream.into_async() else { return };
        if early.starts_with(PREFACE) {
            return self.serve_http2(Rewound { early, stream }, source, seat).await;
        }
        let seat = Arc::new(std::sync::Mutex::new(Some(seat)));
        let Self { service, shared, worker, mut stop } = self;
        let answer = service_fn(move |request: http::Request<Incoming>| {
            let (mut service, shared, seat, source) = (service.clone(), shared.clone(), seat.clone(), source.clone());
            async move {
                let found = shared.routes.find(request.uri().path()).map(|(mount, params)| (mount.clone(), params));
                let Some(found) = found else {
                    return service.call(request).await.map(|response| response.map(Either::Left));
                };
                // The connection's own seat becomes the WebSocket's.
                let seats = shared.clone();
                let place = move |payer| {
                    let mut kept = seat.lock().expect("no one panics with it");
                    let seat = kept.as_mut().ok_or(NoPlace::Full)?.take_for(payer, &seats.seats)?;
                    Ok(Place { worker, seat, served: kept.take(), guard: None })
                };
                Ok::<_, Infallible>(upgrade::answer(shared, found, request, source, place).await.map(Either::Right))
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
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await.map(drop);
}

pub(crate) fn log_end(result: hyper::Result<()>) {
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

    /// Announces to a worker what will be its own; `None` if the worker has ended.
    pub(crate) fn announce(inbox: Inbox) -> Option<Self> {
        inbox.post_always(Command::HttpBegun).ok()?;
        Some(Self { seat: None, inbox })
    }

    /// The seat, for what the connection becomes, counted for `payer`; the worker still waits for this. If `payer` is
    /// refused the seat stays, for the connection lives on.
    fn take_for(&mut self, payer: Payer, seats: &Seats) -> Result<Seat, NoPlace> {
        let seat = self.seat.as_mut().ok_or(NoPlace::Full)?;
        if payer.is_some_and(|address| !seats.assign(seat, address)) {
            return Err(NoPlace::TooMany);
        }
        self.seat.take().ok_or(NoPlace::Full)
    }
}

impl Drop for HttpSeat {
    fn drop(&mut self) {
        let _ = self.inbox.post_always(Command::HttpEnded);
    }
}

pub(crate) enum Settled {
    Respond(http::Response<Bytes>),
    Upgrade(Upgrade),
}

pub(crate) async fn settle(mut answer: Answer) -> Settled {
    loop {
        match answer {
            Answer::Respond(response) => return Settled::Respond(response),
            Answer::Upgrade(upgrade) => return Settled::Upgrade(upgrade),
            Answer::Later(mut future) => answer = poll_fn(|cx| poll_answer(&mut future, cx)).await,
        }
    }
}

/// A stream that gives again what was read from it before.
pub(crate) struct Rewound {
    early: Bytes,
    stream: AsyncStream,
}

impl Rewound {
    /// The stream, and what of it is still to be given again.
    pub(crate) fn into_parts(self) -> (AsyncStream, Bytes) {
        (self.stream, self.early)
    }
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
