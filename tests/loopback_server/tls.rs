//! The server over HTTPS, and the ways in which that fails.

use std::io::ErrorKind;

use tokio::net::TcpStream;
use tower_openai::testing::{Outcome, Script, Server, Tls};

use crate::support::*;

async fn serving(tls: Tls) -> Server {
    Server::builder().tls(tls).start().await.unwrap()
}

/// An exchange over TLS, or what the handshake fails with.
async fn get(server: &Server, ca: &str, client: Option<&str>) -> Result<String, String> {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let mut stream = secured(stream, "127.0.0.1", ca, client).await.map_err(|e| e.to_string())?;
    match exchange(&mut stream, GET_MODELS).await {
        (answer, None) => Ok(answer),
        (_, Some(error)) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn https_is_http_for_those_who_trust_the_authority() {
    let tls = Tls::new().unwrap();
    let server = serving(tls.clone()).await;
    let url = format!("https://127.0.0.1:{}/v1", server.address().port());
    assert_eq!(server.base_url(), url);
    let answer = get(&server, &tls.ca_pem(), None).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    let other = Tls::new().unwrap();
    let error = get(&server, &other.ca_pem(), None).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    server.shutdown().await;
}

#[tokio::test]
async fn bad_certificates_are_presented_as_told() {
    let tls = Tls::new().unwrap();
    for (tls, said) in [
        (tls.clone().expired(), "certificate expired"),
        (tls.clone().wrong_host(), "not valid for name"),
        (tls.clone().obsolete(), "ProtocolVersion"),
    ] {
        let server = serving(tls.clone()).await;
        let error = get(&server, &tls.ca_pem(), None).await.unwrap_err();
        assert!(error.contains(said), "{said}: {error}");
        assert_eq!(server.received(), 0);
    }
    let server = serving(tls.clone().host("api.example.test")).await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    secured(stream, "api.example.test", &tls.ca_pem(), None).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_can_be_demanded() {
    let tls = Tls::new().unwrap();
    let server = serving(tls.clone().require_client_certificate()).await;
    let error = get(&server, &tls.ca_pem(), None).await.unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
    let stranger = Tls::new().unwrap();
    let error = get(&server, &tls.ca_pem(), Some(stranger.client_pem())).await.unwrap_err();
    assert!(error.contains("fatal alert"), "{error}");
    assert_eq!(server.received(), 0);
    let answer = get(&server, &tls.ca_pem(), Some(tls.client_pem())).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!format!("{tls:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn scripts_break_connections_below_tls() {
    let tls = Tls::new().unwrap();
    let server = serving(tls.clone()).await;
    let ask = async |script| {
        server.enqueue(script);
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let mut stream = secured(stream, "127.0.0.1", &tls.ca_pem(), None).await.unwrap();
        let (read, end) = exchange(&mut stream, GET_MODELS).await;
        (read, end.map(|error| error.kind()))
    };
    // No goodbye: for TLS that is another end than one with it.
    let (read, end) = ask(Script::natural().cut_after(1).then_truncate()).await;
    assert_eq!(end, Some(ErrorKind::UnexpectedEof));
    assert!(read.starts_with("HTTP/1.1 200 OK\r\n"));
    let (_, end) = ask(Script::natural().cut_after(1).then_reset()).await;
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
    let raw = "HTTP/1.1 200 Fine\r\n\r\nraw";
    assert_eq!(ask(Script::raw_tcp(raw)).await, (raw.to_owned(), None));
    let seen = server.requests().pop().unwrap();
    assert_eq!(soon(seen.closed()).await, Outcome::Complete);
}
