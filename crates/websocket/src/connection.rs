//! One connection: decoder, assembler, encoder and the closing handshake.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem;

use crate::assembler::{Assembler, Progress};
use crate::close::CloseFrame;
use crate::decoder::PartialFrame;
use crate::encoder::{encode_frame, encode_server_frame_with};
use crate::error::{ProtocolError, SendError};
use crate::header::{Header, MAX_SHORT_BYTES, WholeFrame};
use crate::limits::Limits;
use crate::mask::Unmasked;
use crate::message::{MessageKind, Received};
use crate::opcode::Opcode;
use crate::utf8::{self, Pending};

/// Which side of the connection we are.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// Reads masked frames, writes frames without a mask (§5.1).
    Server,
    /// Reads frames without a mask, masks every frame it writes (§5.1).
    Client {
        /// Called once for each frame. The key must be fresh and unpredictable, from a strong source (§5.3, §10.3).
        mask_key: fn() -> [u8; 4],
    },
}

/// How far the closing handshake has come (§7.1).
///
/// ```text
///            close                  Close received
///   Open ───────────────► Sent ────────────────────► Done
///     │ Close received, answered at once               ▲
///     ├────────────────────────────────────────────────┤
///     │ ProtocolError                        fail      │
///     └─────────────────► Failed ──────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// Our Close is out; the peer may still finish what it was saying.
    Sent,
    /// The peer broke the protocol and has not been told.
    Failed,
    /// Both sides have said Close, or the connection has failed. The transport may be dropped.
    Done,
}

/// A fragmented message of ours that is not finished (§5.4).
#[derive(Clone, Copy, Debug)]
struct Unfinished {
    kind: MessageKind,
    pending: Pending,
}

/// One connection as a state machine: bytes in, messages out, and back. It does no IO and knows no clock.
///
/// - `handle_input` takes what the peer sent. Pongs and the answer to a Close are appended to the output it is given.
/// - `send_*`, `close` and `fail` append what we say to the output they are given.
/// - `can_send`, `is_closing` and `is_done` tell how far the closing handshake has come.
///
/// While no message is in flight it owns no heap.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    role: Role,
    /// Boxed, because most connections are idle most of the time.
    assembler: Option<Box<Assembler>>,
    unfinished: Option<Unfinished>,
    closing: Closing,
}

