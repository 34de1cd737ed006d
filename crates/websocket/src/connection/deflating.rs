//! Compressed messages, both ways (RFC 7692). Contexts are lent by a pool; only those taken over are held.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Closing, Connection};
use crate::deflate::{Compression, Contexts, DeflateGrant, DeflateParams, DeflatePool};
use crate::encoder::encode_frame;
use crate::error::{ProtocolError, SendError};
use crate::header::{self, WholeFrame};
use crate::message::{MessageKind, Received};
use crate::opcode::Opcode;

impl Connection {
    /// Lets messages be compressed as the opening handshake has agreed, before the first one. With context takeover the
    /// contexts live as long as the connection, and so does the `grant` for them.
    pub fn set_deflate(&mut self, params: DeflateParams, grant: Option<DeflateGrant>) {
        self.deflate = Some(params);
        if params.has_server_takeover() || params.has_client_takeover() {
            self.held.get_or_insert_default().contexts = Some(Contexts::new(grant));
        }
    }

    /// What has been agreed on, if messages may be compressed.
    pub const fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    /// Which shared frames this connection may be sent: those compressed for a window of this many bits. `None`: only
    /// those that are not compressed. See [`DeflatePool::encode_server_frame`].
    #[inline]
    pub fn send_window_bits(&self) -> Option<u8> {
        let (own, _) = self.deflate?.sides(self.role);
        own.can_deflate().then_some(own.bits())
    }

    /// To be called when a shared compressed frame was sent: what we compress from now on may not refer to what came
    /// before it. Without takeover it does nothing.
    pub fn reset_deflater(&mut self) {
        if let Some(deflater) = self.contexts().and_then(|contexts| contexts.deflater.as_mut()) {
            deflater.reset();
        }
    }

    /// As [`handle_input`](Self::handle_input), and inflates what came compressed with a context of the `pool`.
    ///
    /// Compressed fragments are gathered as they come, under the limits of frames and messages, and inflated at the last
    /// one, again under the limit of messages. Text is checked then.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Call [`fail`](Self::fail) and hang up.
    #[inline]
    pub fn handle_input_with<'a>(
        &mut self,
        pool: &mut DeflatePool,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        if self.may_be_whole()
            && let Some(frame) = WholeFrame::decode(input, self.role)
            && self.allows_whole(frame)
        {
            return self.take_whole(frame, input);
        }
        self.handle_any_with(pool, input, output)
    }

    #[inline(never)]
    fn handle_any_with<'a>(
        &mut self,
        pool: &mut DeflatePool,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        match self.closing {
            Closing::Open | Closing::Sent => self
                .receive(input, output, |connection, kind, message| connection.inflate(kind, message, pool))
                .map_err(|error| self.break_off(error)),
            Closing::Failed | Closing::Done => Ok((input.len(), None)),
        }
    }

    /// Inflates without a pool at hand.
    #[cold]
    #[inline(never)]
    pub(super) fn inflate_alone(
        &mut self,
        kind: MessageKind,
        message: &[u8],
    ) -> Result<Received<'static>, ProtocolError> {
        self.inflate(kind, message, &mut DeflatePool::default())
    }

    /// A message that came compressed, as it was meant (RFC 7692 §7.2.2).
    #[inline(never)]
    fn inflate(
        &mut self,
        kind: MessageKind,
        message: &[u8],
        pool: &mut DeflatePool,
    ) -> Result<Received<'static>, ProtocolError> {
        let max_message_bytes = self.limits.max_message_bytes;
        let peer = self.deflate.map(|params| params.sides(self.role).1);
        let contexts = self.contexts();
        let history = contexts.as_ref().map_or(&[][..], |contexts| &contexts.history);
        let bytes = pool.inflate(history, message, max_message_bytes)?;
        if let Some(contexts) = contexts
            && let Some(window) = peer.filter(|window| window.has_takeover())
        {
            contexts.remember(&bytes, window.bytes());
        }
        Ok(match kind {
            MessageKind::Binary => Received::Binary(Cow::Owned(bytes)),
            MessageKind::Text => {
                let text = String::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)?;
                Received::Text(Cow::Owned(text))
            }
        })
    }

    /// Appends a text message as one frame, compressed if it was agreed on and `compression` says so.
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text).
    pub fn send_text_with(
        &mut self,
        text: &str,
        compression: Compression,
        pool: &mut DeflatePool,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_message()?;
        self.append_message(Opcode::Text, text.as_bytes(), (compression, pool), output);
        Ok(())
    }

    /// Appends a binary message as one frame, compressed if it was agreed on and `compression` says so.
    ///
    /// # Errors
    ///
    /// As [`send_text`](Self::send_text).
    pub fn send_binary_with(
        &mut self,
        bytes: &[u8],
        compression: Compression,
        pool: &mut DeflatePool,
        output: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_message()?;
        self.append_message(Opcode::Binary, bytes, (compression, pool), output);
        Ok(())
    }

    fn append_message(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        (compression, pool): (Compression, &mut DeflatePool),
        output: &mut Vec<u8>,
    ) {
        if self.deflate_payload(payload, compression, pool) {
            encode_frame(self.role, header::FIN | header::RSV1, opcode, pool.deflated(), output);
        } else {
            encode_frame(self.role, header::FIN, opcode, payload, output);
        }
        pool.trim();
    }

    /// Whether `payload` goes compressed; it lies in the pool then.
    fn deflate_payload(&mut self, payload: &[u8], compression: Compression, pool: &mut DeflatePool) -> bool {
        let Some((own, _)) = self.deflate.map(|params| params.sides(self.role)) else { return false };
        let is_wanted = match compression {
            Compression::Auto => payload.len() >= pool.config().min_bytes(),
            Compression::Always => true,
            Compression::Never => false,
        };
        if !is_wanted || !own.can_deflate() {
            return false;
        }
        let context = if own.has_takeover() { self.contexts().map(|contexts| &mut contexts.deflater) } else { None };
        let is_deflated = pool.deflate(payload, own.bits(), context)
            && (compression == Compression::Always || pool.deflated().len() < payload.len());
        if !is_deflated {
            // The peer will not see what our context has seen (RFC 7692 §7.2.1).
            self.reset_deflater();
        }
        is_deflated
    }

    fn contexts(&mut self) -> Option<&mut Contexts> {
        self.held.as_mut().and_then(|held| held.contexts.as_mut())
    }
}

const _: () = assert!(size_of::<Option<DeflateParams>>() == 2);
