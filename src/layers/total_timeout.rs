//! Ends a call that takes too long as a whole.
//!
//! Each of the other clocks starts anew: with each attempt, with each byte, with each event. A call
//! can pass all of them and still take for ever. [`TotalTimeoutLayer`] sets one moment by which the
//! call has to be over, its attempts, the waits between them and the body included.
//!
//! The moment goes down with the request as a [`Deadline`], so that layers inside never wait past
//! it. A `Deadline` that is there already is kept if it is the earlier one, and then it is the one
//! that holds: a caller with a deadline of its own hands it on that way. A request whose deadline
//! has passed is not sent.
//!
//! While the call or its body is pending, a timer ends it on time; it is made at the first pending
//! poll. A body that always has another frame ready is ended too: once the timer has fired, or else
//! at the latest sixteen frames after the moment. A reader that takes its time is no excuse here.
//! After the moment the body yields one [`TotalTimeoutError`], drops the body inside, which closes
//! the connection or resets the stream, and ends.
//!
//! The limit begins with the call. What a service waits for before it is ready, such as a place under
//! an [`InFlightLimitLayer`](super::InFlightLimitLayer) inside, comes before it, without a limit:
//! tower's [`load_shed`](tower::load_shed) outside refuses the call in its place, and a
//! `tokio::time::timeout` around readiness and call bounds both.
//!
//! **Place:** outside retry. A request or an endpoint can have its own limit,
//! [`StreamTimeouts::total`]; that type's page tells all the
//! [clocks](StreamTimeouts#which-clock-is-which) apart.
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::{TotalTimeoutError, TotalTimeoutLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let mute = service_fn(|_: Request<()>| std::future::pending::<std::io::Result<Response<()>>>());
//! let stack = ServiceBuilder::new()
//!     .layer(TotalTimeoutLayer::new(Duration::from_secs(1200)))
//!     .service(mute);
//!
//! let error = stack.oneshot(Request::new(())).await.expect_err("no head comes");
//! let error = error.downcast_ref::<TotalTimeoutError>().expect("a total timeout");
//! assert_eq!(error.limit(), Duration::from_secs(1200));
//! # }
//! ```
//!
//! **Errors:** those of the service inside, and [`TotalTimeoutError`] from the future or the body;
//! for a request that came too late [`Error`] with that kind. An endpoint makes
//! [`ErrorKind::TotalTimeout`] of all three.
//!
//! # Panics
//!
//! A limit reads tokio's clock, and a call or body that is pending makes a tokio timer, which panics
//! outside a tokio runtime or in one without its time driver. Building the stack needs no runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::{Extensions, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::refusal::{CallOrRefusal, CallOrRefusalProj, refuse};
use crate::extensions::{Deadline, StreamTimeouts};
use crate::timer::Alarm;
use crate::{BoxError, Error, ErrorKind, Stage};

/// Limits the whole of a call, retries and body included; see the [module](self).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct TotalTimeoutLayer {
    limit: Option<Duration>,
}

impl TotalTimeoutLayer {
    /// Calls may take `limit`; zero is off.
    pub const fn new(limit: Duration) -> Self {
        Self { limit: Some(limit) }
    }

    /// No limit, but the same types: for stacks that decide when they run. A request can still
    /// bring its own limit or deadline.
    pub const fn disabled() -> Self {
        Self { limit: None }
    }
}

impl<S> Layer<S> for TotalTimeoutLayer {
    type Service = TotalTimeout<S>;

    fn layer(&self, inner: S) -> TotalTimeout<S> {
        TotalTimeout { inner, limit: self.limit }
    }
}

/// The service of [`TotalTimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct TotalTimeout<S> {
    inner: S,
    limit: Option<Duration>,
}

impl TotalTimeout<()> {
    /// The same as [`TotalTimeoutLayer::new`].
    pub const fn layer(limit: Duration) -> TotalTimeoutLayer {
        TotalTimeoutLayer::new(limit)
    }
}

impl<S> TotalTimeout<S> {
    /// `inner` with calls that may take `limit`; zero is off.
    pub const fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit: Some(limit) }
    }

    inner_accessors!();

    /// The clock of a call that begins now, if there is a limit; leaves its deadline for the layers
    /// inside.
    fn start(&self, extensions: &mut Extensions) -> Option<Start> {
        let limit = StreamTimeouts::of(extensions).total_or(self.limit);
        let earlier = extensions.get::<Deadline>().copied();
        if limit.is_none() && earlier.is_none() {
            return None;
        }
        let now = Instant::now();
        // A sum that no clock can hold is no limit.
        let own = limit.and_then(|limit| now.checked_add(limit)).map(Deadline::at);
        let deadline = match (own, earlier) {
            (Some(own), Some(earlier)) => own.min(earlier),
            (own, earlier) => own.or(earlier)?,
        };
        if earlier != Some(deadline) {
            extensions.insert(deadline);
        }
        let at = deadline.instant();
        Some(Start { at, limit: at.saturating_duration_since(now) })
    }
}

