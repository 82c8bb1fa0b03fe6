//! The latest rate limits, from headers, refusals and streams.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task::spawn};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_openai::extensions::{ReportedRateLimits, StreamObservers};
use tower_openai::layers::{
    CompressionLayer, ProviderLayer, RateLimit, RateLimitLayer, RateLimitsHandle,
};
use tower_openai::model::{RateLimitSnapshot, RateLimits};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, RequestBody};

type Body = Full<Bytes>;
type Header = (&'static str, &'static str);

const CODEX: [Header; 4] = [
    ("x-codex-primary-used-percent", "12.5"),
    ("x-codex-primary-window-minutes", "60"),
    ("x-codex-secondary-used-percent", "40"),
    ("x-codex-limit-name", "all"),
];

fn answer(status: u16, headers: &[Header]) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    response
}

/// Sends one answer through `layer`.
async fn told(layer: &RateLimitLayer, status: u16, headers: &[Header]) -> Response<Body> {
    let answer = answer(status, headers);
    let service = service_fn(move |_: Request<()>| ready(Ok::<_, Infallible>(answer.clone())));
    layer.layer(service).oneshot(Request::new(())).await.unwrap()
}

fn used(limit: Option<RateLimitSnapshot>) -> Option<f64> {
    Some(limit?.primary?.used_percent)
}

fn ids(limits: &RateLimits) -> Vec<&str> {
    limits.codex.iter().map(|limit| limit.limit_id.as_deref().unwrap()).collect()
}

// What is kept.

#[tokio::test]
async fn both_families_are_read_on_success_and_error() {
    for status in [200, 404, 429, 500] {
        let layer = RateLimitLayer::new();
        let limits = layer.handle();
        let public = [("x-ratelimit-remaining-tokens", "7"), ("x-ratelimit-reset-tokens", "6m0s")];
        let response = told(&layer, status, &[&CODEX[..], &public].concat()).await;

        let codex = limits.limit("codex").unwrap();
        assert_eq!(codex.primary.as_ref().unwrap().window_minutes, Some(60));
        assert_eq!(codex.limit_name.as_deref(), Some("all"));
        let tokens = limits.public().unwrap().tokens.unwrap();
        assert_eq!((tokens.remaining, tokens.reset), (Some(7), Some(Duration::from_secs(360))));
        let latest = limits.latest();
        assert_eq!((latest.codex, latest.public), (vec![codex], limits.public()));
        let left: &ReportedRateLimits = response.extensions().get().expect("the extension");
        assert_eq!(*left.limits(), limits.latest());
    }
}

#[tokio::test]
async fn an_answer_without_limits_changes_and_leaves_nothing() {
    let layer = RateLimitLayer::new();
    let mut limits = layer.handle();
    let response = told(&layer, 200, &[("content-type", "text/plain"), ("x-other", "1")]).await;
    assert!(response.extensions().get::<ReportedRateLimits>().is_none());
    told(&layer, 200, &[("x-ratelimit-remaining-tokens", "soon")]).await;
    assert!(limits.latest().is_empty());
    assert_pending!(spawn(limits.changed()).poll());
}

#[tokio::test]
async fn each_limit_keeps_its_latest_report() {
    let layer = RateLimitLayer::new();
    let limits = layer.handle();
    told(&layer, 200, &CODEX).await;
    told(&layer, 200, &[("x-zeta-primary-used-percent", "1")]).await;
    told(&layer, 200, &[("x-codex-bengal-primary-used-percent", "2")]).await;
    told(&layer, 200, &[("x-codex-primary-used-percent", "13")]).await;
    assert_eq!(ids(&limits.latest()), ["codex", "codex_bengal", "zeta"]);
    assert_eq!(used(limits.limit("Codex-Bengal")), Some(2.0));
    assert_eq!(used(limits.limit("unheard-of")), None);

    // The windows are the newer ones, the rest stays.
    let codex = limits.limit("codex").unwrap();
    assert_eq!(used(Some(codex.clone())), Some(13.0));
    assert_eq!((codex.secondary, codex.limit_name.as_deref()), (None, Some("all")));
    told(&layer, 200, &[("x-codex-limit-name", "renamed")]).await;
    let codex = limits.limit("codex").unwrap();
    assert_eq!(codex.limit_name.as_deref(), Some("renamed"));
    assert_eq!(used(Some(codex)), Some(13.0));

    told(&layer, 200, &[("x-ratelimit-remaining-tokens", "7")]).await;
    told(&layer, 200, &[("x-ratelimit-remaining-requests", "5")]).await;
    told(&layer, 200, &CODEX).await;
    let public = limits.public().unwrap();
    assert_eq!((public.tokens, public.requests.unwrap().remaining), (None, Some(5)));
}

