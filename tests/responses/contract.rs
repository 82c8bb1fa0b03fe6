//! The endpoint as a tower service: readiness, layers around it, what it sends, what it makes of
//! the errors of other layers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::Call;
use tower_openai::provider::Provider;
use tower_openai::services::{
    Responses, ResponsesRequest, RetrieveStream, RetrieveStreamRequest, SessionHeaders,
};
use tower_openai::{Error, ErrorKind, RequestBody, Stage};
use tower_test::mock;

use crate::support::{completed, delta, once, request, response, sent, sse};

type Mock = mock::Handle<Request<RequestBody>, Response<Full<Bytes>>>;
type Endpoint = mock::Spawn<Responses<mock::Mock<Request<RequestBody>, Response<Full<Bytes>>>>>;

/// The endpoint over a service whose clones are not ready.
fn probed() -> (Endpoint, Mock) {
    mock::spawn_layer(Responses::layer())
}

fn answer() -> Response<Full<Bytes>> {
    response(200, &[], Full::from(sse(&[delta("Hello"), completed()])))
}

/// A body that counts how often it was encoded.
struct Counted(Arc<AtomicUsize>);

impl Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        json!({"model": "m", "input": "x"}).serialize(serializer)
    }
}

#[tokio::test]
async fn readiness_is_that_of_the_http_service() {
    let (mut endpoint, mut handle) = probed();
    handle.allow(0);
    assert_pending!(endpoint.poll_ready());
    handle.allow(1);
    assert_ready_ok!(endpoint.poll_ready());
    let call = tokio::spawn(endpoint.call(request()));
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request.uri(), "/responses");
    respond.send_response(answer());
    let text = call.await.unwrap().unwrap().text().collect().await.unwrap();
    assert_eq!(text, "Hello");
    assert_pending!(endpoint.poll_ready());
}

#[tokio::test]
async fn an_error_of_readiness_is_mapped() {
    let (mut endpoint, mut handle) = probed();
    handle.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    let error: Error = assert_ready_err!(endpoint.poll_ready());
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Connect, Stage::NotSent));
}

/// Panics when it is called without having been made ready; clones start unready.
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<Request<RequestBody>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.ready = true;
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        self.calls.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(answer()))
    }
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut endpoint = Responses::new(Strict { ready: false, calls: Arc::clone(&calls) });
    for _ in 0..2 {
        drop(endpoint.ready().await.unwrap().call(request()).await.unwrap());
    }
    drop(endpoint.stream_request(request()).await.unwrap());
    drop(endpoint.clone().oneshot(request()).await.unwrap());
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_reaches_nothing_and_needs_no_second_poll() {
    let (mut endpoint, mut handle) = probed();
    handle.allow(1);
    assert_ready_ok!(endpoint.poll_ready());
    let error = endpoint.call(request().conversation_id("a\nb")).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    assert!(error.message().contains("conversation_id"), "{error}");
    // The slot that was made ready is still good for the next request.
    let call = tokio::spawn(endpoint.call(request()));
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(answer());
    drop(call.await.unwrap().unwrap());
}

/// As a gateway has them that hands on the headers of its own caller.
#[tokio::test]
async fn headers_that_frame_another_body_are_refused() {
    for (name, value) in
        [("content-length", "5"), ("Content-Length", "5000"), ("transfer-encoding", "gzip")]
    {
        let (mut endpoint, mut handle) = probed();
        handle.allow(1);
        let request = request().header(name, value);
        assert_ready_ok!(endpoint.poll_ready());
        let error = endpoint.call(request.clone()).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
        assert!(error.message().contains(&name.to_lowercase()), "{error}");
        assert!(error.message().contains("leave it out"), "{error}");
        let get = RetrieveStreamRequest::new("resp_1").options(request.options_ref().clone());
        let http = service_fn(async |_: Request<RequestBody>| Ok::<_, BoxError>(answer()));
        let error = RetrieveStream::new(http).stream_request(get).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        let error = Provider::openai().header(name, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains(&name.to_lowercase()), "{error}");
    }
}

