//! A worker that looks for work before it sleeps misses nothing of what a sleeping one is woken by.

mod support;

use std::time::Duration;

use support::{PATIENCE, TestServer, config, echo, options, probe};
use wingbeat_transport::{Cause, EncodedMessage, Message, Server, WebSocket};
use wingbeat_websocket::CloseCode;

/// Enough for a worker to find out that looking pays.
const ROUNDS: u32 = 300;

async fn serve(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        socket.send(message.as_message()).await.expect("open");
    }
}

#[test]
fn a_worker_that_spins_hears_sockets_tasks_handles_and_the_clock() {
    let (raw, events) = probe(echo);
    let (silent, silence) = probe(echo);
    let idle = options().with_idle_timeout(Some(Duration::from_millis(200)));
    let server = Server::new(config().with_spin(Duration::from_micros(50)))
        .handler("/", options(), raw)
        .handler("/silent", idle, silent)
        .socket("/loop", options(), serve);
    let server = TestServer::start(server);
    let (mut peer, mut looped, mut idle) = (server.open("/"), server.open("/loop"), server.open("/silent"));
    let handle = events.opened();
    for round in 0..ROUNDS {
        let text = round.to_string();
        for peer in [&mut peer, &mut looped] {
            peer.send_text(&text);
            assert_eq!(peer.recv_text(), text);
        }
        handle.send(EncodedMessage::new(Message::Text("told"))).expect("a worker");
        assert_eq!(peer.recv_text(), "told");
    }
    idle.expect_close(1001);
    assert_eq!(silence.until_closed().cause, Cause::Idle);
    let took = server.shutdown(CloseCode::SERVICE_RESTART, Duration::from_millis(200));
    assert!(took < PATIENCE, "{took:?}");
}