#[tokio::test]
async fn a_429_says_why_until_the_next_report() {
    let layer = RateLimitLayer::new();
    let limits = layer.handle();
    let reached = [
        ("x-codex-active-limit", "codex_other"),
        ("x-codex-other-primary-used-percent", "100"),
        ("x-codex-rate-limit-reached-type", "rate_limit_reached"),
    ];
    told(&layer, 200, &reached).await;
    assert!(limits.limit("codex_other").unwrap().rate_limit_reached_type.is_none());
    let response = told(&layer, 429, &reached).await;
    let other = limits.limit("codex_other").unwrap();
    assert_eq!(other.rate_limit_reached_type.unwrap().as_str(), "rate_limit_reached");
    let left: &ReportedRateLimits = response.extensions().get().unwrap();
    assert_eq!(ids(left.limits()), ["codex_other"]);
    told(&layer, 200, &reached).await;
    assert!(limits.limit("codex_other").unwrap().rate_limit_reached_type.is_none());
}

#[tokio::test]
async fn the_number_of_limits_is_bounded() {
    let layer = RateLimitLayer::new();
    let limits = layer.handle();
    told(&layer, 200, &CODEX).await;
    for number in 0..40 {
        let name: &'static str = format!("x-limit-{number:02}-primary-used-percent").leak();
        told(&layer, 200, &[(name, "1")]).await;
        // Still in use, so it stays.
        told(&layer, 200, &[("x-limit-00-primary-used-percent", "2")]).await;
    }
    let latest = limits.latest();
    assert_eq!(latest.codex.len(), 32);
    assert!(limits.limit("limit_07").is_none() && limits.limit("limit_10").is_some());
    // The account's own is never given up.
    assert!(limits.limit("codex").is_some());
    assert!(limits.limit("limit_00").is_some() && limits.limit("limit_39").is_some());
}

// Streams.

fn event(used: u8) -> Value {
    json!({"type": "codex.rate_limits", "plan_type": "pro",
        "rate_limits": {"primary": {"used_percent": used, "window_minutes": 300}}})
}

#[tokio::test]
async fn events_of_a_stream_are_reports() {
    let server = Server::start().await.unwrap();
    let completed = json!({"type": "response.completed",
        "response": {"id": "resp_1", "usage": null}});
    let silent = json!({"type": "codex.rate_limits", "limit_name": "silent"});
    let script = Script::events([event(20), silent, event(30), completed]);
    server.enqueue(script.header("x-codex-primary-used-percent", "10"));

    let layer = RateLimitLayer::new();
    let mut limits = layer.handle();
    let client = Client::builder().base_url(server.base_url()).layer(layer).build().unwrap();
    let request = ResponsesRequest::new("gpt-5.2", "hello");
    let mut stream = client.responses().stream_request(request).await.unwrap();
    assert_eq!(used(limits.changed().await.unwrap().codex.pop()), Some(10.0));

    let mut seen = Vec::new();
    while stream.try_next().await.unwrap().is_some() {
        seen.push(used(limits.limit("codex")).unwrap());
    }
    seen.dedup();
    assert_eq!(seen, [10.0, 20.0, 30.0]);
    let codex = limits.limit("codex").unwrap();
    assert_eq!(codex.plan_type.unwrap().as_str(), "pro");
    assert_eq!(codex.primary.unwrap().window_minutes, Some(300));
    assert!(limits.limit("silent").is_none());
    // From the server's own headers.
    assert!(limits.public().is_some());
}

#[tokio::test]
async fn an_open_stream_can_still_report_when_the_stack_is_gone() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::events([event(20)]).then_stall());
    let layer = RateLimitLayer::new();
    let mut limits = layer.handle();
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url()).unwrap()))
        .layer(layer)
        .service(HyperTransport::new().unwrap());
    let mut stream = stack.oneshot(ResponsesRequest::new("m", "hello")).await.unwrap();
    // The public family of the head.
    limits.changed().await.unwrap();
    assert_pending!(spawn(limits.changed()).poll());
    while used(limits.limit("codex")).is_none() {
        stream.try_next().await.unwrap().unwrap();
    }
    assert!(limits.changed().await.is_some());
    drop(stream);
    assert!(limits.changed().await.is_none());
    assert_eq!(used(limits.limit("codex")), Some(20.0));
}

// Waiting.

#[tokio::test]
async fn a_handle_wakes_for_changes_only_and_misses_none() {
    let layer = RateLimitLayer::new();
    told(&layer, 200, &[("x-a-primary-used-percent", "1")]).await;
    let mut limits = layer.handle();
    let mut other = limits.clone();

    let mut waiting = spawn(limits.changed());
    assert_pending!(waiting.poll(), "what was there before is no change");
    told(&layer, 200, &[("x-a-primary-used-percent", "1")]).await;
    assert!(!waiting.is_woken(), "the same again is no change");
    told(&layer, 200, &[("x-a-primary-used-percent", "2")]).await;
    told(&layer, 200, &[("x-b-primary-used-percent", "3")]).await;
    assert!(waiting.is_woken());
    assert_eq!(ids(&assert_ready!(waiting.poll()).unwrap()), ["a", "b"]);
    drop(waiting);

    assert_pending!(spawn(limits.changed()).poll());
    // Each handle waits on its own; a wait that was dropped loses nothing.
    drop(spawn(other.changed()));
    assert!(assert_ready!(spawn(other.changed()).poll()).is_some());
    drop(layer);
    assert!(assert_ready!(spawn(other.changed()).poll()).is_none());
    assert_eq!(ids(&other.latest()), ["a", "b"]);
}

