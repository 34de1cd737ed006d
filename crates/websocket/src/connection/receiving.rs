//! What the peer says: frames are judged, put together and handed up.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::mem;

use super::{Closing, Connection};
use crate::assembler::{Assembler, Gathered, Progress};
use crate::close::CloseFrame;
use crate::decoder::PartialFrame;
use crate::encoder::encode_frame;
use crate::error::ProtocolError;
use crate::header::{self, Header, WholeFrame};
use crate::mask::Unmasked;
use crate::message::{MessageKind, Received, WholeMessage};
use crate::opcode::Opcode;

impl Connection {
    /// Takes the next thing off the front of `input`, unmasked in place, and returns how many bytes are used up and what
    /// was received. Nothing received: read more, then ask again.
    ///
    /// Bytes not used up must be presented again, unchanged, with more behind them. That is at most an incomplete header
    /// or an incomplete control frame, 139 bytes; all else is used up. A message that lies in `input` in one frame is
    /// borrowed from there; what comes in fragments or pieces is gathered and owned. Text is refused at the first byte
    /// that makes it impossible.
    ///
    /// Appended to `output`: the Pong to a Ping (§5.5.2) and the answer to a Close (§5.5.1), nothing else. After
    /// our own Close, Pings are not answered. After both Closes or a failure everything is used up and nothing received
    /// (§7.1.7).
    ///
    /// Where permessage-deflate has been agreed on, use `handle_input_with`: this makes all that inflating takes anew for
    /// each compressed message, and limits ratios as by default.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Call [`fail`](Self::fail) and hang up.
    #[inline]
    pub fn handle_input<'a>(
        &mut self,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        if self.may_be_whole()
            && let Some(frame) = WholeFrame::decode(input, self.role)
            && self.allows_whole(frame)
        {
            return self.take_whole(frame, input);
        }
        self.handle_any(input, output)
    }

    /// Takes the message that begins at `at` in `input`, if it lies there in one frame of at most 65,535 bytes and not
    /// compressed, and returns it with where it ends, and with the whole input, in which it lies unmasked. `None`: nothing
    /// was taken; ask [`handle_input`](Self::handle_input), which takes whatever there is.
    ///
    /// The most frequent thing a server reads, with the least to be done around it.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol. Call [`fail`](Self::fail) and hang up.
    #[inline]
    #[allow(clippy::type_complexity)]
    pub fn handle_whole<'a>(
        &mut self,
        input: &'a mut [u8],
        at: usize,
    ) -> Result<Option<(WholeMessage<'a>, usize, &'a [u8])>, ProtocolError> {
        let Some(frame) = input.get(at..).and_then(|input| WholeFrame::decode(input, self.role)) else {
            return Ok(None);
        };
        if !self.may_be_whole() || !self.allows_whole(frame) {
            return Ok(None);
        }
        let start = at + frame.header_bytes;
        let end = start + frame.payload_bytes;
        let (payload, input) = frame.mask.apply_within(input, start..end);
        let message = match frame.kind {
            MessageKind::Binary => WholeMessage::Binary(payload.bytes()),
            MessageKind::Text => match payload.text() {
                Some(text) => WholeMessage::Text(text),
                None => return Err(self.break_off(ProtocolError::InvalidUtf8)),
            },
        };
        Ok(Some((message, end, input)))
    }

    /// Whether a message in one frame may come now.
    #[inline]
    pub(super) fn may_be_whole(&self) -> bool {
        !self.is_gathering() && matches!(self.closing, Closing::Open | Closing::Sent)
    }

    /// Whether the limits allow this `frame`.
    #[inline]
    pub(super) fn allows_whole(&self, frame: WholeFrame) -> bool {
        frame.payload_bytes <= self.limits.max_frame_bytes.min(self.limits.max_message_bytes)
    }

    /// Takes the `frame` at the front of `input`.
    #[inline]
    pub(super) fn take_whole<'a>(
        &mut self,
        frame: WholeFrame,
        input: &'a mut [u8],
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        let payload = &mut input[frame.header_bytes..][..frame.payload_bytes];
        let payload = frame.mask.apply(payload);
        let message = match frame.kind {
            MessageKind::Binary => Some(Received::Binary(Cow::Borrowed(payload.bytes()))),
            MessageKind::Text => payload.text().map(|text| Received::Text(Cow::Borrowed(text))),
        };
        match message {
            Some(message) => Ok((frame.header_bytes + frame.payload_bytes, Some(message))),
            None => Err(self.break_off(ProtocolError::InvalidUtf8)),
        }
    }

    /// As [`handle_input`](Self::handle_input), for all that is not a message in one frame.
    #[inline(never)]
    fn handle_any<'a>(
        &mut self,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        match self.closing {
            Closing::Open | Closing::Sent => {
                self.receive(input, output, Self::inflate_alone).map_err(|error| self.break_off(error))
            }
            Closing::Failed | Closing::Done => Ok((input.len(), None)),
        }
    }

    /// Never called: the header has judged the bit that says so.
    #[cfg(not(feature = "deflate"))]
    fn inflate_alone(&mut self, _kind: MessageKind, _message: &[u8]) -> Result<Received<'static>, ProtocolError> {
        Err(ProtocolError::InvalidDeflate)
    }

    /// Whether a message is in flight: its first byte has come, its last has not.
    #[inline]
    pub fn is_receiving(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.message.is_some() || held.streamed.is_some())
    }

    /// Whether the message in flight is another than when this was last asked. For whoever wants to know how long one
    /// message takes: this has no clock.
    pub fn take_begun(&mut self) -> bool {
        self.held.as_mut().is_some_and(|held| held.message.is_some() && core::mem::take(&mut held.has_begun))
    }

    /// Whether a message is in flight.
    #[inline]
    fn is_gathering(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.message.is_some())
    }

    /// The message in flight; nothing is held for it any longer.
    fn take_message(&mut self) -> Option<Assembler> {
        let message = self.held.as_mut()?.message.take();
        #[cfg(feature = "deflate")]
        if self.held.as_ref().is_some_and(|held| held.contexts.is_some()) {
            return message;
        }
        self.held = None;
        message
    }

    /// Whether messages may come compressed.
    #[inline]
    pub(super) const fn has_deflate(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.deflate.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Nothing further is processed after an `error` (§7.1.7).
    #[cold]
    pub(super) fn break_off(&mut self, error: ProtocolError) -> ProtocolError {
        self.closing = if self.closing == Closing::Open { Closing::Failed } else { Closing::Done };
        self.held = None;
        error
    }

    /// Reads up to the end of a message or control frame, or of the input. What came compressed is for `inflate`.
    #[inline]
    pub(super) fn receive<'a>(
        &mut self,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
        inflate: impl FnOnce(&mut Self, MessageKind, &[u8]) -> Result<Received<'static>, ProtocolError>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        let total = input.len();
        let mut input = input;
        loop {
            if let Some(assembler) = self.held.as_mut().and_then(|held| held.message.as_mut())
                && assembler.is_inside_frame()
            {
                let (progress, rest) = assembler.take(mem::take(&mut input))?;
                input = rest;
                match progress {
                    Progress::Frame => return Ok((total - input.len(), None)),
                    Progress::Fragment => {}
                    Progress::Message => {
                        let message = match self.take_message().map(Assembler::finish).transpose()? {
                            Some(Gathered::Whole(received)) => Some(received),
                            Some(Gathered::Deflated(kind, message)) => Some(inflate(self, kind, &message)?),
                            None => None,
                        };
                        return Ok((total - input.len(), message));
                    }
                }
            }
            let Some(header) = Header::decode(input, self.role, self.has_deflate())? else {
                return Ok((total - input.len(), None));
            };
            let whole = self.check_frame(&header)?;
            let available = input.len() - header.header_bytes;
            if whole <= available && (header.opcode.is_control() || (header.fin && !self.is_gathering())) {
                let used = total - input.len() + header.header_bytes + whole;
                let payload = &mut mem::take(&mut input)[header.header_bytes..][..whole];
                let payload = header.mask.apply(payload);
                if header.is_deflated {
                    return Ok((used, Some(inflate(self, header.opcode.into(), payload.bytes())?)));
                }
                return Ok((used, Some(self.receive_whole(header.opcode, payload, output)?)));
            }
            if header.opcode.is_control() {
                return Ok((total - input.len(), None));
            }
            self.begin_frame(&header, whole)?;
            input = &mut mem::take(&mut input)[header.header_bytes..];
        }
    }

    /// Checks the order of frames and the limits; returns the size of the payload (§5.4, §10.4).
    #[inline]
    fn check_frame(&self, header: &Header) -> Result<usize, ProtocolError> {
        self.check_frame_in(header, Self::is_gathering)
    }

    /// As [`check_frame`](Self::check_frame); `is_inside` tells whether a message is in flight.
    #[inline]
    pub(super) fn check_frame_in(
        &self,
        header: &Header,
        is_inside: impl Fn(&Self) -> bool,
    ) -> Result<usize, ProtocolError> {
        match header.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => return Ok(header.payload_bytes as usize),
            Opcode::Continuation if !is_inside(self) => return Err(ProtocolError::UnexpectedContinuation),
            Opcode::Text | Opcode::Binary if is_inside(self) => return Err(ProtocolError::MessageNotFinished),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        let limits = &self.limits;
        // Compared as u64, so that a length over 2^32 is not cut where usize is smaller.
        if header.payload_bytes > limits.max_frame_bytes as u64 {
            return Err(ProtocolError::FrameTooBig { limit: limits.max_frame_bytes });
        }
        if header.payload_bytes > limits.max_message_bytes as u64 {
            return Err(ProtocolError::MessageTooBig { limit: limits.max_message_bytes });
        }
        Ok(header.payload_bytes as usize)
    }

    /// Starts gathering a data frame that is fragmented or has not come whole.
    #[cold]
    fn begin_frame(&mut self, header: &Header, payload_bytes: usize) -> Result<(), ProtocolError> {
        let held = self.held.get_or_insert_default();
        let begin = || {
            held.has_begun = true;
            Assembler::new(header.opcode.into(), header.is_deflated)
        };
        let assembler = held.message.get_or_insert_with(begin);
        assembler.begin(PartialFrame::new(header, payload_bytes), &self.limits)
    }

    /// A control frame, or a message in one frame: its payload lies in the input.
    #[inline]
    pub(super) fn receive_whole<'a>(
        &mut self,
        opcode: Opcode,
        payload: Unmasked<'a>,
        output: &mut Vec<u8>,
    ) -> Result<Received<'a>, ProtocolError> {
        let bytes = payload.bytes();
        Ok(match opcode {
            Opcode::Text => Received::Text(Cow::Borrowed(payload.text().ok_or(ProtocolError::InvalidUtf8)?)),
            Opcode::Binary | Opcode::Continuation => Received::Binary(Cow::Borrowed(bytes)),
            Opcode::Ping => {
                if self.can_send() {
                    encode_frame(self.role, header::FIN, Opcode::Pong, bytes, output);
                }
                Received::Ping(Cow::Borrowed(bytes))
            }
            Opcode::Pong => Received::Pong(Cow::Borrowed(bytes)),
            Opcode::Close => Received::Close(self.receive_close(bytes, output)?),
        })
    }

    /// Answers a Close with its own code, unless ours is out already (§5.5.1). The first Close received counts (§7.1.5).
    #[cold]
    fn receive_close(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<Option<CloseFrame>, ProtocolError> {
        let frame = CloseFrame::decode(payload)?;
        if self.can_send() {
            self.append_close(frame.as_ref().map(|frame| CloseFrame::from(frame.code())).as_ref(), output);
        }
        self.closing = Closing::Done;
        self.held = None;
        Ok(frame)
    }
}
