//! The client's side of the opening handshake (§4.1).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::error::{InvalidRequest, ResponseError};
use super::extension::{self, Extension};
use super::head::{HeadError, HeadLimits, parse_response_head, write_headers};
use super::uri::WebSocketUri;
use super::{VERSION, accept_key, as_token, has_token};
#[cfg(feature = "deflate")]
use crate::deflate::{DEFLATE_EXTENSION, DeflateConfig, DeflateParams};

/// What a client may ask for beyond the connection itself. By default nothing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Subprotocols, the one we like best first; unique tokens (§4.1, item 10).
    pub subprotocols: Vec<String>,
    /// Whether a server that chooses no subprotocol is refused. Default: no, as §4.1 allows it.
    pub requires_subprotocol: bool,
    /// Extension offers, each as it stands in the header (§9.1).
    pub extensions: Vec<String>,
    /// Offers permessage-deflate, before the other extensions, and judges the server's answer (RFC 7692).
    #[cfg(feature = "deflate")]
    pub deflate: Option<DeflateConfig>,
    /// The Origin; browsers must send one, others may (§4.1, item 8).
    pub origin: Option<HeaderValue>,
    /// More headers: cookies, Authorization and the like (§4.1, item 12).
    pub headers: HeaderMap,
    /// How large the head of the response may be.
    pub head_limits: HeadLimits,
}

impl ClientOptions {
    /// Offers `subprotocols`, the one we like best first.
    #[must_use]
    pub fn with_subprotocols<S: Into<String>>(self, subprotocols: impl IntoIterator<Item = S>) -> Self {
        Self { subprotocols: subprotocols.into_iter().map(Into::into).collect(), ..self }
    }

    /// Refuses a server that chooses none of the subprotocols.
    #[must_use]
    pub fn with_requires_subprotocol(self, requires_subprotocol: bool) -> Self {
        Self { requires_subprotocol, ..self }
    }

    /// Offers `extensions`, each as it stands in the header.
    #[must_use]
    pub fn with_extensions<S: Into<String>>(self, extensions: impl IntoIterator<Item = S>) -> Self {
        Self { extensions: extensions.into_iter().map(Into::into).collect(), ..self }
    }

    /// Offers permessage-deflate.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(self, deflate: DeflateConfig) -> Self {
        Self { deflate: Some(deflate), ..self }
    }

    /// Sends an Origin.
    #[must_use]
    pub fn with_origin(self, origin: HeaderValue) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// Sends more headers.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }

    /// Sets how large the head of the response may be.
    #[must_use]
    pub fn with_head_limits(self, head_limits: HeadLimits) -> Self {
        Self { head_limits, ..self }
    }
}

/// An opening handshake from the client's side: the request to send, and the judge of what comes back.
///
/// Send nothing else until there is an [`Answer`] (§4.1).
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    request: Vec<u8>,
    accept: String,
    subprotocols: Vec<String>,
    requires_subprotocol: bool,
    /// The names of the extensions offered.
    extensions: Vec<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateConfig>,
    head_limits: HeadLimits,
}

/// What the server answered.
#[derive(Debug)]
pub enum Answer {
    /// The WebSocket is open (§4.1).
    Accepted(Accepted),
    /// Something else than 101: an ordinary response, whose body follows if it has one. A 401 or a redirect may be acted
    /// upon, by another connection.
    Refused(Response<()>),
}

/// What was agreed upon.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The subprotocol the server chose, one of those offered.
    pub subprotocol: Option<String>,
    /// How messages may be compressed, if [`ClientOptions::deflate`] was granted; it is for
    /// [`Connection::set_deflate`](crate::Connection::set_deflate).
    #[cfg(feature = "deflate")]
    pub deflate: Option<DeflateParams>,
    /// The response, for its cookies, and Sec-WebSocket-Extensions, in which only extensions stand that were offered.
    pub response: Response<()>,
}

