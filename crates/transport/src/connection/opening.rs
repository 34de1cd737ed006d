//! How a connection opens: its request head, the mount's answer, the 101, and what goes to hyper instead.

use std::any::Any;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tracing::Instrument;
use wingbeat_websocket::handshake::{HeadError, may_complete_head, parse_head, write_response_head};
use wingbeat_websocket::{self as websocket, Role};

use crate::connection::keep_alive::Live;
use crate::connection::rate_limit::Meter;
use crate::connection::{Connection, Phase};
use crate::handler::Handler;
use crate::http::HttpSeat;
use crate::http::http2::PREFACE;
use crate::mount::upgrade::Source;
use crate::mount::{Answer, Mount, Request, Upgrade};
use crate::observer::redaction::Redaction;
use crate::options::SocketOptions;
use crate::server::refusal;
use crate::server::seats::Seat;
use crate::stream::Stream;
use crate::worker::Worker;
use crate::worker::inbox::{Command, ConnectionId};
use crate::worker::pulse::Deed;
use crate::worker::turn::Turn;
use crate::worker::wheel::NEVER;

pub(crate) type LaterAnswer = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What a mount answers; a panic is an answer, too.
pub(crate) fn ask(mount: &Arc<dyn Mount>, request: Request, redaction: &Redaction) -> Answer {
    let span = tracing::debug_span!(
        "handshake",
        peer = request.peer_addr.map(tracing::field::display),
        target = redaction.target(&request.head.uri, &request.path_params),
    );
    let answer = || catch_unwind(AssertUnwindSafe(|| mount.handle_request(request))).unwrap_or_else(failed);
    match span.in_scope(answer) {
        Answer::Later(future) if !span.is_disabled() => Answer::Later(Box::pin(future.instrument(span))),
        answer => answer,
    }
}

/// One step of an answer that takes time.
pub(crate) fn poll_answer(future: &mut LaterAnswer, cx: &mut TaskContext<'_>) -> Poll<Answer> {
    let poll = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
    poll.unwrap_or_else(|panic| Poll::Ready(failed(panic)))
}

/// How a request came.
pub(crate) fn scheme(is_encrypted: bool) -> http::uri::Scheme {
    if is_encrypted { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP }
}

