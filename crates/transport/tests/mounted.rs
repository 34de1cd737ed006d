//! Mounts in other servers: axum, hyper, hyper-util, and streams that are no sockets.

mod support;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, OriginalUri};
use axum::routing::get;
use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use support::{BINARY, Event, FIN, PATIENCE, Peer, TEXT, echo, eventually, masked, options, probe, upgrade, wait_for};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use wingbeat_transport::{
    Cause, CheckOrigin, Config, Context, Handler, Message, Mounted, Request, Running, Server, SocketOptions,
};
use wingbeat_websocket::CloseCode;

/// A server of somebody else's, on a thread of its own.
fn foreign<F, Fut>(serve: F) -> SocketAddr
where
    F: FnOnce(TcpListener) -> Fut + Send + 'static,
    Fut: Future<Output = ()>,
{
    let (told, addr) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            told.send(listener.local_addr().expect("an address")).expect("the test waits");
            serve(listener).await;
        });
    });
    addr.recv_timeout(PATIENCE).expect("it listens")
}

fn axum_server(app: Router) -> SocketAddr {
    foreign(|listener| async { axum::serve(listener, app).await.expect("it serves") })
}

/// Each connection that is accepted, in a task.
async fn each<Fut: Future<Output = ()> + 'static>(listener: TcpListener, serve: impl Fn(TcpStream) -> Fut) {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::task::spawn_local(serve(stream));
            }
        })
        .await;
}

fn workers(count: usize) -> Config {
    Config::default().with_threads(count)
}

/// An echo at `/ws`, without a listener.
fn echoing(options: SocketOptions) -> (Mounted, Running, support::Events) {
    let (open, events) = probe(echo);
    let (mounted, running) = Server::new(workers(1)).handler("/ws", options, open).into_service().expect("workers");
    (mounted, running, events)
}

fn stop(running: Running) {
    wait_for(running.shutdown(CloseCode::GOING_AWAY, "", Duration::ZERO));
}

/// Tells where its peer is, as the stream below knows and as the request did, and the paths that the request was for.
struct Whereabouts {
    asked: String,
}

impl Handler for Whereabouts {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let text = format!("{:?} {}", cx.peer_addr(), self.asked);
        let _ = cx.send(Message::Text(&text));
    }

    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}
}

fn whereabouts(request: &Request) -> Result<Whereabouts, http::Response<Bytes>> {
    let original = request.head.extensions.get::<OriginalUri>().map(|uri| uri.path().to_owned());
    let asked = format!("{:?} {} {original:?} {:?}", request.peer_addr, request.head.uri.path(), request.path_params);
    Ok(Whereabouts { asked })
}

#[test]
fn an_axum_server_with_layers_and_routes_of_its_own() {
    let (mounted, running, events) = echoing(options().with_check_origin(CheckOrigin::SameHost));
    let seen = Arc::new(AtomicUsize::new(0));
    let counting = seen.clone();
    let layer = axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
        counting.fetch_add(1, Ordering::Relaxed);
        next.run(request)
    });
    let app = Router::new().route("/", get(|| async { "a page" })).merge(mounted.router::<()>()).layer(layer);
    let addr = axum_server(app);
    let mut peer = Peer::open(addr, "/ws");
    peer.send_text("hello");
    assert_eq!(peer.recv_text(), "hello");
    assert_eq!(running.connections(), 1);
    let page = Peer::connect(addr).ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((page.status, page.body.as_str()), (200, "a page"));
    let mut other = Peer::connect(addr);
    assert_eq!(other.ask(&upgrade("/ws", addr, "Origin: http://elsewhere\r\n")).status, 403);
    assert_eq!(other.ask("GET /ws HTTP/1.1\r\nHost: h\r\n\r\n").status, 426);
    assert_eq!(other.ask(&upgrade("/elsewhere", addr, "")).status, 404);
    // After all that the connection may still become a WebSocket.
    assert_eq!(other.ask(&upgrade("/ws", addr, "")).status, 101);
    other.send_text("at last");
    assert_eq!(other.recv_text(), "at last");
    assert_eq!(seen.load(Ordering::Relaxed), 6, "layers see the requests for mounts");
    peer.close(1000, "");
    peer.expect_close(1000);
    peer.expect_fin();
    drop(peer);
    assert!(matches!(events.next(), Event::Opened(_)));
    eventually("its seat is free", || running.connections() == 1);
    stop(running);
}

