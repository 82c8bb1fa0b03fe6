//! Tells what becomes of each call: a span, and hooks for an observer.
//!
//! A call is more than a request: it may be sent several times, and its answer goes on for minutes
//! after the head. [`TelemetryLayer`] watches the whole of it, from the request to the last event,
//! the error or the drop, whichever comes. [`AttemptLayer`] tells it of the single attempts.
//!
//! **Place:** `TelemetryLayer` inside `ProviderLayer`, so that it knows the host, and outside of
//! compression, retry and auth. `AttemptLayer` inside auth.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use tower::ServiceBuilder;
//! use tower_openai::layers::telemetry::{AttemptLayer, CallEnd, CallInfo, Observe, TelemetryLayer};
//! use tower_openai::services::{Responses, ResponsesRequest};
//! # use tower::service_fn;
//!
//! #[derive(Default)]
//! struct Tokens(AtomicU64);
//!
//! impl Observe for Tokens {
//!     fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
//!         println!("{:?}: {} after {:?}", call.model(), end.outcome.as_str(), end.duration);
//!         self.0.fetch_add(end.usage.map_or(0, |usage| usage.total_tokens), Ordering::Relaxed);
//!     }
//! }
//!
//! # tokio_test::block_on(async {
//! # let transport = service_fn(|_: http::Request<tower_openai::RequestBody>| async move {
//! #     let body = concat!(r#"data: {"type":"response.completed","response":{"id":"resp_1","usage":
//! #         {"input_tokens":1,"output_tokens":7,"total_tokens":8}}}"#, "\n\n").replace("\n  ", "");
//! #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::from(body)))
//! # });
//! let tokens = Arc::new(Tokens::default());
//! let http = ServiceBuilder::new()
//!     .layer(TelemetryLayer::new().observe(tokens.clone()))
//!     .layer(AttemptLayer::new())
//!     .service(transport);
//!
//! let stream = Responses::new(http).stream_request(ResponsesRequest::new("gpt-5.2", "hello"));
//! stream.await?.final_response().await?;
//! assert_eq!(tokens.0.load(Ordering::Relaxed), 8);
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! # The end of a call
//!
//! A stream of this crate ends with its terminal event, whatever becomes of the body after it. For a
//! reader that takes only bytes (an endpoint of yours) the end of the body is the end, and an error if
//! the status was one, even if the body is dropped unread. Without a subscriber and with `()` as its observer the layer passes requests
//! and answers through: it allocates nothing and reads no clock.
//!
//! # On a socket
//!
//! A `ResponsesSocket` is opened by one call, the handshake, and
//! carries many. The layer that the handshake went through watches each of these as a call of its own,
//! from the request to the end of its stream: with the same span, the same hooks in the same order,
//! and the same metrics.
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "ws", feature = "testing"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! # use tower::ServiceBuilder;
//! # use tower_openai::layers::telemetry::{AttemptLayer, CallEnd, CallInfo, Observe, TelemetryLayer};
//! # use tower_openai::layers::ProviderLayer;
//! # use tower_openai::provider::Provider;
//! # use tower_openai::testing::Server;
//! # use tower_openai::transport::HyperTransport;
//! use tower_openai::services::{ResponsesRequest, ResponsesSocket, ResponsesSocketRequest};
//!
//! #[derive(Clone)]
//! struct Log;
//!
//! impl Observe for Log {
//!     fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
//!         let endpoint = call.endpoint().unwrap_or_default();
//!         println!("{} {endpoint}: {}", call.id(), end.outcome.as_str());
//!     }
//! }
//!
//! # let server = Server::start().await?;
//! # let provider = Provider::new("test", server.base_url())?;
//! let socket = ServiceBuilder::new()
//!     .layer(ResponsesSocket::layer())
//!     .layer(ProviderLayer::new(provider))
//!     .layer(TelemetryLayer::new().observe(Log))
//!     .layer(AttemptLayer::new())
//!     .service(HyperTransport::new()?);
//!
//! // 1 responses_socket: complete
//! let connection = socket.connect_inline(ResponsesSocketRequest::new()).await?;
//! // 2 responses: complete, then 3 responses: complete
//! for words in ["hello", "and again"] {
//!     let request = ResponsesRequest::new("gpt-5.2", words);
//!     connection.stream_request(request).await?.final_response().await?;
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "client", feature = "ws", feature = "testing")))]
//! # fn main() {}
//! ```
//!
//! What differs:
//!
//! * [`CallInfo::is_over_socket`] is true, and the span and the metrics have `network.protocol.name`,
//!   `websocket`.
//! * Method, host, path and headers are those of the handshake, and so is the status, 101. A request that
//!   the server refuses has the status of its refusal, and no headers.
//! * An attempt is told each time that the request is sent, without an `AttemptLayer` and without a span.
//! * What [`AttemptLayer::propagate`] writes is made anew for each request, in the call's span, and
//!   travels in its `client_metadata`: `traceparent` and `tracestate`, as
//!   `ws_request_header_traceparent` and `…_tracestate`, in place of what the caller has there.
//! * A request that the connection does not take, because of its size say, is a call that failed.
//!
//! # The span
//!
//! Each call has one span: name `call`, target `tower_openai::telemetry`, level `INFO`. It is
//! entered while the call's future or body is polled, and closes when the call ends. Its fields
//! follow the [OpenTelemetry conventions for generative AI][semconv]; where these have a list, the
//! field is JSON text.
//!
//! | field | value |
//! |---|---|
//! | `otel.name`, `otel.kind`, `otel.status_code` | operation and model, `client`, `ERROR` if it failed |
//! | `gen_ai.operation.name` | `chat` for `responses`, as is the custom; else the endpoint's name |
//! | `gen_ai.provider.name` | `openai`, `azure.ai.openai`, or as [given](TelemetryLayer::provider_name) |
//! | `gen_ai.request.model`, `gen_ai.request.stream`, `openai.api.type` | as the endpoint says |
//! | `server.address`, `server.port`, `http.request.method`, `url.path` | of the request; never the query |
//! | `http.response.status_code` | of the final answer |
//! | `network.protocol.name` | `websocket`, if it went over one |
//! | `gen_ai.response.id`, `gen_ai.response.model` | as the server says |
//! | `gen_ai.response.finish_reasons` | `["stop"]`, `["length"]`, `["error"]`, or the reason of an incomplete answer |
//! | `gen_ai.response.time_to_first_chunk` | seconds to the first event |
//! | `gen_ai.usage.input_tokens`, `….output_tokens`, `….cache_read.input_tokens`, `….reasoning.output_tokens` | counts |
//! | `error.type` | the [kind](crate::ErrorKind) of the error |
//! | `tower_openai.call.id`, `tower_openai.attempts` | the number of the call, and of its requests |
//! | `tower_openai.outcome` | `complete`, `error` or `dropped` |
//! | `gen_ai.input.messages`, `gen_ai.system_instructions`, `gen_ai.tool.definitions`, `gen_ai.output.messages` | only with [`record_content`](TelemetryLayer::record_content) |
//!
//! In it are, each with the span as its explicit parent: an event `retrying` (`INFO`) before each
//! wait, one for a gap in the sequence numbers (`DEBUG`), and one for a failure (`WARN`,
//! `event.name` is `gen_ai.client.operation.exception`); and the spans of the
//! [attempts](attempt).
//!
//! # Beside the reference
//!
//! What the `codex-api` crate reports, and where it is found here:
//!
//! | there | here |
//! |---|---|
//! | `RequestTelemetry::on_request`: attempt, status, error, duration | [`Observe::on_attempt`]; attempts count from 1 |
//! | `SseTelemetry::on_sse_poll`, an event, with the wait | [`Observe::on_event`], [`EventInfo::waited`] |
//! | `on_sse_poll`: the stream's error, its end, its timeout | [`Observe::on_end`]; the timeout is an [error's kind](crate::ErrorKind) |
//! | auth header attached and its name | [`AttemptInfo::auth_header`] |
//! | retry after 401 | [`AttemptInfo::after_unauthorized`] |
//! | request id, cf-ray | [`AttemptInfo::request_id`], [`AttemptInfo::cf_ray`] |
//! | auth error and its code | [`AttemptInfo::authorization_error`], [`AttemptInfo::code`] |
//! | endpoint, `http.method`, `api.path` | [`CallInfo::endpoint`], [`CallInfo::method`], [`CallInfo::path`] |
//! | spans `stream_request`, `stream`, `execute_with` | the span `call`, for the stream too |
//! | debug log of all response headers | the attempt's event at `DEBUG`, of headers known to be harmless |
//! | request bodies at `TRACE` | only with [`record_content`](TelemetryLayer::record_content) |
//!
//! Not there: retries and their delays ([`Observe::on_retry`]), time to the first event, gaps, usage
//! and totals, and what was dropped.
//!
//! **Errors:** those of the service inside, boxed, because their kind is reported.
//!
//! [semconv]: https://github.com/open-telemetry/semantic-conventions-genai

