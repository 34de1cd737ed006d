//! RFC 6455 §9.1: the grammar of extension offers, as a server reads them.

use http::{HeaderValue, Request};
use wingbeat_websocket::handshake::{HandshakeError, UpgradeRequest};

/// The offers of these header lines, written in one plain form.
fn offers(lines: &[&str]) -> Result<Vec<String>, HandshakeError> {
    let mut request = Request::builder()
        .uri("/")
        .header("host", "h")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .unwrap();
    for line in lines {
        request.headers_mut().append("sec-websocket-extensions", HeaderValue::from_str(line).unwrap());
    }
    let request = UpgradeRequest::parse(&request.into_parts().0)?;
    let written = |(name, value): &(&str, Option<std::borrow::Cow<'_, str>>)| match value {
        Some(value) => format!(";{name}={value}"),
        None => format!(";{name}"),
    };
    let offers = request.extension_offers();
    Ok(offers.map(|offer| offer.name.to_owned() + &offer.params.iter().map(written).collect::<String>()).collect())
}

#[test]
fn ws_e1_the_grammar_of_an_offer() {
    for (line, expected) in [
        ("", &[][..]),
        (" , ,,\t", &[]),
        ("foo", &["foo"]),
        ("foo, bar;baz", &["foo", "bar;baz"]),
        ("\t foo ; a = 1 ;\tb ,, bar ", &["foo;a=1;b", "bar"]),
        ("foo; a=\"10\"; b=\"x\\y\"", &["foo;a=10;b=xy"]),
    ] {
        assert_eq!(offers(&[line]).unwrap(), expected, "{line}");
    }
    for line in [
        "foo bar",
        "foo;",
        "foo; a=",
        "foo; a=\"\"",
        "foo; a=\"1 0\"",
        "foo; a=\"1",
        "foo; a=\"1\"2",
        "=",
        ";a",
        "foo, (",
        "f\u{F6}\u{F6}",
    ] {
        assert_eq!(offers(&[line]), Err(HandshakeError::Extensions), "{line}");
    }
}

#[test]
fn ws_e2_offers_of_one_extension_and_lines_of_one_list() {
    let one_line = offers(&["foo; a=1, foo; a=2, bar, foo"]).unwrap();
    assert_eq!(one_line, ["foo;a=1", "foo;a=2", "bar", "foo"]);
    assert_eq!(offers(&["foo; a=1, foo; a=2", "", "bar", "foo"]).unwrap(), one_line);
    // A line is a list of its own: what is open at its end is not closed by the next.
    assert_eq!(offers(&["foo; a=\"1", "2\""]), Err(HandshakeError::Extensions));
}
