//! What comes before a request and beside it: PROXY headers, and the fields that proxies write.

use std::net::SocketAddr;

use http::uri::Scheme;
use http::{HeaderName, Request};

use crate::forwarded::{ForwardedFields, Trust};
use crate::proxy_protocol::{ProxyHeader, parse};

/// A proxy that is trusted, and where it says that its client is.
const PROXY: &str = "10.0.0.1:5000";
const CLIENT: &str = "192.0.2.7";

/// A byte that says what the rest is.
pub fn proxies(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => header(bytes),
        1 => fields(bytes, ForwardedFields::XForwarded, "x-forwarded-for", CLIENT),
        _ => fields(bytes, ForwardedFields::Rfc7239, "forwarded", &format!("for=\"{CLIENT}\";proto=https")),
    }
}

/// A header is there with its last byte, not before; what follows is not its own.
fn header(bytes: &[u8]) {
    let whole = parse(bytes);
    if let Ok(Some(ProxyHeader { bytes: used, .. })) = whole {
        assert_eq!(parse(&bytes[..used]), whole);
        assert_eq!(parse(&bytes[..used - 1]), Ok(None));
    }
    let waits = bytes.len() >= 4096 && whole == Ok(None);
    assert!(!waits, "an endless header is not waited for");
    for at in 0..bytes.len().min(600) {
        let part = parse(&bytes[..at]);
        assert!(part == Ok(None) || part == whole, "{part:?} after {at} bytes, then {whole:?}");
    }
}

/// Whatever a client sends, and the proxy appends to, names nobody but whom the proxy names.
fn fields(sent: &[u8], kind: ForwardedFields, name: &'static str, appended: &str) {
    let trust = Trust { networks: vec!["10.0.0.0/8".parse().expect("a network")], fields: kind };
    let name = HeaderName::from_static(name);
    let apart = [sent.to_vec(), appended.into()];
    let joined = [[sent, b", ", appended.as_bytes()].concat()];
    for values in [&apart[..], &joined[..]] {
        let mut builder = Request::builder();
        for value in values {
            builder = builder.header(&name, value.as_slice());
        }
        // Not every byte may stand in a field.
        let Ok(request) = builder.body(()) else { return };
        let (mut head, ()) = request.into_parts();
        let proxy: SocketAddr = PROXY.parse().expect("an address");
        let (mut peer, mut scheme) = (Some(proxy), Scheme::HTTP);
        trust.apply(&mut head, &mut peer, &mut scheme);
        let peer = peer.expect("it was there");
        assert!(peer == proxy || peer.ip().to_string() == CLIENT, "{peer} is where nobody saw the client");
        // From a stranger not a word is believed.
        let stranger: SocketAddr = "203.0.113.66:1".parse().expect("an address");
        let mut peer = Some(stranger);
        trust.apply(&mut head, &mut peer, &mut scheme);
        assert_eq!(peer, Some(stranger));
    }
}
