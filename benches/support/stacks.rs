//! The layers, alone and in stacks, over a service that answers at once or after one wait: a unary
//! call costs what the layers do.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::Full;
use tower::retry::RetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::trace::TraceLayer;
use tower_openai::layers::{
    AuthLayer, Bearer, CompressionLayer, IdleTimeoutLayer, ProviderLayer, RateLimitLayer,
};
use tower_openai::provider::Provider;
use tower_openai::{BoxError, RequestBody};

/// Calls that one run of a [`Row`] makes.
pub const CALLS: usize = 1_000;

const LIMIT: Duration = Duration::from_secs(300);
const BASE: &str = "https://api.example.com/v1";

/// One line of the tables.
pub struct Row {
    pub name: &'static str,
    pub backend: &'static str,
    /// Makes [`CALLS`] calls.
    pub run: Box<dyn FnMut()>,
}

/// All rows; the first one of each backend is the bare service.
///
/// A layer more is a line more. Timers want a runtime to be entered while they run.
pub fn rows() -> Vec<Row> {
    let provider = Provider::new("bench", BASE).expect("a base URL");
    let bearer = Bearer::new("sk-example").expect("a token");
    let auth = AuthLayer::new(bearer).for_origin(BASE).expect("an origin");
    let ours = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider.clone()))
        .layer(CompressionLayer::zstd())
        .layer(RateLimitLayer::new())
        .layer(auth.clone())
        .layer(IdleTimeoutLayer::new(LIMIT))
        .into_inner();
    let theirs = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(RetryLayer::new(ServerErrors(2)))
        .layer(SetRequestHeaderLayer::overriding(AUTHORIZATION, authorization()))
        .timeout(LIMIT)
        .into_inner();

    let mut rows = Rows::default();
    rows.layer("bare service", tower::layer::util::Identity::new());
    rows.layer("ProviderLayer", ProviderLayer::new(provider.clone()));
    rows.layer("CompressionLayer, below its threshold", CompressionLayer::zstd());
    rows.layer("CompressionLayer, not asked", CompressionLayer::new());
    rows.layer("AuthLayer, static token", auth);
    rows.layer("IdleTimeoutLayer", IdleTimeoutLayer::new(LIMIT));
    rows.layer("RateLimitLayer", RateLimitLayer::new());
    rows.layer("all of these", ours);
    rows.layer("tower and tower-http: trace, retry, set header, timeout", theirs);

    let request = request();
    rows.operation("request clone", move || drop(black_box(request.clone())));
    rows.operation("joined URL", move || {
        black_box(provider.url_for("responses").expect("a URL"));
    });
    rows.0
}

#[derive(Default)]
struct Rows(Vec<Row>);

impl Rows {
    /// A layer over both backends, and over the first in a box.
    fn layer<L, A, B>(&mut self, name: &'static str, layer: L)
    where
        L: Layer<Backend<false>> + Layer<Backend<true>>,
        <L as Layer<Backend<false>>>::Service:
            Service<Request<RequestBody>, Response = Response<A>> + Clone + Send + Sync + 'static,
        <L as Layer<Backend<true>>>::Service:
            Service<Request<RequestBody>, Response = Response<B>> + 'static,
        CallOf<L, false>: Future + Send + 'static,
        ErrorOf<L, false>: fmt::Debug + 'static,
        ErrorOf<L, true>: fmt::Debug,
        A: 'static,
        B: 'static,
    {
        let ready = layer.layer(Backend::<false>);
        let pending = layer.layer(Backend::<true>);
        let boxed = BoxCloneSyncService::new(ready.clone());
        self.0.push(Row { name, backend: "ready", run: calls(ready) });
        self.0.push(Row { name, backend: "pending once", run: calls(pending) });
        self.0.push(Row { name, backend: "ready, boxed", run: calls(boxed) });
    }

    /// What a layer cannot do without, for comparison.
    fn operation(&mut self, name: &'static str, mut operation: impl FnMut() + 'static) {
        let run = Box::new(move || (0..CALLS).for_each(|_| operation()));
        self.0.push(Row { name, backend: "none", run });
    }
}

type CallOf<L, const PENDING: bool> =
    <<L as Layer<Backend<PENDING>>>::Service as Service<Request<RequestBody>>>::Future;
type ErrorOf<L, const PENDING: bool> =
    <<L as Layer<Backend<PENDING>>>::Service as Service<Request<RequestBody>>>::Error;

fn calls<S, RB>(mut service: S) -> Box<dyn FnMut()>
where
    S: Service<Request<RequestBody>, Response = Response<RB>> + 'static,
    S::Error: fmt::Debug,
    RB: 'static,
{
    let request = request();
    Box::new(move || {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..CALLS {
            assert!(service.poll_ready(&mut cx).is_ready(), "always ready");
            let mut call = pin!(service.call(request.clone()));
            let answer = loop {
                if let Poll::Ready(answer) = call.as_mut().poll(&mut cx) {
                    break answer;
                }
            };
            black_box(answer.expect("an answer"));
        }
    })
}

/// What an endpoint sends, but for the URI, which is absolute; the provider's path is the same.
fn request() -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::from(r#"{"model":"gpt-5.2","input":"hello"}"#));
    *request.uri_mut() = Uri::from_static("https://api.example.com/v1/responses");
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

fn authorization() -> HeaderValue {
    let mut value = HeaderValue::from_static("Bearer sk-example");
    value.set_sensitive(true);
    value
}

/// Answers at once, or when it is polled for the second time.
#[derive(Clone, Copy)]
struct Backend<const PENDING: bool>;

impl<const PENDING: bool> Service<Request<RequestBody>> for Backend<PENDING> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer<PENDING>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        black_box(request);
        Answer { waited: false }
    }
}

struct Answer<const PENDING: bool> {
    waited: bool,
}

impl<const PENDING: bool> Future for Answer<PENDING> {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if PENDING && !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(Response::new(Full::default())))
    }
}

/// The simplest policy of use: so many retries of answers from 500 on.
#[derive(Clone)]
struct ServerErrors(u32);

impl<RB> tower::retry::Policy<Request<RequestBody>, Response<RB>, BoxError> for ServerErrors {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<RequestBody>,
        result: &mut Result<Response<RB>, BoxError>,
    ) -> Option<Self::Future> {
        let failed = result.as_ref().map_or(true, |answer| answer.status().is_server_error());
        if !failed || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        Some(request.clone())
    }
}
