//! How a message gets into the output of its connection.

use bytes::Bytes;
use wingbeat_websocket::deflate::Compression;
use wingbeat_websocket::{CloseCode, Opcode, encode_server_frame, encode_server_header};

use crate::connection::{Connection, Phase, Waiting};
use crate::error::SendError;
use crate::handler::Cause;
use crate::inbox::ConnectionId;
use crate::message::{EncodedMessage, Message};
use crate::output::{SHARED_FROM_BYTES, Written};
use crate::pools::PoolId;
use crate::turn::Turn;

/// Where in the cork a frame lies that goes to many.
pub(crate) type Corked = Option<std::ops::Range<u32>>;

impl Turn {
    pub(crate) fn send_command(&mut self, to: ConnectionId, message: &EncodedMessage, written: Option<Waiting>) {
        let result = self.send_shared(to, message);
        let Some(written) = written else { return };
        match self.key_of(to) {
            Some(key) if result.is_ok() && !self.connections[key].has_room() => {
                self.connections[key].waiting.push(written);
            }
            _ => drop(written.send(result)),
        }
    }

    fn send_shared(&mut self, id: ConnectionId, message: &EncodedMessage) -> Result<(), SendError> {
        let key = self.key_of(id).ok_or(SendError::Closed)?;
        self.send_encoded(key, message)
    }

    pub(crate) fn send_encoded(&mut self, key: usize, message: &EncodedMessage) -> Result<(), SendError> {
        self.relieve_cork();
        match self.connections[key].pool {
            None => self.send_frame(key, message.as_frame(), &mut Corked::default()),
            Some(pool) => self.send_deflated(key, pool, message),
        }
    }

    /// Sends a frame that others may be sent, too: if it is small, `corked` says where in the cork it lies by then.
    #[inline]
    pub(crate) fn send_frame(&mut self, key: usize, frame: &Bytes, corked: &mut Corked) -> Result<(), SendError> {
        self.admit(key, frame.len())?;
        if frame.len() < SHARED_FROM_BYTES {
            let range = corked.get_or_insert_with(|| {
                let start = self.cork.len() as u32;
                self.cork.extend_from_slice(frame);
                start..self.cork.len() as u32
            });
            self.connections[key].output.push_corked(range.clone(), 1);
        } else {
            self.connections[key].output.push_shared(frame.clone());
        }
        self.touch(key);
        Ok(())
    }

    /// Sends the frame compressed for the connection's window, if that makes it smaller.
    #[inline(never)]
    pub(crate) fn send_deflated(
        &mut self,
        key: usize,
        pool: PoolId,
        message: &EncodedMessage,
    ) -> Result<(), SendError> {
        let bits = self.connections[key].protocol.send_window_bits();
        let bits = bits.filter(|_| self.connections[key].compression != Compression::Never);
        let deflated = bits.and_then(|bits| message.deflated(bits, self.pools.get(pool)));
        let Some(frame) = deflated else {
            return self.send_frame(key, message.as_frame(), &mut Corked::default());
        };
        self.send_frame(key, frame, &mut Corked::default())?;
        self.connections[key].protocol.reset_deflater();
        Ok(())
    }

    /// Appends to the cork what `write` writes, as the output of `key`.
    #[inline]
    pub(crate) fn write_corked(
        &mut self,
        key: usize,
        messages: u32,
        write: impl FnOnce(&mut Connection, &mut Vec<u8>),
    ) {
        let start = self.cork.len();
        let connection = &mut self.connections[key];
        write(connection, &mut self.cork);
        if self.cork.len() > start {
            connection.output.push_corked(start as u32..self.cork.len() as u32, messages);
            self.touch(key);
        }
    }

    /// Sends a message to a connection that may have agreed on compression.
    pub(crate) fn send_compressed(
        &mut self,
        key: usize,
        message: Message<'_>,
        compression: Compression,
    ) -> Result<(), SendError> {
        let Some(id) = self.connections[key].pool else {
            let frame = |_: &mut Connection, cork: &mut Vec<u8>| {
                encode_server_frame(message.opcode(), message.as_bytes(), cork);
            };
            self.write_corked(key, 1, frame);
            return Ok(());
        };
        let start = self.cork.len();
        let (connection, pool) = (&mut self.connections[key], self.pools.get(id));
        let sent = match message {
            Message::Text(text) => connection.protocol.send_text_with(text, compression, pool, &mut self.cork),
            Message::Binary(bytes) => connection.protocol.send_binary_with(bytes, compression, pool, &mut self.cork),
        };
        sent.map_err(|_| SendError::Closed)?;
        connection.output.push_corked(start as u32..self.cork.len() as u32, 1);
        self.touch(key);
        Ok(())
    }

    /// Sends a message too large to be worth a copy, right behind what waits.
    #[cold]
    pub(crate) fn send_large(&mut self, key: usize, opcode: Opcode, payload: &[u8]) {
        self.write(key);
        let mut frame = Vec::new();
        encode_server_header(opcode, payload.len(), &mut frame);
        let connection = &mut self.connections[key];
        if !connection.output.is_empty() {
            frame.extend_from_slice(payload);
            connection.output.push_owned(frame);
            return self.touch(key);
        }
        if self.watch.is_some() {
            self.watch_large(key, &frame, payload);
        }
        let connection = &mut self.connections[key];
        match connection.output.write_through(&mut connection.stream, &frame, payload) {
            Ok(Written::All) => {}
            Ok(Written::Blocked) => connection.blocked = true,
            Err(error) => {
                connection.blame(&error);
                self.mark_lost(key);
            }
        }
        if self.watch.is_some() {
            self.watch_waiting(key);
        }
    }

    /// Whether `bytes` more may be sent to `key`; if its output is full, it is closed.
    #[inline]
    pub(crate) fn admit(&mut self, key: usize, bytes: usize) -> Result<(), SendError> {
        let connection = &self.connections[key];
        if connection.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        let is_full = connection.output.len() + bytes > connection.options.max_output_bytes
            || connection.blocked && connection.output.messages() >= connection.options.max_output_messages;
        if is_full { self.make_room(key, bytes) } else { Ok(()) }
    }

    /// One message is always admitted, however large, once nothing waits before it.
    #[cold]
    fn make_room(&mut self, key: usize, bytes: usize) -> Result<(), SendError> {
        self.write(key);
        let connection = &self.connections[key];
        let fits = connection.output.len() + bytes <= connection.options.max_output_bytes
            && connection.output.messages() < connection.options.max_output_messages;
        if fits || connection.output.is_empty() {
            return Ok(());
        }
        self.note_drop(key, bytes);
        self.close_connection(key, Cause::SlowConsumer, CloseCode::TRY_AGAIN_LATER, "too slow");
        Err(SendError::Full)
    }
}
