//! Errors that a layer of the caller's makes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::Attempt;
use tower_openai::layers::{RetryLayer, RetryPolicy};
use tower_openai::services::{Compact, CompactRequest};
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client, Error, ErrorKind, RequestBody, Stage};

fn spent() -> Error {
    Error::new(ErrorKind::RateLimited, "the budget is\nspent by sk-0123456789abcdef")
        .with_stage(Stage::NotSent)
        .with_retry_after(Duration::from_secs(7))
        .with_source("nothing is left")
}

/// A layer that lets nothing through.
fn nothing_left(_: Request<RequestBody>) -> Result<Request<RequestBody>, BoxError> {
    Err(spent().into())
}

#[tokio::test]
async fn a_layer_s_error_comes_out_as_it_was_made() {
    let server = Server::start().await.unwrap();
    let client = Client::builder()
        .base_url(server.base_url())
        .layer(tower::filter::FilterLayer::new(nothing_left))
        .build()
        .unwrap();
    let error = client.compact().send(CompactRequest::new("gpt-5.2", "hi")).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::RateLimited, Stage::NotSent));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.message(), "the budget is spent by [redacted]");
    assert!(error.is_retryable() && error.status().is_none());
    let chain: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
    assert_eq!(chain, ["nothing is left"]);
    assert!(server.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn retry_waits_as_long_as_a_layer_s_error_says() {
    let http = service_fn(async |request: Request<RequestBody>| {
        match Attempt::of(request.extensions()).number() {
            1 => Err(BoxError::from(spent())),
            _ => Ok(Response::new(Full::<Bytes>::from(r#"{"id":"resp_1","output":[]}"#))),
        }
    });
    let http = ServiceBuilder::new().layer(RetryLayer::new(RetryPolicy::default())).service(http);
    let started = Instant::now();
    Compact::new(http).oneshot(CompactRequest::new("gpt-5.2", "hi")).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[test]
fn an_answer_becomes_the_error_that_an_endpoint_would_give() {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("req_1"));
    headers.insert("retry-after", HeaderValue::from_static("2"));
    let body = r#"{"error":{"message":"Slow down.","type":"tokens","code":"rate_limit_exceeded"}}"#;
    let error = Error::from_response(StatusCode::TOO_MANY_REQUESTS, &headers, body);
    assert_eq!((error.kind(), error.stage()), (ErrorKind::RateLimited, Stage::Sent));
    assert_eq!((error.code(), error.request_id()), (Some("rate_limit_exceeded"), Some("req_1")));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    let long = vec![b'x'; 1 << 20];
    let error = Error::from_response(StatusCode::BAD_GATEWAY, &HeaderMap::new(), long);
    assert_eq!((error.kind(), error.body().len()), (ErrorKind::Server, 64 << 10));
}
