//! What we say: messages, fragments and control frames. Nothing is appended that may not be sent.

use alloc::vec::Vec;

use super::{Connection, Role, Unfinished};
use crate::encoder::{encode_frame, encode_server_frame_with};
use crate::error::SendError;
use crate::header::{self, MAX_SHORT_BYTES};
use crate::message::MessageKind;
use crate::opcode::Opcode;
use crate::utf8::{self, Pending};

impl Connection {
    /// Appends a text message as one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after our Close (F22), [`SendError::MessageNotFinished`] between fragments of ours (F18).
    #[inline]
    pub fn send_text(&mut self, text: &str, output: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_message()?;
        encode_frame(self.role, header::FIN, Opcode::Text, text.as_bytes(), output);
        Ok(())
    }

    /// Appends a binary message as one frame.
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_message()?;
        encode_frame(self.role, header::FIN, Opcode::Binary, bytes, output);
        Ok(())
    }

    /// Appends a message whose payload `write` appends by itself, straight behind the header. `write` must only append.
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text), and [`SendError::InvalidUtf8`] if a text is none.
    pub fn send_with(
        &mut self,
        kind: MessageKind,
        output: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SendError> {
        self.check_message()?;
        let start = output.len();
        let mut is_valid = true;
        let checked = |output: &mut Vec<u8>| {
            let payload = output.len();
            write(output);
            is_valid = kind == MessageKind::Binary || utf8::check(&output[payload..]).is_some();
        };
        match self.role {
            Role::Server => encode_server_frame_with(kind.into(), output, checked),
            Role::Client { .. } => {
                let mut payload = Vec::new();
                checked(&mut payload);
                encode_frame(self.role, header::FIN, kind.into(), &payload, output);
            }
        }
        if is_valid {
            return Ok(());
        }
        output.truncate(start);
        Err(SendError::InvalidUtf8)
    }

    /// Appends the next fragment of a message; `is_last` ends it (§5.4). The first fragment of a message decides its
    /// kind. Characters of a text may be cut between fragments. Control frames may be sent in between.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after our Close, [`SendError::MessageNotFinished`] if a message of the other kind is
    /// unfinished, [`SendError::InvalidUtf8`] if the text so far cannot be UTF-8.
    pub fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        is_last: bool,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if !self.can_send() {
            return Err(SendError::Closed);
        }
        let (opcode, mut pending) = match self.unfinished {
            None => (kind.into(), Pending::default()),
            Some(unfinished) if unfinished.kind == kind => (Opcode::Continuation, unfinished.pending),
            Some(_) => return Err(SendError::MessageNotFinished),
        };
        if kind == MessageKind::Text {
            let text = pending.push(payload, |_| {});
            if text.is_err() || (is_last && !pending.is_empty()) {
                return Err(SendError::InvalidUtf8);
            }
        }
        let bits = if is_last { header::FIN } else { 0 };
        encode_frame(self.role, bits, opcode, payload, output);
        self.unfinished = if is_last { None } else { Some(Unfinished { kind, pending }) };
        Ok(())
    }

    /// Appends a Ping (§5.5.2). It may go between the fragments of a message.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after our Close, [`SendError::ControlTooLong`] if the payload is longer than 125 bytes.
    pub fn send_ping(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, output)
    }

    /// Appends a Pong that nobody asked for (§5.5.3). Pings are answered by [`handle_input`](Self::handle_input).
    ///
    /// # Errors
    ///
    /// As [`send_ping`](Self::send_ping).
    pub fn send_pong(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, output)
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8], output: &mut Vec<u8>) -> Result<(), SendError> {
        if !self.can_send() {
            return Err(SendError::Closed);
        }
        if payload.len() > MAX_SHORT_BYTES {
            return Err(SendError::ControlTooLong);
        }
        encode_frame(self.role, header::FIN, opcode, payload, output);
        Ok(())
    }

    /// Whether a new message may begin.
    #[inline]
    pub(super) fn check_message(&self) -> Result<(), SendError> {
        if !self.can_send() {
            return Err(SendError::Closed);
        }
        if self.unfinished.is_some() {
            return Err(SendError::MessageNotFinished);
        }
        Ok(())
    }
}
