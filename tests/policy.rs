//! Per-endpoint policies of the preset, over one transport.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use tokio::time::{Instant, timeout};
use tower::service_fn;
use tower_openai::client::{Client, ClientBuilder, Policy};
use tower_openai::extensions::RetryOverride;
use tower_openai::layers::retry::{Action, Outcome, TokenBucket, classify_fn};
use tower_openai::layers::{RetryPolicy, TelemetryLayer};
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::{Error, ErrorKind, RequestBody};

fn policy(json: &str) -> Policy {
    serde_json::from_str(json).unwrap()
}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "hello")
}

/// A body that says one thing and then nothing.
struct Silent(Option<Bytes>);

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Poll::Pending,
        }
    }
}

const DELTA: &str = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n";

/// A client whose transport counts calls and answers with `status` and a body that goes silent.
fn client(status: u16, configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> (Client, Calls) {
    let calls = Calls::default();
    let counted = calls.clone();
    let transport = service_fn(move |_: Request<RequestBody>| {
        counted.0.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(Silent(Some(DELTA.into())));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    let builder = Client::builder().api_key("sk-test").transport(transport);
    (configure(builder).build().unwrap(), calls)
}

#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

const TWO: &str = r#"{
    "resume": {"max_in_a_row": 3, "total_ms": 60000, "base_ms": 1000, "jitter": [1.0, 1.0]},
    "default": {"retry": {"max_retries": 0}, "timeouts": {"idle_ms": 0, "progress_ms": 90000}},
    "responses": {"retry": {"max_retries": 3}, "timeouts": {"idle_ms": 5000}, "max_in_flight": 1}
}"#;

#[tokio::test(start_paused = true)]
async fn two_endpoints_over_one_transport_keep_their_own_retries() {
    let (client, calls) = client(503, |builder| builder.policy(policy(TWO)));
    let error = client.responses().stream_request(request()).await.unwrap_err();
    assert_eq!((error.kind(), calls.take()), (ErrorKind::Server, 4));
    assert_eq!(error.attempts().len(), 4);

    let other = Responses::new(client.http());
    let error = other.stream_request(request()).await.unwrap_err();
    assert_eq!((error.kind(), calls.take()), (ErrorKind::Server, 1));
}

#[tokio::test(start_paused = true)]
async fn two_endpoints_over_one_transport_keep_their_own_clocks() {
    let (client, _) = client(200, |builder| builder.policy(policy(TWO)));
    let ended = async |responses: Responses<_>| -> (Error, u64) {
        let start = Instant::now();
        let stream = responses.stream_request(request()).await.unwrap();
        let error = stream.text().collect().await.unwrap_err();
        (error, start.elapsed().as_secs())
    };
    let (error, seconds) = ended(client.responses()).await;
    assert_eq!((error.kind(), seconds), (ErrorKind::IdleTimeout, 5));

    // Its own idle clock is off, and the clock of the endpoint is the default policy's.
    let settings = tower_openai::sse::StreamSettings::default();
    let other = Responses::new(client.http()).settings(settings);
    let (error, seconds) = ended(other).await;
    assert_eq!((error.kind(), seconds), (ErrorKind::ProgressTimeout, 300));
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_events_is_that_of_the_policy() {
    let told = policy(r#"{"responses": {"timeouts": {"idle_ms": 0, "progress_ms": 90000}}}"#);
    let (client, _) = client(200, |builder| builder.policy(told));
    let start = Instant::now();
    let stream = client.responses().stream_request(request()).await.unwrap();
    let error = stream.text().collect().await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed().as_secs()), (ErrorKind::ProgressTimeout, 90));
}

#[tokio::test(start_paused = true)]
async fn two_endpoints_over_one_transport_keep_their_own_limits() {
    let (client, _) = client(200, |builder| builder.policy(policy(TWO)));
    let (responses, other) = (client.responses(), Responses::new(client.http()));
    let first = responses.stream_request(request()).await.unwrap();
    let second = timeout(Duration::from_secs(1), responses.stream_request(request())).await;
    assert!(second.is_err(), "the first stream is open");
    let others = [other.stream_request(request()).await, other.stream_request(request()).await];
    assert!(others.iter().all(Result::is_ok), "no limit there");
    drop(first);
    drop(responses.stream_request(request()).await.unwrap());
}

/// The limit of the whole call begins when there is a place for it; what is said of that helps.
#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_has_no_limit_unless_the_caller_sets_one() {
    const ONE: &str = r#"{"default": {"max_in_flight": 1, "timeouts": {"total_ms": 1000}}}"#;
    let (plain, _) = client(200, |builder| builder.policy(policy(ONE)));
    let held = plain.responses().stream_request(request()).await.unwrap();
    let waiting = plain.responses().stream_request(request());
    assert!(timeout(Duration::from_secs(60), waiting).await.is_err(), "it waits on");
    drop(held);

    let (shedding, _) = client(200, |builder| {
        builder.policy(policy(ONE)).layer(tower::load_shed::LoadShedLayer::new())
    });
    let held = shedding.responses().stream_request(request()).await.unwrap();
    let error = shedding.responses().stream_request(request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    drop(held);
    assert!(shedding.responses().stream_request(request()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_retry_budget_is_shared_by_all_endpoints() {
    let budget = Arc::new(TokenBucket::new(28, 14, 5).unwrap());
    let shared = Arc::clone(&budget);
    let (client, calls) = client(500, |builder| builder.retry_budget(shared));
    for expected in [3, 1] {
        client.responses().stream_request(request()).await.unwrap_err();
        assert_eq!(calls.take(), expected);
    }
    Responses::new(client.http()).stream_request(request()).await.unwrap_err();
    assert_eq!((calls.take(), budget.tokens()), (1, 0));
}

/// A provider that is down is asked once per call and a few times more, however many calls there are.
#[tokio::test(start_paused = true)]
async fn row_57_a_retry_storm_stays_within_the_budget() {
    const CALLS: usize = 1000;
    // What `TokenBucket::default` has, and what a retry after such an answer takes of it.
    for (status, retries) in [(500, 500 / 14), (503, 500 / 14), (429, 500 / 5)] {
        let (client, calls) = client(status, |builder| builder);
        let responses = client.responses();
        let storm = (0..CALLS).map(|_| responses.stream_request(request()));
        for result in futures_util::future::join_all(storm).await {
            assert_eq!(result.map(drop).unwrap_err().status().unwrap(), status);
        }
        assert_eq!(calls.take(), CALLS + retries, "{status}");
        // It stays that way for as long as no call succeeds.
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            responses.stream_request(request()).await.map(drop).unwrap_err();
        }
        assert_eq!(calls.take(), 10, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn layers_see_calls_and_attempt_layers_see_attempts() {
    let seen = Calls::default();
    let (outer, inner) = (Calls::default(), seen.clone());
    let counted = outer.clone();
    let (client, calls) = client(503, |builder| {
        builder
            .layer(tower::util::MapRequestLayer::new(move |request: Request<RequestBody>| {
                assert_eq!(request.uri(), "/responses");
                counted.0.fetch_add(1, Ordering::SeqCst);
                request
            }))
            .attempt_layer(tower::util::MapRequestLayer::new(
                move |request: Request<RequestBody>| {
                    assert_eq!(request.uri(), "https://api.openai.com/v1/responses");
                    assert!(request.headers().contains_key("authorization"));
                    inner.0.fetch_add(1, Ordering::SeqCst);
                    request
                },
            ))
    });
    client.responses().stream_request(request()).await.unwrap_err();
    assert_eq!((outer.take(), seen.take(), calls.take()), (1, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn the_builder_s_number_of_retries_is_for_policies_that_say_nothing() {
    for (json, attempts) in [
        ("{}", 2),
        (r#"{"default": {"retry": {"max_retries": 2}}}"#, 3),
        (r#"{"responses": {"retry": {"max_retries": 2}}}"#, 3),
        (r#"{"default": {"retry": {"preset": "none"}}}"#, 1),
        (r#"{"responses": {"retry": {"preset": "codex"}}}"#, 5),
    ] {
        let configure = |builder: ClientBuilder| builder.policy(policy(json)).max_retries(1);
        let (client, calls) = client(503, configure);
        client.responses().stream_request(request()).await.unwrap_err();
        assert_eq!(calls.take(), attempts, "{json}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_rules_of_the_caller_s_are_for_policies_that_say_nothing() {
    let rules = || {
        let last = classify_fn(|outcome: &Outcome<'_>| match outcome.status() {
            Some(StatusCode::BAD_GATEWAY) => Action::Forbid,
            _ => Action::Pass,
        });
        RetryPolicy::default().max_retries(1).classify(last)
    };
    for (status, json, attempts) in [
        (502, "{}", 1),
        (503, "{}", 2),
        (502, r#"{"responses": {"retry": {"max_retries": 2}}}"#, 3),
    ] {
        let configure = |builder: ClientBuilder| builder.policy(policy(json)).retry_policy(rules());
        let (client, calls) = client(status, configure);
        client.responses().stream_request(request()).await.unwrap_err();
        assert_eq!(calls.take(), attempts, "{status} {json}");
    }
    let error = Client::builder().max_retries(1).retry_policy(rules()).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
}

#[tokio::test(start_paused = true)]
async fn a_request_says_its_own_number_of_retries() {
    let (client, calls) = client(503, |builder| builder);
    let own = RetryOverride::new().retry_5xx(false);
    for (request, attempts) in [
        (request(), 3),
        (request().max_retries(0), 1),
        (request().max_retries(4), 5),
        (request().extension(own).max_retries(4), 1),
    ] {
        client.responses().stream_request(request).await.unwrap_err();
        assert_eq!(calls.take(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_says_its_own_limits_of_time() {
    let (client, _) = client(200, |builder| builder);
    let limit = Duration::from_secs(7);
    for (request, kind) in [
        (request().total_timeout(limit), ErrorKind::TotalTimeout),
        (request().idle_timeout(limit), ErrorKind::IdleTimeout),
        (request().progress_timeout(limit), ErrorKind::ProgressTimeout),
    ] {
        let started = Instant::now();
        let stream = client.responses().stream_request(request).await.unwrap();
        let error = stream.text().collect().await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (kind, limit));
        assert!(error.is_timeout());
    }
}

#[test]
fn a_policy_is_a_file() {
    let policy = policy(TWO);
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    for bad in [
        r#"{"response": {}}"#,
        r#"{"default": {"retries": 1}}"#,
        r#"{"default": {"max_in_flight": 0}}"#,
        r#"{"default": {"compression": "brotli"}}"#,
        r#"{"default": {"timeouts": {"head": 1}}}"#,
        r#"{"resume": {"max_retries": 1}}"#,
    ] {
        assert!(serde_json::from_str::<Policy>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_policy_that_cannot_be_is_an_error_of_build() {
    for json in [r#"{"responses": {"retry": {"base_ms": 0}}}"#, r#"{"resume": {"factor": 0.5}}"#] {
        let error = Client::builder().policy(policy(json)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build, "{json}");
    }
}

/// The stream of a response that is stored, and breaks off whenever it is asked for.
#[tokio::test(start_paused = true)]
async fn a_policy_says_how_streams_are_resumed() {
    const CREATED: &str = concat!(
        r#"data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1"}}"#,
        "\n\n"
    );
    for (json, tries, seconds) in [
        (r#"{"resume": {"max_in_a_row": 0}}"#, 0, 0),
        (TWO, 3, 1 + 2 + 4),
        (r#"{"resume": {"total_ms": 4000, "base_ms": 1000, "jitter": [1, 1]}}"#, 2, 1 + 2),
    ] {
        let calls = Calls::default();
        let counted = calls.clone();
        let transport = service_fn(move |_: Request<RequestBody>| {
            counted.0.fetch_add(1, Ordering::SeqCst);
            let body = http_body_util::Full::new(Bytes::from_static(CREATED.as_bytes()));
            async { Ok::<_, Infallible>(Response::new(body)) }
        });
        let client = Client::builder().transport(transport).policy(policy(json)).build().unwrap();
        let start = Instant::now();
        let stream = client.resuming_responses().stream_request(request()).await.unwrap();
        let error = stream.text().collect().await.unwrap_err();
        assert_eq!((error.kind(), calls.take()), (ErrorKind::Truncated, 1 + tries), "{json}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{json}");
    }
}

#[test]
fn explain_tells_the_stack_outside_in_and_no_secret() {
    let client = Client::builder()
        .base_url("https://api.example.com/v1?key=sk-query")
        .api_key("sk-explained")
        .policy(policy(TWO))
        .connect_timeout(Duration::from_secs(1))
        .layer(tower::layer::util::Identity::new())
        .build()
        .unwrap();
    let text = client.explain().to_string();
    let (responses, others) = text.split_once("\ncompact, ").unwrap();
    let (_, other) = others.split_once("any other call\n").unwrap();
    let names: Vec<_> =
        responses.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(
        names,
        [
            "(between",
            "(yours)",
            "ProviderLayer",
            "TelemetryLayer",
            "TotalTimeoutLayer",
            "CompressionLayer",
            "RetryLayer",
            "(retry",
            "InFlightLimitLayer",
            "RateLimitLayer",
            "AuthLayer",
            "AttemptLayer",
            "DecompressionLayer",
            "HeadTimeoutLayer",
            "IdleTimeoutLayer",
            "transport",
        ]
    );
    assert!(responses.contains("3 retries") && other.contains("no retries"), "{text}");
    assert!(responses.contains("1 at once") && responses.contains("5s"), "{text}");
    assert!(text.contains("https://api.example.com/v1"), "{text}");
    assert!(!text.contains("sk-"), "{text}");
    assert!(text.contains("a token bucket") && !text.contains("with content"), "{text}");

    let client = Client::builder()
        .telemetry(TelemetryLayer::new().record_content(true))
        .observe(())
        .retry_budget(Arc::new(TokenBucket::default()))
        .build()
        .unwrap();
    let text = client.explain().to_string();
    assert!(text.contains("spans with content, and an observer"), "{text}");
    assert!(text.contains("from `retry_budget`"), "{text}");
}
