//! Messages taken in parts, as they arrive: nothing is gathered, so their size needs no limit.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use super::{Closing, Connection};
use crate::decoder::PartialFrame;
#[cfg(feature = "deflate")]
use crate::deflate::{DeflateConfig, DeflatePool, InflateStream};
use crate::error::ProtocolError;
use crate::fragment::{Data, Fragment, ReceivedFragment};
use crate::header::{Header, WholeFrame};
use crate::limits::Limits;
use crate::mask::Unmasked;
use crate::message::MessageKind;
use crate::utf8::{Invalid, Pending};

/// Compressed bytes inflated at once. They become at most 1,032 times as many, so this bounds a part.
#[cfg(feature = "deflate")]
const MAX_DEFLATED_BYTES: usize = 1 << 10;

/// What parts are inflated with; nothing where there is no compression.
#[cfg(feature = "deflate")]
pub(super) type Pool = DeflatePool;
#[cfg(not(feature = "deflate"))]
pub(super) type Pool = ();

/// The message in flight, of which nothing is kept but a character's beginning.
#[derive(Debug)]
pub(super) struct Streamed {
    kind: MessageKind,
    /// A part of it has been handed up.
    has_begun: bool,
    fragments: u32,
    /// Announced so far.
    payload_bytes: usize,
    frame: Option<PartialFrame>,
    pending: Pending,
    #[cfg(feature = "deflate")]
    inflating: Option<InflateStream>,
}

