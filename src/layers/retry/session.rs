//! One call's way through its attempts: what tower's `Retry` asks after each.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderValue, Request, Response};
use tokio::time::{Instant, Sleep};
use tower::retry::Policy;

use super::backoff::Delays;
use super::body::RetryBody;
use super::classify::{Action, Outcome, RetryKind, standard};
use super::kept::Kept;
use super::peek::{NotReady, Peeked};
use super::policy::RetryPolicy;
use super::retried::RetriedError;
use super::rules::Rules;
use crate::extensions::{
    Attempt, AttemptSummary, Attempts, BodyFault, Deadline, RetryOverride, WatchedCall,
};
use crate::{BoxError, Stage};

/// How many attempts are kept for the reader; of more, the first are left out.
const KEPT: usize = 64;

/// The policy of tower's `Retry`. Each call has a clone of its own.
#[derive(Debug)]
pub(super) struct Session {
    policy: Arc<RetryPolicy>,
    /// Made when an attempt has failed, so that a call that succeeds at once allocates nothing.
    progress: Option<Box<Progress>>,
}

struct Progress {
    delays: Delays,
    retries: u32,
    last: RetryKind,
    attempts: Vec<AttemptSummary>,
    /// How far any attempt had come.
    furthest: Stage,
}

impl Session {
    pub(super) const fn new(policy: Arc<RetryPolicy>) -> Self {
        Self { policy, progress: None }
    }

    fn rules(&self, extensions: &Extensions) -> Rules {
        let rules = self.policy.rules;
        extensions.get::<RetryOverride>().map_or(rules, |own| rules.with(own))
    }

    fn judge(&self, rules: &Rules, outcome: &Outcome<'_>) -> Action {
        let own = self.policy.classify.as_ref().map(|own| own.classify(outcome));
        match own {
            None | Some(Action::Pass) => standard(rules, outcome),
            Some(action) => action,
        }
    }

    /// The wait before another attempt, if there is to be one: it is booked then.
    fn book(
        &mut self,
        outcome: &Outcome<'_>,
        request: &Extensions,
    ) -> Option<(Duration, RetryKind)> {
        // A file that cannot be read is no better the next time, whatever it looks like from here.
        if outcome.error().is_some() && request.get().is_some_and(BodyFault::is_known) {
            return None;
        }
        let rules = self.rules(request);
        let Action::Retry { kind, after } = self.judge(&rules, outcome) else { return None };
        let policy = &*self.policy;
        let progress = self.progress.get_or_insert_with(|| Box::new(Progress::new(policy)));
        if progress.retries >= rules.max_retries {
            return None;
        }
        let delay = rules.wait(progress.delays.next()?, after)?;
        let in_time = |deadline: &Deadline| {
            deadline.instant().saturating_duration_since(Instant::now()) > delay
        };
        if !request.get().is_none_or(in_time) {
            return None;
        }
        let paid = policy.budget.as_ref().is_none_or(|budget| budget.withdraw(kind));
        paid.then_some((delay, kind))
    }

    /// Counts the attempt that ended, and says what comes after it.
    fn next(&mut self, outcome: &Outcome<'_>, request: &Extensions) -> Option<Duration> {
        // That attempt was never made.
        if outcome.error().is_some_and(|error| error.is::<NotReady>()) {
            if let (Some(budget), Some(kind)) = (&self.policy.budget, self.last_retry()) {
                budget.refund(kind);
            }
            return None;
        }
        let booked = self.book(outcome, request);
        let attempt = Attempt::of(request);
        let reason = outcome.reason();
        if let Some(progress) = &mut self.progress {
            let delay = booked.map(|(delay, _)| delay);
            progress.note(AttemptSummary::new(attempt, reason, delay), outcome.stage());
        }
        let (delay, kind) = booked?;
        if let Some(progress) = &mut self.progress {
            progress.retries += 1;
            progress.last = kind;
        }
        if let Some(WatchedCall(watcher)) = request.get() {
            watcher.retrying(attempt, delay, reason);
        }
        tracing::debug!(
            attempt = attempt.number(),
            delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            %reason,
            "the attempt failed and another one follows"
        );
        Some(delay)
    }

    /// Tells the next attempt which one it is.
    fn mark<B>(&self, request: &mut Request<B>) {
        let attempt = Attempt::of(request.extensions()).next();
        request.extensions_mut().insert(attempt);
        if let (Some(name), Some(progress)) = (&self.policy.attempt_header, &self.progress) {
            let retries = HeaderValue::from(progress.retries);
            // A request that has no room for the header goes without.
            let _ = request.headers_mut().try_insert(name.clone(), retries);
        }
    }

    /// The call ended well.
    #[inline]
    fn succeeded(&self) {
        if let Some(budget) = &self.policy.budget {
            budget.deposit(self.last_retry());
        }
    }

    fn last_retry(&self) -> Option<RetryKind> {
        self.progress.as_ref().filter(|progress| progress.retries > 0).map(|progress| progress.last)
    }

