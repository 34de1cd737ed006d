//! What comes before the request: the PROXY header of a trusted proxy, and whose connection it is.

use std::net::SocketAddr;

use http::StatusCode;

use crate::connection::Phase;
use crate::mount::proxy_protocol::{self, ProxyError};
use crate::stream::{Socket, Stream, TlsStream};
use crate::worker::Worker;

/// What who has too many connections is told, where it can be told before a handshake.
const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
pub(crate) const TOO_MANY_TEXT: &str = "too many connections from this address";

impl Worker {
    /// A connection that was accepted, and has a seat among all of them. `None` if it may not stay.
    pub(crate) fn prepare(&self, index: u8, socket: Socket, peer: Option<SocketAddr>) -> Option<(Stream, Phase)> {
        let listener = &self.shared.listeners[usize::from(index)];
        if let (Some(proxies), Some(peer)) = (&listener.proxies, peer)
            && !crate::mount::network::any_contains(proxies, peer.ip())
        {
            tracing::debug!(%peer, "it is not among the proxies that may connect here");
            return None;
        }
        let phase = if listener.proxies.is_some() { Phase::Preamble } else { Phase::Head };
        let Some(tls) = &listener.tls else { return Some((socket.into(), phase)) };
        match TlsStream::accept(socket, tls.server_config(self.shared.speaks_http2(index)), phase == Phase::Preamble) {
            Ok(stream) => Some((Stream::Tls(Box::new(stream)), phase)),
            Err(error) => {
                tracing::warn!(%error, "a TLS session could not begin");
                None
            }
        }
    }

    /// Takes the PROXY header, once all of it is there.
    pub(crate) fn handle_preamble(&mut self, key: usize, input: &[u8]) -> Option<usize> {
        let header = match proxy_protocol::parse(input) {
            Ok(header) => header?,
            Err(error) => {
                self.refuse_preamble(key, error);
                return Some(input.len());
            }
        };
        let connection = &mut self.turn.connections[key];
        connection.phase = Phase::Head;
        if let Some(client) = header.client {
            connection.extra_mut().peer_addr = Some(client);
            let listener = &self.shared.listeners[usize::from(connection.listener)];
            // Behind another proxy, the request will tell whose connection it is.
            let names_others = listener.trust.as_ref().is_some_and(|trust| trust.includes(Some(client)));
            if !names_others && !self.shared.seats.assign(&mut connection.seat, client.ip()) {
                if !connection.stream.is_encrypted() {
                    let _ = connection.stream.write(TOO_MANY);
                }
                self.turn.lose(key);
                return Some(input.len());
            }
        }
        // What follows is the first of the TLS session, if there is one.
        let is_taken = connection.stream.end_preamble(&input[header.bytes..]);
        connection.readable |= is_taken;
        Some(if is_taken { input.len() } else { header.bytes })
    }

    #[cold]
    fn refuse_preamble(&mut self, key: usize, error: ProxyError) {
        tracing::debug!(peer = ?self.turn.connections[key].stream.peer_addr(), %error, "no PROXY header");
        self.turn.lose(key);
    }

    /// Counts a connection that was just accepted for its peer's address, unless that speaks for others.
    pub(crate) fn is_within_address_limit(
        &self,
        index: u8,
        peer: Option<SocketAddr>,
        seat: &mut crate::server::seats::Seat,
    ) -> bool {
        let listener = &self.shared.listeners[usize::from(index)];
        match peer {
            // Whom its header will name is not known yet.
            Some(peer) if listener.proxies.is_none() && !listener.speaks_for_others(peer) => {
                self.shared.seats.assign(seat, peer.ip())
            }
            _ => true,
        }
    }

    /// Says so in vain to who speaks TLS.
    pub(crate) fn turn_away(&self, index: u8, mut socket: Socket) {
        if self.shared.listeners[usize::from(index)].tls.is_none() {
            // One small write to an empty socket buffer; who cannot take even that learns nothing.
            let _ = std::io::Write::write(&mut socket, TOO_MANY);
        }
    }

    /// Puts what trusted proxies say of the client into the request, and counts the connection for that address;
    /// `false` if it is refused.
    pub(crate) fn believe_proxies(&mut self, key: usize, request: &mut crate::mount::Request) -> bool {
        let connection = &mut self.turn.connections[key];
        let shared = &self.shared;
        let Some(trust) = &shared.listeners[usize::from(connection.listener)].trust else { return true };
        let before = request.peer_addr;
        trust.apply(&mut request.head, &mut request.peer_addr, &mut request.scheme);
        let Some(client) = request.peer_addr.filter(|_| request.peer_addr != before) else { return true };
        connection.extra_mut().peer_addr = Some(client);
        if shared.seats.assign(&mut connection.seat, client.ip()) {
            return true;
        }
        self.turn.refuse(key, StatusCode::TOO_MANY_REQUESTS.as_u16(), TOO_MANY_TEXT);
        false
    }
}
