//! Stacks in another order than they are meant to be in: what cannot work says how it could, and
//! what can work costs something.

use std::convert::Infallible;

use http::{Request, Response};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_openai::layers::telemetry::TelemetryLayer;
use tower_openai::layers::{AuthLayer, Bearer, CompressionLayer, ProviderLayer, RetryLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{HttpService, Responses, ResponsesRequest};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Error, ErrorKind, RequestBody, Stage};

use crate::support::{BASE, Log, Numbered, Seen, Wire, done, request, status};

fn provider(base: &str) -> ProviderLayer {
    ProviderLayer::new(Provider::new("test", base).unwrap())
}

fn bearer() -> AuthLayer<Bearer> {
    AuthLayer::new(Bearer::new("sk-test").unwrap())
}

/// The error of a call over a stack that sends nothing.
async fn refused<S>(stack: S) -> Error
where
    S: HttpService<RequestBody> + Clone,
{
    let error = Responses::new(stack).stream_request(ResponsesRequest::new("m", "x")).await;
    let error = error.map(drop).expect_err("nothing is sent");
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent), "{error}");
    assert!(!error.is_retryable());
    error
}

/// What a call over the stack puts on the wire.
async fn sent<L>(layer: L, wire: &Wire) -> Vec<Seen>
where
    L: Layer<crate::support::WireHttp>,
    L::Service: HttpService<RequestBody> + Clone,
    <L::Service as HttpService<RequestBody>>::ResponseBody: Unpin,
{
    let responses = Responses::new(layer.layer(wire.http()));
    responses.stream_request(request()).await.unwrap().final_response().await.unwrap();
    wire.take()
}

fn silent()
-> impl Service<Request<RequestBody>, Response = Response<RequestBody>, Error = BoxError, Future: Send>
+ Clone {
    service_fn(|request: Request<RequestBody>| async move {
        panic!("{} was sent", request.uri());
    })
}

#[tokio::test]
async fn auth_outside_of_the_provider_names_both_cures() {
    let stack = ServiceBuilder::new().layer(bearer()).layer(provider(BASE)).service(silent());
    let error = refused(stack).await;
    assert!(error.message().contains("put `ProviderLayer` outside it"), "{error}");
    assert!(error.message().contains("`AuthLayer::for_origin`"), "{error}");

    let named = bearer().for_origin(BASE).unwrap();
    let stack = ServiceBuilder::new().layer(named).layer(provider(BASE)).service(silent());
    let error = refused(stack).await;
    assert!(error.message().contains("put `ProviderLayer` outside it"), "{error}");
}

#[tokio::test]
async fn the_network_does_not_take_a_request_without_a_host() {
    let error = refused(HyperTransport::new().unwrap()).await;
    assert!(error.message().contains("`ProviderLayer`"), "{error}");
    let error = refused(RetryLayer::default().layer(HyperTransport::new().unwrap())).await;
    assert!(error.message().contains("`ProviderLayer`"), "{error}");
    assert!(error.attempts().is_empty(), "it is not tried again");
}

#[tokio::test]
async fn one_provider_twice_is_the_same_as_once() {
    let wire = Wire::default();
    let twice = (provider(BASE), provider(BASE), bearer());
    let seen = sent(twice, &wire).await;
    assert_eq!(seen[0].uri, "https://api.test/v1/responses");
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk-test"));
}

#[tokio::test(start_paused = true)]
async fn compression_inside_of_retry_works_and_is_done_for_each_attempt() {
    let wire = Wire::playing([status(503), done()]);
    let seen = sent((provider(BASE), RetryLayer::default(), CompressionLayer::zstd()), &wire).await;
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|one| one.header("content-encoding") == Some("zstd")));
    assert_eq!(seen[0].body, seen[1].body);
    assert_ne!(seen[0].body.as_ptr(), seen[1].body.as_ptr(), "compressed twice");
}

#[tokio::test(start_paused = true)]
async fn retry_inside_of_auth_works_and_sends_the_same_credential_again() {
    let wire = Wire::playing([status(503), done()]);
    let auth = AuthLayer::new(Numbered::default());
    let seen = sent((provider(BASE), auth, RetryLayer::default()), &wire).await;
    let keys: Vec<_> = seen.iter().map(|one| one.header("authorization").unwrap()).collect();
    assert_eq!(keys, ["Bearer 0-1"; 2]);
}

#[tokio::test(start_paused = true)]
async fn telemetry_inside_of_retry_takes_each_attempt_for_a_call() {
    let wire = Wire::playing([status(503), done()]);
    let log = Log::default();
    let telemetry = TelemetryLayer::new().observe(log.clone());
    sent((provider(BASE), RetryLayer::default(), telemetry), &wire).await;
    let told = log.take();
    let ends: Vec<_> = told.iter().filter(|line| line.contains("end ")).collect();
    assert_eq!(ends, ["1: end error server: 0 sent, 0 waits", "2: end complete: 0 sent, 0 waits"]);
}

/// Nobody could tell which of the two the credentials are for.
#[tokio::test]
async fn two_providers_are_refused() {
    let transport = service_fn(|_: Request<RequestBody>| async {
        Ok::<_, Infallible>(Response::new(RequestBody::from(crate::support::COMPLETED)))
    });
    let stack = ServiceBuilder::new()
        .layer(provider("https://outer.test/v1"))
        .layer(provider("https://inner.test/v1"))
        .layer(bearer())
        .service(transport);
    let error = Responses::new(stack).stream_request(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    assert!(error.to_string().contains("https://inner.test"), "{error}");
}
