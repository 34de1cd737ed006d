//! An axum application that gets WebSockets: channels at `/socket`, and a raw handler at `/echo`.
//!
//!     cargo run -p wingbeat --example axum
//!
//! axum accepts, routes and applies its layers; what opens a WebSocket is taken out of it and given to our workers.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use wingbeat::Running;
use wingbeat::prelude::*;
use wingbeat::transport::{self, CloseCode, Handler, Message, SocketOptions};

/// Anybody may connect and join any room.
struct GuestSocket;

impl Socket for GuestSocket {
    type State = ();

    fn channels(routes: &mut Routes<Self>) {
        routes.channel::<Room>("room:*");
    }

    async fn connect(_: &Params, _: &ConnectInfo<()>) -> Result<Self, Refusal> {
        Ok(Self)
    }
}

struct Room;

impl Channel for Room {
    type Socket = GuestSocket;
    type In = RawEvent;

    async fn join(_: &Topic, _: Payload, _: &mut Context<Self>) -> Result<Joined<Self>, Refusal> {
        Ok(Self.into())
    }

    async fn handle_in(&mut self, event: RawEvent, cx: &mut Context<Self>) -> Outcome {
        cx.broadcast(&event.event, event.payload);
        Outcome::NoReply
    }
}

/// One level down: no channels, only messages.
struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut transport::Context<'_>) {
        let _ = cx.send(message);
    }
}

/// Tells a room something, from an ordinary HTTP request.
async fn announce(State(wingbeat): State<EndpointHandle>, Path(room): Path<String>, message: String) {
    let _ = wingbeat.broadcast(format!("room:{room}"), "announcement", json!({ "message": message }));
}

/// The application, and what ends its WebSockets.
pub(crate) fn application() -> Result<(Router, Running), Error> {
    let endpoint = Endpoint::new(Config::from_env()?)
        .socket::<GuestSocket>("/socket")
        .with_server(|server| server.handler("/echo", SocketOptions::default(), |_| Ok(Echo)));
    let handle = endpoint.handle();
    let (sockets, running) = endpoint.router()?;
    let pages = Router::new().route("/", get(|| async { "hello" })).route("/rooms/{room}", post(announce));
    Ok((pages.merge(sockets).with_state(handle), running))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (application, running) = application()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
    // At Ctrl-C every WebSocket is closed, and none opens any more; clients come back after 1012. Only then axum ends:
    // over HTTP/2 it would wait for the WebSockets of its connections.
    let stopped = async {
        let _ = tokio::signal::ctrl_c().await;
        running.shutdown(CloseCode::SERVICE_RESTART, "", Duration::from_secs(10)).await;
    };
    axum::serve(listener, application).with_graceful_shutdown(stopped).await?;
    Ok(())
}
