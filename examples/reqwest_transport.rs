//! A transport of your own: here, the client of `reqwest`.
//!
//! ```text
//! cargo run --example reqwest_transport
//! ```
//!
//! Any `Service<http::Request<RequestBody>>` can stand below the endpoints. `reqwest::Client` is a
//! service of a request type of its own, so two layers of tower's are all it takes: one turns the
//! request into the other type, one turns the response back. Bodies stream both ways. The test
//! `transports` runs the endpoints over this, over the transport of the crate, and over a closure.

use std::time::Duration;

use tower::{Service, ServiceBuilder};
use tower_openai::layers::{IdleTimeoutLayer, ProviderLayer, RetryLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::Server;
use tower_openai::{BoxError, RequestBody};

/// `reqwest::Client` as an HTTP service.
pub(crate) fn transport(
    client: reqwest::Client,
) -> impl Service<
    http::Request<RequestBody>,
    Response = http::Response<reqwest::Body>,
    Error = BoxError,
    Future: Send,
> + Clone
+ Send
+ Sync {
    ServiceBuilder::new()
        .filter(|request: http::Request<RequestBody>| {
            // Reads the body as it is sent. An exact size becomes the `content-length`.
            reqwest::Request::try_from(request.map(reqwest::Body::wrap))
        })
        .map_response(http::Response::<reqwest::Body>::from)
        // The URL is left out of errors: some have a key in their query.
        .map_err(reqwest::Error::without_url)
        .service(client)
}

/// A client that leaves to the layers what they decide: it follows no redirect, which could send a
/// request anywhere, and tries nothing again by itself. No proxy: the server here is on this machine.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;
    let http = ServiceBuilder::new()
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url())?))
        .layer(RetryLayer::default())
        .layer(IdleTimeoutLayer::new(Duration::from_secs(300)))
        .service(transport(client()?));

    let request = ResponsesRequest::new("gpt-5.2", "Say hello.");
    let mut text = Responses::new(http).stream_request(request).await?.text();
    while let Some(piece) = text.try_next().await? {
        print!("{piece}");
    }
    println!();
    Ok(())
}
