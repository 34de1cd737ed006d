//! What speaks HTTP/2 in our tests, in the clear and under TLS: a page, and an echo that says first which HTTP it was
//! asked over.

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use wingbeat_transport::{
    Config, Context, DeflateConfig, Handler, Listener, Message, Request, Server, SocketOptions, TlsConfig,
};
use wingbeat_websocket::Limits;

struct Echo {
    version: String,
}

impl Echo {
    fn new(request: &Request) -> Self {
        Self { version: format!("{:?} {}", request.head.version, request.scheme) }
    }
}

impl Handler for Echo {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = cx.send(Message::Text(&self.version));
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let _ = cx.send(message);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let tls = TlsConfig::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes())?;
    let config = Config::default()
        .with_listener(Listener::tcp(any_port).with_http2(true))
        .with_listener(Listener::tcp(any_port).with_http2(true).with_tls(tls));
    let limits = Limits::DEFAULT.with_max_frame_bytes(4 << 20);
    let options = SocketOptions::default().with_limits(limits).with_deflate(DeflateConfig::default());
    let server = Server::new(config).handler("/echo", options, |request| Ok(Echo::new(request)));
    let mut running = server.start(Router::new().route("/", get(|| async { Html("<title>a page</title>") })))?;
    let [clear, encrypted] = running.local_addrs() else { unreachable!("two addresses") };
    println!("{}", json!({ "clear": clear, "encrypted": encrypted }));
    running.wait().await;
    Ok(())
}
