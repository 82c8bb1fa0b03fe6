//! TLS: who does the cryptography, whom to trust, and who we are.

mod pem;
#[cfg(all(
    feature = "platform-verifier",
    unix,
    not(target_vendor = "apple"),
    not(target_os = "android")
))]
mod system;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::variables::Variables;
use crate::Error;

/// A connector with TLS around it where the URI says `https`.
pub(super) type Secured<C> = hyper_rustls::HttpsConnector<C>;

/// Who does the cryptography of TLS, each by the feature of its name.
///
/// With both features on, ring does by default. Neither is ever installed for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsProvider {
    /// ring.
    #[cfg(feature = "ring")]
    Ring,
    /// AWS-LC: with post-quantum key exchange.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

impl TlsProvider {
    fn provider(self) -> CryptoProvider {
        match self {
            #[cfg(feature = "ring")]
            Self::Ring => rustls::crypto::ring::default_provider(),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => rustls::crypto::aws_lc_rs::default_provider(),
        }
    }
}

impl Default for TlsProvider {
    fn default() -> Self {
        #[cfg(feature = "ring")]
        return Self::Ring;
        #[cfg(not(feature = "ring"))]
        return Self::AwsLcRs;
    }
}

/// Whom to trust, beside the roots that were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The operating system's verifier, or its files of roots.
    #[cfg(feature = "platform-verifier")]
    Platform,
    /// Mozilla's list, compiled in.
    #[cfg(feature = "webpki-roots")]
    Webpki,
    /// Nobody.
    Added,
}

impl Roots {
    /// What the features bring; `None` if none of them brings any.
    fn of_features() -> Option<Self> {
        #[cfg(feature = "platform-verifier")]
        return Some(Self::Platform);
        #[cfg(all(feature = "webpki-roots", not(feature = "platform-verifier")))]
        return Some(Self::Webpki);
        #[cfg(not(any(feature = "platform-verifier", feature = "webpki-roots")))]
        return None;
    }
}

/// The settings of TLS.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) provider: TlsProvider,
    /// `None`: what the features bring.
    pub(super) roots: Option<Roots>,
    /// PEM.
    pub(super) added: Vec<Bytes>,
    pub(super) identity: Option<Identity>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("provider", &self.provider)
            .field("roots", &self.roots)
            // A text may have a key beside the certificates.
            .field("added", &self.added.len())
            .field("identity", &self.identity)
            .finish()
    }
}

/// The client's certificates and its key, in PEM.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) certificates: Bytes,
    pub(super) key: Bytes,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What TLS is to be with the server, and with a proxy.
#[derive(Clone)]
pub(super) struct Configs {
    pub(super) server: ClientConfig,
    pub(super) proxy: ClientConfig,
    /// Whether any certificate can be trusted.
    pub(super) trusts: bool,
}

impl Settings {
    /// The provider is given to these configurations only; nothing global is installed.
    pub(super) fn configs(&self, variables: &Variables) -> Result<Configs, Error> {
        let provider = Arc::new(self.provider.provider());
        let mut added = Vec::new();
        for pem in &self.added {
            added.extend(pem::given(pem)?);
        }
        let bundle = variables.first(&["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"])?;
        if let Some((variable, path)) = bundle {
            added.extend(pem::named(variable, path)?);
        }
        let roots = match self.roots {
            Some(Roots::Added) if added.is_empty() => {
                return Err(Error::build(
                    "`only_added_roots` and no root added: no server can be trusted, so add one \
                     with `add_root_pem`",
                ));
            }
            Some(roots) => roots,
            None => Roots::of_features().unwrap_or(Roots::Added),
        };
        #[cfg(all(
            feature = "platform-verifier",
            unix,
            not(target_vendor = "apple"),
            not(target_os = "android")
        ))]
        if roots == Roots::Platform {
            added.extend(system::certificates(variables.get("SSL_CERT_DIR")?.unwrap_or_default()));
            if added.is_empty() {
                return Err(Error::build(NO_PLATFORM_ROOTS));
            }
        }
        let trusts = roots != Roots::Added || !added.is_empty();
        let verifier = if trusts { Some(verifier(roots, added, &provider)?) } else { None };
        let server = self.config(&provider, verifier.as_ref(), self.identity.as_ref())?;
        let proxy = self.config(&provider, verifier.as_ref(), None)?;
        Ok(Configs { server, proxy, trusts })
    }

    fn config(
        &self,
        provider: &Arc<CryptoProvider>,
        verifier: Option<&Arc<dyn ServerCertVerifier>>,
        identity: Option<&Identity>,
    ) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .map_err(|err| {
                Error::build("the TLS provider offers no usable version").with_source(err)
            })?;
        let builder = match verifier {
            Some(verifier) => {
                builder.dangerous().with_custom_certificate_verifier(Arc::clone(verifier))
            }
            None => builder.with_root_certificates(RootCertStore::empty()),
        };
        let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
        let (certificates, key) = pem::identity(identity)?;
        builder.with_client_auth_cert(certificates, key).map_err(|err| {
            Error::build(
                "the client certificate and its key in `client_certificate_pem` cannot be used \
                 together",
            )
            .with_source(err)
        })
    }
}

fn verifier(
    roots: Roots,
    added: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let mut store = RootCertStore::empty();
    match roots {
        #[cfg(all(
            feature = "platform-verifier",
            not(all(unix, not(target_vendor = "apple"), not(target_os = "android")))
        ))]
        Roots::Platform => return platform(added, provider),
        // Added already.
        #[cfg(all(
            feature = "platform-verifier",
            unix,
            not(target_vendor = "apple"),
            not(target_os = "android")
        ))]
        Roots::Platform => {}
        #[cfg(feature = "webpki-roots")]
        Roots::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Added => {}
    }
    store.add_parsable_certificates(added);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
    match verifier {
        Ok(verifier) => Ok(verifier),
        Err(err) => Err(Error::build("the certificate roots cannot be used").with_source(err)),
    }
}

#[cfg(feature = "platform-verifier")]
const NO_PLATFORM_ROOTS: &str = "the platform offers no certificate roots: install its CA \
                                 certificates, or use `webpki_roots` (feature `webpki-roots`)";

/// The system has a verifier.
#[cfg(all(
    feature = "platform-verifier",
    not(all(unix, not(target_vendor = "apple"), not(target_os = "android")))
))]
fn platform(
    added: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    use rustls_platform_verifier::Verifier;

    let provider = Arc::clone(provider);
    #[cfg(not(target_os = "android"))]
    let verifier = Verifier::new_with_extra_roots(added, provider);
    #[cfg(target_os = "android")]
    let verifier = match added.is_empty() {
        true => Verifier::new(provider),
        false => {
            return Err(Error::build(
                "Android's verifier takes no further roots: use `only_added_roots`",
            ));
        }
    };
    match verifier {
        Ok(verifier) => Ok(Arc::new(verifier)),
        Err(err) => Err(Error::build(NO_PLATFORM_ROOTS).with_source(err)),
    }
}
