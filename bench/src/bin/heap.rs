//! What an idle connection holds in our heap, lane by lane and piece by piece, after one message.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use wingbeat_bench::heap::{Counting, by_size, watch_this_thread};
use wingbeat_bench::load::idle::{IdleLoad, Lane};
use wingbeat_bench::load::target::Target;
use wingbeat_bench::process::raise_open_files;
use wingbeat_transport::{
    CheckOrigin, Config, Context, Handler, Listener, Message, Running, Server, SocketOptions, TlsConfig, WebSocket,
    Workers, not_found,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Connections before the first look, and at the second; of those between, what each holds is told.
const COUNTS: (usize, usize) = (256, 1024);
/// Fewer of a size than this for each connection are lists that have grown, and the like.
const LEAST_EACH: f64 = 0.009;

struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        // A peer that is gone is closed by the transport.
        let _ = cx.send(message);
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message.as_message()).await.is_err() {
            return;
        }
    }
}

fn options() -> SocketOptions {
    SocketOptions::default().with_check_origin(CheckOrigin::Any)
}

fn handler(config: Config) -> Server {
    Server::new(config).handler("/", options(), |_| Ok(Echo))
}

/// A server of one worker, which is watched.
struct Watched {
    address: SocketAddr,
    _running: Running,
}

impl Watched {
    fn start(server: Server) -> Result<Self, Box<dyn Error>> {
        let running = server.start(not_found())?;
        watch(running.workers());
        Ok(Self { address: running.local_addr(), _running: running })
    }

    /// Mounted: the thread that accepts is watched, too.
    fn mount(server: Server) -> Result<Self, Box<dyn Error>> {
        let (mounted, running) = server.into_service()?;
        watch(running.workers());
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            watch_this_thread();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let app: axum::Router = mounted.router();
                axum::serve(listener, app).await
            })
        });
        Ok(Self { address, _running: running })
    }
}

fn watch(workers: &Workers) {
    for worker in workers.ids() {
        let (told, done) = mpsc::channel();
        let job = move |_: &mut _| {
            watch_this_thread();
            let _ = told.send(());
        };
        if workers.run(worker, job).is_ok() {
            let _ = done.recv_timeout(Duration::from_secs(5));
        }
    }
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    raise_open_files()?;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let plain = || Config::default().with_threads(1).with_listen(listen);
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let tls = TlsConfig::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes())?;
    let secure = Config::default().with_threads(1).with_listener(Listener::tcp(listen).with_tls(tls));
    tell("handler", Watched::start(handler(plain()))?, Lane::Plain)?;
    tell("loop", Watched::start(Server::new(plain()).socket("/", options(), echo))?, Lane::Plain)?;
    tell("TLS", Watched::start(handler(secure))?, Lane::Tls)?;
    tell("HTTP/2, 100 together", Watched::start(handler(plain()))?, Lane::Http2(100))?;
    tell("HTTP/2, alone", Watched::start(handler(plain()))?, Lane::Http2(1))?;
    tell("mounted in axum", Watched::mount(handler(plain()))?, Lane::Plain)
}

fn tell(name: &str, server: Watched, lane: Lane) -> Result<(), Box<dyn Error>> {
    let target = Target { address: server.address, pid: None };
    let (from, to) = COUNTS;
    let load = IdleLoad { path: "/".into(), from, to, is_echoed: true, lane };
    let (before, after) = load.watch(&target, || {
        // What ends an opening handshake may still be under way.
        std::thread::sleep(Duration::from_millis(300));
        Ok(by_size())
    })?;
    let each = |(before, after): (&isize, &isize)| (after - before) as f64 / (to - from) as f64;
    let pieces: Vec<_> =
        before.iter().zip(&after).map(each).enumerate().filter(|(_, each)| *each >= LEAST_EACH).collect();
    let total = pieces.iter().fold(0.0, |total, (size, each)| total + *size as f64 * each);
    println!("{name}: {total:.0} bytes in pieces, beside the place in the slab");
    for (size, each) in pieces {
        println!("    {each:>5.2} x {size:>6}");
    }
    Ok(())
}
