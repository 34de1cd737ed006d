//! Listening: one socket per worker on one port, between which the kernel shares out connections.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::Error;

/// Connections that wait to be accepted, per worker.
const BACKLOG: i32 = 1024;

/// `count` listeners on one address, and that address, its port chosen if it was 0.
pub(crate) fn listen(address: SocketAddr, count: usize) -> Result<(Vec<TcpListener>, SocketAddr), Error> {
    let fail = |source| Error::Listen { address, source };
    // Sockets that share a port would share it with another process of ours, too: first one that does not share.
    let alone = bind(address, false).map_err(fail)?;
    if count == 1 {
        let local = alone.local_addr().map_err(fail)?;
        return Ok((vec![alone], local));
    }
    let local = alone.local_addr().map_err(fail)?;
    drop(alone);
    let listeners = (0..count).map(|_| bind(local, true)).collect::<Result<_, _>>().map_err(fail)?;
    Ok((listeners, local))
}

fn bind(address: SocketAddr, is_shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_shared_among_workers_but_not_taken_from_others() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (listeners, local) = listen(any, 3).expect("a loopback port");
        assert_eq!(listeners.len(), 3);
        for count in [1, 3] {
            let error = listen(local, count).expect_err("the port is taken").to_string();
            assert!(error.starts_with(&format!("cannot listen on {local}: Address")), "{error}");
        }
    }
}
