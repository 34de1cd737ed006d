//! A chat without channels: `cargo run --example rooms`, then clients at `ws://127.0.0.1:4000/rooms/lobby?name=ann`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;

use wingbeat::transport::{
    Closed, Config, ConnectionId, Context, EncodedMessage, Error, Handler, Message, Running, Server, SocketOptions,
    StatusCode, not_found, refuse,
};

/// Who is in which room, of one worker's connections: only its thread ever sees it, so there is no lock.
#[derive(Default)]
struct Rooms(RefCell<HashMap<String, Vec<ConnectionId>>>);

/// One client in one room.
struct Member {
    room: String,
    name: String,
}

impl Member {
    /// Tells the whole room. The message is framed once; each worker sends it to its own members.
    fn tell(&self, text: &str, cx: &mut Context<'_>) {
        let (room, message) = (self.room.clone(), EncodedMessage::text(&format!("{}{text}", self.name)));
        let workers = cx.turn().workers().clone();
        // The only error is that a worker has ended or drowns in commands.
        let _ = workers.run_everywhere(move |turn| {
            let rooms = turn.local::<Rooms>();
            if let Some(members) = rooms.0.borrow().get(&room) {
                turn.send_many(members.iter().copied(), &message);
            }
        });
    }
}

impl Handler for Member {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let id = cx.id();
        cx.turn().local::<Rooms>().0.borrow_mut().entry(self.room.clone()).or_default().push(id);
        self.tell(" has come", cx);
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        if let Message::Text(text) = message {
            self.tell(&format!(": {text}"), cx);
        }
    }

    fn handle_close(&mut self, _: Closed, cx: &mut Context<'_>) {
        let id = cx.id();
        let rooms = cx.turn().local::<Rooms>();
        let mut rooms = rooms.0.borrow_mut();
        if let Some(members) = rooms.get_mut(&self.room) {
            members.retain(|member| *member != id);
            if members.is_empty() {
                rooms.remove(&self.room);
            }
        }
        drop(rooms);
        self.tell(" has gone", cx);
    }
}

/// Starts the server and returns.
pub(crate) fn start(listen: SocketAddr) -> Result<Running, Error> {
    Server::new(Config::default().with_listen(listen))
        .handler("/rooms/:room", SocketOptions::default(), |request| {
            let name = request.query().and_then(|query| query.strip_prefix("name=")).unwrap_or_default();
            if name.is_empty() {
                return Err(refuse(StatusCode::BAD_REQUEST, "who are you? say ?name=.."));
            }
            let room = request.path_param("room").unwrap_or_default();
            Ok(Member { room: room.to_owned(), name: name.to_owned() })
        })
        .start(not_found())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut running = start(SocketAddr::from(([127, 0, 0, 1], 4000)))?;
    println!("ws://{}/rooms/lobby?name=ann", running.local_addr());
    running.wait().await;
    Ok(())
}
