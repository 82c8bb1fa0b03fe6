//! TLS: versions, certificates, and what goes wrong.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls;
use tower_openai::transport::{HyperTransport, HyperTransportBuilder};
use tower_openai::{ErrorKind, Stage};

use super::certs::{Authority, encrypted_key_pem, https};
use super::support::{Server, assert_error, send, transport};

pub(crate) fn builder(authority: &Authority) -> HyperTransportBuilder {
    HyperTransport::builder().without_env().only_added_roots().add_root_pem(authority.pem())
}

#[tokio::test]
async fn a_peer_that_hangs_up_during_tls_is_a_connect_error() {
    let server = Server::start(|_| async {}).await;
    assert_error(server.get("https", transport()).await, ErrorKind::Connect, Stage::NotSent);
}

pub(crate) async fn saying(bytes: &'static [u8]) -> Server {
    Server::start(move |mut socket| async move {
        let _ = socket.write_all(bytes).await;
        let mut sink = Vec::new();
        let _ = socket.read_to_end(&mut sink).await;
    })
    .await
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_a_tls_error() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.6\r\n"] {
        let server = saying(bytes).await;
        let result = server.get("https", transport()).await;
        let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
        assert!(message.starts_with(&format!("{} speaks no TLS", server.addr)), "{message}");
    }
}

#[tokio::test]
async fn alpn_offers_what_the_builder_allows() {
    let cases: [(_, &[&[u8]]); 3] = [
        (HyperTransport::builder(), &[b"h2", b"http/1.1"]),
        (HyperTransport::builder().http1_only(), &[]),
        (HyperTransport::builder().http2_only(), &[b"h2"]),
    ];
    for (builder, expected) in cases {
        let (offer, mut offers) = tokio::sync::mpsc::unbounded_channel();
        let server = Server::start(move |socket| {
            let offer = offer.clone();
            async move {
                let hello = rustls::server::Acceptor::default();
                let start = tokio_rustls::LazyConfigAcceptor::new(hello, socket).await.unwrap();
                let alpn = start.client_hello().alpn();
                let alpn = alpn.map(|names| names.map(<[u8]>::to_vec).collect::<Vec<_>>());
                offer.send(alpn.unwrap_or_default()).unwrap();
            }
        })
        .await;
        let _ = server.get("https", builder.without_env().build().unwrap()).await;
        assert_eq!(offers.recv().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn http2_is_negotiated_where_allowed() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["127.0.0.1"]).acceptor()).await;
    for (builder, expected) in [
        (builder(&authority).http1_only(), http::Version::HTTP_11),
        (builder(&authority), http::Version::HTTP_2),
        (builder(&authority).http2_only(), http::Version::HTTP_2),
    ] {
        let response = server.get("https", builder.build().unwrap()).await.unwrap();
        assert_eq!(response.version(), expected);
    }
}

// ===== rows 5 to 9 of the fault matrix =====

#[tokio::test]
async fn row_5_an_unknown_authority() {
    let server = https(Authority::new("theirs").issue(&["127.0.0.1"]).acceptor()).await;
    // The platform's verifier says the same as ours.
    for transport in [transport(), builder(&Authority::new("ours")).build().unwrap()] {
        let result = server.get("https", transport).await;
        let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
        let expected =
            format!("the certificate of {} comes from an authority that is not", server.addr);
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("`CODEX_CA_CERTIFICATE` or `SSL_CERT_FILE`"), "{message}");
        assert!(message.contains("`add_root_pem`"), "{message}");
    }
}

#[tokio::test]
async fn row_6_an_expired_certificate() {
    let authority = Authority::new("private");
    let leaf = authority.issue_with(&["127.0.0.1"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let server = https(leaf.acceptor()).await;
    let result = server.get("https", builder(&authority).build().unwrap()).await;
    let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
    assert!(message.contains("has expired") && message.contains("clock"), "{message}");

    let leaf = authority.issue_with(&["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(3020, 1, 1);
    });
    let server = https(leaf.acceptor()).await;
    let result = server.get("https", builder(&authority).build().unwrap()).await;
    let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
    assert!(message.contains("is not valid yet"), "{message}");
}

#[tokio::test]
async fn row_7_a_certificate_for_another_host() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["example.com"]).acceptor()).await;
    let result = server.get("https", builder(&authority).build().unwrap()).await;
    let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
    assert!(message.contains("is for another name"), "{message}");
}

