//! What a listener needs to speak TLS: certificate and key, and their replacement at run time.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use rustls::{ServerConfig, SupportedProtocolVersion};

/// Certificate and key of a listener. Clones are handles to one and the same: [`reload`](Self::reload) on one of them is
/// seen by all.
///
/// TLS 1.2 and 1.3, by rustls and ring. Sessions are resumed by tickets, which cost the server no memory.
#[derive(Clone)]
pub struct TlsConfig {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    tickets: Option<Arc<dyn ProducesTickets>>,
    current: RwLock<Current>,
}

enum Source {
    Files { certificates: PathBuf, key: PathBuf },
    Given,
}

/// Without HTTP/2, and with it.
#[derive(Clone)]
struct Current([Arc<ServerConfig>; 2]);

const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

impl TlsConfig {
    /// From two PEM files: the certificate chain, the server's own certificate first, and its private key (PKCS #8,
    /// PKCS #1 or SEC1). They are read again by [`reload`](Self::reload).
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the two do not belong together.
    pub fn from_pem_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let source = Source::Files { certificates: certificates.as_ref().into(), key: key.as_ref().into() };
        let tickets = tickets()?;
        let current = source.load(&tickets)?.ok_or(TlsError::NoCertificate { place: String::new() })?;
        Ok(Self::new(source, Some(tickets), current))
    }

    /// From PEM text: the certificate chain, and its private key.
    ///
    /// # Errors
    /// As [`from_pem_files`](Self::from_pem_files).
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let tickets = tickets()?;
        let current = Current::from_pem(("the certificates", certificates), ("the key", key), &tickets)?;
        Ok(Self::new(Source::Given, Some(tickets), current))
    }

    /// From a configuration of one's own, client certificates and the choice of a certificate by name included. If it
    /// names protocols (ALPN), they stand as they are, else `http/1.1` is offered, and `h2` where the listener speaks
    /// it.
    #[must_use]
    pub fn from_rustls(config: ServerConfig) -> Self {
        Self::new(Source::Given, None, Current::new(config))
    }

    fn new(source: Source, tickets: Option<Arc<dyn ProducesTickets>>, current: Current) -> Self {
        Self { inner: Arc::new(Inner { source, tickets, current: RwLock::new(current) }) }
    }

    /// Reads the files again, for connections that come from now on. Says whether there are files to be read.
    ///
    /// # Errors
    /// As [`from_pem_files`](Self::from_pem_files); what was in use stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Some(tickets) = &self.inner.tickets else { return Ok(false) };
        let Some(loaded) = self.inner.source.load(tickets)? else { return Ok(false) };
        self.set(loaded);
        Ok(true)
    }

    /// Replaces certificate, key and all, for connections that come from now on.
    pub fn replace(&self, config: ServerConfig) {
        self.set(Current::new(config));
    }

    fn set(&self, current: Current) {
        *self.inner.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = current;
    }

    /// What a new connection begins with.
    pub(crate) fn server_config(&self, offers_http2: bool) -> Arc<ServerConfig> {
        let current = self.inner.current.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        current.0[usize::from(offers_http2)].clone()
    }
}

fn tickets() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    ring::Ticketer::new().map_err(TlsError::Unusable)
}

impl Source {
    fn load(&self, tickets: &Arc<dyn ProducesTickets>) -> Result<Option<Current>, TlsError> {
        let Self::Files { certificates, key } = self else { return Ok(None) };
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| TlsError::File { path: path.clone(), source });
        let places = (certificates.display().to_string(), key.display().to_string());
        let (certificates, key) = (read(certificates)?, read(key)?);
        Current::from_pem((&places.0, &certificates), (&places.1, &key), tickets).map(Some)
    }
}

impl Current {
    /// Each text with the name of the place it is from.
    fn from_pem(
        (chain_place, chain): (&str, &[u8]),
        (key_place, key): (&str, &[u8]),
        tickets: &Arc<dyn ProducesTickets>,
    ) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|source| TlsError::Pem { place: chain_place.to_owned(), source })?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { place: chain_place.to_owned() });
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|source| TlsError::Pem { place: key_place.to_owned(), source })?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(VERSIONS).map_err(TlsError::Unusable)?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(TlsError::Unusable)?;
        config.ticketer = tickets.clone();
        Ok(Self::new(config))
    }

    fn new(config: ServerConfig) -> Self {
        if !config.alpn_protocols.is_empty() {
            let config = Arc::new(config);
            return Self([config.clone(), config]);
        }
        let mut without = config;
        let mut with = without.clone();
        without.alpn_protocols = vec![b"http/1.1".to_vec()];
        with.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self([Arc::new(without), Arc::new(with)])
    }
}

/// Says nothing of the key.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TlsConfig");
        if let Source::Files { certificates, key } = &self.inner.source {
            debug.field("certificates", certificates).field("key", key);
        }
        debug.finish_non_exhaustive()
    }
}

/// Certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file, or a text given, is not the PEM it should be.
    #[error("{place}: {}", explain(source))]
    Pem {
        /// The file, or what was given.
        place: String,
        /// What is wrong with it.
        source: PemError,
    },
    /// There is no certificate in what should hold the chain.
    #[error("{place}: there is no certificate in it")]
    NoCertificate {
        /// The file, or what was given.
        place: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

fn explain(error: &PemError) -> String {
    match error {
        PemError::NoItemsFound => "there is no private key in it".to_owned(),
        error => format!("this is no PEM: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> (String, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (own.cert.pem(), own.signing_key.serialize_pem())
    }

    fn error(certificates: &str, key: &str) -> String {
        TlsConfig::from_pem(certificates.as_bytes(), key.as_bytes()).expect_err("unusable").to_string()
    }

    #[test]
    fn what_is_wrong_is_said() {
        let ((certificate, key), (_, other_key)) = (pem(), pem());
        TlsConfig::from_pem(certificate.as_bytes(), key.as_bytes()).expect("a pair");
        assert_eq!(error("", &key), "the certificates: there is no certificate in it");
        assert_eq!(error(&key, &key), "the certificates: there is no certificate in it");
        assert_eq!(error(&certificate, ""), "the key: there is no private key in it");
        assert_eq!(error(&certificate, &certificate), "the key: there is no private key in it");
        assert!(error(&certificate[..99], &key).starts_with("the certificates: this is no PEM: "));
        assert!(error(&certificate, &other_key).starts_with("the certificate cannot be used: "));
        let error = TlsConfig::from_pem_files("/nowhere/cert.pem", "/nowhere/key.pem").expect_err("no file");
        assert!(error.to_string().starts_with("cannot read /nowhere/cert.pem: "), "{error}");
    }

    #[test]
    fn http2_is_offered_where_it_is_spoken() {
        let (certificate, key) = pem();
        let config = TlsConfig::from_pem(certificate.as_bytes(), key.as_bytes()).expect("a pair");
        assert_eq!(config.server_config(false).alpn_protocols, [b"http/1.1".to_vec()]);
        assert_eq!(config.server_config(true).alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(!config.reload().expect("nothing to read"), "there are no files");
        assert!(!format!("{config:?}").contains("PRIVATE"), "{config:?}");
    }
}
