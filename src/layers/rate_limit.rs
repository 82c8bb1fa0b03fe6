//! Keeps the latest rate limits that the server reports.
//!
//! Every answer says what is left: the Codex backend in `x-codex-…` headers and in events of the
//! stream, the public API and Azure in `x-ratelimit-…` headers. An application wants to know it
//! between calls: to show it, to choose another account, to wait. [`RateLimitLayer`] reads all of it,
//! from successes, refusals and streams alike, and a [`RateLimitsHandle`] has the latest value of
//! each limit.
//!
//! It **observes and never throttles**: unlike tower's layer of the same name it delays and refuses
//! nothing.
//!
//! | reported in | read when | kept as |
//! |---|---|---|
//! | `x-{limit}-…` headers | the head has come | one [`RateLimitSnapshot`] for each limit id |
//! | `codex.rate_limits` events | the typed stream hands them out | likewise |
//! | the same, of a response on a socket | likewise, or with its refusal | likewise |
//! | `x-ratelimit-…` headers | the head has come | one [`PublicRateLimits`], of the last answer that had any |
//!
//! A newer report of a limit replaces its time windows; name, plan and credits stay if it leaves
//! them out. Why a limit was reached belongs to the 429 that said so, and goes with the next report.
//! The 32 limits that were reported last are kept. What the headers of one answer report is left in
//! its extensions too, as [`ReportedRateLimits`].
//!
//! **Place:** anywhere. Inside retry it hears of every attempt, outside of the last. All services
//! made by one layer, or by clones of it, report to the same handles: use one layer for each account.
//! Headers are only searched, unless they report a limit. An answer that says it is JSON has no events
//! and is given no observer of them.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::RateLimitLayer;
//!
//! # tokio_test::block_on(async {
//! let transport = service_fn(|_: Request<()>| async {
//!     Response::builder().header("x-ratelimit-remaining-tokens", "149984").body(())
//! });
//! let layer = RateLimitLayer::new();
//! let mut limits = layer.handle();
//! let stack = ServiceBuilder::new().layer(layer).service(transport);
//!
//! assert!(limits.latest().is_empty());
//! stack.oneshot(Request::new(())).await?;
//! let report = limits.changed().await.expect("a report");
//! assert_eq!(report.public.unwrap().tokens.unwrap().remaining, Some(149_984));
//! // The stack is gone, and with it all that could report.
//! assert!(limits.changed().await.is_none());
//! # Ok::<_, http::Error>(()) }).unwrap();
//! ```
//!
//! **Errors:** those of the service inside. A header that cannot be read is as good as missing.

use std::cmp::Ordering;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::sync::watch;
use tower::{Layer, Service};

use crate::extensions::{
    Call, ReportedRateLimits, RequestWatcher, SocketWatcher, SocketWatchers, StreamObservers,
};
use crate::model::{PublicRateLimits, RateLimitSnapshot, RateLimits, ResponseEvent, normalised_id};
use crate::sse::{StreamEnd, StreamObserver};

/// So many limits are kept.
const CAPACITY: usize = 32;

/// Keeps the latest rate limits; see the [module](self).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RateLimitLayer {
    reports: Arc<Reports>,
}

impl RateLimitLayer {
    /// A layer that knows of no limit yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where to read what the services of this layer are told.
    pub fn handle(&self) -> RateLimitsHandle {
        RateLimitsHandle { latest: self.reports.0.subscribe() }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, reports: Arc::clone(&self.reports) }
    }
}

/// The latest rate limits; cheap to clone and to keep.
///
/// Clones read the same limits, and each waits for changes on its own.
#[derive(Clone)]
pub struct RateLimitsHandle {
    /// The limit that was reported last is the last one.
    latest: watch::Receiver<RateLimits>,
}

impl RateLimitsHandle {
    /// All limits as they were reported last: `codex` first, then the others by id.
    pub fn latest(&self) -> RateLimits {
        in_order(self.latest.borrow().clone())
    }

    /// The limit `limit_id`, in any spelling of the id.
    pub fn limit(&self, limit_id: &str) -> Option<RateLimitSnapshot> {
        let id = normalised_id(limit_id);
        let latest = self.latest.borrow();
        latest.codex.iter().find(|limit| limit.limit_id.as_ref() == Some(&id)).cloned()
    }

    /// The limits of the public API.
    pub fn public(&self) -> Option<PublicRateLimits> {
        self.latest.borrow().public.clone()
    }

    /// Waits until a limit has changed since this handle was made or last waited, and returns all
    /// limits; several changes at once are one.
    ///
    /// `None` once nothing is left that could report: the layer, its services and their streams are
    /// gone. Cancel by dropping; no change is lost.
    pub async fn changed(&mut self) -> Option<RateLimits> {
        self.latest.changed().await.ok()?;
        let latest = self.latest.borrow_and_update().clone();
        Some(in_order(latest))
    }
}

impl fmt::Debug for RateLimitsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimitsHandle").field(&self.latest()).finish()
    }
}

fn in_order(mut limits: RateLimits) -> RateLimits {
    limits.codex.sort_by(|a, b| match (a.limit_id.as_deref(), b.limit_id.as_deref()) {
        (Some("codex"), Some("codex")) => Ordering::Equal,
        (Some("codex"), _) => Ordering::Less,
        (_, Some("codex")) => Ordering::Greater,
        (a, b) => a.cmp(&b),
    });
    limits
}

