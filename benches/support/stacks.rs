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
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::Full;
use tower::util::{BoxCloneSyncService, MapRequestLayer};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::trace::TraceLayer;
use tower_openai::RequestBody;
use tower_openai::extensions::Deadline;
use tower_openai::layers::{
    AttemptLayer, AuthLayer, Bearer, CompressionLayer, HeadTimeoutLayer, IdleTimeoutLayer,
    InFlightLimitLayer, ProviderLayer, RateLimitLayer, RetryLayer, RetryPolicy, TelemetryLayer,
    TotalTimeoutLayer,
};
use tower_openai::provider::Provider;
use tower_openai::transport::decompression::DecompressionLayer;

/// Calls that one run of a [`Row`] makes.
pub const CALLS: usize = 1_000;

/// Longer than a run of the benchmark, and than [`hold_timer`]'s.
const LIMIT: Duration = Duration::from_secs(3600);
const BASE: &str = "https://api.example.com/v1";
/// What an endpoint sends, and what a provider makes of it.
const ORIGIN_FORM: &str = "/responses";
const ABSOLUTE: &str = "https://api.example.com/v1/responses";

const BARE: &str = "bare service";
const CLONE: &str = "a clone of the request";
const JOIN: &str = "a joined URL, and an extension";
const HEADER: &str = "an inserted constant header";
const TOKEN: &str = "an inserted token";
const DEADLINE: &str = "a read clock, and an extension";
const PERMIT: &str = "a permit of a semaphore";

/// One line of the tables.
pub struct Row {
    pub name: &'static str,
    pub backend: &'static str,
    /// The row whose cost this one has too: the bare service, or that with what a layer is there
    /// to build.
    pub beside: &'static str,
    /// Bytes of a call's future, and of its answer.
    pub sizes: (usize, usize),
    /// Makes [`CALLS`] calls.
    pub run: Box<dyn FnMut()>,
}

impl Row {
    fn new<S, RB>(
        name: &'static str,
        beside: &'static str,
        backend: &'static str,
        service: S,
        uri: &'static str,
    ) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<RB>> + 'static,
        S::Error: fmt::Debug,
        RB: 'static,
    {
        let sizes = (size_of::<S::Future>(), size_of::<Response<RB>>());
        Self { name, beside, backend, sizes, run: calls(service, uri) }
    }
}

/// All rows; the first one of each backend is the bare service.
///
/// A layer more is a line more. Timers want a runtime to be entered while they run.
pub fn rows() -> Vec<Row> {
    let provider = Provider::new("bench", BASE).expect("a base URL");
    let auth = || AuthLayer::new(Bearer::new("sk-example").expect("a token"));
    let in_flight = || InFlightLimitLayer::new(1_000).expect("a limit");

    let mut rows = Rows { rows: Vec::new(), uri: ABSOLUTE };
    rows.layer(BARE, BARE, tower::layer::util::Identity::new());

    rows.layer("IdleTimeoutLayer", BARE, IdleTimeoutLayer::new(LIMIT));
    rows.layer("HeadTimeoutLayer", BARE, HeadTimeoutLayer::new(LIMIT));
    rows.layer("TotalTimeoutLayer, off", BARE, TotalTimeoutLayer::disabled());
    rows.layer("TelemetryLayer, no subscriber", BARE, TelemetryLayer::new());
    rows.layer("AttemptLayer, no observer", BARE, AttemptLayer::new());
    rows.layer("RateLimitLayer", BARE, RateLimitLayer::new());
    rows.operation(HEADER, |request| {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    });
    rows.layer("DecompressionLayer", HEADER, DecompressionLayer::new());
    rows.layer("CompressionLayer, not asked", BARE, CompressionLayer::new());
    rows.layer("CompressionLayer, below its threshold", BARE, CompressionLayer::zstd());
    rows.layer("RetryLayer, disabled", BARE, RetryLayer::disabled());

    let token = authorization();
    rows.operation(TOKEN, move |request| {
        request.headers_mut().insert(AUTHORIZATION, token.clone());
    });
    let named = auth().for_origin(BASE).expect("an origin");
    rows.layer("AuthLayer, static token", TOKEN, named);
    rows.operation(CLONE, |request| drop(black_box(request.clone())));
    rows.layer("RetryLayer, 2 retries", CLONE, RetryLayer::default());
    rows.layer("tower's Retry", CLONE, tower::retry::RetryLayer::new(ServerErrors(2)));
    rows.uri = ORIGIN_FORM;
    let joining = provider.clone();
    rows.operation(JOIN, move |request| {
        *request.uri_mut() = joining.url_for("responses").expect("a URL");
        request.extensions_mut().insert(joining.origin().clone());
    });
    rows.layer("ProviderLayer", JOIN, ProviderLayer::new(provider.clone()));
    rows.uri = ABSOLUTE;
    rows.operation(DEADLINE, |request| {
        let deadline = Deadline::at(tokio::time::Instant::now() + LIMIT);
        request.extensions_mut().insert(deadline);
    });
    rows.layer("TotalTimeoutLayer, on", DEADLINE, TotalTimeoutLayer::new(LIMIT));
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(1_000));
    rows.operation(PERMIT, move |_| drop(black_box(permits.clone().try_acquire_owned())));
    rows.layer("InFlightLimitLayer", PERMIT, in_flight());

    rows.uri = ORIGIN_FORM;
    let ours = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider.clone()))
        .layer(TelemetryLayer::new())
        .layer(TotalTimeoutLayer::disabled())
        .layer(CompressionLayer::new())
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(in_flight())
        .layer(RateLimitLayer::new())
        .layer(auth())
        .layer(AttemptLayer::new())
        .layer(DecompressionLayer::new())
        .layer(HeadTimeoutLayer::new(LIMIT))
        .layer(IdleTimeoutLayer::new(LIMIT));
    rows.layer("whole default stack", BARE, ours);
    // What the default stack adds to a request and an answer, with the layers that are there for it:
    // URL and origin, user agent, spans, retries, a limit, the credential, decompression, a timeout.
    let theirs = ServiceBuilder::new()
        .layer(MapRequestLayer::new(move |mut request: Request<RequestBody>| {
            *request.uri_mut() = provider.url_for("responses").expect("a URL");
            request.extensions_mut().insert(provider.origin().clone());
            request
        }))
        .layer(SetRequestHeaderLayer::if_not_present(USER_AGENT, user_agent()))
        .layer(TraceLayer::new_for_http())
        .layer(tower::retry::RetryLayer::new(ServerErrors(2)))
        .concurrency_limit(1_000)
        .layer(SetRequestHeaderLayer::overriding(AUTHORIZATION, authorization()))
        .layer(tower_http::decompression::DecompressionLayer::new())
        .timeout(LIMIT);
    rows.layer("tower and tower-http: the same facts", BARE, theirs);

    rows.uri = ABSOLUTE;
    let ours = ServiceBuilder::new()
        .layer(TelemetryLayer::new())
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(auth().for_origin(BASE).expect("an origin"))
        .layer(HeadTimeoutLayer::new(LIMIT));
    rows.layer("telemetry, retry, auth, timeout", BARE, ours);
    let theirs = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(tower::retry::RetryLayer::new(ServerErrors(2)))
        .layer(SetRequestHeaderLayer::overriding(AUTHORIZATION, authorization()))
        .timeout(LIMIT);
    rows.layer("tower and tower-http: trace, retry, set header, timeout", BARE, theirs);
    rows.rows
}

