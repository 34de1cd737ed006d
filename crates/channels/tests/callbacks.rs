//! What a channel's callbacks may do, and what happens while one of them waits (rows A; design 4.4).

mod support;

use support::{serve, serve_with};
use wingbeat_channels::MountOptions;

const OK: &str = r#"{"response":{},"status":"ok"}"#;

#[test]
fn ch_a1_a2_a3_replies() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    for (event, answer) in [
        ("ok", r#"{"response":{},"status":"ok"}"#),
        ("echo", r#"{"response":{"x":1},"status":"ok"}"#),
        ("maybe", r#"{"response":{"x":1},"status":"maybe"}"#),
        ("fail", r#"{"response":{"reason":"no"},"status":"error"}"#),
    ] {
        let push = format!(r#"["1","2","room:a","{event}",{{"x":1}}]"#);
        client.check(&push, &[&format!(r#"["1","2","room:a","phx_reply",{answer}]"#)]);
    }
    client.check(r#"["1","2","room:a","silent",{}]"#, &[]);
}

#[test]
fn ch_a4_a5_late_replies_from_another_task() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(r#"["1","2","room:a","later",{}]"#, &[]);
    client.check(r#"["1","3","room:a","echo",{}]"#, &[&format!(r#"["1","3","room:a","phx_reply",{OK}]"#)]);
    server.open_gate(1);
    client.expect(&[
        r#"["1","2","room:a","phx_reply",{"response":{"n":1},"status":"ok"}]"#,
        r#"["1","2","room:a","phx_reply",{"response":{"n":2},"status":"ok"}]"#,
    ]);
}

#[test]
fn ch_a6_a8_m13_what_panics_ends_the_channel_only() {
    let server = serve();
    let mut client = server.connect();
    let error = r#"["1","1","room:a","phx_error",{"reason":"channel_crash"}]"#;
    for push in [
        r#"["1","2","room:a","inform_ref",{}]"#,
        r#"["1","2","room:a","push","a string"]"#,
        r#"["1","2","room:a","shout",[1]]"#,
        r#"["1","2","room:a","no_clause",{}]"#,
    ] {
        client.join("1", "room:a");
        client.check(push, &[error]);
    }
}

#[test]
fn ch_a7_pushes_broadcasts_and_the_reply_keep_their_order() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(
        r#"["1","2","room:a","push_and_reply",{}]"#,
        &[
            r#"["1",null,"room:a","first",{}]"#,
            r#"[null,null,"room:a","second",{}]"#,
            r#"["1",null,"room:a","third",{}]"#,
            r#"["1","2","room:a","phx_reply",{"response":"fourth","status":"ok"}]"#,
        ],
    );
}

#[test]
fn ch_a16_infos() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:welcome");
    client.expect(&[r#"["1",null,"room:welcome","welcome",{"topic":"room:welcome"}]"#]);
    client.check(r#"["1","2","room:welcome","inform",{"n":1}]"#, &[r#"["1",null,"room:welcome","informed",{"n":1}]"#]);
}

#[test]
fn ch_a16_an_info_sent_in_a_slow_join_comes_after_its_reply() {
    let server = serve();
    let mut client = server.connect();
    client.check(r#"["1","1","room:slow_welcome","phx_join",{}]"#, &[]);
    server.open_gate(1);
    client.expect(&[
        &format!(r#"["1","1","room:slow_welcome","phx_reply",{OK}]"#),
        r#"["1",null,"room:slow_welcome","welcome",{"topic":"room:slow_welcome"}]"#,
    ]);
}

#[test]
fn ch_d44_a_waiting_callback_keeps_order_and_delays_nobody_else() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    client.join("2", "room:b");
    // `check` proves that the heartbeat goes on.
    client.check(r#"["1","3","room:a","slow_echo",{"n":3}]"#, &[]);
    client.check(r#"["1","4","room:a","echo",{"n":4}]"#, &[]);
    client.check(r#"["1","5","room:a","slow_echo",{"n":5}]"#, &[]);
    client.check(r#"["1","6","room:a","push",{"n":6}]"#, &[]);
    client.check(
        r#"["2","7","room:b","echo",{"n":7}]"#,
        &[r#"["2","7","room:b","phx_reply",{"response":{"n":7},"status":"ok"}]"#],
    );
    server.open_gate(1);
    client.expect(&[
        r#"["1","3","room:a","phx_reply",{"response":{"n":3},"status":"ok"}]"#,
        r#"["1","4","room:a","phx_reply",{"response":{"n":4},"status":"ok"}]"#,
    ]);
    client.check(r#"["1","8","room:a","phx_leave",{}]"#, &[]);
    server.open_gate(1);
    client.expect(&[
        r#"["1","5","room:a","phx_reply",{"response":{"n":5},"status":"ok"}]"#,
        r#"["1",null,"room:a","pushed",{"n":6}]"#,
        &format!(r#"["1","8","room:a","phx_reply",{OK}]"#),
        r#"["1","1","room:a","phx_close",{}]"#,
    ]);
    assert_eq!(server.logged(), "room:a left");
}

#[test]
fn ch_d44_broadcasts_reach_a_channel_whose_callback_waits() {
    let server = serve();
    let (mut one, mut other) = (server.connect(), server.connect());
    one.join("1", "room:a");
    other.join("2", "room:a");
    one.check(r#"["1","2","room:a","slow_echo",{}]"#, &[]);
    other.check(r#"["2","3","room:a","shout",{"n":1}]"#, &[r#"[null,null,"room:a","shout",{"n":1}]"#]);
    one.expect(&[r#"[null,null,"room:a","shout",{"n":1}]"#]);
    server.open_gate(1);
    one.expect(&[&format!(r#"["1","2","room:a","phx_reply",{OK}]"#)]);
}

#[test]
fn ch_d44_a_full_mailbox_answers_busy() {
    let server = serve_with(1, MountOptions::default().with_max_mailbox_messages(2));
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(r#"["1","2","room:a","slow_echo",{}]"#, &[]);
    client.check(r#"["1","3","room:a","echo",{}]"#, &[]);
    client.check(r#"["1","4","room:a","echo",{}]"#, &[]);
    let busy = r#"["1","5","room:a","phx_reply",{"response":{"reason":"busy"},"status":"error"}]"#;
    client.check(r#"["1","5","room:a","echo",{}]"#, &[busy]);
    server.open_gate(1);
    client
        .expect(&[2, 3, 4].map(|n| format!(r#"["1","{n}","room:a","phx_reply",{OK}]"#)).each_ref().map(String::as_str));
}

#[test]
fn ch_d44_a_mailbox_is_bounded_in_bytes_too() {
    let server = serve_with(1, MountOptions::default().with_max_mailbox_bytes(200));
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(r#"["1","2","room:a","slow_echo",{}]"#, &[]);
    let text = "x".repeat(100);
    client.check(&format!(r#"["1","3","room:a","silent","{text}"]"#), &[]);
    let busy = r#"["1","4","room:a","phx_reply",{"response":{"reason":"busy"},"status":"error"}]"#;
    client.check(&format!(r#"["1","4","room:a","silent","{text}"]"#), &[busy]);
    client.check(r#"["1","5","room:a","echo",{}]"#, &[]);
    server.open_gate(1);
    client.expect(&[2, 5].map(|n| format!(r#"["1","{n}","room:a","phx_reply",{OK}]"#)).each_ref().map(String::as_str));
}

#[test]
fn ch_d44_a_slow_join_has_its_mailbox_already() {
    let server = serve();
    let mut client = server.connect();
    client.check(r#"["1","1","room:slow","phx_join",{}]"#, &[]);
    client.check(r#"["1","2","room:slow","echo",{"n":2}]"#, &[]);
    client.check(r#"["9","3","room:slow","echo",{"stale":1}]"#, &[]);
    client.check(r#"["1","4","room:slow","phx_leave",{}]"#, &[]);
    client.check(r#"["1","5","room:slow","echo",{}]"#, &[]);
    client.check(r#"["6","6","room:slow","phx_join",{"fast":1}]"#, &[]);
    client.check(r#"["6","7","room:slow","echo",{"n":7}]"#, &[]);
    client.join("8", "room:neighbour");
    server.open_gate(1);
    client.expect(&[
        &format!(r#"["1","1","room:slow","phx_reply",{OK}]"#),
        r#"["1","2","room:slow","phx_reply",{"response":{"n":2},"status":"ok"}]"#,
        &format!(r#"["1","4","room:slow","phx_reply",{OK}]"#),
        r#"["1","1","room:slow","phx_close",{}]"#,
        r#"[null,"5","room:slow","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]"#,
        &format!(r#"["6","6","room:slow","phx_reply",{OK}]"#),
        r#"["6","7","room:slow","phx_reply",{"response":{"n":7},"status":"ok"}]"#,
    ]);
}

#[test]
fn ch_r7_r8_slow_joins_may_be_refused_and_crash() {
    let server = serve();
    let mut client = server.connect();
    for (topic, reason) in [("room:slow_deny", "unauthorized"), ("room:slow_crash", "join crashed")] {
        client.check(&format!(r#"["1","1","{topic}","phx_join",{{}}]"#), &[]);
        server.open_gate(1);
        client.expect(&[&format!(
            r#"["1","1","{topic}","phx_reply",{{"response":{{"reason":"{reason}"}},"status":"error"}}]"#
        )]);
        client.check(
            &format!(r#"["1","2","{topic}","phx_leave",{{}}]"#),
            &[&format!(r#"["1","2","{topic}","phx_reply",{OK}]"#)],
        );
    }
}

#[test]
fn ch_d44_a_join_that_takes_too_long() {
    let options = MountOptions::default().with_join_timeout(std::time::Duration::from_millis(50));
    let server = serve_with(1, options);
    let mut client = server.connect();
    client.send(r#"["1","1","room:slow","phx_join",{}]"#);
    client.expect(&[r#"["1","1","room:slow","phx_reply",{"response":{"reason":"join timeout"},"status":"error"}]"#]);
    client.send(r#"["2","2","room:slow","phx_join",{"fast":1}]"#);
    client.expect(&[&format!(r#"["2","2","room:slow","phx_reply",{OK}]"#)]);
}

#[test]
fn ch_a21_a_slow_callback_that_panics() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:bye");
    client.check(r#"["1","2","room:bye","slow_crash",{}]"#, &[]);
    client.check(r#"["1","3","room:bye","echo",{}]"#, &[]);
    server.open_gate(1);
    client.expect(&[
        r#"["1",null,"room:bye","bye",{}]"#,
        r#"["1","1","room:bye","phx_error",{"reason":"channel_crash"}]"#,
        r#"[null,"3","room:bye","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]"#,
    ]);
    assert_eq!(server.logged(), "room:bye crashed");
}

#[test]
fn ch_r20_a_crash_whose_terminate_waits() {
    let server = serve();
    let mut client = server.connect();
    client.send(r#"["1","1","room:slow_end","phx_join",{"fast":1}]"#);
    client.expect(&[&format!(r#"["1","1","room:slow_end","phx_reply",{OK}]"#)]);
    client.check(r#"["1","2","room:slow_end","crash",{}]"#, &[]);
    client.check(r#"["3","3","room:slow_end","phx_join",{"fast":1}]"#, &[]);
    server.open_gate(1);
    client.expect(&[
        r#"["1","1","room:slow_end","phx_error",{"reason":"channel_crash"}]"#,
        &format!(r#"["3","3","room:slow_end","phx_reply",{OK}]"#),
    ]);
}

#[test]
fn ch_r27_a20_channels_end_with_their_connection() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    drop(client);
    assert_eq!(server.logged(), "room:a closed");
    let mut client = server.connect();
    client.join("1", "room:b");
    client.close();
    assert_eq!(client.recv(), "close 1000");
    assert_eq!(server.logged(), "room:b closed");
}

#[test]
fn ch_r27_a25_waiting_callbacks_get_their_grace_when_the_connection_ends() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(r#"["1","2","room:a","slow_echo",{}]"#, &[]);
    client.check(r#"["3","3","room:slow","phx_join",{}]"#, &[]);
    client.close();
    assert_eq!(client.recv(), "close 1000");
    server.open_gate(2);
    let mut ended = [server.logged(), server.logged()];
    ended.sort();
    assert_eq!(ended, ["room:a closed", "room:slow closed"]);
}

#[test]
fn ch_a25_callbacks_that_outlast_their_grace_are_dropped() {
    let options = MountOptions::default().with_shutdown_grace(std::time::Duration::from_millis(20));
    let server = serve_with(1, options);
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(r#"["1","2","room:a","slow_echo",{}]"#, &[]);
    // The old one never gets through the gate; the new one need not wait for ever.
    client.send(r#"["3","3","room:a","phx_join",{}]"#);
    client.expect(&[&format!(r#"["3","3","room:a","phx_reply",{OK}]"#), r#"["1","1","room:a","phx_close",{}]"#]);
}

#[test]
fn ch_a20_draining_is_told() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    let support::TestServer { running, .. } = &server;
    let address = running.local_addr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = server.into_log(|running| {
        let closing = std::thread::spawn(move || {
            assert_eq!(client.recv(), "close 1012");
            drop(client);
        });
        let code = wingbeat_websocket::CloseCode::SERVICE_RESTART;
        runtime.block_on(running.shutdown(code, "restart", std::time::Duration::from_secs(5)));
        closing.join().unwrap();
    });
    assert_eq!(log.recv_timeout(std::time::Duration::from_secs(5)).unwrap(), "room:a draining");
    assert!(std::net::TcpStream::connect(address).is_err());
}
