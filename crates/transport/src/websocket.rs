//! A connection for those who prefer a loop: `while let Some(message) = socket.recv().await`.
//!
//! The same connection as beneath a [`Handler`], with a handler that hands messages over a bounded queue. While the
//! queue is full nothing is read, so a loop that is slow slows its peer and nobody else.

use tokio::sync::{mpsc, oneshot};
use wingbeat_websocket::{CloseCode, Fragment, MessageKind};

use crate::context::Context;
use crate::error::SendError;
use crate::handle::ConnectionHandle;
use crate::handler::{Closed, Handler, Info};
use crate::message::{EncodedMessage, Message};
use crate::output::streaming::MessageStream;
use crate::worker::inbox::Command;
use crate::worker::tasks::TaskSeat;

/// Messages that may wait for the loop.
const MAX_WAITING: usize = 16;

/// A complete message of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedMessage {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl OwnedMessage {
    /// Borrows it.
    #[must_use]
    pub fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

/// What a loop receives: by default only messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A complete message.
    Message(OwnedMessage),
    /// A part of a message, in place of messages; see
    /// [`SocketOptions::has_fragments`](crate::SocketOptions::has_fragments).
    Fragment(Fragment<'static>),
    /// A text that is not checked; see [`SocketOptions::checks_text`](crate::SocketOptions::checks_text).
    UncheckedText(Vec<u8>),
    /// A Ping, answered already; see
    /// [`SocketOptions::has_control_frames`](crate::SocketOptions::has_control_frames).
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
}

/// An open connection, to be received from and sent to. Dropping it closes with 1000, or 1011 if
/// the loop panics.
#[derive(Debug)]
pub struct WebSocket {
    handle: ConnectionHandle,
    messages: mpsc::Receiver<Incoming>,
    closed: oneshot::Receiver<Closed>,
    outcome: Option<Closed>,
    subprotocol: Option<Box<str>>,
}

impl WebSocket {
    /// The handler beneath a loop: `serve` is called when the connection is open and runs as a task. For
    /// [`Server::handler`](crate::Server::handler), where a loop needs something of its request.
    ///
    /// When the server shuts down the task may go on until the deadline of that, to put things in order.
    pub fn handler<F, Fut>(serve: F) -> impl Handler
    where
        F: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Accepted { serve: Some(serve), messages: None, closed: None }
    }

    /// The next message, `None` once the connection is closed. Cancel-safe: no message is lost with the future.
    pub async fn recv(&mut self) -> Option<OwnedMessage> {
        loop {
            if let Incoming::Message(message) = self.recv_any().await? {
                return Some(message);
            }
        }
    }

    /// As [`recv`](Self::recv), for whatever the options ask for beside messages. Cancel-safe.
    pub async fn recv_any(&mut self) -> Option<Incoming> {
        let incoming = self.messages.recv().await;
        if self.messages.is_empty() {
            self.ask_for_more();
        }
        incoming
    }

    /// Sends a message, and waits while the peer takes no more. Cancel-safe in so far as the stream stays whole: a
    /// message whose future is dropped is sent wholly, or, if the future was never polled, not at all.
    ///
    /// # Errors
    /// [`SendError::Closed`] when the connection is closed, [`SendError::Busy`] when the worker's inbox is full.
    pub async fn send(&self, message: Message<'_>) -> Result<(), SendError> {
        self.handle.send_and_wait(EncodedMessage::new(message)).await
    }

    /// Begins a message that is sent in fragments as they become available.
    #[must_use]
    pub fn stream(&self, kind: MessageKind) -> MessageStream {
        self.handle.stream(kind)
    }

    /// Sends a Ping; the Pong shows in [`recv_any`](Self::recv_any) if
    /// [`SocketOptions::has_control_frames`](crate::SocketOptions::has_control_frames) says so.
    ///
    /// # Errors
    /// As [`ConnectionHandle::ping`].
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.handle.ping(payload)
    }

    /// The subprotocol agreed on in the handshake, if there is one.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Begins the closing handshake; [`closed`](Self::closed) tells how it ended.
    pub fn close(&self, code: CloseCode, reason: &str) {
        let to = self.handle.id();
        self.post_surely(|| Command::Close { to, code, reason: reason.into() });
    }

    /// How the connection ended; waits until it has, and does not receive meanwhile. Cancel-safe.
    pub async fn closed(&mut self) -> &Closed {
        self.messages.close();
        if self.outcome.is_none() {
            // Reading may have paused for messages that nobody will take now, and the peer's Close is behind them.
            self.ask_for_more();
            let lost = || Closed { code: CloseCode::ABNORMAL, reason: String::new(), cause: crate::Cause::Lost };
            self.outcome = Some((&mut self.closed).await.unwrap_or_else(|_| lost()));
        }
        self.outcome.as_ref().expect("set above")
    }

    /// How many messages have come and wait to be received. At 16 nothing more is read from the peer.
    #[must_use]
    pub fn waiting_messages(&self) -> usize {
        self.messages.len()
    }

    /// The connection, for others to send to: another task may send through a clone while this one receives.
    #[must_use]
    pub fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    fn ask_for_more(&self) {
        let to = self.handle.id();
        self.post_surely(|| Command::Info { to, info: Box::new(HasRoom) });
    }

    /// However full the inbox is: lost, these would leave the connection standing still.
    fn post_surely(&self, command: impl Fn() -> Command) {
        if self.handle.inbox.post(command()) == Err(SendError::Busy) {
            let _ = self.handle.inbox.post_always(command());
        }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        let code = if std::thread::panicking() { CloseCode::INTERNAL_ERROR } else { CloseCode::NORMAL };
        self.close(code, "");
    }
}