pub mod attempt;
mod body;
mod call;
#[cfg(feature = "metrics")]
mod metrics;
mod observe;
mod propagate;
mod socket;
mod span;

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Level;

pub use self::attempt::{AttemptLayer, WatchAttempt, WatchAttemptFuture};
pub use self::body::TelemetryBody;
#[cfg(feature = "metrics")]
pub use self::metrics::{MetricsObserver, SECONDS_BUCKETS, TOKENS_BUCKETS};
pub use self::observe::{
    AttemptInfo, AttemptOutcome, CallEnd, CallInfo, EventInfo, HeadInfo, Observe, Outcome,
    RetryInfo, SequenceGap,
};
#[cfg(feature = "opentelemetry")]
pub use self::propagate::OpenTelemetry;
pub use self::propagate::Propagate;

use self::body::Watched;
use self::call::{CallWatch, Watch};
use crate::BoxError;
use crate::extensions::{SocketWatchers, StreamObservers, WatchedCall};

/// Watches calls, for its span and an observer; see the [module](self).
#[derive(Clone)]
#[must_use]
pub struct TelemetryLayer<O = ()> {
    observer: O,
    provider: Option<Arc<str>>,
    record_content: bool,
    last_id: Arc<AtomicU64>,
}

impl TelemetryLayer {
    /// Writes a span, if somebody listens, and tells no observer.
    pub fn new() -> Self {
        Self { observer: (), provider: None, record_content: false, last_id: Arc::default() }
    }
}