#[test]
fn an_axum_server_on_a_unix_socket() {
    let (mounted, running, events) = echoing(options());
    let directory = std::env::temp_dir().join(format!("wingbeat-mounted-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("axum.sock");
    let (told, listens) = std::sync::mpsc::channel();
    let app: Router = mounted.router();
    std::thread::spawn({
        let path = path.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::bind(path).expect("a socket");
                told.send(()).expect("the test waits");
                axum::serve(listener, app).await.expect("it serves");
            });
        }
    });
    listens.recv_timeout(PATIENCE).expect("it listens");
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("someone listens");
    let addr = SocketAddr::from(([127, 0, 0, 1], 80));
    let text = masked(FIN | TEXT, b"by file");
    io::Write::write_all(&mut stream, &[upgrade("/ws", addr, "").as_bytes(), &text].concat()).expect("taken");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x81\x07by file") {
        let mut byte = [0];
        let read = io::Read::read_exact(&mut stream, &mut byte);
        assert!(read.is_ok(), "{read:?} after {}", answer.escape_ascii());
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    drop(stream);
    assert_eq!(events.until_closed().code.value(), 1006);
    std::fs::remove_dir_all(directory).expect("ours");
    stop(running);
}

#[test]
fn nested_the_paths_are_relative() {
    let server = Server::new(workers(1)).handler("/rooms/:room", options(), whereabouts);
    let (mounted, running) = server.into_service().expect("workers");
    let app: Router = Router::new().nest("/api/v1", mounted.router());
    let addr = axum_server(app);
    let mut peer = Peer::open(addr, "/api/v1/rooms/7");
    let own = peer.stream.local_addr().expect("an address");
    let expected = format!("Some({own}) None /rooms/7 Some(\"/api/v1/rooms/7\") [(\"room\", \"7\")]");
    assert_eq!(peer.recv_text(), expected, "the socket itself was taken out: it knows its peer");
    assert_eq!(Peer::connect(addr).ask(&upgrade("/rooms/7", addr, "")).status, 404);
    stop(running);
}

#[test]
fn a_router_with_state_that_knows_its_peers() {
    let server = Server::new(workers(1)).handler("/ws", options(), whereabouts);
    let (mounted, running) = server.into_service().expect("workers");
    let page = |state: axum::extract::State<&'static str>, peer: ConnectInfo<SocketAddr>| async move {
        format!("{} {}", state.0, peer.0.ip())
    };
    let app = Router::new().route("/", get(page)).merge(mounted.router()).with_state("state");
    let addr = foreign(|listener| async {
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.expect("it serves");
    });
    let mut peer = Peer::open(addr, "/ws");
    let own = peer.stream.local_addr().expect("an address");
    assert_eq!(peer.recv_text(), format!("Some({own}) Some({own}) /ws Some(\"/ws\") []"));
    assert_eq!(Peer::connect(addr).ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").body, "state 127.0.0.1");
    stop(running);
}

