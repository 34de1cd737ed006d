//! Messages by topic: the decision table of spec 1.8, the orderings of 1.9 (rows R and M).

mod support;

use support::{serve, serve_with};
use wingbeat_channels::MountOptions;

#[test]
fn ch_r1_r2_heartbeat_and_other_events_on_phoenix() {
    let server = serve();
    let mut client = server.connect();
    for (text, answer) in [
        (r#"[null,"1","phoenix","heartbeat",{}]"#, r#"[null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]"#),
        (r#"["5",2,"phoenix","heartbeat",{"x":1}]"#, r#"[null,2,"phoenix","phx_reply",{"response":{},"status":"ok"}]"#),
        (
            r#"[null,"4","phoenix","other",{}]"#,
            r#"[null,"4","phoenix","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]"#,
        ),
        (
            r#"["6","6","phoenix","phx_join",{}]"#,
            r#"[null,"6","phoenix","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]"#,
        ),
    ] {
        client.check(text, &[answer]);
    }
}

#[test]
fn ch_r3_r5_r6_routes() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "exact");
    client.join("2", "room:");
    client.check(
        r#"["3","3","exactly:shadowed","phx_join",{}]"#,
        &[r#"["3","3","exactly:shadowed","phx_reply",{"response":{"reason":"never"},"status":"error"}]"#],
    );
    for topic in [r#""nosuch:1""#, r#""room""#, r#""""#, "5", r#"["room:1"]"#] {
        client.check(
            &format!(r#"["4","4",{topic},"phx_join",{{}}]"#),
            &[&format!(
                r#"[null,"4",{topic},"phx_reply",{{"response":{{"reason":"unmatched topic"}},"status":"error"}}]"#
            )],
        );
    }
}

#[test]
fn ch_r7_r8_r10_how_a_join_is_answered() {
    let server = serve();
    let mut client = server.connect();
    for (topic, payload, answer) in [
        ("room:a", "{}", r#"{"response":{},"status":"ok"}"#),
        ("room:params", r#"{"a":[1,2.50]}"#, r#"{"response":{"params":{"a":[1,2.5]}},"status":"ok"}"#),
        ("room:deny", "{}", r#"{"response":{"reason":"unauthorized"},"status":"error"}"#),
        ("room:deny_plainly", "{}", r#"{"response":{},"status":"error"}"#),
        ("room:crash", "{}", r#"{"response":{"reason":"join crashed"},"status":"error"}"#),
        ("room:push", "{}", r#"{"response":{"reason":"join crashed"},"status":"error"}"#),
    ] {
        let join = format!(r#"["1","2","{topic}","phx_join",{payload}]"#);
        client.check(&join, &[&format!(r#"["1","2","{topic}","phx_reply",{answer}]"#)]);
    }
    client.check(
        r#"["1","3","room:deny","echo",{}]"#,
        &[r#"[null,"3","room:deny","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]"#],
    );
}

#[test]
fn ch_r11_r12_limit_of_channels() {
    let server = serve_with(1, MountOptions::default().with_max_channels(2));
    let mut client = server.connect();
    client.join("1", "room:1");
    client.join("2", "room:2");
    client.check(
        r#"["3","3","room:3","phx_join",{}]"#,
        &[r#"["3","3","room:3","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]"#],
    );
    client.check(
        r#"["1","4","room:1","phx_leave",{}]"#,
        &[r#"["1","4","room:1","phx_reply",{"response":{},"status":"ok"}]"#, r#"["1","1","room:1","phx_close",{}]"#],
    );
    client.join("5", "room:3");
}

#[test]
fn ch_r11_channels_that_still_terminate_count() {
    let server = serve_with(1, MountOptions::default().with_max_channels(1));
    let mut client = server.connect();
    let ok = r#"["1","1","room:slow_end","phx_reply",{"response":{},"status":"ok"}]"#;
    client.check(r#"["1","1","room:slow_end","phx_join",{"fast":1}]"#, &[ok]);
    client.check(r#"["1","1","room:slow_end","phx_leave",{}]"#, &[ok, r#"["1","1","room:slow_end","phx_close",{}]"#]);
    client.check(
        r#"["2","2","room:a","phx_join",{}]"#,
        &[r#"["2","2","room:a","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]"#],
    );
    server.open_gate(1);
    assert_eq!(server.logged(), "room:slow_end left");
    // Logged is the last thing it does before it is gone.
    let joined = |answer: &str| answer.contains("ok");
    while !joined(&{
        client.send(r#"["3","3","room:a","phx_join",{}]"#);
        client.recv()
    }) {
        std::thread::yield_now();
    }
}

#[test]
fn ch_r11_the_default_limit_is_100() {
    let server = serve();
    let mut client = server.connect();
    for n in 1..=100 {
        client.join(&n.to_string(), &format!("room:{n}"));
    }
    client.check(
        r#"["101","101","room:101","phx_join",{}]"#,
        &[r#"["101","101","room:101","phx_reply",{"response":{"reason":"too many channels joined"},"status":"error"}]"#],
    );
    client.check(
        r#"["7","x","room:7","phx_join",{}]"#,
        &[r#"["7","x","room:7","phx_reply",{"response":{},"status":"ok"}]"#, r#"["7","7","room:7","phx_close",{}]"#],
    );
}

#[test]
fn ch_r13_duplicate_join_order() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(
        r#"["5","5","room:a","phx_join",{}]"#,
        &[r#"["5","5","room:a","phx_reply",{"response":{},"status":"ok"}]"#, r#"["1","1","room:a","phx_close",{}]"#],
    );
    assert_eq!(server.logged(), "room:a duplicate join");
    client.check(r#"["1","6","room:a","echo",{}]"#, &[]);
    client.check(r#"["5","7","room:a","shout",{"once":1}]"#, &[r#"[null,null,"room:a","shout",{"once":1}]"#]);
    client.join("8", "room:welcome");
    client.expect(&[r#"["8",null,"room:welcome","welcome",{"topic":"room:welcome"}]"#]);
    client.check(
        r#"["9","9","room:welcome","phx_join",{}]"#,
        &[
            r#"["9","9","room:welcome","phx_reply",{"response":{},"status":"ok"}]"#,
            r#"["8","8","room:welcome","phx_close",{}]"#,
            r#"["9",null,"room:welcome","welcome",{"topic":"room:welcome"}]"#,
        ],
    );
}

#[test]
fn ch_r13_duplicate_join_waits_for_the_old_one_to_terminate() {
    let server = serve();
    let mut client = server.connect();
    client.send(r#"["1","1","room:slow_end","phx_join",{"fast":1}]"#);
    client.expect(&[r#"["1","1","room:slow_end","phx_reply",{"response":{},"status":"ok"}]"#]);
    client.check(r#"["2","2","room:slow_end","phx_join",{"fast":1}]"#, &[]);
    client.check(r#"["2","3","room:slow_end","echo",{"n":3}]"#, &[]);
    server.open_gate(1);
    client.expect(&[
        r#"["2","2","room:slow_end","phx_reply",{"response":{},"status":"ok"}]"#,
        r#"["1","1","room:slow_end","phx_close",{}]"#,
        r#"["2","3","room:slow_end","phx_reply",{"response":{"n":3},"status":"ok"}]"#,
    ]);
    assert_eq!(server.logged(), "room:slow_end duplicate join");
}

#[test]
fn ch_r13_duplicate_join_while_a_callback_waits() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    client.check(r#"["1","2","room:a","slow_echo",{}]"#, &[]);
    client.check(r#"["1","3","room:a","echo",{}]"#, &[]);
    client.check(r#"["4","4","room:a","phx_join",{}]"#, &[]);
    client.check(r#"["4","5","room:a","echo",{"n":5}]"#, &[]);
    server.open_gate(1);
    // What the old join still had to answer goes with it.
    client.expect(&[
        r#"["4","4","room:a","phx_reply",{"response":{},"status":"ok"}]"#,
        r#"["1","1","room:a","phx_close",{}]"#,
        r#"["4","5","room:a","phx_reply",{"response":{"n":5},"status":"ok"}]"#,
    ]);
    assert_eq!(server.logged(), "room:a duplicate join");
}

#[test]
fn ch_r14_r15_r18_join_refs() {
    let server = serve();
    let mut client = server.connect();
    client.join("4", "room:a");
    for stale in
        [r#"["99","5","room:a","echo",{}]"#, r#"[4,"5","room:a","echo",{}]"#, r#"["99","5","room:a","phx_leave",{}]"#]
    {
        client.check(stale, &[]);
    }
    client.check(
        r#"[null,"6","room:a","echo",{"x":1}]"#,
        &[r#"["4","6","room:a","phx_reply",{"response":{"x":1},"status":"ok"}]"#],
    );
    client.check(
        r#"[null,"7","room:a","phx_leave",{}]"#,
        &[r#"["4","7","room:a","phx_reply",{"response":{},"status":"ok"}]"#, r#"["4","4","room:a","phx_close",{}]"#],
    );
}

#[test]
fn ch_m16_refs_are_echoed_verbatim() {
    let server = serve();
    let mut client = server.connect();
    client.check(
        r#"[null,"1","room:a","phx_join",{}]"#,
        &[r#"[null,"1","room:a","phx_reply",{"response":{},"status":"ok"}]"#],
    );
    // A join without join_ref is stamped with its ref, yet closed with what was given.
    client.check(
        r#"[null,"2","room:a","echo",{"x":1}]"#,
        &[r#"["1","2","room:a","phx_reply",{"response":{"x":1},"status":"ok"}]"#],
    );
    client.check(
        r#"[null,"3","room:a","crash",{}]"#,
        &[r#"[null,null,"room:a","phx_error",{"reason":"channel_crash"}]"#],
    );
    client.check(r#"[7,8,"room:c","phx_join",{}]"#, &[r#"[7,8,"room:c","phx_reply",{"response":{},"status":"ok"}]"#]);
    client.check(r#"[7,9,"room:c","push",{"x":1}]"#, &[r#"[7,null,"room:c","pushed",{"x":1}]"#]);
    client.check(
        r#"["5",null,"room:d","phx_join",{}]"#,
        &[r#"["5",null,"room:d","phx_reply",{"response":{},"status":"ok"}]"#],
    );
}

#[test]
fn ch_r16_r17_r19_leaving() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:bye");
    client.check(
        r#"["1","2","room:bye","phx_leave",{}]"#,
        &[
            r#"["1","2","room:bye","phx_reply",{"response":{},"status":"ok"}]"#,
            r#"["1","1","room:bye","phx_close",{}]"#,
            r#"["1",null,"room:bye","bye",{}]"#,
        ],
    );
    assert_eq!(server.logged(), "room:bye left");
    client.check(
        r#"["1","3","room:bye","echo",{}]"#,
        &[r#"[null,"3","room:bye","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]"#],
    );
    client.check(
        r#"["1","4","room:other","phx_leave",{}]"#,
        &[r#"["1","4","room:other","phx_reply",{"response":{},"status":"ok"}]"#],
    );
}

#[test]
fn ch_r20_r21_a21_a_crash() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:bye");
    client.join("2", "room:other");
    client.check(
        r#"["1","3","room:bye","crash",{}]"#,
        &[r#"["1",null,"room:bye","bye",{}]"#, r#"["1","1","room:bye","phx_error",{"reason":"channel_crash"}]"#],
    );
    assert_eq!(server.logged(), "room:bye crashed");
    client.check(
        r#"["2","4","room:other","echo",{"x":1}]"#,
        &[r#"["2","4","room:other","phx_reply",{"response":{"x":1},"status":"ok"}]"#],
    );
    // An event that is no string is one without a clause.
    client
        .check(r#"["2","5","room:other",5,{}]"#, &[r#"["2","2","room:other","phx_error",{"reason":"channel_crash"}]"#]);
    client.join("6", "room:bye");
}

#[test]
fn ch_r22_a14_a15_stopping() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:bye");
    client.check(
        r#"["1","2","room:bye","stop",{}]"#,
        &[r#"["1","1","room:bye","phx_close",{}]"#, r#"["1",null,"room:bye","bye",{}]"#],
    );
    assert_eq!(server.logged(), "room:bye normal");
    client.join("3", "room:a");
    client.check(
        r#"["3","4","room:a","stop_reply",{}]"#,
        &[
            r#"["3","4","room:a","phx_reply",{"response":{"bye":true},"status":"ok"}]"#,
            r#"["3","3","room:a","phx_close",{}]"#,
        ],
    );
    assert_eq!(server.logged(), "room:a shutdown");
    client.join("5", "room:bye");
    client.check(
        r#"["5","6","room:bye","stop_weird",{}]"#,
        &[
            r#"["5","6","room:bye","phx_reply",{"response":{"bye":true},"status":"ok"}]"#,
            r#"["5",null,"room:bye","bye",{}]"#,
            r#"["5","5","room:bye","phx_error",{"reason":"channel_crash"}]"#,
        ],
    );
    assert_eq!(server.logged(), "room:bye weird");
}

#[test]
fn ch_m6_a_bad_frame_ends_the_socket() {
    let server = serve();
    for bad in ["", "{", "not json", "1", r#"["1","2""#, r#"{"topic":"room:a","event":"echo","payload":{},"ref":"2"}"#]
    {
        let mut client = server.connect();
        client.join("1", "room:a");
        client.send_all(&[bad, r#"["1","2","room:a","echo",{}]"#]);
        assert_eq!(client.recv(), "close 1011", "{bad:?}");
        assert_eq!(server.logged(), "room:a closed");
    }
    let mut client = server.connect();
    client.send_binary(&[0, 255, 255, 255, 255, 0]);
    assert_eq!(client.recv(), "close 1011");
}

#[test]
fn ch_m5_m15_what_may_be_sent() {
    let server = serve();
    let mut client = server.connect();
    client.join("1", "room:a");
    for payload in [r#""text""#, "[1,[2]]", "null", "1.50", r#"{"u":"\u0000/<>&","i":10000000000000000000000}"#] {
        client.check(
            &format!(r#"["1","2","room:a","echo",{payload},"extra"]"#),
            &[&format!(r#"["1","2","room:a","phx_reply",{{"response":{payload},"status":"ok"}}]"#)],
        );
    }
}

#[test]
fn what_a_join_would_keep_is_bounded() {
    let server = serve();
    let mut client = server.connect();
    let long = "x".repeat(1025);
    let refused = r#""phx_reply",{"response":{"reason":"topic or join_ref too long"},"status":"error"}]"#;
    client.check(
        &format!(r#"["1","1","room:{long}","phx_join",{{}}]"#),
        &[&format!(r#"["1","1","room:{long}",{refused}"#)],
    );
    client.check(
        &format!(r#"["{long}","1","room:a","phx_join",{{}}]"#),
        &[&format!(r#"["{long}","1","room:a",{refused}"#)],
    );
}
