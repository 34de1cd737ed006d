//! What a client offers, read from the header fields alone: the same over HTTP/1.1 and RFC 8441.

use http::HeaderMap;
use http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};

use super::extension::{self, Extension};
use super::{as_token, list_items};

/// The subprotocols that `headers` offer, the one the client likes best first (§4.1, item 10). What is no token is left
/// out: a request with such a one is refused as a whole.
pub fn offered_subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    list_items(headers, &SEC_WEBSOCKET_PROTOCOL).filter_map(as_token)
}

/// The extensions that `headers` offer, the one the client likes best first (§9.1). One extension may be offered several
/// times with different parameters.
pub fn offered_extensions(headers: &HeaderMap) -> impl Iterator<Item = Extension<'_>> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter();
    lines.flat_map(|line| extension::parse_line(line.as_bytes())).filter_map(Result::ok)
}
