//! Two endpoints over one transport, each with a policy of its own: first from a file, then the
//! same by hand.
//!
//! ```text
//! cargo run --example per_endpoint_policy
//! ```
//!
//! Somebody waits for an answer of `responses`: it is worth some patience. Titles are nice to have,
//! and must not make a bad day of the provider's worse.

use std::time::Duration;

use tower::ServiceBuilder;
use tower_openai::client::Policy;
use tower_openai::layers::retry::ExponentialBackoff;
use tower_openai::layers::{
    IdleTimeoutLayer, InFlightLimitLayer, ProviderLayer, RetryLayer, RetryPolicy,
};
use tower_openai::provider::Provider;
use tower_openai::services::{HttpService, Responses, ResponsesRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, RequestBody};

/// What would be in a file; in TOML it looks much the same.
const POLICY: &str = r#"{
    "responses": {
        "retry": {"max_retries": 3, "base_ms": 20, "cap_ms": 100},
        "timeouts": {"idle_ms": 300000},
        "max_in_flight": 8
    },
    "default": {
        "retry": {"max_retries": 0},
        "timeouts": {"idle_ms": 10000},
        "max_in_flight": 2
    }
}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;

    println!("--- from a file");
    let policy: Policy = serde_json::from_str(POLICY)?;
    // A proxy of the environment is not the way to a server on this machine.
    let client =
        Client::builder().base_url(server.base_url()).without_proxy().policy(policy).build()?;
    println!("{}", client.explain());
    ask(&server, "responses", &client.responses()).await;
    // What stands on `http()` goes by the default policy.
    ask(&server, "titles", &Responses::new(client.http())).await;

    println!("--- by hand");
    let transport = HyperTransport::builder().without_proxy().build()?;
    let provider = ProviderLayer::new(Provider::new("loopback", server.base_url())?);
    let backoff = ExponentialBackoff::new(Duration::from_millis(20), Duration::from_millis(100))?;

    let responses = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(provider.clone())
        .layer(RetryLayer::new(RetryPolicy::default().max_retries(3).backoff(backoff)))
        .layer(InFlightLimitLayer::new(8)?)
        .layer(IdleTimeoutLayer::new(Duration::from_secs(300)))
        // A clone shares the connections.
        .service(transport.clone());
    let titles = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(provider)
        // No `RetryLayer`: what fails has failed.
        .layer(InFlightLimitLayer::new(2)?)
        .layer(IdleTimeoutLayer::new(Duration::from_secs(10)))
        .service(transport);
    ask(&server, "responses", &responses).await;
    ask(&server, "titles", &titles).await;
    Ok(())
}

/// Asks a server that refuses once before it answers, and tells what came of it.
async fn ask<S>(server: &Server, endpoint: &str, responses: &Responses<S>)
where
    S: HttpService<RequestBody, ResponseBody: Unpin> + Clone,
{
    let before = server.received();
    server.enqueue(Script::status(503));
    let outcome = match responses.stream_request(ResponsesRequest::new("gpt-5.2", "Hello!")).await {
        Ok(stream) => match stream.text().collect().await {
            Ok(text) => format!("answer: {text}"),
            Err(error) => format!("broke off: {error}"),
        },
        Err(error) => format!("gave up: {error}"),
    };
    println!("{endpoint}, requests sent: {}, {outcome}", server.received() - before);
}
