//! Where `serve` listens, and what it believes of who connects: its options, made into listeners.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use wingbeat::transport::{Listener, Network, TlsConfig};
use wingbeat::{Config, Running};

type Failure = Box<dyn std::error::Error>;

/// Where to listen, and whom to believe.
#[derive(Args, Debug)]
pub(crate) struct Listen {
    /// Where to listen, as address and port [default: 127.0.0.1:4000, or nowhere if --unix is given]
    // Read below: an error of ours is one line.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Lets a server that is started later listen at the same address, so that this one can leave without a gap
    #[arg(long)]
    shared_port: bool,
    /// Listens on a Unix socket, too; its file is made, and removed at the end
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Speaks TLS at the address: the certificate chain, a PEM file; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Speaks TLS with a certificate made for this process, for localhost, 127.0.0.1 and ::1
    #[arg(long, conflicts_with = "tls_cert")]
    dev_cert: bool,
    /// Expects the PROXY protocol (v1, v2) from the trusted proxies, from this machine's if none is named
    #[arg(long)]
    proxy_protocol: bool,
    /// Believes what proxies of this network say in X-Forwarded-For, -Proto and -Host; may be given more than once
    #[arg(long, value_name = "NET")]
    trusted_proxy: Vec<String>,
    /// Most connections of one address at once, of one /64 for IPv6 [default: as many as there may be in all]
    #[arg(long, value_name = "N")]
    max_connections_per_address: Option<usize>,
}

impl Listen {
    /// Puts the listeners into `config`.
    pub(crate) fn apply(self, mut config: Config) -> Result<Config, Failure> {
        let networks = self.trusted_proxy.iter().map(|text| {
            let network: Result<Network, _> = text.parse();
            network.map_err(|error| format!("--trusted-proxy: {error}"))
        });
        let networks = networks.collect::<Result<Vec<_>, _>>()?;
        let believing = |listener: Listener| {
            let believed = match (&networks[..], self.proxy_protocol) {
                ([], false) => return listener,
                ([], true) => return listener.with_proxy_protocol(Network::loopback()),
                (_, false) => listener,
                (networks, true) => listener.with_proxy_protocol(networks.iter().copied()),
            };
            believed.with_trusted_proxies(networks.iter().copied())
        };
        let address = match &self.listen {
            Some(listen) => Some(listen.parse::<SocketAddr>().map_err(|_| {
                format!("--listen is {listen:?}, expected an address and a port such as 127.0.0.1:4000")
            })?),
            None => self.unix.is_none().then_some(config.transport.listen),
        };
        if let Some(address) = address {
            let listener = believing(Listener::tcp(address));
            let listener = match self.tls()? {
                Some(tls) => listener.with_tls(tls),
                None => listener,
            };
            config.transport = config.transport.with_listener(listener);
        } else if self.dev_cert || self.tls_cert.is_some() {
            return Err("TLS is spoken at an address: please give --listen, too".into());
        }
        if let Some(path) = &self.unix {
            config.transport = config.transport.with_listener(believing(Listener::unix(path)));
        }
        config.transport = config.transport.with_shared_port(self.shared_port);
        let most = self.max_connections_per_address;
        config.transport = config.transport.with_max_connections_per_address(most);
        Ok(config)
    }

    fn tls(&self) -> Result<Option<TlsConfig>, Failure> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificates), Some(key)) => Ok(Some(TlsConfig::from_pem_files(certificates, key)?)),
            _ if self.dev_cert => dev_cert().map(Some),
            _ => Ok(None),
        }
    }
}

/// A certificate that nobody trusts, and a key that is kept nowhere but here.
#[cfg(feature = "dev-cert")]
fn dev_cert() -> Result<TlsConfig, Failure> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let own = rcgen::generate_simple_self_signed(names)?;
    let key = own.signing_key.serialize_pem();
    Ok(TlsConfig::from_pem(own.cert.pem().as_bytes(), key.as_bytes())?)
}

#[cfg(not(feature = "dev-cert"))]
fn dev_cert() -> Result<TlsConfig, Failure> {
    Err("--dev-cert is not part of this build".into())
}

/// Tells where the server listens, a line for each place.
pub(crate) fn announce(running: &Running, config: &wingbeat::transport::Config) {
    let mut addresses = running.local_addrs().iter();
    for listener in &config.listeners {
        match (listener.unix_path(), addresses.as_slice()) {
            (Some(path), _) => println!("listening on unix:{}", path.display()),
            (None, []) => {}
            (None, [address, ..]) => {
                let scheme = if listener.has_tls() { "https" } else { "http" };
                println!("listening on {scheme}://{address}");
                addresses.next();
            }
        }
    }
}
