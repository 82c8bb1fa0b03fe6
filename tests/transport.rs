//! The transport against real sockets on loopback.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls;
use tower::{Service, ServiceExt};
use tower_openai::transport::{HyperBody, HyperTransport, TransportError};
use tower_openai::{ErrorKind, RequestBody, Stage};

/// Long enough for any loaded machine; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

struct Server {
    addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    /// Runs `script` on each connection.
    async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(socket));
            }
        });
        Self { addr, accepted }
    }

    /// Reads one request head and writes `answer`, then closes.
    async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::start(move |mut socket| {
            let answer = answer.clone();
            async move {
                read_head(&mut socket).await;
                let _ = socket.write_all(&answer).await;
            }
        })
        .await
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    async fn get(
        &self,
        scheme: &str,
        transport: HyperTransport,
    ) -> Result<Response<HyperBody>, TransportError> {
        send(transport, &format!("{scheme}://{}/models?key=secret", self.addr)).await
    }
}

async fn send(transport: HyperTransport, uri: &str) -> Result<Response<HyperBody>, TransportError> {
    let request = Request::get(uri).body(RequestBody::empty()).unwrap();
    tokio::time::timeout(PATIENCE, transport.oneshot(request)).await.expect("no answer")
}

async fn read_head(socket: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

fn transport() -> HyperTransport {
    HyperTransport::new().unwrap()
}

async fn text(response: Response<HyperBody>) -> Result<Bytes, TransportError> {
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect());
    Ok(body.await.expect("the body hangs")?.to_bytes())
}

#[track_caller]
fn assert_error<T>(result: Result<T, TransportError>, kind: ErrorKind, stage: Stage) -> String {
    let Err(err) = result else { panic!("no error, but {kind}") };
    assert_eq!((err.kind(), err.stage()), (kind, stage), "{err:?}");
    assert!(!format!("{err} {err:?}").contains("secret"), "{err:?}");
    err.to_string()
}

// ===== connecting =====

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let result = send(transport(), &format!("http://user:secret@{addr}/")).await;
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
    let transport = HyperTransport::builder().connect_timeout(limit).build().unwrap();
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
    let transport = HyperTransport::builder().connect_timeout(limit).build().unwrap();
    let started = tokio::time::Instant::now();
    let result = send(transport, &format!("http://{addr}/")).await;
    let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
    assert_eq!(message, format!("no connection to {addr} within 300ms, the connect limit"));
    let took = started.elapsed();
    assert!((limit..limit * 3).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_peer_that_hangs_up_during_tls_is_a_connect_error() {
    let server = Server::start(|_| async {}).await;
    assert_error(server.get("https", transport()).await, ErrorKind::Connect, Stage::NotSent);
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_a_tls_error() {
    let server = Server::start(|mut socket| async move {
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let mut sink = Vec::new();
        let _ = socket.read_to_end(&mut sink).await;
    })
    .await;
    let message =
        assert_error(server.get("https", transport()).await, ErrorKind::Tls, Stage::NotSent);
    assert_eq!(message, format!("TLS with {} failed", server.addr));
}

#[tokio::test]
async fn an_unknown_certificate_is_a_tls_error() {
    let acceptor = tokio_rustls::TlsAcceptor::from(tls_server());
    let server = Server::start(move |socket| {
        let acceptor = acceptor.clone();
        async move { drop(acceptor.accept(socket).await) }
    })
    .await;
    assert_error(server.get("https", transport()).await, ErrorKind::Tls, Stage::NotSent);
}

fn tls_server() -> Arc<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    Arc::new(config)
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
        let _ = server.get("https", builder.build().unwrap()).await;
        assert_eq!(offers.recv().await.unwrap(), expected);
    }
}

// ===== requests that cannot be sent =====

#[tokio::test]
async fn a_relative_uri_says_what_is_missing() {
    let result = send(transport(), "/responses?key=secret").await;
    let message = assert_error(result, ErrorKind::Build, Stage::NotSent);
    assert_eq!(
        message,
        "the request URI `/responses` has no scheme and host: put a `ProviderLayer` above the \
         transport"
    );
}

#[tokio::test]
async fn other_schemes_are_refused() {
    let result = send(transport(), "ftp://127.0.0.1/").await;
    assert_error(result, ErrorKind::Build, Stage::NotSent);
}

#[tokio::test]
async fn an_unsupported_version_is_refused_before_connecting() {
    let server = Server::answering(HELLO).await;
    let request = Request::get(format!("http://{}/", server.addr))
        .version(http::Version::HTTP_3)
        .body(RequestBody::empty())
        .unwrap();
    assert_error(transport().oneshot(request).await, ErrorKind::Build, Stage::NotSent);
    assert_eq!(server.accepted(), 0);
}

