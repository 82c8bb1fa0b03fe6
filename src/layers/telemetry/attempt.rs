//! Reports every request that goes to the wire.
//!
//! What [`TelemetryLayer`](super::TelemetryLayer) sees is one call; retry and auth make several
//! requests of it. [`AttemptLayer`] stands inside both and sees each: it reports it to the telemetry
//! outside, if there is one, and to an observer of its own, if it has one.
//!
//! Each attempt has a span `attempt` (target `tower_openai::telemetry`, level `INFO`), a child of
//! the call's, from sending to the head of the answer:
//!
//! | field | value |
//! |---|---|
//! | `otel.name`, `otel.kind`, `otel.status_code` | the method, `client`, `ERROR` if it failed |
//! | `http.request.method`, `server.address`, `server.port` | of the request |
//! | `url.full` | without query and userinfo |
//! | `http.request.resend_count` | from the second request of a call on |
//! | `http.response.status_code`, `network.protocol.version` | of the answer |
//! | `error.type` | a status from 400 on, or the [kind](crate::ErrorKind) of the error |
//! | `tower_openai.auth_header` | the header that holds the credential, never its value |
//! | `http.response.header.x-request-id`, `http.response.header.cf-ray` | the server's ids |
//!
//! An event at `DEBUG` in that span has those headers of the answer that are known to be harmless.
//!
//! The layer also writes headers that depend on the attempt, last of all: see
//! [`propagate`](AttemptLayer::propagate).
//!
//! **Place:** inside auth, which makes the request final; outside of the timeouts of an attempt,
//! so that it sees them.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::telemetry::{AttemptInfo, AttemptLayer, CallInfo, Observe};
//!
//! #[derive(Clone)]
//! struct Log;
//!
//! impl Observe for Log {
//!     fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
//!         println!("{} {}: {:?}", call.method(), call.path(), attempt.outcome);
//!     }
//! }
//!
//! # tokio_test::block_on(async {
//! let stack = ServiceBuilder::new()
//!     .layer(AttemptLayer::new().observe(Log))
//!     .service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(())) });
//! stack.oneshot(Request::get("https://api.example.com/v1/models").body(())?).await?;
//! # Ok::<_, tower_openai::BoxError>(()) }).unwrap();
//! ```
//!
//! **Errors:** those of the service inside, boxed, because their kind is reported.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Request, Response, StatusCode, Uri, Version};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Level, Span};

use super::observe::{AttemptInfo, AttemptOutcome, CallInfo, Observe};
use super::propagate::Propagate;
use super::span::TARGET;
use crate::extensions::{Attempt, WatchedCall};
use crate::{BoxError, Error, error, redaction};

/// Where a credential may be.
static AUTH_HEADERS: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("api-key")];

/// The headers of an answer that are traced; others may hold what is secret.
const HARMLESS: [&str; 14] = [
    "cf-ray",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "server",
    "x-oai-request-id",
    "x-request-id",
    "x-should-retry",
];

/// What a watched call wants to know of its attempts.
pub(crate) trait AttemptWatcher: Send + Sync {
    fn info(&self) -> &CallInfo;

    /// A request goes to the wire: how many have with it, whether it repeats one that was answered
    /// with 401, and the call's span.
    fn sending(&self, attempt: Attempt) -> (u32, bool, Span);

    fn attempted(&self, attempt: &AttemptInfo<'_>);
}

/// Reports every request that goes to the wire; see the [module](self).
#[derive(Clone, Default)]
#[must_use]
pub struct AttemptLayer<O = (), P = ()> {
    observer: O,
    propagate: P,
    /// The last id given to a request that belongs to no watched call.
    last_id: Arc<AtomicU64>,
}

impl AttemptLayer {
    /// Reports to the telemetry outside and to the span.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<O, P> AttemptLayer<O, P> {
    /// Also tells `observer` of each attempt. It hears nothing else, and is cloned for every
    /// attempt: share it in an [`Arc`].
    ///
    /// An observer that [`TelemetryLayer`](super::TelemetryLayer) has hears of attempts without this.
    pub fn observe<N: Observe + Clone>(self, observer: N) -> AttemptLayer<N, P> {
        AttemptLayer { observer, propagate: self.propagate, last_id: self.last_id }
    }

