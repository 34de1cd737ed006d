//! What a callback can do.

use std::net::SocketAddr;
use std::time::Duration;

use wingbeat_websocket::deflate::Compression;
use wingbeat_websocket::{CloseCode, Opcode, encode_server_frame, encode_server_frame_with};

use crate::connection::Phase;
use crate::error::SendError;
use crate::handle::ConnectionHandle;
use crate::handler::Cause;
use crate::message::{EncodedMessage, Message};
use crate::worker::inbox::ConnectionId;
use crate::worker::turn::Turn;

/// Payloads from this size on are written from where they lie, at once.
const LARGE_BYTES: usize = 64 << 10;

/// One connection, in a callback of its handler; and through it the worker.
pub struct Context<'a> {
    pub(crate) turn: &'a mut Turn,
    pub(crate) key: usize,
    /// Where messages come from, the present one included: what is sent back from there need not be copied.
    pub(crate) input: &'a [u8],
}

impl Context<'_> {
    /// Which connection this is.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.turn.id_of(self.key)
    }

    /// A handle to the connection for other threads and tasks.
    #[must_use]
    pub fn handle(&self) -> ConnectionHandle {
        self.turn.workers.handle(self.id())
    }

    /// The other end of the TCP connection, as the system tells it now, or where a trusted proxy says that the client
    /// is; see [`Listener`](crate::Listener).
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.turn.connections[self.key].peer_addr()
    }

    /// Whether messages can be sent: the handshake is done and no Close is out.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.turn.connections[self.key].phase == Phase::Open
    }

    /// Sends a message; it leaves at the end of the turn.
    ///
    /// # Errors
    /// [`SendError::Closed`] once a Close is out; [`SendError::Full`] if the peer does not read and too much waits for
    /// it, see [`SocketOptions::max_output_bytes`](crate::SocketOptions::max_output_bytes).
    #[inline]
    pub fn send(&mut self, message: Message<'_>) -> Result<(), SendError> {
        if self.answer(message) { Ok(()) } else { self.send_anyhow(message) }
    }

    #[inline(never)]
    fn send_anyhow(&mut self, message: Message<'_>) -> Result<(), SendError> {
        self.prepare();
        let payload = message.as_bytes();
        self.turn.admit(self.key, payload.len() + 10)?;
        if self.turn.connections[self.key].pool.is_some() {
            let compression = self.turn.connections[self.key].compression;
            return self.turn.send_compressed(self.key, message, compression);
        }
        if payload.len() >= LARGE_BYTES {
            self.turn.send_large(self.key, message.opcode(), payload);
            return Ok(());
        }
        self.turn.write_corked(self.key, 1, |_, cork| encode_server_frame(message.opcode(), payload, cork));
        Ok(())
    }

    /// Sends a message and says whether it is compressed, if that was agreed on: [`send`](Self::send) leaves it to the
    /// message's size.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with(&mut self, message: Message<'_>, compression: Compression) -> Result<(), SendError> {
        self.prepare();
        self.turn.admit(self.key, message.as_bytes().len() + 10)?;
        self.turn.send_compressed(self.key, message, compression)
    }

    /// Sends text that is not known to be UTF-8, as
    /// [`handle_unchecked_text`](crate::Handler::handle_unchecked_text) may have received it. A peer that checks will
    /// close on text that is none.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_unchecked_text(&mut self, text: &[u8]) -> Result<(), SendError> {
        self.prepare();
        self.turn.admit(self.key, text.len() + 10)?;
        self.turn.write_corked(self.key, 1, |_, cork| encode_server_frame(Opcode::Text, text, cork));
        Ok(())
    }

    /// Whether compression was agreed on.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.turn.connections[self.key].pool.is_some()
    }

    /// Sends a message that was framed before.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_encoded(&mut self, message: &EncodedMessage) -> Result<(), SendError> {
        self.settle();
        self.turn.apply_commands();
        self.turn.send_encoded(self.key, message, false)
    }

    /// Sends the text that `write` appends to the buffer it is given: what is there already stays untouched. Spares a
    /// copy where a payload is written piece by piece.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_text_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), SendError> {
        self.prepare();
        self.turn.admit(self.key, 10)?;
        if self.turn.connections[self.key].pool.is_some() {
            let mut payload = Vec::new();
            write(&mut payload);
            let text = String::from_utf8_lossy(&payload);
            let compression = self.turn.connections[self.key].compression;
            return self.turn.send_compressed(self.key, Message::Text(&text), compression);
        }
        self.turn.write_corked(self.key, 1, |_, cork| encode_server_frame_with(Opcode::Text, cork, write));
        Ok(())
    }

    /// Whether more waits for the peer than it is quick to take: the socket takes no more, and more than
    /// [`SocketOptions::congested_bytes`](crate::SocketOptions::congested_bytes) have not left. Writes first, if need be.
    /// Once this was so it stays so until half of that is left; then [`Handler::handle_drained`](crate::Handler::handle_drained) is called, once.
    pub fn is_congested(&mut self) -> bool {
        self.settle();
        self.turn.apply_commands();
        self.turn.is_key_congested(self.key)
    }

    /// How many messages for this connection were dropped so far, see [`WhenFull`](crate::WhenFull).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.turn.connections[self.key].extra.as_ref().map_or(0, |extra| extra.dropped)
    }

    /// How long the peer took to answer our last Ping; `None` before the first answer, and without
    /// [`SocketOptions::keep_alive`](crate::SocketOptions::keep_alive).
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.turn.connections[self.key].keep_alive()?.rtt()
    }

    /// Begins the closing handshake; nothing can be sent after it.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.settle();
        self.turn.apply_commands();
        self.turn.close_connection(self.key, Cause::Local, code, reason);
    }

    /// Stops reading from the peer, messages already read included, until [`resume`](Self::resume): TCP then slows the
    /// peer down. What waits unread
    /// does not count as silence. Does nothing once a Close is out, for its answer must be read.
    pub fn pause(&mut self) {
        self.settle();
        if self.is_open() {
            self.turn.set_paused(self.key, true);
        }
    }

    /// Reads again.
    pub fn resume(&mut self) {
        self.turn.resume(self.key);
    }

    /// The worker, to reach its other connections and its local state.
    pub fn turn(&mut self) -> &mut Turn {
        self.settle();
        self.turn.apply_commands();
        self.turn
    }

    /// Before anything is sent that is not an answer: what was answered and asked for earlier comes first.
    pub(crate) fn prepare(&mut self) {
        self.settle();
        self.turn.prepare();
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Context").field(&self.id()).finish()
    }
}
