//! Opening a WebSocket on a stream of HTTP/2 or HTTP/3 (RFC 8441, RFC 9220): requests to responses, both sides.
//!
//! No Upgrade, no key, no 101: the stream of a CONNECT with `:protocol` = `websocket` carries the frames once it has been
//! answered 2xx. What `:protocol` says is an argument here, for `http` has no place for it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::error::{InvalidRequest, ResponseError, quoted};
use super::extension::{self, Extension};
use super::head::{HeadLimits, parse_head, write_response_head};
use super::response::{Accepted, Answer, ClientHandshake, ClientOptions};
use super::uri::WebSocketUri;
use super::{VERSION, accept_key, as_token, list_items};

/// What `:protocol` says to open a WebSocket.
pub const WEBSOCKET_PROTOCOL: &str = "websocket";
/// Most headers that a handshake of ours has besides the caller's.
const MAX_OWN_HEADERS: usize = 16;
/// No key is sent (RFC 8441 §5), so any will do for the [`ClientHandshake`] within.
const NO_KEY: [u8; 16] = [0; 16];

/// An extended CONNECT that cannot be accepted. [`response`](Self::response) is the answer, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The request is malformed: the stream is reset with PROTOCOL_ERROR or H3_MESSAGE_ERROR (RFC 9113 §8.1.1, RFC 9114
    /// §4.1.2). Says what is wrong.
    #[error("the extended CONNECT is malformed: {0}")]
    Malformed(&'static str),
    /// `:protocol` is something else than `websocket`. 501 (RFC 9220 §3).
    #[error(":protocol must be websocket, not {0}")]
    Protocol(String),
    /// A length is announced; a CONNECT has none. 400.
    #[error("a request for a WebSocket has no body")]
    Body,
    /// There is not exactly one Sec-WebSocket-Version, and that 13. 400.
    #[error("the Sec-WebSocket-Version header must be {VERSION}")]
    Version,
    /// Sec-WebSocket-Protocol names something that is no token. 400.
    #[error("Sec-WebSocket-Protocol must be a list of tokens, {0} is none")]
    Subprotocol(String),
    /// Sec-WebSocket-Extensions does not follow the grammar (§9.1). 400.
    #[error("Sec-WebSocket-Extensions must follow RFC 6455 §9.1")]
    Extensions,
    /// We chose a subprotocol the client had not offered: our own mistake. 500.
    #[error("the subprotocol that was chosen had not been offered")]
    SubprotocolNotOffered,
    /// We chose an extension the client had not offered, or one twice: our own mistake. 500.
    #[error("an extension that was chosen had not been offered")]
    ExtensionNotOffered,
}

impl ConnectError {
    /// The status to answer with; `None`: the stream is reset instead.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Malformed(_) => None,
            Self::Protocol(_) => Some(StatusCode::NOT_IMPLEMENTED),
            Self::Body | Self::Version | Self::Subprotocol(_) | Self::Extensions => Some(StatusCode::BAD_REQUEST),
            Self::SubprotocolNotOffered | Self::ExtensionNotOffered => Some(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The whole answer, its body a sentence; `None`: the stream is reset instead. No header in it belongs to HTTP/1.1
    /// alone.
    pub fn response(&self) -> Option<Response<String>> {
        let status = self.status()?;
        let body = format!("{self}\n");
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, length);
        if *self == Self::Version {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        }
        Some(response)
    }
}

/// An extended CONNECT that may be accepted as a WebSocket. There is none that breaks a MUST of RFC 8441.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    subprotocols: Vec<Box<str>>,
    /// The lines of Sec-WebSocket-Extensions as they came; their grammar has been checked.
    extensions: Vec<HeaderValue>,
}

