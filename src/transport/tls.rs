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
