//! Telemetry as one layer among others: readiness, concurrency, cancelling, other people's layers.

use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;
use tower_openai::layers::telemetry::{
    AttemptLayer, Telemetry, TelemetryBody, TelemetryLayer, WatchAttempt,
};
use tower_openai::{BoxError, RequestBody};

use crate::support::{AnyBody, Log, Trace, full, get};

/// Must be made ready before each call; a clone starts unready.
#[derive(Default)]
struct Probe {
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<RequestBody>> for Probe {
    type Response = Response<AnyBody>;
    type Error = BoxError;
    type Future = Ready<Result<Response<AnyBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        let answer = std::mem::take(&mut self.ready).then(|| Response::new(full("")));
        ready(answer.ok_or_else(|| "called before it was ready".into()))
    }
}

async fn calls_what_was_made_ready<L>(layer: L)
where
    L: Layer<Probe>,
    L::Service: Service<Request<RequestBody>, Error = BoxError> + Clone,
{
    let mut service = layer.layer(Probe::default());
    for _ in 0..2 {
        service.ready().await.map(drop).unwrap();
        let mut unready = service.clone();
        service.call(get("/x")).await.map(drop).unwrap();
        assert!(unready.call(get("/x")).await.is_err(), "a clone is not ready");
    }
}

#[tokio::test]
async fn both_layers_call_the_service_that_was_made_ready() {
    calls_what_was_made_ready(TelemetryLayer::new()).await;
    calls_what_was_made_ready(TelemetryLayer::new().observe(Log::default())).await;
    calls_what_was_made_ready(AttemptLayer::new()).await;
    calls_what_was_made_ready(AttemptLayer::new().observe(Log::default())).await;
}

#[tokio::test]
async fn back_pressure_passes_through() {
    let log = Log::default();
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new().observe(log.clone()))
        .layer(AttemptLayer::new())
        .into_inner();
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<RequestBody>, Response<AnyBody>, _>(stack);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    assert_eq!(log.take().len(), 0);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let response = service.call(get("/x"));
    let (_, answer) = handle.next_request().await.expect("the call");
    answer.send_response(Response::new(full("")));
    drop(response.await.unwrap());
    assert_eq!(log.take().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn calls_run_side_by_side() {
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new().observe(Log::default()))
        .layer(AttemptLayer::new())
        .service_fn(|_: Request<RequestBody>| async {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, BoxError>(Response::new(full("")))
        });
    let began = Instant::now();
    let calls = (0..50).map(|_| stack.clone().oneshot(get("/x")));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn they_stand_among_the_layers_of_tower_and_tower_http() {
    let (trace, _guard) = Trace::start();
    let log = Log::default();
    let tenant = HeaderValue::from_static("acme");
    let stack = ServiceBuilder::new()
        .buffer(4)
        .load_shed()
        .concurrency_limit(4)
        .timeout(Duration::from_secs(60))
        .layer(TraceLayer::new_for_http())
        .layer(TelemetryLayer::new().observe(log.clone()))
        .layer(ResponseBodyTimeoutLayer::new(Duration::from_secs(5)))
        .layer(SetRequestHeaderLayer::overriding(http::header::FROM, tenant))
        .layer(TraceLayer::new_for_http())
        .layer(AttemptLayer::new())
        .layer(TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(5),
        ))
        .service_fn(|request: Request<RequestBody>| async move {
            if request.uri().path() == "/slow" {
                sleep(Duration::from_secs(30)).await;
            }
            Ok::<_, BoxError>(Response::new(full("text")))
        });
    let response = stack.clone().oneshot(get("https://x.test/quick")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "text");
    let told = log.take();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[3].starts_with("1: end complete"), "{told:?}");

    let response = stack.oneshot(get("https://x.test/slow")).await.unwrap();
    assert_eq!(response.status(), 504);
    drop(response);
    let told = log.take();
    assert_eq!(told[1..3], ["2: attempt 1/1 Status(504)", "2: head 504"]);
    assert!(told[3].starts_with("2: end"), "{told:?}");

    // tower-http's spans are around and inside ours.
    assert!(trace.spans("request").len() >= 4);
    assert!(trace.spans("call").iter().all(|span| span.closed && span.parent == Some("request")));
    assert!(trace.spans("attempt").iter().all(|span| span.closed && span.parent == Some("call")));
}

#[tokio::test]
async fn errors_come_through_as_they_are() {
    let fails = service_fn(async |_: Request<()>| {
        Err::<Response<AnyBody>, _>(std::io::Error::other("planted"))
    });
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new())
        .layer(AttemptLayer::new())
        .service(fails);
    let error = stack.oneshot(Request::new(())).await.map(drop).unwrap_err();
    assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().to_string(), "planted");
}

#[test]
fn constructors_and_accessors_agree() {
    let mut call = Telemetry::layer().layer(1);
    let mut attempt = WatchAttempt::layer().layer(2);
    assert_eq!((call.get_ref(), attempt.get_ref()), (&1, &2));
    *call.get_mut() += 2;
    *attempt.get_mut() += 2;
    assert_eq!((call.into_inner(), attempt.into_inner()), (3, 4));
    assert_eq!((Telemetry::new(5).into_inner(), WatchAttempt::new(6).into_inner()), (5, 6));
}

#[test]
fn they_are_what_they_promise() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>() {}
    promised::<TelemetryLayer<Log>>();
    promised::<AttemptLayer<Log>>();
    promised::<Telemetry<WatchAttempt<()>, Log>>();
    fn body<T: http_body::Body + Send + Unpin>() {}
    body::<TelemetryBody<http_body_util::Full<bytes::Bytes>>>();
}
