//! TLS with ring: the provider, and whom to trust.

use std::sync::Arc;

use crate::Error;

/// Whom to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The operating system's verifier.
    #[cfg(feature = "platform-verifier")]
    Platform,
    /// Mozilla's list, compiled in.
    #[cfg(feature = "webpki-roots")]
    Webpki,
    /// Nobody: no feature that brings roots is on.
    #[cfg(not(any(feature = "platform-verifier", feature = "webpki-roots")))]
    Nobody,
}

impl Default for Roots {
    fn default() -> Self {
        #[cfg(feature = "platform-verifier")]
        return Self::Platform;
        #[cfg(all(feature = "webpki-roots", not(feature = "platform-verifier")))]
        return Self::Webpki;
        #[cfg(not(any(feature = "platform-verifier", feature = "webpki-roots")))]
        return Self::Nobody;
    }
}

/// The provider is given to this configuration only; nothing global is installed.
pub(super) fn config(roots: Roots) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|err| {
            Error::build("the TLS provider offers no usable version").with_source(err)
        })?;
    let builder = match roots {
        #[cfg(feature = "platform-verifier")]
        Roots::Platform => hyper_rustls::ConfigBuilderExt::try_with_platform_verifier(builder)
            .map_err(|err| {
                Error::build(
                    "the platform offers no certificate roots: install its CA certificates, or \
                     use `webpki_roots` (feature `webpki-roots`)",
                )
                .with_source(err)
            })?,
        #[cfg(feature = "webpki-roots")]
        Roots::Webpki => hyper_rustls::ConfigBuilderExt::with_webpki_roots(builder),
        #[cfg(not(any(feature = "platform-verifier", feature = "webpki-roots")))]
        Roots::Nobody => builder.with_root_certificates(rustls::RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;

    use hyper_util::rt::{TokioExecutor, TokioIo};
    use rcgen::{CertificateParams, KeyPair};
    use rustls::RootCertStore;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use tower::ServiceExt;

    use super::*;
    use crate::transport::{HyperTransport, HyperTransportBuilder, TransportError};
    use crate::{ErrorKind, RequestBody, Stage};

    /// An HTTPS server with a certificate for `names`, and roots that contain just that.
    async fn server(names: &[&str], expired: bool) -> (SocketAddr, RootCertStore) {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(socket) = acceptor.accept(socket).await else { continue };
                let echo = hyper::service::service_fn(|request: http::Request<_>| async {
                    Ok::<_, Infallible>(http::Response::new(request.into_body()))
                });
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), echo).await;
                });
            }
        });
        (addr, roots)
    }

    fn trusting(roots: RootCertStore, builder: &HyperTransportBuilder) -> HyperTransport {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        builder.over(builder.https(config))
    }

    async fn version(
        addr: SocketAddr,
        transport: HyperTransport,
    ) -> Result<http::Version, TransportError> {
        let request = http::Request::post(format!("https://{addr}/")).body("hello".into()).unwrap();
        transport.oneshot(request).await.map(|response| response.version())
    }

    #[tokio::test]
    async fn http2_is_negotiated_where_allowed() {
        let (addr, roots) = server(&["127.0.0.1"], false).await;
        let builder = HyperTransport::builder;
        let cases = [
            (builder().http1_only(), http::Version::HTTP_11),
            #[cfg(feature = "http2")]
            (builder(), http::Version::HTTP_2),
            #[cfg(feature = "http2")]
            (builder().http2_only(), http::Version::HTTP_2),
        ];
        for (builder, expected) in cases {
            let found = version(addr, trusting(roots.clone(), &builder)).await.unwrap();
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn a_certificate_must_be_valid_for_the_host_and_the_day() {
        for (names, expired) in [(&["example.com"], false), (&["127.0.0.1"], true)] {
            let (addr, roots) = server(names, expired).await;
            let transport = trusting(roots, &HyperTransport::builder());
            let err = version(addr, transport).await.unwrap_err();
            assert_eq!((err.kind(), err.stage()), (ErrorKind::Tls, Stage::NotSent), "{err:?}");
        }
    }

    #[tokio::test]
    async fn no_provider_is_installed_for_the_process() {
        let (addr, roots) = server(&["127.0.0.1"], false).await;
        version(addr, trusting(roots, &HyperTransport::builder())).await.unwrap();
        HyperTransport::new()
            .unwrap()
            .oneshot(http::Request::new(RequestBody::empty()))
            .await
            .unwrap_err();
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }
}
