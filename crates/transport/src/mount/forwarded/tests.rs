use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1:5000";
const STRANGER: &str = "203.0.113.66:5000";

fn trust(fields: ForwardedFields) -> Trust {
    Trust { networks: vec!["10.0.0.0/8".parse().expect("a network")], fields }
}

/// Address, scheme and host after all.
fn apply(trust: &Trust, peer: Option<&str>, fields: &[(&str, &str)]) -> (Option<String>, String, String) {
    let mut builder = http::Request::builder().uri("/").header(HOST, "inner:4000");
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    let (mut head, ()) = builder.body(()).expect("a request").into_parts();
    let mut peer = peer.map(|peer| peer.parse().expect(peer));
    let mut scheme = Scheme::HTTP;
    trust.apply(&mut head, &mut peer, &mut scheme);
    let host = head.headers[HOST].to_str().expect("text").to_owned();
    (peer.map(|peer: SocketAddr| peer.to_string()), scheme.to_string(), host)
}

#[track_caller]
fn check(trust: &Trust, fields: &[(&str, &str)], address: &str, scheme: &str, host: &str) {
    let expected = (Some(address.to_owned()), scheme.to_owned(), host.to_owned());
    assert_eq!(apply(trust, Some(PROXY), fields), expected, "{fields:?}");
}

#[test]
fn trusted_proxies_name_the_client() {
    let trust = &trust(ForwardedFields::XForwarded);
    let full =
        [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "chat.example.com")];
    check(trust, &full, "192.0.2.7:0", "https", "chat.example.com");
    check(trust, &[], PROXY, "http", "inner:4000");
    check(trust, &[("x-forwarded-for", "192.0.2.7:1234")], "192.0.2.7:1234", "http", "inner:4000");
    check(trust, &[("x-forwarded-for", "2001:db8::7")], "[2001:db8::7]:0", "http", "inner:4000");
    check(trust, &[("x-forwarded-for", "[2001:db8::7]:99")], "[2001:db8::7]:99", "http", "inner:4000");
    check(trust, &[("x-forwarded-for", "[2001:db8::7]")], "[2001:db8::7]:0", "http", "inner:4000");
    check(trust, &[("x-forwarded-proto", "WSS")], PROXY, "https", "inner:4000");
    check(trust, &[("x-forwarded-proto", "gopher")], PROXY, "http", "inner:4000");
}

#[test]
fn ws_sec_forwarded_spoofed_entries_are_left_of_the_truth() {
    let trust = &trust(ForwardedFields::XForwarded);
    check(trust, &[("x-forwarded-for", "1.2.3.4, 192.0.2.7")], "192.0.2.7:0", "http", "inner:4000");
    check(trust, &[("x-forwarded-for", "1.2.3.4, 192.0.2.7, 10.9.9.9")], "192.0.2.7:0", "http", "inner:4000");
    check(
        trust,
        &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "10.9.9.9")],
        "192.0.2.7:0",
        "http",
        "inner:4000",
    );
    // A client that claims to be one of the proxies is where the proxy saw it.
    check(trust, &[("x-forwarded-for", "10.0.0.5, 192.0.2.7")], "192.0.2.7:0", "http", "inner:4000");
    // All are ours: the leftmost is the client.
    check(trust, &[("x-forwarded-for", "10.1.1.1, 10.2.2.2")], "10.1.1.1:0", "http", "inner:4000");
    // Behind what is no address nobody is known.
    check(trust, &[("x-forwarded-for", "1.2.3.4, unknown, 10.2.2.2")], "10.2.2.2:0", "http", "inner:4000");
    check(trust, &[("x-forwarded-for", "1.2.3.4, unknown")], PROXY, "http", "inner:4000");
    // Each hop appended; what the client itself sent is left of that.
    let fields = [("x-forwarded-for", "9.9.9.9, 192.0.2.7"), ("x-forwarded-proto", "https, http")];
    check(trust, &fields, "192.0.2.7:0", "http", "inner:4000");
    let fields = [("x-forwarded-for", "192.0.2.7, 10.2.2.2"), ("x-forwarded-proto", "https, http")];
    check(trust, &fields, "192.0.2.7:0", "https", "inner:4000");
}

