//! A handler made of functions, all of whose callbacks the test can read in order.

use std::sync::mpsc::{Receiver, Sender, channel};

use wingbeat_transport::{Closed, Context, Handler, Info, Message, Server, SocketOptions};

use super::{PATIENCE, TestServer, config};

/// What a handler does in each callback; by default nothing.
#[derive(Clone, Copy)]
pub(crate) struct Do {
    pub(crate) open: fn(&mut Context<'_>),
    pub(crate) message: fn(Message<'_>, &mut Context<'_>),
    pub(crate) ping: fn(&[u8], &mut Context<'_>),
    pub(crate) pong: fn(&[u8], &mut Context<'_>),
    pub(crate) info: fn(Info, &mut Context<'_>),
    pub(crate) close: fn(&Closed, &mut Context<'_>),
}

impl Default for Do {
    fn default() -> Self {
        Self { open: |_| {}, message: |_, _| {}, ping: |_, _| {}, pong: |_, _| {}, info: |_, _| {}, close: |_, _| {} }
    }
}

/// Tells what is called, then does it.
pub(crate) struct Logged {
    log: Sender<String>,
    acts: Do,
}

/// The test's end of it.
pub(crate) struct Log(Receiver<String>);

impl Log {
    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).expect("a callback")
    }

    #[track_caller]
    pub(crate) fn expect(&self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// Whatever has been told and not been asked for.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.0.try_iter().collect()
    }
}

/// Makes handlers that share one log.
pub(crate) fn logged(acts: Do) -> (impl Fn() -> Logged + Clone + Send + Sync, Log) {
    let (log, lines) = channel();
    (move || Logged { log: log.clone(), acts }, Log(lines))
}

/// A server with such a handler at `/`.
pub(crate) fn log_server(options: SocketOptions, acts: Do) -> (TestServer, Log) {
    let (make, log) = logged(acts);
    (TestServer::start(Server::new(config()).handler("/", options, move |_| Ok(make()))), log)
}

impl Logged {
    fn tell(&self, line: impl Into<String>) {
        let _ = self.log.send(line.into());
    }
}

impl Handler for Logged {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        self.tell("open");
        (self.acts.open)(cx);
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        match message {
            Message::Text(text) => self.tell(format!("text {text}")),
            Message::Binary(bytes) => self.tell(format!("binary {}", bytes.len())),
        }
        (self.acts.message)(message, cx);
    }

    fn handle_ping(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        self.tell(format!("ping {}", payload.escape_ascii()));
        (self.acts.ping)(payload, cx);
    }

    fn handle_pong(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        self.tell(format!("pong {}", payload.escape_ascii()));
        (self.acts.pong)(payload, cx);
    }

    fn handle_info(&mut self, info: Info, cx: &mut Context<'_>) {
        self.tell("info");
        (self.acts.info)(info, cx);
    }

    fn handle_close(&mut self, closed: Closed, cx: &mut Context<'_>) {
        self.tell(format!("close {:?} {} {:?}", closed.cause, closed.code.value(), closed.reason));
        (self.acts.close)(&closed, cx);
    }
}
