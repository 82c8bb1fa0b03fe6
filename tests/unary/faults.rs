//! Every way in which an answer that is no stream can go wrong.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::{AuthLayer, Bearer, RetryLayer, RetryPolicy, TotalTimeoutLayer};
use tower_openai::services::{Compact, CompactRequest};
use tower_openai::{BoxError, Error, ErrorKind, RequestBody, Stage};

use crate::support::{Feed, Header, once, response, whole};

fn request() -> CompactRequest {
    CompactRequest::new("m", "hi")
}

/// A body of nothing but empty frames, which never ends, and how many were read.
struct Empties(Arc<AtomicUsize>);

impl Body for Empties {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

#[tokio::test(start_paused = true)]
async fn empty_frames_are_read_in_turns() {
    for (status, kind) in [(200, ErrorKind::TotalTimeout), (503, ErrorKind::Server)] {
        let frames = Arc::new(AtomicUsize::new(0));
        let (http, _) = once(response(status, &[], Empties(Arc::clone(&frames))));
        let http = TotalTimeoutLayer::new(Duration::from_secs(60)).layer(http);
        let compact = Compact::new(http);
        let mut call = tokio_test::task::spawn(compact.send(request()));
        let start = Instant::now();
        let error = loop {
            let before = frames.load(Ordering::Relaxed);
            match call.poll() {
                Poll::Ready(result) => break result.unwrap_err(),
                Poll::Pending => assert!(call.is_woken(), "{status}"),
            }
            assert!(frames.load(Ordering::Relaxed) - before <= 64, "others have their turn");
            tokio::time::advance(Duration::from_millis(500)).await;
        };
        // A refusal is read for 10 s, an answer for as long as the call may take.
        let longest = if status == 200 { 61 } else { 12 };
        assert!(start.elapsed().as_secs() <= longest, "{status}: {:?}", start.elapsed());
        assert_eq!(error.kind(), kind);
    }
}

const REQUEST_ID: Header = ("x-request-id", "req_1");

/// The error of an answer.
async fn failing(status: u16, headers: &[Header], body: impl Into<Bytes>) -> Error {
    let (http, _) = once(whole(status, headers, body));
    Compact::new(http).send(request()).await.unwrap_err()
}

#[tokio::test]
async fn each_failing_status_has_its_kind() {
    let coded = |code: &str| format!(r#"{{"error":{{"message":"m","code":"{code}"}}}}"#);
    let typed = |kind: &str| format!(r#"{{"error":{{"message":"m","type":"{kind}"}}}}"#);
    let image = "The image data you provided does not represent a valid image".to_owned();
    let plain = String::new;
    for (status, body, kind, retryable) in [
        (503, coded("server_is_overloaded"), ErrorKind::Overloaded, false),
        (503, coded("slow_down"), ErrorKind::Overloaded, false),
        (400, coded("misalignment_policy_violation"), ErrorKind::Policy, false),
        (403, coded("misalignment_policy_violation"), ErrorKind::Policy, false),
        (400, coded("cyber_policy"), ErrorKind::Policy, false),
        (400, image, ErrorKind::InvalidRequest, false),
        (400, "raw".into(), ErrorKind::InvalidRequest, false),
        (400, coded("context_length_exceeded"), ErrorKind::ContextWindow, false),
        (500, plain(), ErrorKind::Server, true),
        (429, typed("usage_limit_reached"), ErrorKind::UsageLimit, false),
        (429, typed("usage_not_included"), ErrorKind::UsageNotIncluded, false),
        (429, "<html>".into(), ErrorKind::RateLimited, true),
        (401, plain(), ErrorKind::Auth, false),
        (403, plain(), ErrorKind::Permission, false),
        (404, plain(), ErrorKind::NotFound, false),
        (408, plain(), ErrorKind::Timeout, true),
        (409, plain(), ErrorKind::Conflict, true),
        (413, plain(), ErrorKind::TooLarge, false),
        (422, plain(), ErrorKind::InvalidRequest, false),
        (502, plain(), ErrorKind::Server, true),
        (503, plain(), ErrorKind::Server, true),
        (504, plain(), ErrorKind::Server, true),
        (301, plain(), ErrorKind::Protocol, false),
        (304, plain(), ErrorKind::Protocol, false),
    ] {
        let error = failing(status, &[REQUEST_ID], body.clone()).await;
        let found = (error.kind(), error.is_retryable(), error.stage());
        assert_eq!(found, (kind, retryable, Stage::Sent), "{status} {body}");
        assert_eq!(error.status().unwrap(), status);
        assert_eq!((error.request_id(), error.body()), (Some("req_1"), &Bytes::from(body)));
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_facts_of_its_head() {
    let json = base64::prelude::BASE64_STANDARD.encode(r#"{"error":{"code":"token_expired"}}"#);
    let json: &'static str = json.leak();
    let headers = [("x-error-json", json), ("x-oai-request-id", "req_2"), ("cf-ray", "ray_1")];
    let error = failing(401, &headers, "").await;
    assert_eq!(error.code(), Some("token_expired"));
    assert_eq!((error.request_id(), error.cf_ray()), (Some("req_2"), Some("ray_1")));
    let headers = [
        ("x-codex-active-limit", "codex_other"),
        ("x-codex-other-limit-name", "codex_other"),
        ("x-codex-other-primary-used-percent", "100"),
        ("retry-after", "2"),
    ];
    let error = failing(429, &headers, r#"{"error":{"type":"usage_limit_reached"}}"#).await;
    assert_eq!(error.rate_limits()[0].limit_name.as_deref(), Some("codex_other"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_read_to_64_kib_and_for_10_seconds() {
    let (feed, body) = Feed::new();
    let (http, _) = once(response(500, &[], body));
    let call = tokio::spawn(Compact::new(http).send(request()));
    feed.text(vec![b'x'; 64 * 1024]);
    feed.text(vec![b'y'; 1024]);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.body().len()), (ErrorKind::Server, 64 * 1024));
    assert!(feed.is_closed());

    let start = Instant::now();
    let (feed, body) = Feed::new();
    feed.text("half a");
    let (http, _) = once(response(500, &[], body));
    let error = Compact::new(http).send(request()).await.unwrap_err();
    assert_eq!((error.kind(), &error.body()[..]), (ErrorKind::Server, &b"half a"[..]));
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(feed.is_closed());
}

#[tokio::test]
async fn what_is_not_json_is_told_with_endpoint_type_and_ids() {
    for (body, words) in [
        ("<html>gateway</html>", ["is not JSON", "text/html"]),
        ("", ["is not JSON", "0 bytes"]),
        ("  \n", ["is not JSON", "3 bytes"]),
        ("data: {}\n\n", ["is not JSON", "`compact`"]),
        ("\u{0}\u{1}", ["is not JSON", "check the base URL"]),
    ] {
        let headers = [REQUEST_ID, ("cf-ray", "ray_1"), ("content-type", "text/html")];
        let error = failing(200, &headers, body).await;
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Protocol, Stage::Streaming));
        assert_eq!(error.status().unwrap(), 200);
        assert_eq!((error.request_id(), error.cf_ray()), (Some("req_1"), Some("ray_1")));
        assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
        assert_eq!(&error.body()[..], body.as_bytes());
        assert!(!error.is_retryable());
    }
}

/// As without a `DecompressionLayer`, or with one that was built for other encodings.
#[tokio::test]
async fn what_nothing_has_decoded_is_told() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xab\xae\x05\0\x43\xbf\xa6\xa3";
    for status in [200, 400, 500] {
        let error = failing(status, &[("content-encoding", "gzip")], gzip.to_vec()).await;
        assert!(error.message().contains("encoded as `gzip`"), "{error}");
        assert!(error.message().contains("`DecompressionLayer`"), "{error}");
        // One that was decoded, and whose header has stayed.
        let json = r#"{"error":{"message":"m"}}"#;
        let error = failing(status, &[("content-encoding", "gzip")], json).await;
        assert_eq!(error.message(), "m");
        let error = failing(status, &[("content-encoding", "identity")], gzip.to_vec()).await;
        assert!(!error.message().contains("DecompressionLayer"), "{error}");
    }
}

#[tokio::test]
async fn what_is_json_of_another_shape_is_told_with_its_place() {
    for (body, line, path) in [
        ("[]", 1, "object"),
        ("{\n \"output\": 7}", 2, "`output`"),
        ("{\n\"id\":\"x\",\n\"output\":[{}]}", 3, "`output`: ResponseItem: missing field `type`"),
        (r#"{"id":"resp_1"}"#, 1, "missing field `output`"),
        (r#"{"type":"response.compaction"}"#, 1, "missing field `output`"),
    ] {
        let error = failing(200, &[REQUEST_ID], body).await;
        assert_eq!((error.kind(), error.request_id()), (ErrorKind::Protocol, Some("req_1")));
        assert!(error.message().contains(&format!("line {line}, column")), "{error}");
        assert!(error.message().contains("`compact`"), "{error}");
        let cause = error.chain().nth(1).unwrap().to_string();
        assert!(cause.contains(path), "{cause}");
    }
}

#[tokio::test]
async fn an_error_under_the_wrong_status_is_that_error() {
    let body = r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#;
    let error = failing(200, &[REQUEST_ID], body).await;
    assert_eq!((error.kind(), error.stage()), (ErrorKind::ContextWindow, Stage::Sent));
    assert_eq!((error.message(), error.request_id()), ("m", Some("req_1")));
}

#[tokio::test]
async fn a_body_that_is_cut_is_told_from_one_that_is_wrong() {
    let whole = r#"{"output":[{"type":"compaction","encrypted_content":"x"}]}"#;
    for cut in 1..whole.len() {
        let error = failing(200, &[REQUEST_ID], &whole[..cut]).await;
        assert_eq!(error.kind(), ErrorKind::Truncated, "{}", &whole[..cut]);
        assert!(error.message().contains(&format!("after {cut} bytes")), "{error}");
        assert!(error.is_retryable(), "nothing of it was handed out");
    }
}

#[tokio::test]
async fn a_body_that_breaks_is_an_error_with_its_cause() {
    let (feed, body) = Feed::new();
    feed.text(r#"{"output":"#);
    feed.fail(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let (http, _) = once(response(200, &[REQUEST_ID], body));
    let error = Compact::new(http).send(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Transport, Stage::Streaming));
    assert_eq!((error.status().unwrap().as_u16(), error.request_id()), (200, Some("req_1")));
    assert!(std::error::Error::source(&error).is_some());
    assert!(error.is_retryable());
    assert!(feed.is_closed());
}

#[tokio::test]
async fn an_answer_has_a_cap() {
    let body = r#"{"output":[]}"#;
    for (limit, fits) in [(body.len(), true), (body.len() - 1, false), (0, false)] {
        let (http, _) = once(whole(200, &[REQUEST_ID], body));
        let answer = Compact::new(http).body_limit(limit).send(request()).await;
        assert_eq!(answer.is_ok(), fits, "{limit}");
        if let Err(error) = answer {
            assert_eq!((error.kind(), error.request_id()), (ErrorKind::TooLarge, Some("req_1")));
            assert!(error.message().contains(&format!("longer than {limit} bytes")), "{error}");
            assert!(!error.is_retryable());
        }
    }
    // One that goes on and on is left as soon as it is too long.
    let (feed, body) = Feed::new();
    let (http, _) = once(response(200, &[], body));
    let call = tokio::spawn(Compact::new(http).send(request()));
    let mut sent = 0;
    while !call.is_finished() {
        if !feed.is_closed() {
            feed.text(vec![b' '; 1024 * 1024]);
            sent += 1;
        }
        tokio::task::yield_now().await;
    }
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!((17..20).contains(&sent), "{sent} MiB");
}

#[tokio::test]
async fn an_answer_that_says_it_is_too_long_is_not_read() {
    let (feed, body) = Feed::promising(17 * 1024 * 1024);
    feed.text("{");
    let (http, _) = once(response(200, &[], body));
    let error = Compact::new(http).send(request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(feed.is_closed());
}

#[tokio::test]
async fn dropping_the_future_drops_the_request_and_the_body() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let http = service_fn(move |_: Request<RequestBody>| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>().await
        }
    });
    let mut call = tokio_test::task::spawn(Compact::new(http).send(request()));
    assert_pending!(call.poll());
    assert_eq!(Arc::strong_count(&alive), 2, "the call holds it, and no service any more");
    drop(call);
    assert_eq!(Arc::strong_count(&alive), 1);

    let (feed, body) = Feed::new();
    let (http, _) = once(response(200, &[], body));
    let mut call = tokio_test::task::spawn(Compact::new(http).send(request()));
    feed.text("{");
    assert_pending!(call.poll());
    assert!(!feed.is_closed());
    drop(call);
    assert!(feed.is_closed());
}

#[tokio::test]
async fn a_future_that_is_polled_again_does_not_panic() {
    for request in [request(), request().header("bad name", "x")] {
        let (http, _) = once(whole(200, &[], r#"{"output":[]}"#));
        let mut call = tokio_test::task::spawn(Compact::new(http.clone()).send(request.clone()));
        let _ = assert_ready!(call.poll());
        assert_pending!(call.poll());
        let mut bare =
            tokio_test::task::spawn(Compact::new(http).oneshot(request.header("\n", "")));
        assert!(assert_ready!(bare.poll()).is_err());
    }
}

#[tokio::test]
async fn the_credential_that_was_sent_is_in_no_error() {
    let secret = "opaque-credential-1234";
    for (status, body) in [
        (401, format!(r#"{{"error":{{"message":"no such key: {secret}"}}}}"#)),
        (200, format!(r#"{{"output":"{secret}"}}"#)),
        (200, format!(r#"{{"error":{{"message":"no such key: {secret}"}}}}"#)),
    ] {
        let (http, _) = once(whole(status, &[("x-request-id", secret)], body));
        let auth =
            AuthLayer::new(Bearer::new(secret).unwrap()).for_origin("https://x.test").unwrap();
        let stack = ServiceBuilder::new()
            .layer(Compact::layer())
            .map_request(|mut request: Request<RequestBody>| {
                *request.uri_mut() = "https://x.test/responses/compact".parse().unwrap();
                request
            })
            .layer(auth)
            .service(http);
        let error = stack.oneshot(request()).await.unwrap_err();
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        let text = format!("{error} {error:?} {chain:?}");
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_below_are_told_in_the_error() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let http = service_fn(move |_: Request<RequestBody>| {
        let nth = count.fetch_add(1, Ordering::SeqCst);
        let answer = if nth < 2 { whole(503, &[], "") } else { whole(200, &[], "not json") };
        std::future::ready(Ok::<_, BoxError>(answer))
    });
    let stack = ServiceBuilder::new()
        .layer(Compact::layer())
        .layer(RetryLayer::new(RetryPolicy::default()))
        .service(http);
    let error = stack.oneshot(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::Protocol, 3));
}
