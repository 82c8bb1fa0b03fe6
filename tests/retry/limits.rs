//! What ends retrying, and what a request can change.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, Request};
use tokio::time::{Instant, timeout};
use tower::{Layer, ServiceExt, service_fn};
use tower_openai::extensions::{Deadline, RetryOverride};
use tower_openai::layers::retry::{ExponentialBackoff, FromBackoff, TokenBucket};
use tower_openai::layers::{RetryLayer, RetryPolicy};
use tower_openai::{BoxError, ErrorKind};

use crate::support::{
    Body, Run, Scripted, answer, attempts, body, fails, ms, post, run, run_request, status,
};

fn with<T: Clone + Send + Sync + 'static>(extension: T) -> Request<bytes::Bytes> {
    let mut request = post();
    request.extensions_mut().insert(extension);
    request
}

fn steady() -> RetryPolicy {
    RetryPolicy::default().backoff([ms(500), ms(1000), ms(2000)])
}

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_and_equal() {
    let run = run(steady(), [status(503), status(500), status(200)]).await;
    assert_eq!(run.status(), 200);
    let numbers: Vec<_> = run.seen.iter().map(|seen| seen.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(run.seen.iter().all(|seen| seen.body == "the same body" && seen.headers.is_empty()));
    assert_eq!(run.delays(), [ms(500), ms(1000)]);
    let told: Vec<_> = run.attempts.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "attempt 1: status 503, then 500ms",
            "attempt 2: status 500, then 1s",
            "attempt 3: status 200",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_kept_with_the_attempts_before() {
    let refused = || fails(io::Error::from(io::ErrorKind::ConnectionRefused));
    let Run { result, attempts, .. } = run(steady(), [status(503), refused(), refused()]).await;
    let kinds: Vec<_> = attempts.iter().map(|one| (one.status(), one.error_kind())).collect();
    let (busy, connect) = (http::StatusCode::SERVICE_UNAVAILABLE, Some(ErrorKind::Connect));
    assert_eq!(kinds, [(Some(busy), None), (None, connect), (None, connect)]);
    assert_eq!(attempts[2].delay(), None);

    let error = result.unwrap_err();
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
    assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "attempt 3 failed, and it was the last one");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_retried_ends_as_if_there_were_no_layer() {
    let run = run(steady(), [fails(tower_openai::Error::from(BoxError::from("x")))]).await;
    assert_eq!(run.seen.len(), 2, "an unknown error of a transport is worth another try");

    let Run { result, attempts, .. } = self::run(steady(), [fails(io::Error::other("x"))]).await;
    assert_eq!((result.unwrap().status().as_u16(), attempts.len()), (200, 2));

    let overloaded = tower::load_shed::error::Overloaded::new();
    let Run { result, attempts, seen } = self::run(steady(), [fails(overloaded)]).await;
    assert!(result.unwrap_err().is::<tower::load_shed::error::Overloaded>(), "not wrapped");
    assert_eq!((attempts.len(), seen.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn retrying_ends_where_the_schedule_ends() {
    let policy = RetryPolicy::default().max_retries(9).backoff(vec![ms(1), ms(2)]);
    let run = run(policy, (0..9).map(|_| status(503))).await;
    assert_eq!((run.status(), run.delays()), (503, vec![ms(1), ms(2)]));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_the_backoff_crate_drives_it() {
    let schedule = FromBackoff::new(|| backoff::ExponentialBackoff {
        initial_interval: ms(100),
        current_interval: ms(100),
        multiplier: 3.0,
        randomization_factor: 0.0,
        ..backoff::ExponentialBackoff::default()
    });
    let policy = RetryPolicy::default().max_retries(3).backoff(schedule);
    for _ in 0..2 {
        let run = run(policy.clone(), (0..9).map(|_| status(503))).await;
        assert_eq!(run.delays(), [ms(100), ms(300), ms(900)], "each call starts anew");
    }
    let ended = FromBackoff::new(|| backoff::backoff::Stop {});
    let run = run(RetryPolicy::default().backoff(ended), [status(503)]).await;
    assert_eq!((run.status(), run.seen.len()), (503, 1));
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_delays_repeat() {
    let policy = RetryPolicy::default().backoff(ExponentialBackoff::default().seed(42));
    let one = run(policy.clone(), [status(503), status(503)]).await.delays();
    let two = run(policy, [status(503), status(503)]).await.delays();
    assert_eq!(one, two);
    assert!(one[0] > ms(375) && one[1] > ms(750), "{one:?}");
}

/// A wait that would end at the deadline or later is not begun.
#[tokio::test(start_paused = true)]
async fn nothing_sleeps_past_the_deadline() {
    for (left, retries) in [(499, 0), (500, 0), (501, 1), (1500, 1), (1501, 2), (9999, 2)] {
        let start = Instant::now();
        let request = with(Deadline::at(start + ms(left)));
        let run = run_request(steady(), request, (0..3).map(|_| status(503))).await;
        assert_eq!((run.status(), run.seen.len()), (503, retries + 1), "{left} ms left");
        assert!(start.elapsed() < ms(left));
    }
    let request = with(Deadline::at(Instant::now() + ms(2000)));
    let run = run_request(steady(), request, [answer(429, &[("retry-after", "3")], "")]).await;
    assert_eq!((run.status(), run.seen.len()), (429, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_can_override_the_policy() {
    let plain = RetryOverride::new;
    let hint = |seconds| answer(503, &[("retry-after", seconds)], "");
    let calls = async |policy, own: RetryOverride, first| {
        let run = run_request(policy, with(own), [first, status(503), status(503)]).await;
        run.seen.len()
    };
    assert_eq!(calls(steady(), plain(), status(503)).await, 3);
    assert_eq!(calls(steady(), plain().max_retries(0), status(503)).await, 1);
    assert_eq!(calls(steady(), plain().max_retries(3), status(503)).await, 4);
    assert_eq!(calls(RetryPolicy::none(), plain().max_retries(1), status(503)).await, 2);
    assert_eq!(calls(steady(), plain().retry_5xx(false), status(503)).await, 1);
    assert_eq!(calls(steady(), plain().retry_5xx(false), status(429)).await, 2);
    assert_eq!(calls(steady(), plain().retry_429(false), status(429)).await, 1);
    assert_eq!(calls(steady(), plain().retry_transport(false), fails("x")).await, 1);
    assert_eq!(calls(steady(), plain(), hint("61")).await, 1);
    assert_eq!(calls(steady(), plain().max_hint(ms(61_000)), hint("61")).await, 3);
    assert_eq!(calls(steady(), plain().honour_hints(false), hint("61")).await, 3);
    assert_eq!(calls(RetryPolicy::codex(), plain(), status(429)).await, 1);

    // The body is looked at where the request turns a status on.
    let quota = || answer(429, &[], r#"{"error":{"code":"insufficient_quota"}}"#);
    let on = plain().retry_429(true);
    assert_eq!(calls(RetryPolicy::codex(), on, status(429)).await, 4);
    assert_eq!(calls(RetryPolicy::codex(), on, quota()).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_header_can_count_retries() {
    let policy = steady().attempt_header(HeaderName::from_static("x-tries"));
    let run = run(policy, [status(503), status(503)]).await;
    let sent: Vec<_> = run.seen.iter().map(|seen| seen.headers.get("x-tries").cloned()).collect();
    assert_eq!(sent, [None, Some(1.into()), Some(2.into())]);
}

#[test]
fn statuses_that_are_no_failures_are_refused() {
    for code in [100, 200, 304, 399, 600] {
        let status = http::StatusCode::from_u16(code).unwrap();
        let error = RetryPolicy::default().retry_statuses([status]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.to_string().contains(&code.to_string()), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_statuses_can_be_chosen() {
    let teapot = http::StatusCode::IM_A_TEAPOT;
    let policy = || steady().retry_statuses([teapot]).unwrap();
    assert_eq!(run(policy(), [status(418)]).await.seen.len(), 2);
    assert_eq!(run(policy(), [status(503)]).await.seen.len(), 1);
}

/// A budget is shared by all layers that are given it, calls of one layer included.
#[tokio::test(start_paused = true)]
async fn one_budget_serves_two_layers() {
    let bucket = Arc::new(TokenBucket::new(25, 10, 5).unwrap());
    let policy = || steady().max_retries(3).budget(bucket.clone());
    let first = run(policy(), (0..4).map(|_| status(503))).await;
    assert_eq!((first.seen.len(), bucket.tokens()), (3, 5));

    // Not enough for a failure, enough for throttling.
    assert_eq!(run(policy(), [status(503)]).await.seen.len(), 1);
    let throttled = run(policy(), [status(429), status(429)]).await;
    assert_eq!((throttled.seen.len(), throttled.status()), (2, 429));
    assert_eq!(bucket.tokens(), 0);

    // Calls that succeed at once fill it, whichever layer they go through.
    for layer in [RetryLayer::new(policy()), RetryLayer::new(policy())] {
        for _ in 0..5 {
            layer.layer(Scripted::default()).oneshot(post()).await.unwrap();
        }
    }
    assert_eq!(bucket.tokens(), 10);
    assert_eq!(run(policy(), [status(503)]).await.status(), 200);
    assert_eq!(bucket.tokens(), 10, "what the retry took is given back");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_ends_the_wait() {
    let service = Scripted::new([status(503)]);
    let call = RetryLayer::new(steady()).layer(service.clone()).oneshot(post());
    assert!(timeout(ms(400), call).await.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(service.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_the_attempt() {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let dropped = Arc::new(AtomicUsize::new(0));
    let count = dropped.clone();
    let hangs = service_fn(move |_: Request<bytes::Bytes>| {
        let guard = Guard(count.clone());
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
            Ok::<_, BoxError>(http::Response::<Body>::new(body("")))
        }
    });
    let call = RetryLayer::new(steady()).layer(hangs).oneshot(post());
    assert!(timeout(ms(10), call).await.is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

/// Long calls keep the last attempts only.
#[tokio::test(start_paused = true)]
async fn the_list_of_attempts_is_bounded() {
    let policy = RetryPolicy::default().max_retries(200).backoff(std::iter::repeat(ms(1)));
    let service = Scripted::new((0..500).map(|_| status(503)));
    let result = RetryLayer::new(policy).layer(service.clone()).oneshot(post()).await;
    let attempts = attempts(&result);
    assert_eq!((service.calls(), attempts.len()), (201, 64));
    assert_eq!((attempts[0].number(), attempts[63].number()), (138, 201));
}
