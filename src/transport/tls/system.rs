//! The certificates of the system where `SSL_CERT_FILE` hides them.
//!
//! The platform's verifier takes that variable for the name of all roots there are. Here it names
//! some that are trusted too.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// What is in the system's directories, without those that are `known`: all of them where the
/// variable names the system's own file.
pub(super) fn certificates(known: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
    let found = openssl_probe::candidate_cert_dirs()
        .flat_map(|path| rustls_native_certs::load_certs_from_paths(None, Some(path)).certs);
    // A system may have certificates that rustls cannot read; they are no reason to fail.
    let usable = |found: &CertificateDer<'static>| {
        !known.contains(found) && RootCertStore::empty().add(found.clone()).is_ok()
    };
    found.filter(usable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_certificates_are_found_and_can_be_roots() {
        let found = certificates(&[]);
        if std::path::Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
            assert!(found.len() > 10, "{}", found.len());
        }
        assert!(certificates(&found).is_empty());
        let mut store = RootCertStore::empty();
        assert_eq!(store.add_parsable_certificates(found).1, 0);
    }
}
