//! A server with rooms, and a client that speaks bytes over a loopback socket. No test sleeps: what must wait stands
//! at a gate, and silence is proved by the heartbeat that is answered next.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod client;
pub mod room;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

pub use client::Client;
use room::RoomSocket;
use tokio::sync::Semaphore;
use wingbeat_channels::{Config, Endpoint, EndpointHandle, MountOptions, Running, not_found};

pub const SECRET: &str = "a secret of more than twenty bytes";

/// What the application knows: a gate at which callbacks can be held, and a log of what happened to channels.
pub struct App {
    pub gate: std::sync::Arc<Semaphore>,
    pub log: Sender<String>,
}

pub struct TestServer {
    pub running: Running,
    pub handle: EndpointHandle,
    gate: std::sync::Arc<Semaphore>,
    log: Receiver<String>,
}

pub fn serve() -> TestServer {
    serve_with(2, MountOptions::default())
}

/// A server with the room socket at `/socket` and at `/ws/:uid`.
pub fn serve_with(threads: usize, options: MountOptions) -> TestServer {
    let (log, logged) = channel();
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let config =
        Config::new().with_listen(([127, 0, 0, 1], 0).into()).with_threads(threads).with_secret_key_base(SECRET);
    let endpoint = Endpoint::new(config)
        .with_state(App { gate: gate.clone(), log })
        .socket_with::<RoomSocket>("/socket", options.clone())
        .socket_with::<RoomSocket>("/ws/:uid", options);
    let handle = endpoint.handle();
    let running = endpoint.start(not_found()).expect("a loopback port");
    TestServer { running, handle, gate, log: logged }
}

impl TestServer {
    pub fn connect(&self) -> Client {
        self.connect_to("/socket/websocket?vsn=2.0.0")
    }

    pub fn connect_to(&self, target: &str) -> Client {
        Client::connect(self.running.local_addr(), target)
    }

    /// Lets `count` callbacks through the gate.
    pub fn open_gate(&self, count: usize) {
        self.gate.add_permits(count);
    }

    /// The next thing logged by a channel.
    #[track_caller]
    pub fn logged(&self) -> String {
        self.log.recv_timeout(Duration::from_secs(10)).expect("something is logged in time")
    }

    /// Gives the server away, and what channels log until it is gone.
    pub fn into_log(self, stop: impl FnOnce(Running)) -> Receiver<String> {
        stop(self.running);
        self.log
    }
}
