//! Failed TLS in words: what is wrong, and what to do.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::causes;

/// The TLS error among the causes.
pub(in crate::transport) fn tls_error(err: &(dyn StdError + 'static)) -> Option<Error> {
    let whole = causes(err).find_map(|cause| cause.downcast_ref().cloned());
    whole.or_else(|| causes(err).find_map(alert))
}

/// What rustls says of an alert. In HTTP/2 these words are all that is left of its error.
const ALERT: &str = "received fatal alert: ";

/// The alerts that a server sends once it knows what certificate we have.
const OF_CERTIFICATES: [AlertDescription; 8] = [
    AlertDescription::CertificateRequired,
    AlertDescription::NoCertificate,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::UnsupportedCertificate,
];

pub(super) fn is_alert(cause: &(dyn StdError + 'static)) -> bool {
    alert(cause).is_some()
}

/// The alert that an I/O error tells of by its words.
fn alert(cause: &(dyn StdError + 'static)) -> Option<Error> {
    let words = cause.downcast_ref::<io::Error>()?.get_ref()?.to_string();
    let name = words.strip_prefix(ALERT)?;
    let known = OF_CERTIFICATES.into_iter().find(|alert| format!("{alert:?}") == name);
    Some(known.map_or_else(|| Error::General(words), Error::AlertReceived))
}

/// One sentence on a failure of TLS with a proxy.
pub(in crate::transport) fn of_proxys_tls(err: &Error, proxy: &str) -> String {
    match err {
        Error::AlertReceived(alert) if OF_CERTIFICATES.contains(alert) => {
            format!("{proxy} asks for a client certificate, and a proxy is shown none")
        }
        _ => of_tls(err, proxy),
    }
}

/// One sentence on a failure of TLS with `peer`.
pub(in crate::transport) fn of_tls(err: &Error, peer: &str) -> String {
    match err {
        Error::InvalidCertificate(why) => of_certificate(why, peer),
        Error::NoCertificatesPresented => format!("TLS with {peer} failed: it has no certificate"),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            format!("{peer} speaks neither TLS 1.2 nor 1.3: it needs an update")
        }
        // What comes first of a server that speaks HTTP, SSH or anything else in clear.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => format!("{peer} speaks no TLS: is its URL `http://`, or the port another one?"),
        Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate,
        ) => format!(
            "{peer} asks for a client certificate: give it to the transport with \
             `client_certificate_pem`"
        ),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => format!("{peer} refuses the client certificate"),
        _ => format!("TLS with {peer} failed"),
    }
}

fn of_certificate(why: &CertificateError, peer: &str) -> String {
    use CertificateError as Why;
    match why {
        Why::UnknownIssuer => format!(
            "the certificate of {peer} comes from an authority that is not trusted: if it is your \
             own, or that of a proxy which reads TLS, name its certificate in \
             `CODEX_CA_CERTIFICATE` or `SSL_CERT_FILE`, or pass it to `add_root_pem`"
        ),
        Why::Expired | Why::ExpiredContext { .. } => format!(
            "the certificate of {peer} has expired: it must be renewed, unless this machine's \
             clock is wrong"
        ),
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            format!("the certificate of {peer} is not valid yet: is this machine's clock right?")
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => format!(
            "the certificate of {peer} is for another name: is the URL right, or does something \
             else answer there?"
        ),
        Why::Revoked => format!("the certificate of {peer} has been revoked"),
        // rustls does not give webpki's type away. This is what `openssl req -x509` makes.
        Why::Other(other) if other.to_string() == "CaUsedAsEndEntity" => format!(
            "the certificate of {peer} is that of an authority: the server needs one of its own, \
             issued by that authority (`basicConstraints=CA:FALSE`)"
        ),
        _ => format!("the certificate of {peer} is not valid"),
    }
}
