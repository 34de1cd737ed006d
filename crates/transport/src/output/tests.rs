use std::io::Read;
use std::net::TcpListener;

use super::*;

/// Two ends of a loopback connection, ours without blocking.
fn pair() -> (Stream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let peer = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (ours, _) = listener.accept().expect("accepted");
    ours.set_nonblocking(true).expect("a plain socket");
    (Stream::Tcp(mio::net::TcpStream::from_std(ours)), peer)
}

fn received(peer: &mut std::net::TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    peer.read_exact(&mut bytes).expect("what was written");
    bytes
}

#[test]
fn neighbours_in_the_cork_are_one_range() {
    let mut output = Output::default();
    output.push_corked(0..10, 1);
    output.push_corked(10..25, 1);
    assert_eq!((output.len(), output.messages()), (25, 2));
    assert!(output.backlog.is_none(), "no memory of its own");
    output.push_corked(40..50, 1);
    assert_eq!((output.len(), output.messages()), (35, 3));
}

#[test]
fn order_holds_across_kinds() {
    let (mut stream, mut peer) = pair();
    let cork = b"aaabbbccc";
    let mut output = Output::default();
    output.push_corked(0..3, 1);
    output.push_shared(Bytes::from_static(b"xyz"), false);
    output.push_corked(6..9, 1);
    assert_eq!(output.write(&mut stream, cork).expect("open"), Written::All);
    assert!(output.is_empty());
    assert_eq!(received(&mut peer, 9), b"aaaxyzccc");
}

#[test]
fn a_peer_that_does_not_read_gets_all_of_it_later() {
    let (mut stream, mut peer) = pair();
    let (mut output, mut sent) = (Output::default(), Vec::new());
    let mut blocked = false;
    for turn in 0..200u32 {
        let cork: Vec<u8> = (0..60_000u32).map(|at| (at * 7 + turn) as u8).collect();
        output.push_corked(0..30_000, 3);
        output.push_shared(Bytes::from(vec![turn as u8; SHARED_FROM_BYTES]), false);
        output.push_shared(Bytes::from_static(b"small"), false);
        output.push_corked(30_000..60_000, 2);
        sent.extend_from_slice(&cork[..30_000]);
        sent.extend(std::iter::repeat_n(turn as u8, SHARED_FROM_BYTES));
        sent.extend_from_slice(b"small");
        sent.extend_from_slice(&cork[30_000..]);
        blocked |= output.write(&mut stream, &cork).expect("open") == Written::Blocked;
    }
    assert!(blocked, "15 MB do not fit into the socket's buffers");
    assert!(output.messages() > 0 && output.len() < sent.len());
    let length = sent.len();
    let reader = std::thread::spawn(move || received(&mut peer, length));
    while output.write(&mut stream, &[]).expect("open") == Written::Blocked {
        std::thread::yield_now();
    }
    assert_eq!((output.len(), output.messages()), (0, 0));
    assert!(reader.join().expect("all of it came") == sent);
}

#[test]
fn a_peer_that_never_quite_keeps_up_costs_what_waits_and_no_more() {
    let (mut stream, mut peer) = pair();
    let cork = vec![7; 10_000];
    let mut output = Output::default();
    for _ in 0..2_000 {
        output.write(&mut stream, &[]).expect("open");
        while output.len() < 500_000 {
            output.push_corked(0..10_000, 10);
            output.write(&mut stream, &cork).expect("open");
        }
        received(&mut peer, 10_000);
    }
    let waiting = output.len() + 2 * OWNED_BYTES;
    assert!(output.messages() <= waiting / 1000, "{} messages in {} bytes", output.messages(), output.len());
    let segments = output.backlog.iter().flat_map(|backlog| &backlog.segments);
    let kept = segments.map(|segment| match &segment.data {
        Data::Owned { bytes, .. } => bytes.len(),
        _ => 0,
    });
    assert!(kept.sum::<usize>() <= waiting);
}

/// Memory of the backlog, looked up where it lies; frames shared with others count as if they were not.
fn memory(output: &Output) -> usize {
    let Some(backlog) = &output.backlog else { return 0 };
    let of = |segment: &Segment| match &segment.data {
        Data::Corked(_) => 0,
        Data::Shared { bytes, .. } => bytes.len(),
        Data::Owned { bytes, .. } => bytes.capacity(),
    };
    backlog.segments.capacity() * size_of::<Segment>() + backlog.segments.iter().map(of).sum::<usize>()
}

#[test]
fn ws_sec10_what_is_held_is_what_it_takes() {
    let (mut stream, mut peer) = pair();
    peer.set_read_timeout(Some(std::time::Duration::from_millis(1))).expect("an option");
    let cork = vec![7; 200_000];
    let mut output = Output::default();
    let mut state = 1_u32;
    let mut next = |most: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % most + 1
    };
    for round in 0..3000 {
        match next(4) {
            1 => output.push_corked(0..next(200_000), 3),
            2 => output.push_shared(Bytes::from(vec![1; next(40_000) as usize]), round % 2 == 0),
            3 => output.push_owned(vec![2; next(20_000) as usize], 1),
            _ => output.push_corked(0..next(300), 1),
        }
        if round % 3 == 0 {
            let _ = peer.read(&mut vec![0; next(30_000) as usize]);
        }
        let _ = output.write(&mut stream, &cork).expect("open");
        let (held, memory) = (output.held(), memory(&output));
        assert!(output.len() <= held && memory <= held, "{} bytes take {memory}, {held} are told", output.len());
        if output.len() > 4 << 20 {
            output = Output::default();
        }
    }
}

#[test]
fn ws_sec10_only_whole_droppable_messages_of_which_nothing_is_written_go() {
    let (mut stream, mut peer) = pair();
    let mut output = Output::default();
    let frame = |byte: u8| Bytes::from(vec![byte; 20_000]);
    let mut sent = 0_u8;
    // Until the socket takes nothing and a frame has begun.
    while output.write(&mut stream, &[]).expect("open") == Written::All {
        output.push_shared(frame(sent), true);
        sent += 1;
    }
    let begun = sent - 1;
    let is_begun = output.len() % 20_000 != 0;
    output.push_owned(vec![200; 500], 1);
    for byte in [201, 202, 203] {
        output.push_shared(frame(byte), true);
    }
    let before = (output.len(), output.messages());
    assert_eq!(output.evict(Order::OldestFirst, 100_000, 1), None, "there is not so much");
    assert_eq!((output.len(), output.messages()), before, "and nothing is dropped in vain");
    if !is_begun {
        assert_eq!(output.evict(Order::OldestFirst, 1, 0), Some(1), "the one that waits, of which nothing is written");
    }
    assert_eq!(output.evict(Order::OldestFirst, 1, 0), Some(1));
    assert_eq!(output.evict(Order::NewestFirst, 0, 1), Some(1));
    assert_eq!(output.evict(Order::NewestFirst, 0, 3), None, "an answer is not dropped");
    let length = usize::from(begun) * 20_000 + usize::from(is_begun) * 20_000 + 500 + 20_000;
    let reader = std::thread::spawn(move || received(&mut peer, length));
    while output.write(&mut stream, &[]).expect("open") == Written::Blocked {
        std::thread::yield_now();
    }
    assert_eq!((output.len(), output.messages()), (0, 0));
    let bytes = reader.join().expect("all of it came");
    let expected: Vec<u8> = (0..begun + u8::from(is_begun))
        .flat_map(|byte| vec![byte; 20_000])
        .chain(vec![200; 500])
        .chain(vec![202; 20_000])
        .collect();
    assert!(bytes == expected, "whole frames, in order");
}
