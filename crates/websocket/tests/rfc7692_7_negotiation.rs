//! RFC 7692 §5, §7.1: offers and answers, from both sides.

#![cfg(feature = "deflate")]

mod deflating;
mod peer;

use std::sync::Arc;

use deflating::{TAKEOVER, extension};
use wingbeat_websocket::Role;
use wingbeat_websocket::deflate::{DeflateBudget, DeflateConfig, DeflateParams};
use wingbeat_websocket::handshake::{
    Accepted, Answer, ClientHandshake, ClientOptions, Extension, HandshakeError, HeadLimits, ResponseError,
    UpgradeRequest, WebSocketUri, parse_head,
};

const DEFAULT: DeflateConfig = DeflateConfig::DEFAULT;
const BARE: &str = "permessage-deflate";

/// What a server answers to one offer.
fn answer(config: DeflateConfig, offer: &str) -> Option<String> {
    config.accept([extension(offer)]).map(|params| params.to_string())
}

/// The server answers to `offer` with these parameters; `None`: it declines.
#[track_caller]
fn check(config: DeflateConfig, offer: &str, expected: Option<&str>) {
    let expected = expected.map(|params| if params.is_empty() { BARE.to_owned() } else { format!("{BARE}; {params}") });
    assert_eq!(answer(config, offer), expected, "{offer}");
}

/// What comes of a server's answer with these parameters.
fn agree(config: DeflateConfig, params: &str) -> Result<DeflateParams, ResponseError> {
    config.check_answer(&extension(params))
}

#[test]
fn ws_d1_the_server_resets_its_context_if_asked_or_if_it_wants_to() {
    check(TAKEOVER, "server_no_context_takeover", Some("server_no_context_takeover"));
    check(TAKEOVER.with_server_takeover(false), "", Some("server_no_context_takeover"));
    // A client that asked must be answered.
    let asks = TAKEOVER.with_server_takeover(false);
    assert_eq!(asks.offer(), "permessage-deflate; server_no_context_takeover; client_max_window_bits");
    assert_eq!(agree(asks, ""), Err(ResponseError::Deflate));
    assert!(!agree(asks, "server_no_context_takeover").unwrap().has_server_takeover());
    assert!(!agree(TAKEOVER, "server_no_context_takeover").unwrap().has_server_takeover());
    assert!(agree(TAKEOVER, "").unwrap().has_server_takeover());
}

#[test]
fn ws_d2_the_client_resets_its_context_if_told_to() {
    assert!(!agree(TAKEOVER, "client_no_context_takeover").unwrap().has_client_takeover());
    assert!(agree(TAKEOVER, "").unwrap().has_client_takeover());
    // A hint of ours, which we keep to whether or not it is answered.
    let hints = TAKEOVER.with_client_takeover(false);
    assert_eq!(hints.offer(), "permessage-deflate; client_no_context_takeover; client_max_window_bits");
    assert!(!agree(hints, "").unwrap().has_client_takeover());
}

#[test]
fn ws_d3_the_servers_window() {
    for bits in 9..=15 {
        check(TAKEOVER, &format!("server_max_window_bits={bits}"), Some(&format!("server_max_window_bits={bits}")));
        let asks = TAKEOVER.with_server_max_window_bits(bits);
        for answered in 8..=15 {
            let agreed = agree(asks, &format!("server_max_window_bits={answered}"));
            let expected = if answered <= bits { Ok(answered) } else { Err(ResponseError::Deflate) };
            assert_eq!(agreed.map(DeflateParams::server_window_bits), expected, "{answered} of {bits}");
        }
        // What was asked for must be named in the answer.
        assert_eq!(agree(asks, "").is_ok(), bits == 15);
    }
    // No zlib compresses into a window of 256 bytes; inflating from one is no trouble.
    check(TAKEOVER, "server_max_window_bits=8", None);
}

