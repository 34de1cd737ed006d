//! `wingbeat serve --metrics`: what is scraped equals what happened.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server at work, ended with the test, and where it listens.
struct Server {
    child: Child,
    public: String,
    metrics: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wingbeat"))
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics", "0"])
            .env_clear()
            .env("WINGBEAT_SECRET", "a secret of the tests, long enough")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let public = lines.next().unwrap().strip_prefix("listening on http://").unwrap().to_owned();
        let metrics = lines.next().unwrap().strip_prefix("metrics at http://").unwrap().to_owned();
        let metrics = metrics.strip_suffix("/metrics").unwrap().to_owned();
        Self { child, public, metrics }
    }

    /// The figures by name and labels.
    fn scrape(&self) -> BTreeMap<String, f64> {
        let answer = ask(&self.metrics, "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let lines = body.lines().filter(|line| !line.starts_with('#') && line.contains(' '));
        let figure = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        lines.map(figure).collect()
    }

    #[track_caller]
    fn expect(&self, expected: &[(&str, f64)]) {
        let begun = Instant::now();
        loop {
            let figures = self.scrape();
            let is_so = |(name, value): &(&str, f64)| figures.get(*name) == Some(value);
            if expected.iter().all(is_so) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{figures:#?} are not {expected:#?}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request as it stands and reads to the end.
fn ask(address: &str, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A short frame as a client sends it, its key all zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn a_session_scraped_equals_what_happened() {
    let server = Server::start();
    server.expect(&[("wingbeat_connections", 0.0), ("wingbeat_messages_received_total", 0.0)]);
    let path = "/socket/websocket?vsn=2.0.0";
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let heartbeat = br#"[null,"1","phoenix","heartbeat",{}]"#;
    let session = [upgrade.as_bytes(), &frame(1, heartbeat), &frame(1, heartbeat)].concat();
    let mut stream = connect(&server.public);
    stream.write_all(&session).unwrap();
    server.expect(&[
        ("wingbeat_connections", 1.0),
        ("wingbeat_connections_opened_total", 1.0),
        ("wingbeat_handshakes_total{status=\"101\"}", 1.0),
        ("wingbeat_messages_received_total", 2.0),
        ("wingbeat_messages_sent_total", 2.0),
        ("wingbeat_received_bytes_total", session.len() as f64),
        ("wingbeat_output_bytes", 0.0),
    ]);
    let goodbye = frame(8, &4321_u16.to_be_bytes());
    stream.write_all(&goodbye).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    drop(stream);
    let refused = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let refusal = ask(&server.public, &refused);
    let page = ask(&server.public, "GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let status = |answer: &str| answer.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(status(&page), "404");
    server.expect(&[
        ("wingbeat_connections", 0.0),
        ("wingbeat_connections_opened_total", 1.0),
        ("wingbeat_closes_total{cause=\"peer\",code=\"4000\"}", 1.0),
        (&format!("wingbeat_handshakes_total{{status=\"{}\"}}", status(&refusal)), 1.0),
        ("wingbeat_http_connections_opened_total", 1.0),
        ("wingbeat_http_connections", 0.0),
        ("wingbeat_accepted_total", 3.0),
        ("wingbeat_sent_bytes_total", (answer.len() + refusal.len()) as f64),
    ]);
}

#[test]
fn figures_are_not_for_the_public() {
    let server = Server::start();
    assert!(server.metrics.starts_with("127.0.0.1:"), "{}", server.metrics);
    let answer = ask(&server.public, "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_wingbeat"))
        .args(["serve", "--listen", "127.0.0.1:0", "--metrics", "nowhere"])
        .env_clear()
        .env("WINGBEAT_SECRET", "a secret of the tests, long enough")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("--metrics is \"nowhere\""), "{stderr}");
}
