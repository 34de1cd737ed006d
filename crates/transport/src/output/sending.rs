//! How a message gets into the output of its connection.

use bytes::Bytes;
use wingbeat_websocket::deflate::Compression;
use wingbeat_websocket::{Opcode, encode_server_frame, encode_server_header};

use crate::connection::{Connection, Waiting};
use crate::error::SendError;
use crate::message::{EncodedMessage, Message};
use crate::output::pressure::WhenFull;
use crate::output::{SHARED_FROM_BYTES, Written};
use crate::worker::inbox::ConnectionId;
use crate::worker::pools::PoolId;
use crate::worker::turn::Turn;

/// Where in the cork a frame lies that goes to many.
pub(crate) type Corked = Option<std::ops::Range<u32>>;

impl Turn {
    pub(crate) fn send_command(&mut self, to: ConnectionId, message: &EncodedMessage, written: Option<Waiting>) {
        // Who waits until it is written wants it written.
        let result = self.send_shared(to, message, written.is_none());
        let Some(written) = written else { return };
        match self.key_of(to) {
            Some(key) if result.is_ok() && self.connections[key].is_streaming => self.wait_for_stream(key, written),
            Some(key) if result.is_ok() && !self.connections[key].has_room() => {
                self.connections[key].waiting.push(written);
            }
            _ => drop(written.send(result)),
        }
    }

    pub(crate) fn send_shared(
        &mut self,
        id: ConnectionId,
        message: &EncodedMessage,
        is_droppable: bool,
    ) -> Result<(), SendError> {
        let key = self.key_of(id).ok_or(SendError::Closed)?;
        self.send_encoded(key, message, is_droppable)
    }

    pub(crate) fn send_encoded(
        &mut self,
        key: usize,
        message: &EncodedMessage,
        is_droppable: bool,
    ) -> Result<(), SendError> {
        self.relieve_cork();
        match self.connections[key].pool {
            None => self.send_frame(key, message.as_frame(), is_droppable, &mut Corked::default()),
            Some(pool) => self.send_deflated(key, pool, message, is_droppable),
        }
    }

    /// Sends a frame that others may be sent, too: if it is small, `corked` says where in the cork it lies by then.
    #[inline]
    pub(crate) fn send_frame(
        &mut self,
        key: usize,
        frame: &Bytes,
        is_droppable: bool,
        corked: &mut Corked,
    ) -> Result<(), SendError> {
        if !self.has_room_for(key, frame.len())? && self.make_way(key, frame, is_droppable)? {
            return Ok(());
        }
        if frame.len() < SHARED_FROM_BYTES {
            let range = corked.get_or_insert_with(|| {
                let start = self.cork.len() as u32;
                self.cork.extend_from_slice(frame);
                start..self.cork.len() as u32
            });
            self.connections[key].output.push_corked(range.clone(), 1);
        } else {
            let connection = &mut self.connections[key];
            let is_droppable = is_droppable && connection.options.when_full != WhenFull::Close;
            connection.output.push_shared(frame.clone(), is_droppable);
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
        is_droppable: bool,
    ) -> Result<(), SendError> {
        let bits = self.connections[key].protocol.send_window_bits();
        let bits = bits.filter(|_| self.connections[key].compression != Compression::Never);
        let deflated = bits.and_then(|bits| message.deflated(bits, self.pools.get(pool)));
        let Some(frame) = deflated else {
            return self.send_frame(key, message.as_frame(), is_droppable, &mut Corked::default());
        };
        // It refers to nothing that was sent before, and after it nothing refers to what is dropped with it.
        self.send_frame(key, frame, is_droppable, &mut Corked::default())?;
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
            connection.output.push_owned(frame, 1);
            return self.touch(key);
        }
        let (pieces, length) = ([&frame[..], payload].into_iter(), frame.len() + payload.len());
        match connection.output.write_through(&mut connection.stream, pieces, length, |_| 1) {
            Ok(Written::All) => self.figures.count_written(length, 1),
            Ok(Written::Blocked) => {
                connection.blocked = true;
                self.note_stall(key, length, 1);
            }
            Err(error) => {
                connection.blame(&error);
                self.mark_lost(key);
            }
        }
        if self.watch.is_some() {
            self.watch_large(key, &frame, payload);
        }
    }
}
