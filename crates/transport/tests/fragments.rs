//! Messages in parts, as they arrive, and text unchecked.

mod support;

use std::sync::mpsc::{Receiver, channel};

use support::{
    BINARY, CLOSE, CONTINUATION, FIN, PATIENCE, PING, Peer, TEXT, TestServer, config, masked, options, wait_for,
};
use wingbeat_transport::{
    Context, DeflateConfig, Fragment, Handler, Incoming, Limits, Message, MessageKind, Server, SocketOptions,
};
use wingbeat_websocket::Received;

/// Says of each part what it is; says how long a binary message was.
struct Parts {
    told: std::sync::mpsc::Sender<String>,
    bytes: usize,
}

impl Handler for Parts {
    fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {
        panic!("in parts only");
    }

    fn handle_fragment(&mut self, fragment: Fragment<'_>, cx: &mut Context<'_>) {
        self.bytes += fragment.bytes().len();
        let ends = (if fragment.is_first { "^" } else { "" }, if fragment.is_final { "$" } else { "" });
        if let Some(text) = fragment.text() {
            let _ = self.told.send(format!("{}{text}{}", ends.0, ends.1));
        } else if fragment.is_final {
            let bytes = std::mem::take(&mut self.bytes);
            cx.send(Message::Text(&format!("{:?} {bytes}", fragment.kind))).expect("open");
        }
    }

    fn handle_ping(&mut self, _: &[u8], _: &mut Context<'_>) {
        let _ = self.told.send("ping".into());
    }
}

fn parts_server(options: SocketOptions) -> (TestServer, Receiver<String>) {
    let (told, tells) = channel();
    let open = move |_: &wingbeat_transport::Request| Ok(Parts { told: told.clone(), bytes: 0 });
    (TestServer::start(Server::new(config()).handler("/", options.with_fragments(true), open)), tells)
}

#[track_caller]
fn expect(tells: &Receiver<String>, lines: &[&str]) {
    for line in lines {
        assert_eq!(tells.recv_timeout(PATIENCE).expect("a part"), *line);
    }
}

#[test]
fn ws_cb3_parts_are_seen_before_the_rest_has_come() {
    let (server, tells) = parts_server(options());
    let mut peer = server.open("/");
    peer.write(&masked(TEXT, b"one"));
    expect(&tells, &["^one"]);
    peer.ping(b"");
    assert_eq!(peer.recv(), Received::Pong(b""[..].into()), "answered in the middle of a message");
    peer.write(&masked(CONTINUATION, "tsch\u{FC}".as_bytes().split_last().expect("bytes").1));
    expect(&tells, &["ping", "tsch"]);
    peer.write(&masked(CONTINUATION, &"\u{FC}\u{DF}".as_bytes()[1..]));
    expect(&tells, &["\u{FC}", "\u{DF}"]);
    // Half of a frame is seen, too.
    let frame = masked(FIN, b"the end");
    let (head, tail) = frame.split_at(9);
    peer.write(head);
    expect(&tells, &["the"]);
    peer.write(tail);
    expect(&tells, &[" end$"]);
    peer.send_text("whole");
    expect(&tells, &["^whole$"]);
}

#[test]
fn ws_cb32_text_that_is_none_ends_in_the_middle_of_its_message() {
    let (server, tells) = parts_server(options());
    let mut peer = server.open("/");
    peer.write(&masked(TEXT, b"good\xC3"));
    expect(&tells, &["^good"]);
    peer.write(&masked(CONTINUATION, b"bad"));
    peer.expect_close(1007);
    assert!(tells.try_recv().is_err());
}

#[test]
fn ws_cb14_a_message_without_end_is_a_matter_of_limits() {
    const FRAME_BYTES: usize = 3_000_000;
    let lifted = Limits::DEFAULT
        .with_max_frame_bytes(usize::MAX)
        .with_max_message_bytes(usize::MAX)
        .with_max_fragments(u32::MAX);
    let (server, _) = parts_server(options().with_limits(lifted));
    let mut peer = server.open("/");
    // Far more than any limit by default, in frames and in their number.
    peer.write(&masked(BINARY, &vec![7; FRAME_BYTES]));
    for _ in 0..9 {
        peer.write(&masked(CONTINUATION, &vec![7; FRAME_BYTES]));
    }
    peer.write(&masked(CONTINUATION, b"x").repeat(3000));
    peer.write(&masked(FIN, b""));
    assert_eq!(peer.recv_text(), format!("Binary {}", 10 * FRAME_BYTES + 3000));

    let (server, _) = parts_server(options().with_limits(Limits::DEFAULT.with_max_message_bytes(1000)));
    let mut peer = server.open("/");
    peer.write(&[masked(BINARY, &[7; 600]), masked(CONTINUATION, &[7; 600])].concat());
    peer.expect_close(1009);
}