impl ClientHandshake {
    /// The handshake with the server at `uri`. The `key` must be random, from a strong source, and new for each
    /// connection (§4.1, item 7).
    ///
    /// # Errors
    ///
    /// The options ask for something that may not be sent.
    #[cfg_attr(not(feature = "deflate"), allow(unused_mut))]
    pub fn new(uri: &WebSocketUri, key: [u8; 16], mut options: ClientOptions) -> Result<Self, InvalidRequest> {
        check_subprotocols(&options.subprotocols)?;
        check_headers(&options.headers)?;
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &options.deflate {
            options.extensions.insert(0, deflate.offer());
        }
        let extensions = extension_names(&options.extensions)?;
        let key = STANDARD.encode(key);

        let mut headers = HeaderMap::new();
        let value =
            |text: String| HeaderValue::try_from(text).expect("what has been checked holds no control character");
        headers.insert(HOST, value(uri.host_header()));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_KEY, value(key.clone()));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        if let Some(origin) = options.origin {
            headers.insert(ORIGIN, origin);
        }
        // An empty list is no header: strict servers refuse an empty one.
        if !options.subprotocols.is_empty() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value(options.subprotocols.join(", ")));
        }
        if !options.extensions.is_empty() {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, value(options.extensions.join(", ")));
        }
        let mut request = [b"GET ", uri.resource().as_bytes(), b" HTTP/1.1\r\n"].concat();
        write_headers(&headers, &mut request);
        write_headers(&options.headers, &mut request);
        request.extend_from_slice(b"\r\n");
        Ok(Self {
            request,
            accept: accept_key(key.as_bytes()),
            subprotocols: options.subprotocols,
            requires_subprotocol: options.requires_subprotocol,
            extensions,
            #[cfg(feature = "deflate")]
            deflate: options.deflate,
            head_limits: options.head_limits,
        })
    }

    /// The bytes to send.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Judges the response at the front of `input`, all that has come so far; `None` if it is not all there yet. With the
    /// answer comes how many bytes the head took: the first frames, or a body, lie behind it.
    ///
    /// Interim responses (1xx) before it are skipped; they count towards the limit of the head.
    ///
    /// # Errors
    ///
    /// The response is malformed, too large, or a 101 that breaks §4.1. Hang up.
    pub fn handle_input(&self, input: &[u8]) -> Result<Option<(Answer, usize)>, ResponseError> {
        let mut skipped = 0;
        loop {
            let limits = self.head_limits.with_max_bytes(self.head_limits.max_bytes.saturating_sub(skipped));
            let head = parse_response_head(&input[skipped..], limits).map_err(|error| match error {
                HeadError::TooLarge | HeadError::TargetTooLong => ResponseError::TooLarge,
                HeadError::Malformed | HeadError::Version => ResponseError::Malformed,
            })?;
            let Some((response, used)) = head else { return Ok(None) };
            skipped += used;
            let answer = match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => Answer::Accepted(self.accept(response)?),
                status if status.is_informational() => continue,
                _ => Answer::Refused(response),
            };
            return Ok(Some((answer, skipped)));
        }
    }

    /// Checks a 101 (§4.1, the second list).
    fn accept(&self, response: Response<()>) -> Result<Accepted, ResponseError> {
        let headers = response.headers();
        if response.version() != Version::HTTP_11 {
            return Err(ResponseError::OldVersion);
        }
        if !only(headers, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err(ResponseError::NoUpgrade);
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(ResponseError::NoConnectionUpgrade);
        }
        if only(headers, &SEC_WEBSOCKET_ACCEPT) != Some(self.accept.as_bytes()) {
            return Err(ResponseError::Accept);
        }
        self.check_extensions(headers)?;
        let subprotocol = self.subprotocol(headers)?;
        #[cfg(feature = "deflate")]
        let deflate = self.deflate(headers)?;
        Ok(Accepted {
            subprotocol,
            #[cfg(feature = "deflate")]
            deflate,
            response,
        })
    }

    /// The parameters of permessage-deflate, if it is in use and was offered by way of [`ClientOptions::deflate`].
    #[cfg(feature = "deflate")]
    fn deflate(&self, headers: &HeaderMap) -> Result<Option<DeflateParams>, ResponseError> {
        let Some(config) = &self.deflate else { return Ok(None) };
        let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter();
        let mut answers = lines.flat_map(|line| extension::parse_line(line.as_bytes())).filter_map(Result::ok);
        let answer = answers.find(|answer| answer.name == DEFLATE_EXTENSION);
        answer.map(|answer| config.check_answer(&answer)).transpose()
    }

    /// Each extension was offered and is used once (§4.1, item 5; RFC 7692 §5).
    fn check_extensions(&self, headers: &HeaderMap) -> Result<(), ResponseError> {
        let mut seen: Vec<&str> = Vec::new();
        for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
            for extension in extension::parse_line(line.as_bytes()) {
                let Ok(Extension { name, .. }) = extension else { return Err(ResponseError::Extension) };
                if seen.contains(&name) || !self.extensions.iter().any(|offered| offered == name) {
                    return Err(ResponseError::Extension);
                }
                seen.push(name);
            }
        }
        Ok(())
    }

    /// None, or one of those offered (§4.1, item 6).
    fn subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, ResponseError> {
        if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return if self.requires_subprotocol { Err(ResponseError::NoSubprotocol) } else { Ok(None) };
        }
        let chosen = only(headers, &SEC_WEBSOCKET_PROTOCOL);
        let offered = self.subprotocols.iter().find(|offered| Some(offered.as_bytes()) == chosen);
        offered.cloned().map(Some).ok_or(ResponseError::Subprotocol)
    }
}

/// The only value of a header, without the space around it.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value.as_bytes().trim_ascii()) }
}

fn check_subprotocols(subprotocols: &[String]) -> Result<(), InvalidRequest> {
    for (index, subprotocol) in subprotocols.iter().enumerate() {
        if as_token(subprotocol.as_bytes()).is_none() {
            return Err(InvalidRequest::Subprotocol(subprotocol.clone()));
        }
        if subprotocols[..index].contains(subprotocol) {
            return Err(InvalidRequest::RepeatedSubprotocol(subprotocol.clone()));
        }
    }
    Ok(())
}

/// The handshake's own headers are not overridden, and nothing announces a body.
fn check_headers(headers: &HeaderMap) -> Result<(), InvalidRequest> {
    let reserved = [&HOST, &UPGRADE, &CONNECTION, &ORIGIN, &CONTENT_LENGTH, &TRANSFER_ENCODING];
    match headers.keys().find(|name| reserved.contains(name) || name.as_str().starts_with("sec-websocket-")) {
        Some(name) => Err(InvalidRequest::ReservedHeader(name.to_string())),
        None => Ok(()),
    }
}

fn extension_names(offers: &[String]) -> Result<Vec<String>, InvalidRequest> {
    let mut names = Vec::new();
    for offer in offers {
        let before = names.len();
        for extension in extension::parse_line(offer.as_bytes()) {
            let extension = extension.map_err(|_| InvalidRequest::Extension(offer.clone()))?;
            names.push(extension.name.to_string());
        }
        if names.len() == before {
            return Err(InvalidRequest::Extension(offer.clone()));
        }
    }
    Ok(names)
}
