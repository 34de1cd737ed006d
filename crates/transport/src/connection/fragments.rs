//! Messages that are not gathered and checked by the core: parts as they arrive, and text as it is.

use wingbeat_websocket::{Fragment, MessageKind, Received, ReceivedFragment};

use crate::connection::reading::Run;
use crate::context::Context;
use crate::handler::Handler;
use crate::message::Message;
use crate::worker::turn::Turn;

impl Turn {
    /// As `deliver_messages`, for connections whose options ask for fragments or for text unchecked.
    pub(crate) fn deliver_fragments(
        &mut self,
        key: usize,
        handler: &mut dyn Handler,
        input: &mut [u8],
        used: &mut usize,
    ) -> Run {
        let (has_fragments, checks_text) = {
            let options = &self.connections[key].options;
            (options.has_fragments, options.checks_text)
        };
        while *used < input.len() {
            self.relieve_cork();
            let start = self.cork.len();
            let connection = &mut self.connections[key];
            if !connection.listens() {
                break;
            }
            let rest = &mut input[*used..];
            let taken = match connection.pool {
                None => connection.protocol.handle_fragment(checks_text, rest, &mut self.cork),
                Some(id) => {
                    let pool = self.pools.get(id);
                    connection.protocol.handle_fragment_with(pool, checks_text, rest, &mut self.cork)
                }
            };
            let (step, received) = match taken {
                Ok((0, _)) => break,
                Ok(taken) => taken,
                Err(error) => return Run::Failed(error),
            };
            *used += step;
            let is_message = matches!(&received, Some(ReceivedFragment::Fragment(fragment)) if fragment.is_final);
            self.figures.now.messages_received += u64::from(is_message);
            self.take_answer(key, start);
            if let Some(ReceivedFragment::Fragment(fragment)) = &received {
                self.figures.now.messages_received += u64::from(fragment.is_final);
            }
            let cx = &mut Context { turn: self, key, input: &[] };
            match received {
                Some(ReceivedFragment::Fragment(fragment)) if has_fragments => handler.handle_fragment(fragment, cx),
                Some(ReceivedFragment::Fragment(fragment)) => cx.join_fragment(&fragment, handler),
                Some(ReceivedFragment::Control(Received::Close(frame))) => return Run::Closed(frame),
                Some(ReceivedFragment::Control(control)) => cx.deliver_control(control, handler),
                None => {}
            }
            self.write_early(key);
            if self.has_pending() {
                return Run::Interrupted;
            }
        }
        Run::Over
    }

    /// What the core has answered lies in the cork from `start` on.
    fn take_answer(&mut self, key: usize, start: usize) {
        if self.cork.len() > start {
            let answer = start as u32..self.cork.len() as u32;
            self.push_control(key, answer);
        }
    }
}

impl Context<'_> {
    fn deliver_control(&mut self, control: Received<'_>, handler: &mut dyn Handler) {
        match control {
            Received::Ping(payload) => handler.handle_ping(&payload, self),
            Received::Pong(payload) if !self.turn.take_pong(self.key, &payload) => handler.handle_pong(&payload, self),
            _ => {}
        }
    }

    /// Gathers a message whose text is not checked; the core has held it to its limits.
    fn join_fragment(&mut self, fragment: &Fragment<'_>, handler: &mut dyn Handler) {
        let connection = &mut self.turn.connections[self.key];
        if fragment.is_first && fragment.is_final {
            return self.deliver_unchecked(fragment.kind, fragment.bytes(), handler);
        }
        let gathered = &mut connection.extra_mut().gathered;
        gathered.extend_from_slice(fragment.bytes());
        if fragment.is_final {
            let message = std::mem::take(gathered);
            connection.extra_mut().message_by = None;
            self.deliver_unchecked(fragment.kind, &message, handler);
        }
    }

    fn deliver_unchecked(&mut self, kind: MessageKind, bytes: &[u8], handler: &mut dyn Handler) {
        match kind {
            MessageKind::Text => handler.handle_unchecked_text(bytes, self),
            MessageKind::Binary => handler.handle_message(Message::Binary(bytes), self),
        }
    }
}
