//! TLS over a raw socket, without IO of its own: rustls' unbuffered session turns bytes into bytes, this file moves
//! them.
//!
//! While nothing is under way a session holds no buffer: records are read into a buffer that all sessions of a thread
//! share, and only an unfinished record, decrypted bytes that nobody has asked for yet, and ciphertext that the socket
//! did not take are kept. Each is bounded: the first two together by the shared buffer, the last by [`CHUNK_BYTES`] and what a handshake says.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};

use super::socket::Socket;

/// Ciphertext read at once: some records of the largest size, and more than the 64 KiB that rustls allows a message of
/// the handshake.
const INCOMING_BYTES: usize = 80 << 10;
/// Read at once while no session has begun: what comes behind the preamble must fit where ciphertext is read into.
const RAW_BYTES: usize = 16 << 10;
/// Plaintext encrypted at once: two records of the largest size. More is taken only once this has left.
const CHUNK_BYTES: usize = 32 << 10;
/// What headers and tags of such a chunk may add, a key update before it included.
const OVERHEAD_BYTES: usize = 512;

/// What all sessions of a thread share.
struct Scratch {
    incoming: Vec<u8>,
    plain: Vec<u8>,
    outgoing: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        incoming: vec![0; INCOMING_BYTES],
        plain: Vec::with_capacity(CHUNK_BYTES),
        outgoing: vec![0; CHUNK_BYTES + OVERHEAD_BYTES],
    });
}

/// The server's side of TLS.
pub(crate) struct TlsStream {
    socket: Socket,
    session: UnbufferedServerConnection,
    /// Ciphertext not decrypted yet: an unfinished record, or more if `is_behind`.
    incoming: Vec<u8>,
    /// Decrypted and not asked for yet.
    plain: Vec<u8>,
    /// Ciphertext that the socket did not take.
    unsent: Vec<u8>,
    /// The session has not begun.
    is_raw: bool,
    /// `incoming` may hold whole records.
    is_behind: bool,
    /// The last read of the socket was a short one.
    is_empty: bool,
    /// The peer's close_notify has come.
    is_closed: bool,
    /// Our close_notify is out, or waits in `unsent`.
    is_shut: bool,
    /// The peer broke the protocol: what came before is still told.
    is_failed: bool,
}

