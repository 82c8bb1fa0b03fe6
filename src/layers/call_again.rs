//! A service that is called again later, below a stream: after a wait, once it is ready.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tower::Service;

/// One call that is made after a wait, by a clone of the service that is made ready first.
pub(super) enum CallAgain<S, F> {
    /// None is to be made.
    Idle,
    /// It is not yet due.
    Waiting(Pin<Box<Sleep>>),
    /// The service is made ready.
    Readying(S),
    /// It is under way.
    Calling(Pin<Box<F>>),
}

impl<S, F> CallAgain<S, F> {
    pub(super) fn after(delay: Duration) -> Self {
        Self::Waiting(Box::pin(sleep(delay)))
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// What came of the call; pending for ever if none is to be made. Idle afterwards.
    pub(super) fn poll<Req>(
        &mut self,
        cx: &mut Context<'_>,
        service: &S,
        request: impl Fn() -> Req,
    ) -> Poll<Result<S::Response, S::Error>>
    where
        S: Service<Req, Future = F> + Clone,
        F: Future<Output = Result<S::Response, S::Error>>,
    {
        loop {
            let result = match self {
                Self::Idle => return Poll::Pending,
                Self::Waiting(delay) => {
                    ready!(delay.as_mut().poll(cx));
                    // Whatever came of the clone that was called before.
                    *self = Self::Readying(service.clone());
                    continue;
                }
                Self::Readying(service) => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        *self = Self::Calling(Box::pin(service.call(request())));
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Self::Calling(call) => ready!(call.as_mut().poll(cx)),
            };
            *self = Self::Idle;
            return Poll::Ready(result);
        }
    }
}
