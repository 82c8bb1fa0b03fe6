//! Ends a response body that has gone silent.
//!
//! A stalled stream looks like a slow one: no error, no end. [`IdleTimeoutLayer`] limits how long a
//! body may be silent. Any frame counts, so heartbeat comments keep a stream alive; a limit on the
//! time between *events* belongs to the event stream above.
//!
//! The body is polled first and the clock second, and the clock runs only while the body is
//! pending. A consumer that takes its time therefore finds the frame that was waiting, not an
//! error. The wait for the response head is not counted.
//!
//! After the limit the body yields one [`IdleTimeoutError`], drops the body inside, which closes
//! the connection or resets the stream, and ends.
//!
//! **Place:** just above the transport, below decompression, where every byte is seen. A request
//! or an endpoint can have its own limit, [`StreamTimeouts::idle`]; that type's page tells all the
//! [clocks](StreamTimeouts#which-clock-is-which) apart.
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::{IdleTimeoutError, IdleTimeoutLayer};
//! # use std::{pin::Pin, task::{Context, Poll}};
//! # struct Silent;
//! # impl http_body::Body for Silent {
//! #     type Data = bytes::Bytes;
//! #     type Error = std::io::Error;
//! #     fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>)
//! #         -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> { Poll::Pending }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! let stalled = service_fn(|_: Request<()>| async {
//!     Ok::<_, std::io::Error>(Response::new(Silent))
//! });
//! let stack = ServiceBuilder::new()
//!     .layer(IdleTimeoutLayer::new(Duration::from_secs(300)))
//!     .service(stalled);
//!
//! let body = stack.oneshot(Request::new(())).await?.into_body();
//! let error = body.collect().await.err().expect("a silent body");
//! let error = error.downcast_ref::<IdleTimeoutError>().expect("an idle timeout");
//! assert_eq!(error.limit(), Duration::from_secs(300));
//! # Ok(())
//! # }
//! ```
//!
//! # Panics
//!
//! A body that is pending makes a tokio timer, which panics outside a tokio runtime or in one
//! without its time driver. Building the stack needs no runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::BoxError;
use crate::extensions::StreamTimeouts;
use crate::timer::Watchdog;

/// Limits how long a response body may be silent; see the [module](self).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct IdleTimeoutLayer {
    limit: Option<Duration>,
}

impl IdleTimeoutLayer {
    /// Bodies may be silent for `limit`; zero is off.
    pub const fn new(limit: Duration) -> Self {
        Self { limit: Some(limit) }
    }

    /// No limit, but the same types: for stacks that decide when they run. A request can still
    /// bring its own limit.
    pub const fn disabled() -> Self {
        Self { limit: None }
    }
}

impl<S> Layer<S> for IdleTimeoutLayer {
    type Service = IdleTimeout<S>;

    fn layer(&self, inner: S) -> IdleTimeout<S> {
        IdleTimeout { inner, limit: self.limit }
    }
}

/// The service of [`IdleTimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeout<S> {
    inner: S,
    limit: Option<Duration>,
}

impl IdleTimeout<()> {
    /// The same as [`IdleTimeoutLayer::new`].
    pub const fn layer(limit: Duration) -> IdleTimeoutLayer {
        IdleTimeoutLayer::new(limit)
    }
}

impl<S> IdleTimeout<S> {
    /// `inner` with response bodies that may be silent for `limit`; zero is off.
    pub const fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit: Some(limit) }
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for IdleTimeout<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<IdleTimeoutBody<RB>>;
    type Error = S::Error;
    type Future = IdleTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = StreamTimeouts::of(request.extensions()).idle_or(self.limit);
        IdleTimeoutFuture { inner: self.inner.call(request), limit }
    }
}

pin_project! {
    /// The response future of [`IdleTimeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct IdleTimeoutFuture<F> {
        #[pin]
        inner: F,
        limit: Option<Duration>,
    }
}

impl<F, RB, E> Future for IdleTimeoutFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<IdleTimeoutBody<RB>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match ready!(this.inner.poll(cx)) {
            Ok(response) => {
                Poll::Ready(Ok(response.map(|body| IdleTimeoutBody::new(body, *this.limit))))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

pin_project! {
    /// A response body that may not be silent for longer than its limit.
    ///
    /// After its end or an error it keeps ending. It is `Unpin` if the body inside is.
    #[derive(Debug)]
    pub struct IdleTimeoutBody<B> {
        // `None` after the end or an error.
        #[pin]
        inner: Option<B>,
        watchdog: Watchdog,
        bytes: u64,
        frames: u64,
    }
}

impl<B> IdleTimeoutBody<B> {
    /// `inner`, silent for at most `limit`; `None` or zero is off.
    pub fn new(inner: B, limit: Option<Duration>) -> Self {
        let limit = limit.filter(|limit| !limit.is_zero());
        Self { inner: Some(inner), watchdog: Watchdog::new(limit), bytes: 0, frames: 0 }
    }
}

/// A body that has ended; layers that answer themselves need one.
impl<B> Default for IdleTimeoutBody<B> {
    fn default() -> Self {
        Self { inner: None, watchdog: Watchdog::new(None), bytes: 0, frames: 0 }
    }
}

impl<B> Body for IdleTimeoutBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let last = match inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.watchdog.progress();
                *this.frames += 1;
                *this.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(error))) => Some(Err(error.into())),
            Poll::Ready(None) => None,
            Poll::Pending => {
                let elapsed = ready!(this.watchdog.poll_expired(cx));
                let (bytes, frames) = (*this.bytes, *this.frames);
                Some(Err(IdleTimeoutError { limit: elapsed.limit, bytes, frames }.into()))
            }
        };
        this.inner.set(None);
        *this.watchdog = Watchdog::new(None);
        Poll::Ready(last)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

/// The response body was silent for longer than its idle limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleTimeoutError {
    limit: Duration,
    bytes: u64,
    frames: u64,
}

impl IdleTimeoutError {
    /// The limit that was passed.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Bytes of data the body had yielded before.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frames the body had yielded before.
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

impl fmt::Display for IdleTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, bytes, frames } = self;
        write!(
            f,
            "no byte within {limit:?}, the idle limit, after {bytes} bytes in {frames} frames"
        )
    }
}

impl std::error::Error for IdleTimeoutError {}
