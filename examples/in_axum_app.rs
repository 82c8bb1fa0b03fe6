//! A gateway: an axum app that serves `/v1/responses` through a stack of layers.
//!
//! It takes the body as it comes, puts its own key on it, limits how long the head of an answer may
//! take and how long its stream may be silent, and passes the stream through byte by byte. Two
//! answers may stream at once: a third caller is told so with 503 instead of being kept waiting. A
//! client that goes away cancels the request behind the gateway, and makes room for another.
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
use tower::{ServiceBuilder, ServiceExt};
use tower_openai::env::{EnvSource, ProcessEnv};
use tower_openai::layers::{
    AuthLayer, Bearer, HeadTimeoutLayer, IdleTimeoutLayer, InFlightLimitLayer, ProviderLayer,
};
use tower_openai::provider::Provider;
use tower_openai::services::{BoxHttpService, ResponsesRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, Error, ErrorKind, RequestBody};

/// How many answers may stream at once.
const MAX_OPEN: usize = 2;

fn upstream(
    provider: Provider,
    key: Bearer,
    http: HyperTransport,
) -> Result<BoxHttpService, Error> {
    Ok(ServiceBuilder::new()
        // Axum keeps it by its name.
        .layer(BoxHttpService::layer())
        // What the limit below would make wait is refused at once.
        .load_shed()
        .layer(InFlightLimitLayer::new(MAX_OPEN)?)
        .layer(ProviderLayer::new(provider))
        .layer(AuthLayer::new(key))
        .layer(HeadTimeoutLayer::new(Duration::from_secs(30)))
        .layer(IdleTimeoutLayer::new(Duration::from_secs(60)))
        .service(http))
}

fn gateway(upstream: BoxHttpService) -> Router {
    Router::new()
        .route("/v1/responses", post(responses))
        .layer(DefaultBodyLimit::max(4 << 20))
        .with_state(upstream)
}

/// What a caller may learn of the provider's head.
const PASSED_ON: [&str; 4] = ["content-type", "retry-after", "retry-after-ms", "x-request-id"];

/// Nothing of the caller's head goes on but what is said here: its key is not the provider's.
async fn responses(
    State(upstream): State<BoxHttpService>,
    body: Bytes,
) -> Result<Response, Refusal> {
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
    let upstream = match ProcessEnv.non_blank("OPENAI_API_KEY")? {
        Some(_) => {
            let key = Bearer::from_env("OPENAI_API_KEY")?;
            upstream(Provider::openai(), key, HyperTransport::new()?)?
        }
        None => {
            // A proxy of the environment is not the way to it.
            let http = HyperTransport::builder().without_proxy().build()?;
            let provider = Provider::new("loopback", server.base_url())?;
            upstream(provider, Bearer::new("sk-loopback")?, http)?
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    println!("the gateway: {base_url}");
    let app = axum::serve(listener, gateway(upstream));
    if std::env::args_os().any(|arg| arg == "--serve") {
        return Ok(app.await?);
    }
    tokio::select! {
        ended = app => Ok(ended?),
        played = play(&base_url, &server) => played,
    }
}

/// The other side: callers of the gateway.
async fn play(base_url: &str, server: &Server) -> Result<(), BoxError> {
    // A refusal is to be seen, not to be waited out.
    let client = Client::builder().base_url(base_url).without_proxy().max_retries(0).build()?;
    let responses = client.responses();
    let request = || ResponsesRequest::new("gpt-5.2", "Why is the sky blue?");

    let stream = responses.stream_request(request()).await?;
    println!("through it: {}", stream.text().collect().await?);

    // Two answers that do not end. Each caller has read an event, so both are open.
    let mut open = Vec::new();
    for _ in 0..MAX_OPEN {
        server.enqueue(Script::natural().cut_after(4).then_stall());
        let mut stream = responses.stream_request(request()).await?;
        stream.try_next().await?;
        open.push(stream);
    }
    match responses.stream_request(request()).await {
        Ok(_) => println!("there was room for one more"),
        Err(error) => println!("one too many: {error}"),
    }

    drop(open);
    // Unless the real API was asked.
    if server.received() > 0 {
        let asked = server.wait_for_disconnect().await;
        println!("a caller went away: the provider saw {:?}", asked.closed().await);
        let stream = responses.stream_request(request()).await?;
        println!("there is room again: {}", stream.text().collect().await?);
    }
    Ok(())
}