// ===== HTTP/1.1 =====

#[tokio::test]
async fn connections_are_reused_by_clones() {
    let server = Server::start(|mut socket| async move {
        while !read_head(&mut socket).await.is_empty() {
            socket.write_all(HELLO).await.unwrap();
        }
    })
    .await;
    let transport = transport();
    for _ in 0..3 {
        let response = server.get("http", transport.clone()).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "hello");
        // The connection goes back to the pool in a task of its own.
        tokio::task::yield_now().await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_protocol_error() {
    let server = Server::answering("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    let message =
        assert_error(server.get("http", transport()).await, ErrorKind::Protocol, Stage::Sent);
    assert_eq!(message, format!("what {} answered is not HTTP/1.1", server.addr));
}

#[tokio::test]
async fn a_head_above_the_read_buffer_is_too_large() {
    let fill = "x".repeat(20 * 1024);
    let answer = format!("HTTP/1.1 200 OK\r\nx-fill: {fill}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::answering(answer).await;
    let message =
        assert_error(server.get("http", transport()).await, ErrorKind::TooLarge, Stage::Sent);
    assert!(message.contains("16384 bytes"), "{message}");

    let roomy = HyperTransport::builder().read_buffer(32 * 1024).build().unwrap();
    let response = server.get("http", roomy).await.unwrap();
    assert_eq!(response.headers()["x-fill"].len(), fill.len());
}

#[tokio::test]
async fn a_close_before_the_head_leaves_the_stage_unknown() {
    let server = Server::answering("").await;
    let message =
        assert_error(server.get("http", transport()).await, ErrorKind::Transport, Stage::Unknown);
    assert!(message.starts_with("the connection to 127.0.0.1:"), "{message}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_reset_before_the_head_leaves_the_stage_unknown() {
    let server = Server::start(|mut socket| async move {
        // Closing with bytes unread sends a reset.
        let _ = socket.read_u8().await;
    })
    .await;
    assert_error(server.get("http", transport()).await, ErrorKind::Transport, Stage::Unknown);
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_of_the_stream() {
    let cases =
        ["content-length: 50\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"];
    for rest in cases {
        let server = Server::answering(format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        let mut body = server.get("http", transport()).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "hello");
        let second = body.frame().await.unwrap();
        assert_error(second, ErrorKind::Transport, Stage::Streaming);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_body_with_broken_framing_breaks_the_protocol() {
    for rest in ["zz\r\nhello\r\n", "5\r\nhello!\r\n", "5;\n\n", "fffffffffffffffff\r\n"] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let server = Server::answering(format!("{head}{rest}")).await;
        let mut body = server.get("http", transport()).await.unwrap().into_body();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(_) => {}
                error => break error,
            }
        };
        assert_error(error, ErrorKind::Protocol, Stage::Streaming);
    }
}

#[tokio::test]
async fn frames_come_out_while_the_body_is_open() {
    let go = Arc::new(tokio::sync::Notify::new());
    let gone = Arc::clone(&go);
    let server = Server::start(move |mut socket| {
        let go = Arc::clone(&gone);
        async move {
            read_head(&mut socket).await;
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
            socket.write_all(head).await.unwrap();
            go.notified().await;
            socket.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let mut body = server.get("http", transport()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    go.notify_one();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn dropping_the_body_closes_the_connection() {
    let (closed, mut closes) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut socket| {
        let closed = closed.clone();
        async move {
            read_head(&mut socket).await;
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
            socket.write_all(head).await.unwrap();
            closed.send(socket.read(&mut [0; 16]).await.unwrap_or(0)).unwrap();
        }
    })
    .await;
    let mut body = server.get("http", transport()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let read = tokio::time::timeout(PATIENCE, closes.recv()).await.expect("still open");
    assert_eq!(read, Some(0));
}

/// The server closes the idle connection while the client's tasks cannot run. The request then
/// finds it in the pool, and the end of it is read before the request is.
#[tokio::test]
async fn a_stale_pooled_connection_is_replaced_unseen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (close, closing) = std::sync::mpsc::channel::<()>();
    let (closed, wait) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let answer = |socket: &mut std::net::TcpStream, until: &str| {
            let mut request = String::new();
            while !request.ends_with(until) {
                let mut bytes = [0; 1024];
                let read = socket.read(&mut bytes).unwrap();
                assert_ne!(read, 0, "closed after {request:?}");
                request.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
            socket.write_all(HELLO).unwrap();
        };
        let (mut first, _) = listener.accept().unwrap();
        answer(&mut first, "\r\n\r\n");
        closing.recv().unwrap();
        drop(first);
        closed.send(()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        answer(&mut second, "\r\n\r\nthe same body");
    });
    let transport = transport();
    let response = send(transport.clone(), &format!("http://{addr}/")).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    tokio::task::yield_now().await;
    close.send(()).unwrap();
    wait.recv().unwrap();
    // Lets the runtime look at its sockets, before this task and then hyper's go on.
    tokio::task::yield_now().await;

    let request =
        Request::post(format!("http://{addr}/")).body(RequestBody::from("the same body")).unwrap();
    let response = transport.oneshot(request).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    server.join().unwrap();
}

#[tokio::test]
async fn it_is_always_ready() {
    let mut transport = transport();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..3 {
        assert!(transport.poll_ready(&mut cx).is_ready());
    }
}

// ===== HTTP/2 =====

fn http2() -> HyperTransport {
    HyperTransport::builder().http2_only().build().unwrap()
}

#[tokio::test]
async fn http2_requests_share_a_connection() {
    let server = Server::start(|socket| async move {
        let echo =
            hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            });
        let io = hyper_util::rt::TokioIo::new(socket);
        let executor = hyper_util::rt::TokioExecutor::new();
        let _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, echo).await;
    })
    .await;
    let transport = http2();
    let calls = ["one", "two", "three"].map(|word| {
        let request = Request::post(format!("http://{}/", server.addr))
            .body(RequestBody::from(word))
            .unwrap();
        let transport = transport.clone();
        tokio::spawn(async move {
            let response = transport.oneshot(request).await.unwrap();
            assert_eq!(response.version(), http::Version::HTTP_2);
            assert_eq!(text(response).await.unwrap(), word);
        })
    });
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

/// Accepts HTTP/2 requests and lets `answer` deal with each.
async fn http2_server(
    answer: impl Fn(h2::server::SendResponse<Bytes>) + Clone + Send + Sync + 'static,
) -> Server {
    Server::start(move |socket| {
        let answer = answer.clone();
        async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((_, respond))) = connection.accept().await {
                answer(respond);
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_http2_stream_refused_was_not_sent() {
    let server = http2_server(|mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await;
    assert_error(server.get("http", http2()).await, ErrorKind::Transport, Stage::NotSent);
}

#[tokio::test]
async fn an_http2_stream_reset_leaves_the_stage_unknown() {
    let server = http2_server(|mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    assert_error(server.get("http", http2()).await, ErrorKind::Transport, Stage::Unknown);
}

#[tokio::test]
async fn an_http2_reset_within_the_body_is_an_error_of_the_stream() {
    let reset = Arc::new(tokio::sync::Notify::new());
    let read = Arc::clone(&reset);
    let server = http2_server(move |mut respond| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data("hello".into(), false).unwrap();
        let read = Arc::clone(&read);
        tokio::spawn(async move {
            read.notified().await;
            body.send_reset(h2::Reason::CANCEL);
        });
    })
    .await;
    let mut body = server.get("http", http2()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    reset.notify_one();
    assert_error(body.frame().await.unwrap(), ErrorKind::Transport, Stage::Streaming);
}

#[tokio::test]
async fn an_http2_head_above_the_read_buffer_is_a_protocol_error() {
    let server = http2_server(|mut respond| {
        let head = Response::builder().header("x-fill", "x".repeat(40 * 1024)).body(()).unwrap();
        respond.send_response(head, true).unwrap();
    })
    .await;
    let message = assert_error(server.get("http", http2()).await, ErrorKind::Protocol, Stage::Sent);
    assert!(message.contains("16384 bytes"), "{message}");
}

#[tokio::test]
async fn a_peer_without_http2_is_a_protocol_error() {
    let server = Server::start(|mut socket| async move {
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(answer).await.unwrap();
        let mut sink = Vec::new();
        let _ = socket.read_to_end(&mut sink).await;
    })
    .await;
    assert_error(server.get("http", http2()).await, ErrorKind::Protocol, Stage::Sent);
}

#[tokio::test]
async fn a_vanished_http2_peer_is_noticed() {
    let server = Server::start(|mut socket| async move {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        socket.write_all(&settings).await.unwrap();
        let mut sink = Vec::new();
        let _ = socket.read_to_end(&mut sink).await;
    })
    .await;
    let transport = HyperTransport::builder()
        .http2_only()
        .http2_ping(Duration::from_millis(50), Duration::from_millis(50))
        .build()
        .unwrap();
    assert_error(server.get("http", transport).await, ErrorKind::Transport, Stage::Unknown);
}
