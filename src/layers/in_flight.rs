//! Bounds how many responses are open at once, their bodies included.
//!
//! tower's `ConcurrencyLimit` counts a call as over when the head of its response has come. Of a
//! stream that is the beginning: ten minutes of answer follow, and nothing bounds how many run side by
//! side. [`InFlightLimitLayer`] counts a call until its body has ended.
//!
//! A permit is taken in `poll_ready`, so callers above see back-pressure: `load_shed` sheds, `buffer`
//! waits. The permit goes with the call into the response's body and comes back when
//!
//! - the body has ended, has failed, or is dropped, whatever the status; for a
//!   [`ResponseStream`](crate::sse::ResponseStream) that is with its terminal event if the body ends
//!   there, as it should, else when the stream is read on or dropped;
//! - the call fails, or its future is dropped;
//! - a service that is ready, or waits to be, is dropped without a call.
//!
//! The body of a 101 ends at once: a connection that was upgraded is not counted any more.
//!
//! Permits are given in the order in which services began to wait, and none is lost by cancelling. A
//! service that is kept, ready or waiting, keeps its permit or its place; drop it if it is not to be
//! called.
//!
//! **Place:** anywhere below the endpoint. Outside retry, a call has one permit for all its attempts,
//! the waits between them included; inside, each attempt has its own. Clones of the layer and of its
//! services share the permits: put clones of one layer under two endpoints, and they share one limit.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::InFlightLimitLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! let limit = InFlightLimitLayer::new(8)?;
//! let mut stack = ServiceBuilder::new()
//!     .layer(limit.clone())
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, std::io::Error>(Response::new(String::from("hello")))
//!     }));
//!
//! let response = stack.ready().await?.call(Request::new(())).await?;
//! assert_eq!(limit.available_permits(), 7, "the body has not been read yet");
//! drop(response);
//! assert_eq!(limit.available_permits(), 8);
//! # Ok(())
//! # }
//! ```
//!
//! **Errors:** those of the service inside. A limit of zero is an error when it is made. A semaphore
//! that is closed, and a call to a service that is not ready, are refused with
//! [`ErrorKind::Build`](crate::ErrorKind::Build).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tower::{Layer, Service};

use super::refusal::{CallOrRefusal, CallOrRefusalProj, refuse};
use crate::{BoxError, Error};

/// Bounds how many responses are open at once; see the [module](self).
///
/// Clones share the permits, so a clone is also the handle to watch them by.
#[derive(Clone, Debug)]
#[must_use]
pub struct InFlightLimitLayer {
    semaphore: Arc<Semaphore>,
}

impl InFlightLimitLayer {
    /// At most `max` responses at once.
    ///
    /// # Errors
    ///
    /// If `max` is zero, or above [`Semaphore::MAX_PERMITS`]
    /// ([`ErrorKind::Build`](crate::ErrorKind::Build)).
    pub fn new(max: usize) -> Result<Self, Error> {
        match max {
            0 => Err(Error::build(
                "an in-flight limit of 0 lets nothing through: leave the layer out to have no limit",
            )),
            1..=Semaphore::MAX_PERMITS => Ok(Self::with_semaphore(Arc::new(Semaphore::new(max)))),
            _ => Err(Error::build(format!(
                "the in-flight limit {max} is above {}, the most there can be",
                Semaphore::MAX_PERMITS
            ))),
        }
    }

    /// As many responses at once as `semaphore` has permits: for a limit that is shared with other
    /// work, or changes.
    pub const fn with_semaphore(semaphore: Arc<Semaphore>) -> Self {
        Self { semaphore }
    }

    /// How many more responses could be opened now.
    pub fn available_permits(&self) -> usize {
        self.semaphore.available_permits()
    }
}

impl<S> Layer<S> for InFlightLimitLayer {
    type Service = InFlightLimit<S>;

    fn layer(&self, inner: S) -> InFlightLimit<S> {
        let semaphore = Arc::clone(&self.semaphore);
        InFlightLimit { inner, permits: Permits { semaphore, waiting: None, permit: None } }
    }
}

/// The service of [`InFlightLimitLayer`].
///
/// A clone shares the permits but has none yet.
#[derive(Clone, Debug)]
pub struct InFlightLimit<S> {
    inner: S,
    permits: Permits,
}

impl InFlightLimit<()> {
    /// The same as [`InFlightLimitLayer::new`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn layer(max: usize) -> Result<InFlightLimitLayer, Error> {
        InFlightLimitLayer::new(max)
    }
}

impl<S> InFlightLimit<S> {
    /// `inner` with at most `max` open responses at once.
    ///
    /// # Errors
    ///
    /// As [`InFlightLimitLayer::new`].
    pub fn new(inner: S, max: usize) -> Result<Self, Error> {
        Ok(InFlightLimitLayer::new(max)?.layer(inner))
    }

