//! One thread: a readiness set, its connections, and the buffer they all receive into.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::sync::Arc;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, recv};
use slab::Slab;

use super::connection::{Connection, Role};
use super::frames::{Header, Moved, turn_round};
use super::inbox::{Inbox, WOKEN};
use super::upgrade::{self, MAX_HEAD_BYTES};

const LISTENER: Token = Token(usize::MAX - 1);
/// Events taken from the kernel at a time.
const MAX_EVENTS: usize = 1024;
/// Bytes of the buffer that all connections receive into.
const RECEIVE_BYTES: usize = 512 << 10;
/// Whole frames up to this length are gathered in that buffer; longer ones in one of their own.
const MAX_SHARED_FRAME_BYTES: usize = 64 << 10;
/// Buffers of long frames kept for the next.
const MAX_SPARES: usize = 8;
/// The longest frame that is taken.
const MAX_FRAME_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct Worker {
    poll: Poll,
    listener: TcpListener,
    connections: Slab<Connection>,
    subscribers: Vec<usize>,
    buffer: Vec<u8>,
    pieces: Vec<Range<usize>>,
    spares: Vec<Vec<u8>>,
    inboxes: Arc<[Inbox]>,
    index: usize,
}

/// What is left to do after a receive.
enum Next {
    /// More may be there.
    Receive,
    /// Nothing more until the kernel says so.
    Wait,
}

