//! The preset's stack, assembled by hand: every layer is an ordinary tower layer.
//!
//! ```text
//! cargo run --example assemble
//! ```

use std::time::Duration;

use tower::{Service, ServiceBuilder, ServiceExt};
use tower_openai::BoxError;
use tower_openai::layers::{AuthLayer, Bearer, IdleTimeoutLayer, ProviderLayer};
use tower_openai::model::ResponseEvent;
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::Server;
use tower_openai::transport::HyperTransport;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;

    let mut responses = ServiceBuilder::new()
        // The typed level: layers see ResponsesRequest.
        .concurrency_limit(8)
        .timeout(Duration::from_secs(60))
        // Typed above, HTTP below.
        .layer(Responses::layer())
        // The HTTP level: layers see http::Request<RequestBody>.
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url())?))
        .layer(AuthLayer::new(Bearer::new("sk-example")?))
        .layer(IdleTimeoutLayer::new(Duration::from_secs(300)))
        .service(HyperTransport::new()?);

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
