//! The preset's stack, assembled by hand: every layer is an ordinary tower layer.
//!
//! ```text
//! cargo run --example assemble
//! ```
//!
//! The same layers with the same settings as those of a `Client`, whose `explain()` prints them,
//! but for the limits of load: there is none by default. Leave out what you do not need, and put
//! your own layers between.

use std::time::Duration;

use tower::{Service, ServiceBuilder, ServiceExt};
use tower_openai::BoxError;
use tower_openai::layers::{
    AttemptLayer, AuthLayer, Bearer, CompressionLayer, DecompressionLayer, HeadTimeoutLayer,
    IdleTimeoutLayer, InFlightLimitLayer, ProviderLayer, RateLimitLayer, RetryLayer, RetryPolicy,
    TelemetryLayer, TotalTimeoutLayer,
};
use tower_openai::model::ResponseEvent;
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::Server;
use tower_openai::transport::HyperTransport;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;
    let provider = Provider::new("loopback", server.base_url())?;

    let mut responses = ServiceBuilder::new()
        // The typed level: layers see ResponsesRequest.
        .map_request(|request: ResponsesRequest| request.instructions("Be polite."))
        // Typed above, HTTP below.
        .layer(Responses::layer())
        // The HTTP level: layers see http::Request<RequestBody>. These see each call once,
        .layer(ProviderLayer::new(provider))
        .layer(TelemetryLayer::new())
        .layer(TotalTimeoutLayer::new(Duration::from_secs(1200)))
        .layer(CompressionLayer::new())
        // and from here on each attempt.
        .layer(RetryLayer::new(RetryPolicy::default().max_retries(2)))
        .layer(InFlightLimitLayer::new(8)?)
        .layer(RateLimitLayer::new())
        .layer(AuthLayer::new(Bearer::new("sk-example")?))
        .layer(AttemptLayer::new())
        .layer(DecompressionLayer::new())
        .layer(HeadTimeoutLayer::new(Duration::from_secs(60)))
        .layer(IdleTimeoutLayer::new(Duration::from_secs(300)))
        // A proxy of the environment is not the way to a server on this machine.
        .service(HyperTransport::builder().without_proxy().build()?);

    let request = ResponsesRequest::new("gpt-5.2", "Say hello.");
    let mut events = responses.ready().await?.call(request).await?;
    while let Some(event) = events.try_next().await? {
        if let ResponseEvent::OutputTextDelta(event) = event {
            print!("{}", event.delta);
        }
    }
    println!();
    Ok(())
}
