//! RFC 7692 §8, design: what compression costs in memory, counted by the allocator.

#![cfg(feature = "deflate")]

mod counting;
mod deflating;
mod peer;

use std::sync::Arc;

use counting::measure;
use deflating::{NO_TAKEOVER, RSV1, TAKEOVER, agreed, connection, server_frame, wordy};
use peer::{BINARY, CLIENT, FIN, masked};
use wingbeat_websocket::deflate::{Compression, DeflateBudget, DeflatePool};
use wingbeat_websocket::{Connection, Limits, ProtocolError, Role};

/// Has both sides say something compressed.
fn talk(server: &mut Connection, pool: &mut DeflatePool, output: &mut Vec<u8>) {
    let mut input = masked(FIN | RSV1 | BINARY, &deflating::HELLO);
    server.handle_input_with(pool, &mut input, output).unwrap();
    output.clear();
    server.send_text_with(&wordy(4000), Compression::Always, pool, output).unwrap();
}

/// Has the pool make its contexts.
fn warm_up(pool: &mut DeflatePool) {
    talk(&mut connection(Role::Server, NO_TAKEOVER), pool, &mut Vec::new());
}

#[test]
fn ws_d22_an_idle_connection_without_takeover_holds_nothing() {
    let mut pool = DeflatePool::new(NO_TAKEOVER);
    let mut output = Vec::with_capacity(16 << 10);
    talk(&mut connection(Role::Server, NO_TAKEOVER), &mut pool, &mut output);
    let mut connections: Vec<Connection> = Vec::with_capacity(1_000);
    let ((), held, _) = measure(|| {
        for _ in 0..1_000 {
            connections.push(connection(Role::Server, NO_TAKEOVER));
            talk(connections.last_mut().unwrap(), &mut pool, &mut output);
        }
    });
    assert_eq!(held, 0, "bytes on the heap for 1,000 connections that have talked");
    assert!(size_of::<Connection>() <= 48, "{} bytes", size_of::<Connection>());
}

#[test]
fn ws_d22_takeover_costs_at_most_what_the_budget_has_paid_for() {
    let mut output = Vec::with_capacity(1 << 20);
    let mut pool = DeflatePool::new(NO_TAKEOVER);
    for window_bits in 9..=15 {
        let config = TAKEOVER.with_server_max_window_bits(window_bits).with_client_max_window_bits(window_bits);
        let params = agreed(config);
        let budget = Arc::new(DeflateBudget::new(1 << 20));
        let (params, grant) = budget.fit(params);
        let mut server = Connection::new(Role::Server, Limits::DEFAULT);
        let mut client = connection(CLIENT, config);
        let mut frames = Vec::new();
        for size in [10, 1000, 40_000, 70_000] {
            client.send_text_with(&wordy(size), Compression::Always, &mut pool, &mut frames).unwrap();
        }
        talk(&mut connection(Role::Server, config), &mut pool, &mut output);
        let ((), held, _) = measure(|| {
            server.set_deflate(params, grant);
            let mut input = frames.clone();
            let mut used = 0;
            while used < input.len() {
                used += server.handle_input_with(&mut pool, &mut input[used..], &mut output).unwrap().0;
                output.clear();
                server.send_text_with(&wordy(4000), Compression::Always, &mut pool, &mut output).unwrap();
            }
        });
        let paid = params.takeover_bytes(Role::Server);
        // The box that holds both is small change.
        assert!(held <= paid + 512, "{held} bytes of {paid}, {window_bits} bits");
        assert!(held > paid * 3 / 4, "{held} bytes of {paid}, {window_bits} bits");
    }
}

#[test]
fn ws_d18_a_bomb_costs_the_limit_and_a_buffer() {
    const LIMIT: usize = 64 << 10;
    let mut pool = DeflatePool::new(NO_TAKEOVER);
    let mut output = Vec::new();
    let mut sender = connection(Role::Server, NO_TAKEOVER);
    sender.send_binary_with(&vec![0; 8 << 20], Compression::Always, &mut pool, &mut output).unwrap();
    let bomb = server_frame(&output).1;
    assert!(bomb.len() < 8 << 20 >> 9, "{}", bomb.len());
    let mut server = connection(Role::Server, NO_TAKEOVER);
    server.set_limits(Limits::DEFAULT.with_max_message_bytes(LIMIT));
    let mut input = masked(FIN | RSV1 | BINARY, bomb);
    let mut output = Vec::new();
    warm_up(&mut pool);
    // What is left once it has been refused, and the most there was: the message up to its limit, and for a moment the
    // quarter of that which it grew out of.
    let (received, held, most) = measure(|| server.handle_input_with(&mut pool, &mut input, &mut output).map(|_| ()));
    assert_eq!(received, Err(ProtocolError::MessageTooBig { limit: LIMIT }));
    assert!(held == 0 && most <= LIMIT + LIMIT / 4 + 1, "{held} bytes held, {most} at most");
}

#[test]
fn an_inflated_message_has_no_more_room_than_twice_its_size() {
    let mut pool = DeflatePool::new(NO_TAKEOVER);
    warm_up(&mut pool);
    for size in [1, 10, 100, 5_000, 100_000] {
        for message in [wordy(size), "a".repeat(size)] {
            let mut output = Vec::new();
            let mut sender = connection(CLIENT, NO_TAKEOVER);
            sender.send_text_with(&message, Compression::Always, &mut pool, &mut output).unwrap();
            let mut server = connection(Role::Server, NO_TAKEOVER);
            let (received, held, _) = measure(|| {
                let (_, received) = server.handle_input_with(&mut pool, &mut output, &mut Vec::new()).unwrap();
                received.map(wingbeat_websocket::Received::into_owned)
            });
            assert!(received.is_some() && held <= 2 * size, "{held} bytes for {size}");
        }
    }
}
