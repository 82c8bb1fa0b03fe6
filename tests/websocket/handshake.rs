//! Row 60: the handshake is a request like others, so what acts on requests acts on it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::auth::{Cached, Token, token_fn};
use tower_openai::layers::telemetry::{AttemptInfo, CallEnd, CallInfo, Observe, Outcome};
use tower_openai::layers::{
    AttemptLayer, AuthLayer, Bearer, HeadTimeoutLayer, IdleTimeoutLayer, InFlightLimitLayer,
    ProviderLayer, RateLimitLayer, RetryLayer, RetryPolicy, TelemetryLayer, TotalTimeoutLayer,
};
use tower_openai::provider::Provider;
use tower_openai::services::HttpService;
use tower_openai::transport::HyperTransport;
use tower_openai::transport::decompression::DecompressionLayer;
use tower_openai::ws::{
    CloseCode, Handshake, Message, Upgraded, WebSocket, WebSocketConfig, fresh_key,
};
use tower_openai::{BoxError, Error, ErrorKind, RequestBody, Stage};

use super::server::{Heads, Server, refusal, serve};
use super::support::{frame, soon};

fn transport() -> HyperTransport {
    HyperTransport::builder().without_env().build().unwrap()
}

fn get(uri: impl AsRef<str>) -> Request<()> {
    Request::get(uri.as_ref()).body(()).unwrap()
}

async fn open<S>(http: S, uri: impl AsRef<str>) -> Result<Upgraded, Error>
where
    S: HttpService<RequestBody> + Clone,
{
    soon(Handshake::new(http).send(get(uri))).await
}

/// A message goes there and back.
async fn works(upgraded: Upgraded) {
    let (mut socket, driver) = WebSocket::new(upgraded, &WebSocketConfig::default());
    let driving = tokio::spawn(driver);
    soon(socket.send("hello")).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::from("hello"));
    soon(socket.close(CloseCode::NORMAL)).await.unwrap();
    soon(driving).await.unwrap().unwrap();
}

fn quick() -> RetryPolicy {
    RetryPolicy::default().backoff(std::iter::repeat(Duration::ZERO))
}

#[tokio::test]
async fn a_socket_opens_over_the_transport_and_the_request_is_that_of_the_rfc() {
    for scheme in ["ws", "http"] {
        let server = Server::willing().await;
        let upgraded = open(transport(), server.url(scheme) + "/chat?a=b").await.unwrap();
        works(upgraded).await;
        let [head] = &server.heads.all()[..] else { panic!("one request") };
        assert!(head.0.starts_with("GET /chat?a=b HTTP/1.1\r\n"), "{}", head.0);
        for (name, value) in [
            ("host", &*server.addr.to_string()),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("content-length", ""),
            ("sec-websocket-extensions", ""),
        ] {
            assert_eq!(head.get(name), value, "{name}");
        }
        assert_eq!(head.get("sec-websocket-key").len(), 24);
    }
}

#[tokio::test]
async fn a_frame_that_comes_with_the_head_is_read() {
    // A first byte with its highest bit set is no text, so the message comes in fragments.
    let fragments = [frame(0x01, b"ear"), frame(0x00, b"l")].concat();
    let fragments = String::from_utf8(fragments).unwrap();
    let server = Server::start(move |_, head| head.switch() + &fragments).await;
    let upgraded = open(transport(), server.url("ws")).await.unwrap();
    let config = WebSocketConfig::default().max_message_size(3).unwrap();
    let mut socket = WebSocket::inline(upgraded, &config);
    let error = soon(socket.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "both fragments were read: {error}");
}

#[tokio::test]
async fn row_60_a_refusal_is_kept() {
    let long = "x".repeat(100_000);
    for (status, body, kind) in [
        (
            "401 Unauthorized",
            r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#,
            ErrorKind::Auth,
        ),
        ("404 Not Found", "nothing here", ErrorKind::NotFound),
        ("426 Upgrade Required", r#"{"error":{"message":"use HTTP"}}"#, ErrorKind::InvalidRequest),
        ("503 Service Unavailable", &long, ErrorKind::Server),
    ] {
        let answer = refusal(status, body);
        let server = Server::start(move |_, _| answer.clone()).await;
        let error = open(transport(), server.url("ws")).await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (kind, Stage::Sent), "{error:?}");
        assert_eq!(error.status().unwrap().as_str(), &status[..3]);
        assert_eq!(error.request_id(), Some("req_1"));
        assert!(body.starts_with(std::str::from_utf8(error.body()).unwrap()));
        assert_eq!(error.body().len(), body.len().min(64 * 1024), "{status}");
    }
}