    /// How many more responses could be opened now.
    pub fn available_permits(&self) -> usize {
        self.permits.semaphore.available_permits()
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for InFlightLimit<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body,
{
    type Response = Response<InFlightLimitBody<RB>>;
    type Error = BoxError;
    type Future = InFlightLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.permits.poll_acquire(cx))?;
        let polled = self.inner.poll_ready(cx).map_err(Into::into);
        if matches!(polled, Poll::Ready(Err(_))) {
            // A service that has failed will not be called.
            self.permits.permit = None;
        }
        polled
    }

    // Not inlined: where several ways to a future meet, it is moved.
    #[inline(never)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.permits.permit.is_none() {
            return InFlightLimitFuture::unready(request);
        }
        InFlightLimitFuture {
            state: CallOrRefusal::call(self.inner.call(request)),
            // Taken behind the call: with it at hand, the future would be moved once more.
            permit: self.permits.permit.take(),
        }
    }
}

type Acquire =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + Sync>>;

/// One service's way to its permit.
struct Permits {
    semaphore: Arc<Semaphore>,
    /// A place in the queue, which dropping gives up. Boxed only if there is a wait.
    waiting: Option<Acquire>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// Ready when there is a permit for the next call.
    fn poll_acquire(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.permit.is_some() {
            return Poll::Ready(Ok(()));
        }
        let semaphore = || Arc::clone(&self.semaphore);
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            // Overtakes nobody: a permit that somebody waits for is never free.
            None => match semaphore().try_acquire_owned() {
                Ok(permit) => {
                    self.permit = Some(permit);
                    return Poll::Ready(Ok(()));
                }
                Err(TryAcquireError::Closed) => return Poll::Ready(Err(closed())),
                Err(TryAcquireError::NoPermits) => {
                    let acquire = semaphore().acquire_owned();
                    self.waiting.insert(Box::pin(acquire))
                }
            },
        };
        let permit = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        self.permit = Some(permit.map_err(|_| closed())?);
        Poll::Ready(Ok(()))
    }
}

fn closed() -> Error {
    Error::build("the semaphore of `InFlightLimit` is closed, so that nothing can be sent any more")
}

impl Clone for Permits {
    /// Readiness is not shared.
    fn clone(&self) -> Self {
        Self { semaphore: Arc::clone(&self.semaphore), waiting: None, permit: None }
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits")
            .field("available", &self.semaphore.available_permits())
            .field("waiting", &self.waiting.is_some())
            .field("ready", &self.permit.is_some())
            .finish()
    }
}

pin_project! {
    /// The response future of [`InFlightLimit`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InFlightLimitFuture<F> {
        // Dropped before the permit, so that the next call finds its connection.
        #[pin]
        state: CallOrRefusal<F>,
        permit: Option<OwnedSemaphorePermit>,
    }
}

impl<F> InFlightLimitFuture<F> {
    /// The end of a request that came without a permit.
    fn unready<B>(_: Request<B>) -> Self {
        let refusal = Error::build(
            "`InFlightLimit` was called before it was ready: wait for `poll_ready` first",
        );
        Self { state: CallOrRefusal::refusal(refusal), permit: None }
    }
}

impl<F, RB, E> Future for InFlightLimitFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body,
{
    type Output = Result<Response<InFlightLimitBody<RB>>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            CallOrRefusalProj::Call { future } => match future.poll(cx) {
                Poll::Ready(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    let body = InFlightLimitBody::new(body, this.permit.take());
                    Poll::Ready(Ok(Response::from_parts(head, body)))
                }
                Poll::Ready(Err(error)) => {
                    *this.permit = None;
                    Poll::Ready(Err(error.into()))
                }
                Poll::Pending => Poll::Pending,
            },
            CallOrRefusalProj::Refusal { error } => refuse(error),
        }
    }
}

pin_project! {
    /// A response body that holds its permit until it has ended.
    ///
    /// After its end or an error it keeps ending. It is `Unpin` if the body inside is.
    #[derive(Debug)]
    pub struct InFlightLimitBody<B> {
        // `None` after the end or an error. Dropped before the permit.
        #[pin]
        inner: Option<B>,
        permit: Option<OwnedSemaphorePermit>,
    }
}

impl<B: Body> InFlightLimitBody<B> {
    #[inline]
    fn new(inner: B, permit: Option<OwnedSemaphorePermit>) -> Self {
        // Nobody may poll a body that says that it is empty.
        let permit = permit.filter(|_| !inner.is_end_stream());
        Self { inner: Some(inner), permit }
    }
}

/// A body that has ended and holds no permit; layers that answer themselves need one.
impl<B> Default for InFlightLimitBody<B> {
    fn default() -> Self {
        Self { inner: None, permit: None }
    }
}

impl<B: Body> Body for InFlightLimitBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let polled = ready!(inner.as_mut().poll_frame(cx));
        if matches!(polled, Some(Ok(_))) {
            if inner.is_end_stream() {
                *this.permit = None;
            }
        } else {
            this.inner.set(None);
            *this.permit = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}
