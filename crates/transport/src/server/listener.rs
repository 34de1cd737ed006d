//! Where a server listens, and what it believes of who connects there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::mount::forwarded::{ForwardedFields, Trust};
use crate::mount::network::{Network, any_contains};
use crate::server::tls::TlsConfig;

/// One address to listen on, with settings of its own.
///
/// ```no_run
/// use wingbeat_transport::{Config, Listener, Network, TlsConfig};
///
/// let tls = TlsConfig::from_pem_files("chain.pem", "key.pem")?;
/// let config = Config::default()
///     .with_listener(Listener::tcp(([0, 0, 0, 0], 443).into()).with_tls(tls))
///     .with_listener(Listener::unix("/run/wingbeat/http.sock").with_mode(0o660).with_trusted_proxies([]));
/// # Ok::<(), wingbeat_transport::TlsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Listener {
    pub(crate) place: Place,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) http2: bool,
    /// Who must send a PROXY header.
    pub(crate) proxies: Option<Vec<Network>>,
    /// Whose header fields are believed.
    pub(crate) trust: Option<Trust>,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix { path: PathBuf, mode: Option<u32> },
}

impl Listener {
    /// A TCP port; 0 lets the system choose. The kernel shares its connections out among the workers.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::new(Place::Tcp(address))
    }

    /// A Unix socket. A socket file on which nobody listens any more is replaced; it is removed when the server ends.
    /// Who connects has no address, unless a trusted proxy names one.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Place::Unix { path: path.into(), mode: None })
    }

    fn new(place: Place) -> Self {
        Self { place, tls: None, http2: true, proxies: None, trust: None }
    }

    /// Sets the permissions of a Unix socket's file, such as `0o660`; else the process's umask decides. They are in
    /// force before anybody can connect.
    #[must_use]
    pub fn with_mode(mut self, bits: u32) -> Self {
        if let Place::Unix { mode, .. } = &mut self.place {
            *mode = Some(bits);
        }
        self
    }

    /// Speaks TLS.
    #[must_use]
    pub fn with_tls(self, tls: TlsConfig) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Sets whether it speaks HTTP/2 beside HTTP/1.1, where [`Config::http2`](crate::Config::http2) allows it at all.
    /// Default: yes.
    #[must_use]
    pub fn with_http2(self, http2: bool) -> Self {
        Self { http2, ..self }
    }

    /// Expects the PROXY protocol (version 1 or 2) at the beginning of every connection, before TLS. Only `proxies` may
    /// connect: anybody else could name any address. On a Unix socket the file's permissions decide instead.
    #[must_use]
    pub fn with_proxy_protocol(self, proxies: impl IntoIterator<Item = Network>) -> Self {
        Self { proxies: Some(proxies.into_iter().collect()), ..self }
    }

    /// Believes what `proxies` say of a client in `X-Forwarded-For`, `-Proto` and `-Host`; from anybody else these fields
    /// mean nothing. They must set or delete all three. On a Unix socket whoever may connect is believed, and `proxies`
    /// are the hops before it. What is said becomes [`Request::peer_addr`](crate::Request::peer_addr),
    /// [`Request::scheme`](crate::Request::scheme) and the request's `Host`, with which origins are compared.
    #[must_use]
    pub fn with_trusted_proxies(mut self, proxies: impl IntoIterator<Item = Network>) -> Self {
        self.trust.get_or_insert_default().networks = proxies.into_iter().collect();
        self
    }

    /// Sets which fields the trusted proxies write. Default: [`ForwardedFields::XForwarded`].
    #[must_use]
    pub fn with_forwarded_fields(mut self, fields: ForwardedFields) -> Self {
        self.trust.get_or_insert_default().fields = fields;
        self
    }

    /// The path of a Unix socket.
    #[must_use]
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Tcp(_) => None,
            Place::Unix { path, .. } => Some(path),
        }
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a peer names others, so that its own address says nothing of who the client is.
    pub(crate) fn speaks_for_others(&self, peer: SocketAddr) -> bool {
        let is_proxy = self.proxies.as_ref().is_some_and(|proxies| any_contains(proxies, peer.ip()));
        is_proxy || self.trust.as_ref().is_some_and(|trust| trust.includes(Some(peer)))
    }
}

impl From<SocketAddr> for Listener {
    fn from(address: SocketAddr) -> Self {
        Self::tcp(address)
    }
}
