//! TLS: which provider, which roots.

use crate::Error;

/// Whom to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "ring"), expect(dead_code, reason = "nothing to verify without TLS"))]
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

/// Why `https` cannot work with the features this crate was built with, if it cannot.
pub(super) const MISSING: Option<&str> = if cfg!(not(feature = "ring")) {
    Some("https needs a TLS provider: build `tower-openai` with the feature `ring`")
} else if cfg!(not(any(feature = "platform-verifier", feature = "webpki-roots"))) {
    Some(
        "https needs roots to trust: build `tower-openai` with the feature `platform-verifier` \
         or `webpki-roots`",
    )
} else {
    None
};

/// The provider is given to this configuration only; nothing global is installed.
#[cfg(feature = "ring")]
pub(super) fn config(roots: Roots) -> Result<rustls::ClientConfig, Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
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
