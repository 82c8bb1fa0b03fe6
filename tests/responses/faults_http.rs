//! Rows of faults.md that are about the head of an answer, over answers of the test's.

use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;
use tower_openai::sse::StreamSettings;
use tower_openai::testing::{Script, Server};
use tower_openai::{Client, Error, ErrorKind, Stage};

use crate::support::{Feed, Header, call, request, response, serving, soon, sse};

async fn refused(status: u16, headers: &[Header], body: impl Into<Bytes>) -> Error {
    let answer = response(status, headers, Full::new(body.into()));
    call(StreamSettings::default(), request(), answer).await.map(drop).expect_err("no stream")
}

/// What the preset makes of one answer of the loopback server, and how often it asked.
async fn served(script: Script) -> (Error, u64) {
    let (server, client) = serving(script).await;
    told(server, client).await
}

/// The same of an answer that the preset would ask for again.
async fn served_once(script: Script) -> Error {
    let server = Server::start().await.unwrap();
    server.enqueue(script);
    let client = Client::builder().base_url(server.base_url()).max_retries(0).build().unwrap();
    let (error, asked) = told(server, client).await;
    assert_eq!(asked, 1);
    error
}

async fn told(server: Server, client: Client) -> (Error, u64) {
    let responses = client.responses();
    let error = match soon(responses.stream_request(request())).await {
        Ok(stream) => soon(stream.text().collect()).await.expect_err("not an answer"),
        Err(error) => error,
    };
    let asked = server.received();
    server.shutdown().await;
    (error, asked)
}

#[tokio::test]
async fn row_22_insufficient_quota_is_final() {
    let (error, asked) = served(Script::named("429-quota").unwrap()).await;
    assert_eq!((error.kind(), error.is_retryable(), asked), (ErrorKind::Quota, false, 1));
    assert_eq!(error.code(), Some("insufficient_quota"));
    assert_eq!(error.status().unwrap(), 429);
}

#[tokio::test]
async fn row_24_an_overloaded_server_is_named() {
    let error = served_once(Script::named("503-overloaded").unwrap()).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Overloaded, Some("server_is_overloaded")));
    assert_eq!((error.status().unwrap().as_u16(), error.stage()), (503, Stage::Sent));
}

#[tokio::test]
async fn row_25_a_refused_request_is_typed_and_sent_once() {
    for (status, kind) in [
        (400, ErrorKind::InvalidRequest),
        (401, ErrorKind::Auth),
        (403, ErrorKind::Permission),
        (404, ErrorKind::NotFound),
        (422, ErrorKind::InvalidRequest),
    ] {
        let (error, asked) = served(Script::status(status)).await;
        assert_eq!((error.kind(), asked), (kind, 1), "{status}");
        assert!(!error.is_retryable(), "{status}");
        assert_eq!(error.status().unwrap(), status);
        assert!(!error.message().is_empty() && !error.body().is_empty(), "{error:?}");
        assert!(error.request_id().is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn row_27_a_page_of_an_edge_is_an_error_by_status_and_shows_no_markup() {
    let error = served_once(Script::named("html").unwrap()).await;
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 502));
    assert!(!error.to_string().contains('<'), "{error}");
    assert!(error.body().starts_with(b"<html>"));
}

/// What a server in front of the API says to who shows no certificate.
#[tokio::test]
async fn row_9_a_page_that_asks_for_a_certificate_is_kept_up_to_the_cap() {
    let page = "<html>400 No required SSL certificate was sent</html>".to_owned();
    let page = page + &" ".repeat(100_000);
    let script = Script::status(400).header("content-type", "text/html").body(page);
    let (error, asked) = served(script).await;
    assert_eq!((error.kind(), asked), (ErrorKind::InvalidRequest, 1));
    assert!(!error.is_retryable() && !error.to_string().contains('<'), "{error}");
    assert!(error.body().starts_with(b"<html>400") && error.body().len() == 64 << 10);
}

#[tokio::test]
async fn row_28_a_huge_error_body_is_cut_and_the_status_kept() {
    let huge = Bytes::from(vec![b'x'; 3 << 20]);
    let error = served_once(Script::status(500).body(huge.clone())).await;
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 500));
    assert_eq!(error.body().len(), 64 << 10);
    assert!(error.to_string().len() < 2000);

    // Whatever the chunks; and the body is let go of as soon as there is enough.
    let (feed, body) = Feed::new();
    for chunk in huge.chunks(1000) {
        feed.text(chunk.to_vec());
    }
    let answer = response(500, &[], body);
    let error = call(StreamSettings::default(), request(), answer).await.map(drop).unwrap_err();
    assert_eq!(error.body().len(), 64 << 10);
    assert!(feed.is_closed());
}

