//! What answers requests: mounts, their paths, and the request as they see it.

pub(crate) mod accept;
pub(crate) mod forwarded;
pub(crate) mod handshake;
pub(crate) mod network;
pub(crate) mod origin;
pub(crate) mod proxy_protocol;
pub(crate) mod raw;
pub(crate) mod request;
pub(crate) mod upgrade;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::handler::Handler;
use crate::mount::handshake::{Handshake, OpeningError};
use crate::observer::RequestHead;
use crate::options::SocketOptions;
use crate::worker::inbox::Workers;
use bytes::Bytes;
use http::request::Parts;
use wingbeat_websocket::deflate::{DeflateGrant, DeflateParams};

/// What answers the requests for one path. The worker asks it as soon as the request's head is there.
pub trait Mount: Send + Sync + 'static {
    /// Answers a request of any method, an upgrade or not. Runs on a worker's thread: work that takes time belongs into
    /// [`Answer::Later`].
    fn handle_request(&self, request: Request) -> Answer;
}

/// Names and values of a path's variables, in order.
pub type PathParams = Vec<(String, String)>;

/// A request's head, and where it came from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request {
    /// Method, target, version and header fields.
    pub head: Parts,
    /// The other end of the TCP connection.
    pub peer_addr: Option<SocketAddr>,
    /// How the request came: `http`, or `https` where we spoke TLS.
    pub scheme: http::uri::Scheme,
    /// The mount path's variables.
    pub path_params: PathParams,
    /// The workers of the server.
    pub workers: Workers,
}

impl Request {
    /// What `:protocol` says, if this is an extended CONNECT of HTTP/2 (RFC 8441 §4).
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        crate::mount::handshake::protocol(&self.head)
    }
}

/// What a [`Mount`] answers.
pub enum Answer {
    /// 101, or 200 over HTTP/2, and from then on messages.
    Upgrade(Upgrade),
    /// Anything else; the connection is closed after it.
    Respond(http::Response<Bytes>),
    /// Decided by a task within [`Config::handshake_timeout`](crate::Config::handshake_timeout), else 503.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upgrade(_) => f.write_str("Upgrade"),
            Self::Respond(response) => f.debug_tuple("Respond").field(&response.status()).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// A connection that is about to open.
pub struct Upgrade {
    /// The 101, or over HTTP/2 the 200.
    pub(crate) response: http::Response<()>,
    /// What receives its messages.
    pub(crate) handler: Box<dyn Handler>,
    /// What it may do and cost.
    pub(crate) options: Arc<SocketOptions>,
    /// What was agreed about compression.
    pub(crate) deflate: Option<(DeflateParams, Option<DeflateGrant>)>,
    /// What was asked, if somebody wants to know and it was not the worker who read it.
    pub(crate) asked: Option<Box<RequestHead>>,
}

impl Upgrade {
    /// Accepts `request`, with `subprotocol` if one was chosen and with what `options` allow of the extensions that it
    /// offers.
    ///
    /// # Errors
    /// The subprotocol was not offered: our own mistake.
    pub fn accept(
        request: impl Into<Handshake>,
        subprotocol: Option<&str>,
        handler: Box<dyn Handler>,
        options: Arc<SocketOptions>,
    ) -> Result<Self, OpeningError> {
        let request = request.into();
        let params = options.deflate.and_then(|deflate| deflate.accept(request.extension_offers()));
        let deflate = params.map(|params| options.deflate_budget.fit(params));
        let extensions: Vec<_> = deflate.iter().map(|(params, _)| params.to_string()).collect();
        let response = request.accept(subprotocol, &extensions)?;
        Ok(Self { response, handler, options, deflate, asked: None })
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("response", &self.response).finish_non_exhaustive()
    }
}

/// Which mount answers which path.
#[derive(Default)]
pub(crate) struct Routes {
    exact: HashMap<String, Arc<dyn Mount>>,
    patterns: Vec<(Vec<Segment>, Arc<dyn Mount>)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Variable(String),
}

impl Routes {
    /// Adds a mount. Segments that begin with `:` match any one segment; `:_` and what follows is not kept.
    pub(crate) fn insert(&mut self, path: &str, mount: Arc<dyn Mount>) -> Result<(), Error> {
        let fail = |why| Error::Path { path: path.to_owned(), why };
        let Some(tail) = path.strip_prefix('/') else { return Err(fail("it does not begin with '/'")) };
        if !tail.split('/').any(|segment| segment.starts_with(':')) {
            let twin = self.exact.insert(path.to_owned(), mount);
            return if twin.is_some() { Err(fail("it is mounted already")) } else { Ok(()) };
        }
        let segments: Vec<_> = tail.split('/').map(Segment::parse).collect();
        if segments.contains(&Segment::Variable(String::new())) {
            return Err(fail("a variable has no name"));
        }
        self.patterns.push((segments, mount));
        Ok(())
    }

    /// The mount for `path`, and the values of its variables.
    pub(crate) fn find(&self, path: &str) -> Option<(&Arc<dyn Mount>, PathParams)> {
        if let Some(mount) = self.exact.get(path) {
            return Some((mount, Vec::new()));
        }
        let tail = path.strip_prefix('/')?;
        self.patterns.iter().find_map(|(segments, mount)| Some((mount, matched(segments, tail)?)))
    }
}

impl Segment {
    fn parse(segment: &str) -> Self {
        match segment.strip_prefix(':') {
            Some(name) => Self::Variable(name.to_owned()),
            None => Self::Literal(segment.to_owned()),
        }
    }
}

fn matched(segments: &[Segment], tail: &str) -> Option<PathParams> {
    let mut values = Vec::new();
    let mut given = tail.split('/');
    for segment in segments {
        let value = given.next()?;
        match segment {
            Segment::Literal(literal) if literal == value => {}
            Segment::Variable(name) if !value.is_empty() => {
                if !name.starts_with('_') {
                    values.push((name.clone(), value.to_owned()));
                }
            }
            _ => return None,
        }
    }
    given.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Mount for Nothing {
        fn handle_request(&self, _: Request) -> Answer {
            Answer::Respond(http::Response::new(Bytes::new()))
        }
    }

    #[test]
    fn ch_c3_path_variables() {
        let mut routes = Routes::default();
        for path in ["/socket/websocket", "/ws/:uid/websocket", "/:_any/x"] {
            routes.insert(path, Arc::new(Nothing)).expect(path);
        }
        let found = |path| routes.find(path).map(|(_, values)| values);
        assert_eq!(found("/socket/websocket"), Some(vec![]));
        assert_eq!(found("/ws/7/websocket"), Some(vec![("uid".into(), "7".into())]));
        assert_eq!(found("/q/x"), Some(vec![]), "names that begin with _ are dropped");
        for path in ["/socket", "/socket/websocket/", "/ws//websocket", "/ws/7/websocket/8", "", "/"] {
            assert_eq!(found(path), None, "{path}");
        }
        for path in ["", "socket", "/a/:/b", "/socket/websocket"] {
            assert!(routes.insert(path, Arc::new(Nothing)).is_err(), "{path:?}");
        }
    }
}
