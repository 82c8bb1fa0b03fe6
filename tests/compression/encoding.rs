//! What is compressed, how, and what is refused.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::RequestCompression;
use tower_openai::layers::{CompressionLayer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Compression, Responses, ResponsesRequest};
use tower_openai::testing::Server;
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, Error, ErrorKind, RequestBody, Stage};

use crate::support::{
    Body, Transport, asking, bytes, decoded, encoding, noise, post, refusal, sent_by, text,
    transport,
};

#[tokio::test]
async fn the_wire_has_the_json_compressed_and_the_server_reads_it() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    for (compression, name) in [(Compression::Zstd, "zstd"), (Compression::Gzip, "gzip")] {
        let request = ResponsesRequest::new("gpt-5.2", text()).compression(compression);
        let stream = client.responses().stream_request(request).await.unwrap();
        assert!(stream.text().collect().await.unwrap().contains("best of times"));

        let seen = server.requests().pop().unwrap();
        assert_eq!(seen.header("content-encoding"), Some(name));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        let length = seen.body().len();
        assert_eq!(seen.header("content-length"), Some(&*length.to_string()));
        assert!(length < 300, "{length}");
        let json: Value = serde_json::from_str(&decoded(name, seen.body())).unwrap();
        assert!(json["input"].to_string().contains("best of times"), "{json}");
        assert_eq!(seen.json(), Some(json));
    }
    assert_eq!(server.received(), 2);
}

#[tokio::test]
async fn the_default_encodes_from_the_threshold_on() {
    for (layer, name) in [(CompressionLayer::zstd(), "zstd"), (CompressionLayer::gzip(), "gzip")] {
        let layer = layer.threshold(100);
        for (size, expected) in [(99, None), (100, Some(name)), (5000, Some(name))] {
            let plain = "a".repeat(size);
            let sent = sent_by(layer.clone(), post(plain.clone())).await;
            assert_eq!(encoding(&sent), expected, "{size} bytes");
            if expected.is_some() {
                assert_eq!(decoded(name, bytes(&sent)), plain);
            } else {
                assert_eq!(bytes(&sent), &plain);
            }
        }
    }
    // 1 KiB, if nothing else is said.
    assert_eq!(encoding(&sent_by(CompressionLayer::zstd(), post("a".repeat(1023))).await), None);
    let sent = sent_by(CompressionLayer::zstd(), post("a".repeat(1024))).await;
    assert_eq!(encoding(&sent), Some("zstd"));
}

#[tokio::test]
async fn a_request_has_the_last_word() {
    for layer in [CompressionLayer::new(), CompressionLayer::gzip()] {
        let sent = sent_by(layer.clone(), asking(Compression::Zstd, "tiny")).await;
        assert_eq!(decoded("zstd", bytes(&sent)), "tiny");
        let sent = sent_by(layer, asking(Compression::None, text())).await;
        assert_eq!((encoding(&sent), bytes(&sent)), (None, &Bytes::from(text())));
    }
    let sent = sent_by(CompressionLayer::gzip(), asking(Compression::Auto, text())).await;
    assert_eq!(encoding(&sent), Some("gzip"));
    assert_eq!(encoding(&sent_by(CompressionLayer::new(), post(text())).await), None);
}

#[tokio::test]
async fn what_does_not_shrink_is_sent_as_it_is() {
    let noise = noise(4096);
    assert_eq!(encoding(&sent_by(CompressionLayer::zstd(), post(noise.clone())).await), None);
    let asked = asking(Compression::Zstd, noise);
    assert_eq!(encoding(&sent_by(CompressionLayer::zstd(), asked).await), Some("zstd"));
    let empty = sent_by(CompressionLayer::zstd(), asking(Compression::Zstd, "")).await;
    assert_eq!((encoding(&empty), bytes(&empty).len()), (None, 0));
}

#[tokio::test]
async fn a_content_length_follows_the_body() {
    let mut request = post(text());
    let length = HeaderValue::from(text().len());
    request.headers_mut().insert(CONTENT_LENGTH, length);
    let sent = sent_by(CompressionLayer::zstd(), request).await;
    assert_eq!(sent.headers()[CONTENT_LENGTH], HeaderValue::from(bytes(&sent).len()));
    assert_eq!(sent.headers()[CONTENT_LENGTH], HeaderValue::from(sent.body().clone().len().await));
}

/// The number of bytes that a body yields.
trait Len {
    async fn len(self) -> usize;
}

impl Len for RequestBody {
    async fn len(self) -> usize {
        self.collect().await.unwrap().to_bytes().len()
    }
}

#[tokio::test]
async fn a_source_passes_through_unread() {
    let opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let source = RequestBody::replayable(None, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Body::from(text())
    });
    let sent = sent_by(CompressionLayer::zstd(), post(source.clone())).await;
    assert_eq!((encoding(&sent), opened.load(Ordering::Relaxed)), (None, 0));
    assert_eq!(sent.into_body().len().await, text().len());

    let problem = refusal(CompressionLayer::new(), asking(Compression::Gzip, source)).await;
    assert!(problem.contains("source"), "{problem}");
}

