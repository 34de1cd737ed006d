//! The app that the transcripts were recorded from, built on Wingbeat.

mod admin;
mod echo;
mod room;
mod sockets;

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{Response, StatusCode};
use wingbeat_channels::{CheckOrigin, Config, Endpoint, Error, MountOptions, Refusal, Running};

use sockets::{AuthSocket, PlainSocket, RejectSocket, UserSocket};

/// What tokens are signed with, here and in the app that was recorded.
const SECRET_KEY_BASE: &str = "anchor-secret-key-base-0123456789abcdefghijklmnopqrstuvwxyzABCDEF";

/// Listens and serves all mounts.
///
/// # Errors
/// The address cannot be had.
pub fn start(listen: SocketAddr, threads: Option<usize>) -> Result<Running, Error> {
    let mut config = Config::new().with_listen(listen).with_secret_key_base(SECRET_KEY_BASE);
    if let Some(threads) = threads {
        config = config.with_threads(threads);
    }
    let any = || MountOptions::new().with_check_origin(CheckOrigin::Any);
    let origin = |check_origin| MountOptions::new().with_check_origin(check_origin);
    let listed = vec!["http://good.example".parse().expect("it is an origin")];
    let endpoint = Endpoint::new(config)
        .socket_with::<UserSocket>("/socket", any())
        .socket_with::<PlainSocket>("/origin_socket", origin(CheckOrigin::List(listed)))
        .socket_with::<PlainSocket>("/origin_true_socket", origin(CheckOrigin::Host("127.0.0.1".into())))
        .socket_with::<PlainSocket>("/origin_conn_socket", origin(CheckOrigin::SameOrigin))
        .socket_with::<UserSocket>("/short_socket", any().with_idle_timeout(Some(Duration::from_millis(1500))))
        .socket_with::<AuthSocket>("/auth_socket", MountOptions::new())
        .socket_with::<RejectSocket>("/reject_socket", MountOptions::new().with_error_handler(explain))
        .with_server(echo::mount);
    let routes = admin::routes(endpoint.handle());
    endpoint.start(routes)
}

/// Tells who was refused why.
fn explain(refusal: &Refusal) -> Response<bytes::Bytes> {
    let (status, body) = match refusal.as_reason().as_deref() {
        Some("rate_limit") => (StatusCode::TOO_MANY_REQUESTS, "Too many requests".to_owned()),
        Some(why) => (StatusCode::UNAUTHORIZED, format!("denied: {why}")),
        None => (StatusCode::FORBIDDEN, String::new()),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}
