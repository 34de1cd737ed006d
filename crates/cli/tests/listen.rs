//! Where the binary can be told to listen, and how.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A server at work, ended with the test.
struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What it said about where it listens.
    places: Vec<String>,
}

impl Server {
    fn start(places: usize, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wingbeat"));
        command.arg("serve").args(args).env_clear().env("WINGBEAT_SECRET", "a secret of the tests, long enough");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let lines = stdout.lines().take(places).map(|line| line.expect("text"));
        let place = |line: String| line.strip_prefix("listening on ").expect("a place").to_owned();
        let places = lines.map(place).collect();
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, stderr, places }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill").success());
    }

    /// The next line of its log that contains `what`.
    fn expect_log(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).expect("text") > 0, "it ended before it said {what:?}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of the page.
fn status(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(REQUEST)?;
    stream.flush()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[9..]).into_owned())
}

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wingbeat-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// TLS with who has this very certificate.
fn encrypt(certificate: &CertificateDer<'static>, address: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    StreamOwned::new(session, TcpStream::connect(address.strip_prefix("https://").expect("TLS")).expect("it listens"))
}

#[test]
fn a_unix_socket_alone_or_beside_an_address() {
    let folder = Folder::new("unix");
    let path = folder.path("a.sock");
    let mut server = Server::start(1, &["--unix", &path]);
    assert_eq!(server.places, [format!("unix:{path}")]);
    assert_eq!(status(UnixStream::connect(&path).expect("it listens")).expect("an answer"), "200");
    server.signal("-TERM");
    assert!(server.child.wait().expect("it ends").success());
    assert!(!std::fs::exists(&path).expect("a path"), "the file is gone");

    let server = Server::start(2, &["--unix", &path, "--listen", "127.0.0.1:0"]);
    assert_eq!(status(UnixStream::connect(&path).expect("it listens")).expect("an answer"), "200");
    let address = server.places[0].strip_prefix("http://").expect("an address first");
    assert_eq!(status(TcpStream::connect(address).expect("it listens")).expect("an answer"), "200");
}

#[test]
fn tls_from_files_that_are_read_again() {
    let folder = Folder::new("tls");
    let (chain, key) = (folder.path("chain.pem"), folder.path("key.pem"));
    let renew = || {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&chain, own.cert.pem()).expect("a file");
        std::fs::write(&key, own.signing_key.serialize_pem()).expect("a file");
        own.cert.der().clone()
    };
    let first = renew();
    let args = ["--listen", "127.0.0.1:0", "--tls-cert", &chain, "--tls-key", &key];
    let mut server = Server::start(1, &args);
    let address = server.places[0].clone();
    assert_eq!(status(encrypt(&first, &address)).expect("an answer"), "200");
    let second = renew();
    server.signal("-HUP");
    server.expect_log("certificates are read again");
    assert_eq!(status(encrypt(&second, &address)).expect("an answer"), "200");
    assert!(status(encrypt(&first, &address)).is_err());
    std::fs::write(&key, "nothing").expect("a file");
    server.signal("-HUP");
    server.expect_log("there is no private key in it");
    assert_eq!(status(encrypt(&second, &address)).expect("an answer"), "200", "it goes on with what it had");
}

#[test]
#[cfg(feature = "dev-cert")]
fn a_certificate_for_this_machine() {
    let server = Server::start(1, &["--listen", "127.0.0.1:0", "--dev-cert"]);
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let error = status(encrypt(stranger.cert.der(), &server.places[0])).expect_err("nobody trusts it");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[test]
fn whom_to_believe() {
    let args = ["--listen", "127.0.0.1:0", "--proxy-protocol", "--trusted-proxy", "127.0.0.0/8"];
    let server = Server::start(1, &args);
    let connect = || TcpStream::connect(server.places[0].strip_prefix("http://").expect("an address"));
    assert!(status(connect().expect("it listens")).is_err(), "no PROXY header");
    let mut stream = connect().expect("it listens");
    stream.write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 5555 80\r\n").expect("room");
    assert_eq!(status(stream).expect("an answer"), "200");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (args, expected) in [
        (&["--trusted-proxy", "localhost"][..], "is not a network such as"),
        (&["--tls-cert", "/nowhere/a", "--tls-key", "/nowhere/b"], "cannot read /nowhere/a"),
        (&["--unix", "/nowhere/a.sock"], "cannot listen on /nowhere/a.sock: "),
        (&["--unix", "/nowhere/a.sock", "--dev-cert"], "TLS is spoken at an address"),
        (&["--tls-cert", "/nowhere/a"], "--tls-key"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wingbeat"));
        let output = command.arg("serve").args(args).output().expect("the binary");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(expected), "{args:?}: {stderr}");
    }
}
