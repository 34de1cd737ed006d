//! Idle connections that come another way than plainly: over TLS, over HTTP/2. Each has had one message echoed.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Version};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use tokio::runtime::Runtime;

use super::target::{Target, check_response};

/// A connection over TLS.
pub(super) type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Opens one after the other, and lets each have `frame` answered by `answer`.
pub(super) fn open_tls(
    target: &Target,
    path: &str,
    already: usize,
    count: usize,
    (frame, answer): (&[u8], &[u8]),
) -> io::Result<Vec<Secure>> {
    let config = Arc::new(client_config()?);
    let name = ServerName::try_from("localhost").map_err(Error::other)?;
    let open = |index| {
        let session = ClientConnection::new(config.clone(), name.clone()).map_err(Error::other)?;
        let mut stream = StreamOwned::new(session, target.connect(index)?);
        stream.write_all(target.request(path).as_bytes())?;
        let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
        while !check_response(&head)? {
            match stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                received => head.extend_from_slice(&chunk[..received]),
            }
        }
        stream.write_all(frame)?;
        let mut received = vec![0; answer.len()];
        stream.read_exact(&mut received)?;
        checked(&received, answer)?;
        Ok(stream)
    };
    (already..already + count).map(open).collect()
}

fn checked(received: &[u8], answer: &[u8]) -> io::Result<()> {
    if received == answer { Ok(()) } else { Err(Error::new(ErrorKind::InvalidData, "the echo is another")) }
}

/// Takes whatever certificate the server has: it is our own, made a moment ago.
fn client_config() -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.map_err(Error::other)?.dangerous().with_custom_certificate_verifier(Arc::new(Any(provider)));
    Ok(config.with_no_client_auth())
}

#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// WebSockets over HTTP/2 in plain TCP, as one who knows beforehand may speak it (RFC 9113 §3.3).
pub(super) struct Multiplexed {
    runtime: Runtime,
    per_connection: usize,
    connections: usize,
    client: Option<(SendRequest<Bytes>, usize)>,
}

/// One of them, kept open. With the last of a connection that goes, too.
pub(super) struct Stream {
    _output: SendStream<Bytes>,
    _input: RecvStream,
    _client: SendRequest<Bytes>,
}

impl Multiplexed {
    /// So many on each connection.
    pub(super) fn new(per_connection: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        Ok(Self { runtime, per_connection, connections: 0, client: None })
    }

    /// Opens one after the other, and lets each have `frame` answered by `answer`.
    pub(super) fn open(
        &mut self,
        target: &Target,
        path: &str,
        count: usize,
        (frame, answer): (&[u8], &[u8]),
    ) -> io::Result<Vec<Stream>> {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let client = self.client(target)?;
            streams.push(self.runtime.block_on(open(client, target, path, frame, answer))?);
        }
        Ok(streams)
    }

    /// The present connection, or a new one when it is full.
    fn client(&mut self, target: &Target) -> io::Result<SendRequest<Bytes>> {
        if let Some((client, left @ 1..)) = &mut self.client {
            *left -= 1;
            return Ok(client.clone());
        }
        let stream = target.connect(self.connections)?;
        self.connections += 1;
        stream.set_nonblocking(true)?;
        let client = self.runtime.block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let (client, connection) = Builder::new().handshake(stream).await.map_err(Error::other)?;
            tokio::spawn(async move { drop(connection.await) });
            // The server's settings come with its first bytes.
            while !client.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>(client)
        })?;
        self.client = Some((client.clone(), self.per_connection - 1));
        Ok(client)
    }
}

async fn open(
    client: SendRequest<Bytes>,
    target: &Target,
    path: &str,
    frame: &[u8],
    answer: &[u8],
) -> io::Result<Stream> {
    let request = Request::builder().method(Method::CONNECT).version(Version::HTTP_2);
    let request = request.uri(format!("http://{}{path}", target.address)).header("sec-websocket-version", "13");
    let request = request.extension(Protocol::from_static("websocket")).body(()).map_err(Error::other)?;
    let mut client = client.ready().await.map_err(Error::other)?;
    let (response, mut output) = client.send_request(request, false).map_err(Error::other)?;
    let response = response.await.map_err(Error::other)?;
    if response.status() != 200 {
        return Err(Error::new(ErrorKind::InvalidData, format!("a WebSocket is answered {}", response.status())));
    }
    let mut input = response.into_body();
    output.send_data(Bytes::copy_from_slice(frame), false).map_err(Error::other)?;
    let mut received = BytesMut::new();
    while received.len() < answer.len() {
        let data = input.data().await.ok_or(ErrorKind::UnexpectedEof)?.map_err(Error::other)?;
        input.flow_control().release_capacity(data.len()).map_err(Error::other)?;
        received.extend_from_slice(&data);
    }
    checked(&received, answer)?;
    Ok(Stream { _output: output, _input: input, _client: client })
}
