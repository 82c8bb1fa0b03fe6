//! Servers that answer 415.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::HeaderValue;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_openai::layers::CompressionLayer;
use tower_openai::services::{Compression, ResponsesRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::{BoxError, Client, RequestBody};

use crate::support::{Body, asking, bytes, encoding, picky, post, text, to, transport};

#[tokio::test]
async fn a_415_falls_back_once_and_is_remembered_for_the_origin() {
    let (transport, sent) = transport(picky);
    let layer = CompressionLayer::zstd();
    let stack = layer.layer(transport.clone());
    let zstd = || Some("zstd".to_owned());
    let mut request = to("https://picky.test/v1/responses", text());
    request.headers_mut().insert("x-kept", HeaderValue::from_static("1"));
    request.extensions_mut().insert(7_u8);

    let answer = stack.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let both = sent.take();
    assert_eq!(both.iter().map(encoding).collect::<Vec<_>>(), [Some("zstd"), None]);
    assert_eq!(bytes(&both[1]), &text());
    for request in &both {
        assert_eq!(request.headers()["x-kept"], "1");
        assert_eq!(request.extensions().get(), Some(&7_u8));
        assert_eq!(request.uri(), "https://picky.test/v1/responses");
    }

    // The origin, not the path; for every service of the layer; asked for or not.
    for stack in [stack.clone(), layer.layer(transport.clone())] {
        stack.clone().oneshot(to("https://PICKY.test:443/other", text())).await.unwrap();
        let mut asking = asking(Compression::Zstd, text());
        *asking.uri_mut() = "https://picky.test/v1/responses".parse().unwrap();
        stack.oneshot(asking).await.unwrap();
        assert_eq!(sent.encodings(), [None, None]);
    }
    // Nobody else, and no other encoding.
    stack.clone().oneshot(to("https://other.test/v1/responses", text())).await.unwrap();
    assert_eq!(sent.encodings(), [zstd()]);
    let gzip = layer.clone().layer(transport);
    let mut request = asking(Compression::Gzip, text());
    *request.uri_mut() = "https://picky.test/".parse().unwrap();
    gzip.oneshot(request).await.unwrap();
    assert_eq!(sent.encodings(), [Some("gzip".to_owned()), None]);

    layer.forget_refusals();
    stack.oneshot(to("https://picky.test/", text())).await.unwrap();
    assert_eq!(sent.encodings(), [zstd(), None]);
}

#[tokio::test]
async fn a_415_for_another_reason_is_handed_on_and_not_remembered() {
    let (transport, sent) = transport(|_| 415);
    let stack = CompressionLayer::zstd().layer(transport);
    for _ in 0..2 {
        let answer = stack.clone().oneshot(post(text())).await.unwrap();
        assert_eq!(answer.status(), 415);
        assert_eq!(sent.encodings(), [Some("zstd".to_owned()), None]);
    }
    // What was not compressed is sent once.
    stack.oneshot(post("small")).await.unwrap();
    assert_eq!(sent.encodings(), [None]);
}

/// A plain request that is refused for another reason does not show that the encoding was the problem.
#[tokio::test]
async fn a_fallback_that_fails_is_not_remembered() {
    for status in [400, 401, 429, 500, 503] {
        let refuse = move |request: &Request<RequestBody>| match encoding(request) {
            Some(_) => 415,
            None => status,
        };
        let (transport, sent) = transport(refuse);
        let stack = CompressionLayer::zstd().layer(transport);
        for _ in 0..2 {
            let answer = stack.clone().oneshot(post(text())).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(sent.encodings(), [Some("zstd".to_owned()), None], "{status}");
        }
    }
}

#[tokio::test]
async fn requests_without_an_origin_have_a_memory_of_their_own() {
    let refuse =
        |request: &Request<RequestBody>| if encoding(request).is_some() { 415 } else { 200 };
    let (transport, sent) = transport(refuse);
    let stack = CompressionLayer::zstd().layer(transport);
    stack.clone().oneshot(to("/responses", text())).await.unwrap();
    assert_eq!(sent.encodings().len(), 2);
    stack.clone().oneshot(to("/responses", text())).await.unwrap();
    assert_eq!(sent.encodings(), [None]);
    stack.oneshot(post(text())).await.unwrap();
    assert_eq!(sent.encodings().len(), 2);
}

#[tokio::test]
async fn the_server_s_415_ends_in_an_answer() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(415));
    let client = Client::builder()
        .base_url(server.base_url())
        .layer(CompressionLayer::gzip().threshold(1))
        .build()
        .unwrap();
    for expected in [2, 3] {
        let request = ResponsesRequest::new("gpt-5.2", text());
        let stream = client.responses().stream_request(request).await.unwrap();
        assert!(stream.text().collect().await.unwrap().contains("best of times"));
        assert_eq!(server.received(), expected);
    }
    let seen = server.requests();
    let seen: Vec<_> = seen.iter().map(|request| request.header("content-encoding")).collect();
    assert_eq!(seen, [Some("gzip"), None, None]);
}

#[tokio::test]
async fn a_layer_inside_does_not_compress_what_was_refused() {
    let (transport, sent) = transport(picky);
    let stack = CompressionLayer::new().layer(CompressionLayer::gzip().layer(transport));
    for expected in [2, 1] {
        let mut request = asking(Compression::Zstd, text());
        *request.uri_mut() = "https://picky.test/".parse().unwrap();
        stack.clone().oneshot(request).await.unwrap();
        let encodings = sent.encodings();
        assert_eq!((encodings.len(), encodings.last().unwrap()), (expected, &None));
    }
}

#[tokio::test]
async fn a_failing_fallback_is_the_call_s_failure() {
    let calls = Arc::new(AtomicUsize::new(0));
    let transport = service_fn(move |_: Request<RequestBody>| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        let answer = Response::builder().status(415).body(Body::default()).unwrap();
        ready(if first { Ok(answer) } else { Err(BoxError::from("gone")) })
    });
    let error = CompressionLayer::zstd().layer(transport).oneshot(post(text())).await.unwrap_err();
    assert_eq!(error.to_string(), "gone");
}
