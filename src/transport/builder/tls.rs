//! Settings of TLS.

use bytes::Bytes;

use super::HyperTransportBuilder;
use crate::transport::tls::{Identity, Roots, TlsProvider};

impl HyperTransportBuilder {
    /// Who does the cryptography. Default: that of the feature that is on; of both, ring.
    pub fn tls_provider(mut self, provider: TlsProvider) -> Self {
        self.tls.provider = provider;
        self
    }

    /// Trusts whom the operating system trusts: the default with the feature `platform-verifier`.
    #[cfg(feature = "platform-verifier")]
    pub fn platform_roots(mut self) -> Self {
        self.tls.roots = Some(Roots::Platform);
        self
    }

    /// Trusts Mozilla's roots as compiled in, for images without CA certificates.
    #[cfg(feature = "webpki-roots")]
    pub fn webpki_roots(mut self) -> Self {
        self.tls.roots = Some(Roots::Webpki);
        self
    }

    /// Trusts nobody but the roots of [`add_root_pem`](Self::add_root_pem) and those of the bundle
    /// that the [environment](Self::env) names. There has to be one.
    pub fn only_added_roots(mut self) -> Self {
        self.tls.roots = Some(Roots::Added);
        self
    }

    /// Trusts these certificates too: any number of blocks in PEM. What is no certificate is
    /// skipped.
    ///
    /// A text without a certificate, or with one that cannot be a root, is an error of
    /// [`build`](Self::build).
    pub fn add_root_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.tls.added.push(Bytes::copy_from_slice(pem.as_ref()));
        self
    }

    /// Shows this certificate to servers that ask for one (mTLS): in PEM, the certificate itself
    /// first, then those of the authorities in between, and its private key, unencrypted. One text
    /// with all of it may be given twice.
    ///
    /// A proxy is not shown it. What cannot be used is an error of [`build`](Self::build), which
    /// quotes nothing of the key.
    pub fn client_certificate_pem(
        mut self,
        certificates: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Self {
        self.tls.identity = Some(Identity {
            certificates: Bytes::copy_from_slice(certificates.as_ref()),
            key: Bytes::copy_from_slice(key.as_ref()),
        });
        self
    }
}
