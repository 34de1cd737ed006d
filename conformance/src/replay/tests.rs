//! The runner against a server that plays the other side of a transcript, faithfully or not.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;
use wingbeat_websocket::handshake::{HeadLimits, UpgradeRequest, parse_head, write_response_head};
use wingbeat_websocket::{CloseCode, CloseFrame, Connection, Limits, Received, Role};

use super::run::replay;
use super::transcript::{Direction, Transcript};

fn transcript(steps: &[(&str, &str)], close: &serde_json::Value) -> Transcript {
    let step = |(dir, data): &(&str, &str)| json!({ "t": 0, "conn": "a", "dir": dir, "kind": "text", "data": data });
    let steps: Vec<_> = steps.iter().map(step).collect();
    let url = "ws://127.0.0.1:1/socket/websocket?vsn=2.0.0";
    serde_json::from_value(json!({ "name": "made up", "url": url, "steps": steps, "close": close })).unwrap()
}

/// A server's connection.
struct Peer {
    stream: TcpStream,
    connection: Connection,
    input: Vec<u8>,
}

impl Peer {
    fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        let mut input = Vec::new();
        loop {
            read(&mut stream, &mut input);
            if let Some((request, used)) = parse_head(&input, HeadLimits::DEFAULT).unwrap() {
                let response = UpgradeRequest::parse(&request.into_parts().0).unwrap().accept(None).unwrap();
                let mut output = Vec::new();
                write_response_head(&response, &mut output);
                stream.write_all(&output).unwrap();
                input.drain(..used);
                return Self { stream, connection: Connection::new(Role::Server, Limits::DEFAULT), input };
            }
        }
    }

    /// The next message; `None` once the client has closed or is gone.
    fn hear(&mut self) -> Option<String> {
        loop {
            let mut output = Vec::new();
            let (used, received) = self.connection.handle_input(&mut self.input, &mut output).unwrap();
            let received = received.map(Received::into_owned);
            self.input.drain(..used);
            let _ = self.stream.write_all(&output);
            match received {
                Some(Received::Text(text)) => return Some(text.into_owned()),
                Some(Received::Close(_)) => return None,
                _ if read(&mut self.stream, &mut self.input) == 0 => return None,
                _ => {}
            }
        }
    }

    fn say(&mut self, say: impl FnOnce(&mut Connection, &mut Vec<u8>)) {
        let mut output = Vec::new();
        say(&mut self.connection, &mut output);
        // The client may be gone, if it has found a difference.
        let _ = self.stream.write_all(&output);
    }
}

fn read(stream: &mut TcpStream, input: &mut Vec<u8>) -> usize {
    let mut chunk = [0; 4096];
    let count = stream.read(&mut chunk).unwrap_or(0);
    input.extend_from_slice(&chunk[..count]);
    count
}

/// Replays against a server that hears what the client sends, says these, and closes if given a code.
fn played(transcript: &Transcript, says: &[&str], close: Option<CloseCode>) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let heard = transcript.steps.iter().filter(|step| step.dir == Direction::Send).count();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Peer::accept(&listener);
            for _ in 0..heard {
                peer.hear();
            }
            for text in says {
                peer.say(|connection, output| connection.send_text(text, output).unwrap());
            }
            if let Some(code) = close {
                peer.say(|connection, output| connection.close(Some(CloseFrame::new(code, "")), output));
            }
            while peer.hear().is_some() {}
        });
        replay(transcript, &host).map_err(|difference| difference.to_string())
    })
}

#[test]
fn what_is_the_same_passes_and_what_is_not_is_told() {
    let by_client = json!({ "code": 1000, "reason": "", "first": "client", "t": 1 });
    let transcript = transcript(&[("send", "[1]"), ("recv", r#"{"a":1,"b":2}"#), ("recv", "[2]")], &by_client);
    for (name, says, told) in [
        ("the same", &[r#"{"b":2,"a":1}"#, "[2]"][..], None),
        ("another value", &[r#"{"b":2,"a":3}"#, "[2]"], Some("step 1")),
        ("another order", &["[2]", r#"{"a":1,"b":2}"#], Some("step 1")),
        ("one more", &[r#"{"a":1,"b":2}"#, "[2]", "[3]"], Some("instead of a Close")),
    ] {
        let outcome = played(&transcript, says, None);
        match told {
            None => assert_eq!(outcome, Ok(()), "{name}"),
            Some(told) => assert!(outcome.as_ref().is_err_and(|error| error.contains(told)), "{name}: {outcome:?}"),
        }
    }
}

#[test]
fn the_code_of_a_close_is_compared_and_when_it_comes() {
    let closes = |code, t| json!({ "code": code, "reason": "", "first": "server", "t": t });
    let crashed = |t| transcript(&[("send", "x")], &closes(1011, t));
    assert_eq!(played(&crashed(1), &[], Some(CloseCode::INTERNAL_ERROR)), Ok(()));
    let other = played(&crashed(1), &[], Some(CloseCode::NORMAL)).unwrap_err();
    assert!(other.contains("closed with 1000"), "{other}");
    let early = played(&crashed(60_000), &[], Some(CloseCode::INTERNAL_ERROR)).unwrap_err();
    assert!(early.contains("instead of 60s"), "{early}");
}

#[test]
fn a_connection_lost_without_a_close_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let transcript = transcript(&[("send", "x"), ("recv", "y")], &json!({}));
    thread::scope(|scope| {
        scope.spawn(|| drop(Peer::accept(&listener)));
        let difference = replay(&transcript, &host).unwrap_err().to_string();
        assert!(difference.contains("Lost") || difference.contains("reset"), "{difference}");
    });
}
