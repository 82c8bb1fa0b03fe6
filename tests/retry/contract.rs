//! The layer as one among others: readiness, concurrency, tower's and tower-http's layers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::trace::TraceLayer;
use tower_openai::extensions::Attempts;
use tower_openai::layers::retry::{TokenBucket, classify_fn};
use tower_openai::layers::{
    AuthLayer, Bearer, IdleTimeoutLayer, ProviderLayer, RetriedError, Retry, RetryBody, RetryLayer,
    RetryPolicy,
};
use tower_openai::provider::Provider;
use tower_openai::{BoxError, ErrorKind, RequestBody};

use crate::support::{Scripted, attempts, ms, post, status};

fn steady() -> RetryLayer {
    RetryLayer::new(RetryPolicy::default().backoff([ms(500), ms(1000)]))
}

/// Must be made ready before each call; a clone starts unready. Answers 503 twice.
#[derive(Default)]
struct Probe {
    ready: bool,
    inner: Scripted,
}

impl Probe {
    fn failing() -> Self {
        Self { ready: false, inner: Scripted::new([status(503), status(503)]) }
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { ready: false, inner: self.inner.clone() }
    }
}

impl Service<Request<Bytes>> for Probe {
    type Response = Response<crate::support::Body>;
    type Error = BoxError;
    type Future = Ready<crate::support::Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        if std::mem::take(&mut self.ready) {
            return self.inner.call(request);
        }
        ready(Err(tower_openai::Error::from(BoxError::from("called before it was ready")).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_goes_to_a_service_that_was_made_ready() {
    for layer in [steady(), RetryLayer::disabled()] {
        let probe = Probe::failing();
        let retries = format!("{layer:?}").contains("max_retries: 2");
        let mut service = layer.layer(probe.clone());
        let response = service.ready().await.unwrap().call(post()).await.unwrap();
        assert_eq!(response.status(), if retries { 200 } else { 503 });
        assert_eq!(probe.inner.calls(), if retries { 3 } else { 1 });
        service.ready().await.unwrap();
        let mut unready = service.clone();
        service.call(post()).await.unwrap();
        let call = RetryLayer::disabled().layer(unready.get_mut().clone()).call(post());
        assert!(call.await.is_err(), "a clone is not ready");
    }
}

#[tokio::test(start_paused = true)]
async fn back_pressure_passes_through_and_holds_between_attempts() {
    let (mut service, mut handle) = tower_test::mock::spawn_layer(steady());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = tokio_test::task::spawn(service.call(Request::new(())));
    let (_, answer) = handle.next_request().await.expect("the first attempt");
    answer.send_response(Response::builder().status(503).body(Empty::<Bytes>::new()).unwrap());
    assert_pending!(call.poll());
    sleep(ms(600)).await;
    assert_pending!(call.poll(), "the service is not ready for the second attempt");
    handle.allow(1);
    assert_pending!(call.poll());
    let (_, answer) = handle.next_request().await.expect("the second attempt");
    answer.send_response(Response::new(Empty::new()));
    assert_eq!(call.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_made_ready_at_first_says_so() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<()>, Response<Empty<Bytes>>, _>(steady());
    handle.send_error("closed");
    let error = assert_ready_err!(service.poll_ready());
    assert!(error.to_string().contains("closed"), "as it is: {error}");
}

/// Tower's `Retry` drops what it knows of a call when readiness fails between attempts.
#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_between_attempts_does_not_hide_the_first_failure() {
    let (mut service, mut handle) = tower_test::mock::spawn_layer(steady());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = tokio_test::task::spawn(service.call(Request::new(())));
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_response(Response::builder().status(503).body(Empty::<Bytes>::new()).unwrap());
    assert_pending!(call.poll());
    handle.send_error("closed");
    sleep(ms(501)).await;
    let error = call.await.unwrap_err();
    let attempts = error.downcast_ref::<RetriedError>().unwrap().attempts();
    assert_eq!(attempts.len(), 1, "the second was never made");
    assert_eq!(attempts[0].status().unwrap(), 503);
    let text: Vec<_> = tower_openai::Error::from(error).chain().map(ToString::to_string).collect();
    assert!(text.last().unwrap().contains("closed"), "{text:?}");
}

/// Neither is the budget charged for an attempt that was never made.
#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_between_attempts_gives_the_tokens_back() {
    let bucket = Arc::new(TokenBucket::new(20, 10, 5).unwrap());
    let policy = RetryPolicy::default().backoff([ms(500); 2]).budget(bucket.clone());
    let (mut service, mut handle) = tower_test::mock::spawn_layer(RetryLayer::new(policy));
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = tokio_test::task::spawn(service.call(Request::new(())));
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_response(Response::builder().status(503).body(Empty::<Bytes>::new()).unwrap());
    assert_pending!(call.poll());
    assert_eq!(bucket.tokens(), 10, "paid before the wait");
    handle.send_error("closed");
    sleep(ms(501)).await;
    assert!(call.await.is_err());
    assert_eq!(bucket.tokens(), 20);
}

/// Answers 503 once per call after 100 ms, then 200 after 100 ms.
async fn slow(request: Request<Empty<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let first = request.extensions().get::<tower_openai::extensions::Attempt>().is_none();
    sleep(ms(100)).await;
    let status = if first { 503 } else { 200 };
    Ok(Response::builder().status(status).body(Full::from("done")).unwrap())
}

#[tokio::test(start_paused = true)]
async fn calls_run_at_the_same_time() {
    let service = steady().layer(service_fn(slow));
    let start = Instant::now();
    let calls = (0..100).map(|_| service.clone().oneshot(Request::new(Empty::new())));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    let took = start.elapsed();
    assert!(took >= ms(700) && took < ms(710), "100, 500 and 100 ms: {took:?}");
}

/// One call through `stack`, which has to have retried once.
async fn goes_through<S, RB>(stack: S)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<RB>, Error: Into<BoxError>>,
    RB: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let response = stack.oneshot(Request::new(Empty::new())).await.map_err(Into::into).unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.extensions().get::<Attempts>().expect("a retry").all().len(), 2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
}

#[tokio::test(start_paused = true)]
async fn composes_with_towers_layers_on_either_side() {
    let second = TimeoutLayer::new(Duration::from_secs(1));
    let (limit, shed, buffer) =
        (ConcurrencyLimitLayer::new(1), LoadShedLayer::new(), BufferLayer::new(1));
    let stack = ServiceBuilder::new;
    goes_through(stack().layer(second.clone()).layer(steady()).service(service_fn(slow))).await;
    goes_through(stack().layer(steady()).layer(second).service(service_fn(slow))).await;
    goes_through(stack().layer(limit.clone()).layer(steady()).service(service_fn(slow))).await;
    goes_through(stack().layer(steady()).layer(limit).service(service_fn(slow))).await;
    goes_through(stack().layer(shed.clone()).layer(steady()).service(service_fn(slow))).await;
    goes_through(stack().layer(steady()).layer(shed).service(service_fn(slow))).await;
    goes_through(stack().layer(buffer).layer(steady()).service(service_fn(slow))).await;
    goes_through(stack().layer(steady()).layer(buffer).service(service_fn(slow))).await;
}

#[tokio::test(start_paused = true)]
async fn composes_with_tower_https_layers_on_either_side() {
    let trace = TraceLayer::new_for_http();
    let set = SetRequestHeaderLayer::overriding(
        HeaderName::from_static("x-set"),
        HeaderValue::from_static("set"),
    );
    let second = tower_http::timeout::TimeoutLayer::with_status_code(
        http::StatusCode::GATEWAY_TIMEOUT,
        Duration::from_secs(1),
    );
    let stack = ServiceBuilder::new;
    goes_through(stack().layer(trace.clone()).layer(steady()).service(service_fn(slow))).await;
    goes_through(stack().layer(steady()).layer(trace).service(service_fn(slow))).await;
    goes_through(stack().layer(set.clone()).layer(steady()).service(service_fn(slow))).await;
    goes_through(stack().layer(steady()).layer(set).service(service_fn(slow))).await;
    goes_through(stack().layer(second).layer(steady()).service(service_fn(slow))).await;
    goes_through(stack().layer(steady()).layer(second).service(service_fn(slow))).await;
}

#[tokio::test(start_paused = true)]
async fn composes_with_our_layers_and_a_box() {
    let provider = ProviderLayer::new(Provider::new("gateway", "https://gw.test/v1").unwrap());
    let stack = ServiceBuilder::new()
        .layer(BoxCloneSyncService::layer())
        .layer(provider)
        .layer(steady())
        .layer(AuthLayer::new(Bearer::new("sk-example").unwrap()))
        .layer(IdleTimeoutLayer::new(Duration::from_secs(1)))
        .service(service_fn(slow));
    goes_through(stack).await;
}

/// An attempt that is shed is not tried again: the load is the caller's own.
#[tokio::test(start_paused = true)]
async fn a_shed_attempt_ends_the_call() {
    let stack = ServiceBuilder::new()
        .layer(steady())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(slow));
    let calls = (0..2).map(|_| stack.clone().oneshot(Request::new(Empty::new())));
    let mut answers = futures_util::future::join_all(calls).await;
    let shed = answers.pop().unwrap();
    assert_eq!(attempts_of(&shed), 0);
    assert!(shed.unwrap_err().is::<tower::load_shed::error::Overloaded>());
    assert_eq!(answers.pop().unwrap().unwrap().status(), 200);
}

