//! Rooms in which characters talk, beside an axum app. Guests may connect, but not join.
//!
//!     cargo run -p wingbeat --example chat
//!
//! and in a browser's console: `const { Socket } = await import("/wingbeat.js")`.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use serde::Deserialize;
use wingbeat::prelude::*;

/// What all characters share: how long a message may be.
struct App {
    max_message_chars: usize,
}

/// Who is connecting.
struct CharacterSocket {
    character_id: Option<u64>,
}

impl Socket for CharacterSocket {
    type State = App;

    fn channels(routes: &mut Routes<Self>) {
        routes.channel::<ChatChannel>("chat:*");
    }

    async fn connect(params: &Params, cx: &ConnectInfo<App>) -> Result<Self, Refusal> {
        let character_id = match params.get("token") {
            Some(token) => Some(cx.tokens().verify("character socket", token)?),
            None => None, // a guest
        };
        Ok(Self { character_id })
    }

    fn id(&self) -> Option<String> {
        self.character_id.map(|id| format!("characters:{id}"))
    }
}

/// One character's stay in one chat room.
struct ChatChannel {
    character_id: u64,
}

#[derive(Deserialize)]
#[serde(tag = "event", content = "payload", rename_all = "snake_case")]
enum Said {
    Broadcast { message: String },
}

impl Channel for ChatChannel {
    type Socket = CharacterSocket;
    type In = Said;

    async fn join(_: &Topic, _: Payload, cx: &mut Context<Self>) -> Result<Joined<Self>, Refusal> {
        let character_id = cx.socket().character_id.ok_or(Refusal::reason("character required"))?;
        Ok(Self { character_id }.into())
    }

    async fn handle_in(&mut self, Said::Broadcast { message }: Said, cx: &mut Context<Self>) -> Outcome {
        if message.chars().count() > cx.state().max_message_chars {
            return Outcome::error(json!({ "reason": "message too long" }));
        }
        cx.broadcast("broadcast", json!({ "message": message, "from": self.character_id }));
        Outcome::NoReply
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let wingbeat = Endpoint::new(Config::from_env()?)
        .with_state(App { max_message_chars: 500 })
        .socket::<CharacterSocket>("/socket");
    let app = axum::Router::new()
        .route("/", get(async || "a chat: connect to /socket"))
        .route("/token/{id}", post(token))
        .route("/kick/{id}", post(kick))
        .with_state(wingbeat.handle());
    wingbeat.serve(app).await
}

/// Whoever asks may be anybody: this is an example.
async fn token(State(endpoint): State<EndpointHandle>, Path(id): Path<u64>) -> String {
    endpoint.tokens().sign("character socket", &id).map(|token| token.to_string()).unwrap_or_default()
}

async fn kick(State(endpoint): State<EndpointHandle>, Path(id): Path<u64>) {
    endpoint.disconnect(&format!("characters:{id}"));
}
