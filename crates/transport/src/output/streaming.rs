//! A message that is sent in fragments, as they become available: its size is bounded by nothing, its memory by the
//! output's limits.
//!
//! Between the fragments only control frames may travel (RFC 6455 §5.4). What others send to the connection meanwhile
//! waits for the end of the message, under the same limits as what waits for the peer; what its own handler sends is
//! refused, for the handler can know. Fragments are not compressed: whoever streams much mostly streams what is
//! compressed already, and a context of its own would cost each such message 400 KiB.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;
use wingbeat_websocket::{self as websocket, CloseCode, MessageKind};

use crate::connection::{PAUSE_OUTPUT_BYTES, Phase, Waiting};
use crate::context::Context;
use crate::error::SendError;
use crate::handle::ConnectionHandle;
use crate::handler::Cause;
use crate::message::Message;
use crate::output::pressure::WhenFull;
use crate::output::sending::Corked;
use crate::worker::inbox::Command;
use crate::worker::turn::Turn;

/// Who streams: the connection's own handler, or a [`MessageStream`].
type Streamer = u64;
const HANDLER: Streamer = 0;

/// What waits for the end of a message that is being streamed.
#[derive(Debug, Default)]
pub(crate) struct Streaming {
    by: Streamer,
    held: VecDeque<(Bytes, bool)>,
    held_bytes: usize,
    waiting: Vec<Waiting>,
}

impl Context<'_> {
    /// Sends the next fragment of a message; the first one begins it, `is_final` ends it. All are of one kind. Between
    /// them only [`ping`](Self::ping), [`pong`](Self::pong) and [`close`](Self::close) are allowed; messages that others
    /// send wait for the end.
    ///
    /// For a message of any size in bounded memory: send until [`is_congested`](Self::is_congested), and go on in
    /// [`handle_drained`](crate::Handler::handle_drained).
    ///
    /// # Errors
    /// [`SendError::NoRoom`] if there is no room for it: the fragment was not taken, the message is as it was, and
    /// `handle_drained` will be called. [`SendError::MessageNotFinished`] if a message of another kind, or one of a
    /// [`MessageStream`], is not finished. [`SendError::Closed`] once a Close is out.
    pub fn send_fragment(&mut self, fragment: Message<'_>, is_final: bool) -> Result<(), SendError> {
        self.prepare();
        self.turn.send_fragment(self.key, HANDLER, fragment, is_final)
    }

    /// Whether a message that was sent in fragments is not finished.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.turn.connections[self.key].is_streaming
    }
}

impl Turn {
    fn send_fragment(
        &mut self,
        key: usize,
        by: Streamer,
        fragment: Message<'_>,
        is_final: bool,
    ) -> Result<(), SendError> {
        let bytes = fragment.as_bytes();
        self.admit_fragment(key, by, bytes.len() + 10)?;
        let kind = match fragment {
            Message::Text(_) => MessageKind::Text,
            Message::Binary(_) => MessageKind::Binary,
        };
        let start = self.cork.len() as u32;
        let connection = &mut self.connections[key];
        let sent = connection.protocol.send_fragment(kind, bytes, is_final, &mut self.cork);
        sent.map_err(|error| match error {
            websocket::SendError::Closed => SendError::Closed,
            _ => SendError::MessageNotFinished,
        })?;
        connection.output.push_corked(start..self.cork.len() as u32, u32::from(is_final));
        if !connection.is_streaming {
            connection.is_streaming = true;
            connection.extra_mut().streaming = Some(Streaming { by, ..Streaming::default() });
        }
        self.touch(key);
        if is_final {
            self.end_stream(key);
        }
        Ok(())
    }

    /// Whether a fragment may be sent now. None is refused for its size alone.
    fn admit_fragment(&mut self, key: usize, by: Streamer, bytes: usize) -> Result<(), SendError> {
        let connection = &self.connections[key];
        if connection.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        if connection.streaming().is_some_and(|streaming| streaming.by != by) {
            return Err(SendError::MessageNotFinished);
        }
        let fits = |turn: &Self| {
            let connection = &turn.connections[key];
            let (waiting, most) = (connection.output.len(), connection.options.max_output_bytes);
            // Who has waited for room has it, however large the fragment.
            waiting <= PAUSE_OUTPUT_BYTES.min(most) || waiting + bytes <= most
        };
        if !fits(self) && !self.connections[key].blocked {
            self.write(key);
        }
        if self.connections[key].phase != Phase::Open {
            return Err(SendError::Closed);
        }
        if !fits(self) {
            self.connections[key].congested = true;
            return Err(SendError::NoRoom);
        }
        Ok(())
    }

    /// What has waited for the end of the message is sent.
    fn end_stream(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        connection.is_streaming = false;
        let Some(streaming) = connection.extra.as_mut().and_then(|extra| extra.streaming.take()) else { return };
        connection.waiting.extend(streaming.waiting);
        for (frame, is_droppable) in streaming.held {
            let _ = self.send_frame(key, &frame, is_droppable, &mut Corked::default());
        }
        let connection = &mut self.connections[key];
        if connection.has_room() {
            connection.settle_waiting(Ok(()));
        }
    }

    /// The message will not be finished: a Close follows, or nothing.
    pub(crate) fn abort_stream(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if std::mem::take(&mut connection.is_streaming)
            && let Some(extra) = &mut connection.extra
        {
            extra.streaming = None;
        }
    }