    /// Writes headers on each attempt, after everything else and inside the attempt's span: a trace
    /// context, above all.
    pub fn propagate<N: Propagate + Clone>(self, propagate: N) -> AttemptLayer<O, N> {
        AttemptLayer { observer: self.observer, propagate, last_id: self.last_id }
    }
}

impl<O, P> fmt::Debug for AttemptLayer<O, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptLayer")
            .field("observer", &format_args!("{}", type_name::<O>()))
            .field("propagate", &format_args!("{}", type_name::<P>()))
            .finish_non_exhaustive()
    }
}

impl<S, O: Clone, P: Clone> Layer<S> for AttemptLayer<O, P> {
    type Service = WatchAttempt<S, O, P>;

    fn layer(&self, inner: S) -> Self::Service {
        WatchAttempt { inner, layer: self.clone() }
    }
}

/// The service of [`AttemptLayer`].
#[derive(Clone)]
pub struct WatchAttempt<S, O = (), P = ()> {
    inner: S,
    layer: AttemptLayer<O, P>,
}

impl WatchAttempt<()> {
    /// The same as [`AttemptLayer::new`].
    pub fn layer() -> AttemptLayer {
        AttemptLayer::new()
    }
}

impl<S, O, P> WatchAttempt<S, O, P> {
    inner_accessors!();
}

impl<S: fmt::Debug, O, P> fmt::Debug for WatchAttempt<S, O, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchAttempt")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

impl<S> WatchAttempt<S> {
    /// `inner`, reported to the telemetry outside and to the span.
    pub fn new(inner: S) -> Self {
        AttemptLayer::new().layer(inner)
    }
}

impl<S, O: Observe + Clone, P> WatchAttempt<S, O, P> {
    /// Whether somebody may want to know.
    #[inline]
    fn is_enabled(&self, extensions: &Extensions) -> bool {
        self.layer.observer.is_enabled()
            || tracing::level_enabled!(Level::INFO)
            || extensions.get::<WatchedCall>().is_some()
    }

    /// Apart, so that the way past it stays short.
    #[inline(never)]
    fn call_watched<B>(&mut self, mut request: Request<B>) -> WatchAttemptFuture<S::Future>
    where
        S: Service<Request<B>>,
        P: Propagate,
    {
        let watched = self.watch(&request);
        let span = watched.as_ref().map_or_else(Span::none, |watched| watched.span.clone());
        let inner = span.in_scope(|| {
            self.layer.propagate.inject(request.headers_mut());
            self.inner.call(request)
        });
        WatchAttemptFuture { inner, watched: OnDrop(watched) }
    }

    /// What is noted of an attempt; `None` if nobody wants to know after all.
    fn watch<B>(&self, request: &Request<B>) -> Option<Box<InFlight>> {
        let call = request.extensions().get::<WatchedCall>();
        let call = call.filter(|call| call.0.attempts().is_some());
        let observer = &self.layer.observer;
        let attempt = Attempt::of(request.extensions());
        let watcher = call.and_then(|call| call.0.attempts());
        let (sent, again, parent) = match watcher {
            Some(watcher) => watcher.sending(attempt),
            None => (attempt.number(), false, Span::none()),
        };
        let span = span(request, parent, sent);
        if watcher.is_none() && !observer.is_enabled() && span.is_disabled() {
            return None;
        }
        let own = observer.is_enabled().then(|| {
            let number = || self.layer.last_id.fetch_add(1, Ordering::Relaxed) + 1;
            let info = watcher.map(|watcher| watcher.info().clone());
            let info = info.unwrap_or_else(|| CallInfo::of(number(), request, None));
            (Box::new(observer.clone()) as Box<dyn Observe>, info)
        });
        let credentials = AUTH_HEADERS.each_ref().map(|name| request.headers().get(name).cloned());
        let started = Instant::now();
        let call = call.cloned();
        Some(Box::new(InFlight { span, call, own, attempt, sent, again, credentials, started }))
    }
}