#[test]
fn ws_d4_the_clients_window() {
    for bits in 8..=15 {
        let limit = if bits < 15 { format!("client_max_window_bits={bits}") } else { String::new() };
        check(TAKEOVER, &format!("client_max_window_bits={bits}"), Some(&limit));
        let agreed = agree(TAKEOVER, &format!("client_max_window_bits={bits}")).unwrap();
        assert_eq!(agreed.client_window_bits(), bits);
        let limited = TAKEOVER.with_client_max_window_bits(bits);
        let limited_bits = bits.max(9);
        assert_eq!(agree(limited, "").unwrap().client_window_bits(), limited_bits);
        let more = agree(limited, &format!("client_max_window_bits={}", limited_bits + 1));
        assert_eq!(more, Err(ResponseError::Deflate));
    }
    assert_eq!(agree(TAKEOVER, "client_max_window_bits"), Err(ResponseError::Deflate));
    let limited = TAKEOVER.with_client_max_window_bits(10).with_server_max_window_bits(11);
    assert_eq!(limited.offer(), "permessage-deflate; server_max_window_bits=11; client_max_window_bits=10");
}

#[test]
fn ws_d5_bare() {
    check(TAKEOVER, "", Some(""));
    check(DEFAULT, "", Some("server_no_context_takeover; client_no_context_takeover"));
}

#[test]
fn ws_d6_the_server_limits_itself_unasked() {
    check(TAKEOVER.with_server_max_window_bits(10), "", Some("server_max_window_bits=10"));
}

#[test]
fn ws_d7_a_client_that_cannot_be_limited_is_declined() {
    check(TAKEOVER.with_client_max_window_bits(14), "", None);
}

#[test]
fn ws_d8_a_client_that_can_be_limited_need_not_be() {
    check(TAKEOVER, "client_max_window_bits", Some(""));
}

#[test]
fn ws_d9_a_client_that_can_be_limited_is() {
    check(TAKEOVER.with_client_max_window_bits(9), "client_max_window_bits", Some("client_max_window_bits=9"));
}

#[test]
fn ws_d10_the_smaller_of_two_limits_of_the_client() {
    check(TAKEOVER.with_client_max_window_bits(9), "client_max_window_bits=12", Some("client_max_window_bits=9"));
    check(TAKEOVER, "client_max_window_bits=12", Some("client_max_window_bits=12"));
}

#[test]
fn ws_d11_the_smaller_of_two_limits_of_the_server() {
    check(TAKEOVER, "server_max_window_bits=12", Some("server_max_window_bits=12"));
    check(TAKEOVER, "server_max_window_bits=15", Some("server_max_window_bits=15"));
    check(TAKEOVER.with_server_max_window_bits(9), "server_max_window_bits=12", Some("server_max_window_bits=9"));
}

#[test]
fn ws_d12_no_takeover_of_the_server_is_echoed() {
    for config in [TAKEOVER, TAKEOVER.with_server_takeover(false)] {
        check(config, "server_no_context_takeover", Some("server_no_context_takeover"));
    }
}

#[test]
fn ws_d13_no_takeover_of_the_client_is_echoed() {
    check(TAKEOVER, "client_no_context_takeover", Some("client_no_context_takeover"));
}

#[test]
fn ws_d14_no_takeover_of_the_client_is_added() {
    check(TAKEOVER.with_client_takeover(false), "", Some("client_no_context_takeover"));
}

#[test]
fn ws_d15_the_second_offer_is_judged_if_the_first_cannot_be() {
    let offers = ["server_max_window_bits=8", "foo", "server_max_window_bits=10", ""].map(extension);
    assert_eq!(TAKEOVER.accept(offers).unwrap().to_string(), "permessage-deflate; server_max_window_bits=10");
    let other = Extension { name: "x-webkit-deflate-frame", params: vec![] };
    assert_eq!(TAKEOVER.accept([other.clone(), extension("")]).unwrap().to_string(), BARE);
    assert_eq!(TAKEOVER.accept([other]), None);
    assert_eq!(TAKEOVER.accept([]), None);
}

#[test]
fn ws_d16_the_first_of_two_good_offers_wins() {
    let offers = ["server_max_window_bits=11", "server_max_window_bits=10"].map(extension);
    assert_eq!(TAKEOVER.accept(offers).unwrap().to_string(), "permessage-deflate; server_max_window_bits=11");
}

