//! Who may open a connection from a browser.
//!
//! Browsers send cookies with a WebSocket request to any site and ask nobody (cross-site WebSocket hijacking); the
//! `Origin` field is the one thing that tells a foreign page from an own one. A request without it comes from no
//! browser and is let through. The forms are those of Phoenix's `check_origin`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};

use crate::mount::Request;

/// Which origins may open a connection.
#[derive(Clone)]
#[non_exhaustive]
pub enum CheckOrigin {
    /// Every origin. Only for sockets that trust nothing a browser sends by itself.
    Any,
    /// The origin's host and port equal those of the request's `Host` field; schemes may differ, as they do behind a
    /// proxy that speaks TLS.
    SameHost,
    /// The origin's scheme, host and port equal those of the request (`check_origin: :conn`).
    SameOrigin,
    /// The origin's host equals this one; scheme and port do not matter (`check_origin: true`).
    Host(String),
    /// One of these (`check_origin: [..]`).
    List(Vec<OriginPattern>),
    /// Whatever the function says; it is asked with the field's text, which need not be an origin at all.
    Custom(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl CheckOrigin {
    /// Whether the request may open a connection. One without an `Origin` field may; with two it may not.
    #[must_use]
    pub fn allows(&self, request: &Request) -> bool {
        let mut fields = request.head.headers.get_all(ORIGIN).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return matches!(self, Self::Any) || !request.head.headers.contains_key(ORIGIN);
        };
        let Ok(text) = field.to_str() else { return matches!(self, Self::Any) };
        if let Self::Custom(check) = self {
            return check(text);
        }
        let origin = text.parse::<Origin>();
        // Over HTTP/2 it is :authority that names the host (RFC 9113 §8.3.1).
        let is_new = request.head.version >= http::Version::HTTP_2;
        let authority = request.head.uri.authority().filter(|_| is_new).map(http::uri::Authority::as_str);
        let field = || request.head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = authority.or_else(field).unwrap_or_default();
        match (self, origin) {
            (Self::Any, _) => true,
            (_, Err(_)) => false,
            (Self::Host(host), Ok(origin)) => origin.host.eq_ignore_ascii_case(host),
            (Self::List(patterns), Ok(origin)) => patterns.iter().any(|pattern| pattern.matches(&origin)),
            (Self::SameHost, Ok(origin)) => origin.is_at(host),
            (Self::SameOrigin, Ok(origin)) => origin.scheme == request.scheme.as_str() && origin.is_at(host),
            (Self::Custom(_), _) => unreachable!("asked above"),
        }
    }
}

impl fmt::Debug for CheckOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::SameHost => f.write_str("SameHost"),
            Self::SameOrigin => f.write_str("SameOrigin"),
            Self::Host(host) => f.debug_tuple("Host").field(host).finish(),
            Self::List(patterns) => f.debug_tuple("List").field(patterns).finish(),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// What a list of allowed origins holds: `https://example.com`, `//example.com:4000`, `//*.example.com`. A scheme or
/// port that is not given may be any; a scheme given implies its port; `*.x` matches `x` and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
}

impl OriginPattern {
    fn matches(&self, origin: &Origin) -> bool {
        let host = match self.host.strip_prefix("*.") {
            Some(parent) => {
                origin.host == parent || origin.host.strip_suffix(parent).is_some_and(|sub| sub.ends_with('.'))
            }
            None => origin.host == self.host,
        };
        host && self.scheme.as_ref().is_none_or(|scheme| *scheme == origin.scheme)
            && self.port.is_none_or(|port| Some(port) == origin.port)
    }
}

/// A pattern or an origin names no host, or a port that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin such as \"https://example.com\", \"//example.com\" or \"//*.example.com\"")]
pub struct OriginError(String);

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("//").ok_or_else(|| OriginError(text.into()))?;
        let scheme = scheme.strip_suffix(':').map(str::to_ascii_lowercase);
        let (host, port) = split_authority(rest).ok_or_else(|| OriginError(text.into()))?;
        let port = port.or_else(|| scheme.as_deref().and_then(default_port));
        Ok(Self { scheme, host, port })
    }
}

