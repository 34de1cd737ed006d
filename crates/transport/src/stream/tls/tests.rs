//! A session against rustls' own client, over a pair of sockets, in one thread.

use std::io::{BufReader, Cursor};

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// A client, and the socket between us.
struct Client {
    session: ClientConnection,
    socket: mio::net::UnixStream,
    received: Vec<u8>,
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let server = server.expect("versions").with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key);
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server.expect("a pair")), Arc::new(client))
}

fn begin() -> (TlsStream, Client) {
    let (server, client) = configs();
    let (ours, theirs) = mio::net::UnixStream::pair().expect("a pair");
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(client, name).expect("a session");
    let stream = TlsStream::accept(Socket::Unix(ours), server, false).expect("a session");
    (stream, Client { session, socket: theirs, received: Vec::new() })
}

/// A pair whose handshake is done.
fn connected() -> (TlsStream, Client) {
    let (mut stream, mut client) = begin();
    while client.session.is_handshaking() {
        client.pump();
        assert!(would_block(stream.read(&mut [0; 100])));
    }
    client.pump();
    assert!(would_block(stream.read(&mut [0; 100])));
    // Session tickets.
    client.pump();
    (stream, client)
}

fn would_block(result: io::Result<usize>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

impl Client {
    /// Sends and takes what there is; whether the server's close_notify or FIN has come.
    fn pump(&mut self) -> bool {
        while self.session.wants_write() && self.session.write_tls(&mut self.socket).is_ok() {}
        loop {
            match self.session.read_tls(&mut self.socket) {
                Ok(0) => return true,
                Ok(_) => {
                    let state = self.session.process_new_packets().expect("a good server");
                    let start = self.received.len();
                    self.received.resize(start + state.plaintext_bytes_to_read(), 0);
                    self.session.reader().read_exact(&mut self.received[start..]).expect("it is there");
                    if state.peer_has_closed() {
                        return true;
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return false;
                }
            }
        }
    }

    /// Whether the server has said close_notify.
    fn has_goodbye(&mut self) -> bool {
        self.session.process_new_packets().expect("a good server").peer_has_closed()
    }

    /// The ciphertext of `bytes`.
    fn encrypt(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.session.writer().write_all(bytes).expect("room");
        let mut records = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut records).expect("memory");
        }
        records
    }

    fn send(&mut self, bytes: &[u8]) {
        let records = self.encrypt(bytes);
        self.socket.write_all(&records).expect("room");
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

#[test]
fn both_sides_hear_each_other_and_idle_sessions_hold_no_buffer() {
    let (mut stream, mut client) = connected();
    client.send(b"hello");
    let mut buffer = [0; 100];
    assert_eq!(stream.read(&mut buffer).expect("it is there"), 5);
    assert_eq!(&buffer[..5], b"hello");
    assert!(stream.is_drained());
    assert!(would_block(stream.read(&mut buffer)));
    assert_eq!(stream.write(&[IoSlice::new(b"wor"), IoSlice::new(b""), IoSlice::new(b"ld")]).expect("room"), 5);
    client.pump();
    assert_eq!(client.received, b"world");
    assert_eq!((stream.incoming.capacity(), stream.plain.capacity(), stream.unsent.capacity()), (0, 0, 0));
}

#[test]
fn input_may_come_in_pieces_of_any_size_and_be_asked_for_so() {
    let (mut stream, mut client) = connected();
    let sent = pattern(40_000);
    let records = client.encrypt(&sent);
    for piece in [1, 7, 5_000, 100_000] {
        let (mut stream, mut client) = connected();
        let records = client.encrypt(&sent);
        let mut received = Vec::new();
        for bytes in records.chunks(piece) {
            client.socket.write_all(bytes).expect("room");
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer) {
                    Ok(count) => received.extend_from_slice(&buffer[..count]),
                    Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                // What is known to be there is what the socket need not tell of again.
                assert!(stream.is_drained() || stream.has_input() || !stream.is_empty);
            }
        }
        assert!(received == sent, "pieces of {piece}");
    }
    client.socket.write_all(&records).expect("room");
    let mut buffer = [0; 1];
    for byte in &sent[..100] {
        assert_eq!(stream.read(&mut buffer).expect("it is there"), 1);
        assert_eq!(buffer[0], *byte);
    }
}

#[test]
fn what_a_slow_reader_leaves_is_bounded_and_arrives_in_order() {
    let (mut stream, mut client) = connected();
    let sent = pattern(3_000_000);
    let (mut at, mut rounds) = (0, 0);
    while at < sent.len() || stream.owes() {
        match stream.write(&[IoSlice::new(&sent[at..])]) {
            Ok(count) => at += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                assert!(stream.owes() && stream.unsent.len() <= CHUNK_BYTES + OVERHEAD_BYTES);
                client.pump();
                rounds += 1;
            }
        }
    }
    client.pump();
    assert!(client.received == sent);
    assert!(rounds > 2, "the socket never took no more");
    assert_eq!(stream.unsent.capacity(), 0);
}