impl Connection {
    /// As [`handle_input`](Self::handle_input), but messages are handed up in parts, as they arrive; for one connection
    /// use one or the other. Nothing is kept of a part but the beginning of a character, so limits may be as high as one
    /// likes: with `usize::MAX` and `u32::MAX` a message may go on for ever.
    ///
    /// `checks_text`: a part of a text is whole characters, and text is refused at the first byte that makes it
    /// impossible. Without it text is taken as it comes, and [`Fragment::text`] gives none.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Call [`fail`](Self::fail) and hang up.
    pub fn handle_fragment<'a>(
        &mut self,
        checks_text: bool,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<ReceivedFragment<'a>>), ProtocolError> {
        #[allow(clippy::let_unit_value, reason = "there is a pool where there is compression")]
        let mut pool = Pool::default();
        self.handle_fragment_in(&mut pool, checks_text, input, output)
    }

    pub(super) fn handle_fragment_in<'a>(
        &mut self,
        pool: &mut Pool,
        checks_text: bool,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<ReceivedFragment<'a>>), ProtocolError> {
        if matches!(self.closing, Closing::Failed | Closing::Done) {
            return Ok((input.len(), None));
        }
        if !self.is_streaming()
            && let Some(frame) = WholeFrame::decode(input, self.role)
            && self.allows_whole(frame)
        {
            let used = frame.header_bytes + frame.payload_bytes;
            let payload = frame.mask.apply(&mut input[frame.header_bytes..used]);
            return match whole(frame.kind, payload, checks_text) {
                Some(fragment) => Ok((used, Some(ReceivedFragment::Fragment(fragment)))),
                None => Err(self.break_off(ProtocolError::InvalidUtf8)),
            };
        }
        self.receive_fragment(pool, checks_text, input, output).map_err(|error| self.break_off(error))
    }

    fn is_streaming(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.streamed.is_some())
    }

    fn receive_fragment<'a>(
        &mut self,
        pool: &mut Pool,
        checks_text: bool,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<ReceivedFragment<'a>>), ProtocolError> {
        let total = input.len();
        let mut input = input;
        loop {
            if let Some(held) = &mut self.held
                && let Some(streamed) = &mut held.streamed
                && streamed.frame.is_some()
            {
                let (fragment, rest) = streamed.take(mem::take(&mut input), checks_text, (&self.limits, pool))?;
                input = rest;
                if fragment.as_ref().is_some_and(|fragment| fragment.is_final) {
                    self.end_streamed(pool);
                }
                if fragment.is_some() || input.is_empty() {
                    return Ok((total - input.len(), fragment.map(ReceivedFragment::Fragment)));
                }
                continue;
            }
            let Some(header) = Header::decode(input, self.role, self.has_deflate())? else {
                return Ok((total - input.len(), None));
            };
            let payload_bytes = self.check_frame_in(&header, Self::is_streaming)?;
            if header.opcode.is_control() {
                if payload_bytes > input.len() - header.header_bytes {
                    return Ok((total - input.len(), None));
                }
                let used = total - input.len() + header.header_bytes + payload_bytes;
                let payload = &mut mem::take(&mut input)[header.header_bytes..][..payload_bytes];
                let control = self.receive_whole(header.opcode, header.mask.apply(payload), output)?;
                return Ok((used, Some(ReceivedFragment::Control(control))));
            }
            self.begin_fragment(&header, payload_bytes, pool)?;
            input = &mut mem::take(&mut input)[header.header_bytes..];
        }
    }

    /// Begins the next frame of the message, if the limits allow it.
    fn begin_fragment(&mut self, header: &Header, payload_bytes: usize, pool: &mut Pool) -> Result<(), ProtocolError> {
        let limits = self.limits;
        if !self.is_streaming() {
            let streamed = Streamed {
                kind: header.opcode.into(),
                has_begun: false,
                fragments: 0,
                payload_bytes: 0,
                frame: None,
                pending: Pending::default(),
                #[cfg(feature = "deflate")]
                inflating: header.is_deflated.then(|| self.begin_inflating(pool)).transpose()?,
            };
            self.held.get_or_insert_default().streamed = Some(streamed);
        }
        #[cfg(not(feature = "deflate"))]
        let () = *pool;
        let Some(streamed) = self.held.as_mut().and_then(|held| held.streamed.as_mut()) else { return Ok(()) };
        // At the top of their range limits are none, and the counters stay there.
        streamed.fragments = streamed.fragments.saturating_add(1);
        if streamed.fragments > limits.max_fragments {
            return Err(ProtocolError::TooManyFragments { limit: limits.max_fragments });
        }
        streamed.payload_bytes = streamed.payload_bytes.saturating_add(payload_bytes);
        if streamed.payload_bytes > limits.max_message_bytes {
            return Err(ProtocolError::MessageTooBig { limit: limits.max_message_bytes });
        }
        streamed.frame = Some(PartialFrame::new(header, payload_bytes));
        Ok(())
    }

    fn end_streamed(&mut self, pool: &mut Pool) {
        let Some(held) = &mut self.held else { return };
        let streamed = held.streamed.take();
        #[cfg(feature = "deflate")]
        {
            if let Some(inflating) = streamed.and_then(|streamed| streamed.inflating) {
                let window = inflating.finish(pool);
                if let Some(contexts) = &mut held.contexts {
                    contexts.history = window;
                }
            }
            if held.contexts.is_some() {
                return;
            }
        }
        #[cfg(not(feature = "deflate"))]
        let _ = (streamed, pool);
        self.held = None;
    }
}

