//! Authorities, certificates, and servers that have them.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, rustls};

use super::support::Server;

/// The label and the bytes as a block of PEM.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in BASE64_STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// A key as `openssl rsa -aes256 -traditional` writes it: encrypted, under headers.
pub(crate) fn encrypted_key_pem() -> String {
    let headers =
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899\n\n";
    pem("RSA PRIVATE KEY", b"nobody can read it").replacen("KEY-----\n", headers, 1)
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), der }
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Leaf {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Leaf { der, key: key.serialize_der() }
    }
}

pub(crate) struct Leaf {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: Vec<u8>,
}

impl Leaf {
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        self.acceptor_of(config)
    }

    /// Lets in only who has a certificate of `authority`.
    pub(crate) fn acceptor_for(&self, authority: &Authority) -> TlsAcceptor {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der.clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            provider(),
        );
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap());
        self.acceptor_of(config)
    }

    fn acceptor_of(
        &self,
        config: rustls::ConfigBuilder<rustls::ServerConfig, rustls::server::WantsServerCert>,
    ) -> TlsAcceptor {
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        let mut config = config.with_single_cert(vec![self.der.clone()], key.into()).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    pub(crate) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

/// Answers each request with its body, and with its URI and headers in one header.
pub(crate) async fn echo(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let echo = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async {
        let seen = format!("{} {:?}", request.uri(), request.headers());
        let answer = Response::builder().header("x-seen", seen).body(request.into_body());
        Ok::<_, Infallible>(answer.unwrap())
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(io), echo).await;
}

/// A server that echoes over TLS.
pub(crate) async fn https(acceptor: TlsAcceptor) -> Server {
    Server::start(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(socket) = acceptor.accept(socket).await {
                echo(socket).await;
            }
        }
    })
    .await
}
