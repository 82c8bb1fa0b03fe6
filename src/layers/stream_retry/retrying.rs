//! How a request is sent again: when, how often, and with which error it is given up.

use std::future::Future;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower::Service;

use super::policy::StreamRetryPolicy;
use crate::extensions::Deadline;
use crate::layers::call_again::CallAgain;
use crate::layers::retry::Delays;
use crate::services::ResponsesRequest;
use crate::sse::ResponseStream;
use crate::{BoxError, Error};

/// What a request is sent again with, and how often that was done.
pub(super) struct Retrying<S, F> {
    service: S,
    request: ResponsesRequest,
    policy: StreamRetryPolicy,
    /// When the whole call is to be over.
    deadline: Option<Instant>,
    delays: Option<Delays>,
    made: u32,
    again: CallAgain<S, F>,
}

impl<S, F> Retrying<S, F> {
    /// `deadline` is when the whole call is to be over, if the caller does not say so by an extension.
    pub(super) fn new(
        service: S,
        mut request: ResponsesRequest,
        policy: StreamRetryPolicy,
        deadline: Option<Instant>,
    ) -> Self {
        let deadline = Deadline::earliest(deadline, &mut request.options_mut().extensions);
        Self { service, request, policy, deadline, delays: None, made: 0, again: CallAgain::Idle }
    }

    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// Whether the request is on its way again.
    pub(super) fn is_under_way(&self) -> bool {
        !self.again.is_idle()
    }

    /// Whether the request may be sent again at all because of this error.
    pub(super) fn may_pass(&self, error: &Error) -> bool {
        error.is_retryable() && self.policy.tries.allows(self.made + 1)
    }

    /// Waits for the next try, or gives the error back.
    pub(super) fn try_again(&mut self, error: Error) -> Result<(), Error> {
        if !self.may_pass(&error) {
            return Err(error);
        }
        let policy = &self.policy;
        let Some(delay) = self.delays.get_or_insert_with(|| policy.tries.delays()).next() else {
            return Err(error);
        };
        let hint = error.retry_after().unwrap_or_default();
        let delay = delay.max(hint);
        let due = Instant::now().checked_add(delay);
        let in_time = self.deadline.is_none_or(|end| due.is_some_and(|due| due < end));
        if !policy.tries.waits(hint) || !in_time {
            return Err(error);
        }
        tracing::debug!(kind = error.kind().as_str(), ?delay, "a request is sent again");
        self.made += 1;
        self.again = CallAgain::after(delay);
        Ok(())
    }

    /// The stream of the next response, or the error to end with.
    pub(super) fn poll<A>(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseStream<A>, Error>>
    where
        S: Service<ResponsesRequest, Response = ResponseStream<A>, Future = F> + Clone,
        S::Error: Into<BoxError>,
        F: Future<Output = Result<ResponseStream<A>, S::Error>>,
    {
        loop {
            match self.again.poll(cx, &self.service, || self.request.clone()) {
                Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                Poll::Ready(Err(error)) => self.try_again(Error::from(error.into()))?,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
