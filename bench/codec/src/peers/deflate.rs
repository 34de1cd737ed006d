//! Those that compress: permessage-deflate without context takeover, windows of 15 bits, level 6. tungstenite,
//! fastwebsockets and tokio-websockets do not.

use std::hint::black_box;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use futures_util::SinkExt as _;
use wingbeat_websocket::deflate::{self, DeflateConfig, DeflatePool};
use wingbeat_websocket::handshake::Extension;
use wingbeat_websocket::{Connection, Limits, Received, Role};
use wtx::collection::Vector;
use wtx::rng::Xorshift64;
use wtx::web_socket::compression::{Flate2, NegotiatedFlate2, WindowBits};
use wtx::web_socket::{
    CompressionLevel, DeflateConfig as WtxConfig, Frame as WtxFrame, OpCode, WebSocketBuffer, WebSocketOwned,
    WebSocketPayloadOrigin,
};
use yawc::{DeflatePool as YawcPool, Frame as YawcFrame, Options, WebSocket};

use super::{Result, at_once};
use crate::pipe::Pipe;

/// What all are built on, without frames.
pub const RAW: &str = "zlib-rs";

const LEVEL: u32 = 6;

/// A server's connection on which compression has been agreed on.
pub trait Deflating {
    /// Reads `count` messages that came compressed, and says how many bytes they were.
    fn receive(&mut self, count: usize) -> Result<usize>;
    /// Sends a text `count` times, compressed.
    fn send(&mut self, text: &str, count: usize) -> Result;
}

/// Opens a connection on the pipe.
pub type OpenDeflating = fn(Pipe) -> Result<Box<dyn Deflating>>;

/// As a worker does it: one pool, one receive buffer.
struct Wingbeat {
    connection: Connection,
    pool: DeflatePool,
    pipe: Pipe,
    input: Box<[u8]>,
    output: Vec<u8>,
}

pub fn wingbeat(pipe: Pipe) -> Result<Box<dyn Deflating>> {
    let config = DeflateConfig::DEFAULT;
    let params = config.accept([Extension { name: deflate::DEFLATE_EXTENSION, params: vec![] }]);
    let mut connection = Connection::new(Role::Server, Limits::DEFAULT);
    connection.set_deflate(params.ok_or("nothing was agreed on")?, None);
    let (pool, input) = (DeflatePool::new(config), vec![0; 128 << 10].into());
    Ok(Box::new(Wingbeat { connection, pool, pipe, input, output: Vec::new() }))
}

impl Deflating for Wingbeat {
    fn receive(&mut self, count: usize) -> Result<usize> {
        let (mut left, mut bytes) = (count, 0);
        while left > 0 {
            let filled = self.pipe.fill(&mut self.input);
            let mut input = &mut self.input[..filled];
            while !input.is_empty() {
                let (used, received) = self.connection.handle_input_with(&mut self.pool, input, &mut self.output)?;
                if let Some(Received::Text(text)) = &received {
                    bytes += black_box(text).len();
                    left -= 1;
                }
                drop(received);
                input = &mut input[used..];
            }
        }
        Ok(bytes)
    }

    fn send(&mut self, text: &str, count: usize) -> Result {
        for _ in 0..count {
            let (pool, output) = (&mut self.pool, &mut self.output);
            self.connection.send_text_with(text, deflate::Compression::Always, pool, output)?;
        }
        self.pipe.put(&self.output)?;
        self.output.clear();
        Ok(())
    }
}

struct Wtx {
    socket: WebSocketOwned<Option<NegotiatedFlate2>, Xorshift64, Pipe, false>,
    buffer: Vector<u8>,
    text: Vec<u8>,
}

pub fn wtx(pipe: Pipe) -> Result<Box<dyn Deflating>> {
    let config = WtxConfig {
        client_max_window_bits: WindowBits::Fifteen,
        compression_level: CompressionLevel::Six,
        server_max_window_bits: WindowBits::Fifteen,
    };
    let offer: [&[u8]; 2] = [b"sec-websocket-extensions", b"permessage-deflate"];
    let negotiated = wtx::web_socket::Compression::<false>::negotiate(Flate2::from(config), [offer].into_iter())?;
    let socket = WebSocketOwned::new(negotiated, false, Xorshift64::new(1), pipe, WebSocketBuffer::new());
    Ok(Box::new(Wtx { socket, buffer: Vector::new(), text: Vec::new() }))
}

impl Deflating for Wtx {
    fn receive(&mut self, count: usize) -> Result<usize> {
        let Self { socket, buffer, .. } = self;
        at_once(async {
            let mut bytes = 0;
            for _ in 0..count {
                buffer.clear();
                let frame = socket.read_frame(buffer, WebSocketPayloadOrigin::Adaptive).await?;
                bytes += black_box(frame.payload()).len();
            }
            Ok(bytes)
        })
    }

    fn send(&mut self, text: &str, count: usize) -> Result {
        let Self { socket, text: payload, .. } = self;
        at_once(async {
            for _ in 0..count {
                // It wants its payload mutable.
                payload.clear();
                payload.extend_from_slice(text.as_bytes());
                socket.write_frame(&mut WtxFrame::new_fin(OpCode::Text, &mut payload[..])).await?;
            }
            Ok(())
        })
    }
}

struct Yawc(WebSocket<Pipe>);

pub fn yawc(pipe: Pipe) -> Result<Box<dyn Deflating>> {
    let options = Options::default()
        .with_compression_level(Compression::new(LEVEL))
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_compression_threshold(0)
        .with_deflate_pool(YawcPool::new(4))
        .with_utf8();
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let socket = WebSocket::from_stream_with_extensions(pipe, yawc::Role::Server, Some(agreed), options)?;
    Ok(Box::new(Yawc(socket)))
}

impl Deflating for Yawc {
    fn receive(&mut self, count: usize) -> Result<usize> {
        at_once(async {
            let mut bytes = 0;
            for _ in 0..count {
                bytes += black_box(self.0.next_frame().await?).payload().len();
            }
            Ok(bytes)
        })
    }

    fn send(&mut self, text: &str, count: usize) -> Result {
        at_once(async {
            for _ in 0..count {
                self.0.feed(YawcFrame::text(text.to_owned())).await?;
            }
            Ok(self.0.flush().await?)
        })
    }
}

/// Compresses the message, each time on its own.
pub fn raw_deflate(message: Vec<u8>) -> impl FnMut() -> Result {
    let mut deflater = Compress::new(Compression::new(LEVEL), false);
    let mut output = vec![0; message.len() + 64];
    move || {
        deflater.reset();
        deflater.compress(black_box(&message), &mut output, FlushCompress::Sync)?;
        black_box(&output);
        Ok(())
    }
}

/// Inflates the message, each time on its own.
pub fn raw_inflate(message: Vec<u8>) -> impl FnMut() -> Result {
    let mut deflated = Vec::with_capacity(message.len() + 64);
    let mut deflater = Compress::new(Compression::new(LEVEL), false);
    deflater.compress_vec(&message, &mut deflated, FlushCompress::Sync).expect("there is room");
    let mut inflater = Decompress::new(false);
    let mut output = vec![0; message.len()];
    move || {
        inflater.reset(false);
        inflater.decompress(black_box(&deflated), &mut output, FlushDecompress::Sync)?;
        black_box(&output);
        Ok(())
    }
}
