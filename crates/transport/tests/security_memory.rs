//! What hostile peers may cost a whole server in memory, counted by the allocator: floods of connections, of Pings, of
//! heads and of messages that never end. The peers are in the same process, so what they hold is not theirs alone; they
//! are made before the counting begins, or hold nothing.

#![allow(unsafe_code, reason = "an allocator that counts")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use support::{CONTINUATION, FIN, PATIENCE, PING, TEXT, TestServer, config, eventually, masked, options, upgrade};
use wingbeat_transport::{Context, Handler, Message, Server};

/// Counts what the process holds, and the most it has held.
struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

fn count(change: isize) {
    MOST.fetch_max(HELD.fetch_add(change, Relaxed) + change, Relaxed);
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of this call, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of this call, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract of this call, which is the system's.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: they share what is counted.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The most that was held at once while `run` ran, beyond what was held before.
fn most_held<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let value = run();
    (value, (MOST.load(Relaxed) - before).max(0) as usize)
}

struct Echo;

impl Handler for Echo {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let _ = cx.send(message);
    }
}

fn echo_server() -> TestServer {
    TestServer::start(Server::new(config()).handler("/", options(), |_| Ok(Echo)))
}

/// Servers that made a task, a buffer or an entry in a queue for each Ping grew as fast as a peer could send them.
#[test]
fn ws_sec7_a_million_pings_and_nothing_grows() {
    let _alone = alone();
    const AT_ONCE: usize = 10_000;
    let server = echo_server();
    let mut peer = server.open("/");
    let pings = masked(FIN | PING, b"ping").repeat(AT_ONCE);
    let mut reading = peer.stream.try_clone().expect("a second handle");
    let mut buffer = vec![0; 64 << 10];
    let flood = || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..1_000_000 / AT_ONCE {
                    peer.stream.write_all(&pings).expect("taken");
                }
            });
            // A Pong is six bytes.
            let mut left = 6_000_000_usize;
            while left > 0 {
                left -= reading.read(&mut buffer).expect("Pongs");
            }
        });
    };
    let ((), most) = most_held(flood);
    // The cork, and what one connection may have waiting; the thread that writes is in it, too.
    assert!(most < 1 << 20, "{most} bytes at most");
}

/// Heads that never end, each as long as allowed, cost what they say and a little.
#[test]
fn ws_sec5_sec33_heads_without_end_cost_their_bytes() {
    let _alone = alone();
    const PEERS: usize = 100;
    let config = config().with_handshake_timeout(PATIENCE);
    let server = TestServer::start(Server::new(config).handler("/", options(), |_| Ok(Echo)));
    let head = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 16_000]].concat();
    let mut peers: Vec<_> = (0..PEERS).map(|_| server.connect()).collect();
    let ((), most) = most_held(|| {
        for peer in &mut peers {
            // In pieces, so that what is kept grows with each.
            for piece in head.chunks(3000) {
                peer.write(piece);
                std::thread::yield_now();
            }
        }
        // Accepted in order: who comes last is answered last.
        let mut last = server.open("/");
        last.send_text("seen");
        assert_eq!(last.recv_text(), "seen");
    });
    assert!(most < PEERS * 40_000 + (1 << 20), "{most} bytes at most");
    drop(peers);
    eventually("they are gone", || server.running().connections() == 0);
}

/// Messages that never end, in fragments as small as they come (advisory of ws, 2026).
#[test]
fn ws_sec21_sec33_messages_without_end_cost_twice_their_bytes() {
    let _alone = alone();
    const PEERS: usize = 100;
    let server = echo_server();
    let mut peers: Vec<_> = (0..PEERS).map(|_| server.open("/")).collect();
    let fragments = [masked(TEXT, b"x"), masked(CONTINUATION, &[b'x'; 100]).repeat(1000)].concat();
    let ((), most) = most_held(|| {
        for peer in &mut peers {
            peer.write(&fragments);
        }
        let mut last = server.open("/");
        last.send_text("seen");
        assert_eq!(last.recv_text(), "seen");
    });
    // 100 KB each, and as much again where a buffer was doubled.
    assert!(most < PEERS * 220_000 + (1 << 20), "{most} bytes at most");
}

/// Peers that ask and never read: what waits for each is bounded, and so is what it has asked meanwhile.
#[test]
fn ws_sec10_sec33_peers_that_ask_and_never_read_cost_a_bounded_sum() {
    let _alone = alone();
    const PEERS: usize = 30;
    let config = config();
    // What waits before reading stops, twice for what grows; what one read may take and leave unread.
    let bound = (2 * (64 << 10)) + config.read_buffer_bytes;
    let server = TestServer::start(Server::new(config).handler("/", options(), |_| Ok(Echo)));
    let asking = masked(FIN | TEXT, &[b'?'; 1000]).repeat(100);
    let mut peers: Vec<_> = (0..PEERS).map(|_| server.open("/").rude()).collect();
    let ((), most) = most_held(|| {
        for peer in &mut peers {
            peer.stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a timeout");
            while peer.try_write(&asking).is_ok() {}
        }
    });
    assert!(most < PEERS * bound + (1 << 20), "{most} bytes at most, {} each", most / PEERS);
    drop(peers);
    eventually("they are gone", || server.running().connections() == 0);
}

