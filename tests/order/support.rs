//! What the tests of this binary share: both stacks over one scripted transport, an observer that
//! notes each hook, and credentials that are never the same twice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, pending, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_openai::client::{Client, Policy};
use tower_openai::extensions::StreamTimeouts;
use tower_openai::layers::auth::{
    Credentials, CredentialsError, RefreshCredentials, Refreshed, RejectedCredential,
};
use tower_openai::layers::telemetry::{
    AttemptInfo, CallEnd, CallInfo, EventInfo, HeadInfo, Observe, Outcome, RetryInfo,
};
use tower_openai::layers::{
    AttemptLayer, AuthLayer, CompressionLayer, HeadTimeoutLayer, IdleTimeoutLayer,
    InFlightLimitLayer, ProviderLayer, RateLimitLayer, RateLimitsHandle, RetryLayer, RetryPolicy,
    TelemetryLayer, TotalTimeoutLayer,
};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::{BoxError, RequestBody, ResponseBody};

pub(crate) const BASE: &str = "https://api.test/v1";

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Long enough to be compressed.
pub(crate) fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "It was the best of times. ".repeat(250))
}

pub(crate) const CREATED: &str =
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n";
pub(crate) const COMPLETED: &str =
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"}}\n\n";

/// What the transport does with a request.
#[derive(Clone)]
pub(crate) enum Play {
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// A head and the first event, then nothing.
    Open,
    /// No head, ever.
    Hang,
}

pub(crate) fn status(status: u16) -> Play {
    Play::Answer(status, Vec::new(), "{}")
}

pub(crate) fn with(status: u16, name: &'static str, value: &'static str) -> Play {
    Play::Answer(status, vec![(name, value)], "{}")
}

pub(crate) fn done() -> Play {
    Play::Answer(200, Vec::new(), COMPLETED)
}

/// A request as it reached the wire.
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) type WireHttp = BoxCloneSyncService<Request<RequestBody>, Response<WireBody>, BoxError>;

/// The transport: plays what it was given, then answers whole.
#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<WireState>);

#[derive(Default)]
struct WireState {
    plays: Mutex<VecDeque<Play>>,
    seen: Mutex<Vec<Seen>>,
    open: Arc<AtomicUsize>,
}

impl Wire {
    pub(crate) fn playing(plays: impl IntoIterator<Item = Play>) -> Self {
        let wire = Self::default();
        wire.play(plays);
        wire
    }

    pub(crate) fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.0.plays.lock().unwrap().extend(plays);
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.seen.lock().unwrap())
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.seen.lock().unwrap().len()
    }

    /// Futures and bodies that are alive.
    pub(crate) fn open(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }

    pub(crate) fn http(&self) -> WireHttp {
        let wire = self.clone();
        BoxCloneSyncService::new(service_fn(move |request| wire.clone().send(request)))
    }

    async fn send(self, request: Request<RequestBody>) -> Result<Response<WireBody>, BoxError> {
        let held = Held::new(&self.0.open);
        let (head, body) = request.into_parts();
        let body = body.as_bytes().cloned().expect("bytes");
        let (at, uri) = (Instant::now(), head.uri.to_string());
        let seen = Seen { at, uri, headers: head.headers, body };
        self.0.seen.lock().unwrap().push(seen);
        let play = self.0.plays.lock().unwrap().pop_front().unwrap_or_else(done);
        let (status, headers, data, ends) = match play {
            Play::Answer(status, headers, data) => (status, headers, data, true),
            Play::Open => (200, Vec::new(), CREATED, false),
            Play::Hang => pending().await,
        };
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok(response.body(WireBody { data: Some(data.into()), ends, _held: held })?)
    }
}

pub(crate) struct WireBody {
    data: Option<Bytes>,
    ends: bool,
    _held: Held,
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells in each credential how many were refreshed and how many given out.
#[derive(Clone, Default)]
pub(crate) struct Numbered(Arc<NumberedState>);

#[derive(Default)]
struct NumberedState {
    refreshed: AtomicUsize,
    given: AtomicUsize,
    refreshing: Arc<AtomicUsize>,
    delay: Mutex<Duration>,
}

impl Numbered {
    pub(crate) fn refreshing_in(&self, delay: Duration) {
        *self.0.delay.lock().unwrap() = delay;
    }

    /// Refreshes that are under way.
    pub(crate) fn refreshing(&self) -> usize {
        self.0.refreshing.load(Ordering::SeqCst)
    }
}

impl<B> Credentials<B> for Numbered {
    type Future = Ready<Result<Request<B>, CredentialsError>>;

    fn authorize(&self, mut request: Request<B>) -> Self::Future {
        let refreshed = self.0.refreshed.load(Ordering::SeqCst);
        let given = self.0.given.fetch_add(1, Ordering::SeqCst) + 1;
        let value = format!("Bearer {refreshed}-{given}");
        let mut value = HeaderValue::try_from(value).unwrap();
        value.set_sensitive(true);
        request.headers_mut().insert("authorization", value);
        ready(Ok(request))
    }
}

impl RefreshCredentials for Numbered {
    type Future = Pin<Box<dyn Future<Output = Result<Refreshed, CredentialsError>> + Send>>;