#[tokio::test]
async fn row_60_what_is_no_proper_answer_is_an_error_that_says_why() {
    type Answer = fn(&super::server::Head) -> String;
    let cases: [(Answer, &str); 9] = [
        (|_| refusal("200 OK", "<html>"), "did not switch"),
        (|head| head.switch().replace("connection: Upgrade\r\n", ""), "`connection`"),
        (|head| head.switch().replace("upgrade: websocket", "upgrade: h2c"), "`upgrade`"),
        (|head| head.switch().replace(&head.proof(), "bm9wZQ=="), "not the proof"),
        (
            |head| head.switch().replace("sec-websocket-accept", "x-accept"),
            "no `sec-websocket-accept`",
        ),
        (
            |head| {
                let line = format!("sec-websocket-accept: {}\r\n", head.proof());
                head.switch().replace(&line, &line.repeat(2))
            },
            "not the proof",
        ),
        (
            |head| {
                head.switch()
                    .replace("\r\n\r\n", "\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n")
            },
            "extension",
        ),
        (
            |head| head.switch().replace("\r\n\r\n", "\r\nsec-websocket-protocol: c\r\n\r\n"),
            "subprotocol",
        ),
        (
            |head| head.switch().replace("\r\n\r\n", "\r\nsec-websocket-protocol: a, b\r\n\r\n"),
            "subprotocol",
        ),
    ];
    for (answer, why) in cases {
        let server = Server::start(move |_, head| answer(head)).await;
        let mut request = get(server.url("ws"));
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, "a, b".parse().unwrap());
        let error = soon(Handshake::new(transport()).send(request)).await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Protocol, Stage::Sent), "{why}");
        assert!(error.status().is_some() && error.to_string().contains(why), "{error} / {why}");
    }
}

#[tokio::test]
async fn a_subprotocol_that_was_offered_may_be_taken_and_tokens_have_no_case() {
    let server = Server::start(|_, head| {
        let answer =
            head.switch().replace("connection: Upgrade", "connection: keep-alive, UPGRADE");
        let answer = answer.replace("upgrade: websocket", "upgrade: WebSocket");
        answer.replace("\r\n\r\n", "\r\nsec-websocket-protocol: b\r\n\r\n")
    })
    .await;
    let mut request = get(server.url("ws"));
    request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, "a".parse().unwrap());
    request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, "b".parse().unwrap());
    let upgraded = soon(Handshake::new(transport()).send(request)).await.unwrap();
    assert_eq!(upgraded.subprotocol(), Some("b"));
    works(upgraded).await;
}

#[tokio::test]
async fn what_cannot_be_a_handshake_is_not_sent() {
    let unreached = service_fn(|_: Request<RequestBody>| async {
        panic!("it was sent");
        #[allow(unreachable_code)]
        Ok::<Response<http_body_util::Empty<bytes::Bytes>>, BoxError>(Response::default())
    });
    for uri in ["ftp://a.test/", "wsx://a.test/"] {
        let error = open(unreached, uri).await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    }
    let mut request = get("ws://a.test/");
    request.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, "x".parse().unwrap());
    let error = soon(Handshake::new(unreached).send(request)).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
}

