//! One call while it is watched: what layers, body and stream report comes together here.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tracing::Span;

use super::attempt::AttemptWatcher;
#[cfg(feature = "retry")]
use super::observe::RetryInfo;
use super::observe::{
    AttemptInfo, AttemptOutcome, CallEnd, CallInfo, EventInfo, HeadInfo, Observe, Outcome,
    SequenceGap,
};
use super::socket::SocketWatch;
use super::span;
#[cfg(feature = "retry")]
use crate::extensions::RetryReason;
use crate::extensions::{
    Attempt, Call, CallWatcher, Came, RequestWatcher, SocketWatcher, WatchedCall,
};
use crate::model::{Response, ResponseEvent, TokenUsage};
use crate::sse::{AnswerFacts, StreamEnd, StreamObserver};
use crate::{BoxError, Error, ErrorKind, error, redaction};

/// What the future and the body of a call over HTTP report besides.
pub(super) trait Watch: RequestWatcher {
    /// There was no answer, or its body is over.
    fn ended(&self, error: Option<&BoxError>);

    /// The future or the body was dropped before its end.
    fn dropped(&self);

    /// Who watches the calls on the socket that this one has opened.
    fn socket_watcher(&self) -> Arc<dyn SocketWatcher>;
}

pub(super) struct CallWatch<O> {
    info: CallInfo,
    /// A telemetry further out, which hears only through this one.
    outer: Option<WatchedCall>,
    observer: O,
    observing: bool,
    record_content: bool,
    /// The last id that its layer gave to a call.
    last_id: Arc<AtomicU64>,
    started: Instant,
    /// `None` once the call has ended: whatever is reported later is too late.
    progress: Mutex<Option<Progress>>,
}

/// How far the call has come.
pub(super) struct Progress {
    pub(super) span: Span,
    pub(super) status: Option<StatusCode>,
    /// What a refusal means to one who reads only bytes.
    refusal: Option<ErrorKind>,
    /// That of the request: what it is authorised with is among its secrets by the time of an answer.
    call: Option<Call>,
    /// A typed reader has taken the answer: its end is the call's, not that of the body.
    typed: bool,
    pub(super) attempts: u32,
    pub(super) retries: u32,
    /// The last attempt, if it was refused with 401.
    unauthorized: Option<Attempt>,
    /// What the telemetry further out said of the last attempt: its number, and whether it is one
    /// after a 401.
    sent_outside: Option<(u32, bool)>,
    pub(super) first_event: Option<Duration>,
    last_event: Option<Instant>,
    waiting_since: Option<Instant>,
    sequence_number: Option<u64>,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) usage: Option<TokenUsage>,
    pub(super) model: Option<Box<str>>,
    pub(super) response_id: Option<Box<str>>,
    /// `gen_ai.response.finish_reasons` has one entry, for there is one answer.
    pub(super) finish_reason: Option<Box<str>>,
}

impl Progress {
    fn new(span: Span, call: Option<Call>) -> Self {
        Self {
            span,
            status: None,
            refusal: None,
            call,
            typed: false,
            attempts: 0,
            retries: 0,
            unauthorized: None,
            sent_outside: None,
            first_event: None,
            last_event: None,
            waiting_since: None,
            sequence_number: None,
            events: 0,
            bytes: 0,
            usage: None,
            model: None,
            response_id: None,
            finish_reason: None,
        }
    }

    /// The server's words without the credential of the call or what looks like one.
    pub(super) fn clean(&self, text: &str) -> Box<str> {
        let secrets = self.call.as_ref().map(Call::kept_secrets).unwrap_or_default();
        match redaction::scrub_known(text, secrets.iter().map(String::as_str)) {
            Some(text) => redaction::scrub(&text).into(),
            None => redaction::scrub(text).into(),
        }
    }

