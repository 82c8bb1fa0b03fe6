//! A call of the default stack stays small enough to be moved and boxed without a thought.

use std::time::Duration;

use http::{Request, Response};
use tower::{Service, ServiceBuilder};
use tower_openai::RequestBody;
use tower_openai::layers::{
    AttemptLayer, AuthLayer, Bearer, CompressionLayer, HeadTimeoutLayer, IdleTimeoutLayer,
    InFlightLimitLayer, ProviderLayer, RateLimitLayer, RetryLayer, TelemetryLayer,
    TotalTimeoutLayer,
};
use tower_openai::provider::Provider;
use tower_openai::transport::HyperTransport;
use tower_openai::transport::decompression::DecompressionLayer;

/// Bytes of a call's future, and of its answer.
fn sizes<S, RB>(_: &S) -> (usize, usize)
where
    S: Service<Request<RequestBody>, Response = Response<RB>>,
{
    (size_of::<S::Future>(), size_of::<Response<RB>>())
}

#[test]
fn a_call_of_the_default_stack_stays_below_4_kib() {
    let minute = Duration::from_secs(60);
    let transport = HyperTransport::new().unwrap();
    let (bare, _) = sizes(&transport);
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(Provider::openai()))
        .layer(TelemetryLayer::new())
        .layer(TotalTimeoutLayer::new(minute))
        .layer(CompressionLayer::new())
        .layer(RetryLayer::default())
        .layer(InFlightLimitLayer::new(8).unwrap())
        .layer(RateLimitLayer::new())
        .layer(AuthLayer::new(Bearer::new("sk-test").unwrap()))
        .layer(AttemptLayer::new())
        .layer(DecompressionLayer::new())
        .layer(HeadTimeoutLayer::new(minute))
        .layer(IdleTimeoutLayer::new(minute))
        .service(transport);
    let (call, answer) = sizes(&stack);
    assert!(call > bare, "the whole of it is looked at");
    assert!(call < 4096, "{call} bytes, of which {bare} are the transport's");
    // An answer is moved through every layer: no room for a decoder in it.
    assert!(answer < 512, "{answer} bytes");
}