impl ConnectRequest {
    /// Checks a request whose `:protocol` is `protocol`. The only way to get one, so having one means it may be accepted.
    ///
    /// Who may open the connection from where (Origin, cookies) is for the caller to judge. Key and Accept of HTTP/1.1 are
    /// not used (RFC 8441 §5) and not looked at.
    ///
    /// # Errors
    ///
    /// The request is malformed, or not the opening of a WebSocket; [`ConnectError::response`] is the answer.
    pub fn parse(request: &Parts, protocol: &str) -> Result<Self, ConnectError> {
        check_pseudo_headers(request, protocol)?;
        let headers = &request.headers;
        check_connection_headers(headers)?;
        check_host(request)?;
        if !protocol.eq_ignore_ascii_case(WEBSOCKET_PROTOCOL) {
            return Err(ConnectError::Protocol(quoted(protocol.as_bytes())));
        }
        // What follows on the stream is frames, as many as there will be.
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(ConnectError::Body);
        }
        let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION).iter();
        if versions.next().is_none_or(|version| version != VERSION) || versions.next().is_some() {
            return Err(ConnectError::Version);
        }
        let subprotocols = list_items(headers, &SEC_WEBSOCKET_PROTOCOL)
            .map(|item| as_token(item).map(Box::from).ok_or_else(|| ConnectError::Subprotocol(quoted(item))))
            .collect::<Result<_, _>>()?;
        let extensions = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
        if extensions.iter().flat_map(|line| extension::parse_line(line.as_bytes())).any(|offer| offer.is_err()) {
            return Err(ConnectError::Extensions);
        }
        Ok(Self { subprotocols, extensions: extensions.iter().cloned().collect() })
    }

    /// The subprotocols the client offers, the one it likes best first (§4.1, item 10).
    pub fn subprotocols(&self) -> impl ExactSizeIterator<Item = &str> {
        self.subprotocols.iter().map(AsRef::as_ref)
    }

    /// The extensions the client offers, over all header lines, the one it likes best first (§9.1).
    pub fn extension_offers(&self) -> impl Iterator<Item = Extension<'_>> {
        self.extensions.iter().flat_map(|line| extension::parse_line(line.as_bytes())).filter_map(Result::ok)
    }

    /// Answers 200, with the subprotocol if one was chosen, and the `extensions` that were, each as it stands in the
    /// header and in the order in which they are applied (RFC 8441 §5). Consumes the request: one answer each.
    ///
    /// # Errors
    ///
    /// [`ConnectError::SubprotocolNotOffered`] and [`ConnectError::ExtensionNotOffered`], for the client had to fail then
    /// (§4.1).
    pub fn accept(self, subprotocol: Option<&str>, extensions: &[String]) -> Result<Response<()>, ConnectError> {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        if !extensions.is_empty() {
            let value = HeaderValue::try_from(extensions.join(", ")).ok().filter(|value| self.has_offered(value));
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, value.ok_or(ConnectError::ExtensionNotOffered)?);
        }
        if let Some(subprotocol) = subprotocol {
            let offered = self.subprotocols.iter().any(|offered| **offered == *subprotocol);
            let value = HeaderValue::from_str(subprotocol).ok().filter(|_| offered);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value.ok_or(ConnectError::SubprotocolNotOffered)?);
        }
        Ok(response)
    }

    /// Whether each of our extensions was offered and is used once (RFC 7692 §5).
    fn has_offered(&self, extensions: &HeaderValue) -> bool {
        let mut seen: Vec<&str> = Vec::new();
        extension::parse_line(extensions.as_bytes()).all(|extension| {
            let Ok(Extension { name, .. }) = extension else { return false };
            let is_good = !seen.contains(&name) && self.extension_offers().any(|offer| offer.name == name);
            seen.push(name);
            is_good
        })
    }
}

/// CONNECT over HTTP/2 or HTTP/3, with scheme, authority and path, which an ordinary CONNECT has not (RFC 8441 §4).
fn check_pseudo_headers(request: &Parts, protocol: &str) -> Result<(), ConnectError> {
    let malformed = |what| Err(ConnectError::Malformed(what));
    if request.method != Method::CONNECT {
        return malformed(":protocol without CONNECT");
    }
    if request.version != Version::HTTP_2 && request.version != Version::HTTP_3 {
        return malformed(":protocol before HTTP/2");
    }
    if as_token(protocol.as_bytes()).is_none() {
        return malformed(":protocol is not a token");
    }
    if !request.uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS) {
        return malformed(":scheme is missing, or neither http nor https");
    }
    if request.uri.authority().is_none() {
        return malformed(":authority is missing");
    }
    if !request.uri.path().starts_with('/') {
        return malformed(":path is missing");
    }
    Ok(())
}

/// Headers about the one connection of HTTP/1.1 are malformed here (RFC 9113 §8.2.2).
fn check_connection_headers(headers: &HeaderMap) -> Result<(), ConnectError> {
    if headers.keys().any(is_connection_header) {
        return Err(ConnectError::Malformed("a header of HTTP/1.1's connection"));
    }
    if headers.get_all(TE).iter().any(|value| value != "trailers") {
        return Err(ConnectError::Malformed("TE is not trailers"));
    }
    Ok(())
}

