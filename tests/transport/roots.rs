//! Whom to trust.

use std::path::PathBuf;

use tower_openai::ErrorKind;
use tower_openai::transport::{HyperTransport, HyperTransportBuilder};

use super::certs::{Authority, https, pem};

/// A file that is gone at the end of the test.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("{}-{name}.pem", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn trusts(authority: &Authority, builder: HyperTransportBuilder) -> bool {
    let server = https(authority.issue(&["127.0.0.1"]).acceptor()).await;
    match server.get("https", builder.build().unwrap()).await {
        Ok(_) => true,
        Err(err) if err.kind() == ErrorKind::Tls => false,
        Err(err) => panic!("{err:?}"),
    }
}

#[tokio::test]
async fn a_bundle_of_the_environment_adds_to_the_roots() {
    let authority = Authority::new("private");
    let bundle = Bundle::new("env", authority.pem());
    for variable in ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"] {
        let builder = || HyperTransport::builder().env(&[(variable, bundle.path())]);
        assert!(trusts(&authority, builder()).await, "{variable}");
        assert!(trusts(&authority, builder().webpki_roots()).await, "{variable}");
        assert!(trusts(&authority, builder().only_added_roots()).await, "{variable}");
    }
    assert!(!trusts(&authority, HyperTransport::builder().without_env()).await);
}

#[tokio::test]
async fn the_first_variable_that_is_set_counts() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let (first, second) = (Bundle::new("first", one.pem()), Bundle::new("second", two.pem()));
    let env = [("SSL_CERT_FILE", second.path()), ("CODEX_CA_CERTIFICATE", first.path())];
    assert!(trusts(&one, HyperTransport::builder().env(&env)).await);
    assert!(!trusts(&two, HyperTransport::builder().env(&env)).await);
    let env = [("SSL_CERT_FILE", second.path()), ("CODEX_CA_CERTIFICATE", " ")];
    assert!(trusts(&two, HyperTransport::builder().env(&env)).await);
}

/// What `openssl x509 -trustout` writes: the certificate, then the trust data.
fn trusted(authority: &Authority) -> String {
    let trust_data = [0x30, 0x0c, 0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
    pem("TRUSTED CERTIFICATE", &[&*authority.der, &trust_data].concat())
}

#[tokio::test]
async fn other_blocks_and_comments_are_skipped() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let text = [
        b"# a comment in Latin-1: \xe9\n".to_vec(),
        pem("X509 CRL", &[0x30, 0]).into_bytes(),
        one.pem().into_bytes(),
        pem("SOMETHING ELSE", b"?").into_bytes(),
        trusted(&two).into_bytes(),
        one.issue(&["key"]).key_pem().into_bytes(),
    ]
    .concat();
    let bundle = Bundle::new("mixed", &text);
    for authority in [&one, &two] {
        let builder = HyperTransport::builder().env(&[("SSL_CERT_FILE", bundle.path())]);
        assert!(trusts(authority, builder.only_added_roots()).await);
        let builder = HyperTransport::builder().without_env().add_root_pem(&text);
        assert!(trusts(authority, builder).await);
    }
}

#[test]
fn a_bundle_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    let good = Authority::new("good").pem();
    let broken_crl = "-----BEGIN X509 CRL-----\n!!!!\n-----END X509 CRL-----\n";
    let cases = [
        ("empty", String::new(), "no certificates found in PEM file"),
        ("key", pem("PRIVATE KEY", b"?"), "no certificates found in PEM file"),
        ("cut", good.replace("-----END CERTIFICATE-----", ""), "is not valid PEM"),
        ("crl", good.clone() + broken_crl, "is not valid PEM"),
        ("junk", good.clone() + &pem("CERTIFICATE", b"junk"), "cannot be a root, #2"),
        ("trust", pem("TRUSTED CERTIFICATE", &[0x30, 0x80, 1, 0, 0]), "where #1 should be"),
    ];
    for (name, text, expected) in cases {
        let bundle = Bundle::new(name, &text);
        for variable in ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"] {
            let env = [(variable, bundle.path())];
            let err = HyperTransport::builder().env(&env).build().unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Build, "{name}");
            let message = err.to_string();
            for part in [expected, bundle.path(), &format!("point `{variable}` at"), "unset it"] {
                assert!(message.contains(part), "{name}: {message}");
            }
        }
        let builder = HyperTransport::builder().without_env().add_root_pem(&text);
        let err = builder.build().unwrap_err();
        assert!(err.to_string().contains("`add_root_pem`"), "{err}");
    }
}

#[test]
fn a_bundle_that_is_not_there_keeps_the_reason() {
    let env = [("SSL_CERT_FILE", "/no/such/file.pem")];
    let err = HyperTransport::builder().env(&env).build().unwrap_err();
    assert!(err.to_string().contains("`/no/such/file.pem` in `SSL_CERT_FILE`"), "{err}");
    let cause = err.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    assert_eq!(cause.unwrap().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn trusting_nobody_is_refused() {
    let err = HyperTransport::builder().without_env().only_added_roots().build().unwrap_err();
    assert!(err.to_string().contains("`add_root_pem`"), "{err}");
}
