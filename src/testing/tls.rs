//! TLS for the server and the proxies, with a certificate authority that nobody else trusts.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::stream::{Stream, close};
use super::turn::unix_seconds;
use crate::{BoxError, Error};

/// A throwaway certificate authority and what is presented with it; feature `testing-tls`.
///
/// A clone has the same authority, so a server and a proxy can share one, and a test can present a
/// bad certificate from an authority that the client trusts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_openai::testing::{Server, Tls};
///
/// let tls = Tls::new()?;
/// let server = Server::builder().tls(tls.clone()).start().await?;
/// assert!(server.base_url().starts_with("https://127.0.0.1:"));
/// assert!(tls.ca_pem().starts_with("-----BEGIN CERTIFICATE-----\n")); // for the client
///
/// let expired = Server::builder().tls(tls.expired()).start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Tls {
    authority: Arc<Authority>,
    hosts: Vec<String>,
    certificate: Certificate,
    client_certificate: bool,
    alpn: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
enum Certificate {
    Good,
    Expired,
    WrongHost,
    /// There is none: the server knows no TLS that is still in use.
    Obsolete,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    client_pem: String,
}

impl Tls {
    /// A new authority, and a certificate for 127.0.0.1, `::1` and `localhost`.
    ///
    /// # Errors
    ///
    /// A build error if the system has no random numbers for the keys.
    pub fn new() -> Result<Self, Error> {
        let wrong = |error: rcgen::Error| Error::build("no test certificates").with_source(error);
        let authority = Arc::new(Authority::new().map_err(wrong)?);
        Ok(Self {
            authority,
            hosts: ["127.0.0.1", "::1", "localhost"].map(String::from).to_vec(),
            certificate: Certificate::Good,
            client_certificate: false,
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        })
    }

    /// Adds a host to the certificate, for clients that come through a proxy by another name.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Presents a certificate that has expired.
    pub fn expired(mut self) -> Self {
        self.certificate = Certificate::Expired;
        self
    }

    /// Presents a certificate for `wrong.host.test` alone.
    pub fn wrong_host(mut self) -> Self {
        self.certificate = Certificate::WrongHost;
        self
    }

    /// Answers every hello as a server does that knows TLS 1.1 and no later version: with the
    /// alert `protocol_version`.
    pub fn obsolete(mut self) -> Self {
        self.certificate = Certificate::Obsolete;
        self
    }

    /// Lets in only clients with a certificate of this authority, such as
    /// [`client_pem`](Self::client_pem).
    pub fn require_client_certificate(mut self) -> Self {
        self.client_certificate = true;
        self
    }

    /// Offers HTTP/1.1 alone. Default: HTTP/2, too.
    pub fn http1_only(mut self) -> Self {
        self.alpn = vec![b"http/1.1".to_vec()];
        self
    }

    /// The authority's certificate, for the client to trust.
    pub fn ca_pem(&self) -> String {
        pem("CERTIFICATE", &self.authority.certificate)
    }

    /// A client's certificate and its key, in this order.
    pub fn client_pem(&self) -> &str {
        &self.authority.client_pem
    }

    pub(super) fn acceptor(&self) -> io::Result<Acceptor> {
        if let Certificate::Obsolete = self.certificate {
            return Ok(Acceptor(None));
        }
        let config = self.config().map_err(io::Error::other)?;
        Ok(Acceptor(Some(TlsAcceptor::from(Arc::new(config)))))
    }

    fn config(&self) -> Result<ServerConfig, BoxError> {
        let wrong_host = || vec![String::from("wrong.host.test")];
        let hosts = match self.certificate {
            Certificate::WrongHost => wrong_host(),
            _ => self.hosts.clone(),
        };
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, "loopback server");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        match self.certificate {
            Certificate::Expired => {
                params.not_before = rcgen::date_time_ymd(2000, 1, 1);
                params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            }
            _ => current(&mut params),
        }
        let (certificate, key) = self.authority.issue(&params)?;
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = if self.client_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.certificate.clone())?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            config.with_client_cert_verifier(verifier)
        } else {
            config.with_no_client_auth()
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config = config.with_single_cert(vec![certificate], key.into())?;
        config.alpn_protocols = self.alpn.clone();
        Ok(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("hosts", &self.hosts)
            .field("certificate", &self.certificate)
            .field("client_certificate", &self.client_certificate)
            .finish_non_exhaustive()
    }
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        // Two authorities must not have one name: a client that trusts one would take a
        // certificate of the other for a forgery instead of an unknown issuer.
        let key = KeyPair::generate()?;
        let name = format!("loopback test CA {:016x}", super::ids::Fnv::of(&key.serialize_der()));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        current(&mut params);
        let certificate = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(params, key);
        let mut this = Self { issuer, certificate, client_pem: String::new() };
        let mut client = CertificateParams::new(Vec::new())?;
        client.distinguished_name.push(DnType::CommonName, "loopback client");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        current(&mut client);
        let (certificate, key) = this.issue(&client)?;
        let key = pem("PRIVATE KEY", &key.serialize_der());
        this.client_pem = pem("CERTIFICATE", &certificate) + &key;
        Ok(this)
    }

    fn issue(
        &self,
        params: &CertificateParams,
    ) -> Result<(CertificateDer<'static>, KeyPair), rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.der().clone(), key))
    }
}

/// Valid since yesterday and for less than a year: some verifiers take no longer ones.
fn current(params: &mut CertificateParams) {
    const DAY: u64 = 24 * 60 * 60;
    let at = |seconds| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let now = unix_seconds();
    params.not_before = at(now.saturating_sub(DAY));
    params.not_after = at(now + 300 * DAY);
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + &format!("-----END {label}-----\n")
}

/// What an accepted socket goes through; without an acceptor, TLS 1.1 is all there is.
#[derive(Clone)]
pub(super) struct Acceptor(Option<TlsAcceptor>);

impl Acceptor {
    pub(super) async fn accept(self, mut stream: TcpStream) -> Option<Stream> {
        match self.0 {
            Some(acceptor) => match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => return Some(Stream::Tls(Box::new(stream))),
                // It has the alert already.
                Err((_, stream)) => close(stream).await.ok()?,
            },
            None => {
                // A fatal alert in the version that the server would speak.
                const ALERT: [u8; 7] = [21, 3, 2, 0, 2, 2, 70];
                let mut hello = [0; 4096];
                let _ = stream.read(&mut hello).await.ok()?;
                stream.write_all(&ALERT).await.ok()?;
                close(stream).await.ok()?;
            }
        }
        None
    }
}
