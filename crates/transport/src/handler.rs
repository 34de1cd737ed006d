//! What an application implements: one [`Handler`] per connection.

use std::any::Any;
use std::io::ErrorKind;

use wingbeat_websocket::{CloseCode, Fragment};

use crate::context::Context;
use crate::message::Message;

/// Anything another task wants to tell a handler; see [`Handler::handle_info`].
pub type Info = Box<dyn Any + Send>;

/// What an application does with one connection, in the manner of Cowboy's `cowboy_websocket`.
///
/// The callbacks are synchronous and run on the thread of the connection's worker; what they send leaves in one write
/// at the end of the turn. **A callback that blocks its thread stalls every connection of that worker**: hand long work
/// to a task and come back through [`ConnectionHandle::info`](crate::ConnectionHandle::info).
///
/// A callback that panics ends its own connection with 1011, no other.
pub trait Handler: Send + 'static {
    /// The handshake is answered; the first message may be sent. What was agreed on is in [`Context::subprotocol`] and
    /// [`Context::deflate`].
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// A complete message came, its fragments joined.
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>);

    /// A part of a message came, in place of [`handle_message`](Self::handle_message); only with
    /// [`SocketOptions::has_fragments`](crate::SocketOptions::has_fragments). Parts of one message come in order and one
    /// message after the other; control frames may come between them.
    fn handle_fragment(&mut self, fragment: Fragment<'_>, cx: &mut Context<'_>) {
        let _ = (fragment, cx);
    }

    /// A text came whose UTF-8 has not been checked, in place of [`handle_message`](Self::handle_message); only without
    /// [`SocketOptions::checks_text`](crate::SocketOptions::checks_text).
    fn handle_unchecked_text(&mut self, text: &[u8], cx: &mut Context<'_>) {
        let _ = (text, cx);
    }

    /// A Ping came. Its Pong is sent already, before anything that is sent here.
    fn handle_ping(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        let _ = (payload, cx);
    }

    /// A Pong came, asked for by a Ping of ours or not.
    fn handle_pong(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        let _ = (payload, cx);
    }

    /// Something was sent to the handler by [`ConnectionHandle::info`](crate::ConnectionHandle::info) or
    /// [`Turn::info`](crate::Turn::info).
    fn handle_info(&mut self, info: Info, cx: &mut Context<'_>) {
        let _ = (info, cx);
    }

    /// The connection [was congested](Context::is_congested) and is not any more: half of what makes it so waits, or less.
    /// Called once each time, whether anybody asked or not; here sending goes on that was put off.
    fn handle_drained(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The connection has ended, however it did. Called exactly once, last; nothing can be sent any more.
    fn handle_close(&mut self, closed: Closed, cx: &mut Context<'_>) {
        let _ = (closed, cx);
    }

    /// What it is called when one of its callbacks blocks the worker, in the log and in figures. Default: the name of the
    /// type.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The code of the first Close received (RFC 6455 §7.1.5); 1005 if that had none; if none came, the code that we
    /// sent when we ended it, else 1006.
    pub code: CloseCode,
    /// The reason beside the code; not meant for end users (§5.5.1).
    pub reason: String,
    /// What ended it.
    pub cause: Cause,
}

/// What ended a connection.
///
/// The first one counts: whoever closes is told so even if the peer then hangs up without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The peer began the closing handshake.
    Peer,
    /// The application began it, and the peer answered or its time ran out.
    Local,
    /// The server shuts down, and the application had not closed before.
    Shutdown,
    /// The peer broke a rule of the protocol: 1002.
    Protocol,
    /// The peer sent text that is not UTF-8, or what does not inflate: 1007.
    Encoding,
    /// The peer sent a frame or message that is too large (1009), or a message in too many fragments (1008).
    TooBig,
    /// The peer was silent for longer than the idle timeout.
    Idle,
    /// The peer did not read and its output was full.
    SlowConsumer,
    /// The peer hung up without a Close (§7.1.5: 1006).
    Lost,
    /// The system reported an error, a reset by the peer among them (§7.1.5: 1006).
    Io(ErrorKind),
    /// A callback of the handler panicked.
    Panic,
}
