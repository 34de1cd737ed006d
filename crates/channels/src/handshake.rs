//! The upgrade's header fields, checked in the order and refused in the words of Phoenix's HTTP server (row C14).

use http::HeaderMap;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};

/// Why the request cannot be upgraded: the body of a 400.
pub(crate) fn refusal(headers: &HeaderMap) -> Option<String> {
    absent(headers, HOST.as_str())
        .or_else(|| lacks(headers, CONNECTION.as_str(), "upgrade"))
        .or_else(|| lacks(headers, UPGRADE.as_str(), "websocket"))
        .or_else(|| absent(headers, SEC_WEBSOCKET_KEY.as_str()))
        .or_else(|| differs(headers, SEC_WEBSOCKET_VERSION.as_str(), "13"))
}

fn absent(headers: &HeaderMap, name: &str) -> Option<String> {
    (!headers.contains_key(name)).then(|| format!("'{name}' header is absent"))
}

fn lacks(headers: &HeaderMap, name: &str, token: &str) -> Option<String> {
    let values = values(headers, name);
    let has_token =
        values.iter().flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token));
    (!has_token).then(|| format!("'{name}' header must contain '{token}', got {values:?}"))
}

fn differs(headers: &HeaderMap, name: &str, expected: &str) -> Option<String> {
    let values = values(headers, name);
    (values != [expected]).then(|| format!("'{name}' header must equal '{expected}', got {values:?}"))
}

/// The values of a field; what is no text reads as empty.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ch_c14_bad_upgrade_headers() {
        let good = [
            ("host", "h"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        for (name, value, expected) in [
            ("x-other", Some("1"), None),
            ("host", None, Some("'host' header is absent")),
            ("connection", None, Some("'connection' header must contain 'upgrade', got []")),
            ("connection", Some("close"), Some("'connection' header must contain 'upgrade', got [\"close\"]")),
            ("upgrade", Some("h2c"), Some("'upgrade' header must contain 'websocket', got [\"h2c\"]")),
            ("sec-websocket-key", None, Some("'sec-websocket-key' header is absent")),
            ("sec-websocket-version", Some("12"), Some("'sec-websocket-version' header must equal '13', got [\"12\"]")),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in good {
                headers.insert(name, value.parse().unwrap());
            }
            headers.remove(name);
            if let Some(value) = value {
                headers.insert(http::HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(refusal(&headers).as_deref(), expected, "{name}: {value:?}");
        }
    }
}