/// As the shortest recipes for a certificate of one's own make it.
#[tokio::test]
async fn a_certificate_of_an_authority_is_none_for_a_server() {
    let authority = Authority::new("private");
    let leaf = authority.issue_with(&["127.0.0.1"], |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let server = https(leaf.acceptor()).await;
    let result = server.get("https", builder(&authority).build().unwrap()).await;
    let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
    assert!(message.contains("is that of an authority"), "{message}");
}

/// What a server of TLS 1.1 answers to us: the alert `protocol_version`.
pub(crate) const TLS_1_1_ALERT: &[u8] = &[21, 3, 2, 0, 2, 2, 70];

/// Two ways to say that TLS 1.1 is all there is: the alert, and a server hello of that version.
#[tokio::test]
async fn row_8_tls_below_1_2() {
    const HELLO: &[u8] = &[
        22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0xc0, 0x14, 0,
    ];
    for bytes in [TLS_1_1_ALERT, HELLO] {
        let server = saying(bytes).await;
        let result = server.get("https", transport()).await;
        let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
        let expected = format!("{} speaks neither TLS 1.2 nor 1.3", server.addr);
        assert!(message.starts_with(&expected), "{message}");
    }
}

/// Some servers say so by TLS, others by a status: that one is an answer like any other.
#[tokio::test]
async fn row_9_a_client_certificate_that_is_missing() {
    let authority = Authority::new("private");
    let acceptor = authority.issue(&["127.0.0.1"]).acceptor_for(&authority);
    let server = https(acceptor).await;
    for builder in [builder(&authority), builder(&authority).http1_only()] {
        // In TLS 1.3 the server says so after we have begun to send.
        let result = server.get("https", builder.build().unwrap()).await;
        let message = assert_error(result, ErrorKind::Tls, Stage::Unknown);
        assert!(message.contains("asks for a client certificate"), "{message}");
        assert!(message.contains("`client_certificate_pem`"), "{message}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks() {
    let authority = Authority::new("private");
    let client = authority.issue(&["client"]);
    let server = https(authority.issue(&["127.0.0.1"]).acceptor_for(&authority)).await;
    let shown = builder(&authority).client_certificate_pem(client.pem(), client.key_pem());
    assert_eq!(server.get("https", shown.build().unwrap()).await.unwrap().status(), 200);
    let both = client.key_pem() + &client.pem();
    let shown = builder(&authority).client_certificate_pem(&both, &both);
    assert_eq!(server.get("https", shown.build().unwrap()).await.unwrap().status(), 200);

    let other = Authority::new("unknown").issue(&["client"]);
    let shown = builder(&authority).client_certificate_pem(other.pem(), other.key_pem());
    for builder in [shown.clone(), shown.http1_only()] {
        let result = server.get("https", builder.build().unwrap()).await;
        let message = assert_error(result, ErrorKind::Tls, Stage::Unknown);
        assert!(message.contains("refuses the client certificate"), "{message}");
    }
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_refused() {
    let authority = Authority::new("private");
    let (one, two) = (authority.issue(&["one"]), authority.issue(&["two"]));
    let key = one.key_pem();
    let broken = key.replace("-----END PRIVATE KEY-----", "");
    let encrypted = encrypted_key_pem();
    for (certificates, key, expected) in [
        (one.pem(), two.key_pem(), "cannot be used together"),
        (one.pem(), broken, "has no private key that can be read"),
        (one.pem(), String::new(), "has no private key that can be read"),
        (key.clone(), key.clone(), "has no certificate"),
        (encrypted.clone() + &one.pem(), encrypted, "or an encrypted one"),
    ] {
        let builder = builder(&authority).client_certificate_pem(certificates, &key);
        let secret = key.lines().nth(1).unwrap_or("no key");
        assert!(!format!("{builder:?}").contains(secret));
        let err = builder.build().unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Build);
        let shown = format!("{err} {err:?}");
        assert!(shown.contains(expected) && !shown.contains(secret), "{shown}");
    }
}

/// AWS-LC can be told from ring by what it offers.
#[cfg(feature = "aws-lc-rs")]
#[tokio::test]
async fn the_provider_is_the_one_that_was_chosen() {
    use tower_openai::transport::TlsProvider;

    let authority = Authority::new("private");
    let server = https(authority.issue(&["127.0.0.1"]).acceptor()).await;
    for (chosen, post_quantum) in
        [(None, false), (Some(TlsProvider::Ring), false), (Some(TlsProvider::AwsLcRs), true)]
    {
        let builder = match chosen {
            Some(provider) => builder(&authority).tls_provider(provider),
            None => builder(&authority),
        };
        server.get("https", builder.clone().build().unwrap()).await.unwrap();

        let (offer, mut offers) = tokio::sync::mpsc::unbounded_channel();
        let listener = Server::start(move |socket| {
            let offer = offer.clone();
            async move {
                let hello = rustls::server::Acceptor::default();
                let start = tokio_rustls::LazyConfigAcceptor::new(hello, socket).await.unwrap();
                let groups = start.client_hello().named_groups().unwrap().to_vec();
                offer.send(groups.contains(&rustls::NamedGroup::X25519MLKEM768)).unwrap();
            }
        })
        .await;
        let _ = listener.get("https", builder.build().unwrap()).await;
        assert_eq!(offers.recv().await, Some(post_quantum), "{chosen:?}");
    }
}

#[tokio::test]
async fn no_provider_is_installed_for_the_process() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["127.0.0.1"]).acceptor()).await;
    server.get("https", builder(&authority).build().unwrap()).await.unwrap();
    send(transport(), "https://127.0.0.1:1/").await.unwrap_err();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
