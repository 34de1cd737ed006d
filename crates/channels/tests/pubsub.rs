//! Broadcasts (rows P, A9, A10, A30) and disconnecting by socket id (rows C16, R23).

mod support;

use serde_json::json;
use support::{Client, TestServer, serve, serve_with};
use wingbeat_channels::MountOptions;

/// Enough clients that every worker has some.
fn crowd(server: &TestServer, topic: &str) -> Vec<Client> {
    let mut crowd: Vec<_> = (0..8).map(|_| server.connect()).collect();
    crowd.iter_mut().for_each(|client| client.join("1", topic));
    crowd
}

#[test]
fn ch_a9_a10_broadcast_and_broadcast_from() {
    let server = serve();
    let mut crowd = crowd(&server, "room:a");
    let mut stranger = server.connect();
    stranger.join("1", "room:b");
    crowd[0].check(r#"["1","2","room:a","shout",{"m":"hi"}]"#, &[r#"[null,null,"room:a","shout",{"m":"hi"}]"#]);
    crowd[0].check(r#"["1","3","room:a","from",{"m":"others"}]"#, &[]);
    for client in &mut crowd[1..] {
        client.expect(&[r#"[null,null,"room:a","shout",{"m":"hi"}]"#, r#"[null,null,"room:a","from",{"m":"others"}]"#]);
        client.expect_silence();
    }
    stranger.expect_silence();
}

#[test]
fn ch_p10_one_senders_broadcasts_arrive_in_order_everywhere() {
    let server = serve();
    let mut crowd = crowd(&server, "room:a");
    let pushes: Vec<_> = (0..500).map(|n| format!(r#"["1","{n}","room:a","shout",{{"n":{n}}}]"#)).collect();
    crowd[3].send_all(&pushes.iter().map(String::as_str).collect::<Vec<_>>());
    for client in &mut crowd {
        for n in 0..500 {
            assert_eq!(client.recv(), format!(r#"[null,null,"room:a","shout",{{"n":{n}}}]"#));
        }
    }
}

#[test]
fn ch_a30_broadcasts_from_outside() {
    let server = serve();
    let mut crowd = crowd(&server, "room:a");
    server.handle.broadcast("room:a", "news", json!({ "from": "server" })).unwrap();
    for client in &mut crowd {
        client.expect(&[r#"[null,null,"room:a","news",{"from":"server"}]"#]);
    }
    server.handle.broadcast("room:nobody", "news", json!({})).unwrap();
    assert!(server.handle.broadcast("room:a", "news", json!("no object")).is_err());
    crowd[0].expect_silence();
}

#[test]
fn ch_r28_the_join_reply_precedes_broadcasts() {
    let server = serve();
    let (stop, handle) = (std::sync::atomic::AtomicBool::new(false), server.handle.clone());
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                handle.broadcast("room:a", "storm", json!({})).unwrap();
                std::thread::yield_now();
            }
        });
        // `join` expects its reply to come first.
        for _ in 0..50 {
            let mut client = server.connect();
            client.join("1", "room:a");
            client.expect(&[r#"[null,null,"room:a","storm",{}]"#]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn ch_p1_p3_who_has_left_gets_nothing() {
    let server = serve_with(1, MountOptions::default());
    let mut crowd = crowd(&server, "room:a");
    crowd[2].check(
        r#"["1","2","room:a","phx_leave",{}]"#,
        &[r#"["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]"#, r#"["1","1","room:a","phx_close",{}]"#],
    );
    server.handle.broadcast("room:a", "news", json!({})).unwrap();
    crowd[2].expect_silence();
    crowd[3].expect(&[r#"[null,null,"room:a","news",{}]"#]);
    assert_eq!(counts(&server), [("room:a".to_owned(), 7)]);
    drop(crowd);
    for _ in 0..8 {
        server.logged();
    }
    assert_eq!(counts(&server), []);
}

fn counts(server: &TestServer) -> Vec<(String, usize)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let counts = runtime.block_on(server.handle.list());
    counts.into_iter().map(|count| (count.topic.to_string(), count.members)).collect()
}

#[test]
fn ch_c16_r23_disconnect_by_socket_id() {
    let server = serve();
    let target = |uid| format!("/socket/websocket?vsn=2.0.0&uid={uid}");
    let mut sevens: Vec<_> = (0..8).map(|_| server.connect_to(&target("7"))).collect();
    let mut eight = server.connect_to(&target("8"));
    sevens[0].join("1", "room:a");
    assert_eq!(counts(&server), [("room:a".into(), 1), ("users:7".into(), 8), ("users:8".into(), 1)]);
    server.handle.disconnect("users:7");
    for client in &mut sevens {
        assert_eq!(client.recv(), "close 1001");
    }
    assert_eq!(server.logged(), "room:a closed");
    eight.join("1", "room:a");
    // Other events to a socket's id go nowhere.
    server.handle.broadcast("users:8", "news", json!({})).unwrap();
    eight.expect_silence();
    eight.send(r#"["1","2","room:a","disconnect_me",{}]"#);
    assert_eq!(eight.recv(), "close 1001");
}