/// The span of an attempt; disabled if nobody listens.
fn span<B>(request: &Request<B>, parent: Span, sent: u32) -> Span {
    let uri = request.uri();
    // Without a call, the span that the caller is in.
    let parent = if parent.is_disabled() { Span::current() } else { parent };
    tracing::span!(
        target: TARGET,
        parent: &parent,
        Level::INFO,
        "attempt",
        otel.name = request.method().as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.request.resend_count = (sent > 1).then(|| sent.saturating_sub(1)),
        url.full = %Redacted(uri),
        server.address = uri.host(),
        server.port = uri.port_u16(),
        tower_openai.auth_header = Empty,
        http.response.status_code = Empty,
        "http.response.header.x-request-id" = Empty,
        "http.response.header.cf-ray" = Empty,
        network.protocol.version = Empty,
        error.type = Empty,
    )
}

/// Scheme, host, port and path.
struct Redacted<'a>(&'a Uri);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(scheme), Some(host)) = (self.0.scheme_str(), self.0.host()) {
            write!(f, "{scheme}://{host}")?;
            if let Some(port) = self.0.port_u16() {
                write!(f, ":{port}")?;
            }
        }
        f.write_str(self.0.path())
    }
}

/// An attempt until its answer's head is there.
struct InFlight {
    span: Span,
    call: Option<WatchedCall>,
    own: Option<(Box<dyn Observe>, CallInfo)>,
    attempt: Attempt,
    sent: u32,
    again: bool,
    /// What the [`AUTH_HEADERS`] held.
    credentials: [Option<HeaderValue>; 2],
    started: Instant,
}

/// What an attempt came to.
enum Came<'a, RB> {
    Answer(&'a Response<RB>),
    Error(&'a BoxError),
    Dropped,
}

impl InFlight {
    fn report<RB>(&self, came: Came<'_, RB>) {
        // Its headers say why, its body belongs to the reader.
        let refused = match came {
            Came::Answer(answer) if is_refusal(answer.status()) => {
                Some(Error::from_response(answer.status(), answer.headers(), Bytes::new()))
            }
            _ => None,
        };
        let headers = match &came {
            Came::Answer(answer) => Some(answer.headers()),
            _ => None,
        };
        let request_id = self.clean(headers.and_then(error::request_id_header));
        let cf_ray = self.clean(headers.and_then(|headers| headers.get("cf-ray")?.to_str().ok()));
        let said = self.clean(refused.as_ref().and_then(Error::authorization_error));
        let code = self.clean(refused.as_ref().and_then(Error::code));
        let (outcome, error_kind, version) = match &came {
            Came::Answer(answer) => {
                let kind = refused.as_ref().map(Error::kind);
                (AttemptOutcome::Status(answer.status()), kind, Some(answer.version()))
            }
            Came::Error(error) => {
                let kind = error::kind_of(&***error);
                (AttemptOutcome::Error(kind), Some(kind), None)
            }
            Came::Dropped => (AttemptOutcome::Dropped, None, None),
        };
        let info = AttemptInfo {
            attempt: self.attempt,
            sent: self.sent,
            after_unauthorized: self.again,
            outcome,
            error_kind,
            error: match came {
                Came::Error(error) => Some(&**error),
                _ => None,
            },
            elapsed: self.started.elapsed(),
            version,
            auth_header: self.auth_header(),
            request_id: request_id.as_deref(),
            cf_ray: cf_ray.as_deref(),
            authorization_error: said.as_deref(),
            code: code.as_deref(),
        };
        self.record(&info, headers);
        if let Some(watcher) = self.call.as_ref().and_then(|call| call.0.attempts()) {
            watcher.attempted(&info);
        }
        if let Some((observer, call)) = &self.own {
            observer.on_attempt(call, &info);
        }
    }

    fn auth_header(&self) -> Option<&'static HeaderName> {
        let mut headers = AUTH_HEADERS.iter().zip(&self.credentials);
        headers.find_map(|(name, sent)| sent.as_ref().map(|_| name))
    }

    fn record(&self, info: &AttemptInfo<'_>, headers: Option<&HeaderMap>) {
        let span = &self.span;
        if span.is_disabled() {
            return;
        }
        if let AttemptOutcome::Status(status) = info.outcome {
            span.record("http.response.status_code", status.as_u16());
            if is_refusal(status) {
                span.record("error.type", status.as_str());
            }
        } else if let Some(kind) = info.error_kind {
            span.record("error.type", kind.as_str());
        }
        if let Some(name) = info.auth_header {
            span.record("tower_openai.auth_header", name.as_str());
        }
        if info.error_kind.is_some() {
            span.record("otel.status_code", "ERROR");
        }
        if let Some(version) = info.version {
            span.record("network.protocol.version", version_text(version));
        }
        if let Some(id) = info.request_id {
            span.record("http.response.header.x-request-id", id);
        }
        if let Some(ray) = info.cf_ray {
            span.record("http.response.header.cf-ray", ray);
        }
        tracing::debug!(
            target: TARGET,
            parent: span,
            outcome = ?info.outcome,
            elapsed_ms = u64::try_from(info.elapsed.as_millis()).unwrap_or(u64::MAX),
            authorization_error = info.authorization_error,
            code = info.code,
            headers = headers.map(|headers| tracing::field::debug(Harmless(self, headers))),
            "the attempt ended"
        );
    }

    /// The server's words without the credential that was sent or what looks like one.
    fn clean<'a>(&self, text: Option<&'a str>) -> Option<Cow<'a, str>> {
        let text = text?;
        let sent = self.credentials.iter().flatten().filter_map(|sent| sent.to_str().ok());
        let sent = sent.map(|sent| sent.strip_prefix("Bearer ").unwrap_or(sent));
        Some(match redaction::scrub_known(text, sent) {
            Some(scrubbed) => Cow::Owned(redaction::scrub(&scrubbed).into_owned()),
            None => redaction::scrub(text),
        })
    }
}