    /// What a response in an event or error tells.
    fn learn(&mut self, response: &Response) {
        if let Some(usage) = &response.usage {
            self.usage = Some(usage.clone());
        }
        if !response.model.is_empty() {
            self.model = Some(self.clean(&response.model));
        }
        if !response.id.is_empty() {
            self.response_id = Some(self.clean(&response.id));
        }
        if let Some(reason) = span::finish_reason(response) {
            self.finish_reason = Some(self.clean(reason));
        }
    }

    /// Notes the number of an event, and the gap before it.
    fn number(&mut self, event: &ResponseEvent) -> Option<SequenceGap> {
        let next = event.sequence_number()?;
        let last = self.sequence_number.replace(next)?;
        // That of a response which takes the place of another begins anew.
        let begins = matches!(event, ResponseEvent::Created(_));
        (!begins && next != last.wrapping_add(1)).then_some(SequenceGap { last, next })
    }
}

impl<O: Observe> CallWatch<O> {
    /// A call that begins now.
    pub(super) fn begin(
        info: CallInfo,
        span: Span,
        observer: O,
        record_content: bool,
        last_id: Arc<AtomicU64>,
    ) -> Self {
        let observing = observer.is_enabled();
        if observing {
            observer.on_request(&info);
        }
        let progress = Mutex::new(Some(Progress::new(span, info.call().cloned())));
        let (outer, started) = (None, Instant::now());
        Self { info, outer, observer, observing, record_content, last_id, started, progress }
    }

    /// Lets `outer` hear of the attempts and waits too.
    pub(super) fn inside(self, outer: Option<WatchedCall>) -> Self {
        Self { outer, ..self }
    }

    fn outer(&self) -> Option<&dyn AttemptWatcher> {
        self.outer.as_ref()?.0.attempts()
    }

    /// Locked for a moment: hooks are called without the lock.
    fn progress(&self) -> MutexGuard<'_, Option<Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something while the call has not ended.
    fn with<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> Option<T> {
        self.progress().as_mut().map(change)
    }

    fn observer(&self) -> Option<&O> {
        self.observing.then_some(&self.observer)
    }

    /// Ends the call, if it has not ended.
    fn finish(&self, outcome: Outcome<'_>) {
        let Some(progress) = self.progress().take() else { return };
        self.tell_end(progress, outcome);
    }

    /// As [`finish`](Self::finish), unless a typed reader will tell the end.
    fn finish_untyped(&self, outcome: impl FnOnce(&Progress) -> Outcome<'static>) {
        let taken = self.progress().take_if(|progress| !progress.typed);
        if let Some(progress) = taken {
            let outcome = outcome(&progress);
            self.tell_end(progress, outcome);
        }
    }

    fn tell_end(&self, progress: Progress, outcome: Outcome<'_>) {
        let end = CallEnd {
            outcome,
            status: progress.status,
            duration: self.started.elapsed(),
            first_event: progress.first_event,
            attempts: progress.attempts,
            retries: progress.retries,
            events: progress.events,
            bytes: progress.bytes,
            usage: progress.usage.as_ref(),
            model: progress.model.as_deref(),
            response_id: progress.response_id.as_deref(),
        };
        span::record_end(&progress, &end, self.record_content);
        if let Some(observer) = self.observer() {
            observer.on_end(&self.info, &end);
        }
    }
}

impl<O: Observe> RequestWatcher for CallWatch<O> {
    /// None once the call has ended.
    fn span(&self) -> Span {
        self.with(|progress| progress.span.clone()).unwrap_or_else(Span::none)
    }

    fn encoded(&self, frame: &str) {
        if self.record_content {
            span::record_prompt(&self.span(), frame.as_bytes());
        }
    }

