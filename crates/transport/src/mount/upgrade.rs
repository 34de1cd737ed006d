//! From a request that hyper has read to a worker: the mount is asked, its answer goes back through hyper, and once
//! that is written the stream is taken out and a worker adopts it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::uri::Scheme;
use http_body_util::Full;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast as downcast_auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use wingbeat_websocket::handshake::{ConnectError, ConnectRequest};

use crate::connection::preamble::TOO_MANY_TEXT;
use crate::http::{HttpSeat, Rewound, Settled, settle};
use crate::mount::handshake::protocol;
use crate::mount::{Mount, PathParams, Request, Upgrade};
use crate::server::seats::Seat;
use crate::server::{Shared, refusal};
use crate::stream::{Polled, Stream};
use crate::worker::inbox::{Command, WorkerId};

/// What an answer to a request consists of.
pub(crate) type Response = http::Response<Full<Bytes>>;

/// Where a request came from, before any header field is believed.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) scheme: Scheme,
    /// Which of the server's listeners it came by, if it is one of ours.
    pub(crate) listener: Option<u8>,
}

/// Where an accepted connection will live.
pub(crate) struct Place {
    pub(crate) worker: WorkerId,
    pub(crate) seat: Seat,
    /// The HTTP connection whose seat that was, if it ends with this.
    pub(crate) served: Option<HttpSeat>,
    /// Kept for as long as the connection lives.
    pub(crate) guard: Option<Box<dyn Send>>,
}

/// Why there is no place.
pub(crate) enum NoPlace {
    /// There are as many connections as there may be.
    Full,
    /// The client's address has as many as it may.
    TooMany,
}

/// Whom a connection is counted for: `None` if its address speaks for others, or is not known.
pub(crate) type Payer = Option<IpAddr>;

/// Whether the request is an extended CONNECT that no mount need see, and what to say then.
///
/// # Errors
/// The stream is to be reset: the request is malformed (RFC 9113 §8.1.1).
pub(crate) fn screen(head: &http::request::Parts) -> Result<Option<Response>, h2::Error> {
    if head.method != http::Method::CONNECT {
        return Ok(None);
    }
    let Some(protocol) = protocol(head) else {
        return Ok(Some(refusal(StatusCode::BAD_REQUEST, "this is no proxy").map(Full::new)));
    };
    match ConnectRequest::parse(head, protocol) {
        Err(ConnectError::Malformed(why)) => {
            tracing::debug!(why, "an extended CONNECT is malformed");
            Err(h2::Reason::PROTOCOL_ERROR.into())
        }
        Err(error @ ConnectError::Protocol(_)) => {
            Ok(error.response().map(|response| response.map(|body| Full::new(Bytes::from(body)))))
        }
        // What else may be wrong with it is for the mount to say, which may want to say something else first.
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Asks the mount and answers; `place` is asked for only if the connection is to open. Who is refused there has taken
/// nothing.
pub(crate) async fn answer<B>(
    shared: Arc<Shared>,
    (mount, path_params): (Arc<dyn Mount>, PathParams),
    mut request: http::Request<B>,
    source: Source,
    place: impl FnOnce(Payer) -> Result<Place, NoPlace>,
) -> Response {
    let upgrading = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let Source { peer_addr, scheme, listener } = source;
    let mut asked = Request { head, peer_addr, scheme, path_params, workers: shared.workers.clone() };
    if let Some(trust) = listener.and_then(|listener| shared.listeners[usize::from(listener)].trust.as_ref()) {
        trust.apply(&mut asked.head, &mut asked.peer_addr, &mut asked.scheme);
    }
    let peer_addr = asked.peer_addr;
    let within = shared.config.handshake_timeout;
    let seen = shared.note_request(&asked);
    let settled =
        tokio::time::timeout(within, settle(crate::connection::opening::ask(&mount, asked, &shared.config.redaction)));
    let refuse = |response: http::Response<Bytes>| {
        shared.note_refusal(seen.as_deref(), &response);
        response.map(Full::new)
    };
    let unavailable = |why| refuse(refusal(StatusCode::SERVICE_UNAVAILABLE, why));
    match settled.await {
        Err(_) => unavailable("the request was not decided in time"),
        Ok(Settled::Respond(response)) => refuse(response),
        Ok(Settled::Upgrade(mut upgrade)) => {
            let speaks_for_others = |address| {
                listener.is_some_and(|listener| shared.listeners[usize::from(listener)].speaks_for_others(address))
            };
            let payer = peer_addr.filter(|address| !speaks_for_others(*address)).map(|address| address.ip());
            let place = match place(payer) {
                Ok(place) => place,
                Err(NoPlace::Full) => return unavailable("there is no room for another connection"),
                Err(NoPlace::TooMany) => return refuse(refusal(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_TEXT)),
            };
            upgrade.asked = seen;
            let mut response = http::Response::new(Full::default());
            *response.status_mut() = upgrade.response.status();
            *response.headers_mut() = upgrade.response.headers().clone();
            tokio::spawn(move_in(upgrading, upgrade, shared, place, peer_addr));
            response
        }
    }
}

/// Once hyper has written the answer, takes the stream out of it and gives it to the worker.
async fn move_in(
    upgrading: OnUpgrade,
    upgrade: Upgrade,
    shared: Arc<Shared>,
    place: Place,
    peer_addr: Option<SocketAddr>,
) {
    let Ok(upgraded) = upgrading.await else { return };
    let Place { worker, seat, served, guard } = place;
    let Ok((stream, early)) = take_out(upgraded, peer_addr, guard) else { return };
    let command = Command::Adopt { stream, early, upgrade, peer_addr, seat, served };
    let _ = shared.workers.inbox(worker).post_always(command);
}

/// The socket itself where it can be had, with what was read of it and not used; anything else is polled as it is.
fn take_out(
    upgraded: Upgraded,
    peer_addr: Option<SocketAddr>,
    guard: Option<Box<dyn Send>>,
) -> std::io::Result<(Stream, Vec<u8>)> {
    let upgraded = match upgraded.downcast::<TokioIo<Rewound>>() {
        Ok(parts) => {
            let (stream, early) = parts.io.into_inner().into_parts();
            return Ok((stream.into_stream()?, [parts.read_buf, early].concat()));
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match raw::<TcpStream>(upgraded) {
        Ok((stream, early)) => {
            return Ok((Stream::Tcp(mio::net::TcpStream::from_std(stream.into_std()?)), early));
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match raw::<UnixStream>(upgraded) {
        Ok((stream, early)) => {
            return Ok((Stream::Unix(mio::net::UnixStream::from_std(stream.into_std()?)), early));
        }
        Err(upgraded) => upgraded,
    };
    let polled = Polled::new(TokioIo::new(upgraded), peer_addr).with_guard(guard);
    Ok((Stream::Polled(Box::new(polled)), Vec::new()))
}

/// A socket of tokio's as hyper holds it, with or without the wrapper that hyper-util puts around it.
fn raw<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(upgraded: Upgraded) -> Result<(T, Vec<u8>), Upgraded> {
    match upgraded.downcast::<TokioIo<T>>() {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf.into())),
        Err(upgraded) => {
            let parts = downcast_auto::<TokioIo<T>>(upgraded)?;
            Ok((parts.io.into_inner(), parts.read_buf.into()))
        }
    }
}
