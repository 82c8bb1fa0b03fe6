//! Tries a call again when it failed in a way that may pass.
//!
//! A busy server answers 429 or 503 and says when to come back, a connection breaks before the
//! answer has begun. Sent again a moment later the same request mostly succeeds. [`RetryLayer`] does
//! so within the bounds of a [`RetryPolicy`], on top of tower's own [`Retry`](tower::retry::Retry).
//!
//! **What is tried again.** The first of these that applies decides:
//!
//! | | what follows |
//! |---|---|
//! | the caller's [classifier](RetryPolicy::classify) has an opinion | what it says |
//! | the body's code, in its first 64 KiB, says that waiting does not help: quota, usage limit, context window, policy | final |
//! | the server asks for a longer wait than [`max_hint`](RetryPolicy::max_hint) | final; the error carries the hint |
//! | `x-should-retry: true` or `false` on a failure | what it says |
//! | status 408, 409, 429, 500–599 | another attempt |
//! | no connection, a connection that broke before the head, no head in time | another attempt |
//! | anything else: other statuses, TLS, a refused credential, shed load | final |
//!
//! **How long is waited.** At least as long as the server asks (`retry-after-ms`; `retry-after` in
//! seconds, with fractions, or as a date; "try again in …" in the message), and at least as long as
//! the own [backoff](ExponentialBackoff): 500 ms, doubled up to 8 s, with jitter. A call with a
//! [`Deadline`](crate::extensions::Deadline) that would sleep past it ends at once instead.
//!
//! **What ends it.** Two retries by default, the [budget](RetryPolicy::budget) if there is one, or
//! the deadline. The last answer is handed on whole: status, headers, body. Its extensions hold the
//! list of [`Attempts`](crate::extensions::Attempts); an error in place of an answer is a
//! [`RetriedError`]. [`Error::attempts`](crate::Error::attempts) has either.
//!
//! **Only heads are retried.** Once an answer is handed on, its body belongs to the caller. To tell
//! final answers apart, at most 64 KiB of an error body are read ahead, for at most
//! [10 s](RetryPolicy::peek_time) and not past the deadline; [`RetryBody`] yields them again. That of
//! the last retry is not, unless there is a classifier. An answer that is followed by another
//! attempt is dropped. If its body was not read to the end by then, an HTTP/1 connection is closed.
//!
//! **Place:** outside `AuthLayer`, so that each attempt is authorised afresh, and outside head
//! timeouts, which are per attempt. Inside telemetry, and inside whatever is to happen once, such as
//! compression. Each attempt after the first carries its [`Attempt`](crate::extensions::Attempt); a
//! request can bring a [`RetryOverride`](crate::extensions::RetryOverride).
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Empty;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::extensions::{Attempt, Attempts};
//! use tower_openai::layers::{RetryLayer, RetryPolicy};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! let busy_once = service_fn(|request: Request<()>| async move {
//!     let mut response = Response::new(Empty::<bytes::Bytes>::new());
//!     if Attempt::of(request.extensions()) == Attempt::FIRST {
//!         *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!         response.headers_mut().insert("retry-after", 2.into());
//!     }
//!     Ok::<_, std::io::Error>(response)
//! });
//! let stack = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default()))
//!     .service(busy_once);
//!
//! let start = tokio::time::Instant::now();
//! let response = stack.oneshot(Request::new(())).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(start.elapsed().as_secs(), 2);
//! let attempts = response.extensions().get::<Attempts>().expect("there was a retry").all();
//! assert_eq!(attempts[0].delay(), Some(Duration::from_secs(2)));
//! # Ok(())
//! # }
//! ```
//!
//! A request whose body cannot be cloned cannot be sent again, so it does not compile:
//!
//! ```compile_fail
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_openai::layers::RetryLayer;
//!
//! struct OneShot; // not `Clone`
//!
//! let service = service_fn(|_: Request<OneShot>| async {
//!     Ok::<_, std::io::Error>(Response::new(Empty::<bytes::Bytes>::new()))
//! });
//! let _ = RetryLayer::default().layer(service).oneshot(Request::new(OneShot));
//! ```
//!
//! # Errors
//!
//! Those of the service inside, boxed.
//!
//! # Panics
//!
//! Waiting needs a tokio runtime with its time driver, as tokio's timers do. Building the stack needs
//! none.

mod backoff;
#[cfg(feature = "backoff")]
mod backoff_crate;
mod backoff_settings;
mod body;
mod budget;
mod classify;
mod kept;
mod peek;
mod policy;
mod retried;
mod rules;
mod session;
mod settings;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::retry::future::ResponseFuture;
use tower::{Layer, Service};

use self::kept::Kept;
use self::peek::{Peek, PeekError, PeekFuture};
use self::rules::Peekable;
use self::session::Session;
use crate::BoxError;