/// How many connections each address has, and the most it has had.
type ByAddress = Arc<Mutex<HashMap<IpAddr, (usize, usize)>>>;

/// Counts itself while it is open.
struct Counted {
    address: IpAddr,
    by_address: ByAddress,
}

impl Counted {
    fn new(address: IpAddr, by_address: &ByAddress) -> Self {
        let mut all = by_address.lock().expect("no panic");
        let (now, most) = all.entry(address).or_default();
        *now += 1;
        *most = (*most).max(*now);
        drop(all);
        Self { address, by_address: by_address.clone() }
    }
}

impl Handler for Counted {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        let _ = cx.send(message);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.by_address.lock().expect("no panic").get_mut(&self.address).expect("counted").0 -= 1;
    }
}

/// Connects from `address`. What is closed later is reset, so that no port waits for the last of its packets.
fn connect_from(address: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).ok()?;
    socket.set_linger(Some(Duration::ZERO)).ok()?;
    socket.bind(&SocketAddr::from((address, 0)).into()).ok()?;
    socket.connect(&to.into()).ok()?;
    Some(socket.into())
}

/// Connects from eight addresses as fast as it goes, each holding on to far more connections than it may have: no address
/// gets more than its share, everybody else is served meanwhile, and memory is that of the shares.
///
/// It goes on for a second; `WINGBEAT_FLOOD_SECONDS` says otherwise.
#[test]
fn ws_sec33_l11_l12_a_flood_of_connections_takes_no_more_than_its_share() {
    const SHARE: usize = 50;
    const ADDRESSES: u8 = 8;
    let _alone = alone();
    let seconds = std::env::var("WINGBEAT_FLOOD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let by_address = ByAddress::default();
    let counts = by_address.clone();
    let config = config().with_max_connections_per_address(Some(SHARE)).with_handshake_timeout(PATIENCE);
    let server = Server::new(config).handler("/", options(), move |request| {
        // Who has gone already has no address any more.
        let gone = || http::Response::builder().status(400).body("gone".into()).expect("a response");
        Ok(Counted::new(request.peer_addr.ok_or_else(gone)?.ip(), &counts))
    });
    let server = TestServer::start(server);
    let addr = server.addr();
    let mut bystander = server.open("/");
    let (is_over, connects, seated) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let flood = |addresses: [u8; ADDRESSES as usize / 2]| {
        let request = upgrade("/", addr, "");
        let mut held = VecDeque::new();
        for host in addresses.into_iter().cycle() {
            if is_over.load(Relaxed) {
                return;
            }
            if let Some(mut stream) = connect_from(Ipv4Addr::new(127, 0, 0, host), addr) {
                connects.fetch_add(1, Relaxed);
                // Whoever is refused finds that out later, or never.
                let _ = stream.write_all(request.as_bytes());
                held.push_back(stream);
            }
            // Twice the share of each.
            if held.len() > addresses.len() * 2 * SHARE {
                held.pop_front();
            }
        }
    };
    let run = || {
        std::thread::scope(|scope| {
            scope.spawn(|| flood([2, 3, 4, 5]));
            scope.spawn(|| flood([6, 7, 8, 9]));
            let begun = Instant::now();
            let (mut answers, mut slowest) = (0, Duration::ZERO);
            while begun.elapsed().as_secs_f64() < seconds {
                let asked = Instant::now();
                bystander.send_text("still there?");
                assert_eq!(bystander.recv_text(), "still there?");
                (answers, slowest) = (answers + 1, slowest.max(asked.elapsed()));
                seated.fetch_max(server.running().connections(), Relaxed);
                // The flood is to have the processor, not the one who watches.
                std::thread::sleep(Duration::from_millis(2));
            }
            is_over.store(true, Relaxed);
            (answers, slowest)
        })
    };
    let ((answers, slowest), most) = most_held(run);
    let (connects, seated) = (connects.into_inner(), seated.into_inner());
    println!(
        "{connects} connects in {seconds} s, {seated} at once, {answers} echoes, the slowest {slowest:?}, {most} bytes"
    );
    // Who is counted anew holds two places for a moment.
    assert!(seated <= SHARE * usize::from(ADDRESSES) + 2, "{seated} connections at once");
    for host in 2..2 + ADDRESSES {
        let most = by_address.lock().expect("no panic").get(&IpAddr::from([127, 0, 0, host])).map(|counts| counts.1);
        assert_eq!(most, Some(SHARE), "of 127.0.0.{host}");
    }
    assert!(connects > 20 * SHARE, "{connects} connects are no flood");
    assert!(answers > 20 && slowest < PATIENCE / 4, "{answers} echoes, the slowest {slowest:?}");
    assert!(most < 4 << 20, "{most} bytes at most");
    eventually("they are gone", || server.running().connections() == 1);
    bystander.send_text("as before");
    assert_eq!(bystander.recv_text(), "as before");
}
