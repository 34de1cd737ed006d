//! The server's side of the opening handshake (§4.2).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};

use super::error::{HandshakeError, quoted};
use super::extension::{self, Extension};
use super::uri::split_authority;
use super::{VERSION, accept_key, as_token, has_token, list_items};

/// A request that may be accepted as a WebSocket. There is none that breaks a MUST of §4.2.1.
#[derive(Clone, Debug)]
pub struct UpgradeRequest {
    accept: String,
    subprotocols: Vec<Box<str>>,
    /// The lines of Sec-WebSocket-Extensions as they came; their grammar has been checked.
    extensions: Vec<HeaderValue>,
}

impl UpgradeRequest {
    /// Checks every MUST of §4.2.1. The only way to get one, so having one means it may be accepted.
    ///
    /// Who may open the connection from where (Origin, cookies) is for the caller to judge.
    ///
    /// # Errors
    ///
    /// The request is not an opening handshake; [`HandshakeError::response`] is the answer.
    pub fn parse(request: &Parts) -> Result<Self, HandshakeError> {
        let headers = &request.headers;
        check_request_line(request)?;
        check_host(headers)?;
        if !has_token(headers, &UPGRADE, "websocket") {
            return Err(HandshakeError::NoUpgrade);
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(HandshakeError::NoConnectionUpgrade);
        }
        // The request must be complete (RFC 9110 §7.8); a body must never be taken for frames.
        if headers.contains_key(TRANSFER_ENCODING) || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0")
        {
            return Err(HandshakeError::Body);
        }
        check_version(headers)?;
        let accept = accept_key(key(headers)?);
        let subprotocols = list_items(headers, &SEC_WEBSOCKET_PROTOCOL)
            .map(|item| as_token(item).map(Box::from).ok_or_else(|| HandshakeError::Subprotocol(quoted(item))))
            .collect::<Result<_, _>>()?;
        let extensions = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
        if extensions.iter().flat_map(|line| extension::parse_line(line.as_bytes())).any(|offer| offer.is_err()) {
            return Err(HandshakeError::Extensions);
        }
        Ok(Self { accept, subprotocols, extensions: extensions.iter().cloned().collect() })
    }

    /// The subprotocols the client offers, the one it likes best first (§4.1, item 10).
    pub fn subprotocols(&self) -> impl ExactSizeIterator<Item = &str> {
        self.subprotocols.iter().map(AsRef::as_ref)
    }

    /// The extensions the client offers, over all header lines, the one it likes best first (§9.1). One extension may
    /// be offered several times with different parameters.
    pub fn extension_offers(&self) -> impl Iterator<Item = Extension<'_>> {
        self.extensions.iter().flat_map(|line| extension::parse_line(line.as_bytes())).filter_map(Result::ok)
    }

    /// Answers 101, with the subprotocol if one was chosen (§4.2.2). Consumes the request: one answer each.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::SubprotocolNotOffered`], for the client had to fail then (§4.1).
    pub fn accept(self, subprotocol: Option<&str>) -> Result<Response<()>, HandshakeError> {
        self.accept_with(subprotocol, &[])
    }

    /// As [`accept`](Self::accept), with the `extensions` that were chosen, each as it stands in the header and in the
    /// order in which they are applied (§9.1).
    ///
    /// # Errors
    ///
    /// [`HandshakeError::SubprotocolNotOffered`] and [`HandshakeError::ExtensionNotOffered`], for the client had to fail
    /// then (§4.1).
    pub fn accept_with(self, subprotocol: Option<&str>, extensions: &[String]) -> Result<Response<()>, HandshakeError> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if !extensions.is_empty() {
            self.check_extensions(extensions)?;
            let value = HeaderValue::try_from(extensions.join(", "));
            let value = value.map_err(|_| HandshakeError::ExtensionNotOffered)?;
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, value);
        }
        let accept = HeaderValue::try_from(self.accept).expect("base64 is a header value");
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(subprotocol) = subprotocol {
            let offered = self.subprotocols.iter().any(|offered| **offered == *subprotocol);
            let value = HeaderValue::from_str(subprotocol).ok().filter(|_| offered);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value.ok_or(HandshakeError::SubprotocolNotOffered)?);
        }
        Ok(response)
    }

    /// Each of our `extensions` was offered and is used once (§4.2.2, item 5.6; RFC 7692 §5).
    fn check_extensions(&self, extensions: &[String]) -> Result<(), HandshakeError> {
        let mut seen: Vec<&str> = Vec::new();
        for extension in extensions {
            let mut parsed = extension::parse_line(extension.as_bytes());
            let (Some(Ok(Extension { name, .. })), None) = (parsed.next(), parsed.next()) else {
                return Err(HandshakeError::ExtensionNotOffered);
            };
            if seen.contains(&name) || !self.extension_offers().any(|offer| offer.name == name) {
                return Err(HandshakeError::ExtensionNotOffered);
            }
            seen.push(name);
        }
        Ok(())
    }
}

/// GET over HTTP/1.1 (§4.2.1, item 1). HTTP/1.0 knows no upgrade, HTTP/2 another one (RFC 9110 §7.8, RFC 8441).
fn check_request_line(request: &Parts) -> Result<(), HandshakeError> {
    match request.version {
        Version::HTTP_11 => {}
        Version::HTTP_09 | Version::HTTP_10 => return Err(HandshakeError::OldVersion(request.version)),
        version => return Err(HandshakeError::NewVersion(version)),
    }
    if request.method != Method::GET {
        return Err(HandshakeError::Method(quoted(request.method.as_str().as_bytes())));
    }
    Ok(())
}

/// Exactly one Host, and a valid one (§4.2.1, item 2; RFC 9112 §3.2).
fn check_host(headers: &HeaderMap) -> Result<(), HandshakeError> {
    let host = only(headers, &HOST).map_err(|_| HandshakeError::Host)?;
    let host = host.to_str().map_err(|_| HandshakeError::Host)?;
    split_authority(host).map(|_| ()).map_err(|_| HandshakeError::Host)
}

/// Version 13 (§4.2.1, item 6).
fn check_version(headers: &HeaderMap) -> Result<(), HandshakeError> {
    match only(headers, &SEC_WEBSOCKET_VERSION) {
        Ok(version) if version == VERSION => Ok(()),
        Ok(version) => Err(HandshakeError::UnsupportedVersion(quoted(version.as_bytes()))),
        Err(0) => Err(HandshakeError::NoVersion),
        Err(count) => Err(HandshakeError::UnsupportedVersion(alloc::format!("{count} of them"))),
    }
}

/// The text of the one key, 16 bytes in base64 (§4.2.1, item 5).
fn key(headers: &HeaderMap) -> Result<&[u8], HandshakeError> {
    let key = only(headers, &SEC_WEBSOCKET_KEY).map_err(HandshakeError::KeyCount)?.as_bytes();
    let mut nonce = [0; 18];
    match STANDARD.decode_slice(key, &mut nonce) {
        Ok(16) => Ok(key),
        _ => Err(HandshakeError::Key(quoted(key))),
    }
}

/// The only value of a header, or how many there are instead.
fn only<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Result<&'h HeaderValue, usize> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.count()) {
        (Some(value), 0) => Ok(value),
        (None, _) => Err(0),
        (Some(_), more) => Err(1 + more),
    }
}