#[tokio::test]
async fn two_layers_compress_once() {
    let both = |outer: CompressionLayer, inner: CompressionLayer| {
        let (transport, sent) = transport(|_| 200);
        (outer.layer(inner.layer(transport)), sent)
    };
    let (stack, sent) = both(CompressionLayer::zstd(), CompressionLayer::gzip());
    for request in [post(text()), asking(Compression::Zstd, text())] {
        stack.clone().oneshot(request).await.unwrap();
        let sent = sent.take().remove(0);
        assert_eq!((encoding(&sent), decoded("zstd", bytes(&sent))), (Some("zstd"), text()));
    }
}

#[tokio::test]
async fn levels_are_kept_apart_over_one_context() {
    let fast = CompressionLayer::zstd().zstd_level(1).unwrap();
    let small = fast.clone().zstd_level(19).unwrap();
    // Compressible, but not all the same.
    let plain: String = noise(20_000).iter().map(|byte| format!("word{byte} ")).collect();
    let mut lengths = Vec::new();
    for layer in [&fast, &small, &fast] {
        let sent = sent_by(layer.clone(), post(plain.clone())).await;
        assert_eq!(decoded("zstd", bytes(&sent)), plain);
        lengths.push(bytes(&sent).len());
    }
    assert!(lengths[0] == lengths[2] && lengths[1] < lengths[0], "{lengths:?}");
    for level in [0, -1, 23] {
        let error = CompressionLayer::new().zstd_level(level).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
    }
    assert!(CompressionLayer::new().gzip_level(0).is_err());
    assert!(CompressionLayer::new().gzip_level(10).is_err());
    let sent = sent_by(CompressionLayer::gzip().gzip_level(9).unwrap(), post(plain.clone())).await;
    assert_eq!(decoded("gzip", bytes(&sent)), plain);
}

#[tokio::test]
async fn what_is_encoded_already_is_not_encoded_again() {
    let encoded = |mut request: Request<RequestBody>| {
        request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        request
    };
    for (layer, request) in [
        (CompressionLayer::new(), asking(Compression::Zstd, text())),
        (CompressionLayer::zstd(), post(text())),
        (CompressionLayer::zstd(), post("small")),
    ] {
        let problem = refusal(layer, encoded(request)).await;
        assert!(problem.contains("content-encoding"), "{problem}");
    }
    for (layer, request) in [
        (CompressionLayer::new(), post(text())),
        (CompressionLayer::zstd(), asking(Compression::None, text())),
    ] {
        let sent = sent_by(layer, encoded(request)).await;
        assert_eq!((encoding(&sent), bytes(&sent)), (Some("gzip"), &Bytes::from(text())));
    }
}

#[tokio::test]
async fn asking_in_a_stack_without_the_layer_is_an_error() {
    let request = || ResponsesRequest::new("gpt-5.2", "hello").compression(Compression::Zstd);
    let is_refusal = |error: Error| {
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
        assert!(error.message().contains("CompressionLayer"), "{error}");
        assert!(!error.is_retryable());
    };

    let server = Server::start().await.unwrap();
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url()).unwrap()))
        .service(HyperTransport::new().unwrap());
    is_refusal(stack.oneshot(request()).await.map(drop).unwrap_err());
    assert_eq!(server.connections(), 0);

    // Any other transport fails to read the body.
    let transport = service_fn(|request: Request<RequestBody>| async move {
        let body = request.into_body();
        let bytes = body.as_bytes().cloned();
        let read = body.collect().await?.to_bytes();
        assert_eq!(bytes, Some(read));
        Err::<Response<Body>, _>(BoxError::from("sent"))
    });
    let responses = Responses::new(transport);
    is_refusal(responses.clone().oneshot(request()).await.map(drop).unwrap_err());
    // Asking by extension is asking too.
    let wish = RequestCompression::new(Compression::Gzip);
    let by_extension = ResponsesRequest::new("gpt-5.2", "hello").extension(wish);
    is_refusal(responses.clone().oneshot(by_extension).await.map(drop).unwrap_err());
    let unasked = ResponsesRequest::new("gpt-5.2", "hello").compression(Compression::None);
    assert!(responses.oneshot(unasked).await.is_err_and(|error| error.kind() != ErrorKind::Build));

    // With the layer the same body is read.
    let stack = Responses::new(CompressionLayer::new().layer(transport_that_reads()));
    stack.oneshot(request()).await.map(drop).unwrap();
}

fn transport_that_reads() -> Transport {
    BoxCloneSyncService::new(service_fn(|request: Request<RequestBody>| async move {
        let read = request.into_body().collect().await.unwrap().to_bytes();
        assert!(decoded("zstd", &read).contains("hello"));
        Ok::<_, Infallible>(Response::new(Body::default()))
    }))
}
