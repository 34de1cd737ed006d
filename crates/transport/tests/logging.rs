//! What is logged: the moments of connections, and never a secret.

mod support;

use std::fmt::{Debug, Write as _};
use std::sync::{LazyLock, Mutex};

use proptest::prelude::*;
use support::{FIN, TEXT, TestServer, config, eventually, masked, options, probe, upgrade};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use wingbeat_transport::{Redaction, Server, refuse};

/// Everything logged by anybody in this process, a line each.
static LOG: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Everything;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

fn log(metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
    let mut line = Line(format!("{} {}:", metadata.target(), metadata.name()));
    record(&mut line);
    LOG.lock().expect("no panic").push((*metadata.level(), line.0));
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        log(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        log(event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One server for all tests here, whose log is one.
static SERVER: LazyLock<TestServer> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Everything).expect("the first");
    let (open, events) = probe(support::echo);
    // Nobody asks what the probe sees.
    std::mem::forget(events);
    let config = config().with_redaction(Redaction::default().with_secret("room"));
    let server = Server::new(config).handler("/ws", options(), open).handler("/rooms/:room", options(), |_| {
        Err::<support::Probe<fn(wingbeat_transport::Message<'_>, &mut wingbeat_transport::Context<'_>)>, _>(refuse(
            http::StatusCode::FORBIDDEN,
            "not you",
        ))
    });
    TestServer::start(server)
});

fn lines() -> Vec<(Level, String)> {
    LOG.lock().expect("no panic").clone()
}

fn count(words: &[&str]) -> usize {
    lines().iter().filter(|(_, line)| words.iter().all(|word| line.contains(word))).count()
}

/// A session that says `secret` wherever a secret can be, through a worker or through hyper.
fn say(secret: &str, through_hyper: bool) {
    let server = &*SERVER;
    let closed = count(&["a connection closed"]);
    let more = format!(
        "Authorization: Bearer {secret}\r\nCookie: a=b; session={secret}\r\nX-Api-Key: {secret}\r\n\
         Referer: http://h/?access_token={secret}\r\nSec-WebSocket-Protocol: phoenix, bearer.{secret}, {secret}\r\n"
    );
    let ask = |path: &str| {
        let mut peer = server.connect();
        if through_hyper {
            assert_eq!(peer.ask("GET /other HTTP/1.1\r\nHost: h\r\n\r\n").status, 404);
        }
        let status = peer.ask(&upgrade(path, server.addr(), &more)).status;
        (peer, status)
    };
    assert_eq!(ask(&format!("/rooms/{secret}?token={secret}")).1, 403);
    let query = format!("token={secret}&vsn=2.0.0&apikey={secret};password={secret}&user[room]={secret}");
    let (mut peer, status) = ask(&format!("/ws?{query}"));
    assert_eq!(status, 101);
    peer.send_text(secret);
    assert_eq!(peer.recv_text(), secret);
    peer.close(4000, secret);
    peer.expect_close(4000);
    // And one that breaks the rules with it.
    let (mut peer, status) = ask(&format!("/ws?{query}"));
    assert_eq!(status, 101);
    peer.write(&masked(FIN | TEXT, &[secret.as_bytes(), b"\xff"].concat()));
    peer.expect_close(1007);
    eventually("both are logged", || count(&["a connection closed"]) >= closed + 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_is_never_logged(secret in "[A-Za-z0-9_-]{8,30}", through_hyper in any::<bool>()) {
        say(&secret, through_hyper);
        let found: Vec<_> = lines().into_iter().filter(|(_, line)| line.contains(&secret)).collect();
        prop_assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn moments_are_logged_with_what_one_looks_for() {
    let server = &*SERVER;
    let mut peer = server.connect();
    let addr = peer.stream.local_addr().expect("connected");
    let request = upgrade("/ws?vsn=2.0.0&token=abc", server.addr(), "User-Agent: moments\r\n");
    assert_eq!(peer.ask(&request).status, 101);
    let peer_field = format!("peer={addr}");
    let target = "/ws?vsn=2.0.0&token=***";
    eventually("it is logged", || {
        count(&["a connection opened", &peer_field, target, "moments", "connection=0."]) == 1
            && count(&["handshake:", &peer_field, target]) == 1
    });
    let opened = lines().into_iter().find(|(_, line)| line.contains("moments")).expect("seen above").1;
    let id = opened.split_whitespace().find(|word| word.starts_with("connection=")).expect("an id").to_owned();
    peer.close(3001, "");
    peer.expect_close(3001);
    eventually("its end is logged", || count(&["a connection closed", &id, "code=3001", "cause=Peer"]) == 1);
    // What happens all the time is no louder than this.
    let loud = |(level, line): &(Level, String)| *level < Level::DEBUG && line.starts_with("wingbeat");
    assert_eq!(lines().iter().filter(|line| loud(line)).count(), 0);
}