#[test]
fn ws_sec_forwarded_strangers_are_not_believed() {
    for fields in [ForwardedFields::XForwarded, ForwardedFields::Rfc7239] {
        let sent = [
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "bank.example.com"),
            ("forwarded", "for=10.0.0.1;proto=https;host=bank.example.com"),
        ];
        let expected = (Some(STRANGER.to_owned()), "http".to_owned(), "inner:4000".to_owned());
        assert_eq!(apply(&trust(fields), Some(STRANGER), &sent), expected);
        let nobody = Trust { networks: Vec::new(), fields };
        assert_eq!(apply(&nobody, Some(PROXY), &sent).0.as_deref(), Some(PROXY));
    }
}

#[test]
fn ws_sec_forwarded_only_the_kind_that_the_proxy_writes_counts() {
    let sent = [("forwarded", "for=1.2.3.4;proto=https"), ("x-forwarded-for", "192.0.2.7")];
    check(&trust(ForwardedFields::XForwarded), &sent, "192.0.2.7:0", "http", "inner:4000");
    check(&trust(ForwardedFields::Rfc7239), &sent, "1.2.3.4:0", "https", "inner:4000");
}

#[test]
fn who_comes_through_a_unix_socket_is_believed() {
    let (address, ..) = apply(&trust(ForwardedFields::XForwarded), None, &[("x-forwarded-for", "192.0.2.7")]);
    assert_eq!(address.as_deref(), Some("192.0.2.7:0"));
}

#[test]
fn elements_of_rfc_7239() {
    let trust = &trust(ForwardedFields::Rfc7239);
    for (field, address, scheme, host) in [
        ("for=192.0.2.7", "192.0.2.7:0", "http", "inner:4000"),
        ("For=\"192.0.2.7:47011\"; Proto=HTTPS ;host=\"a.b:80\"", "192.0.2.7:47011", "https", "a.b:80"),
        ("for=\"[2001:db8::7]:4711\"", "[2001:db8::7]:4711", "http", "inner:4000"),
        ("for=\"[2001:db8::7]\", for=10.2.2.2", "[2001:db8::7]:0", "http", "inner:4000"),
        ("for=1.2.3.4, for=192.0.2.7;proto=https, for=10.2.2.2", "192.0.2.7:0", "https", "inner:4000"),
        ("for=1.2.3.4, for=unknown;proto=https", PROXY, "https", "inner:4000"),
        ("for=_hidden", PROXY, "http", "inner:4000"),
        ("for=\"a,for=1.2.3.4\"", PROXY, "http", "inner:4000"),
        ("for=1.2.3.4;for=5.6.7.8", PROXY, "http", "inner:4000"),
        ("", PROXY, "http", "inner:4000"),
        ("for=1.2.3.4;x=\", for=192.0.2.7", PROXY, "http", "inner:4000"),
        (";;;==,,\"", PROXY, "http", "inner:4000"),
    ] {
        check(trust, &[("forwarded", field)], address, scheme, host);
    }
}

proptest! {
    /// Whatever a client sends ahead of what the proxy appends: the proxy's word stands.
    #[test]
    fn ws_sec_forwarded_nothing_a_client_sends_moves_its_address(sent in "[ -~]{0,80}") {
        let fields = [("x-forwarded-for", sent.as_str()), ("x-forwarded-for", "192.0.2.7")];
        let (address, ..) = apply(&trust(ForwardedFields::XForwarded), Some(PROXY), &fields);
        prop_assert_eq!(address.as_deref(), Some("192.0.2.7:0"));
        let joined = format!("{sent}, 192.0.2.7");
        let (address, ..) = apply(&trust(ForwardedFields::XForwarded), Some(PROXY), &[("x-forwarded-for", &joined)]);
        prop_assert_eq!(address.as_deref(), Some("192.0.2.7:0"));
    }

    /// The same for RFC 7239, where a client may spoil the field for itself.
    #[test]
    fn ws_sec_forwarded_no_quote_swallows_what_the_proxy_says(
        sent in r#"(for=1\.2\.3\.4|[";=,\\ a-f]|x=){0,8}"#,
        appended in prop::sample::select(vec!["for=192.0.2.7", "for=\"192.0.2.7\";host=\"a.b\"", "proto=https;for=192.0.2.7"]),
    ) {
        let joined = format!("{sent}, {appended}");
        let (address, ..) = apply(&trust(ForwardedFields::Rfc7239), Some(PROXY), &[("forwarded", &joined)]);
        let address = address.expect("a peer");
        prop_assert!(address == "192.0.2.7:0" || address == PROXY, "{}", address);
    }
}