/// Where reports go.
#[derive(Default)]
struct Reports(watch::Sender<RateLimits>);

impl Reports {
    /// Adds what is reported to what is known, and wakes those who wait if that changes anything.
    fn add(&self, limits: &RateLimits) {
        self.0.send_if_modified(|latest| {
            let mut changed = false;
            for limit in &limits.codex {
                changed |= replace(&mut latest.codex, limit);
            }
            if limits.public.is_some() && limits.public != latest.public {
                latest.public.clone_from(&limits.public);
                changed = true;
            }
            changed
        });
    }
}

impl StreamObserver for Reports {
    fn on_event(&self, event: &ResponseEvent) {
        if let ResponseEvent::CodexRateLimits(report) = event {
            let mut limits = RateLimits::default();
            limits.codex.extend(report.said());
            self.add(&limits);
        }
    }

    fn on_end(&self, end: StreamEnd<'_>) {
        // A refusal on a socket, where no head comes by.
        if let StreamEnd::Error(error) = end {
            let codex = error.rate_limits().to_vec();
            self.add(&RateLimits { codex, ..RateLimits::default() });
        }
    }
}

/// Each stream of a socket may report.
struct OnSocket(Arc<Reports>);

impl SocketWatcher for OnSocket {
    fn begin(&self, _: &Call) -> Option<Arc<dyn RequestWatcher>> {
        Some(Arc::new(Self(Arc::clone(&self.0))))
    }
}

impl RequestWatcher for OnSocket {
    fn stream_observer(self: Arc<Self>) -> Arc<dyn StreamObserver> {
        Arc::clone(&self.0) as _
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reports").field(&*self.0.borrow()).finish()
    }
}

/// Puts the newer report of a limit in the last place; true if it says anything new.
fn replace(limits: &mut Vec<RateLimitSnapshot>, report: &RateLimitSnapshot) -> bool {
    let mut newer = report.clone();
    let known = limits.iter().position(|limit| limit.limit_id == report.limit_id);
    let older = known.map(|known| limits.remove(known));
    if let Some(older) = &older {
        if newer.primary.is_none() && newer.secondary.is_none() {
            newer.primary.clone_from(&older.primary);
            newer.secondary.clone_from(&older.secondary);
        }
        newer.limit_name = newer.limit_name.or_else(|| older.limit_name.clone());
        newer.credits = newer.credits.or_else(|| older.credits.clone());
        newer.plan_type = newer.plan_type.or_else(|| older.plan_type.clone());
        newer.individual_limit = newer.individual_limit.or_else(|| older.individual_limit.clone());
    } else if limits.len() == CAPACITY {
        // The account's own limit stays, however many others are reported.
        let other = |limit: &RateLimitSnapshot| limit.limit_id.as_deref() != Some("codex");
        limits.remove(limits.iter().position(other).unwrap_or_default());
    }
    let changed = older.as_ref() != Some(&newer);
    limits.push(newer);
    changed
}

/// What the head of a response reports.
fn reported(status: StatusCode, headers: &HeaderMap) -> RateLimits {
    // All these headers begin so, and many answers have none.
    if !headers.keys().any(|name| name.as_str().starts_with("x-")) {
        return RateLimits::default();
    }
    let mut limits = RateLimits::from_headers(headers);
    if status == StatusCode::TOO_MANY_REQUESTS {
        if let Some(reached) = RateLimitSnapshot::reached(headers) {
            replace(&mut limits.codex, &reached);
        }
    }
    limits
}

/// Whether the body is one JSON text, in which no event can come.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

/// The service of [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    reports: Arc<Reports>,
}

impl RateLimit<()> {
    /// The same as [`RateLimitLayer::new`].
    pub fn layer() -> RateLimitLayer {
        RateLimitLayer::new()
    }
}

impl<S> RateLimit<S> {
    /// `inner`, observed.
    pub fn new(inner: S) -> Self {
        RateLimitLayer::new().layer(inner)
    }

    /// Where to read what this service is told.
    pub fn handle(&self) -> RateLimitsHandle {
        RateLimitsHandle { latest: self.reports.0.subscribe() }
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = RateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Calls that are not our endpoints' may have their streams read by our types too.
        let streaming = request.extensions().get().is_none_or(Call::is_streaming);
        RateLimitFuture {
            inner: self.inner.call(request),
            reports: Arc::clone(&self.reports),
            streaming,
        }
    }
}

pin_project! {
    /// The response future of [`RateLimit`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct RateLimitFuture<F> {
        #[pin]
        inner: F,
        reports: Arc<Reports>,
        streaming: bool,
    }
}

impl<F, RB, E> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<RB>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = this.inner.poll(cx);
        // Where it is, for moving a response costs as much as looking at it.
        if let Poll::Ready(Ok(response)) = &mut polled {
            let limits = reported(response.status(), response.headers());
            if !limits.is_empty() {
                this.reports.add(&limits);
                response.extensions_mut().insert(ReportedRateLimits::new(limits));
            }
            if *this.streaming && response.status().is_success() && !is_json(response.headers()) {
                let reports = Arc::clone(this.reports);
                StreamObservers::add(response.extensions_mut(), reports);
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let reports = Arc::clone(this.reports);
                SocketWatchers::add(response.extensions_mut(), Arc::new(OnSocket(reports)));
            }
        }
        polled
    }
}
