//! From a request to a socket, or a refusal (rows C).

mod support;

use std::time::Duration;

use support::client::{http, upgrade};
use support::{Client, SECRET, TestServer, serve, serve_with};
use wingbeat_channels::token::Tokens;
use wingbeat_channels::{CheckOrigin, DeflateConfig, MountOptions};

/// Status and body of an answer.
fn ask(server: &TestServer, request: &str) -> (u16, String) {
    let answer = http(server.running.local_addr(), request);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.to_owned())
}

#[track_caller]
fn check(server: &TestServer, target: &str, more: &str, status: u16, body: &str) {
    assert_eq!(ask(server, &upgrade(target, more)), (status, body.to_owned()), "{target} {more}");
}

#[test]
fn ch_c1_c2_c3_c4_paths() {
    let server = serve_with(1, MountOptions::default());
    check(&server, "/socket/websocket?vsn=2.0.0", "", 101, "");
    check(&server, "/socket/websocket/?vsn=2.0.0", "", 101, "");
    check(&server, "/ws/7/websocket?vsn=2.0.0", "", 101, "");
    for path in ["/socket", "/socket/sse", "/nosuch", "/ws/websocket/websocket/websocket"] {
        check(&server, path, "", 404, "not found");
    }
    let mut client = server.connect_to("/ws/a%20b+c/websocket?uid=9&vsn=2.0.0");
    client.send(r#"["1","1","room:whoami","phx_join",{}]"#);
    client.expect(&[
        r#"["1","1","room:whoami","phx_reply",{"response":{"id":"users:a b+c","params":{"uid":"a b+c","vsn":"2.0.0"}},"status":"ok"}]"#,
    ]);
    let server = serve_with(1, MountOptions::default().with_path("/live"));
    check(&server, "/socket/live?vsn=2.0.0", "", 101, "");
    check(&server, "/socket/websocket?vsn=2.0.0", "", 404, "not found");
}

#[test]
fn ch_c5_c6_c9_params() {
    let server = serve();
    let mut client = server.connect_to("/socket/websocket?a[b]=1&a[c][]=2&&vsn=2.0.0&");
    client.send(r#"["1","1","room:whoami","phx_join",{}]"#);
    let params: serde_json::Value = serde_json::from_str(&client.recv()).unwrap();
    assert_eq!(
        params[4]["response"],
        serde_json::json!({ "id": null, "params": { "a": { "b": "1", "c": ["2"] }, "vsn": "2.0.0" } })
    );
    check(&server, "/socket/websocket?vsn=2.0.0&a=%zz", "", 400, "");
}

#[test]
fn ch_c8_versions() {
    let server = serve();
    for (vsn, status) in [("2.0.7", 101), ("2.0", 403), ("2.1.0", 403), ("9", 403), ("", 403), ("abc", 403)] {
        check(&server, &format!("/socket/websocket?vsn={vsn}"), "", status, "");
    }
    check(&server, "/socket/websocket?vsn[]=2.0.0", "", 403, "");
}

#[test]
fn ch_c10_c11_refusals() {
    let server = serve();
    check(&server, "/socket/websocket?vsn=2.0.0&why=", "", 403, "");
    check(&server, "/socket/websocket?vsn=2.0.0&why=nope", "", 403, "");
    check(&server, "/socket/websocket?vsn=2.0.0&why=panic", "", 500, "");
    let options = MountOptions::default().with_error_handler(|refusal| {
        let mut response = http::Response::new(format!("denied: {refusal}").into());
        *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        response
    });
    let server = serve_with(1, options);
    check(&server, "/socket/websocket?vsn=2.0.0&why=nope", "", 429, "denied: nope");
    check(&server, "/socket/websocket?vsn=2.0.0&why=", "", 403, "");
}

#[test]
fn ch_c10_tokens() {
    let server = serve();
    let token = Tokens::new(SECRET).unwrap().sign("user socket", &7_u64).unwrap();
    check(&server, &format!("/socket/websocket?vsn=2.0.0&token={token}"), "", 101, "");
    check(&server, "/socket/websocket?vsn=2.0.0&token=forged", "", 403, "");
    let forged = Tokens::new("another secret of twenty bytes").unwrap().sign("user socket", &7_u64).unwrap();
    check(&server, &format!("/socket/websocket?vsn=2.0.0&token={forged}"), "", 403, "");
}

#[test]
fn ch_c13_c14_c15_what_is_no_upgrade() {
    let server = serve();
    let plain = |method, target| format!("{method} {target} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
    let target = "/socket/websocket?vsn=2.0.0";
    assert_eq!(ask(&server, &plain("POST", target)), (400, String::new()));
    let no_upgrade = "'connection' header must contain 'upgrade', got []".to_owned();
    assert_eq!(ask(&server, &plain("GET", target)), (400, no_upgrade));
    assert_eq!(ask(&server, &plain("GET", "/socket/websocket?vsn=2.0.0&why=no")), (403, String::new()));
    let request = upgrade(target, "");
    for (from, to, body) in [
        ("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "'sec-websocket-key' header is absent"),
        ("version: 13", "version: 12", "'sec-websocket-version' header must equal '13', got [\"12\"]"),
        ("upgrade: websocket", "upgrade: h2c", "'upgrade' header must contain 'websocket', got [\"h2c\"]"),
    ] {
        assert_eq!(ask(&server, &request.replace(from, to)), (400, body.to_owned()));
    }
    let (status, body) = ask(&server, &request.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"));
    assert!(status == 400 && !body.is_empty(), "{status} {body}");
}

#[test]
fn ch_c19_c26_c27_origins_and_subprotocols() {
    let server = serve();
    let target = "/socket/websocket?vsn=2.0.0";
    check(&server, target, "origin: http://h\r\n", 101, "");
    check(&server, target, "origin: http://evil.example\r\n", 403, "");
    check(&server, "/socket/websocket?vsn=2.0.0&why=no", "origin: http://evil.example\r\n", 403, "");
    let any = serve_with(1, MountOptions::default().with_check_origin(CheckOrigin::Any));
    check(&any, target, "origin: http://evil.example\r\n", 101, "");
    let answer = http(server.running.local_addr(), &upgrade(target, "sec-websocket-protocol: phoenix, x\r\n"));
    assert!(!answer.to_lowercase().contains("sec-websocket-protocol"), "{answer}");
}

#[test]
fn ch_c32_compression_if_the_mount_and_the_client_want_it() {
    let target = "/socket/websocket?vsn=2.0.0";
    let server = serve();
    let (_, head) = Client::connect_deflating(server.running.local_addr(), target);
    assert!(!head.to_lowercase().contains("sec-websocket-extensions"), "off by default: {head}");
    let server = serve_with(1, MountOptions::default().with_compress(DeflateConfig::DEFAULT));
    let (mut compressed, head) = Client::connect_deflating(server.running.local_addr(), target);
    assert!(head.contains("permessage-deflate; server_no_context_takeover; client_no_context_takeover"), "{head}");
    let mut plain = server.connect();
    compressed.join("1", "room:a");
    plain.join("1", "room:a");
    let said = "wing beat ".repeat(1000);
    compressed.send(&format!(r#"["1","2","room:a","shout",{{"said":"{said}"}}]"#));
    let broadcast = format!(r#"[null,null,"room:a","shout",{{"said":"{said}"}}]"#);
    assert_eq!(plain.recv(), broadcast);
    assert_eq!(compressed.recv(), broadcast);
    assert_eq!(compressed.inflated(), 1);
}

#[test]
fn ch_c33_frames_over_the_limit() {
    let server = serve_with(1, MountOptions::default().with_max_frame_bytes(100));
    let mut client = server.connect();
    client.send(&format!(r#"[null,"1","phoenix","heartbeat","{}"]"#, "x".repeat(100)));
    assert_eq!(client.recv(), "close 1009");
}

#[test]
fn ch_c34_idle_clients_are_closed() {
    let server = serve_with(1, MountOptions::default().with_idle_timeout(Some(Duration::from_secs(1))));
    let mut client = server.connect();
    client.join("1", "room:a");
    assert_eq!(client.recv(), "close 1002");
    assert_eq!(server.logged(), "room:a closed");
}

#[test]
fn a_slow_connect_is_decided_by_a_task() {
    let server = serve();
    std::thread::scope(|scope| {
        let address = server.running.local_addr();
        let slow = scope.spawn(move || Client::connect(address, "/socket/websocket?vsn=2.0.0&slow=1"));
        server.connect().join("1", "room:a");
        server.open_gate(1);
        slow.join().expect("connected").join("1", "room:a");
    });
}

#[test]
fn the_browser_client_is_served() {
    let server = serve();
    let (status, body) = ask(&server, "GET /wingbeat.js HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(status, 200);
    assert!(body.contains("export { Socket }"), "{body}");
}

#[test]
fn ch_k13_a_short_secret_does_not_start() {
    let config = wingbeat_channels::Config::new().with_secret_key_base("short");
    let error = wingbeat_channels::Endpoint::new(config).start(wingbeat_channels::not_found()).unwrap_err();
    assert!(error.to_string().contains("at least 20"), "{error}");
}
