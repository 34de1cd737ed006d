//! Plain HTTP: what an operator asks for.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use wingbeat_channels::EndpointHandle;

use super::sockets::SALT;

pub(super) fn routes(endpoint: EndpointHandle) -> Router {
    Router::new()
        .route("/health", get(async || "ok"))
        .route("/admin/disconnect", post(disconnect))
        .route("/admin/broadcast", post(broadcast))
        .route("/admin/token", post(token))
        .fallback(async || (StatusCode::NOT_FOUND, "not found"))
        .with_state(endpoint)
}

#[derive(Deserialize)]
struct Whom {
    id: String,
}

async fn disconnect(State(endpoint): State<EndpointHandle>, Query(Whom { id }): Query<Whom>) -> &'static str {
    endpoint.disconnect(&id);
    "sent"
}

#[derive(Deserialize)]
struct What {
    topic: String,
    event: String,
}

async fn broadcast(State(endpoint): State<EndpointHandle>, Query(What { topic, event }): Query<What>) -> Answer {
    match endpoint.broadcast(topic.as_str(), &event, json!({ "from": "server" })) {
        Ok(()) => (StatusCode::OK, "sent".to_owned()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

#[derive(Deserialize)]
struct For {
    id: u64,
}

async fn token(State(endpoint): State<EndpointHandle>, Query(For { id }): Query<For>) -> Answer {
    match endpoint.tokens().sign(SALT, &id) {
        Ok(token) => (StatusCode::OK, token),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

type Answer = (StatusCode, String);