    /// Keeps a frame until the message that is being streamed has ended.
    #[cold]
    pub(crate) fn hold_back(&mut self, key: usize, frame: &Bytes, is_droppable: bool) -> Result<(), SendError> {
        let connection = &mut self.connections[key];
        let (options, most) = (connection.options.clone(), connection.options.max_output_messages);
        let Some(streaming) = &mut connection.extra_mut().streaming else { return Err(SendError::Closed) };
        let bytes = streaming.held_bytes + frame.len();
        if streaming.held.is_empty() || bytes <= options.max_output_bytes && streaming.held.len() < most {
            streaming.held_bytes = bytes;
            streaming.held.push_back((frame.clone(), is_droppable));
            return Ok(());
        }
        if is_droppable && options.when_full != WhenFull::Close {
            self.count_dropped(key, 1);
            return Err(SendError::Dropped);
        }
        self.close_connection(key, Cause::SlowConsumer, CloseCode::TRY_AGAIN_LATER, "too slow");
        Err(SendError::Full)
    }

    /// Who waits until its message is written, waits for the end of the one that is being streamed first.
    pub(crate) fn wait_for_stream(&mut self, key: usize, written: Waiting) {
        match &mut self.connections[key].extra_mut().streaming {
            Some(streaming) => streaming.waiting.push(written),
            None => drop(written),
        }
    }

    fn take_fragment(&mut self, key: usize, fragment: &Part, written: Waiting) {
        let sent = match fragment.kind {
            MessageKind::Binary => {
                self.send_fragment(key, fragment.by, Message::Binary(&fragment.bytes), fragment.is_final)
            }
            MessageKind::Text => match std::str::from_utf8(&fragment.bytes) {
                Ok(text) => self.send_fragment(key, fragment.by, Message::Text(text), fragment.is_final),
                Err(_) => Err(SendError::InvalidUtf8),
            },
        };
        // What the next one waits for is seen only after a write.
        self.write(key);
        match sent {
            Ok(()) if !self.connections[key].has_room() => self.connections[key].waiting.push(written),
            sent => drop(written.send(sent)),
        }
    }
}

impl crate::connection::Connection {
    fn streaming(&self) -> Option<&Streaming> {
        self.extra.as_ref()?.streaming.as_ref()
    }
}

/// A fragment on its way to the worker.
struct Part {
    by: Streamer,
    kind: MessageKind,
    bytes: Bytes,
    is_final: bool,
}

impl ConnectionHandle {
    /// Begins a message that is sent in fragments as they become available, from any task; nothing is sent before the
    /// first of them.
    #[must_use]
    pub fn stream(&self, kind: MessageKind) -> MessageStream {
        static NEXT: AtomicU64 = AtomicU64::new(HANDLER + 1);
        let by = NEXT.fetch_add(1, Ordering::Relaxed);
        MessageStream { handle: self.clone(), by, kind, has_begun: false }
    }
}

/// A message that is sent in fragments. Dropping it unfinished closes the connection with 1011, for a message that has
/// begun cannot be taken back.
#[derive(Debug)]
pub struct MessageStream {
    handle: ConnectionHandle,
    by: Streamer,
    kind: MessageKind,
    has_begun: bool,
}

impl MessageStream {
    /// Sends the next fragment, and waits while the peer takes no more: so a message of any size needs no more memory
    /// than one fragment and what waits for the peer. Fragments of a text must not cut characters.
    ///
    /// Cancel-safe in so far as the message stays whole: a fragment whose future is dropped is sent wholly, or, if the
    /// future was never polled, not at all.
    ///
    /// # Errors
    /// [`SendError::MessageNotFinished`] if another message is being streamed, [`SendError::InvalidUtf8`] if a text is
    /// none, [`SendError::NoRoom`] if futures were dropped and their fragments still wait; none of these has taken the
    /// fragment, and it may be sent again. [`SendError::Closed`] when the connection is closed, [`SendError::Busy`] when
    /// the worker's inbox is full.
    pub async fn send(&mut self, fragment: impl Into<Bytes>) -> Result<(), SendError> {
        self.send_part(fragment.into(), false).await
    }

    /// Sends the last fragment, which may be empty, and waits as [`send`](Self::send) does. If the future is dropped after
    /// it was polled, the message ends all the same.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn finish(mut self, fragment: impl Into<Bytes>) -> Result<(), SendError> {
        let sent = self.send_part(fragment.into(), true).await;
        self.has_begun &= sent.is_err();
        sent
    }

    async fn send_part(&mut self, bytes: Bytes, is_final: bool) -> Result<(), SendError> {
        let (written, answer) = oneshot::channel();
        let part = Part { by: self.by, kind: self.kind, bytes, is_final };
        let id = self.handle.id();
        let job = move |turn: &mut Turn| match turn.key_of(id) {
            Some(key) => turn.take_fragment(key, &part, written),
            None => drop(written),
        };
        self.handle.inbox.post(Command::Run(Box::new(job)))?;
        self.has_begun = true;
        answer.await.unwrap_or(Err(SendError::Closed))
    }
}

impl Drop for MessageStream {
    fn drop(&mut self) {
        if !self.has_begun {
            return;
        }
        let (id, by) = (self.handle.id(), self.by);
        let job = move |turn: &mut Turn| {
            if let Some(key) = turn.key_of(id)
                && turn.connections[key].streaming().is_some_and(|streaming| streaming.by == by)
            {
                turn.close_connection(key, Cause::Local, CloseCode::INTERNAL_ERROR, "a message was not finished");
            }
        };
        let _ = self.handle.inbox.post_always(Command::Run(Box::new(job)));
    }
}