impl Worker {
    pub(super) fn new(poll: Poll, mut listener: TcpListener, inboxes: Arc<[Inbox]>, index: usize) -> io::Result<Self> {
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Slab::new(),
            subscribers: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES],
            pieces: Vec::new(),
            spares: Vec::new(),
            inboxes,
            index,
        })
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WOKEN => self.deliver(),
                    token => self.turn(token.0, event),
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let _ = stream.set_nodelay(true);
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, Token(entry.key()), interest).is_ok() {
                entry.insert(Connection::new(stream));
            }
        }
    }

    fn turn(&mut self, index: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.is_readable |= event.is_readable();
        let mut outcome = Ok(());
        if connection.is_corked() && event.is_writable() {
            outcome = connection.flush();
        }
        let is_closed = event.is_read_closed();
        while outcome.is_ok() && self.connections[index].is_readable && !self.connections[index].is_corked() {
            match self.receive(index) {
                Ok(Next::Receive) => {}
                // The end of the stream came with the data, as one event: only one more receive tells it.
                Ok(Next::Wait) => self.connections[index].is_readable = is_closed,
                Err(error) => outcome = Err(error),
            }
        }
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.connections[index].is_readable = false,
            Err(_) => self.drop_connection(index),
            Ok(()) => {}
        }
    }

    fn drop_connection(&mut self, index: usize) {
        let mut connection = self.connections.remove(index);
        let _ = self.poll.registry().deregister(&mut connection.stream);
        if connection.role == Role::Subscriber {
            self.subscribers.retain(|&subscriber| subscriber != index);
        }
    }

    fn receive(&mut self, index: usize) -> io::Result<Next> {
        let connection = &mut self.connections[index];
        if connection.role == Role::Upgrading {
            return self.receive_head(index);
        }
        let frame_len = Header::peek(&connection.part).map_or(0, |header| header.frame_len());
        if frame_len > MAX_FRAME_BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        if frame_len > MAX_SHARED_FRAME_BYTES {
            return self.receive_long(index, frame_len);
        }
        let kept = connection.part.len();
        self.buffer[..kept].copy_from_slice(&connection.part);
        connection.part = Vec::new();
        let received = match connection.stream.read(&mut self.buffer[kept..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(received) => received,
            Err(error) => {
                connection.part = self.buffer[..kept].to_vec();
                return Err(error);
            }
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.handle_frames(index, &mut buffer[..kept + received]);
        self.buffer = buffer;
        outcome.map(|()| if kept + received < RECEIVE_BYTES { Next::Wait } else { Next::Receive })
    }

    fn handle_frames(&mut self, index: usize, bytes: &mut [u8]) -> io::Result<()> {
        let used = self.answer(index, bytes)?;
        let rest = &bytes[used..];
        if !rest.is_empty() {
            let frame_len = Header::peek(rest).map_or(0, |header| header.frame_len());
            let mut part =
                if frame_len > MAX_SHARED_FRAME_BYTES { self.spares.pop().unwrap_or_default() } else { Vec::new() };
            part.extend_from_slice(rest);
            self.connections[index].part = part;
        }
        Ok(())
    }

    /// Receives straight behind the part of a long frame, no further than its end.
    fn receive_long(&mut self, index: usize, frame_len: usize) -> io::Result<Next> {
        let connection = &mut self.connections[index];
        let part = &mut connection.part;
        let missing = frame_len - part.len();
        part.reserve_exact(missing);
        let wanted = part.capacity() - part.len();
        if recv(&connection.stream, spare_capacity(part), RecvFlags::empty())?.0 == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let received = wanted - (part.capacity() - part.len());
        if part.len() >= frame_len {
            let mut whole = std::mem::take(part);
            let outcome = self.handle_frames(index, &mut whole);
            whole.clear();
            if self.spares.len() < MAX_SPARES {
                self.spares.push(whole);
            }
            outcome?;
        }
        Ok(if received < wanted { Next::Wait } else { Next::Receive })
    }

    fn receive_head(&mut self, index: usize) -> io::Result<Next> {
        let connection = &mut self.connections[index];
        let received = connection.stream.read(&mut self.buffer)?;
        if received == 0 || connection.part.len() > MAX_HEAD_BYTES {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        connection.part.extend_from_slice(&self.buffer[..received]);
        let Some(upgrade) = upgrade::read(&connection.part) else { return Ok(Next::Receive) };
        let mut rest = std::mem::take(&mut connection.part);
        connection.role = upgrade.role;
        let response = upgrade.response.as_bytes();
        connection.send(response, std::slice::from_ref(&(0..response.len())))?;
        if upgrade.role == Role::Subscriber {
            self.subscribers.push(index);
        }
        self.handle_frames(index, &mut rest[upgrade.head_len..])?;
        Ok(Next::Receive)
    }

    /// Turns the frames of `bytes` round and sends them where they belong. Returns how many bytes are used up.
    fn answer(&mut self, index: usize, bytes: &mut [u8]) -> io::Result<usize> {
        let role = self.connections[index].role;
        let moved = if role == Role::Publisher { Moved::All } else { Moved::Short };
        self.pieces.clear();
        let used = turn_round(bytes, &mut self.pieces, moved);
        match role {
            Role::Publisher => {
                if let Some(piece) = self.pieces.first().cloned() {
                    self.publish(&bytes[piece])?;
                }
            }
            _ => self.connections[index].send(bytes, &self.pieces)?,
        }
        Ok(used)
    }

    /// Sends `bytes` to every subscriber, those of the other workers through their inboxes.
    fn publish(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut shared = None;
        if self.inboxes.len() > 1 {
            let bytes = shared.insert(Arc::new(bytes.to_vec()));
            for (index, inbox) in self.inboxes.iter().enumerate() {
                if index != self.index {
                    inbox.push(Arc::clone(bytes))?;
                }
            }
        }
        self.send_to_subscribers(bytes, shared);
        Ok(())
    }

    fn deliver(&mut self) {
        for bytes in self.inboxes[self.index].take() {
            self.send_to_subscribers(&bytes, Some(Arc::clone(&bytes)));
        }
    }

    fn send_to_subscribers(&mut self, bytes: &[u8], mut shared: Option<Arc<Vec<u8>>>) {
        let mut lost = Vec::new();
        for &subscriber in &self.subscribers {
            if self.connections[subscriber].send_shared(bytes, &mut shared).is_err() {
                lost.push(subscriber);
            }
        }
        for subscriber in lost {
            self.drop_connection(subscriber);
        }
    }
}