/// The loop has taken all messages there were, or wants none any more.
struct HasRoom;

/// The handler beneath a [`WebSocket`].
struct Accepted<F> {
    serve: Option<F>,
    messages: Option<mpsc::Sender<Incoming>>,
    closed: Option<oneshot::Sender<Closed>>,
}

impl<F, Fut> Handler for Accepted<F>
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let Some(serve) = self.serve.take() else { return };
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        let (told, closed) = oneshot::channel();
        (self.messages, self.closed) = (Some(sender), Some(told));
        let subprotocol = cx.subprotocol().map(Box::from);
        let serving = serve(WebSocket { handle: cx.handle(), messages, closed, outcome: None, subprotocol });
        let seat = TaskSeat::take(cx.turn());
        tokio::spawn(async move {
            let _seat = seat;
            serving.await;
        });
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        self.hand_over(Incoming::Message(message.into()), cx);
    }

    fn handle_fragment(&mut self, fragment: Fragment<'_>, cx: &mut Context<'_>) {
        self.hand_over(Incoming::Fragment(fragment.into_owned()), cx);
    }

    fn handle_unchecked_text(&mut self, text: &[u8], cx: &mut Context<'_>) {
        self.hand_over(Incoming::UncheckedText(text.to_owned()), cx);
    }

    fn handle_ping(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        if cx.has_control_frames() {
            self.hand_over(Incoming::Ping(payload.to_owned()), cx);
        }
    }

    fn handle_pong(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        if cx.has_control_frames() {
            self.hand_over(Incoming::Pong(payload.to_owned()), cx);
        }
    }

    /// Asked again here, for since the loop said so the queue may have filled.
    fn handle_info(&mut self, _: Info, cx: &mut Context<'_>) {
        if self.messages.as_ref().is_some_and(|messages| messages.capacity() > 0 || messages.is_closed()) {
            cx.resume();
        }
    }

    fn handle_close(&mut self, closed: Closed, _: &mut Context<'_>) {
        self.messages = None;
        if let Some(told) = self.closed.take() {
            let _ = told.send(closed);
        }
    }
}

impl<F> Accepted<F> {
    fn hand_over(&self, incoming: Incoming, cx: &mut Context<'_>) {
        let Some(messages) = &self.messages else { return };
        // Full it cannot be while open, because reading pauses before; gone it may be, and then nobody wants it.
        let _ = messages.try_send(incoming);
        if messages.capacity() == 0 && !messages.is_closed() {
            cx.pause();
        }
    }
}
