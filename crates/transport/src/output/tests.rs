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
