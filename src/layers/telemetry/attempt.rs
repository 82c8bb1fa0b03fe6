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
//! so that it sees them. Of two layers on the way of one request the outer reports to the
//! telemetry and has the span; the inner still writes its headers and tells its own observer.
//! The preset has a layer already; [`propagate`](crate::client::ClientBuilder::propagate) of its
//! builder says what it writes.
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

mod in_flight;

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::header::UPGRADE;
use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{Level, Span};

use self::in_flight::{Came, InFlight};
use super::observe::{AttemptInfo, CallInfo, Observe};
use super::propagate::Propagate;
use crate::BoxError;
use crate::extensions::{Attempt, RequestHeaders, WatchedCall};

/// What a watched call wants to know of its attempts.
pub(crate) trait AttemptWatcher: Send + Sync {
    fn info(&self) -> &CallInfo;

    /// A request goes to the wire: how many have with it, whether it repeats one that was answered
    /// with 401, and the call's span.
    fn sending(&self, attempt: Attempt) -> (u32, bool, Span);

    fn attempted(&self, attempt: &AttemptInfo<'_>);
}

/// On a request: a layer further out reports this attempt, so one further in does not.
#[derive(Clone, Copy)]
struct Reported {
    sent: u32,
    again: bool,
}

/// Reports every request that goes to the wire; see the [module](self).
#[derive(Clone)]
#[must_use]
pub struct AttemptLayer<O = (), P = ()> {
    observer: O,
    propagate: P,
    /// The last id given to a request that belongs to no watched call; there once somebody may read it.
    last_id: Option<Arc<AtomicU64>>,
}

impl AttemptLayer {
    /// Reports to the telemetry outside and to the span.
    pub fn new() -> Self {
        Self { observer: (), propagate: (), last_id: None }
    }
}

// Not for everything with a default: `AttemptLayer::default()` would not say which.
impl Default for AttemptLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<O, P> AttemptLayer<O, P> {
    /// Also tells `observer` of each attempt. It hears nothing else, and is cloned for every
    /// attempt: share it in an [`Arc`]. Where no [`TelemetryLayer`](super::TelemetryLayer) outside
    /// numbers the calls, this layer and its clones number the requests, from 1.
    ///
    /// An observer that a `TelemetryLayer` has hears of attempts without this.
    pub fn observe<N: Observe + Clone>(self, observer: N) -> AttemptLayer<N, P> {
        let last_id = self.last_id.or_else(|| Some(Arc::default()));
        AttemptLayer { observer, propagate: self.propagate, last_id }
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

impl<S, O: Observe + Clone, P: Propagate> WatchAttempt<S, O, P> {
    /// Whether somebody may want to know, or there is a trace to carry on.
    #[inline]
    fn is_enabled(&self, extensions: &Extensions) -> bool {
        self.layer.observer.is_enabled()
            || self.layer.propagate.injects()
            || tracing::level_enabled!(Level::INFO)
            || extensions.get::<WatchedCall>().is_some()
    }

    /// Apart, so that the way past it stays short.
    #[inline(never)]
    fn call_watched<B>(&mut self, mut request: Request<B>) -> WatchAttemptFuture<S::Future>
    where
        S: Service<Request<B>>,
        P: Clone,
    {
        let on_socket = self.on_socket(&request);
        let watched = self.watch(&request);
        if let Some(watched) = &watched {
            let (sent, again) = (watched.sent, watched.again);
            request.extensions_mut().insert(Reported { sent, again });
        }
        let span = watched.as_ref().map_or_else(Span::none, |watched| watched.span.clone());
        let inner = span.in_scope(|| {
            self.layer.propagate.inject(request.headers_mut());
            self.inner.call(request)
        });
        WatchAttemptFuture { inner, watched: OnDrop(watched), on_socket }
    }

    /// What writes headers for the requests on the socket that `request` asks for.
    fn on_socket<B>(&self, request: &Request<B>) -> Option<RequestHeaders>
    where
        P: Clone,
    {
        let wanted = self.layer.propagate.injects() && request.headers().contains_key(UPGRADE);
        wanted.then(|| {
            let propagate = self.layer.propagate.clone();
            RequestHeaders::new(move |headers: &mut HeaderMap| propagate.inject(headers))
        })
    }

    /// What is noted of an attempt; `None` if nobody wants to know after all.
    fn watch<B>(&self, request: &Request<B>) -> Option<Box<InFlight>> {
        let call = request.extensions().get::<WatchedCall>();
        let call = call.filter(|call| call.0.attempts().is_some());
        let observer = &self.layer.observer;
        let attempt = Attempt::of(request.extensions());
        let watcher = call.and_then(|call| call.0.attempts());
        let reported = request.extensions().get::<Reported>();
        let (sent, again, parent) = match (reported, watcher) {
            (Some(Reported { sent, again }), _) => (*sent, *again, Span::none()),
            (None, Some(watcher)) => watcher.sending(attempt),
            (None, None) => (attempt.number(), false, Span::none()),
        };
        let span = match reported {
            Some(_) => Span::none(),
            None => in_flight::span(request, parent, sent),
        };
        let tells = watcher.is_some() && reported.is_none();
        if !tells && !observer.is_enabled() && span.is_disabled() {
            return None;
        }
        let own = observer.is_enabled().then(|| {
            let last_id = self.layer.last_id.as_deref();
            let number = || last_id.map_or(0, |last| last.fetch_add(1, Ordering::Relaxed) + 1);
            let info = watcher.map(|watcher| watcher.info().clone());
            let info = info.unwrap_or_else(|| CallInfo::of(number(), request, None));
            (Box::new(observer.clone()) as Box<dyn Observe>, info)
        });
        Some(Box::new(InFlight {
            span,
            call: call.filter(|_| tells).cloned(),
            own,
            attempt,
            sent,
            again,
            credentials: in_flight::credentials(request.headers()),
            secrets: request.extensions().get().cloned(),
            started: Instant::now(),
        }))
    }
}

impl<S, B, RB, O, P> Service<Request<B>> for WatchAttempt<S, O, P>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    O: Observe + Clone,
    P: Propagate + Clone,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = WatchAttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.is_enabled(request.extensions()) {
            return self.call_watched(request);
        }
        let inner = self.inner.call(request);
        WatchAttemptFuture { inner, watched: OnDrop(None), on_socket: None }
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
        on_socket: Option<RequestHeaders>,
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

    /// Polls `future` in the attempt's span, and reports its end. An answer that opens a socket takes
    /// along what writes headers for the requests on it.
    #[inline(never)]
    fn poll<F, RB, E>(
        &mut self,
        future: Pin<&mut F>,
        on_socket: &mut Option<RequestHeaders>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RB>, BoxError>>
    where
        F: Future<Output = Result<Response<RB>, E>>,
        E: Into<BoxError>,
    {
        let span = self.0.as_ref().map_or_else(Span::none, |watched| watched.span.clone());
        let mut result = ready!(span.in_scope(|| future.poll(cx))).map_err(Into::into);
        if let Some(watched) = self.0.take() {
            match &result {
                Ok(answer) => watched.report(Came::Answer(answer)),
                Err(error) => watched.report(Came::<RB>::Error(error)),
            }
        }
        if let (Ok(answer), Some(headers)) = (&mut result, on_socket.take()) {
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                headers.add_to(answer.extensions_mut());
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
        if this.watched.0.is_some() || this.on_socket.is_some() {
            return this.watched.poll(this.inner, this.on_socket, cx);
        }
        match ready!(this.inner.poll(cx)) {
            Ok(response) => Poll::Ready(Ok(response)),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}
