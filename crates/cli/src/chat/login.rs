//! The door: a name for a token, and whether a token still holds. A browser does not say why an upgrade failed; the
//! page asks here.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use wingbeat::EndpointHandle;

use super::character::Character;

/// Bytes of a request; the longest that we give a meaning is a token.
const MAX_BODY_BYTES: usize = 2048;

#[derive(Deserialize)]
struct Login {
    name: String,
}

#[derive(Deserialize)]
struct Session {
    token: String,
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    token: String,
    character: &'a Character,
}

/// `POST /login` and `POST /session`. Both take JSON only, which a foreign page cannot send unasked.
pub(crate) fn router(endpoint: EndpointHandle) -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/session", post(session))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(endpoint)
}

/// `{"name"}` → 200 `{"token", "character": {"id", "name"}}`, or 422 with a reason.
async fn login(State(endpoint): State<EndpointHandle>, body: Result<Json<Login>, JsonRejection>) -> Response {
    let name = match body {
        Ok(Json(Login { name })) => name,
        Err(rejection) => return refuse(rejection.status(), rejection.body_text()),
    };
    let character = match Character::named(&name) {
        Ok(character) => character,
        Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    };
    match character.sign(endpoint.tokens()) {
        Ok(token) => Json(LoggedIn { token, character: &character }).into_response(),
        Err(error) => {
            tracing::error!(%error, "a token cannot be signed");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "no token could be made".into())
        }
    }
}

/// `{"token"}` → 200 `{"character": {"id", "name"}}`, or 401 with a reason.
async fn session(State(endpoint): State<EndpointHandle>, body: Result<Json<Session>, JsonRejection>) -> Response {
    let token = match body {
        Ok(Json(Session { token })) => token,
        Err(rejection) => return refuse(rejection.status(), rejection.body_text()),
    };
    match Character::verify(endpoint.tokens(), &token) {
        Ok(character) => Json(serde_json::json!({ "character": character })).into_response(),
        Err(error) => refuse(StatusCode::UNAUTHORIZED, format!("the {error}")),
    }
}

fn refuse(status: StatusCode, reason: String) -> Response {
    (status, Json(serde_json::json!({ "reason": reason }))).into_response()
}
