//! What the endpoint above makes of what the layer hands on.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::{RetryLayer, RetryPolicy};
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::{BoxError, Error, ErrorKind, RequestBody, Stage};

use crate::support::{Answer, Scripted, answer, fails, ms, status};

/// The error of a call whose attempts end with these answers, and how many there were.
async fn error(answers: impl IntoIterator<Item = Answer>) -> (Error, usize) {
    let service = Scripted::new(answers);
    let http = service.clone();
    let bytes = service_fn(move |request: Request<RequestBody>| {
        let request = request.map(|body| body.as_bytes().cloned().unwrap());
        http.clone().oneshot(request)
    });
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(RetryLayer::new(RetryPolicy::default().backoff([ms(500), ms(1000)])))
        .service(bytes);
    let request = ResponsesRequest::new("gpt-5.2", "hello");
    let error = stack.oneshot(request).await.map(drop).unwrap_err();
    (error, service.calls())
}

#[tokio::test(start_paused = true)]
async fn row_21_a_usage_limit_is_told_whole_after_one_attempt() {
    let body = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached",
        "plan_type":"plus","resets_at":1704069000}}"#;
    let (error, calls) = error([answer(429, &[("retry-after", "1")], body)]).await;
    assert_eq!((error.kind(), calls), (ErrorKind::UsageLimit, 1));
    assert_eq!((error.plan_type(), error.resets_at()), (Some("plus"), Some(1_704_069_000)));
    assert_eq!(error.body(), body, "the body that was read ahead is there");
    assert!(error.attempts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn row_22_a_quota_is_told_whole_after_one_attempt() {
    let body =
        r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}"#;
    let (error, calls) = error([answer(429, &[("x-request-id", "req_1")], body)]).await;
    assert_eq!((error.kind(), calls), (ErrorKind::Quota, 1));
    assert_eq!(error.message(), "You exceeded your current quota");
    assert_eq!((error.request_id(), error.status().unwrap().as_u16()), (Some("req_1"), 429));
}

#[tokio::test(start_paused = true)]
async fn a_hint_above_the_limit_is_carried_by_the_error() {
    let (error, calls) = error([answer(429, &[("retry-after", "3600")], "")]).await;
    assert_eq!((error.kind(), calls), (ErrorKind::RateLimited, 1));
    assert_eq!(error.retry_after().unwrap().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_and_all_attempts_are_told() {
    let last = answer(503, &[("x-request-id", "req_3")], r#"{"error":{"message":"third"}}"#);
    let (error, calls) = error([status(500), fails("reset"), last]).await;
    assert_eq!((error.kind(), error.message(), calls), (ErrorKind::Server, "third", 3));
    assert_eq!(error.request_id(), Some("req_3"));
    let attempts: Vec<_> = error.attempts().iter().map(ToString::to_string).collect();
    assert_eq!(
        attempts,
        [
            "attempt 1: status 500, then 500ms",
            "attempt 2: transport, then 1s",
            "attempt 3: status 503",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_error_and_all_attempts_are_told() {
    let reset = || io::Error::new(io::ErrorKind::ConnectionReset, "the peer hung up");
    let (error, calls) = error([status(500), status(500), fails(reset())]).await;
    assert_eq!((error.kind(), calls), (ErrorKind::Transport, 3));
    let alone = Error::from(BoxError::from(reset()));
    let lines = |error: &Error| error.chain().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(lines(&error), lines(&alone), "as if there were no layer between");
    assert_eq!(error.attempts().len(), 3);
    assert_eq!(error.attempts()[2].error_kind(), Some(ErrorKind::Transport));
}

/// A layer between that wraps errors does not hide the attempts.
#[tokio::test(start_paused = true)]
async fn attempts_are_found_under_other_errors() {
    #[derive(Debug)]
    struct Wrapped(BoxError);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&*self.0)
        }
    }

    let refused = service_fn(|_: Request<Bytes>| async {
        Err::<Response<Full<Bytes>>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    let error = RetryLayer::default().layer(refused).oneshot(Request::default()).await.unwrap_err();
    let error = Error::from(BoxError::from(Wrapped(error)));
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::Connect, 3));
}

/// What the server names by its code is tried again here, as the reference and the SDKs do, and is
/// then not worth another try for the caller.
#[tokio::test(start_paused = true)]
async fn row_24_an_overload_is_tried_again_and_then_told() {
    let slow = || answer(503, &[], r#"{"error":{"code":"server_is_overloaded","message":"m"}}"#);
    let (error, calls) = error([slow(), slow(), slow()]).await;
    assert_eq!((error.kind(), calls), (ErrorKind::Overloaded, 3));
    assert!(!error.is_retryable());
}

/// What an earlier attempt sent is sent, even if the last one reached nobody.
#[tokio::test(start_paused = true)]
async fn nothing_was_sent_only_if_no_attempt_sent_anything() {
    let refused = || fails(io::Error::from(io::ErrorKind::ConnectionRefused));
    let reset = || fails(io::Error::from(io::ErrorKind::ConnectionReset));
    for (first, second, stage) in [
        (refused(), refused(), Stage::NotSent),
        (status(504), refused(), Stage::Sent),
        (refused(), status(504), Stage::Sent),
        (reset(), refused(), Stage::Unknown),
        (reset(), status(504), Stage::Sent),
    ] {
        let (error, calls) = error([first, second, refused()]).await;
        assert_eq!((error.stage(), error.kind(), calls), (stage, ErrorKind::Connect, 3));
    }
    let (error, _) = error([status(504), status(504), status(400)]).await;
    assert_eq!(error.stage(), Stage::Sent);
}

/// Answers once with 503, and then sheds its load before it is ready.
#[derive(Clone, Default)]
struct ReadyOnce(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Service<Request<RequestBody>> for ReadyOnce {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let again = self.0.swap(true, std::sync::atomic::Ordering::Relaxed);
        let shed = || tower::load_shed::error::Overloaded::new().into();
        Poll::Ready(if again { Err(shed()) } else { Ok(()) })
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        ready(Ok(Response::builder().status(503).body(Full::default()).unwrap()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_again_makes_no_attempt() {
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(RetryLayer::new(RetryPolicy::default().backoff([ms(500)])))
        .service(ReadyOnce::default());
    let error = stack.oneshot(ResponsesRequest::new("gpt-5.2", "hello")).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::Sent));
    let attempts: Vec<_> = error.attempts().iter().map(ToString::to_string).collect();
    assert_eq!(attempts, ["attempt 1: status 503, then 500ms"]);
}