// The contract of a layer.

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

impl Service<Request<()>> for Probe {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let answer = std::mem::take(&mut self.ready).then(|| answer(200, &CODEX));
        ready(answer.ok_or_else(|| "called before it was ready".into()))
    }
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_called() {
    let mut service = RateLimitLayer::new().layer(Probe::default());
    for _ in 0..2 {
        service.ready().await.unwrap();
        let mut unready = service.clone();
        service.call(Request::new(())).await.unwrap();
        assert!(unready.call(Request::new(())).await.is_err(), "a clone is not ready");
    }
}

#[tokio::test]
async fn back_pressure_errors_and_bodies_pass_through() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<()>, Response<&str>, _>(RateLimitLayer::new());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(2);
    assert_ready_ok!(service.poll_ready());
    let call = service.call(Request::new(()));
    handle.next_request().await.unwrap().1.send_response(Response::new("body"));
    assert_eq!(call.await.unwrap().into_body(), "body");
    assert_ready_ok!(service.poll_ready());
    let call = service.call(Request::new(()));
    handle.next_request().await.unwrap().1.send_error("gone");
    assert_eq!(call.await.unwrap_err().to_string(), "gone");
}

#[tokio::test(start_paused = true)]
async fn calls_run_side_by_side_and_are_cancelled_by_dropping() {
    let slow = service_fn(|_: Request<()>| async {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(answer(200, &CODEX))
    });
    let stack = RateLimit::new(slow);
    let limits = stack.handle();
    let cancelled = stack.clone().oneshot(Request::new(()));
    assert!(tokio::time::timeout(Duration::from_millis(500), cancelled).await.is_err());
    sleep(Duration::from_secs(2)).await;
    assert!(limits.latest().is_empty());

    let start = Instant::now();
    let calls = (0..50).map(|_| stack.clone().oneshot(Request::new(())));
    futures_util::future::join_all(calls).await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(used(limits.limit("codex")), Some(12.5));
}

#[tokio::test]
async fn it_stacks_with_other_layers() {
    const LIMIT: Duration = Duration::from_secs(5);
    let transport = service_fn(async |request: Request<RequestBody>| {
        assert_eq!(request.headers()["x-set"], "1");
        Ok::<_, Infallible>(answer(200, &CODEX))
    });
    let (outer, inner) = (RateLimitLayer::new(), RateLimitLayer::new());
    let (outside, inside) = (outer.handle(), inner.handle());
    let name = HeaderName::from_static("x-set");
    let stack = ServiceBuilder::new()
        .layer(outer)
        .buffer(4)
        .load_shed()
        .concurrency_limit(2)
        .timeout(LIMIT)
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::zstd())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT))
        .layer(inner)
        .layer(SetRequestHeaderLayer::overriding(name, HeaderValue::from_static("1")))
        .service(transport);
    let response = stack.oneshot(Request::new(RequestBody::from("x"))).await.unwrap();
    assert_eq!(used(outside.limit("codex")), Some(12.5));
    assert_eq!(outside.latest(), inside.latest());
    // Both of them listen to the stream.
    let observers: &StreamObservers = response.extensions().get().unwrap();
    assert_eq!(format!("{observers:?}"), "StreamObservers(2)");
}

#[tokio::test]
async fn a_refusal_has_no_events_to_listen_to() {
    let layer = RateLimitLayer::new();
    let response = told(&layer, 503, &CODEX).await;
    assert!(response.extensions().get::<StreamObservers>().is_none());
}

#[tokio::test]
async fn one_json_text_has_no_events_to_listen_to() {
    for (kind, listens) in [("application/json; charset=utf-8", false), ("text/plain", true)] {
        let response = told(&RateLimitLayer::new(), 200, &[("content-type", kind)]).await;
        assert_eq!(response.extensions().get::<StreamObservers>().is_some(), listens, "{kind}");
    }
}

#[test]
fn the_types_are_what_they_promise() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>() {}
    promised::<RateLimitLayer>();
    promised::<RateLimit<HyperTransport>>();
    promised::<RateLimitsHandle>();
    fn sent<T: Send>(_: T) {}
    let mut service = RateLimit::layer().layer(1);
    *service.get_mut() += 1;
    assert_eq!(service.get_ref(), &2);
    let mut handle = service.handle();
    assert_eq!(service.into_inner(), 2);
    assert!(format!("{handle:?}").contains("codex: []"), "{handle:?}");
    sent(handle.changed());
}
