//! One connection, from any thread.

use tokio::sync::oneshot;
use wingbeat_websocket::CloseCode;

use crate::connection::control::MAX_CONTROL_BYTES;
use crate::error::SendError;
use crate::message::EncodedMessage;
use crate::worker::inbox::{Command, ConnectionId, Inbox};
use crate::worker::turn::Turn;

/// One connection, from any thread. It does not keep the connection open. A clone is one reference count; an
/// [`id`](Self::id) is none, and enough for [`Turn::send_to`](crate::Turn::send_to) and its like.
///
/// What one thread asks for is carried out in that order. A method that returns `Ok` has given the worker its command;
/// whether the connection still lives when it is carried out shows in
/// [`Handler::handle_close`](crate::Handler::handle_close).
#[derive(Clone, Debug)]
pub struct ConnectionHandle {
    pub(crate) id: ConnectionId,
    pub(crate) inbox: Inbox,
}

impl ConnectionHandle {
    /// Which connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Sends a message. If the peer does not read, the mount's [`WhenFull`](crate::WhenFull) says what becomes of it.
    ///
    /// # Errors
    /// [`SendError::Busy`] if the worker's inbox is full, [`SendError::Closed`] if the worker has ended.
    pub fn send(&self, message: EncodedMessage) -> Result<(), SendError> {
        self.inbox.post(Command::Send { to: self.id, message, written: None })
    }

    /// As [`send`](Self::send), and never [dropped](crate::WhenFull): for an answer to what the peer has said.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn reply(&self, message: EncodedMessage) -> Result<(), SendError> {
        self.inbox.post(Command::Reply { to: self.id, message })
    }

    /// Sends a message, and waits while the peer takes no more.
    ///
    /// Cancel-safe in so far as the stream stays whole: a message whose future is dropped is sent wholly, or, if the
    /// future was never polled, not at all.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Closed`] if the connection is closed.
    pub async fn send_and_wait(&self, message: EncodedMessage) -> Result<(), SendError> {
        let (written, answer) = oneshot::channel();
        self.inbox.post(Command::Send { to: self.id, message, written: Some(written) })?;
        answer.await.unwrap_or(Err(SendError::Closed))
    }

    /// Sends messages one right after the other: nothing that anyone else sends comes between them.
    ///
    /// # Errors
    /// As [`send`](Self::send); then none is sent.
    pub fn send_many(&self, messages: impl IntoIterator<Item = EncodedMessage>) -> Result<(), SendError> {
        let messages: Vec<_> = messages.into_iter().collect();
        self.run(move |turn, id| {
            for message in &messages {
                turn.send_to(id, message);
            }
        })
    }

    /// Tells the handler something, through [`Handler::handle_info`](crate::Handler::handle_info).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn info(&self, info: impl std::any::Any + Send) -> Result<(), SendError> {
        self.inbox.post(Command::Info { to: self.id, info: Box::new(info) })
    }

    /// Sends a Ping; the Pong comes to [`Handler::handle_pong`](crate::Handler::handle_pong).
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] if `payload` is longer than 125 bytes, else as [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        let payload = control_payload(payload)?;
        self.run(move |turn, id| {
            let _ = turn.ping(id, &payload);
        })
    }

    /// Sends a Pong that nobody asked for (RFC 6455 §5.5.3).
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&self, payload: &[u8]) -> Result<(), SendError> {
        let payload = control_payload(payload)?;
        self.run(move |turn, id| {
            let _ = turn.pong(id, &payload);
        })
    }

    /// Begins the closing handshake, after what was sent before.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.inbox.post(Command::Close { to: self.id, code, reason: reason.into() })
    }

    fn run(&self, job: impl FnOnce(&mut Turn, ConnectionId) + Send + 'static) -> Result<(), SendError> {
        let id = self.id;
        self.inbox.post(Command::Run(Box::new(move |turn| job(turn, id))))
    }
}

fn control_payload(payload: &[u8]) -> Result<Box<[u8]>, SendError> {
    if payload.len() > MAX_CONTROL_BYTES { Err(SendError::ControlTooLong) } else { Ok(payload.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two words and a half: an id, and one reference count to clone.
    #[test]
    fn a_handle_is_small() {
        assert_eq!(size_of::<ConnectionHandle>(), 24);
    }
}