impl<S, B, RB> Service<Request<B>> for TotalTimeout<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<TotalTimeoutBody<RB>>;
    type Error = BoxError;
    type Future = TotalTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let start = self.start(request.extensions_mut());
        if start.is_some_and(|start| start.limit.is_zero()) {
            return TotalTimeoutFuture { state: CallOrRefusal::refusal(too_late()), clock: None };
        }
        TotalTimeoutFuture {
            state: CallOrRefusal::call(self.inner.call(request)),
            clock: start.map(Start::clock),
        }
    }
}

fn too_late() -> Error {
    let message = "the deadline of the call had passed before it was sent";
    Error::new(ErrorKind::TotalTimeout, message).with_stage(Stage::NotSent)
}

/// When a call has to be over, and how long it has.
///
/// Until the call is made: with a [`TotalClock`] at hand, which is to be dropped if that panics, the
/// future would be moved once more.
#[derive(Clone, Copy)]
struct Start {
    at: Instant,
    limit: Duration,
}

impl Start {
    fn clock(self) -> TotalClock {
        TotalClock { alarm: Alarm::new(self.at), limit: self.limit }
    }
}

/// How long one call may still take.
#[derive(Debug)]
struct TotalClock {
    alarm: Alarm,
    /// What the call had when it began.
    limit: Duration,
}

pin_project! {
    /// The response future of [`TotalTimeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TotalTimeoutFuture<F> {
        #[pin]
        state: CallOrRefusal<F>,
        // Goes into the body.
        clock: Option<TotalClock>,
    }
}

impl<F, RB, E> Future for TotalTimeoutFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<TotalTimeoutBody<RB>>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.state.as_mut().project() {
            CallOrRefusalProj::Call { future } => match future.poll(cx) {
                Poll::Ready(Ok(response)) => {
                    let clock = this.clock.take();
                    return Poll::Ready(
                        Ok(response.map(|body| TotalTimeoutBody::new(body, clock))),
                    );
                }
                Poll::Ready(Err(error)) => {
                    *this.clock = None;
                    return Poll::Ready(Err(error.into()));
                }
                Poll::Pending => {}
            },
            CallOrRefusalProj::Refusal { error } => return refuse(error),
        }
        let Some(clock) = this.clock else { return Poll::Pending };
        ready!(clock.alarm.poll(cx));
        // Dropped before the error is known, the attempt that was under way is still heard of.
        this.state.set(CallOrRefusal::Refusal { error: None });
        Poll::Ready(Err(TotalTimeoutError { limit: clock.limit, read: None }.into()))
    }
}

pin_project! {
    /// The response body of a call that has to be over at some moment.
    ///
    /// After its end or an error it keeps ending. It is `Unpin` if the body inside is.
    #[derive(Debug)]
    pub struct TotalTimeoutBody<B> {
        // `None` after the end or an error.
        #[pin]
        inner: Option<B>,
        clock: Option<TotalClock>,
        read: Read,
    }
}

/// What had come of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Read {
    bytes: u64,
    frames: u64,
}

impl<B> TotalTimeoutBody<B> {
    fn new(inner: B, clock: Option<TotalClock>) -> Self {
        Self { inner: Some(inner), clock, read: Read::default() }
    }
}

/// A body that has ended; layers that answer themselves need one.
impl<B> Default for TotalTimeoutBody<B> {
    fn default() -> Self {
        Self { inner: None, clock: None, read: Read::default() }
    }
}

impl<B> Body for TotalTimeoutBody<B>
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
        let mut passed = this.clock.as_mut().is_some_and(|clock| clock.alarm.has_passed());
        let mut last = None;
        if !passed {
            match inner.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.read.frames += 1;
                    this.read.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(error))) => last = Some(Err(error.into())),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    let Some(clock) = this.clock.as_mut() else { return Poll::Pending };
                    ready!(clock.alarm.poll(cx));
                    passed = true;
                }
            }
        }
        if let (true, Some(clock)) = (passed, &this.clock) {
            let error = TotalTimeoutError { limit: clock.limit, read: Some(*this.read) };
            last = Some(Err(error.into()));
        }
        this.inner.set(None);
        *this.clock = None;
        Poll::Ready(last)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

/// The call was not over when it had to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotalTimeoutError {
    limit: Duration,
    /// `None` before the head.
    read: Option<Read>,
}

impl TotalTimeoutError {
    /// How long the call was allowed to take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether the head of the response had come.
    pub fn has_head(&self) -> bool {
        self.read.is_some()
    }

    /// Bytes of data the body had yielded before.
    pub fn bytes(&self) -> u64 {
        self.read.unwrap_or_default().bytes
    }

    /// Frames the body had yielded before.
    pub fn frames(&self) -> u64 {
        self.read.unwrap_or_default().frames
    }
}

impl fmt::Display for TotalTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no end of the call within {:?}, the total limit, ", self.limit)?;
        match self.read {
            None => f.write_str("before a response head"),
            Some(Read { bytes, frames }) => write!(f, "after {bytes} bytes in {frames} frames"),
        }
    }
}

impl std::error::Error for TotalTimeoutError {}
