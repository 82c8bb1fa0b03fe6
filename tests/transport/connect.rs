//! Connections that are not made.

use std::error::Error as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_openai::transport::HyperTransport;
use tower_openai::{Client, ErrorKind, Stage};

use super::support::{HELLO, Server, assert_error, read_head, send, text, transport};

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let result = send(transport(), &format!("http://{addr}/")).await;
    assert!(result.as_ref().unwrap_err().source().is_some());
    let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
    assert_eq!(message, format!("cannot connect to {addr}"));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_connect_error() {
    let result = send(transport(), "http://no-such..host/").await;
    assert_error(result, ErrorKind::Connect, Stage::NotSent);
}

#[tokio::test]
async fn a_silent_tls_peer_runs_into_the_connect_limit() {
    let server = Server::start(|mut socket| async move {
        let mut sink = Vec::new();
        let _ = socket.read_to_end(&mut sink).await;
    })
    .await;
    let limit = Duration::from_millis(200);
    let transport = HyperTransport::builder().without_env().connect_timeout(limit).build().unwrap();
    let result = server.get("https", transport).await;
    let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
    assert_eq!(
        message,
        format!("no connection to {} within 200ms, the connect limit", server.addr)
    );
}

/// A listener that takes no more connections: the system drops what asks for one. What it holds
/// keeps it full.
#[cfg(target_os = "linux")]
async fn blackhole() -> (TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut held = Vec::new();
    let wait = Duration::from_millis(200);
    while let Ok(connected) = tokio::time::timeout(wait, TcpStream::connect(addr)).await {
        held.push(connected.unwrap());
        assert!(held.len() < 100, "the backlog does not fill");
    }
    (listener, held)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn row_2_a_blackhole_runs_into_the_connect_limit() {
    let (listener, _held) = blackhole().await;
    let addr = listener.local_addr().unwrap();
    let limit = Duration::from_millis(300);
    let transport = HyperTransport::builder().without_env().connect_timeout(limit).build().unwrap();
    let started = tokio::time::Instant::now();
    let result = send(transport, &format!("http://{addr}/")).await;
    let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
    assert_eq!(message, format!("no connection to {addr} within 300ms, the connect limit"));
    let took = started.elapsed();
    assert!((limit..limit * 3).contains(&took), "{took:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn row_2_a_blackhole_is_tried_as_often_as_the_policy_says() {
    let (listener, _held) = blackhole().await;
    let policy = r#"{"default": {"retry": {"max_retries": 2, "base_ms": 1, "cap_ms": 2}}}"#;
    let client = Client::builder()
        .base_url(format!("http://{}/v1", listener.local_addr().unwrap()))
        .without_proxy()
        .connect_timeout(Duration::from_millis(100))
        .policy(serde_json::from_str(policy).unwrap())
        .build()
        .unwrap();
    let error = client.list_models().list().await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Connect, Stage::NotSent));
    let kinds: Vec<_> = error.attempts().iter().map(|attempt| attempt.error_kind()).collect();
    assert_eq!(kinds, [Some(ErrorKind::Connect); 3]);
}

/// `localhost` has an IPv6 address too on most systems, and nobody listens there.
#[tokio::test]
async fn a_host_is_tried_at_all_its_addresses() {
    let server = Server::answering(HELLO).await;
    let uri = format!("http://localhost:{}/", server.addr.port());
    assert_eq!(send(transport(), &uri).await.unwrap().status(), 200);
}

/// What the system has in store for the open connection to `server`, 2 being a probe, and when.
#[cfg(target_os = "linux")]
fn timer(server: &Server) -> (String, Duration) {
    let remote = format!("0100007F:{:04X}", server.addr.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[2] == remote && row[3] == "01").unwrap();
    let (timer, ticks) = row[5].split_once(':').unwrap();
    let ticks = u64::from_str_radix(ticks, 16).unwrap();
    (timer.to_owned(), Duration::from_millis(ticks * 10))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_silent_connection_is_probed() {
    let builder = || HyperTransport::builder().without_env();
    for (builder, expected) in [
        (builder(), Some(Duration::from_secs(30))),
        (builder().tcp_keepalive(Duration::from_secs(7)), Some(Duration::from_secs(7))),
        (builder().tcp_keepalive(None), None),
    ] {
        let server = Server::start(|mut socket| async move {
            read_head(&mut socket).await;
            socket.write_all(HELLO).await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let transport = builder.build().unwrap();
        let response = server.get("http", transport.clone()).await.unwrap();
        text(response).await.unwrap();
        let (kind, after) = loop {
            let (kind, after) = timer(&server);
            // What was sent is not acknowledged yet.
            if kind != "01" {
                break (kind, after);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        match expected {
            Some(silence) => {
                assert_eq!(kind, "02");
                assert!(after <= silence && after > silence / 2, "{after:?}");
            }
            None => assert_eq!(kind, "00"),
        }
    }
}
