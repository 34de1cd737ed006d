//! A connection for those who prefer a loop: `while let Some(message) = socket.recv().await`.
//!
//! The same connection as beneath a [`Handler`], with a handler that hands messages over a bounded queue. While the
//! queue is full nothing is read, so a loop that is slow slows its peer and nobody else.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use wingbeat_websocket::CloseCode;

use crate::context::Context;
use crate::error::SendError;
use crate::handler::{Closed, Handler, Info};
use crate::inbox::{Command, ConnectionHandle};
use crate::message::{EncodedMessage, Message};

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

/// An open connection, to be received from and sent to. Dropping it closes with 1000, or 1011 if
/// the loop panics.
#[derive(Debug)]
pub struct WebSocket {
    handle: ConnectionHandle,
    messages: mpsc::Receiver<OwnedMessage>,
    closed: oneshot::Receiver<Closed>,
    outcome: Option<Closed>,
}

impl WebSocket {
    /// The next message, `None` once the connection is closed. Cancel-safe: no message is lost with the future.
    pub async fn recv(&mut self) -> Option<OwnedMessage> {
        let message = self.messages.recv().await;
        if self.messages.is_empty() {
            self.ask_for_more();
        }
        message
    }

    /// Sends a message, and waits while the peer takes no more. Not cancel-safe: whether a message is sent whose future
    /// was dropped is open, but never only a part of it.
    ///
    /// # Errors
    /// [`SendError::Closed`] when the connection is closed, [`SendError::Busy`] when the worker's inbox is full.
    pub async fn send(&self, message: Message<'_>) -> Result<(), SendError> {
        let (written, answer) = oneshot::channel();
        let message = EncodedMessage::new(message);
        let send = Command::Send { to: self.handle.id(), message, written: Some(written) };
        self.handle.inbox.post(send)?;
        answer.await.unwrap_or(Err(SendError::Closed))
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

    /// The connection, for others to send to.
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
pub(crate) struct Accepted<F> {
    serve: Arc<F>,
    messages: Option<mpsc::Sender<OwnedMessage>>,
    closed: Option<oneshot::Sender<Closed>>,
}

impl<F> Accepted<F> {
    pub(crate) fn new(serve: Arc<F>) -> Self {
        Self { serve, messages: None, closed: None }
    }
}

impl<F: Fn(WebSocket) + Send + Sync + 'static> Handler for Accepted<F> {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        let (told, closed) = oneshot::channel();
        (self.messages, self.closed) = (Some(sender), Some(told));
        (self.serve)(WebSocket { handle: cx.handle(), messages, closed, outcome: None });
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let Some(messages) = &self.messages else { return };
        // Full it cannot be while open, because reading pauses before; gone it may be, and then nobody wants the message.
        let _ = messages.try_send(message.into());
        if messages.capacity() == 0 && !messages.is_closed() {
            cx.pause();
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
