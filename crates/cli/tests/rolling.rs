//! A rolling restart under load: a new server takes the port, the old one leaves, and everybody who was there is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wingbeat::websocket::{CloseCode, Connection, Limits, Received, Role};

const CLIENTS: usize = 300;
/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the process has to end.
const DEADLINE: Duration = Duration::from_secs(5);

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(listen: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wingbeat"))
            .args(["serve", "--shared-port", "--listen", listen])
            .env_clear()
            .env("WINGBEAT_SECRET", "a secret of the tests, long enough")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.to_owned(), child }
    }

    /// Sends the signal and says how long the process took, and whether it ended in order.
    fn end(&mut self, signal: &str) -> (Duration, bool) {
        let begun = Instant::now();
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (begun.elapsed(), status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the clients have seen, all together.
#[derive(Debug, Default)]
struct Tally {
    opened: AtomicUsize,
    replies: AtomicUsize,
    /// Closed with 1012, then FIN.
    restarts: AtomicUsize,
    /// Ended in any other way.
    broken: AtomicUsize,
    /// Clients that have ended.
    stopped: AtomicUsize,
    /// Could not connect, or got no 101.
    refused: AtomicUsize,
}

/// A client of Phoenix that does nothing but send heartbeats, one after the other.
struct Client {
    stream: TcpStream,
    protocol: Connection,
    input: Vec<u8>,
}

/// How one connection ended.
enum End {
    Asked,
    Restart,
    Broken,
}

impl Client {
    fn open(address: &str) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101 ") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        let protocol = Connection::new(Role::Client { mask_key: || [1, 2, 3, 4] }, Limits::DEFAULT);
        Ok(Self { stream, protocol, input: Vec::new() })
    }

    /// Talks until it is closed or `is_over`.
    fn talk(&mut self, is_over: &AtomicBool, tally: &Tally) -> End {
        while !is_over.load(Ordering::Relaxed) {
            let mut output = Vec::new();
            if self.protocol.send_text(r#"[null,"1","phoenix","heartbeat",{}]"#, &mut output).is_err() {
                return End::Broken;
            }
            // The server may be closing at this moment; what it said before tells.
            let _ = self.stream.write_all(&output);
            match self.next() {
                Some(Received::Text(_)) => drop(tally.replies.fetch_add(1, Ordering::Relaxed)),
                Some(Received::Close(Some(frame))) if frame.code() == CloseCode::SERVICE_RESTART => {
                    return if self.next().is_none() { End::Restart } else { End::Broken };
                }
                _ => return End::Broken,
            }
        }
        End::Asked
    }

    /// What comes next; `None` at the end, whatever it is.
    fn next(&mut self) -> Option<Received<'static>> {
        loop {
            let mut output = Vec::new();
            let (used, received) = self.protocol.handle_input(&mut self.input, &mut output).ok()?;
            let received = received.map(Received::into_owned);
            self.input.drain(..used);
            let _ = self.stream.write_all(&output);
            if received.is_some() {
                return received;
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.input.extend_from_slice(&piece[..count]),
            }
        }
    }
}

/// Connects, talks, and comes back whenever it is closed.
fn client(address: &str, is_over: &AtomicBool, tally: &Tally) {
    while !is_over.load(Ordering::Relaxed) {
        let Ok(mut client) = Client::open(address) else {
            tally.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        tally.opened.fetch_add(1, Ordering::Relaxed);
        match client.talk(is_over, tally) {
            End::Asked => break,
            End::Restart => tally.restarts.fetch_add(1, Ordering::Relaxed),
            End::Broken => tally.broken.fetch_add(1, Ordering::Relaxed),
        };
    }
    tally.stopped.fetch_add(1, Ordering::Relaxed);
}

fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < PATIENCE, "{what} never happens");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Restarts under load, the old server being told by `signal`. Says what the clients saw, how long the old one took to
/// end, and whether it did so in order.
fn restart(signal: &str) -> (Tally, Duration, bool) {
    let mut old = Server::start("127.0.0.1:0");
    let (tally, is_over) = (Tally::default(), AtomicBool::new(false));
    let address = old.address.clone();
    let (took, is_in_order) = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(&address, &is_over, &tally));
        }
        eventually("all are busy", || tally.replies.load(Ordering::Relaxed) > 5 * CLIENTS);
        assert_eq!(tally.opened.load(Ordering::Relaxed), CLIENTS);
        let _new = Server::start(&address);
        let ended = old.end(signal);
        eventually("all are back", || tally.opened.load(Ordering::Relaxed) >= 2 * CLIENTS);
        let before = tally.replies.load(Ordering::Relaxed);
        eventually("all are busy again", || tally.replies.load(Ordering::Relaxed) > before + 5 * CLIENTS);
        is_over.store(true, Ordering::Relaxed);
        // The new one lives until nobody needs it.
        eventually("they have stopped", || tally.stopped.load(Ordering::Relaxed) == CLIENTS);
        ended
    });
    (tally, took, is_in_order)
}

#[test]
fn a_rolling_restart_under_load_tells_everybody_and_loses_nobody() {
    let (tally, took, is_in_order) = restart("-TERM");
    assert!(is_in_order && took < DEADLINE, "{took:?}");
    assert_eq!(tally.restarts.into_inner(), CLIENTS, "each got 1012 before the end");
    assert_eq!((tally.broken.into_inner(), tally.refused.into_inner()), (0, 0));
    assert_eq!(tally.opened.into_inner(), 2 * CLIENTS);
}

#[test]
fn an_end_without_a_word_would_be_seen() {
    let (tally, _, is_in_order) = restart("-KILL");
    assert!(!is_in_order);
    assert_eq!(tally.restarts.into_inner(), 0);
    assert!(tally.broken.into_inner() >= CLIENTS, "all of them lost their connection");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start("127.0.0.1:0");
    // It answers no Close, so the first signal alone would take its time.
    let mut mute = Client::open(&server.address).unwrap();
    let pid = server.child.id().to_string();
    let signal = || assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    signal();
    // Our protocol's answer stays in its buffer.
    let mut close = [0; 4];
    mute.stream.read_exact(&mut close).unwrap();
    assert_eq!(close[0], 0x88, "a Close");
    let begun = Instant::now();
    signal();
    assert!(server.child.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
