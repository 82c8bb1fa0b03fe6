//! Connectors of the caller's own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Uri;
use tokio::io::DuplexStream;
use tower::service_fn;
use tower_openai::transport::{HyperTransport, Proxy};
use tower_openai::{ErrorKind, Stage};

use super::certs::{Authority, echo};
use super::support::{assert_error, send};

/// Lets `serve` have the other end of each connection.
fn in_memory<F>(
    serve: impl Fn(Uri, DuplexStream) -> F + Clone + Send + Sync + 'static,
) -> impl tower::Service<
    Uri,
    Response = DuplexStream,
    Error = io::Error,
    Future = impl Future<Output = io::Result<DuplexStream>> + Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static
where
    F: Future<Output = ()> + Send + 'static,
{
    service_fn(move |uri| {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve(uri, theirs));
        std::future::ready(Ok(ours))
    })
}

#[tokio::test(start_paused = true)]
async fn connections_can_be_in_memory() {
    let connector = in_memory(|uri, io| async move {
        assert_eq!(uri.authority().unwrap(), "api.test:81");
        echo(io).await;
    });
    // The environment's proxies are not for connectors.
    let env = [("HTTP_PROXY", "http://127.0.0.1:1")];
    let builder = HyperTransport::builder().env(&env).connector(connector);
    for (builder, version) in
        [(builder.clone(), http::Version::HTTP_11), (builder.http2_only(), http::Version::HTTP_2)]
    {
        let response = send(builder.build().unwrap(), "http://api.test:81/x").await.unwrap();
        assert_eq!(response.version(), version);
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn tls_and_proxies_go_on_top() {
    let authority = Authority::new("private");
    let acceptor = authority.issue(&["api.test"]).acceptor();
    let connector = in_memory(move |uri, mut io| {
        let acceptor = acceptor.clone();
        async move {
            assert_eq!(uri, "http://proxy.test:3128/");
            let head = super::support::read_head(&mut io).await;
            assert!(head.starts_with(b"CONNECT api.test:443 "));
            let ok = b"HTTP/1.1 200 OK\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut io, ok).await.unwrap();
            echo(acceptor.accept(io).await.unwrap()).await;
        }
    });
    let transport = HyperTransport::builder()
        .without_env()
        .only_added_roots()
        .add_root_pem(authority.pem())
        .connector(connector)
        .proxy(Proxy::all("proxy.test:3128").unwrap())
        .build()
        .unwrap();
    let response = send(transport, "https://api.test/").await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
}

#[tokio::test(start_paused = true)]
async fn the_connect_limit_holds_for_a_connector() {
    let never = service_fn(|_: Uri| std::future::pending::<io::Result<DuplexStream>>());
    let transport = HyperTransport::builder().without_env().connector(never).build().unwrap();
    let started = tokio::time::Instant::now();
    let result = send(transport, "http://api.test/").await;
    let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
    assert_eq!(message, "no connection to api.test within 10s, the connect limit");
    assert_eq!(started.elapsed(), std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn a_connector_that_fails_is_a_connect_error() {
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let fails = service_fn(move |_: Uri| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<DuplexStream, _>(io::Error::other("no gateway")))
    });
    let transport = HyperTransport::builder().without_env().connector(fails).build().unwrap();
    let result = send(transport, "https://api.test/").await;
    assert!(format!("{:?}", result.as_ref().unwrap_err()).contains("no gateway"));
    let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
    assert_eq!(message, "cannot connect to api.test");
    assert_eq!(tried.load(Ordering::SeqCst), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_as_good() {
    let path = std::env::temp_dir().join(format!("{}-gateway.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let builder = HyperTransport::builder().without_env().unix_socket(&path);
    let result = send(builder.clone().build().unwrap(), "http://localhost/").await;
    let shown = format!("{:?}", result.as_ref().unwrap_err());
    assert!(shown.contains(path.to_str().unwrap()), "{shown}");
    assert_error(result, ErrorKind::Connect, Stage::NotSent);

    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(echo(socket));
        }
    });
    let response = send(builder.build().unwrap(), "http://localhost/v1/models").await.unwrap();
    assert!(response.headers()["x-seen"].to_str().unwrap().starts_with("/v1/models"));
    std::fs::remove_file(&path).unwrap();
}
