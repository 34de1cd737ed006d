//! From step to step.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use wingbeat_websocket::{CloseFrame, Received};

use super::compare::Volatile;
use super::exchange::Response;
use super::transcript::{Close, Direction, Kind, Side, Step, Transcript};
use crate::client::{Client, Event, Setup};

/// How long anything that shall come may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Close that comes so long after the last step was waited for on purpose: its time is compared.
const IDLE: Duration = Duration::from_secs(1);

/// How much earlier and later than recorded such a Close may come.
const EARLIER: Duration = Duration::from_millis(50);
const LATER: Duration = Duration::from_millis(1000);

/// Where the server first differs from the transcript.
#[derive(Debug)]
pub struct Difference(String);

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

type Result<T = ()> = std::result::Result<T, Difference>;

/// Plays the transcript against the server at `host`, its address and port.
///
/// # Errors
/// The first [`Difference`].
pub fn replay(transcript: &Transcript, host: &str) -> Result {
    let mut replay = Replay {
        transcript,
        host,
        clients: BTreeMap::new(),
        volatile: Volatile::default(),
        token: None,
        response: None,
    };
    let steps = &transcript.steps;
    for (index, step) in steps.iter().enumerate() {
        replay.close_those_done(index)?;
        replay.step(step).map_err(|Difference(what)| Difference(format!("step {index} ({}): {what}", step.conn)))?;
    }
    replay.close_all(steps.last().map_or(0, |step| step.t))
}

struct Replay<'t> {
    transcript: &'t Transcript,
    host: &'t str,
    clients: BTreeMap<&'t str, Client>,
    volatile: Volatile,
    /// The token that the server handed out; it stands for the recorded one.
    token: Option<String>,
    /// The answer to the last request.
    response: Option<Response>,
}

impl<'t> Replay<'t> {
    fn step(&mut self, step: &'t Step) -> Result {
        match (step.dir, step.kind) {
            (Direction::Note, _) => self.fill_with_channels(&step.conn),
            (Direction::Send, Kind::Http) => {
                let request = step.data.replace(self.transcript.recorded_host(), self.host);
                self.response = Some(Response::to(&request, self.host, deadline()).map_err(trouble)?);
                Ok(())
            }
            (Direction::Recv, Kind::Http) => self.compare_response(&step.data),
            (Direction::Send, _) => self.send(step),
            (Direction::Recv, _) => self.receive(step),
        }
    }

    /// The client of this name, connected when it is first needed.
    fn client(&mut self, conn: &'t str) -> Result<&mut Client> {
        if !self.clients.contains_key(conn) {
            let resource = self.transcript.resource();
            let resource = match &self.token {
                Some(token) => format!("{resource}&token={token}"),
                None => resource.to_owned(),
            };
            let client = Client::connect(self.host, &resource, Setup::default(), deadline()).map_err(trouble)?;
            self.clients.insert(conn, client);
        }
        Ok(self.clients.get_mut(conn).expect("it has just been put there"))
    }

    fn send(&mut self, step: &'t Step) -> Result {
        let bytes = if step.kind == Kind::Text { Vec::new() } else { unhex(&step.data)? };
        let client = self.client(&step.conn)?;
        let mut sent = Ok(());
        let written = client.send(|connection, output| {
            sent = match step.kind {
                Kind::Text => connection.send_text(&step.data, output),
                Kind::Binary => connection.send_binary(&bytes, output),
                Kind::Ping => connection.send_ping(&bytes, output),
                Kind::Pong | Kind::Http => connection.send_pong(&bytes, output),
            };
        });
        sent.map_err(|error| Difference(format!("cannot send: {error}")))?;
        written.map_err(trouble)
    }

    fn receive(&mut self, step: &'t Step) -> Result {
        let event = self.client(&step.conn)?.receive(deadline()).map_err(trouble);
        let event = event.map_err(|Difference(what)| Difference(format!("{what} instead of {}", step.data)))?;
        let same = match (&event, step.kind) {
            (Event::Received(Received::Text(text)), Kind::Text) => self.volatile.same_text(&step.data, text),
            (Event::Received(Received::Binary(bytes)), Kind::Binary)
            | (Event::Received(Received::Ping(bytes)), Kind::Ping)
            | (Event::Received(Received::Pong(bytes)), Kind::Pong) => **bytes == *unhex(&step.data)?,
            _ => false,
        };
        if same { Ok(()) } else { Err(Difference(format!("{event:?} instead of {:?} {}", step.kind, step.data))) }
    }