/// Prints the headers that are known to be harmless.
struct Harmless<'a>(&'a InFlight, &'a HeaderMap);

impl fmt::Debug for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |name: &HeaderName| {
            let name = name.as_str();
            HARMLESS.contains(&name) || name.starts_with("x-ratelimit-")
        };
        let shown = self.1.iter().filter(|(name, _)| known(name));
        let shown = shown
            .filter_map(|(name, value)| Some((name.as_str(), self.0.clean(value.to_str().ok())?)));
        f.debug_map().entries(shown).finish()
    }
}

fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

impl<S, B, RB, O, P> Service<Request<B>> for WatchAttempt<S, O, P>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    O: Observe + Clone,
    P: Propagate,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = WatchAttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.is_enabled(request.extensions()) {
            return self.call_watched(request);
        }
        self.layer.propagate.inject(request.headers_mut());
        WatchAttemptFuture { inner: self.inner.call(request), watched: OnDrop(None) }
    }
}

pin_project! {
    /// The response future of [`WatchAttempt`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct WatchAttemptFuture<F> {
        #[pin]
        inner: F,
        watched: OnDrop,
    }
}

/// Reports an attempt that is dropped before its end.
struct OnDrop(Option<Box<InFlight>>);

impl OnDrop {
    /// The future was dropped with the attempt still in it.
    #[inline(never)]
    fn left(&mut self) {
        if let Some(watched) = self.0.take() {
            watched.report(Came::<()>::Dropped);
        }
    }

    /// Polls `future` in the attempt's span, and reports its end.
    #[inline(never)]
    fn poll<F, RB, E>(
        &mut self,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RB>, BoxError>>
    where
        F: Future<Output = Result<Response<RB>, E>>,
        E: Into<BoxError>,
    {
        let span = self.0.as_ref().map_or_else(Span::none, |watched| watched.span.clone());
        let result = ready!(span.in_scope(|| future.poll(cx))).map_err(Into::into);
        if let Some(watched) = self.0.take() {
            match &result {
                Ok(answer) => watched.report(Came::Answer(answer)),
                Err(error) => watched.report(Came::<RB>::Error(error)),
            }
        }
        Poll::Ready(result)
    }
}

impl Drop for OnDrop {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.left();
        }
    }
}

impl fmt::Debug for OnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnDrop").field(&self.0.is_some()).finish()
    }
}

impl<F, RB, E> Future for WatchAttemptFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RB>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match &this.watched.0 {
            Some(_) => this.watched.poll(this.inner, cx),
            None => this.inner.poll(cx).map_err(Into::into),
        }
    }
}
