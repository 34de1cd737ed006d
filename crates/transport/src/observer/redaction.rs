//! What must not be seen: tokens, passwords and cookies, in whatever is logged or observed.

use std::borrow::Cow;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Uri};

/// Stands where a secret stood.
const MASK: &str = "***";

/// Who has one of these in its name has a secret for a value.
const WORDS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "pwd",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "cookie",
    "credential",
    "signature",
    "session",
    "jwt",
    "ticket",
    "bearer",
];

/// Names of which only all of it says so.
const NAMES: &[&str] = &["key", "code", "sig", "sid", "otp", "pin"];

/// Subprotocols that are what they say, not a token in the place of one.
const SUBPROTOCOLS: &[&str] = &[
    "phoenix",
    "graphql-ws",
    "graphql-transport-ws",
    "mqtt",
    "mqttv3.1",
    "v10.stomp",
    "v11.stomp",
    "v12.stomp",
    "wamp.2.json",
    "wamp.2.msgpack",
    "wamp.2.cbor",
    "actioncable-v1-json",
    "soap",
    "xmpp",
    "sip",
];

/// No name of a subprotocol is as long as this, nor a bare word of a query.
const LONG_BYTES: usize = 32;

/// What is masked in heads of requests and responses before they are logged or shown to an
/// [`Observer`](crate::Observer).
///
/// `Default` masks the values of `Authorization`, `Cookie` and `Set-Cookie`, and of every header, query and path variable
/// whose name speaks of a token, secret, password, key, session or the like; of `Sec-WebSocket-Protocol`, where browsers
/// have to put their tokens, everything but well-known names and the one that was agreed on. The payloads of frames are
/// not touched, and are not logged.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    names: Vec<String>,
    subprotocols: Vec<String>,
}

impl Redaction {
    /// Masks the values of headers, query and path variables called `name`, too, in upper or lower case.
    #[must_use]
    pub fn with_secret(mut self, name: &str) -> Self {
        self.names.push(name.to_ascii_lowercase());
        self
    }

    /// Shows the subprotocol `name` where clients offer it.
    #[must_use]
    pub fn with_subprotocol(mut self, name: &str) -> Self {
        self.subprotocols.push(name.to_owned());
        self
    }

    /// Path and query of `uri`, the values of secret variables masked.
    #[must_use]
    pub fn target(&self, uri: &Uri, path_params: &[(String, String)]) -> String {
        let mut target = self.path(uri.path(), path_params);
        if let Some(query) = uri.query() {
            target.push('?');
            self.push_query(query, &mut target);
        }
        target
    }

    fn path(&self, path: &str, path_params: &[(String, String)]) -> String {
        let secrets: Vec<_> = path_params.iter().filter(|(name, _)| self.is_secret(name)).collect();
        let shown = |segment| if secrets.iter().any(|(_, value)| value == segment) { MASK } else { segment };
        path.split('/').map(shown).collect::<Vec<_>>().join("/")
    }

    /// Both `&` and `;` end a variable: what some server takes for one must not hide behind another's value.
    fn push_query(&self, query: &str, target: &mut String) {
        for piece in query.split_inclusive(['&', ';']) {
            let end = piece.len() - usize::from(piece.ends_with(['&', ';']));
            let (variable, delimiter) = piece.split_at(end);
            match variable.split_once('=') {
                Some((name, _)) if self.is_secret(&decoded(name)) => {
                    target.push_str(name);
                    target.push('=');
                    target.push_str(MASK);
                }
                None if variable.len() >= LONG_BYTES => target.push_str(MASK),
                _ => target.push_str(variable),
            }
            target.push_str(delimiter);
        }
    }