    fn sent(&self, came: &Came<'_>, elapsed: Duration) {
        let (sent, ..) = self.sending(Attempt::FIRST);
        let (outcome, error) = match *came {
            Came::Answer(status) => (AttemptOutcome::Status(status), None),
            Came::Dropped => (AttemptOutcome::Dropped, None),
            Came::Error(error) => {
                let outcome = error.status().map(AttemptOutcome::Status);
                (outcome.unwrap_or(AttemptOutcome::Error(error.kind())), Some(error))
            }
        };
        let clean =
            |text: Option<&str>| self.with(|progress| Some(progress.clean(text?))).flatten();
        let request_id = clean(error.and_then(Error::request_id));
        let cf_ray = clean(error.and_then(Error::cf_ray));
        let unanswered = error.filter(|error| error.status().is_none());
        self.attempted(&AttemptInfo {
            attempt: Attempt::FIRST,
            sent,
            after_unauthorized: false,
            outcome,
            error_kind: error.map(Error::kind),
            error: unanswered.map(|error| error as &_),
            elapsed,
            version: None,
            auth_header: None,
            request_id: request_id.as_deref(),
            cf_ray: cf_ray.as_deref(),
            authorization_error: None,
            code: None,
        });
    }

    fn head(&self, status: StatusCode, headers: &HeaderMap) {
        self.with(|progress| {
            progress.status = Some(status);
            if status.is_client_error() || status.is_server_error() {
                progress.refusal = Some(error::kind_of_status(status));
            }
            let model = headers.get("openai-model").and_then(|model| model.to_str().ok());
            progress.model = model.map(|model| progress.clean(model));
            span::record_head(&progress.span, status);
        });
        if let Some(observer) = self.observer() {
            let elapsed = self.started.elapsed();
            observer.on_head(&self.info, &HeadInfo { status, elapsed, headers });
        }
    }

    fn reading(&self) -> Span {
        self.with(|progress| {
            if self.observing && progress.waiting_since.is_none() {
                progress.waiting_since = Some(Instant::now());
            }
            progress.span.clone()
        })
        .unwrap_or_else(Span::none)
    }

    fn read(&self, bytes: u64) {
        self.with(|progress| progress.bytes += bytes);
    }

    fn stream_observer(self: Arc<Self>) -> Arc<dyn StreamObserver> {
        self
    }
}

impl<O: Observe + Clone> Watch for CallWatch<O> {
    fn ended(&self, error: Option<&BoxError>) {
        self.finish_untyped(|progress| {
            let kind = match error {
                Some(error) => Some(error::kind_of(&**error)),
                None => progress.refusal,
            };
            kind.map_or(Outcome::Complete, |kind| Outcome::Error { kind, error: None })
        });
    }

    fn dropped(&self) {
        // Who looks at the status alone need not read the body of a refusal.
        self.finish_untyped(|progress| {
            let refused = |kind| Outcome::Error { kind, error: None };
            progress.refusal.map_or(Outcome::Dropped, refused)
        });
    }

    fn socket_watcher(&self) -> Arc<dyn SocketWatcher> {
        Arc::new(SocketWatch {
            handshake: self.info.clone(),
            observer: self.observer.clone(),
            record_content: self.record_content,
            last_id: Arc::clone(&self.last_id),
        })
    }
}

impl<O: Observe> StreamObserver for CallWatch<O> {
    fn on_open(&self) {
        self.with(|progress| progress.typed = true);
    }

    fn on_event(&self, event: &ResponseEvent) {
        let unknown = matches!(event, ResponseEvent::Unknown(_));
        let from_wire = unknown || !event.kind().starts_with("client.");
        // Without an observer only the first event needs the time.
        let now = |wanted: bool| wanted.then(Instant::now);
        let told = self.with(|progress| {
            let now = now(self.observing || (from_wire && progress.first_event.is_none()));
            let mut first = None;
            if from_wire {
                progress.events += 1;
                if progress.first_event.is_none() {
                    first = now.map(|now| now.duration_since(self.started));
                    progress.first_event = first;
                    span::record_first_event(&progress.span, first);
                }
            }
            if let ResponseEvent::ServerModel(model) = event {
                progress.model = Some(progress.clean(model));
            }
            if let Some(response) = event.response() {
                progress.learn(response);
                if self.record_content && event.is_terminal() {
                    span::record_output(progress, response);
                }
            }
            let gap = progress.number(event);
            if let Some(gap) = gap {
                span::sequence_gap(&progress.span, gap);
            }
            let since = |then: Option<Instant>| Some(now?.duration_since(then?));
            let waited = since(progress.waiting_since.take()).unwrap_or_default();
            let since_last = since(progress.last_event);
            if from_wire {
                progress.last_event = now;
            }
            (first, gap, EventInfo { event, from_wire, waited, since_last })
        });
        let (Some((first, gap, event)), Some(observer)) = (told, self.observer()) else { return };
        if let Some(gap) = gap {
            observer.on_sequence_gap(&self.info, gap);
        }
        if let Some(elapsed) = first {
            observer.on_first_event(&self.info, elapsed);
        }
        observer.on_event(&self.info, &event);
    }