impl Connection {
    /// A connection whose opening handshake is over.
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self { limits, role, assembler: None, unfinished: None, closing: Closing::Open }
    }

    /// Whether a message or Ping may still be sent: no Close of ours is out and the connection has not failed.
    #[inline]
    pub fn can_send(&self) -> bool {
        self.closing == Closing::Open
    }

    /// Whether the closing handshake has begun, or the connection has failed.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.closing != Closing::Open
    }

    /// Whether nothing more is read or written: both sides have said Close, or [`fail`](Self::fail) was called.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.closing == Closing::Done
    }

    /// The limits of what the peer may send.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the limits, from the next frame on. A message in flight that is larger already is refused then.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

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
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Call [`fail`](Self::fail) and hang up.
    #[inline]
    pub fn handle_input<'a>(
        &mut self,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        if self.assembler.is_none()
            && matches!(self.closing, Closing::Open | Closing::Sent)
            && let Some(frame) = WholeFrame::decode(input, self.role)
            && frame.payload_bytes <= self.limits.max_frame_bytes.min(self.limits.max_message_bytes)
        {
            let payload = &mut input[frame.header_bytes..][..frame.payload_bytes];
            let payload = frame.mask.apply(payload);
            let message = match frame.kind {
                MessageKind::Binary => Some(Received::Binary(Cow::Borrowed(payload.bytes()))),
                MessageKind::Text => payload.text().map(|text| Received::Text(Cow::Borrowed(text))),
            };
            return match message {
                Some(message) => Ok((frame.header_bytes + frame.payload_bytes, Some(message))),
                None => Err(self.break_off(ProtocolError::InvalidUtf8)),
            };
        }
        self.handle_any(input, output)
    }

    /// As [`handle_input`](Self::handle_input), for all that is not a message in one frame.
    #[inline(never)]
    fn handle_any<'a>(
        &mut self,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        match self.closing {
            Closing::Open | Closing::Sent => self.receive(input, output).map_err(|error| self.break_off(error)),
            Closing::Failed | Closing::Done => Ok((input.len(), None)),
        }
    }

    /// Nothing further is processed after an `error` (§7.1.7).
    #[cold]
    fn break_off(&mut self, error: ProtocolError) -> ProtocolError {
        self.closing = if self.closing == Closing::Open { Closing::Failed } else { Closing::Done };
        self.assembler = None;
        error
    }

    #[inline]
    fn receive<'a>(
        &mut self,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<Received<'a>>), ProtocolError> {
        let total = input.len();
        let mut input = input;
        loop {
            if let Some(assembler) = &mut self.assembler
                && assembler.is_inside_frame()
            {
                let (progress, rest) = assembler.take(mem::take(&mut input))?;
                input = rest;
                match progress {
                    Progress::Frame => return Ok((total - input.len(), None)),
                    Progress::Fragment => {}
                    Progress::Message => {
                        let message = self.assembler.take().map(|assembler| assembler.finish()).transpose()?;
                        return Ok((total - input.len(), message));
                    }
                }
            }
            let Some(header) = Header::decode(input, self.role)? else { return Ok((total - input.len(), None)) };
            let whole = self.check_frame(&header)?;
            let available = input.len() - header.header_bytes;
            if whole <= available && (header.opcode.is_control() || (header.fin && self.assembler.is_none())) {
                let used = total - input.len() + header.header_bytes + whole;
                let payload = &mut mem::take(&mut input)[header.header_bytes..][..whole];
                let payload = header.mask.apply(payload);
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
        match header.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => return Ok(header.payload_bytes as usize),
            Opcode::Continuation if self.assembler.is_none() => return Err(ProtocolError::UnexpectedContinuation),
            Opcode::Text | Opcode::Binary if self.assembler.is_some() => return Err(ProtocolError::MessageNotFinished),
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
        let kind = if header.opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary };
        let assembler = self.assembler.get_or_insert_with(|| Box::new(Assembler::new(kind)));
        assembler.begin(PartialFrame::new(header, payload_bytes), &self.limits)
    }

    /// A control frame, or a message in one frame: its payload lies in the input.
    #[inline]
    fn receive_whole<'a>(
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
                    encode_frame(self.role, true, Opcode::Pong, bytes, output);
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
        self.assembler = None;
        Ok(frame)
    }

    /// Appends a text message as one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after our Close (F22), [`SendError::MessageNotFinished`] between fragments of ours (F18).
    #[inline]
    pub fn send_text(&mut self, text: &str, output: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_message()?;
        encode_frame(self.role, true, Opcode::Text, text.as_bytes(), output);
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
        encode_frame(self.role, true, Opcode::Binary, bytes, output);
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
                encode_frame(self.role, true, kind.into(), &payload, output);
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
        encode_frame(self.role, is_last, opcode, payload, output);
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
        encode_frame(self.role, true, opcode, payload, output);
        Ok(())
    }

    /// Starts the closing handshake: appends a Close, after which nothing may be sent (§5.5.1). `None`: without a code.
    /// Does nothing if the handshake has begun. The peer may go on sending until it answers.
    pub fn close(&mut self, frame: Option<CloseFrame>, output: &mut Vec<u8>) {
        if self.can_send() {
            self.append_close(frame.as_ref(), output);
            self.closing = Closing::Sent;
        }
    }

    /// Fails the connection (§7.1.7): appends a Close with the code of `error`, once and not after another Close.
    /// Nothing further is read or written.
    pub fn fail(&mut self, error: &ProtocolError, output: &mut Vec<u8>) {
        if matches!(self.closing, Closing::Open | Closing::Failed) {
            self.append_close(Some(&CloseFrame::new(error.close_code(), &error.to_string())), output);
        }
        self.closing = Closing::Done;
        self.assembler = None;
    }

    /// Whether a new message may begin.
    #[inline]
    fn check_message(&self) -> Result<(), SendError> {
        if !self.can_send() {
            return Err(SendError::Closed);
        }
        if self.unfinished.is_some() {
            return Err(SendError::MessageNotFinished);
        }
        Ok(())
    }

    fn append_close(&self, frame: Option<&CloseFrame>, output: &mut Vec<u8>) {
        let mut payload = Vec::new();
        if let Some(frame) = frame.filter(|frame| frame.code().may_travel()) {
            payload.extend_from_slice(&frame.code().value().to_be_bytes());
            payload.extend_from_slice(frame.reason().as_bytes());
        }
        encode_frame(self.role, true, Opcode::Close, &payload, output);
    }
}