/// An origin as a browser sends it.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Whether `authority`, a `Host` field, names this origin's host and port.
    fn is_at(&self, authority: &str) -> bool {
        let Some((host, port)) = split_authority(authority) else { return false };
        host == self.host && port.or_else(|| default_port(&self.scheme)) == self.port
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let OriginPattern { scheme, host, port } = text.parse()?;
        let scheme = scheme.ok_or_else(|| OriginError(text.into()))?;
        Ok(Self { scheme, host, port })
    }
}

/// Host in lower case, without a trailing path; port if given.
fn split_authority(text: &str) -> Option<(String, Option<u16>)> {
    let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    (!host.is_empty() && !host.contains('@')).then(|| (host.to_ascii_lowercase(), port))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::inbox::Workers;

    fn request(origins: &[&str]) -> Request {
        let mut builder = http::Request::builder().uri("/").header(HOST, "example.com:4000");
        for origin in origins {
            builder = builder.header(ORIGIN, *origin);
        }
        let (head, ()) = builder.body(()).expect("a request").into_parts();
        let (scheme, workers) = (http::uri::Scheme::HTTP, Workers::new(Vec::new()));
        Request { head, peer_addr: None, scheme, path_params: Vec::new(), workers }
    }

    #[track_caller]
    fn check(policy: &CheckOrigin, allowed: &[&str], refused: &[&str]) {
        assert!(policy.allows(&request(&[])), "no Origin field, {policy:?}");
        for origin in allowed {
            assert!(policy.allows(&request(&[origin])), "{origin} is allowed by {policy:?}");
        }
        for origin in refused {
            assert!(!policy.allows(&request(&[origin])), "{origin} is refused by {policy:?}");
        }
    }

    fn list(patterns: &[&str]) -> CheckOrigin {
        CheckOrigin::List(patterns.iter().map(|pattern| pattern.parse().expect(pattern)).collect())
    }

    #[test]
    fn ch_c21_host_ignores_scheme_and_port() {
        let policy = CheckOrigin::Host("example.com".into());
        check(&policy, &["http://example.com", "https://EXAMPLE.com:9"], &["http://evil.com", "null", "file://", ""]);
    }

    #[test]
    fn ch_c22_list_with_wildcards() {
        let refused = ["http://evilx.com", "http://x.com.evil.com", "null", "//a.x.com"];
        check(&list(&["//*.x.com"]), &["http://a.b.x.com", "https://x.com", "http://a.x.com:81"], &refused);
    }

    #[test]
    fn ch_c23_list_with_scheme_and_port() {
        check(
            &list(&["https://x.com"]),
            &["https://x.com", "https://x.com:443"],
            &["http://x.com", "https://x.com:444"],
        );
        check(&list(&["//x.com:81"]), &["http://x.com:81"], &["http://x.com"]);
    }

    #[test]
    fn ch_c24_same_origin_and_same_host() {
        let refused = ["http://example.com", "http://example.com:4001", "http://sub.example.com:4000", "null"];
        check(&CheckOrigin::SameOrigin, &["http://example.com:4000"], &refused);
        check(&CheckOrigin::SameOrigin, &[], &["https://example.com:4000"]);
        check(&CheckOrigin::SameHost, &["http://Example.com:4000", "https://example.com:4000"], &refused);
    }

    #[test]
    fn ch_c25_custom_may_accept_what_is_no_origin() {
        check(&CheckOrigin::Custom(Arc::new(|origin| origin == "null")), &["null"], &["http://x.com"]);
    }

    #[test]
    fn ws_sec1_two_origin_fields_are_refused() {
        let twice = request(&["http://example.com:4000", "http://example.com:4000"]);
        assert!(!CheckOrigin::SameHost.allows(&twice));
        assert!(CheckOrigin::Any.allows(&twice));
    }

    #[test]
    fn patterns_that_name_no_host_are_errors() {
        for pattern in ["example.com", "https://", "//", "//x.com:port", "https://a@b"] {
            assert!(pattern.parse::<OriginPattern>().is_err(), "{pattern}");
        }
    }
}