// Not for every observer with a default: `TelemetryLayer::default()` would not say which.
impl Default for TelemetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<O> TelemetryLayer<O> {
    /// Tells `observer`, in place of the one before: a pair tells two. It is cloned for every call:
    /// share it in an [`Arc`].
    pub fn observe<N: Observe + Clone>(self, observer: N) -> TelemetryLayer<N> {
        let Self { observer: _, provider, record_content, last_id } = self;
        TelemetryLayer { observer, provider, record_content, last_id }
    }

    /// The value of `gen_ai.provider.name`, in place of what the host suggests.
    pub fn provider_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// Whether the span has prompts, outputs and the server's sentence on a failure. Off by default:
    /// they are the user's own.
    ///
    /// The prompt is recorded of a [`RequestBody`](crate::RequestBody) in memory that is not
    /// compressed yet, the output of a stream of this crate. Both are the API's own JSON, images and
    /// files included.
    pub fn record_content(mut self, record: bool) -> Self {
        self.record_content = record;
        self
    }

    #[cfg(feature = "client")]
    pub(crate) const fn records_content(&self) -> bool {
        self.record_content
    }
}

impl<O> fmt::Debug for TelemetryLayer<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryLayer")
            .field("observer", &format_args!("{}", type_name::<O>()))
            .field("provider_name", &self.provider)
            .field("record_content", &self.record_content)
            .finish_non_exhaustive()
    }
}

impl<S, O: Clone> Layer<S> for TelemetryLayer<O> {
    type Service = Telemetry<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Telemetry { inner, layer: self.clone() }
    }
}

/// The service of [`TelemetryLayer`].
#[derive(Clone)]
pub struct Telemetry<S, O = ()> {
    inner: S,
    layer: TelemetryLayer<O>,
}

impl Telemetry<()> {
    /// The same as [`TelemetryLayer::new`].
    pub fn layer() -> TelemetryLayer {
        TelemetryLayer::new()
    }
}

impl<S> Telemetry<S> {
    /// `inner` with a span for each call.
    pub fn new(inner: S) -> Self {
        TelemetryLayer::new().layer(inner)
    }
}

impl<S, O> Telemetry<S, O> {
    inner_accessors!();
}

