//! Ends an attempt that gets no response head.
//!
//! A server that accepts a request and never answers holds its caller for ever.
//! [`HeadTimeoutLayer`] limits the wait from the call to the head of the response. Connecting and
//! sending count; the body that follows has clocks of its own.
//!
//! The service inside is polled first and the clock second, so a head that is there is never thrown
//! away. The timer is made when the service inside is pending for the first time: a call that is
//! answered at once makes none. After the limit the future gives a [`HeadTimeoutError`]; dropping it
//! cancels the attempt.
//!
//! **Place:** inside retry, so that the limit is that of one attempt and the next one has its own;
//! above the transport. A request or an endpoint can have its own limit, [`StreamTimeouts::head`];
//! that type's page tells all the [clocks](StreamTimeouts#which-clock-is-which) apart.
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::{HeadTimeoutError, HeadTimeoutLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let mute = service_fn(|_: Request<()>| std::future::pending::<std::io::Result<Response<()>>>());
//! let stack = ServiceBuilder::new()
//!     .layer(HeadTimeoutLayer::new(Duration::from_secs(60)))
//!     .service(mute);
//!
//! let error = stack.oneshot(Request::new(())).await.expect_err("no head comes");
//! let error = error.downcast_ref::<HeadTimeoutError>().expect("a head timeout");
//! assert_eq!((error.limit(), error.attempt()), (Duration::from_secs(60), 1));
//! # }
//! ```
//!
//! **Errors:** those of the service inside, and [`HeadTimeoutError`]. An endpoint makes
//! [`ErrorKind::HeadTimeout`](crate::ErrorKind::HeadTimeout) of it. Its stage is
//! [`Unknown`](crate::Stage::Unknown): the limit may have run out while connecting, and the server
//! may as well have the whole request.
//!
//! # Panics
//!
//! A call that is pending makes a tokio timer, which panics outside a tokio runtime or in one
//! without its time driver. Building the stack needs no runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::{Layer, Service};

use crate::BoxError;
use crate::extensions::{Attempt, StreamTimeouts};

/// Limits the wait for the head of a response; see the [module](self).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct HeadTimeoutLayer {
    limit: Option<Duration>,
}

impl HeadTimeoutLayer {
    /// Heads may take `limit`; zero is off.
    pub const fn new(limit: Duration) -> Self {
        Self { limit: Some(limit) }
    }

    /// No limit, but the same types: for stacks that decide when they run. A request can still
    /// bring its own limit.
    pub const fn disabled() -> Self {
        Self { limit: None }
    }
}

impl<S> Layer<S> for HeadTimeoutLayer {
    type Service = HeadTimeout<S>;

    fn layer(&self, inner: S) -> HeadTimeout<S> {
        HeadTimeout { inner, limit: self.limit }
    }
}

/// The service of [`HeadTimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct HeadTimeout<S> {
    inner: S,
    limit: Option<Duration>,
}

impl HeadTimeout<()> {
    /// The same as [`HeadTimeoutLayer::new`].
    pub const fn layer(limit: Duration) -> HeadTimeoutLayer {
        HeadTimeoutLayer::new(limit)
    }
}

impl<S> HeadTimeout<S> {
    /// `inner` with heads that may take `limit`; zero is off.
    pub const fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit: Some(limit) }
    }

    inner_accessors!();
}

impl<S, B> Service<Request<B>> for HeadTimeout<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = HeadTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = StreamTimeouts::of(request.extensions()).head_or(self.limit);
        let attempt = Attempt::of(request.extensions());
        HeadTimeoutFuture { inner: self.inner.call(request), timer: None, limit, attempt }
    }
}

pin_project! {
    /// The response future of [`HeadTimeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct HeadTimeoutFuture<F> {
        #[pin]
        inner: F,
        // Made at the first pending poll. Not boxed: every real call is pending once.
        #[pin]
        timer: Option<Sleep>,
        limit: Option<Duration>,
        attempt: Attempt,
    }
}

impl<F, T, E> Future for HeadTimeoutFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.inner.poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => {}
        }
        let Some(limit) = *this.limit else { return Poll::Pending };
        if this.timer.is_none() {
            this.timer.set(Some(tokio::time::sleep(limit)));
        }
        if let Some(timer) = this.timer.as_pin_mut() {
            ready!(timer.poll(cx));
        }
        Poll::Ready(Err(HeadTimeoutError { limit, attempt: *this.attempt }.into()))
    }
}

/// The head of the response did not come within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadTimeoutError {
    limit: Duration,
    attempt: Attempt,
}

impl HeadTimeoutError {
    /// The limit that was passed.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Which attempt of its call it was, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt.number()
    }
}

impl fmt::Display for HeadTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, attempt) = (self.limit, self.attempt());
        write!(f, "no response head within {limit:?}, the head limit, on attempt {attempt}")
    }
}

impl std::error::Error for HeadTimeoutError {}
