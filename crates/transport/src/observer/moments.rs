//! The moments of a connection's life, told to whom they concern: the log, the figures, the observer.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use wingbeat_websocket::ProtocolError;

use crate::connection::Phase;
use crate::handler::Closed;
use crate::mount::Request;
use crate::observer::redaction::Redaction;
use crate::observer::{Exchange, RequestHead};
use crate::server::Shared;
use crate::worker::inbox::ConnectionId;
use crate::worker::turn::Turn;

/// What a request asked, as it may be seen.
pub(crate) fn seen(request: &Request, redaction: &Redaction) -> RequestHead {
    let head = &request.head;
    RequestHead {
        peer_addr: request.peer_addr,
        scheme: request.scheme.clone(),
        method: head.method.clone(),
        target: redaction.target(&head.uri, &request.path_params),
        version: head.version,
        headers: redaction.headers(&head.headers, None),
    }
}

/// Whether somebody wants to see what is asked.
pub(crate) fn is_logged() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

impl Shared {
    /// What a request asked that hyper has read, if somebody wants to know.
    pub(crate) fn note_request(&self, request: &Request) -> Option<Box<RequestHead>> {
        let is_wanted = self.observer.is_some() || is_logged();
        is_wanted.then(|| Box::new(seen(request, &self.config.redaction)))
    }

    /// Hyper answers a request for a mount with something other than 101. Runs on a task of a worker.
    pub(crate) fn note_refusal(&self, request: Option<&RequestHead>, response: &http::Response<Bytes>) {
        let status = response.status();
        log_refusal(None, request, status);
        if let Some(worker) = self.workers.ids().next() {
            self.workers.inbox(worker).count_refusal(status);
        }
        let Some(observer) = &self.observer else { return };
        let headers = &self.config.redaction.headers(response.headers(), None);
        let (at, body) = (Instant::now(), response.body());
        let exchange = Exchange { connection: None, at, request, status, headers, body };
        if catch_unwind(AssertUnwindSafe(|| observer.handle_refusal(&exchange))).is_err() {
            tracing::error!("the observer panicked");
        }
    }
}

fn log_refusal(connection: Option<ConnectionId>, request: Option<&RequestHead>, status: StatusCode) {
    tracing::debug!(
        connection = connection.map(tracing::field::display),
        peer = request.and_then(|request| request.peer_addr).map(tracing::field::display),
        target = request.map(|request| request.target.as_str()),
        status = status.as_u16(),
        "a handshake was refused"
    );
}

impl Turn {
    /// A request for a mount has come.
    pub(crate) fn note_request(&mut self, key: usize, request: &Request) {
        if self.watch.is_some() || is_logged() {
            self.asked.insert(key, Box::new(seen(request, &self.redaction)));
        }
    }

    /// The connection opens with these fields in the answer.
    pub(crate) fn note_open(&mut self, key: usize, response: &http::Response<()>, asked: Option<Box<RequestHead>>) {
        self.figures.count_handshake(response.status());
        self.figures.now.connections += 1;
        self.figures.now.connections_opened += 1;
        let Some(request) = asked.or_else(|| self.asked.remove(&key)) else { return };
        let agreed = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        let headers = self.redaction.headers(response.headers(), agreed);
        let exchange = self.exchange(key, Some(&request), response.status(), &headers, &[]);
        tracing::debug!(
            connection = %self.id_of(key),
            peer = request.peer_addr.map(tracing::field::display),
            target = request.target,
            subprotocol = exchange.subprotocol(),
            extensions = exchange.extensions(),
            user_agent = request.user_agent(),
            "a connection opened"
        );
        self.watch_open(key, &exchange);
    }

    /// The connection is answered with something other than 101.
    pub(crate) fn note_refusal(&mut self, key: usize, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        self.figures.count_handshake(status);
        let request = self.asked.remove(&key);
        log_refusal(Some(self.id_of(key)), request.as_deref(), status);
        if self.watch.is_some() {
            let headers = self.redaction.headers(headers, None);
            let exchange = self.exchange(key, request.as_deref(), status, &headers, body);
            self.tell(|observer| observer.handle_refusal(&exchange));
        }
    }

    fn exchange<'a>(
        &self,
        key: usize,
        request: Option<&'a RequestHead>,
        status: StatusCode,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Exchange<'a> {
        Exchange { connection: Some(self.id_of(key)), at: Instant::now(), request, status, headers, body }
    }

    /// The peer broke the protocol.
    pub(crate) fn note_violation(&mut self, key: usize, error: &ProtocolError) {
        tracing::debug!(connection = %self.id_of(key), %error, "the peer broke the protocol");
        self.watch_violation(key, error);
    }

    /// So many messages were not sent, because the output is full.
    #[cold]
    pub(crate) fn note_drop(&mut self, key: usize, messages: u64) {
        let id = self.id_of(key);
        tracing::trace!(connection = %id, messages, "the output is full");
        self.tell(|observer| observer.handle_drop(id, messages));
    }

    /// The handler is about to be told that its connection is closed. What the peer gave for a reason is not logged: it
    /// may be anything.
    pub(crate) fn note_close(&mut self, key: usize, closed: &Closed) {
        self.figures.count_close(closed);
        let id = self.id_of(key);
        tracing::debug!(connection = %id, code = closed.code.value(), cause = ?closed.cause, "a connection closed");
        self.tell(|observer| observer.handle_close(id, closed));
    }

    /// Of `bytes` and `messages` the socket took all that does not wait now.
    #[cold]
    pub(crate) fn note_stall(&mut self, key: usize, bytes: usize, messages: usize) {
        let output = &self.connections[key].output;
        let (bytes, messages) = (bytes.saturating_sub(output.len()), messages.saturating_sub(output.messages()));
        self.figures.count_written(bytes, messages);
        self.figures.stalled.push(key as u32);
    }

    /// Reading has failed.
    #[cold]
    pub(crate) fn note_read_error(&mut self, key: usize, error: &io::Error) {
        let connection = &self.connections[key];
        let is_new = matches!(connection.phase, Phase::Preamble | Phase::Head) && connection.rest.is_empty();
        if is_new && connection.stream.is_encrypted() && error.kind() == io::ErrorKind::InvalidData {
            self.figures.now.tls_failures += 1;
        }
    }

    /// The batch took too long: who is to blame?
    #[cold]
    pub(crate) fn note_slow_turn(&mut self, spent: Duration) {
        let callback = match self.pulse.suspect() {
            None => "unknown".to_owned(),
            Some((deed, key)) => {
                let handler = self.connections.get(key).and_then(|connection| connection.handler.as_ref());
                match handler.filter(|_| deed.is_of_handler()) {
                    Some(handler) => format!("{} of {}", deed.name(), handler.name()),
                    None => deed.name().to_owned(),
                }
            }
        };
        tracing::warn!(worker = self.id.index(), ?spent, callback, "a callback blocks its worker");
        *self.figures.now.slow_turns.entry(callback).or_default() += 1;
    }

    /// The connection leaves the slab.
    pub(crate) fn note_end(&mut self, key: usize) {
        if !self.asked.is_empty() {
            self.asked.remove(&key);
        }
        if self.watch.is_some() {
            self.watch_end(key);
        }
    }
}
