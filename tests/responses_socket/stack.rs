//! What acts on every call acts on the handshake.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tower::{ServiceBuilder, ServiceExt};
use tower_openai::layers::auth::{Cached, Token, token_fn};
use tower_openai::layers::telemetry::{AttemptInfo, CallInfo, Observe};
use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{ResponsesSocket, ResponsesSocketRequest, TurnState};
use tower_openai::testing::{self, Script, Server, Tls};
use tower_openai::transport::{HyperTransport, Proxy};
use tower_openai::{Client, ErrorKind, Stage};

use crate::support::*;

#[tokio::test]
async fn the_handshake_is_a_request_like_others() {
    let server = Server::builder().require_key(KEY).start().await.unwrap();
    server.enqueue(Script::handshake().header("x-codex-turn-state", "sticky"));
    let client = Client::builder()
        .base_url(format!("{}/?tenant=a%20b", server.base_url()))
        .api_key(KEY)
        .build()
        .unwrap();
    let turn = TurnState::new();
    let open = ResponsesSocketRequest::codex().session_id("s").turn_state(turn.clone());
    let connection = client.responses_socket().connect_inline(open).await.unwrap();
    assert_eq!(turn.get(), Some("sticky"));
    let stream = connection.stream_request(request("hello")).await.unwrap();
    assert!(text(stream).await.unwrap().contains("hello"));
    let seen = server.requests().remove(0);
    assert_eq!((seen.method().as_str(), seen.target()), ("GET", "/v1/responses?tenant=a%20b"));
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(seen.header("openai-beta"), Some("responses_websockets=2026-02-06"));
    assert_eq!(seen.header("session-id"), Some("s"));
    assert!(seen.header("user-agent").is_some());
    let sent = &seen.messages()[0];
    assert_eq!((&sent["type"], sent.get("stream")), (&json!("response.create"), None));
}

/// The base `http://h:1/v1/` with a query, as the table of examples has it.
#[tokio::test]
async fn a9_base_url_and_query() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let at = std::sync::Arc::clone(&seen);
    let http = tower::service_fn(move |request: http::Request<tower_openai::RequestBody>| {
        *at.lock().unwrap() = Some(request.uri().clone());
        async {
            Err::<http::Response<http_body_util::Empty<bytes::Bytes>>, _>(std::io::Error::other(
                "no",
            ))
        }
    });
    let stack = ServiceBuilder::new()
        .layer(ResponsesSocket::layer())
        .layer(ProviderLayer::new(Provider::new("h", "http://h:1/v1/?a=1").unwrap()))
        .service(http);
    let error = stack.connect(ResponsesSocketRequest::new()).await.unwrap_err();
    assert_eq!(error.stage(), Stage::NotSent);
    // To an HTTP transport `ws` is `http`.
    assert_eq!(seen.lock().unwrap().take().unwrap(), "http://h:1/v1/responses?a=1");
}

#[tokio::test]
async fn a_stack_of_ones_own_does_as_well() {
    let server = Server::builder().require_key(KEY).start().await.unwrap();
    let socket = ServiceBuilder::new()
        .timeout(Duration::from_secs(15))
        .layer(ResponsesSocket::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url()).unwrap()))
        .layer(AuthLayer::new(Bearer::new(KEY).unwrap()))
        .service(HyperTransport::new().unwrap());
    let (connection, driver) = socket.oneshot(ResponsesSocketRequest::new()).await.unwrap();
    let driver = tokio::spawn(driver);
    let stream = connection.stream_request(request("hello")).await.unwrap();
    assert!(text(stream).await.unwrap().contains("hello"));
    drop(connection);
    soon(driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refused_handshake_keeps_what_the_server_said() {
    let server = Server::start().await.unwrap();
    for (status, kind) in [
        (401, ErrorKind::Auth),
        (403, ErrorKind::Permission),
        (404, ErrorKind::NotFound),
        (426, ErrorKind::InvalidRequest),
    ] {
        let body = json!({"error": {"message": "not here", "code": "own"}});
        server.enqueue(Script::status(status).header("x-request-id", "req_7").json(body));
        let socket = client(&server).responses_socket();
        let error = socket.connect(ResponsesSocketRequest::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, status));
        assert_eq!((error.message(), error.code()), ("not here", Some("own")));
        assert_eq!((error.request_id(), error.stage()), (Some("req_7"), Stage::NotSent));
    }
}

#[tokio::test]
async fn a_handshake_is_tried_again_like_any_call() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(503));
    server.enqueue(Script::status(429).header("retry-after-ms", "1"));
    let connection = soon(connect(&server)).await;
    let stream = connection.stream_request(request("hello")).await.unwrap();
    assert!(text(stream).await.unwrap().contains("hello"));
    let requests = server.requests();
    let keys: Vec<_> =
        requests.iter().map(|seen| seen.header("sec-websocket-key").unwrap()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys[0] != keys[1] && keys[1] != keys[2], "each attempt has a key of its own");
}

/// The numbers of the attempts, and how they were answered.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<Vec<String>>>);

impl Observe for Attempts {
    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        if !call.is_over_socket() {
            let said = format!("{} {:?}", attempt.attempt.number(), attempt.outcome);
            self.0.lock().unwrap().push(said);
        }
    }
}

/// All at once, as an office has it: a proxy that asks for a password, an authority of its own, a busy
/// moment and a token that has run out.
#[tokio::test]
async fn proxy_private_ca_retry_refresh_and_telemetry_act_on_one_handshake() {
    let tls = Tls::new().unwrap().host("api.example.test");
    let server = Server::builder().tls(tls.clone()).require_key("token-2").start().await.unwrap();
    server.enqueue(Script::status(503));
    let proxy = testing::Proxy::http()
        .credentials("user", "pass")
        .host("api.example.test", server.address())
        .start()
        .await
        .unwrap();
    let count = AtomicU32::new(0);
    let tokens = token_fn(move || {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Token::new(format!("token-{number}")) }
    });
    let attempts = Attempts::default();
    let through = Proxy::all(format!("http://{}", proxy.address()))
        .and_then(|proxy| proxy.credentials("user", "pass"))
        .unwrap();
    let client = Client::builder()
        .base_url("https://api.example.test/v1")
        .proxy(through)
        .add_root_pem(tls.ca_pem())
        .auth_layer(AuthLayer::new(Cached::new(tokens)).refresh_on_unauthorized())
        .observe(attempts.clone())
        .build()
        .unwrap();
    let open = client.responses_socket().connect_inline(ResponsesSocketRequest::new());
    let connection = soon(open).await.unwrap();
    let stream = connection.stream_request(request("hello")).await.unwrap();
    assert!(text(stream).await.unwrap().contains("hello"));

    let sent: Vec<_> = server
        .requests()
        .iter()
        .map(|seen| seen.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
    let said = attempts.0.lock().unwrap();
    assert_eq!(*said, ["1 Status(503)", "2 Status(401)", "2 Status(101)"]);
    assert!(!proxy.targets().is_empty() && proxy.refused() == 0);
    assert!(proxy.targets().iter().all(|target| target == "api.example.test:443"));
}