    fn refresh(&self, _: RejectedCredential) -> Self::Future {
        let state = Arc::clone(&self.0);
        let held = Held::new(&state.refreshing);
        Box::pin(async move {
            let _held = held;
            let delay = *state.delay.lock().unwrap();
            if !delay.is_zero() {
                sleep(delay).await;
            }
            state.refreshed.fetch_add(1, Ordering::SeqCst);
            Ok(Refreshed::Replaced)
        })
    }
}

/// Notes each hook as a line, under the number of its call.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, call: &CallInfo, line: impl fmt::Display) {
        self.0.lock().unwrap().push(format!("{}: {line}", call.id()));
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observe for Log {
    fn on_request(&self, call: &CallInfo) {
        self.note(call, format_args!("request {} {:?}", call.path(), call.host()));
    }

    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        let (number, sent) = (attempt.attempt.number(), attempt.sent);
        let again = if attempt.after_unauthorized { " again" } else { "" };
        self.note(call, format_args!("attempt {number}/{sent} {:?}{again}", attempt.outcome));
    }

    fn on_retry(&self, call: &CallInfo, retry: &RetryInfo) {
        self.note(call, format_args!("retry {} after {:?}", retry.reason, retry.delay));
    }

    fn on_head(&self, call: &CallInfo, head: &HeadInfo<'_>) {
        self.note(call, format_args!("head {}", head.status.as_u16()));
    }

    fn on_event(&self, call: &CallInfo, event: &EventInfo<'_>) {
        self.note(call, event.event.kind());
    }

    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        let kind = match end.outcome {
            Outcome::Error { kind, .. } => format!(" {kind}"),
            _ => String::new(),
        };
        let (attempts, retries) = (end.attempts, end.retries);
        let outcome = end.outcome.as_str();
        self.note(call, format_args!("end {outcome}{kind}: {attempts} sent, {retries} waits"));
    }
}

/// Settings of a stack; zero is off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) total: Duration,
    pub(crate) head: Duration,
    pub(crate) in_flight: Option<usize>,
    pub(crate) plain: bool,
}

type Http = BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, BoxError>;

/// A whole stack, and what is watched of it.
pub(crate) struct Stack {
    pub(crate) name: &'static str,
    pub(crate) responses: Responses<Http>,
    pub(crate) wire: Wire,
    pub(crate) log: Log,
    pub(crate) credentials: Numbered,
    pub(crate) limits: RateLimitsHandle,
}

/// The stack as a reader of the documentation puts it together, and the preset's, each over a
/// transport that plays `plays`.
pub(crate) fn both(settings: Settings, plays: impl Into<Vec<Play>>) -> [Stack; 2] {
    let plays = plays.into();
    [by_hand(settings, plays.clone()), by_client(settings, plays)]
}

fn by_hand(settings: Settings, plays: Vec<Play>) -> Stack {
    let wire = Wire::playing(plays);
    let (log, credentials) = (Log::default(), Numbered::default());
    let rate_limits = RateLimitLayer::new();
    let limits = rate_limits.handle();
    let compression =
        if settings.plain { CompressionLayer::new() } else { CompressionLayer::zstd() };
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(Provider::new("test", BASE).unwrap()))
        .layer(TelemetryLayer::new().observe(log.clone()))
        .layer(TotalTimeoutLayer::new(settings.total))
        .layer(compression)
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(InFlightLimitLayer::new(settings.in_flight.unwrap_or(100)).unwrap())
        .layer(rate_limits)
        .layer(AuthLayer::new(credentials.clone()).refresh_on_unauthorized())
        .layer(AttemptLayer::new())
        .layer(HeadTimeoutLayer::new(settings.head))
        .layer(IdleTimeoutLayer::new(seconds(300)))
        .service(wire.http());
    let erased = stack.map_response(|response| response.map(ResponseBody::new));
    let responses = Responses::new(BoxCloneSyncService::new(erased));
    Stack { name: "by hand", responses, wire, log, credentials, limits }
}

fn by_client(settings: Settings, plays: Vec<Play>) -> Stack {
    let wire = Wire::playing(plays);
    let (log, credentials) = (Log::default(), Numbered::default());
    let mut policy = Policy::default();
    policy.default.timeouts = StreamTimeouts::new().total(settings.total).head(settings.head);
    policy.default.max_in_flight = settings.in_flight.and_then(std::num::NonZeroUsize::new);
    if !settings.plain {
        policy.default.compression = Some(tower_openai::services::Compression::Zstd);
    }
    let client = Client::builder()
        .base_url(BASE)
        .auth_layer(AuthLayer::new(credentials.clone()).refresh_on_unauthorized())
        .observe(log.clone())
        .policy(policy)
        .transport(wire.http())
        .build()
        .unwrap();
    let limits = client.rate_limits();
    let responses = Responses::new(BoxCloneSyncService::new(client.http()));
    Stack { name: "by the preset", responses, wire, log, credentials, limits }
}