fn failed(_: Box<dyn Any + Send>) -> Answer {
    tracing::error!("a mount panicked; its request is answered with 500");
    Answer::Respond(refusal(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"))
}

impl Worker {
    /// Takes the head of a request, if all of it is there, and says how many bytes it was. The first `seen` of
    /// `input` were there before.
    pub(crate) fn handle_head(&mut self, key: usize, input: &[u8], seen: usize) -> Option<usize> {
        if self.shared.speaks_http2(self.turn.connections[key].listener) {
            match input.strip_prefix(PREFACE) {
                Some(_) => {
                    self.hand_over(key, input);
                    return Some(input.len());
                }
                None if PREFACE.starts_with(input) => return None,
                None => {}
            }
        }
        let limits = self.shared.head_limits;
        // The blank line may have begun there.
        let fresh = &input[seen.saturating_sub(3).min(input.len())..];
        if !may_complete_head(fresh) && input.len() <= limits.max_bytes {
            return None;
        }
        match parse_head(input, limits) {
            Ok(Some((request, used))) => {
                let (head, ()) = request.into_parts();
                self.route(key, head, input, used)
            }
            Ok(None) => None,
            Err(error) => {
                self.turn.refuse_head(key, &error);
                Some(input.len())
            }
        }
    }

    fn route(&mut self, key: usize, head: http::request::Parts, input: &[u8], used: usize) -> Option<usize> {
        let shared = self.shared.clone();
        let Some((mount, path_params)) = shared.routes.find(head.uri.path()) else {
            self.hand_over(key, input);
            return Some(input.len());
        };
        let connection = &self.turn.connections[key];
        let mut request = Request {
            head,
            peer_addr: connection.peer_addr(),
            scheme: scheme(connection.stream.is_encrypted()),
            path_params,
            workers: self.turn.workers.clone(),
        };
        let connection = &mut self.turn.connections[key];
        connection.asks_for_head = request.head.method == http::Method::HEAD;
        // Until it is decided nothing else is taken: what comes early waits.
        connection.phase = Phase::Deciding;
        if !self.believe_proxies(key, &mut request) {
            return Some(used);
        }
        self.turn.note_request(key, &request);
        self.turn.pulse.note(Deed::Request, key);
        self.handle_answer(key, ask(mount, request, &shared.config.redaction));
        Some(used)
    }

    /// Carries out what a mount answered, now or by a task.
    pub(crate) fn handle_answer(&mut self, key: usize, answer: Answer) {
        match answer {
            Answer::Upgrade(upgrade) => self.turn.open(key, upgrade),
            Answer::Respond(response) => self.turn.respond(key, response),
            Answer::Later(mut future) => {
                // Most are decided at once; only those that are not cost a task.
                match poll_answer(&mut future, &mut TaskContext::from_waker(Waker::noop())) {
                    Poll::Ready(answer) => self.handle_answer(key, answer),
                    Poll::Pending => self.decide_later(self.turn.id_of(key), future),
                }
            }
        }
    }

    fn decide_later(&self, to: ConnectionId, mut future: LaterAnswer) {
        let inbox = self.turn.workers.inbox(to.worker).clone();
        tokio::spawn(async move {
            let answer = poll_fn(|cx| poll_answer(&mut future, cx)).await;
            let _ = inbox.post_always(Command::Decide { to, answer });
        });
    }

    pub(crate) fn decide(&mut self, to: ConnectionId, answer: Answer) {
        if let Some(key) = self.turn.key_of(to)
            && self.turn.connections[key].phase == Phase::Deciding
        {
            self.handle_answer(key, answer);
            self.turn.carry_out();
            self.take_turn(key);
        }
    }

    /// A connection whose handshake hyper has done.
    pub(crate) fn adopt(
        &mut self,
        stream: Stream,
        early: Vec<u8>,
        upgrade: Upgrade,
        peer_addr: Option<SocketAddr>,
        seat: Seat,
    ) {
        let Some(key) = self.insert(stream, upgrade.options.clone(), seat) else { return };
        let connection = &mut self.turn.connections[key];
        connection.left_over = !early.is_empty();
        connection.rest = early;
        connection.readable = true;
        if peer_addr.is_some() && peer_addr != connection.stream.peer_addr() {
            connection.extra_mut().peer_addr = peer_addr;
        }
        let id = self.turn.id_of(key);
        self.turn.begin(key, upgrade);
        self.close_if_leaving(id);
        self.turn.carry_out();
        self.take_turn(key);
    }

    /// Puts a stream into the slab and the readiness set.
    pub(crate) fn insert(&mut self, mut stream: Stream, options: Arc<SocketOptions>, seat: Seat) -> Option<usize> {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.turn.connections.vacant_entry();
        let key = entry.key();
        if let Err(error) = stream.register(self.poll.registry(), key) {
            tracing::warn!(%error, "a connection could not be watched");
            return None;
        }
        let id = ConnectionId { index: key as u32, generation: self.generation, worker: self.turn.id };
        stream.attach(self.turn.workers.inbox(self.turn.id), id);
        entry.insert(Connection::new(stream, self.generation, options, seat));
        Some(key)
    }

    /// Gives the connection to hyper, with the bytes read so far: it is no request for one of our mounts.
    fn hand_over(&mut self, key: usize, input: &[u8]) {
        let mut connection = self.turn.connections.remove(key);
        if let Err(error) = connection.stream.deregister(self.poll.registry()) {
            tracing::warn!(%error, "a connection could not be handed over");
            return;
        }
        let source = Source {
            peer_addr: connection.peer_addr(),
            scheme: scheme(connection.stream.is_encrypted()),
            listener: Some(connection.listener),
        };
        self.http_connections += 1;
        self.turn.figures.now.http_connections_opened += 1;
        let seat = HttpSeat::new(connection.seat, self.turn.workers.inbox(self.turn.id).clone());
        (self.serve_http)(connection.stream, Bytes::copy_from_slice(input), source, seat);
    }
}

impl Turn {
    /// 101, and the handler's first callback.
    fn open(&mut self, key: usize, upgrade: Upgrade) {
        self.write_corked(key, 0, |_, cork| write_response_head(&upgrade.response, cork));
        self.begin(key, upgrade);
    }

    fn begin(&mut self, key: usize, upgrade: Upgrade) {
        let live = upgrade.options.keep_alive.map(|keep_alive| Live::new(keep_alive, &self.wheel, self.now));
        let idle_ticks = match (&live, upgrade.options.idle_timeout) {
            (Some(live), _) => live.within(),
            (None, Some(idle)) => self.wheel.deadline(0, idle),
            (None, None) => NEVER,
        };
        let connection = &mut self.connections[key];
        connection.phase = Phase::Open;
        connection.protocol = websocket::Connection::new(Role::Server, upgrade.options.limits);
        if let (Some((params, grant)), Some(config)) = (upgrade.deflate, upgrade.options.deflate) {
            connection.protocol.set_deflate(params, grant);
            connection.pool = Some(self.pools.find(config));
        }
        let subprotocol = upgrade.response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        if let Some(subprotocol) = subprotocol.and_then(|subprotocol| subprotocol.to_str().ok()) {
            connection.extra_mut().subprotocol = Some(subprotocol.into());
        }
        connection.takes_parts = upgrade.options.has_fragments || !upgrade.options.checks_text;
        connection.options = upgrade.options;
        connection.handler = Some(upgrade.handler);
        connection.idle_ticks = idle_ticks;
        let deadline = if idle_ticks == NEVER { NEVER } else { self.now.saturating_add(idle_ticks) };
        self.set_deadline(key, deadline);
        if let Some(live) = live {
            self.connections[key].extra_mut().keep_alive = Some(live);
            self.schedule_timers(key);
        }
        if let Some(limit) = self.connections[key].options.rate_limit {
            self.connections[key].extra_mut().meter = Some(Meter::new(limit, self.now));
        }
        self.note_open(key, &upgrade.response, upgrade.asked);
        // Before the callback, after which the connection may be gone.
        self.read_again(key);
        self.pulse.note(Deed::Open, key);
        self.call(key, Handler::handle_open);
    }

    /// An HTTP answer, and the end.
    pub(crate) fn respond(&mut self, key: usize, response: http::Response<Bytes>) {
        let (mut parts, body) = response.into_parts();
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        // A 426 names the upgrade in Connection (RFC 9110 §15.5.22), beside the end of the connection.
        let connection = if parts.headers.contains_key(header::UPGRADE) { "upgrade, close" } else { "close" };
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
        self.note_refusal(key, parts.status, &parts.headers, &body);
        let head = http::Response::from_parts(parts, ());
        self.write_corked(key, 0, |connection, cork| {
            write_response_head(&head, cork);
            // An answer to HEAD says how long the body would be, and no more (RFC 9110 §9.3.2).
            if !connection.asks_for_head {
                cork.extend_from_slice(&body);
            }
        });
        self.finish_unanswered(key);
    }

    pub(crate) fn refuse(&mut self, key: usize, status: u16, why: &'static str) {
        let mut response = http::Response::new(Bytes::from_static(why.as_bytes()));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status of this file");
        self.respond(key, response);
    }

    fn refuse_head(&mut self, key: usize, error: &HeadError) {
        let mut response = http::Response::new(Bytes::from(error.to_string()));
        *response.status_mut() = error.status();
        self.respond(key, response);
    }
}
