//! `--metrics`: the figures for Prometheus, at an address of their own and never at the public one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

/// Where exporters listen by custom.
pub(crate) const DEFAULT: &str = "127.0.0.1:9464";

/// An address, or a port of this machine's own.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, String> {
    let port = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    text.parse().or_else(|_| text.parse().map(port)).map_err(|_| {
        format!("--metrics is {text:?}, expected an address and a port such as {DEFAULT}, or a port of this machine")
    })
}

/// Has figures recorded from now on.
pub(crate) fn record() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().install_recorder()
}

/// Serves the figures at `/metrics` for as long as the process lives.
pub(crate) async fn serve(address: SocketAddr, figures: PrometheusHandle) -> Result<(), Box<dyn std::error::Error>> {
    let fail = |error| format!("--metrics: cannot listen on {address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    println!("metrics at http://{}/metrics", listener.local_addr()?);
    tokio::spawn(async {
        if let Err(error) = axum::serve(listener, router(figures)).await {
            tracing::error!(%error, "metrics are served no longer");
        }
    });
    Ok(())
}

fn router(figures: PrometheusHandle) -> Router {
    let render =
        move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], figures.render()) };
    Router::new().route("/metrics", get(render))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1:9464", Ok("127.0.0.1:9464")),
            ("9464", Ok("127.0.0.1:9464")),
            ("0.0.0.0:1", Ok("0.0.0.0:1")),
            ("[::1]:9464", Ok("[::1]:9464")),
            ("localhost", Err(())),
            ("70000", Err(())),
            ("", Err(())),
        ] {
            let parsed = parse(text).map(|address| address.to_string());
            assert_eq!(parsed.as_deref().map_err(|_| ()), expected, "{text}");
        }
    }
}
