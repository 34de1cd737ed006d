//! What a hostile peer may cost in memory, counted by the allocator.

mod counting;
mod peer;

use counting::measure;
use peer::{BINARY, CONTINUATION, FIN, PING, TEXT, masked};
use wingbeat_websocket::{Connection, Limits, ProtocolError, Received, Role};

/// Feeds `bytes` once and forgets what comes of it; the connection is given back with the error, if there was one.
fn swallow(server: &mut Connection, bytes: &mut [u8], output: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let mut used = 0;
    loop {
        let (step, received) = server.handle_input(&mut bytes[used..], output)?;
        used += step;
        output.clear();
        if received.is_none() {
            return Ok(());
        }
    }
}

/// A flood of Pings took servers down that made an object for each, or queued the Pongs. Here a Ping is answered out of
/// the input into the output there is, one at a time.
#[test]
fn ws_sec7_a_million_pings_allocate_nothing() {
    const AT_ONCE: usize = 1000;
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let flood = masked(FIN | PING, b"flood").repeat(AT_ONCE);
    let mut input = flood.clone();
    let mut output = Vec::with_capacity(256);
    let (result, held, most) = measure(|| {
        (0..1_000_000 / AT_ONCE).try_for_each(|_| {
            input.copy_from_slice(&flood);
            swallow(&mut server, &mut input, &mut output)
        })
    });
    assert_eq!((result, held, most), (Ok(()), 0, 0));
}

/// ws had a wrapper for each fragment and each piece of data, which cost more than what was in them; empty ones were not
/// even counted (advisory of 2026, PR 2329). Here fragments are appended to one buffer, whatever their size.
#[test]
fn ws_sec8_sec21_tiny_fragments_cost_no_more_than_twice_their_payload() {
    for (fragment_bytes, fragments) in [(0, 1000), (1, 1000), (7, 1000), (1000, 1000)] {
        for kind in [TEXT, BINARY] {
            let mut server = Connection::new(Role::Server, Limits::DEFAULT);
            let payload = vec![b'x'; fragment_bytes];
            let mut input = masked(CONTINUATION, &payload).repeat(fragments);
            input[0] = kind;
            let mut output = Vec::new();
            let (result, held, most) = measure(|| swallow(&mut server, &mut input, &mut output));
            let gathered = fragment_bytes * fragments;
            // The state of a message in flight is small change.
            assert!(result.is_ok() && held <= 2 * gathered + 1024, "{held} bytes for {gathered}");
            // While it grows, the old buffer and the new are both there.
            assert!(most <= 3 * gathered + 1024, "{most} bytes for {gathered}");
        }
    }
}

/// A frame that says it is large and comes byte by byte, as slowly as it likes.
#[test]
fn ws_sec9_what_is_announced_is_not_reserved() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut whole = masked(FIN | BINARY, &vec![7; 1 << 20]);
    let mut output = Vec::new();
    let mut input = Vec::with_capacity(256);
    for (at, byte) in whole.drain(..10_000).enumerate() {
        let ((), held, _) = measure(|| {
            input.push(byte);
            let (used, received) = server.handle_input(&mut input, &mut output).unwrap();
            assert_eq!(received, None);
            input.drain(..used);
        });
        // Twice what has come, wherever it stands: what is held is measured from step to step.
        assert!(held as isize <= at as isize + 1024, "{held} bytes more at {at}");
    }
}

/// Servers of every kind had one buffer that nobody had thought of: lengths of chunks, tables of headers, parts of forms
/// (CVE-2026-7790, CVE-2026-43970, CVE-2026-8466). Whatever a stranger sends here, in whatever pieces: what is held is
/// the message in flight, and that has a limit.
#[test]
fn ws_sec33_whatever_comes_no_more_than_the_limit_is_held() {
    const LIMIT: usize = 2000;
    let limits = Limits::DEFAULT.with_max_frame_bytes(LIMIT).with_max_message_bytes(LIMIT).with_max_fragments(50);
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % below
    };
    let mut refused = 0;
    for _ in 0..2000 {
        // Mostly what is allowed, so that it goes on for a while.
        let mut stream = Vec::new();
        let mut is_open = false;
        for _ in 0..100 {
            let fin = if random(3) == 0 { FIN } else { 0 };
            let first = match random(20) {
                0 => random(256) as u8,
                1..4 => FIN | PING,
                _ if is_open => fin | CONTINUATION,
                _ => fin | if random(2) == 0 { TEXT } else { BINARY },
            };
            if first & 0x08 == 0 {
                is_open = first & FIN == 0;
            }
            let most = if first & 0x08 == 0 { 150 } else { 126 };
            stream.extend(masked(first, &vec![b'x'; random(most)]));
        }
        let mut server = Connection::new(Role::Server, limits);
        let mut input = Vec::with_capacity(stream.len());
        let mut output = Vec::with_capacity(64 << 10);
        let mut rest = &stream[..];
        let mut kept = 0_isize;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + random(400)).min(rest.len()));
            rest = behind;
            input.extend_from_slice(piece);
            let (result, held, most) = measure(|| {
                loop {
                    let (used, received) = server.handle_input(&mut input, &mut output)?;
                    let is_more = received.is_some();
                    drop(received);
                    input.drain(..used);
                    output.clear();
                    if !is_more {
                        return Ok::<(), ProtocolError>(());
                    }
                }
            });
            kept += held as isize;
            // The old buffer and the new while it grows, and the state of a message.
            assert!(kept <= (LIMIT + 1024) as isize && most <= 2 * LIMIT + 1024, "{kept} kept, {most} at most");
            if result.is_err() {
                refused += 1;
                break;
            }
            assert!(input.len() < 14 + 125, "{} bytes wait in the input", input.len());
        }
    }
    assert!((100..2000).contains(&refused), "{refused} of 2000 were refused: the streams are no good");
}

/// Nothing is held of a message once it has been told.
#[test]
fn what_has_been_told_is_given_back() {
    let mut server = Connection::new(Role::Server, Limits::DEFAULT);
    let mut input = [masked(TEXT, &[b'x'; 5000]), masked(FIN, &[b'y'; 5000])].concat();
    let mut output = Vec::new();
    let (is_told, held, _) = measure(|| {
        let (_, received) = server.handle_input(&mut input, &mut output).unwrap();
        matches!(received, Some(Received::Text(text)) if text.len() == 10_000)
    });
    assert!(is_told && held == 0, "{held} bytes");
}