impl TlsStream {
    /// Begins a session; its handshake happens as part of reading. Where there is a preamble, what is read and written
    /// is raw until [`end_preamble`](Self::end_preamble).
    ///
    /// # Errors
    /// The configuration cannot be used; the system has no randomness.
    pub(crate) fn accept(socket: Socket, config: Arc<ServerConfig>, has_preamble: bool) -> io::Result<Self> {
        let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self {
            socket,
            session,
            incoming: Vec::new(),
            plain: Vec::new(),
            unsent: Vec::new(),
            is_raw: has_preamble,
            is_behind: false,
            is_empty: false,
            is_closed: false,
            is_shut: false,
            is_failed: false,
        })
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Reads plaintext. `Ok(0)` is the peer's close_notify.
    ///
    /// # Errors
    /// `WouldBlock` once the socket has said so; `UnexpectedEof` if it ended without close_notify: someone may have cut
    /// off what the peer said; `InvalidData` if the peer broke the protocol.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        SCRATCH.with_borrow_mut(|scratch| self.read_with(buffer, &mut scratch.incoming))
    }

    /// The session begins with `early`, which was read before: at most [`RAW_BYTES`].
    pub(crate) fn end_preamble(&mut self, early: &[u8]) {
        debug_assert!(early.len() <= RAW_BYTES, "the last read was longer than any");
        self.is_raw = false;
        self.incoming = early.to_vec();
        self.is_behind = !early.is_empty();
    }

    fn read_with(&mut self, buffer: &mut [u8], incoming: &mut [u8]) -> io::Result<usize> {
        if self.is_raw {
            let most = buffer.len().min(RAW_BYTES);
            let count = self.socket.read(&mut buffer[..most])?;
            self.is_empty = count < most;
            return Ok(count);
        }
        loop {
            if !self.plain.is_empty() {
                let count = self.plain.len().min(buffer.len());
                buffer[..count].copy_from_slice(&self.plain[..count]);
                self.plain.drain(..count);
                if self.plain.is_empty() {
                    self.plain = Vec::new();
                }
                return Ok(count);
            }
            let kept = self.incoming.len();
            incoming[..kept].copy_from_slice(&self.incoming);
            let mut filled = kept;
            if !self.is_behind {
                if self.is_failed {
                    return Err(ErrorKind::InvalidData.into());
                } else if self.is_closed {
                    return Ok(0);
                } else if kept == incoming.len() {
                    return Err(self.fail(&rustls::Error::General("a message of the handshake is too long".into())));
                }
                let count = self.socket.read(&mut incoming[kept..])?;
                if count == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                self.is_empty = count < incoming.len() - kept;
                filled += count;
            }
            let count = self.take_records(&mut incoming[..filled], buffer);
            if count > 0 {
                return Ok(count);
            }
        }
    }

    /// Decrypts what is there until `buffer` is full, keeps the rest, and says how much was decrypted.
    fn take_records(&mut self, incoming: &mut [u8], buffer: &mut [u8]) -> usize {
        let mut count = 0;
        let mut surplus = Vec::new();
        let (used, result) = self.drive(
            incoming,
            |record| {
                let fits = record.len().min(buffer.len() - count);
                buffer[count..count + fits].copy_from_slice(&record[..fits]);
                surplus.extend_from_slice(&record[fits..]);
                count += fits;
                surplus.is_empty()
            },
            |_| (),
        );
        self.keep(&incoming[used..]);
        self.is_behind = !surplus.is_empty() && !self.incoming.is_empty();
        self.plain = surplus;
        if let Err(error) = result {
            self.fail(&error);
        }
        // What the handshake has to say. If the socket fails, reading tells.
        let _ = self.flush();
        count
    }

    /// Works `incoming` off, and once nothing is left to do lets `ready` write, if the handshake is done. Decrypted
    /// records go to `take` until it has had enough. Says how much of `incoming` is used up.
    fn drive<R>(
        &mut self,
        incoming: &mut [u8],
        mut take: impl FnMut(&[u8]) -> bool,
        ready: impl FnOnce(&mut WriteTraffic<'_, rustls::server::ServerConnectionData>) -> R,
    ) -> (usize, Result<Option<R>, rustls::Error>) {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(&mut incoming[used..]);
            let mut goes_on = true;
            let mut result = None;
            match state {
                Err(error) => return (used + discard, Err(error)),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => goes_on &= take(record.payload),
                            Err(error) => return (used + discard, Err(error)),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let start = self.unsent.len();
                    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                        self.unsent.resize(start + size.required_size, 0);
                        let _ = data.encode(&mut self.unsent[start..]);
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_closed = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    result = Some(ready(&mut traffic));
                    return (used + discard, Ok(result));
                }
                // Early data is never offered; the rest waits for the peer.
                Ok(_) => goes_on = false,
            }
            used += discard;
            if !goes_on {
                return (used, Ok(result));
            }
        }
    }

    fn keep(&mut self, incoming: &[u8]) {
        if incoming.is_empty() {
            self.incoming = Vec::new();
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(incoming);
        }
    }

    /// Tells the peer by an alert, and the log.
    #[cold]
    fn fail(&mut self, error: &rustls::Error) -> io::Error {
        tracing::debug!(peer = ?self.peer_addr(), %error, "TLS failed");
        (self.is_failed, self.is_behind) = (true, false);
        // The session has queued its alert: it comes first, whatever else is wrong.
        let mut incoming = std::mem::take(&mut self.incoming);
        if let UnbufferedStatus { state: Ok(ConnectionState::EncodeTlsData(mut data)), .. } =
            self.session.process_tls_records(&mut incoming)
        {
            let start = self.unsent.len();
            if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                self.unsent.resize(start + size.required_size, 0);
                let _ = data.encode(&mut self.unsent[start..]);
            }
        }
        let _ = self.flush();
        ErrorKind::InvalidData.into()
    }

    /// Whether the next read would find nothing, as far as can be known without a read.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        self.is_empty && self.plain.is_empty() && !self.is_behind && !self.is_failed && !self.is_closed
    }

    /// Whether a read gives something without the socket.
    pub(crate) fn has_input(&self) -> bool {
        !self.plain.is_empty() || self.is_behind || self.is_failed || self.is_closed
    }

    #[inline]
    pub(crate) fn owes(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes what the socket did not take before, as far as it takes it now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let written = write_all(&mut self.socket, &self.unsent)?;
        self.unsent.drain(..written);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }

    /// Encrypts and writes. What it says was taken is on its way, or [owed](Self::owes); while anything is owed,
    /// nothing is taken.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is taken now; else what the system said.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        SCRATCH.with_borrow_mut(|scratch| {
            let (mut taken, mut slice, mut at) = (0, 0, 0);
            while !self.owes() {
                // Small pieces share a record; a large one is encrypted from where it lies.
                scratch.plain.clear();
                let mut chunk: &[u8] = &[];
                while slice < slices.len() && chunk.is_empty() && scratch.plain.len() < CHUNK_BYTES {
                    let rest = &slices[slice][at..];
                    let count = rest.len().min(CHUNK_BYTES - scratch.plain.len());
                    if scratch.plain.is_empty() && (count == CHUNK_BYTES || slice + 1 == slices.len()) {
                        chunk = &rest[..count];
                    } else {
                        scratch.plain.extend_from_slice(&rest[..count]);
                    }
                    (slice, at) = if count == rest.len() { (slice + 1, 0) } else { (slice, at + count) };
                }
                let chunk = if chunk.is_empty() { &scratch.plain[..] } else { chunk };
                if chunk.is_empty() {
                    return Ok(taken);
                }
                if !self.write_chunk(chunk, &mut scratch.outgoing)? {
                    break;
                }
                taken += chunk.len();
            }
            if taken > 0 { Ok(taken) } else { Err(ErrorKind::WouldBlock.into()) }
        })
    }

    /// Encrypts `chunk` and writes what the socket takes of it; `false` if the handshake is not done.
    fn write_chunk(&mut self, chunk: &[u8], outgoing: &mut Vec<u8>) -> io::Result<bool> {
        let Some(encrypted) = self.encrypt(|traffic| traffic.encrypt(chunk, outgoing))? else { return Ok(false) };
        let length = match encrypted {
            Ok(length) => length,
            Err(EncryptError::InsufficientSize(size)) => {
                outgoing.resize(size.required_size, 0);
                return self.write_chunk(chunk, outgoing);
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        // The session may have had something to say before.
        self.flush()?;
        let written = if self.owes() { 0 } else { write_all(&mut self.socket, &outgoing[..length])? };
        self.unsent.extend_from_slice(&outgoing[written..length]);
        Ok(true)
    }

    /// Lets `write` write, if the handshake is done. The session wants to see all that waits to be decrypted.
    fn encrypt<R>(
        &mut self,
        write: impl FnOnce(&mut WriteTraffic<'_, rustls::server::ServerConnectionData>) -> R,
    ) -> io::Result<Option<R>> {
        if self.is_failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.is_raw {
            return Ok(None);
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut plain = std::mem::take(&mut self.plain);
        let take = |record: &[u8]| {
            plain.extend_from_slice(record);
            true
        };
        let (used, result) = self.drive(&mut incoming, take, write);
        self.plain = plain;
        incoming.drain(..used);
        (self.incoming, self.is_behind) = (incoming, false);
        result.map_err(|error| self.fail(&error))
    }

    /// Says close_notify, then FIN; `false` if the socket must become writable before.
    pub(crate) fn shutdown_write(&mut self) -> bool {
        if !self.is_shut && !self.is_failed {
            self.is_shut = true;
            let mut alert = [0; 64];
            if let Ok(Some(Ok(length))) = self.encrypt(|traffic| traffic.queue_close_notify(&mut alert)) {
                self.unsent.extend_from_slice(&alert[..length]);
            }
        }
        if self.flush().is_ok() && self.owes() {
            return false;
        }
        self.socket.shutdown_write();
        true
    }
}

/// Who has said goodbye is answered (RFC 8446 §6.1), even if nothing is left to be said.
impl Drop for TlsStream {
    fn drop(&mut self) {
        if self.is_closed && !self.is_shut {
            self.shutdown_write();
        }
    }
}

/// Writes until the socket takes no more, and says how much it took.
fn write_all(socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

impl AsRawFd for TlsStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