/// Registers a timer that is earlier than those of the rows, as a busy runtime has one. Without it
/// each timer of a row is the next one, and what is measured is how its driver is woken.
pub fn hold_timer(runtime: &tokio::runtime::Runtime) -> Pin<Box<tokio::time::Sleep>> {
    let _context = runtime.enter();
    let mut timer = Box::pin(tokio::time::sleep(LIMIT / 2));
    assert!(timer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // The driver learns which timer is the next when it parks.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(2)).await });
    timer
}

struct Rows {
    rows: Vec<Row>,
    /// What the requests of the next rows go to.
    uri: &'static str,
}

impl Rows {
    /// A layer over both backends, and over the first in a box.
    fn layer<L, A, B>(&mut self, name: &'static str, beside: &'static str, layer: L)
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
        self.rows.push(Row::new(name, beside, "ready", ready, self.uri));
        self.rows.push(Row::new(name, beside, "pending once", pending, self.uri));
        self.rows.push(Row::new(name, beside, "ready, boxed", boxed, self.uri));
    }

    /// The bare service, and done by hand what a layer cannot do without.
    fn operation<F>(&mut self, name: &'static str, operation: F)
    where
        F: Fn(&mut Request<RequestBody>) + Clone + Send + Sync + 'static,
    {
        let layer = MapRequestLayer::new(move |mut request| {
            operation(&mut request);
            request
        });
        self.layer(name, BARE, layer);
    }
}

type CallOf<L, const PENDING: bool> =
    <<L as Layer<Backend<PENDING>>>::Service as Service<Request<RequestBody>>>::Future;
type ErrorOf<L, const PENDING: bool> =
    <<L as Layer<Backend<PENDING>>>::Service as Service<Request<RequestBody>>>::Error;

fn calls<S, RB>(mut service: S, uri: &'static str) -> Box<dyn FnMut()>
where
    S: Service<Request<RequestBody>, Response = Response<RB>> + 'static,
    S::Error: fmt::Debug,
    RB: 'static,
{
    let request = request(uri);
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

/// A request as an endpoint sends it.
fn request(uri: &'static str) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::from(r#"{"model":"gpt-5.2","input":"hello"}"#));
    *request.uri_mut() = Uri::from_static(uri);
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

fn user_agent() -> HeaderValue {
    HeaderValue::from_static("bench/1.0")
}

/// Made when the program runs, as keys are: what is cloned is counted, not constant.
fn authorization() -> HeaderValue {
    let mut value = HeaderValue::try_from(String::from("Bearer sk-example")).expect("a value");
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
        let mut answer = Response::new(Full::default());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Poll::Ready(Ok(answer))
    }
}

/// The simplest policy of use: so many retries of answers from 500 on.
#[derive(Clone)]
struct ServerErrors(u32);

impl<RB, E> tower::retry::Policy<Request<RequestBody>, Response<RB>, E> for ServerErrors {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<RequestBody>,
        result: &mut Result<Response<RB>, E>,
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
