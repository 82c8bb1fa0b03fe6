//! The hooks of a call: in order, and the end exactly once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::sleep;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_openai::layers::auth::HeaderCredentials;
use tower_openai::layers::telemetry::{
    AttemptInfo, AttemptLayer, CallEnd, CallInfo, Observe, Telemetry, TelemetryLayer,
};
use tower_openai::layers::{AuthLayer, ProviderLayer, RetryLayer, RetryPolicy};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::{BoxError, ErrorKind};

use crate::support::{
    Again, AnyBody, Feed, Http, Log, Trace, answer, completed, delta, fed, full, get, sse, status,
    transport,
};

const REQUEST: &str = "1: request POST /responses responses";

fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "hello")
}

fn watched(http: Http) -> (Log, Responses<Telemetry<Http, Log>>) {
    let log = Log::default();
    let layer = TelemetryLayer::new().observe(log.clone());
    (log, Responses::new(layer.layer(http)))
}

/// As `expected`, but for the number of bytes and the time, where it says `*`.
#[track_caller]
fn assert_told(log: &Log, expected: &[&str]) {
    let told = log.take();
    let same = |told: &String, expected: &&str| match expected.split_once('*') {
        Some((head, tail)) => told.starts_with(head) && told.ends_with(tail),
        None => told == expected,
    };
    let all = told.len() == expected.len() && told.iter().zip(expected).all(|(t, e)| same(t, e));
    assert!(all, "told {told:#?}\nexpected {expected:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_succeeds() {
    let (feed, http) = fed();
    let (log, responses) = watched(http);
    let mut stream = responses.stream_request(request()).await.unwrap();
    assert_told(&log, &[REQUEST, "1: head 200"]);

    let feeding = async {
        sleep(Duration::from_secs(2)).await;
        let first: Vec<u8> = [delta(1), delta(2)].iter().flat_map(sse).collect();
        feed.send(Ok(first.into())).unwrap();
        // The reader takes its time before it reads on.
        sleep(Duration::from_secs(10)).await;
        feed.send(Ok(sse(&completed(5)))).unwrap();
    };
    let reading = async {
        stream.try_next().await.unwrap();
        sleep(Duration::from_secs(7)).await;
        stream.try_next().await.unwrap();
        stream.try_next().await.unwrap();
    };
    tokio::join!(feeding, reading);
    assert_told(
        &log,
        &[
            "1: first event after 2s",
            "1: event response.output_text.delta waited 2s",
            "1: event response.output_text.delta waited 0ns",
            "1: gap 2 5",
            "1: event response.completed waited 3s",
            "1: end complete: 3 events, * bytes, 18 tokens, Some(\"resp_1\")",
        ],
    );
    drop(stream);
    assert_told(&log, &[]);
}

#[tokio::test]
async fn calls_have_numbers_of_their_own_across_clones() {
    let log = Log::default();
    let layer = TelemetryLayer::new().observe(log.clone());
    let http = transport(|_| Ok(Response::new(full(""))));
    let (one, other) = (layer.layer(http.clone()), layer.clone().layer(http));
    for service in [one.clone(), one, other] {
        drop(service.oneshot(get("https://x.test/y")).await.unwrap());
    }
    let ends = log.take().into_iter().filter(|line| line.contains("end complete"));
    assert_eq!(ends.map(|line| line[..1].to_owned()).collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[tokio::test]
async fn an_error_status_ends_with_the_endpoints_error() {
    let body = r#"{"error":{"code":"rate_limit_exceeded","message":"slow down"}}"#;
    let (log, responses) = watched(transport(move |_| Ok(status(429, body))));
    let error = responses.stream_request(request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    let end = "1: end error rate_limited typed: 0 events, 62 bytes, 0 tokens, None";
    assert_told(&log, &[REQUEST, "1: head 429", end]);
}

#[tokio::test]
async fn a_transport_error_ends_without_a_head() {
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let (log, responses) = watched(transport(move |_| Err(refused().into())));
    let error = responses.stream_request(request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_told(&log, &[REQUEST, "1: end error connect: 0 events, 0 bytes, 0 tokens, None"]);
}

#[tokio::test]
async fn a_call_dropped_before_its_head() {
    let (log, responses) = watched(transport(|_| unreachable!("it is dropped first")));
    let mut call = tokio_test::task::spawn(responses.stream_request(request()));
    assert!(call.poll().is_pending());
    drop(call);
    assert_told(&log, &[REQUEST, "1: end dropped: 0 events, 0 bytes, 0 tokens, None"]);
    // Not even polled.
    drop(responses.into_inner().oneshot(get("/x")));
    assert_told(&log, &[]);
}

#[tokio::test]
async fn a_stream_dropped_in_the_middle() {
    let (feed, http) = fed();
    let (log, responses) = watched(http);
    let mut stream = responses.stream_request(request()).await.unwrap();
    feed.send(Ok(sse(&delta(1)))).unwrap();
    stream.try_next().await.unwrap();
    log.take();
    drop(stream);
    assert_told(&log, &["1: end dropped: 1 events, * bytes, 0 tokens, None"]);
    assert!(feed.is_closed());
}

#[tokio::test]
async fn a_stream_cut_off_or_broken() {
    let cut: fn(Feed) = drop;
    let broken: fn(Feed) = |feed| feed.send(Err("reset".into())).unwrap();
    for (end, kind) in [(cut, "truncated"), (broken, "transport")] {
        let (feed, http) = fed();
        let (log, responses) = watched(http);
        let mut stream = responses.stream_request(request()).await.unwrap();
        feed.send(Ok(sse(&delta(1)))).unwrap();
        stream.try_next().await.unwrap();
        end(feed);
        stream.try_next().await.unwrap_err();
        drop(stream);
        let told = log.take();
        let expected = format!("1: end error {kind} typed: 1 events");
        assert!(told.last().unwrap().starts_with(&expected), "{told:?}");
        assert_eq!(told.iter().filter(|line| line.contains("end")).count(), 1);
    }
}

#[tokio::test]
async fn a_failed_response_tells_its_usage() {
    let failed = serde_json::json!({"type": "response.incomplete", "response": {
        "id": "resp_2", "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}});
    let (log, responses) = watched(transport(move |_| Ok(Response::new(full(sse(&failed))))));
    let mut stream = responses.stream_request(request()).await.unwrap();
    stream.try_next().await.unwrap_err();
    let end = "1: end error incomplete typed: 0 events, * bytes, 3 tokens, Some(\"resp_2\")";
    assert_told(&log, &[REQUEST, "1: head 200", end]);
}

// Endpoints of others, who read bytes.

async fn answered(answer: Result<Response<AnyBody>, BoxError>) -> (Log, Response<AnyBody>) {
    let answer = std::sync::Mutex::new(Some(answer));
    let log = Log::default();
    let http = transport(move |_| answer.lock().unwrap().take().unwrap());
    let service = TelemetryLayer::new().observe(log.clone()).layer(http);
    let response = service.oneshot(get("https://x.test/files?sig=planted")).await.unwrap();
    assert_eq!(log.take().len(), 2);
    (log, response.map(|body| body.boxed_unsync()))
}

#[tokio::test]
async fn the_end_of_the_body_is_the_end_for_who_reads_bytes() {
    let (log, response) = answered(Ok(Response::new(full("{\"a\":1}")))).await;
    response.into_body().collect().await.unwrap();
    assert_told(&log, &["1: end complete: 0 events, 7 bytes, 0 tokens, None"]);

    // Who knows the length does not poll again, and who wants no body does not poll at all.
    let (log, mut response) = answered(Ok(Response::new(full("{\"a\":1}")))).await;
    response.body_mut().frame().await.unwrap().unwrap();
    assert_told(&log, &["1: end complete: 0 events, 7 bytes, 0 tokens, None"]);
    let (log, response) = answered(Ok(Response::new(full("")))).await;
    drop(response);
    assert_told(&log, &["1: end complete: 0 events, 0 bytes, 0 tokens, None"]);
}

#[tokio::test]
async fn bytes_that_are_not_read_to_the_end() {
    let (log, response) = answered(Ok(Response::new(full("{\"a\":1}")))).await;
    drop(response);
    assert_told(&log, &["1: end dropped: 0 events, 0 bytes, 0 tokens, None"]);

    let (log, response) = answered(Ok(status(404, "no"))).await;
    drop(response);
    assert_told(&log, &["1: end error not_found: 0 events, 0 bytes, 0 tokens, None"]);

    let (log, response) = answered(Ok(status(404, "no"))).await;
    response.into_body().collect().await.unwrap();
    assert_told(&log, &["1: end error not_found: 0 events, 2 bytes, 0 tokens, None"]);

    let (feed, body) = tokio::sync::mpsc::unbounded_channel();
    let body = tokio_stream_body(body);
    let (log, response) = answered(Ok(Response::new(body))).await;
    feed.send(std::io::Error::from(std::io::ErrorKind::ConnectionReset)).unwrap();
    response.into_body().collect().await.unwrap_err();
    assert_told(&log, &["1: end error transport: 0 events, 0 bytes, 0 tokens, None"]);
}

/// A body of errors.
fn tokio_stream_body(mut errors: tokio::sync::mpsc::UnboundedReceiver<std::io::Error>) -> AnyBody {
    let frames = futures_util::stream::poll_fn(move |cx| {
        errors.poll_recv(cx).map(|error| Some(Err(BoxError::from(error?))))
    });
    http_body_util::StreamBody::new(frames).boxed_unsync()
}

// Attempts.

#[tokio::test]
async fn attempts_are_told_between_request_and_head() {
    let statuses = std::sync::Mutex::new(vec![200, 401, 503]);
    let http = transport(move |request: &Request<_>| {
        let next = statuses.lock().unwrap().pop().unwrap();
        assert_eq!(request.body().as_bytes().map(|body| body.is_empty()), Some(false));
        Ok(if next == 200 { Response::new(full(answer())) } else { status(next, "") })
    });
    let log = Log::default();
    let own = Log::default();
    let attempts = AttemptLayer::new().observe(own.clone()).layer(http);
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new().observe(log.clone()))
        .layer(Again)
        .service(BoxCloneSyncService::new(attempts));
    let stream = Responses::new(stack).stream_request(request()).await.unwrap();
    assert_told(
        &log,
        &[
            REQUEST,
            "1: attempt 1/1 Status(503)",
            "1: attempt 2/2 Status(401)",
            "1: attempt 2/3 Status(200) again",
            "1: head 200",
        ],
    );
    assert_eq!(own.take().len(), 3);
    stream.final_response().await.unwrap();
    assert_eq!(log.take().len(), 5);
}

#[tokio::test]
async fn an_attempt_that_is_cancelled_ends_before_its_call() {
    let log = Log::default();
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new().observe(log.clone()))
        .layer(AttemptLayer::new())
        .service(transport(|_| unreachable!("it is dropped first")));
    let mut call = tokio_test::task::spawn(stack.oneshot(get("https://x.test/y")));
    assert!(call.poll().is_pending());
    drop(call);
    let told = log.take();
    assert_eq!(told[1], "1: attempt 1/1 Dropped");
    assert!(told[2].starts_with("1: end dropped"));
    assert_eq!(told.len(), 3);
}

// Who observes.

#[tokio::test]
async fn observers_are_put_together() {
    fn enabled(observer: impl Observe) -> bool {
        observer.is_enabled()
    }
    assert!(!enabled(()) && !enabled(None::<Log>) && !enabled(((), None::<Log>)));
    assert!(enabled(Log::default()) && enabled(((), (), Log::default())));
    assert!(!enabled(Arc::new(())) && !enabled(Box::new(()) as Box<dyn Observe>));

    let logs = [Log::default(), Log::default(), Log::default()];
    let [a, b, c] = logs.clone();
    let shared: Arc<dyn Observe> = Arc::new(b);
    let layer = TelemetryLayer::new().observe((a, ((), shared), Some(c)));
    let http = transport(|_| Ok(Response::new(full(answer()))));
    let responses = Responses::new(layer.layer(http));
    responses.stream_request(request()).await.unwrap().final_response().await.unwrap();
    for log in logs {
        assert_eq!(log.take().len(), 7);
    }
}

/// A credential may stand in any header: what the server quotes of it is told to nobody.
#[tokio::test]
async fn what_a_call_was_authorised_with_is_not_told() {
    const KEY: &str = "planted-opaque-4711";

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<String>>);

    impl Observe for Told {
        fn on_attempt(&self, _: &CallInfo, attempt: &AttemptInfo<'_>) {
            self.0.lock().unwrap().push_str(&format!("{attempt:?}"));
        }

        fn on_end(&self, _: &CallInfo, end: &CallEnd<'_>) {
            self.0.lock().unwrap().push_str(&format!("{end:?}"));
        }
    }

    let (trace, _guard) = Trace::start();
    let told = Told::default();
    let echo = transport(|request| {
        let key = request.headers()["x-gateway-key"].clone();
        let mut answer = Response::new(full(answer()));
        for name in ["openai-model", "x-request-id", "cf-ray"] {
            answer.headers_mut().insert(name, key.clone());
        }
        Ok(answer)
    });
    let auth = AuthLayer::new(HeaderCredentials::new("x-gateway-key", KEY).unwrap());
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::openai()))
        .layer(TelemetryLayer::new().observe(told.clone()))
        .layer(auth)
        .layer(AttemptLayer::new())
        .service(echo);
    drop(stack.oneshot(request()).await.unwrap());
    let told = told.0.lock().unwrap();
    assert!(told.matches("[redacted]").count() >= 3, "{told}");
    assert!(!told.contains(KEY) && !trace.text().contains(KEY), "{told} {}", trace.text());
}

/// A telemetry inside another hides nothing from it.
#[tokio::test]
async fn two_telemetries_hear_of_the_same_attempts() {
    let (outer, inner) = (Log::default(), Log::default());
    let first = std::sync::atomic::AtomicBool::new(true);
    let http = transport(move |_| {
        let first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        Ok(status(if first { 503 } else { 200 }, ""))
    });
    let attempts = AttemptLayer::new().layer(http);
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new().observe(outer.clone()))
        .layer(TelemetryLayer::new().observe(inner.clone()))
        .layer(RetryLayer::new(RetryPolicy::default().backoff([Duration::from_millis(1)])))
        .service(attempts);
    drop(stack.oneshot(get("https://x.test/y")).await.unwrap());
    let (outer, inner) = (outer.take(), inner.take());
    assert_eq!(outer, inner);
    assert!(outer.contains(&"1: attempt 2/2 Status(200)".to_owned()), "{outer:?}");
    assert!(outer.contains(&"1: retry status 503 after 1ms".to_owned()), "{outer:?}");
}