pub(super) use self::backoff::{Delays, Schedule};
pub use self::backoff::{ExponentialBackoff, ExponentialDelays};
#[cfg(feature = "backoff")]
pub use self::backoff_crate::{BackoffDelays, FromBackoff};
pub(super) use self::backoff_settings::with_backoff_settings;
pub use self::body::RetryBody;
pub use self::budget::{RetryBudget, TokenBucket};
pub use self::classify::{Action, Classify, ClassifyFn, Outcome, RetryKind, classify_fn};
pub use self::policy::RetryPolicy;
pub use self::retried::RetriedError;
pub(super) use self::rules::{LONGEST_HINT, at_most};
pub use self::settings::{RetryPreset, RetrySettings};

/// Tries failed calls again; see the [module](self).
#[derive(Clone, Debug)]
#[must_use]
pub struct RetryLayer {
    policy: Arc<RetryPolicy>,
}

impl RetryLayer {
    /// Retries as `policy` says.
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy: Arc::new(policy) }
    }

    /// No retries, but the same types: for stacks that decide when they run. No request is cloned.
    /// A request can still [ask](crate::extensions::RetryOverride) for retries.
    pub fn disabled() -> Self {
        Self::new(RetryPolicy::none())
    }
}

/// With the default [`RetryPolicy`].
impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(RetryPolicy::default())
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        let policy = Arc::clone(&self.policy);
        let session = Session::new(Arc::clone(&policy));
        let (peekable, final_retry) = (policy.peekable(), policy.final_retry());
        let inner = tower::retry::Retry::new(session, PeekError::new(inner));
        Retry { inner, policy, peekable, final_retry }
    }
}

/// The service of [`RetryLayer`].
///
/// # Clone
///
/// Each call clones the service inside, for the attempts after the first, unless it may not be tried
/// again. It should be cheap to clone.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: tower::retry::Retry<Session, PeekError<S>>,
    policy: Arc<RetryPolicy>,
    /// What is read ahead for a request that does not want it otherwise.
    peekable: Peekable,
    /// The retry whose outcome is handed on whatever it is.
    final_retry: Option<u32>,
}

impl Retry<()> {
    /// The same as [`RetryLayer::new`].
    pub fn layer(policy: RetryPolicy) -> RetryLayer {
        RetryLayer::new(policy)
    }
}

impl<S> Retry<S> {
    /// `inner` with retries as `policy` says.
    pub fn new(inner: S, policy: RetryPolicy) -> Self {
        RetryLayer::new(policy).layer(inner)
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner.get_ref().inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner.get_mut().inner
    }

    /// The service inside, unwrapped.
    pub fn into_inner(self) -> S {
        self.inner.into_inner().inner
    }

    /// Apart, so that this future, which is large, is written where it stays and not moved there.
    #[inline(never)]
    fn call_again<B, RB>(
        &mut self,
        request: Request<B>,
    ) -> ResponseFuture<Session, PeekError<S>, Kept<B>>
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone,
        S::Error: Into<BoxError>,
        B: Clone,
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        self.inner.call(Kept::new(request))
    }
}

impl<S, B, RB> Service<Request<B>> for Retry<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    B: Clone,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<RetryBody<RB>>;
    type Error = BoxError;
    type Future = RetryFuture<S, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Not that of `PeekError`, which is for the attempts after the first.
        self.get_mut().poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let own = request.extensions().get();
        if self.policy.retries(own) {
            self.inner.get_mut().peek =
                Peek::of(self.peekable, self.final_retry, own, request.extensions());
            RetryFuture { state: State::Again { future: self.call_again(request) } }
        } else {
            self.inner.get_mut().peek = Peek::NOTHING;
            RetryFuture {
                state: State::Once { future: self.inner.get_mut().call(Kept::new(request)) },
            }
        }
    }
}

pin_project! {
    /// The response future of [`Retry`]. Dropping it drops the attempt, or ends the wait.
    #[must_use = "futures do nothing unless polled"]
    // The bounds are those of tower's future inside.
    pub struct RetryFuture<S, B, RB>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
        B: Clone,
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        #[pin]
        state: State<S, B, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, RB>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
        B: Clone,
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        Once { #[pin] future: PeekFuture<S::Future, RB> },
        Again { #[pin] future: ResponseFuture<Session, PeekError<S>, Kept<B>> },
    }
}

impl<S, B, RB> Future for RetryFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    B: Clone,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<RetryBody<RB>>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Once { future } => future.poll(cx),
            StateProj::Again { future } => future.poll(cx),
        }
    }
}

impl<S, B, RB> fmt::Debug for RetryFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    B: Clone,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Once { .. } => "Once",
            State::Again { .. } => "Again",
        };
        f.debug_struct("RetryFuture").field("state", &state).finish_non_exhaustive()
    }
}
