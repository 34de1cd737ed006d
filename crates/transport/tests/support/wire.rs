//! What a peer may speak over: TCP, Unix sockets, TLS over either, and a PROXY header before it.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use wingbeat_transport::TlsConfig;

use crate::support::{PATIENCE, Peer, upgrade};

/// A stream of any kind.
pub(crate) trait Wire: Read + Write + Send {}
impl<W: Read + Write + Send> Wire for W {}

/// A peer that does not care what it speaks over.
pub(crate) type AnyPeer = Peer<Box<dyn Wire>>;

/// A certificate of our own for `localhost`.
pub(crate) struct Identity {
    own: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        Self { own: rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate") }
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.own.cert.der().clone()
    }

    /// Certificate and key as PEM.
    pub(crate) fn pem(&self) -> (String, String) {
        (self.own.cert.pem(), self.own.signing_key.serialize_pem())
    }

    pub(crate) fn tls(&self) -> TlsConfig {
        let (certificate, key) = self.pem();
        TlsConfig::from_pem(certificate.as_bytes(), key.as_bytes()).expect("a pair")
    }

    /// A configuration of an application's own.
    pub(crate) fn server_config(&self) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.own.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_no_client_auth();
        builder.with_single_cert(vec![self.certificate()], key).expect("a pair")
    }

    /// What trusts us and nobody else.
    pub(crate) fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(builder.expect("versions").with_root_certificates(roots).with_no_client_auth())
    }

    /// TLS over `stream`; the handshake happens with the first bytes.
    pub(crate) fn encrypt<S: Read + Write>(&self, stream: S) -> StreamOwned<ClientConnection, S> {
        self.encrypt_offering(stream, &[])
    }

    /// The same with an offer of protocols (ALPN).
    pub(crate) fn encrypt_offering<S: Read + Write>(
        &self,
        stream: S,
        protocols: &[&str],
    ) -> StreamOwned<ClientConnection, S> {
        let mut config = ClientConfig::clone(&self.client_config());
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a session"), stream)
    }
}

pub(crate) fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("someone listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    stream
}

pub(crate) fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("someone listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// A peer on `stream` whose WebSocket at `path` is open; `more` are header lines.
pub(crate) fn open(stream: impl Wire + 'static, path: &str, more: &str) -> AnyPeer {
    let mut peer: AnyPeer = Peer::over(Box::new(stream));
    peer.write(upgrade(path, SocketAddr::from(([127, 0, 0, 1], 80)), more).as_bytes());
    let response = peer.response();
    assert_eq!(response.status, 101, "{response:?}");
    peer
}

/// What the next read of `stream` gives: bytes, an end, or an error.
pub(crate) fn read_end(stream: &mut impl Read) -> io::Result<usize> {
    stream.read(&mut [0; 1])
}

/// A folder of its own, gone with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wingbeat-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
