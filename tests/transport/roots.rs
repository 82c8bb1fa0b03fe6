//! Whom to trust.

use std::path::PathBuf;

use tower_openai::ErrorKind;
use tower_openai::transport::{HyperTransport, HyperTransportBuilder};

use super::certs::{Authority, encrypted_key_pem, https, pem};

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
        encrypted_key_pem().into_bytes(),
        pem("PUBLIC KEY", b"?").replace("Pw==", "!!!!").into_bytes(),
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
        ("joined", good.trim_end().repeat(2), "must be a line of its own"),
        ("indented", good.clone() + "  " + &good, "must be a line of its own"),
        ("escaped", good.replace('\n', "\\n"), "is not valid PEM"),
        ("utf-16", good.chars().flat_map(|c| [c, '\0']).collect(), "no certificates found"),
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

#[tokio::test]
async fn line_ends_and_a_byte_order_mark_do_not_matter() {
    let authority = Authority::new("from Windows");
    let text = format!("\u{feff}{}", authority.pem().replace('\n', "\r\n"));
    let builder = HyperTransport::builder().without_env().only_added_roots().add_root_pem(text);
    assert!(trusts(&authority, builder).await);
}

/// A file with all of it is often at hand, and given in the wrong place.
#[test]
fn no_error_and_no_debug_of_a_bundle_quotes_a_key() {
    let leaf = Authority::new("private").issue(&["a.test"]);
    let key = leaf.key_pem();
    let secret = key.lines().nth(1).unwrap();
    let bytes = format!("{:?}", secret.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    for text in [key.clone(), key.replace('\n', ""), key.replace('\n', "\\n")] {
        for text in [format!("{}{text}", leaf.pem()), text[..text.len() - 8].to_owned()] {
            let builder = HyperTransport::builder().without_env().add_root_pem(&text);
            assert!(!format!("{builder:?}").contains(secret));
            let Err(err) = builder.build() else { continue };
            let chain: Vec<_> = err.chain().map(|cause| format!("{cause} {cause:?}")).collect();
            let shown = format!("{err:?} {chain:?}");
            assert!(!shown.contains(secret) && !shown.contains(bytes), "{shown}");
        }
    }
}

/// Who opens a pipe waits until someone writes.
#[cfg(unix)]
#[test]
fn a_pipe_and_a_directory_are_no_bundles() {
    let pipe = Bundle(std::env::temp_dir().join(format!("{}-pipe", std::process::id())));
    let made = std::process::Command::new("mkfifo").arg(&pipe.0).status().unwrap();
    assert!(made.success());
    for path in [pipe.path(), "/tmp", "/dev/zero"] {
        let env = [("CODEX_CA_CERTIFICATE", path)];
        let err = HyperTransport::builder().env(&env).build().unwrap_err();
        assert!(err.to_string().contains("it is not a regular file"), "{err}");
    }
}

#[tokio::test]
async fn directories_of_the_environment_add_to_the_roots() {
    let authority = Authority::new("in a directory");
    let folder = std::env::temp_dir().join(format!("{}-roots", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("root.pem"), authority.pem()).unwrap();
    let paths = format!("/no/such/directory:{}", folder.display());
    let builder = || HyperTransport::builder().env(&[("SSL_CERT_DIR", &*paths)]);
    let (added, webpki) = (trusts(&authority, builder()).await, builder().webpki_roots());
    let webpki = trusts(&authority, webpki).await;
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(added && !webpki);
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
