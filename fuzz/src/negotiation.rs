//! permessage-deflate is agreed on exactly if RFC 7692 allows it, judged by rules written down a second time.

use std::borrow::Cow;

use http::{HeaderValue, Request};
use wingbeat_websocket::deflate::{DEFLATE_EXTENSION, DeflateConfig, DeflateParams};
use wingbeat_websocket::handshake::{Extension, UpgradeRequest};

use crate::stream;

/// Two configurations of two bytes; the rest is a header line, or several.
pub fn negotiation(data: &[u8]) {
    let Some((&[a, b, c, d], lines)) = data.split_first_chunk::<4>() else { return };
    let (ours, other) = (stream::config([a, b]), stream::config([c, d]));
    check_pair(&ours, &other);
    let Some(request) = request(lines) else { return };
    let offers = || request.extension_offers().filter(|offer| offer.name == DEFLATE_EXTENSION);

    let acceptable = offers().filter_map(|offer| Parameters::read(&offer)).find(|offer| offer.is_acceptable(&ours));
    let params = ours.accept(request.extension_offers());
    assert_eq!(params.is_some(), acceptable.is_some(), "the first that can be accepted is");
    for offer in offers() {
        check_answer(&ours, &offer);
    }
    if let (Some(params), Some(offer)) = (params, acceptable) {
        offer.check_answered(&ours, params);
        request.accept_with(None, &[params.to_string()]).expect("what was offered may be answered");
    }
}

fn request(lines: &[u8]) -> Option<UpgradeRequest> {
    let mut request = Request::builder()
        .uri("/")
        .header("host", "h")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .expect("a good request");
    for line in lines.split(|&byte| byte == b'\n') {
        request.headers_mut().append("sec-websocket-extensions", HeaderValue::from_bytes(line).ok()?);
    }
    UpgradeRequest::parse(&request.into_parts().0).ok()
}

/// What a client of ours offers, a server of ours can grant, and both mean the same.
fn check_pair(client: &DeflateConfig, server: &DeflateConfig) {
    let offer = client.offer();
    let request = request(offer.as_bytes()).expect("we offer what the grammar allows");
    let Some(granted) = server.accept(request.extension_offers()) else { panic!("{offer} is not granted") };
    let text = granted.to_string();
    let answer = self::request(text.as_bytes()).expect("we answer what the grammar allows");
    let answer = answer.extension_offers().next().expect("one");
    let agreed = client.check_answer(&answer).unwrap_or_else(|error| panic!("{text} to {offer}: {error}"));
    assert_eq!(agreed.server_window_bits(), granted.server_window_bits());
    assert!(agreed.client_window_bits() <= granted.client_window_bits());
    assert_eq!(agreed.has_server_takeover(), granted.has_server_takeover());
    assert_eq!(agreed.has_client_takeover(), granted.has_client_takeover());
}

/// The parameters of an offer or an answer, each at most once.
#[derive(Default)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// Named; with a value.
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut parameters = Self::default();
        let mut names: Vec<&str> = Vec::new();
        for (name, value) in &extension.params {
            if names.contains(name) {
                return None;
            }
            names.push(name);
            let bits = || (8..=15).find(|bits: &u8| value.as_deref() == Some(&bits.to_string()));
            match (*name, value) {
                ("server_no_context_takeover", None) => parameters.server_no_takeover = true,
                ("client_no_context_takeover", None) => parameters.client_no_takeover = true,
                ("server_max_window_bits", Some(_)) => parameters.server_bits = Some(bits()?),
                ("client_max_window_bits", None) => parameters.client_bits = Some(None),
                ("client_max_window_bits", Some(_)) => parameters.client_bits = Some(Some(bits()?)),
                _ => return None,
            }
        }
        Some(parameters)
    }

    /// Whether a server may grant it. It compresses into no window of 8 bits, and asks for no window it may not ask for.
    fn is_acceptable(&self, config: &DeflateConfig) -> bool {
        self.server_bits != Some(8) && (self.client_bits.is_some() || config.client_max_window_bits() == 15)
    }

    fn check_answered(&self, config: &DeflateConfig, params: DeflateParams) {
        let text = params.to_string();
        let names = |name: &str| text.split("; ").any(|param| param.split('=').next() == Some(name));
        let (server_bits, client_bits) = (params.server_window_bits(), params.client_window_bits());
        assert!(
            (9..=config.server_max_window_bits()).contains(&server_bits)
                && Some(server_bits) <= self.server_bits.or(Some(15))
        );
        assert_eq!(names("server_max_window_bits"), self.server_bits.is_some() || server_bits < 15, "{text}");
        assert!(client_bits <= config.client_max_window_bits());
        match self.client_bits {
            None => assert!(client_bits == 15 && !names("client_max_window_bits"), "{text}"),
            Some(limit) => {
                assert!((8..=limit.unwrap_or(15)).contains(&client_bits), "{text}");
                assert!(names("client_max_window_bits") || client_bits == 15, "{text}");
            }
        }
        assert_eq!(params.has_server_takeover(), config.has_server_takeover() && !self.server_no_takeover);
        assert_eq!(names("server_no_context_takeover"), !params.has_server_takeover(), "{text}");
        assert!(!params.has_client_takeover() || config.has_client_takeover());
        assert_eq!(names("client_no_context_takeover"), !params.has_client_takeover(), "{text}");
    }
}

/// A client takes an answer exactly if it follows from its offer.
fn check_answer(config: &DeflateConfig, answer: &Extension<'_>) {
    let value = |name: &str| {
        answer
            .params
            .iter()
            .find(|(param, _)| *param == name)
            .and_then(|(_, value)| value.as_deref().map(Cow::Borrowed))
    };
    let legal = Parameters::read(answer).filter(|answer| {
        let asked = config.server_max_window_bits();
        (config.has_server_takeover() || answer.server_no_takeover)
            && (asked == 15 || answer.server_bits.is_some_and(|bits| bits <= asked))
            && answer.client_bits.is_none_or(|bits| bits.is_some_and(|bits| bits <= config.client_max_window_bits()))
    });
    match (config.check_answer(answer), legal) {
        (Ok(params), Some(legal)) => {
            assert_eq!(params.server_window_bits(), legal.server_bits.unwrap_or(15));
            assert_eq!(params.has_server_takeover(), !legal.server_no_takeover);
            assert!(!params.has_client_takeover() || !legal.client_no_takeover);
            assert!(params.client_window_bits() <= legal.client_bits.flatten().unwrap_or(15));
        }
        (Err(_), None) => {}
        (result, _) => panic!("{answer:?} to {}: {result:?} {:?}", config.offer(), value("server_max_window_bits")),
    }
}
