//! The contract of a layer.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::retry::RetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_openai::layers::{CompressionLayer, WithCompression};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, RequestBody};

use crate::support::{Body, Transport, bytes, encoding, picky, post, text, to, transport};

/// Must be made ready before each call; a clone starts unready. Answers compressed requests with
/// 415.
#[derive(Default)]
struct Probe {
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<RequestBody>> for Probe {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        if !std::mem::take(&mut self.ready) {
            return ready(Err("called before it was ready".into()));
        }
        let status = if encoding(&request).is_some() { 415 } else { 200 };
        ready(Ok(Response::builder().status(status).body(Body::default()).unwrap()))
    }
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_called_and_readied_for_the_fallback() {
    let mut service = CompressionLayer::zstd().layer(Probe::default());
    for body in ["small".to_owned(), text(), text()] {
        service.ready().await.unwrap();
        let mut unready = service.clone();
        assert_eq!(service.call(post(body.clone())).await.unwrap().status(), 200);
        assert!(unready.call(post(body)).await.is_err(), "a clone is not ready");
    }
}

#[tokio::test]
async fn the_fallback_waits_until_there_is_room_and_drops_the_first_answer() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<RequestBody>, Response<Arc<()>>, _>(
            CompressionLayer::zstd(),
        );
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut answer = tokio_test::task::spawn(service.call(post(text())));
    assert_pending!(answer.poll());
    let (first, reply) = handle.next_request().await.unwrap();
    assert_eq!(encoding(&first), Some("zstd"));
    let body = Arc::new(());
    let refusal = Response::builder().status(415).body(Arc::clone(&body)).unwrap();
    reply.send_response(refusal);

    assert_pending!(answer.poll(), "there is no room for the second call");
    assert_eq!(Arc::strong_count(&body), 1, "the first answer is gone");
    handle.allow(1);
    assert!(answer.is_woken());
    assert_pending!(answer.poll());
    let (second, reply) = handle.next_request().await.unwrap();
    assert_eq!((encoding(&second), bytes(&second)), (None, &Bytes::from(text())));
    reply.send_response(Response::new(Arc::new(())));
    assert_eq!(assert_ready_ok!(answer.poll()).status(), 200);
}

#[tokio::test]
async fn a_service_that_fails_to_become_ready_again_fails_the_call() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<RequestBody>, Response<()>, _>(
            CompressionLayer::zstd(),
        );
    assert_ready_ok!(service.poll_ready());
    let answer = service.call(post(text()));
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(Response::builder().status(415).body(()).unwrap());
    handle.send_error("worn out");
    assert_eq!(answer.await.unwrap_err().to_string(), "worn out");
}

/// Takes a second, and counts the calls that are under way.
fn slow() -> (Transport, Arc<()>) {
    let under_way = Arc::new(());
    let counter = Arc::clone(&under_way);
    let service = service_fn(move |request: Request<RequestBody>| {
        let guard = Arc::clone(&counter);
        async move {
            sleep(Duration::from_secs(1)).await;
            drop(guard);
            let status = picky(&request);
            Ok(Response::builder().status(status).body(Body::default()).unwrap())
        }
    });
    (BoxCloneSyncService::new(service), under_way)
}

#[tokio::test(start_paused = true)]
async fn calls_run_side_by_side() {
    let (transport, _) = slow();
    let stack = CompressionLayer::zstd().layer(transport);
    for (uri, seconds) in [
        ("https://other.test/", 1),
        // All of them fall back; afterwards none has to.
        ("https://picky.test/", 2),
        ("https://picky.test/", 1),
    ] {
        let start = Instant::now();
        let calls = (0..50).map(|_| stack.clone().oneshot(to(uri, text())));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.unwrap().status(), 200);
        }
        assert_eq!(start.elapsed(), Duration::from_secs(seconds), "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_cancels_it() {
    let (transport, under_way) = slow();
    let mut stack = CompressionLayer::zstd().layer(transport);
    for wait in [500, 1500] {
        let idle = Arc::strong_count(&under_way);
        let call = stack.ready().await.unwrap().call(to("https://picky.test/", text()));
        let cancelled = tokio::time::timeout(Duration::from_millis(wait), call).await;
        assert!(cancelled.is_err());
        assert_eq!(Arc::strong_count(&under_way), idle, "after {wait} ms");
    }
}

/// Tries everything twice.
#[derive(Clone)]
struct Twice(bool);

impl<T, E> tower::retry::Policy<Request<RequestBody>, T, E> for Twice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<RequestBody>, _: &mut Result<T, E>) -> Option<Ready<()>> {
        std::mem::take(&mut self.0).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn attempts_below_share_the_compressed_bytes() {
    let (transport, sent) = transport(|_| 503);
    let stack = ServiceBuilder::new()
        .layer(CompressionLayer::zstd())
        .layer(RetryLayer::new(Twice(true)))
        .service(transport);
    stack.oneshot(post(text())).await.unwrap();
    let [first, second] = &sent.take()[..] else { panic!("two attempts") };
    assert_eq!(encoding(first), Some("zstd"));
    assert_eq!(encoding(second), Some("zstd"));
    assert_eq!(bytes(first).as_ptr(), bytes(second).as_ptr());
    assert_eq!(bytes(first).len(), bytes(second).len());
}

#[tokio::test]
async fn it_stacks_with_towers_own_layers() {
    const LIMIT: Duration = Duration::from_secs(5);
    let (transport, sent) = transport(|_| 200);
    let outside = ServiceBuilder::new()
        .buffer(4)
        .load_shed()
        .concurrency_limit(2)
        .timeout(LIMIT)
        .layer(CompressionLayer::zstd())
        .service(transport.clone());
    outside.oneshot(post(text())).await.unwrap();
    let inside = ServiceBuilder::new()
        .layer(CompressionLayer::zstd())
        .buffer(4)
        .load_shed()
        .concurrency_limit(2)
        .timeout(LIMIT)
        .service(transport.clone());
    inside.oneshot(post(text())).await.unwrap();
    let name = http::HeaderName::from_static("x-set");
    let http = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT))
        .layer(CompressionLayer::zstd())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT))
        .layer(SetRequestHeaderLayer::overriding(name, HeaderValue::from_static("1")))
        .service(transport.clone());
    http.oneshot(post(text())).await.unwrap();
    let traced = ServiceBuilder::new()
        .layer(CompressionLayer::zstd())
        .layer(TraceLayer::new_for_http())
        .service(transport);
    traced.oneshot(post(text())).await.unwrap();
    assert_eq!(sent.encodings(), vec![Some("zstd".to_owned()); 4]);
}

#[test]
fn the_service_is_what_it_promises() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>() {}
    promised::<CompressionLayer>();
    promised::<WithCompression<HyperTransport>>();
    assert_eq!(WithCompression::new(1).get_ref(), &1);
    assert_eq!(WithCompression::layer().layer(2).into_inner(), 2);
    let shown =
        format!("{:?} {:?}", CompressionLayer::zstd(), CompressionLayer::default().layer(3));
    assert!(shown.contains("threshold: 1024"), "{shown}");

    let (transport, _) = transport(|_| 200);
    let call = CompressionLayer::zstd().layer(transport).call(post(text()));
    assert!(size_of_val(&call) <= 64, "{} bytes", size_of_val(&call));
}
