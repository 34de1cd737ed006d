//! Sockets in an axum server, and over HTTP/2.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use support::client::{http, upgrade};
use support::room::RoomSocket;
use support::{App, Client, SECRET, serve};
use tokio::sync::Semaphore;
use wingbeat_channels::{Config, Endpoint, EndpointHandle, Running};
use wingbeat_websocket::{CloseCode, Connection, Limits, Received, Role};

/// The endpoint's routes, in an axum server made by `app`.
fn axum_server(app: impl FnOnce(Router) -> Router) -> (SocketAddr, EndpointHandle, Running) {
    let app_state = App { gate: Arc::new(Semaphore::new(0)), log: channel().0 };
    let config = Config::new().with_threads(2).with_secret_key_base(SECRET);
    let endpoint = Endpoint::new(config).with_state(app_state);
    let endpoint = endpoint.socket::<RoomSocket>("/socket").socket::<RoomSocket>("/ws/:uid");
    let handle = endpoint.handle();
    let (sockets, running) = endpoint.router().expect("workers");
    let app = app(sockets);
    let (told, addr) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            told.send(listener.local_addr().expect("an address")).expect("the test waits");
            axum::serve(listener, app).await.expect("it serves");
        });
    });
    (addr.recv().expect("it listens"), handle, running)
}

#[test]
fn channels_merged_into_an_axum_app() {
    let (addr, handle, running) = axum_server(|sockets| sockets.route("/", get(|| async { "a page" })));
    let mut client = Client::connect(addr, "/socket/websocket?vsn=2.0.0");
    client.join("1", "room:lobby");
    let mut other = Client::connect(addr, "/socket/websocket?vsn=2.0.0");
    other.join("1", "room:lobby");
    // The two are on different workers.
    handle.broadcast("room:lobby", "news", serde_json::json!({"from": "outside"})).expect("an object");
    for client in [&mut client, &mut other] {
        client.expect(&[r#"[null,null,"room:lobby","news",{"from":"outside"}]"#]);
    }
    assert!(http(addr, "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").ends_with("a page"));
    assert!(
        http(addr, "GET /wingbeat.js HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").starts_with("HTTP/1.1 200")
    );
    let refused = upgrade("/socket/websocket?vsn=9", "connection: close\r\n");
    assert!(http(addr, &refused).starts_with("HTTP/1.1 403"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(running.shutdown(CloseCode::SERVICE_RESTART, "", Duration::ZERO));
}

#[test]
fn channels_nested_in_an_axum_app() {
    let (addr, _handle, _running) = axum_server(|sockets| Router::new().nest("/realtime", sockets));
    let mut client = Client::connect(addr, "/realtime/ws/7/websocket?vsn=2.0.0");
    client.send(r#"["1","1","room:whoami","phx_join",{}]"#);
    client.expect(&[
        r#"["1","1","room:whoami","phx_reply",{"response":{"id":"users:7","params":{"uid":"7","vsn":"2.0.0"}},"status":"ok"}]"#,
    ]);
    assert!(http(addr, &upgrade("/ws/7/websocket", "connection: close\r\n")).starts_with("HTTP/1.1 404"));
}

#[test]
fn ws_x6_channels_over_http2() {
    let server = serve();
    let addr = server.running.local_addr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let talk = async {
        let stream = tokio::net::TcpStream::connect(addr).await.expect("someone listens");
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(async move { drop(connection.await) });
        while !client.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let ask = |target: &str| {
            let request = http::Request::builder().method("CONNECT").uri(format!("http://{addr}{target}"));
            let request = request.extension(h2::ext::Protocol::from_static("websocket"));
            request.header("sec-websocket-version", "13").body(()).expect("a good request")
        };
        let mut client = client.ready().await.expect("room for a stream");
        let (refused, _) = client.send_request(ask("/socket/websocket?vsn=9"), false).expect("a good request");
        assert_eq!(refused.await.expect("an answer").status(), 403);
        let mut client = client.ready().await.expect("room for a stream");
        let (response, mut output) = client.send_request(ask("/socket/websocket?vsn=2.0.0"), false).expect("good");
        let response = response.await.expect("an answer");
        assert_eq!(response.status(), 200);
        let mut protocol = Connection::new(Role::Client { mask_key: || [1, 2, 3, 4] }, Limits::DEFAULT);
        let mut frame = Vec::new();
        protocol.send_text(r#"["1","1","room:lobby","phx_join",{}]"#, &mut frame).expect("open");
        output.send_data(Bytes::from(frame), false).expect("open");
        let (mut body, mut input) = (response.into_body(), Vec::new());
        loop {
            input.extend_from_slice(&body.data().await.expect("more").expect("no reset"));
            let (used, received) = protocol.handle_input(&mut input, &mut Vec::new()).expect("a good server");
            if let Some(Received::Text(text)) = received {
                return text.into_owned();
            }
            input.drain(..used);
        }
    };
    let reply = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), talk).await });
    let ok = r#"["1","1","room:lobby","phx_reply",{"response":{},"status":"ok"}]"#;
    assert_eq!(reply.expect("it does not hang"), ok);
}