#[tokio::test]
async fn a_body_is_encoded_once_and_only_when_it_is_called() {
    let encoded = Arc::new(AtomicUsize::new(0));
    let own = ResponsesRequest::from_body(&Counted(Arc::clone(&encoded))).unwrap();
    let (mut endpoint, mut handle) = probed();
    handle.allow(1);
    assert_ready_ok!(endpoint.poll_ready());
    let call = tokio::spawn(endpoint.call(own));
    let (http, respond) = handle.next_request().await.unwrap();
    respond.send_response(answer());
    drop(call.await.unwrap().unwrap());
    assert_eq!(encoded.load(Ordering::Relaxed), 1);
    // Clones share the bytes, as a layer that retries needs it.
    let bytes = http.body().as_bytes().unwrap();
    assert_eq!(bytes.as_ptr(), http.clone().body().as_bytes().unwrap().as_ptr());
    let body: Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(body, json!({"model": "m", "input": "x", "stream": true}));
}

#[tokio::test]
async fn what_is_sent_is_said_in_full() {
    let http = service_fn(|request: Request<RequestBody>| async move {
        assert_eq!(request.method(), http::Method::POST);
        assert_eq!(request.headers()["accept"], "text/event-stream");
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers().len(), 2, "{:?}", request.headers());
        let call = request.extensions().get::<Call>().unwrap();
        assert_eq!((call.endpoint(), call.model()), ("responses", Some("gpt-5.2")));
        assert!(call.is_streaming());
        Ok::<_, BoxError>(answer())
    });
    drop(Responses::new(http).oneshot(request()).await.unwrap());
}

