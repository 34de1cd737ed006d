//! Raw echo on the fast lane: `/` and `/echo` send back what comes; what comes in on `/pub` goes to everyone on `/sub`
//! and, as far as they read, on `/slow`. `/deflate` echoes, too, and compresses.

use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

use axum::serve::ListenerExt;
use clap::{Parser, ValueEnum};
use slab::Slab;
use wingbeat_bench::suite::SLOW_LIMIT_BYTES;
use wingbeat_transport::{
    CheckOrigin, Closed, Config, ConnectionId, Context, DeflateConfig, EncodedMessage, Handler, Listener, Message,
    Server, SocketOptions, TlsConfig, Turn, WebSocket, WhenFull, WorkerId, not_found,
};
use wingbeat_websocket::Limits;

/// Largest frame and message.
const MAX_MESSAGE_BYTES: usize = 32 << 20;
/// Most bytes and messages that may wait for a peer that does not read.
const MAX_OUTPUT: (usize, usize) = (64 << 20, 65_536);

/// Raw echo and fan-out.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4000")]
    listen: SocketAddr,
    /// Workers. Default: one per core.
    #[arg(long, env = "WINGBEAT_THREADS", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How `/` and `/echo` are served.
    #[arg(long, value_enum, default_value = "handler")]
    lane: Lane,
}

/// How a connection is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lane {
    /// By a handler's callbacks.
    Handler,
    /// By a task that receives and sends in a loop.
    Loop,
    /// By a handler's callbacks, over TLS with a certificate that nobody knows.
    Tls,
    /// By a handler's callbacks, mounted in an axum server, which accepts and hands the streams over.
    Axum,
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message.as_message()).await.is_err() {
            return;
        }
    }
}

struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        // A peer that is gone or does not read is closed by the transport.
        let _ = cx.send(message);
    }
}

/// The subscribers of one worker.
#[derive(Default)]
struct Subscribers(RefCell<Slab<ConnectionId>>);

fn deliver(turn: &mut Turn, message: &EncodedMessage) {
    let subscribers: Rc<Subscribers> = turn.local();
    let subscribers = subscribers.0.borrow();
    turn.send_many(subscribers.iter().map(|(_, &id)| id), message);
}

/// One on `/sub`; its place among the subscribers of its worker.
#[derive(Default)]
struct Subscriber(Option<usize>);

impl Handler for Subscriber {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let id = cx.id();
        self.0 = Some(cx.turn().local::<Subscribers>().0.borrow_mut().insert(id));
    }

    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}

    fn handle_close(&mut self, _: Closed, cx: &mut Context<'_>) {
        if let Some(place) = self.0.take() {
            cx.turn().local::<Subscribers>().0.borrow_mut().remove(place);
        }
    }
}

/// One on `/dropped`: says how many messages its worker has dropped for readers that do not read.
struct Counter;

impl Handler for Counter {
    fn handle_message(&mut self, _: Message<'_>, cx: &mut Context<'_>) {
        let dropped = cx.turn().dropped_messages().to_string();
        let _ = cx.send(Message::Text(&dropped));
    }
}

/// One on `/pub`.
struct Publisher;

impl Handler for Publisher {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let message = EncodedMessage::new(message);
        let turn = cx.turn();
        let own = turn.worker();
        let workers = turn.workers().clone();
        deliver(turn, &message);
        let others = workers.ids().filter(|&worker: &WorkerId| worker != own);
        for worker in others {
            let message = message.clone();
            // Fails only if that worker is overrun or has ended: then its subscribers miss the message.
            let _ = workers.run(worker, move |turn| deliver(turn, &message));
        }
    }
}

fn certificate() -> Result<TlsConfig, Box<dyn Error>> {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    Ok(TlsConfig::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes())?)
}

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut config = match arguments.lane {
        Lane::Tls => Config::default().with_listener(Listener::tcp(arguments.listen).with_tls(certificate()?)),
        Lane::Handler | Lane::Loop | Lane::Axum => Config::default().with_listen(arguments.listen),
    };
    if let Some(threads) = arguments.threads {
        config = config.with_threads(usize::from(threads));
    }
    let limits = Limits::DEFAULT.with_max_frame_bytes(MAX_MESSAGE_BYTES).with_max_message_bytes(MAX_MESSAGE_BYTES);
    let (max_output_bytes, max_output_messages) = MAX_OUTPUT;
    let options = SocketOptions::default()
        .with_limits(limits)
        .with_idle_timeout(None)
        .with_max_output(max_output_bytes, max_output_messages)
        .with_check_origin(CheckOrigin::Any);
    let slow =
        options.clone().with_max_output(SLOW_LIMIT_BYTES, max_output_messages).with_when_full(WhenFull::DropOldest);
    // As a public server has it, whose limits a bomb is held against.
    let deflating = options.clone().with_limits(Limits::DEFAULT).with_deflate(DeflateConfig::default());
    let mut server = Server::new(config);
    for path in ["/", "/echo"] {
        server = match arguments.lane {
            Lane::Handler | Lane::Tls | Lane::Axum => server.handler(path, options.clone(), |_| Ok(Echo)),
            Lane::Loop => server.socket(path, options.clone(), echo),
        };
    }
    let server = server
        .handler("/sub", options.clone(), |_| Ok(Subscriber::default()))
        .handler("/deflate", deflating, |_| Ok(Echo))
        .handler("/slow", slow, |_| Ok(Subscriber::default()))
        .handler("/dropped", options.clone(), |_| Ok(Counter))
        .handler("/pub", options, |_| Ok(Publisher));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.lane {
        Lane::Axum => runtime.block_on(serve_axum(server, arguments.listen))?,
        _ => {
            let mut running = server.start(not_found())?;
            println!("listening on {}", running.local_addr());
            runtime.block_on(running.wait());
        }
    }
    Err("every worker has ended".into())
}

/// One thread accepts and speaks HTTP; workers have the connections as soon as they are open.
async fn serve_axum(server: Server, listen: SocketAddr) -> Result<(), Box<dyn Error>> {
    let (mounted, _running) = server.into_service()?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let app: axum::Router = mounted.router();
    Ok(axum::serve(listener, app).await?)
}
