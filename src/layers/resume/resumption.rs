//! How a stream is opened again: when, how often, and with which error it is given up.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::policy::ResumePolicy;
use crate::extensions::Deadline;
use crate::layers::call_again::CallAgain;
use crate::layers::retry::Delays;
use crate::services::RetrieveStreamRequest;
use crate::sse::{Broken, ResponseStream};
use crate::{BoxError, Error, ErrorKind};

/// What a stream is resumed with, and how far that is.
pub(super) struct Resumption<R, F> {
    retrieve: R,
    policy: ResumePolicy,
    /// All but the response's id and the place.
    request: RetrieveStreamRequest,
    /// When the whole call is to be over.
    deadline: Option<Instant>,
    /// How often the stream has been opened again.
    made: u32,
    row: Option<Row>,
    /// Idle while the stream is read.
    again: CallAgain<R, F>,
}

/// Tries without a new event between them.
struct Row {
    /// Behind which event.
    after: u64,
    tries: u32,
    delays: Delays,
    until: Option<Instant>,
    /// Goes off then.
    alarm: Option<Pin<Box<Sleep>>>,
    /// What the last try failed with, if the stream was not opened.
    failure: Option<Error>,
}

impl<R, F> Resumption<R, F> {
    /// `deadline` is when the whole call is to be over, if the caller does not say so by an extension.
    pub(super) fn new(
        retrieve: R,
        policy: ResumePolicy,
        mut request: RetrieveStreamRequest,
        deadline: Option<Instant>,
    ) -> Self {
        let deadline = Deadline::earliest(deadline, &mut request.options_mut().extensions);
        Self { retrieve, policy, request, deadline, made: 0, row: None, again: CallAgain::Idle }
    }

    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// Opens the stream again, or says which error to end with.
    pub(super) fn poll<B>(
        &mut self,
        cx: &mut Context<'_>,
        broken: &mut Broken,
    ) -> Poll<Result<ResponseStream<B>, Error>>
    where
        R: Service<RetrieveStreamRequest, Response = ResponseStream<B>, Future = F> + Clone,
        R::Error: Into<BoxError>,
        F: Future<Output = Result<ResponseStream<B>, R::Error>>,
    {
        if self.again.is_idle() {
            self.begin(broken)?;
        }
        loop {
            let request = || self.request.clone().behind(broken);
            match self.again.poll(cx, &self.retrieve, request) {
                Poll::Ready(Ok(stream)) => {
                    self.made = self.made.saturating_add(1);
                    return Poll::Ready(Ok(stream));
                }
                Poll::Ready(Err(error)) => {
                    self.try_again(Some(Error::from(error.into())), broken)?;
                }
                Poll::Pending => return self.poll_over(cx, broken),
            }
        }
    }

    /// The stream has broken off.
    fn begin(&mut self, broken: &mut Broken) -> Result<(), Error> {
        let after = match (broken.error(), &broken.response_id, broken.sequence_number) {
            (Some(error), Some(_), Some(after)) if is_break(error.kind()) => after,
            _ => return Err(broken.take_error()),
        };
        if self.row.as_ref().is_none_or(|row| row.after != after) {
            let limit = self.policy.limit();
            let limit = limit.and_then(|limit| Instant::now().checked_add(limit));
            let until = limit.into_iter().chain(self.deadline).min();
            self.row = Some(Row {
                after,
                tries: 0,
                delays: self.policy.tries.delays(),
                until,
                alarm: until.map(|until| Box::pin(sleep_until(until))),
                failure: None,
            });
        }
        self.try_again(None, broken)
    }

    /// Waits for the next try, if there is to be one.
    fn try_again(&mut self, failure: Option<Error>, broken: &mut Broken) -> Result<(), Error> {
        self.again = CallAgain::Idle;
        let Some(row) = &mut self.row else { return Err(broken.take_error()) };
        row.failure = failure;
        let hint = row.failure.as_ref().and_then(Error::retry_after).unwrap_or_default();
        let may_pass = row.failure.as_ref().is_none_or(Error::is_retryable);
        if may_pass && self.policy.tries.allows(row.tries + 1) && self.policy.tries.waits(hint) {
            if let Some(delay) = row.delays.next() {
                let delay = delay.max(hint);
                let due = Instant::now().checked_add(delay);
                if row.until.is_none_or(|until| due.is_some_and(|due| due < until)) {
                    tracing::debug!(after = row.after, ?delay, "a response stream is resumed");
                    row.tries += 1;
                    self.again = CallAgain::after(delay);
                    return Ok(());
                }
            }
        }
        Err(self.given_up(broken))
    }

    /// The wait goes on, unless the row has lasted too long.
    fn poll_over<T>(
        &mut self,
        cx: &mut Context<'_>,
        broken: &mut Broken,
    ) -> Poll<Result<T, Error>> {
        let alarm = self.row.as_mut().and_then(|row| row.alarm.as_mut());
        match alarm.map(|alarm| alarm.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                self.again = CallAgain::Idle;
                Poll::Ready(Err(self.given_up(broken)))
            }
            _ => Poll::Pending,
        }
    }

    /// The error to end with: what the last try failed with, or what the stream broke off with.
    fn given_up(&mut self, broken: &mut Broken) -> Error {
        let broke = broken.take_error();
        let Some(Row { tries: tries @ 1.., failure, .. }) = &mut self.row else { return broke };
        let error = match failure.take() {
            Some(failure) => failure.adding(format_args!(
                "this was to resume a stream that had broken off: {}",
                broke.message()
            )),
            None => broke,
        };
        let error =
            error.adding(format_args!("given up, resumptions without a new event: {tries}"));
        // What has been read would come twice.
        if broken.handed_out { error.without_retry() } else { error }
    }
}

/// Whether the connection has ended, and not the response or the call.
fn is_break(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Transport
            | ErrorKind::Truncated
            | ErrorKind::Timeout
            | ErrorKind::IdleTimeout
            | ErrorKind::FirstEventTimeout
            | ErrorKind::ProgressTimeout
    )
}