fn attempts_of<RB>(result: &Result<Response<RB>, BoxError>) -> usize {
    match result {
        Ok(response) => response.extensions().get().map_or(0, |list: &Attempts| list.all().len()),
        Err(error) => error.downcast_ref().map_or(0, |error: &RetriedError| error.attempts().len()),
    }
}

/// A timeout inside is per attempt.
#[tokio::test(start_paused = true)]
async fn each_attempt_has_the_timeout_inside_for_itself() {
    let hangs = service_fn(|_: Request<Bytes>| async {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(crate::support::body("")))
    });
    let stack = ServiceBuilder::new()
        .layer(steady())
        .layer(TimeoutLayer::new(Duration::from_secs(3)))
        .service(hangs);
    let start = Instant::now();
    let result = stack.oneshot(post()).await;
    assert_eq!(start.elapsed().as_secs_f64().round(), 11.0, "three times 3 s, and 1.5 s of waits");
    let attempts = attempts(&result);
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|one| one.error_kind() == Some(ErrorKind::Timeout)));
}

#[test]
fn constructors_and_accessors_agree() {
    let mut service = Retry::new(1, RetryPolicy::none());
    assert_eq!((*service.get_ref(), *service.get_mut()), (1, 1));
    assert_eq!(service.into_inner(), 1);
    assert_eq!(Retry::layer(RetryPolicy::default()).layer(2).into_inner(), 2);
}

#[test]
fn types_are_what_they_promise() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>() {}
    fn sent<T: Send>(_: &T) {}
    promised::<RetryLayer>();
    promised::<RetryPolicy>();
    promised::<Retry<Scripted>>();
    fn body<T: Send + Sync + Unpin>() {}
    body::<RetryBody<Full<Bytes>>>();
    body::<RetriedError>();
    // Built outside a runtime.
    let policy = RetryPolicy::default()
        .budget(std::sync::Arc::new(TokenBucket::default()))
        .classify(classify_fn(|_| tower_openai::layers::retry::Action::Pass));
    let mut service = RetryLayer::new(policy).layer(Scripted::default());
    let call = service.call(Request::new(Bytes::new()));
    sent(&call);
    assert!(size_of_val(&call) < 1024, "{}", size_of_val(&call));
    let _: Request<RequestBody> = Request::default();
}