    /// Leaves the list of attempts with what the call ends with, if there was a retry.
    fn leave<RB>(&mut self, result: &mut Result<Response<RB>, BoxError>) {
        let Some(progress) = self.progress.take().filter(|progress| progress.retries > 0) else {
            return;
        };
        let attempts = Attempts::new(progress.attempts, progress.furthest);
        match result {
            Ok(response) => {
                response.extensions_mut().insert(attempts);
            }
            Err(error) => {
                // A box of nothing, which is not allocated.
                let last = std::mem::replace(error, Box::new(fmt::Error));
                *error = RetriedError::new(attempts, last).into();
            }
        }
    }
}

/// A call's clone starts from nothing.
impl Clone for Session {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.policy))
    }
}

impl<B: Clone, RB> Policy<Kept<B>, Response<RetryBody<RB>>, BoxError> for Session {
    // Boxed, for few calls wait, and all of them are moved.
    type Future = Pin<Box<Sleep>>;

    fn retry(
        &mut self,
        request: &mut Kept<B>,
        result: &mut Result<Response<RetryBody<RB>>, BoxError>,
    ) -> Option<Self::Future> {
        let success = result.as_ref().is_ok_and(|response| response.status().as_u16() < 400);
        if success && self.progress.is_none() && self.policy.classify.is_none() {
            self.succeeded();
            return None;
        }
        let request = request.request_mut();
        let body = match result {
            Ok(response) => response.extensions_mut().remove::<Peeked>(),
            Err(_) => None,
        };
        let outcome = match &*result {
            Ok(response) => {
                let body = body.map(|Peeked(body)| body).unwrap_or_default();
                Outcome::answered(response.status(), response.headers(), body)
            }
            Err(error) => Outcome::failed(error),
        };
        match self.next(&outcome, request.extensions()) {
            Some(delay) => {
                self.mark(request);
                Some(Box::pin(tokio::time::sleep(delay)))
            }
            None => {
                if success {
                    self.succeeded();
                }
                self.leave(result);
                None
            }
        }
    }

    // `Retry` does not keep a request that is not to be retried from the start, and so does not ask.
    fn clone_request(&mut self, request: &Kept<B>) -> Option<Kept<B>> {
        Some(request.copy())
    }
}

impl Progress {
    fn new(policy: &RetryPolicy) -> Self {
        let (delays, attempts) = (policy.schedule.delays(), Vec::new());
        let last = RetryKind::Failed;
        Self { delays, retries: 0, last, attempts, furthest: Stage::NotSent }
    }

    fn note(&mut self, attempt: AttemptSummary, stage: Stage) {
        self.furthest = self.furthest.furthest(stage);
        if self.attempts.len() == KEPT {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::StatusCode;
    use http_body_util::Empty;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::ErrorKind;
    use crate::extensions::{CallWatcher, RetryReason};
    use crate::layers::RetryLayer;

    #[derive(Default)]
    struct Log(Mutex<Vec<(u32, Duration, RetryReason)>>);

    impl CallWatcher for Log {
        fn retrying(&self, failed: Attempt, delay: Duration, reason: RetryReason) {
            self.0.lock().unwrap().push((failed.number(), delay, reason));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_watches_the_call_is_told_before_each_wait() {
        let service = service_fn(async |request: Request<()>| {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            match Attempt::of(request.extensions()).number() {
                2 => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                _ => Ok(response),
            }
        });
        let waits = [500, 1000].map(Duration::from_millis);
        let log = Arc::new(Log::default());
        let mut request = Request::new(());
        request.extensions_mut().insert(WatchedCall(log.clone()));
        let call = RetryLayer::new(RetryPolicy::default().backoff(waits)).layer(service);
        let call = call.oneshot(request);
        // Told when the wait begins, not when it is over.
        assert!(tokio::time::timeout(waits[0] / 2, call).await.is_err());
        let busy = RetryReason::Status(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(*log.0.lock().unwrap(), [(1, waits[0], busy)]);

        let mut request = Request::new(());
        request.extensions_mut().insert(WatchedCall(log.clone()));
        let layer = RetryLayer::new(RetryPolicy::default().backoff(waits));
        assert_eq!(layer.layer(service).oneshot(request).await.unwrap().status(), 503);
        let reset = RetryReason::Error(ErrorKind::Transport);
        assert_eq!(
            log.0.lock().unwrap()[1..],
            [(1, waits[0], busy), (2, waits[1], reset)],
            "two waits, and none after the last attempt"
        );
    }

    /// The shared policy must not learn from one call what it tells the next.
    #[test]
    fn a_clone_of_a_session_starts_anew() {
        let policy = Arc::new(RetryPolicy::default());
        let progress = Some(Box::new(Progress::new(&policy)));
        let session = Session { policy, progress };
        assert!(session.clone().progress.is_none());
    }
}
