//! Certificates and keys in PEM.

use std::fs::File;
use std::io::{self, Read};

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Identity;
use crate::Error;

/// Far more than all authorities of the world.
const LARGEST_BUNDLE: u64 = 64 * 1024 * 1024;

/// The certificates in the file that an environment variable names.
pub(super) fn named(variable: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let hint =
        format!("point `{variable}` at a PEM file with certificates of authorities, or unset it");
    let refuse =
        |what: String| Error::build(format!("the file `{path}` in `{variable}` {what}: {hint}"));
    let pem = match read(path) {
        Ok(pem) => pem,
        Err(err) => {
            return Err(refuse(format!("cannot be read ({err})")).with_source(err));
        }
    };
    certificates(&pem).map_err(|problem| problem.told(refuse))
}

/// The certificates that were given as text.
pub(super) fn given(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refuse =
        |what: String| Error::build(format!("the PEM text given to `add_root_pem` {what}"));
    certificates(pem).map_err(|problem| problem.told(refuse))
}

/// The client's certificates and key.
pub(super) fn identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let refuse =
        |what: &str| Error::build(format!("the PEM text given to `client_certificate_pem` {what}"));
    let text = certificates_only(&String::from_utf8_lossy(&identity.certificates));
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| refuse("has a certificate that cannot be read"))?;
    if certificates.is_empty() {
        return Err(refuse("has no certificate"));
    }
    // Its error would quote what it could not read.
    let key = PrivateKeyDer::from_pem_slice(&identity.key)
        .map_err(|_| refuse("has no private key that can be read, or an encrypted one"))?;
    Ok((certificates, key))
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for a writer, who may never come.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut pem = Vec::new();
    File::open(path)?.take(LARGEST_BUNDLE + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > LARGEST_BUNDLE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 64 MiB"));
    }
    Ok(pem)
}

/// Why a bundle cannot be used.
#[derive(Debug)]
enum Problem {
    Empty,
    /// In what way it is not PEM. The parser's own error quotes lines, of a key too.
    Pem(&'static str),
    /// There are more beginnings of certificates than certificates.
    Hidden,
    /// OpenSSL's trust data are not behind a certificate, which is the n-th.
    Trusted(usize),
    Rejected(usize, rustls::Error),
}

impl Problem {
    fn told(self, refuse: impl Fn(String) -> Error) -> Error {
        match self {
            Self::Empty => refuse("has no certificates: no certificates found in PEM file".into()),
            Self::Pem(why) => refuse(format!("is not valid PEM: {why}")),
            Self::Hidden => refuse(
                "is not valid PEM: each BEGIN CERTIFICATE and END CERTIFICATE must be a line of \
                 its own"
                    .into(),
            ),
            Self::Trusted(n) => refuse(format!("has no certificate where #{n} should be")),
            Self::Rejected(n, err) => {
                refuse(format!("has a certificate that cannot be a root, #{n}")).with_source(err)
            }
        }
    }
}

/// All certificates of a bundle. What else is in it is skipped; only a CRL has to be PEM.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    // Comments between the blocks may be in any encoding.
    let text = String::from_utf8_lossy(pem);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let trusted = text.contains("TRUSTED CERTIFICATE-----");
    let text = text.replace("-----BEGIN TRUSTED CERTIFICATE-----", "-----BEGIN CERTIFICATE-----");
    let text = text.replace("-----END TRUSTED CERTIFICATE-----", "-----END CERTIFICATE-----");
    let text = certificates_only(&text);

    let mut found = Vec::new();
    let mut store = RootCertStore::empty();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, mut der) = section.map_err(|err| Problem::Pem(reason(&err)))?;
        if kind != SectionKind::Certificate {
            continue;
        }
        let n = found.len() + 1;
        if trusted {
            let length = first_item(&der).ok_or(Problem::Trusted(n))?;
            der.truncate(length);
        }
        let certificate = CertificateDer::from(der);
        store.add(certificate.clone()).map_err(|err| Problem::Rejected(n, err))?;
        found.push(certificate);
    }
    // The parser passes over what does not begin a line.
    if text.matches("-----BEGIN CERTIFICATE-----").count() > found.len() {
        return Err(Problem::Hidden);
    }
    if found.is_empty() { Err(Problem::Empty) } else { Ok(found) }
}

/// A text without the blocks of other kinds, which need not be what the parser takes for PEM: an
/// encrypted key begins with headers.
fn certificates_only(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut other = false;
    for line in text.split_inclusive(['\n', '\r']) {
        let bare = line.trim_end();
        let begins = bare.strip_prefix("-----BEGIN ").and_then(|label| label.strip_suffix("-----"));
        if let Some(label) = begins {
            other = !matches!(label, "CERTIFICATE" | "X509 CRL");
        }
        if !other {
            kept.push_str(line);
        }
        other &= !bare.starts_with("-----END ");
    }
    kept
}

fn reason(err: &PemError) -> &'static str {
    match err {
        PemError::MissingSectionEnd { .. } => "a block has no end",
        PemError::IllegalSectionStart { .. } => "a block begins with a broken line",
        PemError::Base64Decode(_) => "a block is not base64",
        _ => "a block cannot be read",
    }
}

/// The length of the first item of DER. OpenSSL's trust data come behind it.
fn first_item(der: &[u8]) -> Option<usize> {
    let (&first, rest) = der.get(1..)?.split_first()?;
    let (head, length) = match first {
        0..=0x7f => (2, usize::from(first)),
        // Indefinite, and longer than any certificate.
        0x80 | 0x85.. => return None,
        _ => {
            let count = usize::from(first & 0x7f);
            let length = rest.get(..count)?.iter().fold(0, |sum, &b| (sum << 8) | usize::from(b));
            (2 + count, length)
        }
    };
    let end = head.checked_add(length)?;
    (end <= der.len()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_item_is_found_by_its_length() {
        let long = [&[0x30, 0x82, 0x01, 0x00][..], &[7; 256], b"trust"].concat();
        let cases: [(&[u8], _); 8] = [
            (&[0x30, 2, 1, 2, 9, 9], Some(4)),
            (&[0x30, 0], Some(2)),
            (&long, Some(260)),
            (&[0x30, 0x81, 1, 5, 9], Some(4)),
            (&[0x30, 0x80, 1, 2, 0, 0], None),
            (&[0x30, 0x85, 0, 0, 0, 0, 1, 5], None),
            (&[0x30, 3, 1, 2], None),
            (&[0x30], None),
        ];
        for (der, expected) in cases {
            assert_eq!(first_item(der), expected, "{der:?}");
        }
    }
}
