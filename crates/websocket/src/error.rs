//! What goes wrong, and whose fault it is: the peer's ([`ProtocolError`]) or ours ([`SendError`]).

use crate::close::CloseCode;

/// The peer broke the protocol or a limit. Fatal: say so with [`Connection::fail`](crate::Connection::fail), then hang
/// up (§7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set though no extension gives it a meaning there. The value is the first byte of the frame.
    #[error("reserved bits are set in the first byte {0:#04x} that have no meaning there (RFC 6455 §5.2)")]
    ReservedBits(u8),
    /// The opcode is one of 3-7 or 11-15.
    #[error("opcode {0:#x} is reserved (RFC 6455 §5.2)")]
    ReservedOpcode(u8),
    /// A client's frame came without a mask.
    #[error("a client's frame is not masked (RFC 6455 §5.1)")]
    NotMasked,
    /// A server's frame came with a mask.
    #[error("a server's frame is masked (RFC 6455 §5.1)")]
    Masked,
    /// The length would have fitted into fewer bytes.
    #[error("length {0} is not in its shortest form (RFC 6455 §5.2)")]
    LengthNotMinimal(u64),
    /// The top bit of the 64-bit length is set.
    #[error("length {0:#x} has its top bit set (RFC 6455 §5.2)")]
    LengthOverflow(u64),
    /// A control frame carries more than 125 bytes.
    #[error("a control frame carries more than 125 bytes (RFC 6455 §5.5)")]
    ControlTooLong,
    /// A control frame has no FIN.
    #[error("a control frame is fragmented (RFC 6455 §5.5)")]
    ControlFragmented,
    /// A continuation came without a message to go on with.
    #[error("a continuation frame without a message to continue (RFC 6455 §5.4)")]
    UnexpectedContinuation,
    /// A text or binary frame came before the last message had ended.
    #[error("a new message before the last one ended (RFC 6455 §5.4)")]
    MessageNotFinished,
    /// The frame is larger than [`Limits::max_frame_bytes`](crate::Limits::max_frame_bytes).
    #[error("a frame of more than {limit} bytes (RFC 6455 §10.4)")]
    FrameTooBig {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The message is larger than [`Limits::max_message_bytes`](crate::Limits::max_message_bytes).
    #[error("a message of more than {limit} bytes (RFC 6455 §10.4)")]
    MessageTooBig {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The message came in more frames than [`Limits::max_fragments`](crate::Limits::max_fragments).
    #[error("a message in more than {limit} fragments (RFC 6455 §10.4)")]
    TooManyFragments {
        /// The limit, in frames.
        limit: u32,
    },
    /// A text message is not UTF-8, also across fragments.
    #[error("a text message is not UTF-8 (RFC 6455 §8.1)")]
    InvalidUtf8,
    /// A compressed message is not a DEFLATE stream, or ends within one.
    #[error("a compressed message does not inflate (RFC 7692 §7.2.2)")]
    InvalidDeflate,
    /// A compressed message became too many times as large as it came.
    #[error("a compressed message is more than {limit} times as large as it came")]
    RatioTooHigh {
        /// The limit, a factor.
        limit: u32,
    },
    /// A Close carries one byte: half a code.
    #[error("a Close carries one byte, neither nothing nor a code (RFC 6455 §5.5.1)")]
    CloseTooShort,
    /// A Close carries a code that must not travel.
    #[error("close code {0} must not be sent (RFC 6455 §7.4)")]
    InvalidCloseCode(u16),
    /// The reason of a Close is not UTF-8.
    #[error("the reason of a Close is not UTF-8 (RFC 6455 §5.5.1, §8.1)")]
    InvalidCloseReason,
}

impl ProtocolError {
    /// The code to close with (§7.4.1). No `_` arm: a new variant must choose.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::ReservedBits(_)
            | Self::ReservedOpcode(_)
            | Self::NotMasked
            | Self::Masked
            | Self::LengthNotMinimal(_)
            | Self::LengthOverflow(_)
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::UnexpectedContinuation
            | Self::MessageNotFinished
            | Self::CloseTooShort
            | Self::InvalidCloseCode(_) => CloseCode::PROTOCOL_ERROR,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } | Self::RatioTooHigh { .. } => CloseCode::TOO_BIG,
            Self::TooManyFragments { .. } => CloseCode::POLICY,
            Self::InvalidUtf8 | Self::InvalidCloseReason | Self::InvalidDeflate => CloseCode::INVALID_PAYLOAD,
        }
    }
}

/// We asked for something that may not be sent. Nothing was appended to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing follows our Close (§5.5.1), and nothing is said on a failed connection (§7.1.7).
    #[error("the connection is closed for sending")]
    Closed,
    /// A fragmented message of ours is unfinished; only its own fragments and control frames may follow (§5.4).
    #[error("a fragmented message has not been finished")]
    MessageNotFinished,
    /// A Ping or Pong carries at most 125 bytes (§5.5).
    #[error("a control frame carries at most 125 bytes")]
    ControlTooLong,
    /// The bytes given as text are not UTF-8 (§5.6).
    #[error("text must be UTF-8")]
    InvalidUtf8,
}
