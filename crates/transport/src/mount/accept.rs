//! How an application accepts a request: a handler, and what is said beside the 101.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::handler::Handler;
use crate::options::SocketOptions;

/// Fields that the handshake itself writes; the application's are left out.
const OURS: [HeaderName; 7] = [
    header::CONNECTION,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_PROTOCOL,
];

/// A request is accepted. Where there is nothing to say but who handles it, the handler alone will do.
///
/// ```
/// use wingbeat_transport::{Accept, Context, Handler, Message, Request};
///
/// struct Chat {
///     room: String,
/// }
///
/// impl Handler for Chat {
///     fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
///         let _ = cx.send(message);
///     }
/// }
///
/// /// What `Server::handler` is given.
/// fn open(request: &Request) -> Result<Accept, http::Response<bytes::Bytes>> {
///     let room = request.path_param("room").unwrap_or("lobby").to_owned();
///     if request.header("authorization").is_none() {
///         return Err(wingbeat_transport::refuse(http::StatusCode::UNAUTHORIZED, "who are you?"));
///     }
///     let subprotocol = request.choose_subprotocol(&["chat.v2", "chat.v1"]);
///     Ok(Accept::new(Chat { room }).with_subprotocol(subprotocol))
/// }
/// ```
pub struct Accept {
    pub(crate) handler: Box<dyn Handler>,
    pub(crate) subprotocol: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) options: Option<Arc<SocketOptions>>,
}

impl Accept {
    /// Accepts, with nothing beside the handler.
    #[must_use]
    pub fn new(handler: impl Handler) -> Self {
        Self { handler: Box::new(handler), subprotocol: None, headers: HeaderMap::new(), options: None }
    }

    /// Names the subprotocol that is spoken from now on; it must be one of those offered, else the request is answered
    /// with 500. `None`: none, which the client may take or not. See
    /// [`Request::choose_subprotocol`](crate::Request::choose_subprotocol).
    #[must_use]
    pub fn with_subprotocol(self, subprotocol: Option<&str>) -> Self {
        Self { subprotocol: subprotocol.map(str::to_owned), ..self }
    }

    /// Adds a header field to the answer, a cookie for example. Fields of the handshake itself are left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if OURS.contains(&name) {
            tracing::warn!(%name, "a header field of the handshake itself is not the application's to give");
        } else {
            self.headers.append(name, value);
        }
        self
    }

    /// Gives this connection options of its own, in place of the mount's. The origin has been judged by those of the
    /// mount.
    #[must_use]
    pub fn with_options(self, options: Arc<SocketOptions>) -> Self {
        Self { options: Some(options), ..self }
    }
}

impl<H: Handler> From<H> for Accept {
    fn from(handler: H) -> Self {
        Self::new(handler)
    }
}

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept")
            .field("subprotocol", &self.subprotocol)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// What the application decided: accepted, or refused with an HTTP answer.
pub(crate) type Decision = Result<Accept, http::Response<Bytes>>;

/// The application's answer to a request, now or later.
pub(crate) enum Opening {
    Now(Decision),
    Later(Pin<Box<dyn Future<Output = Decision> + Send>>),
}
