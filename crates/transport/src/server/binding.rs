//! Sockets that listen: TCP has one per worker on one port, between which the kernel shares out connections; a Unix
//! socket is one that all workers hold.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};

use crate::config::Config;
use crate::error::Error;
use crate::server::listener::Place;
use crate::stream::Socket;

/// Connections that wait to be accepted, per worker.
const BACKLOG: i32 = 1024;

/// A socket that listens, in one worker.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener, #[expect(dead_code, reason = "the last one removes the file")] Arc<SocketFile>),
}

impl Acceptor {
    /// The next connection, with the peer's address.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, peer)| {
                let _ = stream.set_nodelay(true);
                (Socket::Tcp(stream), Some(peer))
            }),
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| (Socket::Unix(stream), None)),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            Self::Unix(listener, _) => listener,
        }
    }
}

/// `count` acceptors for one place, and its address, the port chosen if it was 0; a Unix socket has none. What is
/// accepted at a TCP port inherits the send buffer.
pub(crate) fn bind(place: &Place, count: usize, config: &Config) -> Result<(Vec<Acceptor>, Option<SocketAddr>), Error> {
    match place {
        Place::Tcp(address) => bind_tcp(*address, count, config).map(|(acceptors, local)| (acceptors, Some(local))),
        Place::Unix { path, mode } => bind_unix(path, *mode, count)
            .map(|acceptors| (acceptors, None))
            .map_err(|source| Error::ListenUnix { path: path.clone(), source }),
    }
}

fn bind_tcp(address: SocketAddr, count: usize, config: &Config) -> Result<(Vec<Acceptor>, SocketAddr), Error> {
    let fail = |source| Error::Listen { address, source };
    // Sockets that share a port would share it with another process of ours, too: first one that does not share, unless
    // it is meant so.
    let first = bind_one(address, config.shared_port).map_err(fail)?;
    let local = first.local_addr().map_err(fail)?;
    let listeners = if count == 1 {
        vec![first]
    } else {
        drop(first);
        (0..count).map(|_| bind_one(local, true)).collect::<Result<_, _>>().map_err(fail)?
    };
    if let Some(bytes) = config.send_buffer_bytes {
        let limit = |listener| SockRef::from(listener).set_send_buffer_size(bytes);
        listeners.iter().try_for_each(limit).map_err(fail)?;
    }
    let acceptor = |listener| Acceptor::Tcp(mio::net::TcpListener::from_std(listener));
    Ok((listeners.into_iter().map(acceptor).collect(), local))
}

fn bind_one(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The file of a Unix socket; dropping it removes the file, if it is still ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|file| (file.dev(), file.ino()))
}

fn bind_unix(path: &Path, mode: Option<u32>, count: usize) -> io::Result<Vec<Acceptor>> {
    remove_stale(path)?;
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = Arc::new(SocketFile { path: path.to_owned(), identity: identity(path)? });
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    // Until now nobody could connect.
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from(socket);
    let acceptor = |_| {
        let listener = mio::net::UnixListener::from_std(listener.try_clone()?);
        Ok(Acceptor::Unix(listener, file.clone()))
    };
    (0..count).map(acceptor).collect()
}

/// Removes a socket on which nobody listens; anything else that is in the way stays there.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(file) = path.symlink_metadata() else { return Ok(()) };
    if !file.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "somebody listens there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_shared_among_workers_but_not_taken_from_others() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (alone, shared) = (Config::default(), Config::default().with_shared_port(true));
        let (listeners, local) = bind_tcp(any, 3, &alone).expect("a loopback port");
        assert_eq!(listeners.len(), 3);
        for count in [1, 3] {
            let error = bind_tcp(local, count, &alone).expect_err("the port is taken").to_string();
            assert!(error.starts_with(&format!("cannot listen on {local}: Address")), "{error}");
        }
        for count in [1, 3] {
            let (_first, local) = bind_tcp(any, count, &shared).expect("a loopback port");
            let (second, same) = bind_tcp(local, 2, &shared).expect("all of them share it");
            assert_eq!((second.len(), same), (2, local));
            bind_tcp(local, 1, &alone).expect_err("who does not say so does not share");
        }
    }

    /// A folder of its own, gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wingbeat-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_file_lives_as_long_as_its_listeners() {
        let folder = Folder::new("lives");
        let path = folder.0.join("a.sock");
        let acceptors = bind_unix(&path, Some(0o600), 3).expect("a socket");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        let error = bind_unix(&path, None, 1).expect_err("it is taken");
        assert_eq!(error.to_string(), "somebody listens there");
        UnixStream::connect(&path).expect("it is still ours");
        drop(acceptors);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_stale_socket_is_replaced() {
        let folder = Folder::new("stale");
        let path = folder.0.join("a.sock");
        drop(UnixListener::bind(&path).expect("a socket that std leaves behind"));
        assert!(path.exists());
        let acceptors = bind_unix(&path, None, 1).expect("the stale one is replaced");
        // Somebody else's, by now.
        std::fs::remove_file(&path).expect("it is there");
        let other = UnixListener::bind(&path).expect("a socket");
        drop(acceptors);
        assert!(path.exists(), "what is not ours any more stays");
        drop(other);
        let file = folder.0.join("precious");
        std::fs::write(&file, "text").expect("a file");
        let error = bind_unix(&file, None, 1).expect_err("a file is no socket");
        assert_eq!(error.to_string(), "there is a file that is no socket");
        assert_eq!(std::fs::read_to_string(&file).expect("still there"), "text");
    }
}
