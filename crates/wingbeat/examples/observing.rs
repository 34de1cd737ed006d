//! An echo that shows every frame of every connection on the standard output, and its figures once a minute.
//!
//!     RUST_LOG=wingbeat_transport=debug cargo run -p wingbeat --example observing
//!
//! Then connect to ws://127.0.0.1:4000/echo and say something.

use std::sync::Arc;
use std::time::Duration;

use wingbeat::transport::{
    Closed, Config, ConnectionId, Context, Exchange, Frame, Handler, Message, Observer, Redaction, Server,
    SocketOptions, not_found,
};

struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let _ = cx.send(message);
    }
}

/// Called on the workers' threads: a real one copies what it wants to keep into a bounded queue, and is done.
struct Printer;

impl Observer for Printer {
    fn handle_open(&self, exchange: &Exchange<'_>) {
        if let (Some(connection), Some(request)) = (exchange.connection, exchange.request) {
            println!("{connection} opened {} from {:?}", request.target, request.peer_addr);
        }
    }

    fn handle_frame(&self, connection: ConnectionId, frame: &Frame<'_>) {
        let Frame { direction, fin, opcode, payload_bytes, .. } = frame;
        println!("{connection} {direction:?} opcode {opcode:x} fin {fin}, {payload_bytes} bytes");
    }

    fn handle_close(&self, connection: ConnectionId, closed: &Closed) {
        println!("{connection} closed {}: {:?}", closed.code.value(), closed.cause);
    }
}

fn main() -> Result<(), wingbeat::transport::Error> {
    let redaction = Redaction::default().with_secret("invitation").with_subprotocol("chat.v2");
    let server = Server::new(Config::default().with_redaction(redaction)).with_observer(Arc::new(Printer));
    let running = server.handler("/echo", SocketOptions::default(), |_| Ok(Echo)).start(not_found())?;
    println!("listening on {}", running.local_addr());
    loop {
        std::thread::sleep(Duration::from_secs(60));
        println!("{:#?}", running.stats());
    }
}