impl Streamed {
    /// Takes what belongs to the open frame off the front of `input`: at most one part. Returns what is left.
    fn take<'a>(
        &mut self,
        input: &'a mut [u8],
        checks_text: bool,
        (limits, pool): (&Limits, &mut Pool),
    ) -> Result<(Option<Fragment<'a>>, &'a mut [u8]), ProtocolError> {
        let most = self.most_bytes();
        let Some(frame) = &mut self.frame else { return Ok((None, input)) };
        let (piece, rest) = frame.take_at_most(most, input);
        let is_over = frame.remaining_bytes() == 0;
        let is_final = is_over && frame.fin;
        if is_over {
            self.frame = None;
        }
        let data = self.read(piece, is_final, checks_text, (limits, pool))?;
        let is_empty = match &data {
            Data::Text(text) => text.is_empty(),
            Data::Bytes(bytes) => bytes.is_empty(),
        };
        if is_empty && !is_final {
            return Ok((None, rest));
        }
        let is_first = !mem::replace(&mut self.has_begun, true);
        Ok((Some(Fragment { kind: self.kind, is_first, is_final, data }), rest))
    }

    /// How much makes the next part at most.
    fn most_bytes(&self) -> usize {
        #[cfg(feature = "deflate")]
        if self.inflating.is_some() {
            return MAX_DEFLATED_BYTES;
        }
        // The end of a cut character is a part of its own: what follows can then be borrowed.
        if self.pending.is_empty() { usize::MAX } else { self.pending.missing_bytes() }
    }

    #[cfg_attr(not(feature = "deflate"), allow(unused_variables))]
    fn read<'a>(
        &mut self,
        piece: Unmasked<'a>,
        is_final: bool,
        checks_text: bool,
        (limits, pool): (&Limits, &mut Pool),
    ) -> Result<Data<'a>, ProtocolError> {
        let checks_text = checks_text && self.kind == MessageKind::Text;
        #[cfg(feature = "deflate")]
        if let Some(inflating) = &mut self.inflating {
            let bytes = inflating.push(piece.bytes(), is_final, limits.max_message_bytes, pool.config())?;
            if checks_text {
                return self.check(&bytes, is_final).map(|text| Data::Text(Cow::Owned(text)));
            }
            return Ok(Data::Bytes(Cow::Owned(bytes)));
        }
        if !checks_text {
            return Ok(Data::Bytes(Cow::Borrowed(piece.bytes())));
        }
        if !self.pending.is_empty() {
            return self.check(piece.bytes(), is_final).map(|text| Data::Text(Cow::Owned(text)));
        }
        let text = match piece.ascii() {
            Some(text) => text,
            None => self.pending.take_whole(piece.bytes()).map_err(|Invalid| ProtocolError::InvalidUtf8)?,
        };
        self.check_end(is_final)?;
        Ok(Data::Text(Cow::Borrowed(text)))
    }

    fn check(&mut self, bytes: &[u8], is_final: bool) -> Result<String, ProtocolError> {
        let mut text = String::with_capacity(bytes.len());
        let pushed = self.pending.push(bytes, |characters| text.push_str(characters));
        pushed.map_err(|Invalid| ProtocolError::InvalidUtf8)?;
        self.check_end(is_final)?;
        Ok(text)
    }

    /// A message must not end inside a character.
    fn check_end(&self, is_final: bool) -> Result<(), ProtocolError> {
        if is_final && !self.pending.is_empty() { Err(ProtocolError::InvalidUtf8) } else { Ok(()) }
    }
}

/// A message that came whole; `None` if it is text that is none.
fn whole(kind: MessageKind, payload: Unmasked<'_>, checks_text: bool) -> Option<Fragment<'_>> {
    let data = match kind {
        MessageKind::Text if checks_text => Data::Text(Cow::Borrowed(payload.text()?)),
        MessageKind::Text | MessageKind::Binary => Data::Bytes(Cow::Borrowed(payload.bytes())),
    };
    Some(Fragment { kind, is_first: true, is_final: true, data })
}

#[cfg(feature = "deflate")]
impl Connection {
    /// As [`handle_fragment`](Self::handle_fragment), and inflates what came compressed as it comes, at most 1 KiB of it
    /// at once, under the limit of messages and that of ratios. While such a message is in flight it has an inflater of
    /// its own: some 80 KiB, its window included.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit. Call [`fail`](Self::fail) and hang up.
    pub fn handle_fragment_with<'a>(
        &mut self,
        pool: &mut DeflatePool,
        checks_text: bool,
        input: &'a mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<(usize, Option<ReceivedFragment<'a>>), ProtocolError> {
        self.handle_fragment_in(pool, checks_text, input, output)
    }

    fn begin_inflating(&mut self, pool: &mut DeflatePool) -> Result<InflateStream, ProtocolError> {
        let peer = self.deflate.map(|params| params.sides(self.role).1);
        let history = self.held.as_mut().and_then(|held| held.take_history());
        let window_bytes = match peer {
            Some(window) => window.bytes(),
            None => 1 << DeflateConfig::MAX_WINDOW_BITS,
        };
        InflateStream::new(pool, history.unwrap_or_default(), window_bytes)
    }
}

#[cfg(feature = "deflate")]
impl super::Held {
    fn take_history(&mut self) -> Option<Vec<u8>> {
        self.contexts.as_mut().map(|contexts| mem::take(&mut contexts.history))
    }
}
