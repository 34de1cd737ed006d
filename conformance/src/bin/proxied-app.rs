//! What stands behind a proxy in our tests: it tells each client where it came from, echoes, and leaves with 1012.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use wingbeat_transport::{
    Config, Context, Handler, Listener, Message, Network, Request, Server, SocketOptions, TlsConfig, not_found,
};
use wingbeat_websocket::CloseCode;

/// Echoes behind proxies on this machine.
#[derive(Parser)]
struct Arguments {
    /// Where to make a Unix socket.
    #[arg(long)]
    unix: PathBuf,
}

/// Says first who the client is, and then what it says.
struct Mirror {
    seen: String,
}

impl Mirror {
    fn new(request: &Request) -> Self {
        let address = request.peer_addr.map(|address| address.to_string());
        let (scheme, host) = (request.scheme.as_str(), request.header("host"));
        Self { seen: json!({ "address": address, "scheme": scheme, "host": host }).to_string() }
    }
}

impl Handler for Mirror {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = cx.send(Message::Text(&self.seen));
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let _ = cx.send(message);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { unix } = Arguments::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let proxy: Network = "127.0.0.1".parse()?;
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let tls = TlsConfig::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes())?;
    let config = Config::default()
        .with_listener(Listener::tcp(any_port).with_trusted_proxies([proxy]))
        .with_listener(Listener::tcp(any_port).with_proxy_protocol([proxy]))
        .with_listener(Listener::tcp(any_port).with_proxy_protocol([proxy]).with_tls(tls))
        .with_listener(Listener::unix(unix).with_mode(0o666).with_trusted_proxies([]));
    let server = Server::new(config).handler("/", SocketOptions::default(), |request| Ok(Mirror::new(request)));
    let running = server.start(not_found())?;
    let [forwarded, proxied, encrypted] = running.local_addrs() else { unreachable!("three addresses") };
    println!("{}", json!({ "forwarded": forwarded, "proxied": proxied, "encrypted": encrypted }));
    terminate.recv().await;
    running.shutdown(CloseCode::SERVICE_RESTART, "restart", Duration::from_secs(5)).await;
    Ok(())
}