#[tokio::test]
async fn headers_of_options_replace_extra_headers_and_extra_headers_replace_defaults() {
    let request = request()
        .header("session_id", "extra")
        .header("x-twice", "1")
        .header("x-twice", "2")
        .header("accept", "application/json")
        .header("content-type", "application/json; charset=utf-8")
        .conversation_id("c1");
    let sent = sent(request).await.unwrap();
    assert_eq!(sent.headers.get_all("session_id").iter().collect::<Vec<_>>(), ["c1"]);
    assert_eq!(sent.headers.get_all("x-twice").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(sent.header("accept"), Some("text/event-stream"));
    assert_eq!(sent.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(sent.uri, "/responses");
}

#[tokio::test]
async fn session_headers_have_two_spellings_and_the_callers() {
    for (names, session, thread) in [
        (SessionHeaders::UNDERSCORE, "session_id", "thread_id"),
        (SessionHeaders::HYPHEN, "session-id", "thread-id"),
        (
            SessionHeaders::named("x-my-session".parse().unwrap(), "x-my-thread".parse().unwrap()),
            "x-my-session",
            "x-my-thread",
        ),
    ] {
        let request = request().session_headers(names).session_id("s").thread_id("t");
        let sent = sent(request).await.unwrap();
        assert_eq!(
            (sent.header(session), sent.header(thread)),
            (Some("s"), Some("t")),
            "{session}"
        );
    }
}

#[tokio::test]
async fn extensions_of_a_request_reach_the_http_level() {
    #[derive(Clone)]
    struct Tenant(u32);
    let http = service_fn(|request: Request<RequestBody>| async move {
        assert_eq!(request.extensions().get::<Tenant>().unwrap().0, 7);
        Ok::<_, BoxError>(answer())
    });
    drop(Responses::new(http).oneshot(request().extension(Tenant(7))).await.unwrap());
}

#[tokio::test]
async fn extensions_of_the_response_reach_the_caller() {
    #[derive(Clone, PartialEq, Debug)]
    struct Region(&'static str);
    let mut answer = answer();
    answer.extensions_mut().insert(Region("eu"));
    let stream = Responses::new(once(answer)).oneshot(request()).await.unwrap();
    assert_eq!(stream.meta().extensions().get(), Some(&Region("eu")));
    assert_eq!(stream.meta().status(), StatusCode::OK);
}

// Layers around it.

#[tokio::test]
async fn it_stands_under_the_layers_of_tower() {
    let http = service_fn(|_: Request<RequestBody>| async { Ok::<_, BoxError>(answer()) });
    let mut responses = ServiceBuilder::new()
        .load_shed()
        .buffer(4)
        .concurrency_limit(2)
        .rate_limit(100, Duration::from_secs(1))
        .timeout(Duration::from_secs(60))
        .map_request(|prompt: &'static str| ResponsesRequest::new("m", prompt))
        .layer(Responses::layer())
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .service(http);
    for _ in 0..3 {
        let stream = responses.ready().await.unwrap().call("hello").await.unwrap();
        assert_eq!(stream.text().collect().await.unwrap(), "Hello");
    }
}

#[tokio::test]
async fn it_can_be_boxed_and_shared_between_tasks() {
    let http = service_fn(|_: Request<RequestBody>| async { Ok::<_, BoxError>(answer()) });
    let responses = ServiceBuilder::new().boxed_clone_sync().service(Responses::new(http));
    let tasks: Vec<_> =
        (0..4).map(|_| tokio::spawn(responses.clone().oneshot(request()))).collect();
    for task in tasks {
        let stream = task.await.unwrap().unwrap();
        assert_eq!(stream.text().collect().await.unwrap(), "Hello");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_layers_above_it_have_a_kind_too() {
    let never = || {
        Responses::new(service_fn(|_: Request<RequestBody>| {
            std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>()
        }))
    };
    let limit = Duration::from_secs(5);
    let timed = ServiceBuilder::new().timeout(limit).service(never());
    let error = Error::from(timed.oneshot(request()).await.map(drop).unwrap_err());
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Timeout, Stage::Unknown));

    let mut shedding = ServiceBuilder::new().load_shed().concurrency_limit(1).service(never());
    let first = shedding.ready().await.unwrap().call(request());
    let second = shedding.ready().await.unwrap().call(request()).await;
    let error = Error::from(second.map(drop).unwrap_err());
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::NotSent));
    drop(first);

    // The endpoint's own error comes through layers unharmed.
    let refuse = response(429, &[("x-request-id", "r")], Full::<Bytes>::default());
    let stack =
        ServiceBuilder::new().timeout(limit).load_shed().service(Responses::new(once(refuse)));
    let error = Error::from(stack.oneshot(request()).await.map(drop).unwrap_err());
    assert_eq!((error.kind(), error.request_id()), (ErrorKind::RateLimited, Some("r")));
}

#[tokio::test(start_paused = true)]
async fn errors_of_layers_below_it_have_a_kind() {
    let limit = Duration::from_secs(5);
    let never = service_fn(|_: Request<RequestBody>| {
        std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>()
    });
    let timed = ServiceBuilder::new().layer(Responses::layer()).timeout(limit).service(never);
    let error = timed.oneshot(request()).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(std::error::Error::source(&error).is_some());

    let broken = service_fn(|_: Request<RequestBody>| async {
        Err::<Response<Full<Bytes>>, BoxError>("odd".into())
    });
    let error = Responses::new(broken).oneshot(request()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Transport, "odd"));
}

#[tokio::test]
async fn a_future_that_is_polled_again_does_not_panic() {
    let responses = Responses::new(once(answer()));
    for request in [request(), request().header("bad name", "x")] {
        let mut call = tokio_test::task::spawn(responses.clone().oneshot(request));
        let _ = tokio_test::assert_ready!(call.poll());
        let mut again = responses.clone();
        let mut call =
            tokio_test::task::spawn(again.call(ResponsesRequest::new("m", "x").header("\n", "")));
        assert!(tokio_test::assert_ready!(call.poll()).is_err());
        assert_pending!(call.poll());
    }
}
