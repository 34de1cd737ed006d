//! WebSockets and Phoenix channels in Rust: from the bits of RFC 6455 up to channels that people chat through.
//!
//! A socket says who connects, a channel what happens in a topic, an endpoint serves them:
//!
//! ```no_run
//! use serde::Deserialize;
//! use wingbeat::prelude::*;
//!
//! /// Who is connecting.
//! struct CharacterSocket {
//!     character_id: Option<u64>,
//! }
//!
//! impl Socket for CharacterSocket {
//!     type State = ();
//!
//!     fn channels(routes: &mut Routes<Self>) {
//!         routes.channel::<ChatChannel>("chat:*");
//!     }
//!
//!     async fn connect(params: &Params, cx: &ConnectInfo<()>) -> Result<Self, Refusal> {
//!         let character_id = match params.get("token") {
//!             Some(token) => Some(cx.tokens().verify("character socket", token)?),
//!             None => None, // a guest
//!         };
//!         Ok(Self { character_id })
//!     }
//!
//!     fn id(&self) -> Option<String> {
//!         self.character_id.map(|id| format!("characters:{id}"))
//!     }
//! }
//!
//! /// One character's stay in one chat room.
//! struct ChatChannel {
//!     character_id: u64,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(tag = "event", content = "payload", rename_all = "snake_case")]
//! enum Said {
//!     Broadcast { message: String },
//! }
//!
//! impl Channel for ChatChannel {
//!     type Socket = CharacterSocket;
//!     type In = Said;
//!
//!     async fn join(_: &Topic, _: Payload, cx: &mut Context<Self>) -> Result<Joined<Self>, Refusal> {
//!         let character_id = cx.socket().character_id.ok_or(Refusal::reason("character required"))?;
//!         Ok(Self { character_id }.into())
//!     }
//!
//!     async fn handle_in(&mut self, Said::Broadcast { message }: Said, cx: &mut Context<Self>) -> Outcome {
//!         cx.broadcast("broadcast", json!({ "message": message, "from": self.character_id }));
//!         Outcome::NoReply
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     let wingbeat = Endpoint::new(Config::from_env()?).socket::<CharacterSocket>("/socket");
//!     let _handle = wingbeat.handle(); // broadcast, disconnect, list from HTTP routes and jobs
//!     wingbeat.serve(not_found()).await // or an axum router
//! }
//! ```
//!
//! Clients connect with npm `phoenix`, or with the module served at `/wingbeat.js`.
//!
//! One level down, [`transport`] has raw handlers and sockets; below that, [`websocket`] and [`phoenix`] are the two
//! protocols as pure functions.

/// The code of the guide compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/handlers.md")]
struct HandlersGuide;

pub use wingbeat_channels as channels;
pub use wingbeat_channels::{
    Channel, ChannelHandle, Config, ConnectInfo, Context, Endpoint, EndpointHandle, Error, Info, Joined, MountOptions,
    Outcome, Param, Params, Payload, RawEvent, Reason, Refusal, Reply, Routes, Running, Socket, SocketRef, Topic,
    token,
};
pub use wingbeat_phoenix as phoenix;
pub use wingbeat_transport as transport;
pub use wingbeat_websocket as websocket;

/// Everything a server of channels names.
pub mod prelude {
    pub use serde_json::json;
    pub use wingbeat_channels::{
        Channel, ChannelHandle, CheckOrigin, Config, ConnectInfo, Context, Endpoint, EndpointHandle, Error, Info,
        Joined, MountOptions, Outcome, Params, Payload, RawEvent, Reason, Refusal, Reply, Routes, Socket, SocketRef,
        Topic, not_found,
    };
}

/// Compiles the code of the guide.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/backpressure.md")]
    struct Backpressure;
}
