//! Every load against both servers: what comes back is compared byte by byte before and after each run.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wingbeat_bench::load::echo::EchoLoad;
use wingbeat_bench::load::fanout::FanoutLoad;
use wingbeat_bench::load::flood::{Flood, FloodLoad};
use wingbeat_bench::load::idle::{IdleLoad, Lane};
use wingbeat_bench::load::payload::Payload;
use wingbeat_bench::load::slow::SlowLoad;
use wingbeat_bench::load::storm::StormLoad;
use wingbeat_bench::load::target::Target;
use wingbeat_bench::load::windows::Pace;

const DURATION: Duration = Duration::from_millis(100);

struct Server(Child);

impl Server {
    fn start(program: &str, threads: usize) -> (Self, Target) {
        Self::start_with(program, &["--threads", &threads.to_string()])
    }

    fn start_with(program: &str, arguments: &[&str]) -> (Self, Target) {
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says something");
        let address = line.trim().strip_prefix("listening on ").expect(&line).parse().expect("an address");
        let pid = Some(child.id());
        (Self(child), Target { address, pid })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().expect("the server was still there");
        self.0.wait().expect("and has ended");
    }
}

const SERVERS: [&str; 2] = [env!("CARGO_BIN_EXE_floor"), env!("CARGO_BIN_EXE_echo")];

#[test]
fn echoes_come_back_at_every_size_and_window() {
    for program in SERVERS {
        let (_server, target) = Server::start(program, 1);
        for (size, connections, window, payload) in [
            (0, 1, 1, Payload::Binary),
            (20, 10, 16, Payload::Ascii),
            (20, 50, 256, Payload::Binary),
            (1024, 20, 16, Payload::Nonascii),
            (16_384, 10, 16, Payload::Binary),
            (70_000, 5, 3, Payload::Nonascii),
            (1 << 20, 4, 16, Payload::Binary),
        ] {
            let pace = Pace { window, duration: DURATION, rate: None };
            let load = EchoLoad { path: "/".into(), size, payload, connections, pace };
            let report = load.run(&target).unwrap_or_else(|error| panic!("{program}: {load:?}: {error}"));
            assert!(report.messages > 0, "{program}: {load:?}");
            assert_eq!(report.latency.is_some(), window == 1);
        }
    }
}

#[test]
fn a_rate_is_kept_and_latency_counts_from_the_intended_time() {
    let (_server, target) = Server::start(SERVERS[0], 1);
    let pace = Pace { window: 1, duration: Duration::from_millis(500), rate: Some(1000.0) };
    let load = EchoLoad { path: "/".into(), size: 20, payload: Payload::Binary, connections: 10, pace };
    let report = load.run(&target).expect("the load runs");
    // Without a rate it would be a hundred times as much; a stall may fall into the run, or be made up for in it.
    assert!((300.0..2000.0).contains(&report.rate), "{report}");
    assert!(report.latency.expect("window 1").p50 > 1.0, "{report}");
}

#[test]
fn what_is_published_reaches_the_subscribers_of_all_threads() {
    for program in SERVERS {
        for threads in [1, 2] {
            let (_server, target) = Server::start(program, threads);
            for (size, window) in [(64, 1), (64, 16), (16_384, 16), (300_000, 4)] {
                let (subscribe_path, publish_path) = ("/sub".into(), "/pub".into());
                let (subscribers, payload, duration) = (20, Payload::Binary, DURATION);
                let load = FanoutLoad { subscribe_path, publish_path, size, payload, subscribers, window, duration };
                let report = load.run(&target).unwrap_or_else(|error| panic!("{program}: {load:?}: {error}"));
                assert_eq!(report.messages % (20 * window as u64), 0, "{program}: whole bursts only");
            }
        }
    }
}

#[test]
fn idle_connections_and_storms_run() {
    let (_server, target) = Server::start(SERVERS[0], 1);
    let load = IdleLoad { path: "/".into(), from: 50, to: 100, is_echoed: true, lane: Lane::Plain };
    let slope = load.run(&target).expect("a slope");
    assert!(slope.to_bytes > 100_000, "{slope:?}");
    let storm = StormLoad { path: "/".into(), connections: 200, in_flight: 50, is_checked: false };
    assert_eq!(storm.run(&target).expect("a storm").messages, 200);
    let checked = StormLoad { is_checked: true, ..storm };
    assert!(checked.run(&target).is_err(), "an echo is no reply");
}

#[test]
fn idle_connections_come_in_every_lane() {
    for (arguments, lane) in [
        (&["--lane", "loop"][..], Lane::Plain),
        (&["--lane", "tls"], Lane::Tls),
        (&["--lane", "axum"], Lane::Plain),
        (&[], Lane::Http2(10)),
        (&[], Lane::Http2(1)),
    ] {
        let (_server, target) = Server::start_with(SERVERS[1], arguments);
        let load = IdleLoad { path: "/".into(), from: 25, to: 50, is_echoed: true, lane };
        load.run(&target).unwrap_or_else(|error| panic!("{lane:?}: {error}"));
    }
}

#[test]
fn who_does_not_read_costs_what_is_allowed_and_misses_what_is_counted() {
    let (_server, target) = Server::start(SERVERS[1], 1);
    let load = SlowLoad { healthy: 5, stuck: 20, size: 16_384, messages: 400, buffer_bytes: 64 << 10 };
    let slowed = load.run(&target).expect("the load runs");
    assert_eq!(slowed.sent, 20 * 402);
    assert!(slowed.delivered > 0 && slowed.dropped > 0, "{slowed}");
    assert_eq!(slowed.delivered + slowed.dropped, slowed.sent, "{slowed}");
    assert!(slowed.grown_bytes < 22 << 20, "{slowed}");
}

#[test]
fn floods_are_answered_and_leave_memory_as_it_is() {
    for (flood, path, most) in [
        (Flood::Pings, "/", 4 << 20),
        (Flood::UnreadPings, "/", 4 << 20),
        (Flood::EmptyMessages, "/", 4 << 20),
        (Flood::TinyFragments, "/", 4 << 20),
        (Flood::EmptyFragments, "/", 4 << 20),
        // The largest message, in a buffer that grows by doubling; it would be 32 MiB.
        (Flood::Bombs(32 << 20), "/deflate", 20 << 20),
    ] {
        let (_server, target) = Server::start(SERVERS[1], 1);
        let load = FloodLoad { flood, path: path.into(), connections: 10, duration: DURATION };
        let flooded = load.run(&target).unwrap_or_else(|error| panic!("{flood:?}: {error}"));
        assert!(flooded.grown_bytes < most, "{flood:?}: {flooded}");
    }
}
