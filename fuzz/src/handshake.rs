//! Heads of strangers: requests, responses, extended CONNECTs and URIs.

use http::{Method, Uri, Version};
use wingbeat_websocket::deflate::DeflateConfig;
use wingbeat_websocket::handshake::{
    Answer, ClientConnect, ClientHandshake, ClientOptions, ConnectRequest, HeadError, HeadLimits, InvalidRequest,
    UpgradeRequest, WEBSOCKET_PROTOCOL, WebSocketUri, parse_head, write_response_head,
};

/// The key of RFC 6455 §1.3.
const KEY: [u8; 16] = *b"the sample nonce";

/// A byte that says what the rest is.
pub fn handshake(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => request(bytes),
        1 => response(bytes),
        _ => std::str::from_utf8(bytes).map(uri).unwrap_or_default(),
    }
}

fn limits() -> HeadLimits {
    HeadLimits::DEFAULT.with_max_bytes(1000).with_max_headers(20).with_max_target_bytes(100)
}

fn request(bytes: &[u8]) {
    let whole = parse_head(bytes, limits());
    let end = match &whole {
        Ok(Some((_, used))) => *used,
        Ok(None) | Err(_) => bytes.len(),
    };
    assert!(bytes.len() < limits().max_bytes || !matches!(whole, Ok(None)), "an endless head is not waited for");
    // A head is there with its last byte, not before, and not twice.
    for at in 0..end {
        match (parse_head(&bytes[..at], limits()), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (part, _) => panic!("{part:?} after {at} bytes, then {whole:?}"),
        }
    }
    let Ok(Some((request, _))) = whole else {
        if let Err(error) = whole {
            assert!(error.status().is_client_error() || error == HeadError::Version);
        }
        return;
    };
    let (mut parts, ()) = request.into_parts();
    match UpgradeRequest::parse(&parts) {
        Ok(upgrade) => accept(&upgrade),
        Err(error) => check_written(&error.response()),
    }
    let protocol = parts.headers.get("x-protocol").and_then(|value| value.to_str().ok()).unwrap_or(WEBSOCKET_PROTOCOL);
    let protocol = protocol.to_owned();
    parts.version = Version::HTTP_2;
    if parts.method == Method::GET {
        parts.method = Method::CONNECT;
    }
    match ConnectRequest::parse(&parts, &protocol) {
        Ok(connect) => {
            let subprotocol = connect.subprotocols().next().map(str::to_owned);
            connect.accept(subprotocol.as_deref(), &[]).expect("it was offered");
        }
        Err(error) => drop(error.response().map(|response| check_written(&response))),
    }
}

/// What a request offers can be accepted.
fn accept(upgrade: &UpgradeRequest) {
    for chosen in upgrade.subprotocols().map(Some).chain([None]) {
        for extension in upgrade.extension_offers().map(|offer| vec![offer.name.to_owned()]).chain([vec![]]) {
            let response = upgrade.clone().accept_with(chosen, &extension).expect("it was offered");
            check_written(&response);
        }
    }
    assert!(upgrade.clone().accept(Some("never offered,")).is_err());
}

/// No line in it but those that we meant.
fn check_written<B>(response: &http::Response<B>) {
    let mut output = Vec::new();
    write_response_head(response, &mut output);
    let lines = output.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(lines, response.headers().len() + 2, "{}", output.escape_ascii());
    assert_eq!(output.iter().filter(|&&byte| byte == b'\r' || byte == b'\n').count(), 2 * lines);
}

fn response(bytes: &[u8]) {
    let options = ClientOptions::default()
        .with_subprotocols(["chat", "superchat"])
        .with_extensions(["foo; x=1"])
        .with_deflate(DeflateConfig::DEFAULT)
        .with_head_limits(limits());
    let uri = WebSocketUri::parse("ws://h/").expect("a good URI");
    let client = ClientHandshake::new(&uri, KEY, options.clone()).expect("good options");
    let whole = client.handle_input(bytes);
    assert!(bytes.len() < limits().max_bytes || !matches!(whole, Ok(None)), "an endless head is not waited for");
    let end = match &whole {
        Ok(Some((_, used))) => *used,
        Ok(None) | Err(_) => bytes.len(),
    };
    for at in 0..end {
        match (client.handle_input(&bytes[..at]), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (part, _) => panic!("{part:?} after {at} bytes, then {whole:?}"),
        }
    }
    let Ok(Some((Answer::Accepted(accepted), _))) = whole else { return };
    assert!(accepted.subprotocol.as_deref().is_none_or(|chosen| ["chat", "superchat"].contains(&chosen)));
    // The same answer opens an extended CONNECT, but for its status.
    let connect = ClientConnect::new(&uri, options, true).expect("good options");
    let mut response = accepted.response;
    *response.status_mut() = http::StatusCode::OK;
    let Ok(Some(Answer::Accepted(again))) = connect.handle_response(response) else { panic!("refused over HTTP/2") };
    assert_eq!((again.subprotocol, again.deflate), (accepted.subprotocol, accepted.deflate));
}

/// Whatever is a URI makes a request that our server accepts, both ways.
fn uri(text: &str) {
    let Ok(uri) = WebSocketUri::parse(text) else { return };
    let client = ClientHandshake::new(&uri, KEY, ClientOptions::default()).expect("nothing is asked for");
    let generous = HeadLimits::DEFAULT.with_max_bytes(usize::MAX).with_max_target_bytes(usize::MAX);
    let head = parse_head(client.request(), generous);
    let connect = ClientConnect::new(&uri, ClientOptions::default(), true);
    if uri.resource().len() + uri.host_header().len() > 60_000 {
        return;
    }
    let (request, used) = head.expect("we write heads").expect("and whole ones");
    assert_eq!((used, request.uri().to_string().as_str()), (client.request().len(), uri.resource()));
    UpgradeRequest::parse(&request.into_parts().0).expect("a server of ours takes it");
    let connect = match connect {
        Ok(connect) => connect,
        Err(error) => panic!("{error}, {}", error == InvalidRequest::UriTooLong),
    };
    assert!(Uri::try_from(connect.request().uri().to_string()).is_ok());
    let (parts, ()) = connect.request().clone().into_parts();
    ConnectRequest::parse(&parts, WEBSOCKET_PROTOCOL).expect("a server of ours takes it");
}