#[test]
fn parts_wait_while_the_handler_does_not_read() {
    struct Stepping;
    impl Handler for Stepping {
        fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}
        fn handle_fragment(&mut self, fragment: Fragment<'_>, cx: &mut Context<'_>) {
            cx.pause();
            cx.send(Message::Binary(fragment.bytes())).expect("open");
            let handle = cx.handle();
            std::thread::spawn(move || handle.info(()));
        }
        fn handle_info(&mut self, _: wingbeat_transport::Info, cx: &mut Context<'_>) {
            cx.resume();
        }
    }
    let server = Server::new(config()).handler("/", options().with_fragments(true), |_| Ok(Stepping));
    let server = TestServer::start(server);
    let mut peer = server.open("/");
    let mut bytes = masked(BINARY, b"0");
    for index in 1..50_u8 {
        bytes.extend(masked(CONTINUATION, &[index]));
    }
    peer.write(&bytes);
    assert_eq!(peer.recv_binary(), b"0");
    for index in 1..50 {
        assert_eq!(peer.recv_binary(), [index]);
    }
}

#[test]
fn compressed_messages_come_in_parts_too() {
    let (server, tells) = parts_server(options().with_deflate(DeflateConfig::DEFAULT));
    let (mut peer, agreed) = Peer::open_deflating(server.addr(), "/", DeflateConfig::DEFAULT);
    assert!(agreed.is_some());
    let text: String = (0..20_000).map(|index| format!("{} ", index * 7919 % 10_007)).collect();
    peer.send_text(&text);
    let mut heard = String::new();
    let mut parts = 0;
    while !heard.ends_with('$') {
        heard.push_str(&tells.recv_timeout(PATIENCE).expect("a part"));
        parts += 1;
    }
    assert!(heard == format!("^{text}$"));
    assert!(parts > 10, "{parts} parts");
}

#[test]
fn a_loop_receives_parts() {
    let (sender, sockets) = channel();
    let options = options().with_fragments(true).with_control_frames(true);
    let server = Server::new(config()).socket("/", options, move |socket| {
        let _ = sender.send(socket);
        async {}
    });
    let server = TestServer::start(server);
    let mut peer = server.open("/");
    let mut socket = sockets.recv_timeout(PATIENCE).expect("open");
    peer.write(&[masked(TEXT, b"a"), masked(FIN | PING, b"p"), masked(FIN, b"b")].concat());
    peer.write(&masked(FIN | support::PONG, b"q"));
    wait_for(async {
        let Some(Incoming::Fragment(first)) = socket.recv_any().await else { panic!("a part") };
        assert_eq!((first.text(), first.is_first, first.is_final), (Some("a"), true, false));
        assert_eq!(socket.recv_any().await, Some(Incoming::Ping(b"p".to_vec())));
        let Some(Incoming::Fragment(last)) = socket.recv_any().await else { panic!("a part") };
        assert_eq!((last.text(), last.is_first, last.is_final), (Some("b"), false, true));
        assert_eq!(socket.recv_any().await, Some(Incoming::Pong(b"q".to_vec())));
    });
}

/// Sends back what it gets, text or not.
struct Unchecked;

impl Handler for Unchecked {
    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        assert!(matches!(message, Message::Binary(_)), "text comes unchecked");
        cx.send(message).expect("open");
    }

    fn handle_unchecked_text(&mut self, text: &[u8], cx: &mut Context<'_>) {
        cx.send_unchecked_text(text).expect("open");
    }
}

#[test]
fn ws_cb17_ws_t5_text_that_is_not_checked_echoes() {
    let options = options().with_checked_text(false).with_limits(Limits::DEFAULT.with_max_message_bytes(50_000));
    let server = TestServer::start(Server::new(config()).handler("/", options, |_| Ok(Unchecked)));
    let mut peer = server.open("/");
    peer.write(&masked(FIN | TEXT, b"\xFF\xFF\xFF\xFF"));
    assert_eq!(peer.frame(), (FIN | TEXT, b"\xFF\xFF\xFF\xFF".to_vec()));
    // Fragments are joined, and limits hold.
    peer.write(&[masked(TEXT, b"\xC3"), masked(CONTINUATION, b"("), masked(FIN, b"\xFF")].concat());
    assert_eq!(peer.frame(), (FIN | TEXT, b"\xC3(\xFF".to_vec()));
    peer.write(&masked(FIN | BINARY, &[7; 40_000]));
    assert_eq!(peer.recv_binary(), [7; 40_000]);
    peer.write(&[masked(TEXT, &[7; 40_000]), masked(FIN, &[7; 40_000])].concat());
    peer.expect_close(1009);
    // The reason of a Close is text for the application, and stays checked.
    let mut peer = server.open("/");
    peer.write(&masked(FIN | CLOSE, b"\x03\xE8\xFF"));
    peer.expect_close(1007);
}

#[test]
fn fragments_of_unchecked_text_are_bytes() {
    struct Counting;
    impl Handler for Counting {
        fn handle_message(&mut self, _: Message<'_>, _: &mut Context<'_>) {}
        fn handle_fragment(&mut self, fragment: Fragment<'_>, cx: &mut Context<'_>) {
            assert_eq!((fragment.kind, fragment.text()), (MessageKind::Text, None));
            cx.send_unchecked_text(fragment.bytes()).expect("open");
        }
    }
    let options = options().with_checked_text(false).with_fragments(true);
    let server = TestServer::start(Server::new(config()).handler("/", options, |_| Ok(Counting)));
    let mut peer = server.open("/");
    peer.write(&masked(TEXT, b"\xFFa"));
    assert_eq!(peer.frame(), (FIN | TEXT, b"\xFFa".to_vec()));
}
