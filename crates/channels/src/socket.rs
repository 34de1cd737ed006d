//! A socket: one client's connection, and who it is.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::USER_AGENT;

use crate::endpoint::Shared;
use crate::handle::EndpointHandle;
use crate::params::Params;
use crate::refusal::Refusal;
use crate::router::Routes;
use crate::token::Tokens;

/// One client's connection, shared by all channels that it joins.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a socket",
    note = "a socket has a `State` type (the application's own, or `()`), `channels` and `connect`"
)]
pub trait Socket: Sized + Send + Sync + 'static {
    /// The application's own state, shared by all; `()` if none.
    type State: Send + Sync + 'static;

    /// Declares which channel serves which topics.
    fn channels(routes: &mut Routes<Self>);

    /// Says who is connecting, or refuses. Runs for any GET on the mount, before it is known whether the request can be
    /// upgraded (row C15). A panic is answered 500.
    fn connect(params: &Params, cx: &ConnectInfo<Self::State>) -> impl Future<Output = Result<Self, Refusal>> + Send;

    /// A name under which all connections of one user can be closed at once
    /// ([`EndpointHandle::disconnect`]), `users:7` by custom.
    fn id(&self) -> Option<String> {
        None
    }
}

/// What is known about a connection before it is one. Headers that a foreign page could abuse (cookies, authorization)
/// are withheld on purpose (spec 1.14).
pub struct ConnectInfo<A> {
    pub(crate) endpoint: Arc<Shared<A>>,
    pub(crate) head: http::request::Parts,
    pub(crate) peer_addr: Option<SocketAddr>,
}

impl<A> ConnectInfo<A> {
    /// The application's state.
    pub fn state(&self) -> &A {
        &self.endpoint.state
    }

    /// Signs and verifies tokens with the endpoint's secret.
    pub fn tokens(&self) -> &Tokens {
        self.endpoint.handle.tokens()
    }

    /// The endpoint: broadcasts, disconnects.
    pub fn endpoint(&self) -> &EndpointHandle {
        &self.endpoint.handle
    }

    /// The other end of the TCP connection; a proxy, if there is one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// The request's target.
    pub fn uri(&self) -> &http::Uri {
        &self.head.uri
    }

    /// What the client says it is.
    pub fn user_agent(&self) -> Option<&str> {
        self.head.headers.get(USER_AGENT)?.to_str().ok()
    }

    /// The header fields that begin with `x-`, names in lower case; values that are no text are left out.
    pub fn x_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.head.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-"));
        headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }
}