/// TE is the one of them that HTTP/2 has kept, for one value.
fn is_connection_header(name: &HeaderName) -> bool {
    [CONNECTION, UPGRADE, TRANSFER_ENCODING].contains(name)
        || ["keep-alive", "proxy-connection"].contains(&name.as_str())
}

/// A Host, if there is one, says what `:authority` says (RFC 9113 §8.3.1).
fn check_host(request: &Parts) -> Result<(), ConnectError> {
    let authority = request.uri.authority().map_or("", |authority| authority.as_str());
    let is_same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    if request.headers.get_all(HOST).iter().all(is_same) {
        Ok(())
    } else {
        Err(ConnectError::Malformed("Host is not :authority"))
    }
}

/// An extended CONNECT from the client's side: the request to send, and the judge of what comes back.
///
/// Send nothing else on the stream until there is an [`Answer`] (§4.1).
#[derive(Clone, Debug)]
pub struct ClientConnect {
    request: Request<()>,
    /// The same offer over HTTP/1.1; the answers are judged alike.
    offer: ClientHandshake,
}

impl ClientConnect {
    /// An extended CONNECT to `uri`. `is_enabled` says whether the server has sent SETTINGS_ENABLE_CONNECT_PROTOCOL = 1:
    /// before that none may be sent (RFC 8441 §3).
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::NoExtendedConnect`] if it is not enabled; otherwise as [`ClientHandshake::new`], and for headers
    /// that only HTTP/1.1 has.
    pub fn new(uri: &WebSocketUri, options: ClientOptions, is_enabled: bool) -> Result<Self, InvalidRequest> {
        if !is_enabled {
            return Err(InvalidRequest::NoExtendedConnect);
        }
        if let Some(name) = options.headers.keys().find(|name| is_connection_header(name) || **name == TE) {
            return Err(InvalidRequest::ReservedHeader(name.as_str().into()));
        }
        let limits = HeadLimits {
            max_bytes: usize::MAX,
            max_headers: MAX_OWN_HEADERS + options.headers.len(),
            max_target_bytes: usize::MAX,
        };
        // The same request as over HTTP/1.1, without what belongs to that alone.
        let offer = ClientHandshake::new(uri, NO_KEY, options)?;
        let Ok(Some((mut request, _))) = parse_head(offer.request(), limits) else {
            return Err(InvalidRequest::UriTooLong);
        };
        for name in [HOST, UPGRADE, CONNECTION, SEC_WEBSOCKET_KEY] {
            request.headers_mut().remove(name);
        }
        let scheme = if uri.is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
        let target = Uri::builder().scheme(scheme).authority(uri.host_header()).path_and_query(uri.resource());
        *request.uri_mut() = target.build().map_err(|_| InvalidRequest::UriTooLong)?;
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        Ok(Self { request, offer })
    }

    /// The request to send, with [`WEBSOCKET_PROTOCOL`] as its `:protocol`.
    pub const fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Judges a response; `None` if it is an interim one (1xx), behind which another comes. Any 2xx opens the WebSocket
    /// (RFC 8441 §5).
    ///
    /// # Errors
    ///
    /// The response is a 2xx that breaks §4.1, or a 101, which HTTP/2 has not (RFC 9113 §8.6). Reset the stream.
    pub fn handle_response(&self, response: Response<()>) -> Result<Option<Answer>, ResponseError> {
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Err(ResponseError::SwitchingProtocols),
            status if status.is_informational() => Ok(None),
            status if status.is_success() => self.accept(response).map(Some),
            _ => Ok(Some(Answer::Refused(response))),
        }
    }

    /// What was chosen is judged by the one who judges it over HTTP/1.1, shown the 101 that it would have been there.
    fn accept(&self, response: Response<()>) -> Result<Answer, ResponseError> {
        let mut switching = response.clone();
        *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = switching.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET_PROTOCOL));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        let accept = accept_key(STANDARD.encode(NO_KEY).as_bytes());
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).expect("base64 is a header value"));
        let mut head = Vec::new();
        write_response_head(&switching, &mut head);
        match self.offer.handle_input(&head)? {
            Some((Answer::Accepted(accepted), _)) => Ok(Answer::Accepted(Accepted { response, ..accepted })),
            _ => Err(ResponseError::Malformed),
        }
    }
}