#[test]
fn plain_hyper_and_what_came_with_the_request() {
    let (mounted, running, _events) = echoing(options());
    let addr = foreign(|listener| {
        each(listener, move |stream| {
            let service = TowerToHyperService::new(mounted.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            async { drop(connection.await) }
        })
    });
    let mut peer = Peer::connect(addr);
    let early = [masked(FIN | TEXT, b"early"), masked(FIN | TEXT, b"bird")].concat();
    peer.write(&[upgrade("/ws", addr, "").as_bytes(), &early[..early.len() - 3]].concat());
    assert_eq!(peer.response().status, 101);
    assert_eq!(peer.recv_text(), "early");
    peer.write(&early[early.len() - 3..]);
    assert_eq!(peer.recv_text(), "bird");
    stop(running);
}

#[test]
fn hyper_util_in_both_versions_of_http() {
    let server = Server::new(workers(2)).handler("/ws", options(), whereabouts);
    let (mounted, running) = server.into_service().expect("workers");
    let addr = foreign(|listener| {
        each(listener, move |stream| {
            let service = TowerToHyperService::new(mounted.clone());
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().enable_connect_protocol();
            async move { drop(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await) }
        })
    });
    let mut peer = Peer::open(addr, "/ws");
    let own = peer.stream.local_addr().expect("an address");
    assert_eq!(peer.recv_text(), format!("Some({own}) None /ws None []"), "taken out of hyper-util's wrapper");
    let text = wait_for(over_http2(addr, "first"));
    assert_eq!(text, "None None /ws None []", "a stream of HTTP/2 has no address of its own");
    stop(running);
}

#[test]
fn plain_hyper_over_http2() {
    let (mounted, running, events) = echoing(options());
    let addr = foreign(|listener| {
        each(listener, move |stream| {
            let service = TowerToHyperService::new(mounted.clone());
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let connection = builder.enable_connect_protocol().serve_connection(TokioIo::new(stream), service);
            async { drop(connection.await) }
        })
    });
    assert_eq!(wait_for(over_http2(addr, "hello over there")), "hello over there");
    assert!(matches!(events.next(), Event::Opened(_)));
    assert_eq!(events.text(), "hello over there");
    let closed = events.closed();
    assert!(matches!(closed.cause, Cause::Lost | Cause::Io(_)), "{closed:?}");
    stop(running);
}

#[test]
fn axum_over_http2() {
    let (mounted, running, _events) = echoing(options());
    let app: Router = Router::new().nest("/nested", mounted.router()).merge(mounted.router());
    assert_eq!(wait_for(over_http2(axum_server(app), "hello through axum")), "hello through axum");
    stop(running);
}

/// Opens a WebSocket at `/ws` over HTTP/2, says something and tells the first text that comes.
async fn over_http2(addr: SocketAddr, text: &str) -> String {
    let stream = TcpStream::connect(addr).await.expect("someone listens");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    while !client.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    let request = http::Request::builder()
        .method(http::Method::CONNECT)
        .uri(format!("http://{addr}/ws"))
        .extension(h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let mut client = client.ready().await.expect("room for a stream");
    let request = request.body(()).expect("a good request");
    let (response, mut output) = client.send_request(request, false).expect("a good request");
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), 200);
    output.send_data(masked(FIN | TEXT, text.as_bytes()).into(), false).expect("open");
    let mut input = response.into_body();
    let mut frame = Vec::new();
    while frame.len() < 2 || frame.len() < 2 + usize::from(frame[1]) {
        frame.extend_from_slice(&input.data().await.expect("more").expect("no reset"));
    }
    String::from_utf8(frame[2..].to_vec()).expect("text")
}

/// A stream that nothing is known of, and that gives and takes only a few bytes at a time.
struct Opaque {
    stream: TcpStream,
    most: usize,
}

