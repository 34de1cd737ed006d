//! Handlers that panic: their own connection ends with 1011, everything else lives on.

mod support;

use std::sync::mpsc::{Receiver, Sender, channel};

use support::{PATIENCE, TestServer, config, options};
use wingbeat_transport::{
    Cause, Closed, ConnectionHandle, Context, EncodedMessage, Handler, Info, Message, Server, Turn,
};
use wingbeat_websocket::CloseCode;

/// Panics in the callback of the given name; always tells of its opening and its end.
struct Panicking {
    place: String,
    opened: Sender<ConnectionHandle>,
    closed: Sender<Closed>,
}

impl Panicking {
    fn at(&self, place: &str) {
        assert!(self.place != place, "on purpose");
    }
}

impl Handler for Panicking {
    fn handle_open(&mut self, cx: &mut Context<'_>) {
        let _ = self.opened.send(cx.handle());
        let _ = cx.send(Message::Text("open"));
        self.at("open");
    }

    fn handle_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) {
        cx.send(message).expect("open");
        self.at("message");
        if self.place == "write" {
            let _ = cx.send_text_with(|buffer| {
                buffer.extend_from_slice(b"half a mess");
                panic!("on purpose");
            });
        }
    }

    fn handle_info(&mut self, _: Info, _: &mut Context<'_>) {
        self.at("info");
    }

    fn handle_close(&mut self, closed: Closed, _: &mut Context<'_>) {
        let _ = self.closed.send(closed);
        self.at("close");
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        self.at("drop");
    }
}

struct Observed {
    server: TestServer,
    opened: Receiver<ConnectionHandle>,
    closed: Receiver<Closed>,
}

fn panicking() -> Observed {
    let ((opened, handles), (closed, closings)) = (channel(), channel());
    let server = Server::new(config()).handler("/:place", options(), move |request| {
        let place = request.path_params[0].1.clone();
        Ok(Panicking { place, opened: opened.clone(), closed: closed.clone() })
    });
    Observed { server: TestServer::start(server), opened: handles, closed: closings }
}

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it happens")
}

#[test]
fn ws_cb30_sec14_a_panic_in_each_callback() {
    let Observed { server, opened, closed } = panicking();
    let mut bystander = server.open("/nowhere");
    next(&opened);
    assert_eq!(bystander.recv_text(), "open");
    for place in ["open", "message", "info", "write"] {
        let mut peer = server.open(&format!("/{place}"));
        let handle = next(&opened);
        assert_eq!(peer.recv_text(), "open", "what was sent before the panic arrives");
        match place {
            "message" | "write" => {
                peer.write(&support::masked(support::FIN | support::TEXT, b"boom").repeat(2));
                assert_eq!(peer.recv_text(), "boom");
            }
            "info" => handle.info(()).expect("a worker"),
            _ => {}
        }
        peer.expect_close(1011);
        peer.expect_fin();
        let closed = next(&closed);
        assert_eq!((closed.code, closed.cause), (CloseCode::INTERNAL_ERROR, Cause::Panic), "{place}");
        bystander.send_text(place);
        assert_eq!(bystander.recv_text(), place);
    }
    assert!(closed.try_recv().is_err(), "each end is told once");
}

#[test]
fn ws_sec14_a_panic_in_handle_close() {
    let Observed { server, opened, closed } = panicking();
    let mut bystander = server.open("/nowhere");
    assert_eq!(bystander.recv_text(), "open");
    next(&opened);
    // However it ends: by a Close, by a protocol error, by silence of the line.
    for bytes in [&support::masked(support::FIN | support::CLOSE, b"")[..], b"\x83\x80", b""] {
        let mut peer = server.open("/close");
        next(&opened);
        assert_eq!(peer.recv_text(), "open");
        peer.write(bytes);
        drop(peer);
        next(&closed);
        bystander.send_text("unharmed");
        assert_eq!(bystander.recv_text(), "unharmed");
    }
    support::eventually("they are gone", || server.running().connections() == 1);
    assert!(closed.try_recv().is_err(), "each end is told once");
}

#[test]
fn a_job_that_panics_harms_nobody() {
    let Observed { server, opened, .. } = panicking();
    let mut peer = server.open("/nowhere");
    let handle = next(&opened);
    assert_eq!(peer.recv_text(), "open");
    let workers = server.running().workers();
    workers.run(handle.id().worker(), |_: &mut Turn| panic!("on purpose")).expect("a worker");
    handle.send(EncodedMessage::text("still there")).expect("a worker");
    assert_eq!(peer.recv_text(), "still there");
}

#[test]
fn ws_sec14_a_handler_that_panics_when_dropped() {
    let Observed { server, opened, closed } = panicking();
    let mut bystander = server.open("/nowhere");
    assert_eq!(bystander.recv_text(), "open");
    next(&opened);
    let mut peer = server.open("/drop");
    assert_eq!(peer.recv_text(), "open");
    peer.close(1000, "");
    peer.expect_close(1000);
    peer.expect_fin();
    assert_eq!(next(&closed).code, CloseCode::NORMAL);
    bystander.send_text("unharmed");
    assert_eq!(bystander.recv_text(), "unharmed");
}
