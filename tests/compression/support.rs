//! What the tests of this binary share.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_openai::extensions::RequestCompression;
use tower_openai::layers::CompressionLayer;
use tower_openai::services::Compression;
use tower_openai::{Error, ErrorKind, RequestBody, Stage};

pub(crate) type Body = Full<Bytes>;
pub(crate) type Transport = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;

/// 6 KB that shrink well.
pub(crate) fn text() -> String {
    "It was the best of times. ".repeat(250)
}

/// Bytes that do not shrink, always the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn post(body: impl Into<RequestBody>) -> Request<RequestBody> {
    Request::post("https://api.test/v1/responses").body(body.into()).unwrap()
}

pub(crate) fn asking(
    compression: Compression,
    body: impl Into<RequestBody>,
) -> Request<RequestBody> {
    let mut request = post(body);
    request.extensions_mut().insert(RequestCompression::new(compression));
    request
}

/// A transport that keeps what it is sent and answers with the status that `answer` gives.
pub(crate) fn transport(
    answer: impl Fn(&Request<RequestBody>) -> u16 + Clone + Send + Sync + 'static,
) -> (Transport, Sent) {
    let sent = Sent::default();
    let seen = sent.clone();
    let service = service_fn(move |request: Request<RequestBody>| {
        let status = StatusCode::from_u16(answer(&request)).unwrap();
        seen.0.lock().unwrap().push(request);
        let mut response = Response::new(Body::default());
        *response.status_mut() = status;
        ready(Ok(response))
    });
    (BoxCloneSyncService::new(service), sent)
}

#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<Vec<Request<RequestBody>>>>);

impl Sent {
    pub(crate) fn take(&self) -> Vec<Request<RequestBody>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The encodings of all requests since the last look.
    pub(crate) fn encodings(&self) -> Vec<Option<String>> {
        self.take().iter().map(|request| encoding(request).map(str::to_owned)).collect()
    }
}

pub(crate) fn encoding(request: &Request<RequestBody>) -> Option<&str> {
    request.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap())
}

pub(crate) fn bytes(request: &Request<RequestBody>) -> &Bytes {
    request.body().as_bytes().expect("bytes")
}

pub(crate) fn decoded(encoding: &str, bytes: &[u8]) -> String {
    let decoded = match encoding {
        "zstd" => zstd::decode_all(bytes),
        "gzip" => std::io::read_to_string(flate2::read::GzDecoder::new(bytes)).map(Into::into),
        other => panic!("{other}"),
    };
    String::from_utf8(decoded.unwrap()).unwrap()
}

/// What `layer` sends for one request that it does not refuse.
pub(crate) async fn sent_by(
    layer: CompressionLayer,
    request: Request<RequestBody>,
) -> Request<RequestBody> {
    let (transport, sent) = transport(|_| 200);
    layer.layer(transport).oneshot(request).await.unwrap();
    let mut all = sent.take();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Why `layer` refuses a request, which it must not send.
pub(crate) async fn refusal(layer: CompressionLayer, request: Request<RequestBody>) -> String {
    let (transport, sent) = transport(|_| 200);
    let error = layer.layer(transport).oneshot(request).await.unwrap_err();
    assert!(sent.take().is_empty(), "nothing is sent");
    let error = Error::from(error);
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    error.message().to_owned()
}

/// Refuses compressed requests to `picky.test`.
pub(crate) fn picky(request: &Request<RequestBody>) -> u16 {
    let picky = request.uri().host() == Some("picky.test");
    if picky && encoding(request).is_some() { 415 } else { 200 }
}

pub(crate) fn to(uri: &str, body: impl Into<RequestBody>) -> Request<RequestBody> {
    let mut request = post(body);
    *request.uri_mut() = uri.parse().unwrap();
    request
}
