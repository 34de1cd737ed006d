//! One connection: decoder, assembler, encoder and the closing handshake.

#[cfg(feature = "deflate")]
mod deflating;
mod receiving;
mod sending;
mod streaming;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use self::streaming::Streamed;
use crate::assembler::Assembler;
use crate::close::CloseFrame;
#[cfg(feature = "deflate")]
use crate::deflate::{Contexts, DeflateParams};
use crate::encoder::encode_frame;
use crate::error::ProtocolError;
use crate::header;
use crate::limits::Limits;
use crate::message::MessageKind;
use crate::opcode::Opcode;
use crate::utf8::Pending;

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

/// What a connection keeps on the heap, while there is anything: most connections are idle most of the time.
#[derive(Debug, Default)]
struct Held {
    /// The message in flight.
    message: Option<Assembler>,
    /// The message in flight, where messages are taken in parts.
    streamed: Option<Streamed>,
    /// The message in flight has begun since it was last asked.
    has_begun: bool,
    /// With context takeover, from the handshake on.
    #[cfg(feature = "deflate")]
    contexts: Option<Contexts>,
}

/// One connection as a state machine: bytes in, messages out, and back. It does no IO and knows no clock.
///
/// - `handle_input` takes what the peer sent. Pongs and the answer to a Close are appended to the output it is given.
/// - `send_*`, `close` and `fail` append what we say to the output they are given.
/// - `can_send`, `is_closing` and `is_done` tell how far the closing handshake has come.
///
/// While no message is in flight it owns no heap, but for compression with context takeover.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    role: Role,
    held: Option<Box<Held>>,
    unfinished: Option<Unfinished>,
    closing: Closing,
    /// What has been agreed on, if messages may be compressed.
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
}

impl Connection {
    /// A connection whose opening handshake is over.
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self {
            limits,
            role,
            held: None,
            unfinished: None,
            closing: Closing::Open,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
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
        self.held = None;
    }

    fn append_close(&self, frame: Option<&CloseFrame>, output: &mut Vec<u8>) {
        let mut payload = Vec::new();
        if let Some(frame) = frame.filter(|frame| frame.code().may_travel()) {
            payload.extend_from_slice(&frame.code().value().to_be_bytes());
            payload.extend_from_slice(frame.reason().as_bytes());
        }
        encode_frame(self.role, header::FIN, Opcode::Close, &payload, output);
    }
}