#[tokio::test]
async fn a_layer_that_loses_the_connection_is_named() {
    let server = Server::willing().await;
    let forgetful = ServiceBuilder::new()
        .map_response(|response: Response<_>| {
            let (mut head, body) = response.into_parts();
            head.extensions.clear();
            Response::from_parts(head, body)
        })
        .service(transport());
    let error = open(forgetful, server.url("ws")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
    assert!(error.to_string().contains("extensions"), "{error}");
}

/// Notes what the layers of telemetry see.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Observe for Log {
    fn on_request(&self, call: &CallInfo) {
        self.add(format!("request {} {}", call.endpoint().unwrap(), call.path()));
    }

    fn on_attempt(&self, _: &CallInfo, attempt: &AttemptInfo<'_>) {
        self.add(format!("attempt {} {:?}", attempt.attempt.number(), attempt.outcome));
    }

    fn on_end(&self, _: &CallInfo, end: &CallEnd<'_>) {
        let complete = matches!(end.outcome, Outcome::Complete);
        self.add(format!("end {complete} {:?}", end.status.map(|status| status.as_u16())));
    }
}

/// Everything that this crate has, in its order.
#[tokio::test]
async fn the_handshake_goes_through_the_whole_stack() {
    let server = Server::start(|number, head| match number {
        0 | 1 => refusal("503 Service Unavailable", "later"),
        _ => head.switch().replace("\r\n\r\n", "\r\nx-ratelimit-limit-requests: 9\r\n\r\n"),
    })
    .await;
    let log = Log::default();
    let slots = InFlightLimitLayer::new(1).unwrap();
    let hour = Duration::from_secs(3600);
    let http = ServiceBuilder::new()
        .layer(ProviderLayer::new(
            Provider::new("gateway", &(server.url("ws") + "/v1?tenant=7")).unwrap(),
        ))
        .layer(TelemetryLayer::new().observe(log.clone()))
        .layer(TotalTimeoutLayer::new(hour))
        .layer(RetryLayer::new(quick()))
        .layer(slots.clone())
        .layer(RateLimitLayer::new())
        .layer(AuthLayer::new(Bearer::new("sk-secret-key-1").unwrap()))
        .layer(AttemptLayer::new())
        .layer(DecompressionLayer::new())
        .layer(HeadTimeoutLayer::new(hour))
        .layer(IdleTimeoutLayer::new(hour))
        .service(transport());
    let upgraded = open(http, "/chat").await.unwrap();
    // The place of an answer that was switched away is free, whatever becomes of the socket.
    assert_eq!(slots.available_permits(), 1);
    assert_eq!(upgraded.headers()["x-ratelimit-limit-requests"], "9");
    works(upgraded).await;
    for head in server.heads.all() {
        assert!(head.0.starts_with("GET /v1/chat?tenant=7 HTTP/1.1\r\n"), "{}", head.0);
        assert_eq!(head.get("authorization"), "Bearer sk-secret-key-1");
        assert!(head.get("user-agent").starts_with("tower-openai/"));
    }
    let mut keys = server.heads.each("sec-websocket-key");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3, "a key for each attempt");
    let seen = log.0.lock().unwrap().clone();
    let attempts: Vec<_> = seen.iter().filter(|what| what.starts_with("attempt")).collect();
    assert_eq!(attempts.len(), 3, "{seen:?}");
    assert_eq!(seen.first().unwrap(), "request websocket /v1/chat");
    assert_eq!(seen.last().unwrap(), "end true Some(101)");
}

#[tokio::test]
async fn row_60_attempts_that_failed_are_told() {
    let server = Server::start(|_, _| refusal("503 Service Unavailable", "no")).await;
    let http = RetryLayer::new(quick().max_retries(2)).layer(transport());
    let error = open(http, server.url("ws")).await.unwrap_err();
    assert_eq!((error.status().unwrap().as_u16(), error.attempts().len()), (503, 3));
}

#[tokio::test]
async fn a_credential_that_is_refused_is_refreshed_and_the_handshake_sent_again() {
    let server = Server::start(|_, head| match head.get("authorization") {
        "Bearer token-2" => head.switch(),
        _ => refusal("401 Unauthorized", "expired"),
    })
    .await;
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let source = token_fn(move || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        async move { Token::new(format!("token-{number}")) }
    });
    let auth = AuthLayer::new(Cached::new(source)).for_origin(&server.url("http")).unwrap();
    let http = auth.refresh_on_unauthorized().layer(transport());
    works(open(http, server.url("ws")).await.unwrap()).await;
    assert_eq!(server.heads.each(AUTHORIZATION.as_str()), ["Bearer token-1", "Bearer token-2"]);
    let keys = server.heads.each("sec-websocket-key");
    assert_ne!(keys[0], keys[1]);
}