impl AsyncRead for Opaque {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut piece = vec![0; self.most.min(buffer.remaining())];
        let mut part = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        assert!(!part.filled().ends_with(b"PANIC"), "as the peer wishes");
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Opaque {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let most = self.most.min(bytes.len());
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A server over streams that cannot be taken out.
fn opaque_server(mounted: Mounted, most: usize) -> SocketAddr {
    foreign(move |listener| {
        each(listener, move |stream| {
            let service = TowerToHyperService::new(mounted.clone());
            let io = TokioIo::new(Opaque { stream, most });
            let connection = http1::Builder::new().serve_connection(io, service).with_upgrades();
            async { drop(connection.await) }
        })
    })
}

#[test]
fn streams_that_cannot_be_taken_out_are_polled() {
    let (mounted, running, events) = echoing(options());
    let addr = opaque_server(mounted, 7);
    let mut peer = Peer::open(addr, "/ws");
    peer.send_text("a few bytes at a time");
    assert_eq!(peer.recv_text(), "a few bytes at a time");
    let long = vec![0xA5; 300_000];
    peer.send(Message::Binary(&long));
    assert!(peer.recv_binary() == long);
    peer.close(4000, "enough");
    peer.expect_close(4000);
    peer.expect_fin();
    drop(peer);
    let closed = events.until_closed();
    assert_eq!((closed.code.value(), closed.reason.as_str(), closed.cause), (4000, "enough", Cause::Peer));
    for way in [Peer::reset, drop] {
        way(Peer::open(addr, "/ws"));
        let closed = events.until_closed();
        assert_eq!(closed.code.value(), 1006);
        assert!(matches!(closed.cause, Cause::Lost | Cause::Io(_)), "{closed:?}");
    }
    eventually("no seat is left", || running.connections() == 0);
    stop(running);
}

#[test]
fn a_polled_peer_that_does_not_read_is_closed_and_frees_what_it_held() {
    let (open, events) = probe(|message, cx: &mut Context<'_>| while cx.send(message).is_ok() {});
    let options = options().with_max_output(256 << 10, 1024).with_close_timeout(Duration::from_millis(50));
    let server = Server::new(workers(1)).handler("/ws", options, open);
    let (mounted, running) = server.into_service().expect("workers");
    let addr = opaque_server(mounted, usize::MAX);
    let mut peer = Peer::open(addr, "/ws");
    peer.send(Message::Binary(&[1; 8 << 10]));
    assert_eq!(events.until_closed().cause, Cause::SlowConsumer);
    eventually("no seat is left", || running.connections() == 0);
    stop(running);
}

#[test]
fn a_polled_peer_gets_everything_in_order_however_slowly_it_reads() {
    let many = |_: Message<'_>, cx: &mut Context<'_>| {
        for count in 0..2_000_u32 {
            let _ = cx.send(Message::Binary(&count.to_be_bytes().repeat(512)));
        }
    };
    let (open, _events) = probe(many);
    let server = Server::new(workers(1)).handler("/ws", options().with_max_output(8 << 20, 1 << 20), open);
    let (mounted, running) = server.into_service().expect("workers");
    let mut peer = Peer::open(opaque_server(mounted, 1000), "/ws");
    peer.write(&masked(FIN | BINARY, b"go"));
    for count in 0..2_000_u32 {
        assert!(peer.recv_binary() == count.to_be_bytes().repeat(512), "message {count}");
    }
    stop(running);
}

#[test]
fn a_stream_that_panics_ends_its_own_connection() {
    let (mounted, running, events) = echoing(options());
    let addr = opaque_server(mounted, usize::MAX);
    let (mut good, mut bad) = (Peer::open(addr, "/ws"), Peer::open(addr, "/ws"));
    bad.write(b"PANIC");
    assert_eq!(events.until_closed().cause, Cause::Io(io::ErrorKind::Other));
    good.send_text("still here");
    assert_eq!(good.recv_text(), "still here");
    stop(running);
}

#[test]
fn shut_down_every_connection_is_told_and_no_other_opens() {
    let (mounted, running, _events) = echoing(options());
    let app: Router = mounted.router();
    let (addr, opaque) = (axum_server(app), opaque_server(mounted, usize::MAX));
    let peers = [Peer::open(addr, "/ws"), Peer::open(opaque, "/ws")];
    let workers = running.workers().clone();
    let stopping = std::thread::spawn(|| wait_for(running.shutdown(CloseCode::SERVICE_RESTART, "", PATIENCE)));
    for mut peer in peers {
        peer.expect_close(1012);
        peer.expect_fin();
    }
    stopping.join().expect("the workers end when the last connection has");
    assert!(workers.run_everywhere(|_| {}).is_err());
    assert_eq!(Peer::connect(addr).ask(&upgrade("/ws", addr, "")).status, 503);
}

#[test]
fn connections_are_shared_out_and_counted() {
    let (open, events) = probe(echo);
    let server = Server::new(workers(3).with_max_connections(6)).handler("/ws", options(), open);
    let (mounted, running) = server.into_service().expect("workers");
    let addr = axum_server(mounted.router());
    let mut peers: Vec<_> = (0..6).map(|_| Peer::open(addr, "/ws")).collect();
    let mut by_worker = [0; 3];
    for _ in &peers {
        by_worker[events.opened().id().worker().index()] += 1;
    }
    assert_eq!(by_worker, [2; 3]);
    assert_eq!(Peer::connect(addr).ask(&upgrade("/ws", addr, "")).status, 503);
    peers.pop();
    eventually("a seat is free", || running.connections() == 5);
    let _seventh = Peer::open(addr, "/ws");
    stop(running);
}