    fn compare_response(&mut self, recorded: &str) -> Result {
        let response = self.response.take().ok_or_else(|| Difference("a response without a request".into()))?;
        let has_body = !response.body.is_empty() || !recorded.ends_with("\r\n\r\n");
        let mut recorded = Response::parse(recorded, has_body)
            .ok_or_else(|| Difference("the recorded response is not complete".into()))?;
        if is_token(&recorded.body) && is_token(&response.body) {
            self.token = Some(response.body.clone());
            recorded.body.clone_from(&response.body);
        }
        response.difference(&recorded).map_or(Ok(()), |difference| Err(Difference(difference)))
    }

    /// The transcript leaves out a hundred joins that are all alike.
    fn fill_with_channels(&mut self, conn: &'t str) -> Result {
        let client = self.client(conn)?;
        for n in 1..=100 {
            let join = format!(r#"["{n}","{n}","room:m{n}","phx_join",{{}}]"#);
            client
                .send(|connection, output| connection.send_text(&join, output).expect("nothing is closed"))
                .map_err(trouble)?;
            let reply = format!(r#"["{n}","{n}","room:m{n}","phx_reply",{{"response":{{}},"status":"ok"}}]"#);
            match client.receive(deadline()).map_err(trouble)? {
                Event::Received(Received::Text(text)) if Volatile::default().same_text(&reply, &text) => {}
                other => return Err(Difference(format!("{other:?} instead of {reply}"))),
            }
        }
        Ok(())
    }

    /// Closes those that have no part in what is left and were closed by now when this was recorded.
    fn close_those_done(&mut self, index: usize) -> Result {
        let left = &self.transcript.steps[index..];
        let now = left[0].t;
        let done: Vec<&str> =
            self.clients.keys().copied().filter(|conn| left.iter().all(|step| step.conn != *conn)).collect();
        for conn in done {
            match self.transcript.close_of(conn) {
                Some(close) if close.t <= now && close.first == Side::Client => self.close(conn, close, now)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn close_all(&mut self, last: u64) -> Result {
        while let Some((conn, _)) = self.clients.first_key_value() {
            let conn = *conn;
            let close = self.transcript.close_of(conn);
            let close = close.ok_or_else(|| Difference(format!("it is not recorded how {conn} closed")))?;
            self.close(conn, close, last)?;
        }
        Ok(())
    }

    fn close(&mut self, conn: &'t str, close: &Close, last: u64) -> Result {
        let mut client = self.clients.remove(conn).expect("only those there are closed");
        let start = Instant::now();
        if close.first == Side::Client {
            let reason = if self.transcript.name.starts_with("client_close") { "bye" } else { "" };
            client.close(reason).map_err(trouble)?;
        }
        let wait = Duration::from_millis(close.t.saturating_sub(last));
        let event = client.receive(start + wait + PATIENCE).map_err(trouble)?;
        let (code, reason) = match &event {
            Event::Received(Received::Close(frame)) => seen(frame.as_ref()),
            Event::Lost => (1006, String::new()),
            other => return Err(Difference(format!("{conn}: {other:?} instead of a Close"))),
        };
        if (code, &reason) != (close.code, &close.reason) {
            return Err(Difference(format!(
                "{conn}: closed with {code} {reason:?} instead of {} {:?}",
                close.code, close.reason
            )));
        }
        if close.first == Side::Server && wait >= IDLE {
            let took = start.elapsed();
            if took + EARLIER < wait || took > wait + LATER {
                return Err(Difference(format!("{conn}: closed after {took:?} instead of {wait:?}")));
            }
        }
        if event == Event::Lost { Ok(()) } else { client.wait_for_end(deadline()).map_err(trouble) }
    }
}

/// What a client is told: 1005 if the Close had no code.
fn seen(frame: Option<&CloseFrame>) -> (u16, String) {
    frame.map_or((1005, String::new()), |frame| (frame.code().value(), frame.reason().to_owned()))
}

fn is_token(body: &str) -> bool {
    body.starts_with("SFMyNTY.") && body.split('.').count() == 3
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

fn trouble(error: io::Error) -> Difference {
    Difference(error.to_string())
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let byte = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = (0..text.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| Difference(format!("{text} is not hexadecimal")))
}