    /// The headers, with secret values masked. `agreed` is the subprotocol that may be shown, if there is one.
    #[must_use]
    pub fn headers(&self, headers: &HeaderMap, agreed: Option<&HeaderValue>) -> HeaderMap {
        let mut shown = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            shown.append(name, self.header(name, value, agreed));
        }
        shown
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue, agreed: Option<&HeaderValue>) -> HeaderValue {
        let masked = HeaderValue::from_static(MASK);
        if *name == header::SEC_WEBSOCKET_PROTOCOL {
            let offers: Vec<_> = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
            let shown: Vec<_> = offers.iter().map(|offer| self.subprotocol(offer, agreed)).collect();
            return HeaderValue::from_bytes(&shown.join(&b", "[..])).unwrap_or(masked);
        }
        if *name == header::REFERER || *name == header::LOCATION || *name == header::ORIGIN {
            return self.url(value).unwrap_or(masked);
        }
        if self.is_secret(name.as_str()) { masked } else { value.clone() }
    }

    fn subprotocol<'a>(&self, offer: &'a [u8], agreed: Option<&HeaderValue>) -> &'a [u8] {
        let is = |name: &&str| name.as_bytes() == offer;
        let is_known = SUBPROTOCOLS.iter().any(is) || self.subprotocols.iter().any(|name| is(&name.as_str()));
        // A server may have agreed on the token itself.
        let is_agreed = agreed.is_some_and(|agreed| agreed.as_bytes() == offer)
            && offer.len() < LONG_BYTES
            && !self.is_secret(&String::from_utf8_lossy(offer));
        if is_known || is_agreed { offer } else { MASK.as_bytes() }
    }

    fn url(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(rest, fragment)| (rest, Some(fragment)));
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        // Before an `@` there may be a password.
        if place.contains('@') {
            return None;
        }
        let mut shown = place.to_owned();
        if let Some(query) = query {
            shown.push('?');
            self.push_query(query, &mut shown);
        }
        if fragment.is_some() {
            shown.push('#');
            shown.push_str(MASK);
        }
        HeaderValue::from_str(&shown).ok()
    }

    /// Whether a value of this name is a secret.
    fn is_secret(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let mut parts = name.split(['[', ']', '.']).chain([name.as_str()]);
        WORDS.iter().any(|word| name.contains(word))
            || parts.any(|part| NAMES.contains(&part) || self.names.iter().any(|name| name == part))
    }
}

/// A name in a query as it was meant.
fn decoded(name: &str) -> Cow<'_, str> {
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name);
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        rest = behind;
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let redaction = Redaction::default().with_secret("room");
        let params = [("auth_token".to_owned(), "abc".to_owned()), ("id".to_owned(), "7".to_owned())];
        for (target, expected) in [
            ("/", "/"),
            ("/socket/websocket?vsn=2.0.0", "/socket/websocket?vsn=2.0.0"),
            ("/?token=abc&vsn=2.0.0", "/?token=***&vsn=2.0.0"),
            ("/?vsn=2.0.0&ACCESS_TOKEN=abc", "/?vsn=2.0.0&ACCESS_TOKEN=***"),
            ("/?apikey=abc&password=d=e&x=y", "/?apikey=***&password=***&x=y"),
            ("/?a=1;token=abc;b=2", "/?a=1;token=***;b=2"),
            ("/?%74oken=abc&to%6Ben=d", "/?%74oken=***&to%6Ben=***"),
            ("/?user[token]=abc&user[room]=d&user[name]=e", "/?user[token]=***&user[room]=***&user[name]=e"),
            ("/?Room=abc&rooms=d", "/?Room=***&rooms=d"),
            ("/?key=abc&keys=d&monkey=e", "/?key=***&keys=d&monkey=e"),
            ("/?token", "/?token"),
            ("/?eyJhbGciOiJIUzI1NiJ9.e30.XmNK3GpH3Ys", "/?***"),
            ("/?token=&&x", "/?token=***&&x"),
            ("/ws/abc/7/websocket", "/ws/***/7/websocket"),
            ("http://user:pass@h/x?a=b", "/x?a=b"),
        ] {
            let uri: Uri = target.parse().expect(target);
            assert_eq!(redaction.target(&uri, &params), expected, "{target}");
        }
    }

    #[test]
    fn headers() {
        let redaction = Redaction::default().with_secret("x-room").with_subprotocol("chat.v2");
        let agreed = HeaderValue::from_static("json.v1");
        for (name, value, expected) in [
            ("host", "h", "h"),
            ("authorization", "Bearer abc", "***"),
            ("proxy-authorization", "Basic abc", "***"),
            ("cookie", "a=b; c=d", "***"),
            ("set-cookie", "a=b", "***"),
            ("x-api-key", "abc", "***"),
            ("x-csrf-token", "abc", "***"),
            ("x-room", "abc", "***"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "phoenix, base64url.bearer.phx.YWJj", "phoenix, ***"),
            ("sec-websocket-protocol", "json.v1,chat.v2 , abc", "json.v1, chat.v2, ***"),
            ("referer", "https://h/a?token=abc&b=c#d", "https://h/a?token=***&b=c#***"),
            ("referer", "https://u:p@h/", "***"),
            ("location", "/login?code=abc", "/login?code=***"),
            ("origin", "https://h", "https://h"),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert_eq!(redaction.headers(&headers, Some(&agreed))[name], expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_token_is_no_subprotocol_even_if_it_was_agreed_on() {
        for agreed in ["base64url.bearer.phx.YWJj", "authorization.abc", "0123456789abcdef0123456789abcdef"] {
            let agreed = HeaderValue::from_static(agreed);
            let headers = HeaderMap::from_iter([(header::SEC_WEBSOCKET_PROTOCOL, agreed.clone())]);
            let shown = Redaction::default().headers(&headers, Some(&agreed));
            assert_eq!(shown[header::SEC_WEBSOCKET_PROTOCOL], MASK);
        }
    }
}