/// Parameters that may not be, in an offer as in an answer.
const BAD: [&str; 26] = [
    // An option of Bandit that it took from the peer, too, and echoed.
    "max_inflate_ratio",
    "max_inflate_ratio=25",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=08",
    "server_max_window_bits=010",
    "server_max_window_bits=+9",
    "server_max_window_bits=-9",
    "server_max_window_bits=9a",
    "server_max_window_bits=99",
    "server_max_window_bits=256",
    "server_max_window_bits=18446744073709551625",
    "server_max_window_bits=0",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=09",
    "client_max_window_bits=1",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "x=1",
    "max_inflate_ratio=25",
    "Server_Max_Window_Bits=10",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits; client_max_window_bits",
    "server_no_context_takeover; server_no_context_takeover",
];

#[test]
fn ws_d17_bad_offers_are_declined() {
    for offer in BAD {
        check(TAKEOVER, offer, None);
        check(DEFAULT, offer, None);
    }
    // A quoted value must be a token when the quotes are off: then it is as good as without (RFC 6455 §9.1).
    let quoted = upgrade(r#"permessage-deflate; server_max_window_bits="10""#).unwrap();
    let params = TAKEOVER.accept(quoted.extension_offers()).unwrap();
    assert_eq!(params.server_window_bits(), 10);
    assert_eq!(upgrade(r#"permessage-deflate; server_max_window_bits=" 9""#).unwrap_err(), HandshakeError::Extensions);
}

/// undici gave whatever stood in server_max_window_bits to its zlib, which ended the process (CVE-2026-2229). Here a number
/// out of range is no number.
#[test]
fn ws_d24_sec30_bad_answers_fail_the_handshake() {
    for params in BAD {
        assert_eq!(agree(TAKEOVER, params), Err(ResponseError::Deflate), "{params}");
        let accepted = connect(TAKEOVER, &format!("{BARE}; {params}"));
        assert_eq!(accepted.unwrap_err(), ResponseError::Deflate, "{params}");
    }
}

#[test]
fn ws_d24_cb16_windows_are_whatever_is_asked_for_within_9_to_15() {
    for bits in 0..=255 {
        let config = DEFAULT.with_server_max_window_bits(bits).with_client_max_window_bits(bits).with_level(bits);
        assert_eq!(config.server_max_window_bits(), bits.clamp(9, 15));
        assert_eq!(config.client_max_window_bits(), bits.clamp(9, 15));
        assert_eq!(config.level(), bits.clamp(1, 9));
    }
}

#[test]
fn ws_r5_the_client_takes_what_it_offered_and_nothing_else() {
    let accepted = connect(DEFAULT, &format!("{BARE}; server_no_context_takeover")).unwrap();
    let params = accepted.deflate.unwrap();
    assert!(!params.has_server_takeover() && !params.has_client_takeover());
    assert_eq!((params.server_window_bits(), params.client_window_bits()), (15, 15));
    // No answer is an answer.
    assert_eq!(connect(DEFAULT, "").unwrap().deflate, None);
    // Twice, or something else.
    for answer in [format!("{BARE}, {BARE}"), "permessage-bzip2".into(), format!("{BARE};")] {
        assert_eq!(connect(TAKEOVER, &answer).unwrap_err(), ResponseError::Extension, "{answer}");
    }
    let mut plain = handshake(ClientOptions::default());
    plain.1 = plain.1.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {BARE}\r\n\r\n"));
    assert_eq!(plain.0.handle_input(plain.1.as_bytes()).unwrap_err(), ResponseError::Extension);
}

#[test]
fn ws_s13_the_server_answers_only_what_was_offered() {
    let choose = |offer: &str, chosen: &[&str]| {
        let chosen: Vec<String> = chosen.iter().map(ToString::to_string).collect();
        upgrade(offer).unwrap().accept_with(None, &chosen)
    };
    let response = choose("foo, permessage-deflate", &[BARE]).unwrap();
    assert_eq!(response.headers()["sec-websocket-extensions"], BARE);
    assert!(!choose(BARE, &[]).unwrap().headers().contains_key("sec-websocket-extensions"));
    for (offer, chosen) in [
        ("foo", &[BARE][..]),
        (BARE, &[BARE, BARE]),
        (BARE, &["permessage-deflate, foo"]),
        (BARE, &["permessage-deflate; a=\r\n"]),
        (BARE, &[""]),
    ] {
        assert_eq!(choose(offer, chosen).unwrap_err(), HandshakeError::ExtensionNotOffered, "{chosen:?}");
    }
    assert_eq!(HandshakeError::ExtensionNotOffered.status(), 500);
}

#[test]
fn what_one_role_answers_the_other_takes() {
    let configs: Vec<DeflateConfig> = (0..64)
        .map(|bits| {
            let window = |bit: u8| if bits & bit != 0 { 15 } else { 10 };
            let config = DEFAULT.with_server_takeover(bits & 1 != 0).with_client_takeover(bits & 2 != 0);
            config.with_server_max_window_bits(window(4)).with_client_max_window_bits(window(8))
        })
        .collect();
    for client in &configs {
        for server in &configs {
            let request = upgrade(&client.offer()).unwrap();
            let params = server.accept(request.extension_offers()).unwrap();
            let answer = params.to_string();
            let agreed = connect(*client, &answer).unwrap().deflate.unwrap();
            assert_eq!(agreed.server_window_bits(), params.server_window_bits());
            assert_eq!(agreed.has_server_takeover(), params.has_server_takeover());
            assert_eq!(agreed.has_client_takeover(), params.has_client_takeover());
            assert!(agreed.client_window_bits() <= params.client_window_bits());
        }
    }
}

#[test]
fn ws_d22_past_the_budget_connections_open_without_takeover() {
    let params = deflating::agreed(TAKEOVER);
    let bytes = params.takeover_bytes(Role::Server);
    assert!((256 << 10..512 << 10).contains(&bytes), "{bytes}");
    assert_eq!(deflating::agreed(DEFAULT).takeover_bytes(Role::Server), 0);
    let budget = Arc::new(DeflateBudget::new(2 * bytes + 1));
    let (first, first_grant) = budget.fit(params);
    let (second, second_grant) = budget.fit(params);
    assert_eq!((first, second, budget.free_bytes()), (params, params, 1));
    assert_eq!(second_grant.as_ref().unwrap().bytes(), bytes);
    let (third, no_grant) = budget.fit(params);
    assert!(no_grant.is_none());
    assert_eq!(third.to_string(), "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    // A connection that goes gives its part back.
    let mut connection = wingbeat_websocket::Connection::new(Role::Server, wingbeat_websocket::Limits::DEFAULT);
    connection.set_deflate(first, first_grant);
    assert_eq!(budget.free_bytes(), 1);
    drop(connection);
    assert_eq!(budget.free_bytes(), 1 + bytes);
    assert!(budget.fit(params).1.is_some());
    // Without takeover nothing is taken.
    assert!(budget.fit(deflating::agreed(DEFAULT)).1.is_none());
}

fn upgrade(offer: &str) -> Result<UpgradeRequest, HandshakeError> {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    let (request, _) = parse_head(head.as_bytes(), HeadLimits::DEFAULT).unwrap().unwrap();
    UpgradeRequest::parse(&request.into_parts().0)
}

/// A handshake of ours, and the head that accepts it.
fn handshake(options: ClientOptions) -> (ClientHandshake, String) {
    let key = *b"the sample nonce";
    let handshake = ClientHandshake::new(&WebSocketUri::parse("ws://a/").unwrap(), key, options).unwrap();
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    (handshake, head.to_owned())
}

/// What a client with `config` makes of a server's extensions.
fn connect(config: DeflateConfig, extensions: &str) -> Result<Accepted, ResponseError> {
    let (handshake, head) = handshake(ClientOptions::default().with_deflate(config));
    let request = String::from_utf8(handshake.request().to_vec()).unwrap();
    assert!(request.contains(&format!("\r\nSec-WebSocket-Extensions: {}\r\n", config.offer())), "{request}");
    let head = if extensions.is_empty() {
        head
    } else {
        head.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n"))
    };
    match handshake.handle_input(head.as_bytes())? {
        Some((Answer::Accepted(accepted), _)) => Ok(accepted),
        other => panic!("{other:?}"),
    }
}