    fn on_answer(&self, answer: &AnswerFacts<'_>) {
        self.with(|progress| {
            if let Some(response) = answer.response {
                progress.learn(response);
                if self.record_content {
                    span::record_output(progress, response);
                }
            }
            if let Some(usage) = answer.usage {
                progress.usage = Some(usage.clone());
            }
            if let Some(model) = answer.model {
                progress.model = Some(progress.clean(model));
            }
            if let Some(id) = answer.id {
                progress.response_id = Some(progress.clean(id));
            }
        });
    }

    fn on_end(&self, end: StreamEnd<'_>) {
        match end {
            StreamEnd::Complete => self.finish(Outcome::Complete),
            StreamEnd::Dropped => self.finish(Outcome::Dropped),
            StreamEnd::Error(error) => {
                self.with(|progress| self.learn_from(progress, error));
                self.finish(Outcome::Error { kind: error.kind(), error: Some(error) });
            }
        }
    }
}

impl<O: Observe> CallWatch<O> {
    fn learn_from(&self, progress: &mut Progress, error: &Error) {
        if let Some(response) = error.response() {
            progress.learn(response);
            if self.record_content {
                span::record_output(progress, response);
            }
        }
    }
}

impl<O: Observe> CallWatcher for CallWatch<O> {
    #[cfg(feature = "retry")]
    fn retrying(&self, failed: Attempt, delay: Duration, reason: RetryReason) {
        if let Some(WatchedCall(outer)) = &self.outer {
            outer.retrying(failed, delay, reason);
        }
        let retry = RetryInfo { failed, delay, reason };
        let open = self.with(|progress| {
            progress.retries += 1;
            span::retrying(&progress.span, &retry);
        });
        if let (Some(()), Some(observer)) = (open, self.observer()) {
            observer.on_retry(&self.info, &retry);
        }
    }

    fn attempts(&self) -> Option<&dyn AttemptWatcher> {
        Some(self)
    }
}

impl<O: Observe> AttemptWatcher for CallWatch<O> {
    fn info(&self) -> &CallInfo {
        &self.info
    }

    fn sending(&self, attempt: Attempt) -> (u32, bool, Span) {
        let outside = self.outer().map(|outer| outer.sending(attempt));
        let sending = |progress: &mut Progress| {
            progress.sent_outside = outside.map(|(sent, again, _)| (sent, again));
            progress.attempts = progress.attempts.saturating_add(1);
            let again = progress.unauthorized.take() == Some(attempt);
            (progress.attempts, again, progress.span.clone())
        };
        self.with(sending).unwrap_or_else(|| (attempt.number(), false, Span::none()))
    }

    fn attempted(&self, attempt: &AttemptInfo<'_>) {
        let unauthorized = attempt.outcome == AttemptOutcome::Status(StatusCode::UNAUTHORIZED);
        let open = self.with(|progress| {
            progress.unauthorized = unauthorized.then_some(attempt.attempt);
            progress.sent_outside
        });
        if let Some(outer) = self.outer() {
            let own = (attempt.sent, attempt.after_unauthorized);
            let (sent, after_unauthorized) = open.flatten().unwrap_or(own);
            outer.attempted(&AttemptInfo { sent, after_unauthorized, ..attempt.clone() });
        }
        if let (Some(_), Some(observer)) = (open, self.observer()) {
            observer.on_attempt(&self.info, attempt);
        }
    }
}

#[cfg(test)]
mod tests;
