//! What proxies say of a request in its header fields, as far as they are trusted. Pure.
//!
//! Anybody can send these fields; only what a trusted proxy has written counts. Proxies append, so the lists are read
//! from the right: each entry was written by the hop to its right, and is believed while that hop is trusted.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HOST};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::network::{Network, any_contains};

/// Which fields the proxies write. The other kind is never looked at: a proxy that does not know it passes on what the
/// client made up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedFields {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
}

/// Who is believed, and in which fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    pub(crate) networks: Vec<Network>,
    pub(crate) fields: ForwardedFields,
}

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST_BEFORE: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Hops that are followed at most.
const MAX_HOPS: usize = 32;

/// What the trusted proxies say of the client.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said<'a> {
    client: Option<SocketAddr>,
    proto: Option<&'a str>,
    host: Option<&'a str>,
}

impl Trust {
    /// Whether the peer's word counts. A peer without an address came through a Unix socket, whose file says who may.
    pub(crate) fn includes(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_none_or(|peer| any_contains(&self.networks, peer.ip()))
    }

    /// Puts what trusted proxies say in the place of what the connection says: address, scheme and `Host`.
    pub(crate) fn apply(&self, head: &mut Parts, peer: &mut Option<SocketAddr>, scheme: &mut Scheme) {
        if !self.includes(*peer) {
            return;
        }
        let said = match self.fields {
            ForwardedFields::XForwarded => self.walk_x_forwarded(&head.headers),
            ForwardedFields::Rfc7239 => self.walk_forwarded(&head.headers),
        };
        if let Some(client) = said.client {
            *peer = Some(client);
        }
        match said.proto {
            Some(proto) if proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss") => {
                *scheme = Scheme::HTTPS;
            }
            Some(proto) if proto.eq_ignore_ascii_case("http") || proto.eq_ignore_ascii_case("ws") => {
                *scheme = Scheme::HTTP;
            }
            _ => {}
        }
        if let Some(host) = said.host.and_then(|host| host.parse::<Authority>().ok()) {
            set_host(head, host);
        }
    }

    fn walk_x_forwarded<'a>(&self, headers: &'a HeaderMap) -> Said<'a> {
        let mut said = Said::default();
        let mut hops = 0;
        for entry in items(headers, &FOR, split_plainly).into_iter().rev().take(MAX_HOPS) {
            // Behind an entry that is no address nobody is known.
            let Some(client) = parse_node(entry) else { break };
            hops += 1;
            said.client = Some(client);
            if !any_contains(&self.networks, client.ip()) {
                break;
            }
        }
        // The entry that the same hop wrote, where every hop writes one; else the one there is.
        let nth_last = |name| {
            let entries = items(headers, name, split_plainly);
            entries.get(entries.len().saturating_sub(hops.max(1))).copied()
        };
        (said.proto, said.host) = (nth_last(&PROTO), nth_last(&HOST_BEFORE));
        said
    }

    fn walk_forwarded<'a>(&self, headers: &'a HeaderMap) -> Said<'a> {
        let mut said = Said::default();
        for element in
            items(headers, &FORWARDED, |text| split_outside_quotes(text, ',')).into_iter().rev().take(MAX_HOPS)
        {
            let parameter = |wanted: &str| {
                let pairs = split_outside_quotes(element, ';').into_iter();
                let mut found = pairs
                    .filter_map(|pair| pair.split_once('='))
                    .filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
                // Twice is malformed (RFC 7239 §4).
                let (value, None) = (found.next()?.1.trim(), found.next()) else { return None };
                let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                Some(quoted.unwrap_or(value)).filter(|value| !value.contains(['"', '\\']))
            };
            let client = parameter("for").and_then(parse_node);
            said.proto = parameter("proto").or(said.proto);
            said.host = parameter("host").or(said.host);
            let Some(client) = client else { break };
            said.client = Some(client);
            if !any_contains(&self.networks, client.ip()) {
                break;
            }
        }
        said
    }
}

/// HTTP/2 names the host in the target, HTTP/1.1 in a field.
fn set_host(head: &mut Parts, host: Authority) {
    if let Ok(value) = HeaderValue::from_str(host.as_str()) {
        head.headers.insert(HOST, value);
    }
    if head.uri.authority().is_some() {
        let mut target = std::mem::take(&mut head.uri).into_parts();
        target.authority = Some(host);
        head.uri = Uri::from_parts(target).unwrap_or_default();
    }
}

/// What stands for a field that cannot be read: it hides what is to its left.
const UNREADABLE: &str = "?";

/// The items of a list over all fields of that name, in order.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName, split: impl Fn(&'a str) -> Vec<&'a str>) -> Vec<&'a str> {
    let fields = headers.get_all(name).iter();
    let items = fields.flat_map(|field| split(field.to_str().unwrap_or(UNREADABLE)));
    items.map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn split_plainly(text: &str) -> Vec<&str> {
    text.split(',').collect()
}

/// A quote that stays open may be a client's attempt to swallow what the proxies append: then nothing is read.
fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let pieces = text
        .split(|char| {
            match char {
                _ if is_escaped => is_escaped = false,
                '\\' if is_quoted => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                _ => {}
            }
            char == separator && !is_quoted
        })
        .collect();
    if is_quoted { vec![UNREADABLE] } else { pieces }
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:80`.
fn parse_node(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 0))
}

#[cfg(test)]
mod tests;
