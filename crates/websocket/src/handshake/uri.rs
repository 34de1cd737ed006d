//! WebSocket URIs (§3).

use alloc::string::{String, ToString};
use core::net::{Ipv4Addr, Ipv6Addr};

use super::error::InvalidUri;

/// Where a client connects to, taken apart: `wss://host:port/path?query` (§3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketUri {
    is_secure: bool,
    host: String,
    port: u16,
    resource: String,
}

impl WebSocketUri {
    /// Reads a URI.
    ///
    /// # Errors
    ///
    /// A component is not valid: nothing may be connected to (§4.1, item 1).
    pub fn parse(text: &str) -> Result<Self, InvalidUri> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUri::Scheme)?;
        let is_secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("ws") => false,
            _ if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(InvalidUri::Scheme),
        };
        if rest.contains('#') {
            return Err(InvalidUri::Fragment);
        }
        let (authority, resource) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(InvalidUri::UserInformation);
        }
        let (host, port) = split_authority(authority)?;
        let port = port.unwrap_or(if is_secure { 443 } else { 80 });
        check_resource(resource)?;
        let slash = if resource.starts_with('/') { "" } else { "/" };
        Ok(Self { is_secure, host: host.to_ascii_lowercase(), port, resource: [slash, resource].concat() })
    }

    /// Whether the scheme is `wss`: TLS comes first, with this host as its name.
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The name or address to connect to, in lower case, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port to connect to; 80 for `ws` and 443 for `wss` unless the URI says otherwise.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path, `/` if it was empty, and the query.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The value of the Host header: with brackets, and with the port if it is not the default (§4.1, item 4).
    pub fn host_header(&self) -> String {
        let default = if self.is_secure { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { [&self.host, ":", &self.port.to_string()].concat() }
    }
}

/// The host, with its brackets if it is an IPv6 address, and the port if one is named (RFC 3986 §3.2).
pub(super) fn split_authority(authority: &str) -> Result<(&str, Option<u16>), InvalidUri> {
    let bracket = if authority.starts_with('[') { authority.find(']').ok_or(InvalidUri::Host)? + 1 } else { 0 };
    let colon = authority[bracket..].find(':').map_or(authority.len(), |colon| bracket + colon);
    let (host, port) = authority.split_at(colon);
    check_host(host)?;
    let port = match port.strip_prefix(':') {
        // An empty port means the default one (RFC 3986 §3.2.3).
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|&port| port > 0).ok_or(InvalidUri::Port)?)
        }
        Some(_) => return Err(InvalidUri::Port),
    };
    Ok((host, port))
}

fn check_host(host: &str) -> Result<(), InvalidUri> {
    let is_valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // All digits and dots: an address, or a mistake.
        None if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => host.parse::<Ipv4Addr>().is_ok(),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')),
    };
    if is_valid { Ok(()) } else { Err(InvalidUri::Host) }
}

/// Path and query hold only what RFC 3986 §3.3 and §3.4 allow, and whole percent-encodings.
fn check_resource(resource: &str) -> Result<(), InvalidUri> {
    let mut bytes = resource.bytes();
    while let Some(byte) = bytes.next() {
        let is_valid = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            b'-' | b'.' | b'_' | b'~' | b'/' | b'?' | b':' | b'@' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
            byte => byte.is_ascii_alphanumeric(),
        };
        if !is_valid {
            return Err(InvalidUri::Resource);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_u1_schemes_ports_and_resources() {
        for (text, secure, host, port, resource) in [
            ("WS://h", false, "h", 80, "/"),
            ("ws://H.example/", false, "h.example", 80, "/"),
            ("wss://h:443/a?b=c", true, "h", 443, "/a?b=c"),
            ("wss://h", true, "h", 443, "/"),
            ("ws://h:81?x=/", false, "h", 81, "/?x=/"),
            ("ws://h:/x", false, "h", 80, "/x"),
            ("ws://127.0.0.1:8080/a%20b", false, "127.0.0.1", 8080, "/a%20b"),
            ("wSs://h:65535/a//b/../c;d=e,f", true, "h", 65535, "/a//b/../c;d=e,f"),
        ] {
            let uri = WebSocketUri::parse(text).unwrap();
            let parts = (uri.is_secure(), uri.host(), uri.port(), uri.resource());
            assert_eq!(parts, (secure, host, port, resource), "{text}");
        }
    }

    #[test]
    fn ws_u2_no_fragment() {
        for text in ["ws://h/x#y", "ws://h#", "ws://h/?#"] {
            assert_eq!(WebSocketUri::parse(text), Err(InvalidUri::Fragment), "{text}");
        }
        assert_eq!(WebSocketUri::parse("ws://h/x%23y").unwrap().resource(), "/x%23y");
    }

    #[test]
    fn ws_u3_ipv6_keeps_its_brackets_in_host() {
        let uri = WebSocketUri::parse("ws://[::1]:9/").unwrap();
        assert_eq!((uri.host(), uri.port(), uri.host_header().as_str()), ("::1", 9, "[::1]:9"));
        assert_eq!(WebSocketUri::parse("wss://[2001:DB8::1]").unwrap().host_header(), "[2001:db8::1]");
    }

    #[test]
    fn ws_h2_host_names_the_port_unless_it_is_the_default() {
        for (text, host) in [
            ("ws://h:81", "h:81"),
            ("ws://h:80", "h"),
            ("ws://h:443", "h:443"),
            ("wss://h:443", "h"),
            ("wss://h:80", "h:80"),
        ] {
            assert_eq!(WebSocketUri::parse(text).unwrap().host_header(), host, "{text}");
        }
    }

    #[test]
    fn ws_u4_invalid_components_are_refused() {
        for (text, expected) in [
            ("", InvalidUri::Scheme),
            ("h", InvalidUri::Scheme),
            ("ws:h", InvalidUri::Scheme),
            ("http://h", InvalidUri::Scheme),
            ("https://h", InvalidUri::Scheme),
            ("ws://", InvalidUri::Host),
            ("ws:///x", InvalidUri::Host),
            ("ws://:80", InvalidUri::Host),
            ("ws://a b", InvalidUri::Host),
            ("ws://bücher.example", InvalidUri::Host),
            ("ws://1.2.3.400", InvalidUri::Host),
            ("ws://[::1", InvalidUri::Host),
            ("ws://[::1]x", InvalidUri::Host),
            ("ws://[::1]x:80", InvalidUri::Host),
            ("ws://[fe80::1%25eth0]", InvalidUri::Host),
            ("ws://[1.2.3.4]", InvalidUri::Host),
            ("ws://u:p@h", InvalidUri::UserInformation),
            ("ws://h:0", InvalidUri::Port),
            ("ws://h:65536", InvalidUri::Port),
            ("ws://h:+80", InvalidUri::Port),
            ("ws://h:80:80", InvalidUri::Port),
            ("ws://h/a b", InvalidUri::Resource),
            ("ws://h/\r\nX: y", InvalidUri::Resource),
            ("ws://h/ü", InvalidUri::Resource),
            ("ws://h/%2", InvalidUri::Resource),
            ("ws://h/%zz", InvalidUri::Resource),
        ] {
            assert_eq!(WebSocketUri::parse(text), Err(expected), "{text}");
        }
    }
}
