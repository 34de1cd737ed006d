//! What comes goes back: `cargo run --example echo`, then any client at `ws://127.0.0.1:4000/echo` or `/loop`.

use std::net::SocketAddr;

use wingbeat::transport::{
    Config, Context, Error, Handler, Message, Running, Server, SocketOptions, WebSocket, not_found,
};

/// As a handler: called with each message, which it borrows.
struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        // The only error is that the peer is gone, or reads too slowly and is being closed: nothing is left to do.
        let _ = cx.send(message);
    }
}

/// As a loop: a task of its own, with owned messages. It waits where the peer does not read.
async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message.as_message()).await.is_err() {
            break;
        }
    }
}

/// Starts the server and returns.
pub(crate) fn start(listen: SocketAddr) -> Result<Running, Error> {
    let options = SocketOptions::default();
    Server::new(Config::default().with_listen(listen))
        .handler("/echo", options.clone(), |_| Ok(Echo))
        .socket("/loop", options, echo)
        .start(not_found())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut running = start(SocketAddr::from(([127, 0, 0, 1], 4000)))?;
    println!("ws://{}/echo and /loop", running.local_addr());
    running.wait().await;
    Ok(())
}
