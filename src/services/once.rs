//! One call of an endpoint, readiness included: the future of every endpoint's convenience.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use super::{ApiResponse, UnaryFuture};
use crate::Error;

pin_project! {
    /// One call of an endpoint of its own: waits until the service is ready, calls it, and gives what
    /// becomes of the answer.
    ///
    /// `X` is the endpoint, `Req` its request, `Fut` its future, `R` its response and `U` what the
    /// caller gets of that. They are parameters of their own, so that the compiler can tell that it is
    /// [`Send`] whatever the error of the HTTP service is: an `async fn` over a service whose error is
    /// a [`BoxError`](crate::BoxError) could not be spawned.
    ///
    /// Dropping it cancels the call. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct CallOnce<X, Req, Fut, R, U = R> {
        // Until the service is ready.
        waiting: Option<(X, Req)>,
        #[pin]
        call: Option<Fut>,
        finish: fn(R) -> U,
    }
}

/// One call of an endpoint that does not stream.
///
/// `F` is the future and `RB` the response body of the HTTP service below the endpoint, `T` the value
/// that the endpoint reads.
pub type UnaryCall<X, Req, F, RB, T, U = ApiResponse<T>> =
    CallOnce<X, Req, UnaryFuture<F, RB, T>, ApiResponse<T>, U>;

impl<X, Req, Fut, R> CallOnce<X, Req, Fut, R> {
    pub(crate) fn new(service: X, request: Req) -> Self {
        Self::mapped(service, request, std::convert::identity)
    }
}

impl<X, Req, Fut, R, U> CallOnce<X, Req, Fut, R, U> {
    /// Gives `finish` of the response.
    pub(super) fn mapped(service: X, request: Req, finish: fn(R) -> U) -> Self {
        Self { waiting: Some((service, request)), call: None, finish }
    }
}

impl<X, Req, Fut, R, U> Future for CallOnce<X, Req, Fut, R, U>
where
    X: Service<Req, Response = R, Error = Error, Future = Fut>,
    Fut: Future<Output = Result<R, Error>>,
{
    type Output = Result<U, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some((service, _)) = this.waiting {
            let ready = ready!(service.poll_ready(cx));
            if let Some((mut service, request)) = this.waiting.take() {
                ready?;
                this.call.set(Some(service.call(request)));
            }
        }
        let Some(call) = this.call.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(call.poll(cx));
        this.call.set(None);
        Poll::Ready(result.map(*this.finish))
    }
}

impl<X, Req, Fut, R, U> fmt::Debug for CallOnce<X, Req, Fut, R, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (&self.waiting, &self.call) {
            (Some(_), _) => "Waiting",
            (None, Some(_)) => "Calling",
            (None, None) => "Done",
        };
        f.debug_struct("CallOnce").field("state", &state).finish_non_exhaustive()
    }
}
