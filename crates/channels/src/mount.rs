//! From a request to a connected socket, in Phoenix's order: method, query, origin, version, the application's
//! `connect`, and only then the upgrade (spec 1.2, 1.3).

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{Method, StatusCode, Version as HttpVersion};
use wingbeat_phoenix::Version;
use wingbeat_transport::{Answer, Handshake, Mount, Request, SocketOptions, Upgrade};

use crate::callback::{catch, poll_once};
use crate::config::MountOptions;
use crate::endpoint::Shared;
use crate::multiplexer::{Multiplexer, Newcomer};
use crate::params::{Param, Params, ParamsError, decode};
use crate::refusal::Refusal;
use crate::router::Routes;
use crate::socket::{ConnectInfo, Socket};

/// What all connections of one mount share.
pub(crate) struct Mounted<S: Socket> {
    pub(crate) routes: Routes<S>,
    pub(crate) options: MountOptions,
    pub(crate) endpoint: Arc<Shared<S::State>>,
    socket_options: Arc<SocketOptions>,
}

/// A socket where clients find it.
pub(crate) struct SocketMount<S: Socket>(Arc<Mounted<S>>);

impl<S: Socket> Clone for SocketMount<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Socket> SocketMount<S> {
    pub(crate) fn new(options: MountOptions, endpoint: Arc<Shared<S::State>>) -> Self {
        let socket_options = Arc::new(options.to_transport());
        Self(Arc::new(Mounted { routes: Routes::declared(), options, endpoint, socket_options }))
    }
}

impl<S: Socket> Mount for SocketMount<S> {
    fn handle_request(&self, request: Request) -> Answer {
        self.0.endpoint.handle.pubsub().start(&request.workers);
        let (params, version) = match self.0.check(&request) {
            Ok(checked) => checked,
            Err(status) => return respond(status, ""),
        };
        let endpoint = self.0.endpoint.clone();
        let info = ConnectInfo { endpoint, head: request.head, peer_addr: request.peer_addr };
        let mounted = self.0.clone();
        let mut answer = Box::pin(async move {
            let connected = catch(async {
                let socket = S::connect(&params, &info).await?;
                let id = socket.id();
                Ok((socket, id))
            });
            match connected.await {
                Some(Ok((socket, id))) => accept(&info.head, Newcomer { mounted, socket, id, version }),
                Some(Err(refusal)) => mounted.refuse(&refusal),
                None => respond(StatusCode::INTERNAL_SERVER_ERROR, ""),
            }
        });
        match poll_once(&mut answer) {
            Poll::Ready(answer) => answer,
            Poll::Pending => Answer::Later(answer),
        }
    }
}

impl<S: Socket> Mounted<S> {
    /// What has to hold before the application is asked; else the status of an empty answer.
    fn check(&self, request: &Request) -> Result<(Params, Version), StatusCode> {
        // What a GET is over HTTP/1.1, an extended CONNECT is over HTTP/2 (RFC 8441 §5).
        if request.head.method != Method::GET && request.protocol().is_none() {
            return Err(StatusCode::BAD_REQUEST);
        }
        let params = read_params(request).map_err(|error| {
            tracing::debug!(%error, "a query cannot be read");
            StatusCode::BAD_REQUEST
        })?;
        if !self.options.check_origin.allows(request) {
            let origin = request.head.headers.get(http::header::ORIGIN);
            tracing::error!(?origin, check_origin = ?self.options.check_origin, "an origin may not connect; allow it with MountOptions::with_check_origin");
            return Err(StatusCode::FORBIDDEN);
        }
        let version = match params.param("vsn") {
            None => Version::choose(None),
            Some(Param::Text(vsn)) => Version::choose(Some(vsn)),
            Some(Param::List(_) | Param::Map(_)) => return Err(StatusCode::FORBIDDEN),
        };
        let version = version.map_err(|error| {
            tracing::warn!(%error, "a client speaks another version");
            StatusCode::FORBIDDEN
        })?;
        Ok((params, version))
    }

    fn refuse(&self, refusal: &Refusal) -> Answer {
        match &self.options.error_handler {
            Some(handler) if refusal.payload().is_some() => Answer::Respond(handler(refusal)),
            _ => respond(StatusCode::FORBIDDEN, ""),
        }
    }
}

fn accept<S: Socket>(head: &http::request::Parts, newcomer: Newcomer<S>) -> Answer {
    if head.version <= HttpVersion::HTTP_11
        && let Some(why) = crate::handshake::refusal(&head.headers)
    {
        return respond(StatusCode::BAD_REQUEST, &why);
    }
    let options = newcomer.mounted.socket_options.clone();
    let handler = Box::new(Multiplexer::new(newcomer));
    // What Phoenix lets pass and RFC 6455 does not: a key that is none, two hosts, a body.
    match Handshake::parse(head).and_then(|request| Upgrade::accept(request, None, handler, options)) {
        Ok(upgrade) => Answer::Upgrade(upgrade),
        Err(error) => respond(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// The query, overruled by the path's variables (row C3).
fn read_params(request: &Request) -> Result<Params, ParamsError> {
    let mut params = Params::parse(request.head.uri.query().unwrap_or_default())?;
    for (name, value) in &request.path_params {
        // A plus is a plus in a path.
        params.set(name, decode(&value.replace('+', "%2B"))?);
    }
    Ok(params)
}

fn respond(status: StatusCode, body: &str) -> Answer {
    let mut response = http::Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = status;
    Answer::Respond(response)
}
