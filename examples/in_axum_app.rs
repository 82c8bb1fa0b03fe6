//! A gateway: an axum app that serves `/v1/responses` through a stack of layers.
//!
//! It takes the body as it comes, puts its own key on it, limits how many answers may stream at
//! once and how long one may be silent, and passes the stream through byte by byte. A client that
//! goes away cancels the request behind the gateway.
//!
//! ```text
//! cargo run --example in_axum_app              # plays both sides, offline
//! cargo run --example in_axum_app -- --serve   # stays; OPENAI_API_KEY asks the real API
//! ```

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use tokio::net::TcpListener;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt};
use tower_openai::layers::{AuthLayer, Bearer, IdleTimeoutLayer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::ResponsesRequest;
use tower_openai::testing::Server;
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, Error, ErrorKind, RequestBody, ResponseBody};

/// What the handler calls: the stack below, with its types erased so that axum can keep it.
type Upstream = BoxCloneSyncService<Request<RequestBody>, http::Response<ResponseBody>, BoxError>;

fn upstream(provider: Provider, key: Bearer) -> Result<Upstream, Error> {
    let stack = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.map(ResponseBody::new))
        .layer(ProviderLayer::new(provider))
        .layer(AuthLayer::new(key))
        .layer(IdleTimeoutLayer::new(Duration::from_secs(60)))
        .service(HyperTransport::new()?);
    Ok(BoxCloneSyncService::new(stack))
}

fn gateway(upstream: Upstream) -> Router {
    Router::new()
        .route("/v1/responses", post(responses))
        .layer(DefaultBodyLimit::max(4 << 20))
        .with_state(upstream)
}

/// What a caller may learn of the provider's head.
const PASSED_ON: [&str; 4] = ["content-type", "retry-after", "retry-after-ms", "x-request-id"];

/// Nothing of the caller's head goes on but what is said here: its key is not the provider's.
async fn responses(State(upstream): State<Upstream>, body: Bytes) -> Result<Response, Refusal> {
    let request = Request::post("/responses")
        .header(header::CONTENT_TYPE, "application/json")
        .body(RequestBody::from(body))
        .map_err(|error| Refusal(Error::from(BoxError::from(error))))?;
    let response = upstream.oneshot(request).await.map_err(|error| Refusal(error.into()))?;
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = response.status();
    for name in PASSED_ON {
        if let Some(value) = response.headers().get(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    *answer.body_mut() = Body::new(response.into_body());
    Ok(answer)
}

/// The provider could not be asked.
struct Refusal(Error);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::HeadTimeout | ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        // The kind only: the words may be about the inside of this network.
        let error = serde_json::json!({"error": {"message": self.0.kind().as_str()}});
        (status, [(header::CONTENT_TYPE, "application/json")], error.to_string()).into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder().pace(Duration::from_millis(20)).start().await?;
    let (provider, key) = match Bearer::from_env("OPENAI_API_KEY") {
        Ok(key) => (Provider::openai(), key),
        Err(_) => (Provider::new("loopback", server.base_url())?, Bearer::new("sk-loopback")?),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    println!("the gateway: {base_url}");
    let app = axum::serve(listener, gateway(upstream(provider, key)?));
    if std::env::args().any(|arg| arg == "--serve") {
        return Ok(app.await?);
    }
    tokio::select! {
        ended = app => Ok(ended?),
        played = play(&base_url, &server) => played,
    }
}

/// The other side: a caller of the gateway.
async fn play(base_url: &str, server: &Server) -> Result<(), BoxError> {
    let client = Client::builder().base_url(base_url).build()?;
    let request = || ResponsesRequest::new("gpt-5.2", "Why is the sky blue?");

    let stream = client.responses().stream_request(request()).await?;
    println!("through it: {}", stream.text().collect().await?);

    let mut stream = client.responses().stream_request(request()).await?;
    stream.try_next().await?;
    drop(stream);
    // Unless the real API was asked.
    if server.received() > 0 {
        let asked = server.wait_for_disconnect().await;
        println!("a caller went away: the provider saw {:?}", asked.closed().await);
    }
    Ok(())
}