#[tokio::test]
async fn row_29_an_error_status_with_an_event_stream_is_not_parsed_as_events() {
    let said = json!({"type": "error", "error": {"code": "insufficient_quota", "message": "m"}});
    let headers = [("content-type", "text/event-stream")];
    let error = refused(500, &headers, sse(&[said])).await;
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 500));
    assert_eq!(error.stage(), Stage::Sent);
}

#[tokio::test]
async fn row_30_a_success_without_a_stream_is_an_error() {
    for (status, headers, body) in [
        (200, &[("content-type", "text/html; charset=utf-8")][..], "<html>login</html>"),
        (200, &[("content-type", "Text/HTML")], ""),
        (200, &[("content-type", "application/json")], r#"{"id":"resp_1"}"#),
        (200, &[("content-type", "application/json;charset=utf-8")], "{}"),
        (204, &[], ""),
        (204, &[("content-type", "text/event-stream")], ""),
    ] {
        let error = refused(status, headers, body).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{status} {headers:?}");
        assert_eq!(error.status().unwrap(), status);
        assert!(error.message().contains("content type"), "{error}");
        assert!(error.message().contains("base URL"), "it says what to do: {error}");
        assert!(!error.is_retryable());
    }
    // An error object under a success is that error.
    let json = [("content-type", "application/json")];
    let body = r#"{"error":{"code":"insufficient_quota","message":"m"}}"#;
    assert_eq!(refused(200, &json, body).await.kind(), ErrorKind::Quota);
}

#[tokio::test]
async fn row_30_an_empty_stream_is_never_an_empty_answer() {
    for headers in [&[][..], &[("content-type", "text/event-stream")], &[("content-type", "x")]] {
        for body in ["", "\n\n", ": ping\n\n", "data: [DONE]\n\n"] {
            let error = crate::support::read(crate::support::stream(headers, body).await).await.1;
            assert_eq!(error.expect("an error").kind(), ErrorKind::Truncated, "{body:?}");
        }
    }
    // As without a `DecompressionLayer`.
    for (body, told) in
        [("\u{1b}\u{3}abc\u{1}", true), (": ping\n\n", true), ("data: {}\n\n", false)]
    {
        let stream = crate::support::stream(&[("content-encoding", "br")], body).await;
        let error = crate::support::read(stream).await.1.expect("an error");
        assert_eq!(error.message().contains("encoded as `br`, which nothing"), told, "{error}");
    }
    for script in ["empty", "204", "html-200"] {
        let (error, asked) = served(Script::named(script).unwrap()).await;
        assert!(matches!(error.kind(), ErrorKind::Truncated | ErrorKind::Protocol), "{error}");
        assert_eq!(asked, 1, "{script}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_so() {
    let error = refused(307, &[("location", "https://elsewhere.test/")], "").await;
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Protocol, 307));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_body_that_breaks_does_not_hide_the_status() {
    let (feed, body) = Feed::new();
    feed.text(r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#);
    feed.fail("connection reset");
    let answer = response(429, &[("retry-after", "7")], body);
    let error = call(StreamSettings::default(), request(), answer).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::RateLimited, 429));
    assert_eq!(error.retry_after().unwrap().as_secs(), 7);
    assert_eq!(error.chain().last().unwrap().to_string(), "connection reset");
}

#[tokio::test]
async fn a_long_api_error_that_is_cut_keeps_its_code_and_shows_no_broken_json() {
    let long = "too long ".repeat(20_000);
    let error = json!({"error": {"code": "context_length_exceeded", "message": long}});
    let error = refused(400, &[], error.to_string()).await;
    assert_eq!(error.kind(), ErrorKind::ContextWindow);
    assert_eq!(error.code(), Some("context_length_exceeded"));
    assert!(error.message().starts_with("too long too long"), "{error}");
    let input = json!({"input": long, "error": {"message": "m"}});
    let error = refused(400, &[], input.to_string()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(!error.message().contains('{'), "{error}");
}
