//! Messages of any size, in both directions: `cargo run --example stream`, then a client at `ws://127.0.0.1:4000/up`,
//! which is told how much it has sent, or at `/down/100`, which gets that many megabytes in one message.

use std::net::SocketAddr;

use wingbeat::transport::{
    Config, Context, Error, Fragment, Handler, Limits, Message, MessageKind, Running, Server, SocketOptions,
    StatusCode, WebSocket, not_found, refuse,
};

/// Counts what comes, as it comes: nothing is gathered.
#[derive(Default)]
struct Upload {
    bytes: u64,
}

impl Handler for Upload {
    /// Messages come in fragments here.
    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}

    fn handle_fragment(&mut self, fragment: Fragment<'_>, cx: &mut Context<'_>) {
        self.bytes += fragment.bytes().len() as u64;
        if fragment.is_final {
            let _ = cx.send(Message::Text(&format!("{} bytes", self.bytes)));
            self.bytes = 0;
        }
    }
}

/// Sends one message of many megabytes; each fragment waits until the peer has room for it.
async fn download(socket: WebSocket, megabytes: u32) {
    let mut stream = socket.stream(MessageKind::Binary);
    for megabyte in 0..megabytes {
        if stream.send(vec![megabyte as u8; 1 << 20]).await.is_err() {
            return;
        }
    }
    let _ = stream.finish("").await;
}

/// Starts the server and returns.
pub(crate) fn start(listen: SocketAddr) -> Result<Running, Error> {
    let unlimited = Limits::DEFAULT
        .with_max_frame_bytes(usize::MAX)
        .with_max_message_bytes(usize::MAX)
        .with_max_fragments(u32::MAX);
    let upload = SocketOptions::default().with_fragments(true).with_limits(unlimited);
    Server::new(Config::default().with_listen(listen))
        .handler("/up", upload, |_| Ok(Upload::default()))
        .handler("/down/:megabytes", SocketOptions::default(), |request| {
            match request.path_param("megabytes").and_then(|megabytes| megabytes.parse().ok()) {
                Some(megabytes) => Ok(WebSocket::handler(move |socket| download(socket, megabytes))),
                None => Err(refuse(StatusCode::BAD_REQUEST, "how many megabytes?")),
            }
        })
        .start(not_found())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut running = start(SocketAddr::from(([127, 0, 0, 1], 4000)))?;
    println!("ws://{}/up and /down/100", running.local_addr());
    running.wait().await;
    Ok(())
}