/// A transport that is not this crate's: one connection of hyper's for each request, over a pipe.
fn pipes(
    heads: Heads,
    delay: Duration,
) -> impl HttpService<RequestBody, ResponseBody = hyper::body::Incoming> + Clone {
    service_fn(move |request: Request<RequestBody>| {
        let heads = heads.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let answer = |number, head: &super::server::Head| match number {
                    0 => refusal("503 Service Unavailable", ""),
                    _ => head.switch(),
                };
                serve(theirs, &heads, &answer).await;
            });
            let (mut send, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
            tokio::spawn(connection.with_upgrades());
            send.send_request(request.map(BodyExt::boxed)).await
        }
    })
}

#[tokio::test(start_paused = true)]
async fn over_another_transport_a_piece_below_the_retry_makes_keys_fresh() {
    for (fresh, keys) in [(true, 2), (false, 1)] {
        let heads = Heads::default();
        let inner = pipes(heads.clone(), Duration::ZERO);
        let inner = ServiceBuilder::new()
            .map_request(move |request| if fresh { fresh_key(request) } else { request })
            .service(inner);
        let upgraded = open(RetryLayer::new(quick()).layer(inner), "ws://a.test/").await.unwrap();
        works(upgraded).await;
        let mut seen = heads.each("sec-websocket-key");
        assert_eq!(seen.len(), 2);
        seen.dedup();
        assert_eq!(seen.len(), keys);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_layers_end_with_the_handshake() {
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let stack = |delay| {
        let heads = Heads::default();
        let inner = pipes(heads.clone(), delay);
        ServiceBuilder::new()
            .layer(TotalTimeoutLayer::new(20 * second))
            .layer(RetryLayer::new(quick()))
            .layer(HeadTimeoutLayer::new(5 * second))
            .layer(IdleTimeoutLayer::new(5 * second))
            .timeout(9 * second)
            .service(inner)
    };
    let upgraded = open(stack(second), "ws://a.test/").await.unwrap();
    let config = WebSocketConfig::default().ping_interval(None).unwrap();
    let (mut socket, driver) = WebSocket::new(upgraded, &config);
    tokio::spawn(driver);
    assert!(tokio::time::timeout(hour, socket.next()).await.is_err());
    soon(socket.send("hello")).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::from("hello"));
    // And they are limits of it.
    let error = open(stack(7 * second), "ws://a.test/").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::HeadTimeout | ErrorKind::TotalTimeout), "{error:?}");
}

#[tokio::test]
async fn dropping_the_handshake_ends_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("ws://{}/", listener.local_addr().unwrap());
    let handshake = tokio::spawn(async move { open(transport(), uri).await.map(drop) });
    let (mut socket, _) = soon(listener.accept()).await.unwrap();
    let mut byte = [0];
    soon(tokio::io::AsyncReadExt::read(&mut socket, &mut byte)).await.unwrap();
    handshake.abort();
    let mut rest = Vec::new();
    let ended = soon(tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest)).await;
    assert!(ended.is_ok() && rest.ends_with(b"\r\n\r\n"), "{ended:?}");
}

#[test]
fn what_opens_a_socket_can_be_spawned() {
    fn sent<T: Send + 'static>(_: T) {}
    fn both<T: Send + Sync + 'static>() {}
    let http = RetryLayer::new(RetryPolicy::default()).layer(transport());
    sent(Handshake::new(http).send(get("ws://a.test/")));
    both::<tower_openai::ws::Sender>();
    both::<WebSocket>();
    fn moved<T: Send + Unpin + 'static>() {}
    moved::<tower_openai::ws::Driver>();
    moved::<Upgraded>();
}

#[tokio::test]
async fn opening_is_a_service_for_towers_own_layers() {
    let server = Server::willing().await;
    let opener = ServiceBuilder::new()
        .timeout(Duration::from_secs(30))
        .layer(Handshake::layer())
        .service(transport());
    let upgraded = soon(opener.oneshot(get(server.url("ws")))).await.unwrap();
    works(upgraded).await;
}
