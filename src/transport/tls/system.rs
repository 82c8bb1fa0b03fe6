//! The roots of a system that keeps them in files.
//!
//! The environment of the process names others to rustls-native-certs and openssl-probe, in their
//! place. Here variables come from the transport's own source, and what they name is trusted too.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls_native_certs::load_certs_from_paths;

use crate::env::{EnvSource, ProcessEnv};

/// What is in the system's file, in its directories, and in those of `more`, between which are
/// colons.
///
/// What cannot be read is left out: it is not the caller's, so it is no reason to fail.
pub(super) fn certificates(more: &str) -> Vec<CertificateDer<'static>> {
    let mut found = Vec::new();
    if let Some(file) = file() {
        found.extend(load_certs_from_paths(Some(&file), None).certs);
    }
    let mut directories: Vec<&Path> = openssl_probe::candidate_cert_dirs().collect();
    directories.extend(more.split(':').filter(|path| !path.is_empty()).map(Path::new));
    for directory in directories {
        found.extend(load_certs_from_paths(None, Some(directory)).certs);
    }
    // A directory mostly has links to the file, and to each certificate of it.
    found.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    found.dedup();
    found
}

/// The file of all roots. It is mostly in one of the directories too, but not on each system.
fn file() -> Option<PathBuf> {
    match ProcessEnv.var("SSL_CERT_FILE") {
        Ok(None) => openssl_probe::probe().cert_file,
        // That would be found instead.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;

    #[test]
    fn the_systems_certificates_are_found_once() {
        let found = certificates("");
        if Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
            assert!(found.len() > 10, "{}", found.len());
        }
        assert_eq!(certificates(":/etc/ssl/certs:/no/such/directory"), found);
        let mut store = RootCertStore::empty();
        assert_eq!(store.add_parsable_certificates(found).1, 0);
    }
}
