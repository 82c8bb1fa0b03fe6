//! What of connections that fail the preset tries again, by how often it connects.

use std::time::Duration;

use tokio::net::TcpListener;
use tower_openai::services::ResponsesRequest;
use tower_openai::transport::{HyperTransport, Proxy};
use tower_openai::{Client, Error, ErrorKind, Stage};

use super::certs::{Authority, https};
use super::proxies::TestProxy;
use super::support::{PATIENCE, Server, transport};
use super::tls::{TLS_1_1_ALERT, builder, saying};

/// The error of a call that may be tried again twice.
pub(crate) async fn fails(transport: HyperTransport, base_url: &str) -> Error {
    let client = Client::builder()
        .base_url(base_url)
        .api_key("sk-secret")
        .max_retries(2)
        .transport(transport)
        .build()
        .unwrap();
    let request = ResponsesRequest::new("gpt-5.2", "hello");
    let call = tokio::time::timeout(PATIENCE, client.responses().stream_request(request));
    call.await.unwrap().map(drop).unwrap_err()
}

/// Closes with a reset what it has accepted.
async fn resetting() -> Server {
    Server::start(|socket| async move {
        socket.set_zero_linger().unwrap();
        // What the client begins with is there, else a close would be without a reset.
        tokio::time::sleep(Duration::from_millis(20)).await;
    })
    .await
}

#[tokio::test]
async fn row_3_a_reset_on_connect_is_tried_again() {
    for (scheme, kind, stage) in [
        ("https", ErrorKind::Connect, Stage::NotSent),
        // Without TLS the request is on its way when the reset comes.
        ("http", ErrorKind::Transport, Stage::Unknown),
    ] {
        let server = resetting().await;
        let error = fails(transport(), &format!("{scheme}://{}/v1", server.addr)).await;
        assert_eq!((error.kind(), error.stage()), (kind, stage), "{error:?}");
        assert_eq!(server.accepted(), 3);
        let kinds: Vec<_> = error.attempts().iter().map(|one| one.error_kind()).collect();
        assert_eq!(kinds, [Some(kind); 3]);
    }
}

#[tokio::test]
async fn rows_5_to_9_failures_of_tls_are_not_tried_again() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let expired = ours.issue_with(&["127.0.0.1"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    for (row, server) in [
        ("5", https(theirs.issue(&["127.0.0.1"]).acceptor()).await),
        ("6", https(expired.acceptor()).await),
        ("7", https(ours.issue(&["example.com"]).acceptor()).await),
        ("8", saying(TLS_1_1_ALERT).await),
        ("9", https(ours.issue(&["127.0.0.1"]).acceptor_for(&ours)).await),
    ] {
        let transport = builder(&ours).build().unwrap();
        let error = fails(transport, &format!("https://{}/v1", server.addr)).await;
        assert_eq!((error.kind(), server.accepted()), (ErrorKind::Tls, 1), "row {row}: {error:?}");
        assert!(!error.is_retryable() && error.attempts().is_empty(), "row {row}: {error:?}");
    }
}

#[tokio::test]
async fn row_11_a_proxy_that_is_down_is_tried_again() {
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for scheme in ["http", "socks5h"] {
        let proxy = Proxy::all(format!("{scheme}://{addr}")).unwrap();
        let transport = HyperTransport::builder().proxy(proxy).build().unwrap();
        let error = fails(transport, "https://api.test/v1").await;
        let kinds: Vec<_> = error.attempts().iter().map(|one| one.error_kind()).collect();
        assert_eq!(kinds, [Some(ErrorKind::Connect); 3], "{error:?}");
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    }
}

#[tokio::test]
async fn row_12_a_wrong_socks_password_is_not_tried_again() {
    let proxy = TestProxy::socks("127.0.0.1:1".parse().unwrap(), Some(("me", "right"))).await;
    let proxied = Proxy::all(format!("socks5h://me:hush-hush@{}", proxy.addr)).unwrap();
    let transport = HyperTransport::builder().proxy(proxied).build().unwrap();
    let error = fails(transport, "https://api.test/v1").await;
    assert_eq!((error.kind(), proxy.connections()), (ErrorKind::Proxy, 1), "{error:?}");
    assert!(!error.is_retryable() && error.attempts().is_empty());
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}