#[test]
fn ws_sec_tls_a_clean_end_is_told_from_a_truncated_one() {
    let (mut stream, mut client) = connected();
    client.session.send_close_notify();
    client.send(b"");
    assert_eq!(stream.read(&mut [0; 9]).expect("a clean end"), 0);
    assert_eq!(stream.write(&[IoSlice::new(b"still")]).expect("room"), 5, "we may go on");
    assert!(stream.shutdown_write());
    assert!(client.pump());
    assert_eq!(client.received, b"still");

    let (mut stream, mut client) = connected();
    client.session.send_close_notify();
    client.send(b"");
    assert_eq!(stream.read(&mut [0; 9]).expect("a clean end"), 0);
    drop(stream);
    assert!(client.pump() && client.has_goodbye(), "whoever says goodbye is answered");

    for cut in ["nothing", "half a record"] {
        let (mut stream, mut client) = connected();
        let records = client.encrypt(b"transfer 100 to");
        if cut == "half a record" {
            client.socket.write_all(&records[..10]).expect("room");
        }
        client.socket.shutdown(std::net::Shutdown::Write).expect("connected");
        let error = stream.read(&mut [0; 99]).expect_err("a truncated end");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{cut}");
    }
}

#[test]
fn our_end_is_a_close_notify() {
    let (mut stream, mut client) = connected();
    stream.write(&[IoSlice::new(b"bye")]).expect("room");
    assert!(stream.shutdown_write());
    assert!(client.pump(), "close_notify");
    assert_eq!(client.received, b"bye");
    assert_eq!(client.session.read_tls(&mut client.socket).expect("an end"), 0, "and FIN");
}

#[test]
fn who_does_not_speak_tls_is_told_by_an_alert() {
    let (mut stream, client) = begin();
    let mut socket = client.socket;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("room");
    assert_eq!(stream.read(&mut [0; 99]).expect_err("no TLS").kind(), ErrorKind::InvalidData);
    assert_eq!(stream.read(&mut [0; 99]).expect_err("it stays so").kind(), ErrorKind::InvalidData);
    assert!(stream.write(&[IoSlice::new(b"x")]).is_err());
    let mut alert = [0; 7];
    socket.read_exact(&mut alert).expect("an alert");
    assert_eq!(alert[..2], [21, 3], "a record of type alert");
}

#[test]
fn what_came_before_a_broken_record_is_still_told() {
    let (mut stream, mut client) = connected();
    let mut records = client.encrypt(b"good");
    let start = records.len();
    records.extend(client.encrypt(b"broken"));
    records[start + 8] ^= 1;
    client.socket.write_all(&records).expect("room");
    let mut buffer = [0; 99];
    assert_eq!(stream.read(&mut buffer).expect("the first record"), 4);
    assert!(!stream.is_drained());
    assert_eq!(stream.read(&mut buffer).expect_err("the second").kind(), ErrorKind::InvalidData);
}

/// The session wants to see unfinished handshake messages again when it writes.
#[test]
fn writing_between_the_halves_of_anything_does_no_harm() {
    let (mut stream, mut client) = connected();
    client.session.refresh_traffic_keys().expect("TLS 1.3");
    let records = client.encrypt(b"after a key update");
    let mut received = Vec::new();
    let mut buffer = [0; 99];
    for (at, byte) in records.iter().enumerate() {
        client.socket.write_all(&[*byte]).expect("room");
        if let Ok(count) = stream.read(&mut buffer) {
            received.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(stream.write(&[IoSlice::new(&[at as u8])]).expect("room"), 1);
    }
    assert_eq!(received, b"after a key update");
    client.pump();
    assert_eq!(client.received, (0..records.len()).map(|at| at as u8).collect::<Vec<_>>());
}

#[test]
fn nothing_is_written_before_the_handshake() {
    let (mut stream, mut client) = begin();
    assert!(would_block(stream.write(&[IoSlice::new(b"early")])));
    let mut hello = Vec::new();
    client.session.write_tls(&mut hello).expect("memory");
    // Each prefix of a ClientHello waits for more.
    let mut pieces = BufReader::with_capacity(50, Cursor::new(hello));
    while io::copy(&mut (&mut pieces).take(50), &mut client.socket).expect("room") > 0 {
        assert!(would_block(stream.read(&mut [0; 9])));
        assert!(would_block(stream.write(&[IoSlice::new(b"early")])));
    }
    client.pump();
    assert!(!client.session.is_handshaking());
}