impl<S: fmt::Debug, O> fmt::Debug for Telemetry<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

impl<S, O: Observe + Clone> Telemetry<S, O> {
    /// Whether somebody may want to know.
    #[inline]
    fn is_enabled(&self) -> bool {
        self.layer.observer.is_enabled() || tracing::level_enabled!(Level::INFO)
    }

    /// Apart, so that the way past it stays short.
    #[inline(never)]
    fn call_watched<B: 'static>(&mut self, mut request: Request<B>) -> TelemetryFuture<S::Future>
    where
        S: Service<Request<B>>,
    {
        let watch = self.watch(&mut request);
        let inner = match &watch {
            Some(watch) => watch.span().in_scope(|| self.inner.call(request)),
            None => self.inner.call(request),
        };
        TelemetryFuture { inner: Some(inner), watched: Watched::new(watch) }
    }

    /// Begins to watch a call; `None` if nobody wants to know after all.
    fn watch<B: 'static>(&self, request: &mut Request<B>) -> Option<Arc<dyn Watch>> {
        let TelemetryLayer { observer, provider, record_content, last_id } = &self.layer;
        let id = last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let info = CallInfo::of(id, request, provider.clone());
        let span = span::of_call(&info);
        if !observer.is_enabled() && span.is_disabled() {
            return None;
        }
        if *record_content && !span.is_disabled() {
            span::record_input(&span, request.body());
        }
        let outer = request.extensions().get().cloned();
        let (observer, last_id) = (observer.clone(), Arc::clone(last_id));
        let watch = CallWatch::begin(info, span, observer, *record_content, last_id);
        let watch = Arc::new(watch.inside(outer));
        request.extensions_mut().insert(WatchedCall(watch.clone()));
        Some(watch)
    }
}

impl<S, O, B, RB> Service<Request<B>> for Telemetry<S, O>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    O: Observe + Clone,
    // To find the prompt in a body of this crate.
    B: 'static,
    RB: Body,
{
    type Response = Response<TelemetryBody<RB>>;
    type Error = BoxError;
    type Future = TelemetryFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    // Not inlined: where two ways to a future meet, it is moved.
    #[inline(never)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.is_enabled() {
            return self.call_watched(request);
        }
        TelemetryFuture { inner: Some(self.inner.call(request)), watched: Watched::new(None) }
    }
}

pin_project! {
    /// The response future of [`Telemetry`].
    #[must_use = "futures do nothing unless polled"]
    pub struct TelemetryFuture<F> {
        // `None` after its end, and dropped first: its attempt ends before its call.
        #[pin]
        inner: Option<F>,
        watched: Watched,
    }
}

impl<F, RB, E> Future for TelemetryFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body,
{
    type Output = Result<Response<TelemetryBody<RB>>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.watched.watch.is_some() {
            return poll_watched(this.inner, this.watched, cx);
        }
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        match ready!(inner.poll(cx)) {
            Ok(response) => Poll::Ready(Ok(response.map(TelemetryBody::unwatched))),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

/// Polls in the call's span, and reports the head or the failure.
#[inline(never)]
fn poll_watched<F, RB, E>(
    mut future: Pin<&mut Option<F>>,
    watched: &mut Watched,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<TelemetryBody<RB>>, BoxError>>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body,
{
    let Some(watch) = watched.watch.clone() else { return Poll::Pending };
    let Some(inner) = future.as_mut().as_pin_mut() else { return Poll::Pending };
    let result = ready!(watch.span().in_scope(|| inner.poll(cx)));
    // An attempt that a timeout has cut short is in there still: it is to be told of before the end.
    watch.span().in_scope(|| future.set(None));
    match result {
        Ok(mut response) => {
            watch.head(response.status(), response.headers());
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                SocketWatchers::add(response.extensions_mut(), watch.socket_watcher());
            }
            let observer = watch.stream_observer();
            StreamObservers::add(response.extensions_mut(), observer);
            let watched = watched.take();
            Poll::Ready(Ok(response.map(|body| TelemetryBody::new(body, watched))))
        }
        Err(error) => {
            let error = error.into();
            watched.end(Some(&error));
            Poll::Ready(Err(error))
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for TelemetryFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryFuture")
            .field("inner", &self.inner)
            .field("watched", &self.watched)
            .finish()
    }
}
