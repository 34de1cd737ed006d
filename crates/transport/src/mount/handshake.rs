//! The opening handshake of a request, over whichever HTTP it came.

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use wingbeat_websocket::handshake::{ConnectError, ConnectRequest, Extension, HandshakeError, UpgradeRequest};

use crate::server::refusal;

/// A request that may be accepted as a WebSocket: an upgrade of HTTP/1.1 (RFC 6455 §4.2) or an extended CONNECT of
/// HTTP/2 (RFC 8441).
#[derive(Clone, Debug)]
pub struct Handshake(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Upgrade(UpgradeRequest),
    Connect(ConnectRequest),
}

impl Handshake {
    /// Checks what has to hold for a WebSocket. Who may open it from where is for the caller to judge, see
    /// [`CheckOrigin`](crate::CheckOrigin).
    ///
    /// # Errors
    /// The request is not an opening handshake; [`OpeningError::response`] is the answer.
    pub fn parse(head: &Parts) -> Result<Self, OpeningError> {
        match protocol(head) {
            Some(protocol) => Ok(Self(Kind::Connect(ConnectRequest::parse(head, protocol)?))),
            None => Ok(Self(Kind::Upgrade(UpgradeRequest::parse(head)?))),
        }
    }

    /// The subprotocols the client offers, the one it likes best first (RFC 6455 §4.1, item 10).
    #[must_use]
    pub fn subprotocols(&self) -> Vec<&str> {
        match &self.0 {
            Kind::Upgrade(request) => request.subprotocols().collect(),
            Kind::Connect(request) => request.subprotocols().collect(),
        }
    }

    /// The extensions the client offers, the one it likes best first (RFC 6455 §9.1).
    #[must_use]
    pub fn extension_offers(&self) -> Vec<Extension<'_>> {
        match &self.0 {
            Kind::Upgrade(request) => request.extension_offers().collect(),
            Kind::Connect(request) => request.extension_offers().collect(),
        }
    }

    /// The answer: 101, or 200 over HTTP/2.
    pub(crate) fn accept(
        self,
        subprotocol: Option<&str>,
        extensions: &[String],
    ) -> Result<http::Response<()>, OpeningError> {
        match self.0 {
            Kind::Upgrade(request) => Ok(request.accept_with(subprotocol, extensions)?),
            Kind::Connect(request) => Ok(request.accept(subprotocol, extensions)?),
        }
    }
}

impl From<UpgradeRequest> for Handshake {
    fn from(request: UpgradeRequest) -> Self {
        Self(Kind::Upgrade(request))
    }
}

impl From<ConnectRequest> for Handshake {
    fn from(request: ConnectRequest) -> Self {
        Self(Kind::Connect(request))
    }
}

/// What `:protocol` says (RFC 8441 §4); `None` if it is no extended CONNECT.
pub(crate) fn protocol(head: &Parts) -> Option<&str> {
    head.extensions.get::<hyper::ext::Protocol>().map(hyper::ext::Protocol::as_str)
}

/// A request does not open a WebSocket, or we chose what the client had not offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Upgrade(#[from] HandshakeError),
    /// Over HTTP/2.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl OpeningError {
    /// The whole answer, with the right status and header fields.
    #[must_use]
    pub fn response(&self) -> http::Response<Bytes> {
        let response = match self {
            Self::Upgrade(error) => Some(error.response()),
            Self::Connect(error) => error.response(),
        };
        match response {
            Some(response) => response.map(Bytes::from),
            // Our own listener resets the stream before a mount is asked.
            None => refusal(StatusCode::BAD_REQUEST, "the extended CONNECT is malformed"),
        }
    }
}
