//! Two layers of one's own in one stack: one sees the typed request, one sees HTTP.
//!
//! ```text
//! cargo run --example custom_layer
//! ```

use std::task::{Context, Poll};

use http::HeaderValue;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, layer::layer_fn};
use tower_openai::BoxError;
use tower_openai::extensions::Call;
use tower_openai::layers::ProviderLayer;
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::Server;
use tower_openai::transport::HyperTransport;

/// Typed level: gives every request the house rules.
#[derive(Clone)]
struct HouseRules<S> {
    inner: S,
}

impl<S: Service<ResponsesRequest>> Service<ResponsesRequest> for HouseRules<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ResponsesRequest) -> S::Future {
        self.inner.call(request.instructions("Answer in one short sentence."))
    }
}

/// HTTP level: names the tenant, and tells which endpoint is called.
#[derive(Clone)]
struct TenantLayer {
    tenant: HeaderValue,
}

impl<S> Layer<S> for TenantLayer {
    type Service = Tenant<S>;

    fn layer(&self, inner: S) -> Tenant<S> {
        Tenant { inner, tenant: self.tenant.clone() }
    }
}

#[derive(Clone)]
struct Tenant<S> {
    inner: S,
    tenant: HeaderValue,
}

impl<S, B> Service<http::Request<B>> for Tenant<S>
where
    S: Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> S::Future {
        if let Some(call) = request.extensions().get::<Call>() {
            println!("calling {} of {:?}", call.endpoint(), call.model());
        }
        request.headers_mut().insert("x-tenant", self.tenant.clone());
        self.inner.call(request)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;

    let responses = ServiceBuilder::new()
        .layer(layer_fn(|inner| HouseRules { inner }))
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url())?))
        .layer(TenantLayer { tenant: HeaderValue::from_static("acme") })
        // A proxy of the environment is not the way to a server on this machine.
        .service(HyperTransport::builder().without_proxy().build()?);

    let request = ResponsesRequest::new("gpt-5.2", "What is tower?");
    let answer = responses.oneshot(request).await?.text().collect().await?;
    println!("{answer}");

    let seen = &server.requests()[0];
    println!("x-tenant: {:?}", seen.header("x-tenant"));
    println!("instructions: {}", seen.json().unwrap_or_default()["instructions"]);
    Ok(())
}
