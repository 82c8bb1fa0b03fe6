//! The wait for the first message of an answer.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Extensions;
use tracing::Span;

use super::connection::Common;
use super::source::{Reading, SocketSource, Total, length};
use super::watching::{Listening, Watching};
use crate::error::{Error, ErrorKind, Stage};
use crate::extensions::StreamTimeouts;
use crate::services::TurnState;
use crate::sse::{ResponseStream, StreamSettings};
use crate::timer::Watchdog;
use crate::ws::Text;

/// What a stream needs to know of the request that opens it.
pub(super) struct Opening {
    pub(super) common: Arc<Common>,
    pub(super) extensions: Extensions,
    pub(super) settings: StreamSettings,
    pub(super) turn_state: Option<TurnState>,
}

impl Opening {
    fn open(self, source: SocketSource) -> ResponseStream<SocketSource> {
        let head = &self.common.head;
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = head.status;
        parts.version = head.version;
        parts.headers.clone_from(&head.headers);
        parts.extensions = self.extensions;
        let stream = ResponseStream::new(source, parts, self.settings, self.turn_state);
        match self.common.fresh.swap(false, Ordering::Relaxed) {
            true => stream,
            false => stream.without_rate_limits(),
        }
    }
}

/// How long the first message of an answer is waited for.
#[derive(Clone, Copy)]
struct Limit {
    time: Option<Duration>,
    kind: ErrorKind,
    name: &'static str,
}

impl Limit {
    fn of(settings: StreamSettings) -> Self {
        let timeouts: StreamTimeouts = settings.timeouts;
        let (time, kind, name) = match (timeouts.head_or(None), timeouts.first_event_or(None)) {
            (Some(head), _) => (Some(head), ErrorKind::HeadTimeout, "head"),
            (None, Some(first)) => (Some(first), ErrorKind::FirstEventTimeout, "first-event"),
            (None, None) => (settings.progress_timeout(), ErrorKind::ProgressTimeout, "progress"),
        };
        Self { time, kind, name }
    }

    fn error(self) -> Error {
        let message = format!(
            "no message within {:?} of the request, the {} limit",
            self.time.unwrap_or_default(),
            self.name
        );
        Error::new(self.kind, message).with_stage(Stage::Sent)
    }
}

/// The future of [`ResponsesConnection`](super::ResponsesConnection): ready with the first message of
/// the answer.
///
/// Polled again after it was ready, it stays pending.
#[must_use = "futures do nothing unless polled"]
pub struct SocketCall {
    waiting: Option<Waiting>,
    /// Of a request that was not taken.
    error: Option<Error>,
    watching: Option<Watching>,
}

struct Waiting {
    reading: Reading,
    opening: Opening,
    limit: Limit,
    /// From when the request is sent.
    watchdog: Option<Watchdog>,
    total: Option<Total>,
}

impl Waiting {
    /// Ready with the first messages.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<VecDeque<Text>, Error>> {
        let mut texts = VecDeque::new();
        if let Poll::Ready(taken) = self.reading.poll_take(cx, &mut texts) {
            return Poll::Ready(taken.map(|_| texts));
        }
        let is_sent = self.reading.is_sent();
        if let Some(Poll::Ready(error)) = self.total.as_mut().map(|total| total.poll(cx)) {
            let stage = if is_sent { Stage::Sent } else { Stage::NotSent };
            return Poll::Ready(Err(error.with_stage(stage)));
        }
        if self.watchdog.is_none() && is_sent {
            self.watchdog = Some(Watchdog::new(self.limit.time));
        }
        let Some(watchdog) = &mut self.watchdog else { return Poll::Pending };
        ready!(watchdog.poll_expired(cx));
        Poll::Ready(Err(self.limit.error()))
    }
}

impl SocketCall {
    /// The call of a request that was taken, or why it was not.
    pub(super) fn new(
        begun: Result<(Reading, Opening), Error>,
        watching: Option<Watching>,
    ) -> Self {
        match begun {
            Ok((reading, opening)) => {
                let limit = Limit::of(opening.settings);
                let total = opening.settings.timeouts.total_or(None).and_then(Total::new);
                let waiting = Waiting { reading, opening, limit, watchdog: None, total };
                Self { waiting: Some(waiting), error: None, watching }
            }
            Err(error) => Self { waiting: None, error: Some(error), watching },
        }
    }

    /// As its `poll`, but those who watch do not hear yet of an error: see
    /// [`take_watching`](Self::take_watching).
    pub(super) fn poll_untold(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseStream<SocketSource>, Error>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        let span = self.watching.as_ref().map_or_else(Span::none, Watching::span);
        let taken = ready!(span.in_scope(|| waiting.poll(cx)));
        let Some(Waiting { reading, opening, total, .. }) = self.waiting.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match taken {
            Ok(texts) => {
                let head = &opening.common.head;
                let listening = match self.watching.take() {
                    Some(watching) => watching.answered(head.status, &head.headers, length(&texts)),
                    None => Listening::default(),
                };
                Ok(opening.open(SocketSource::new(reading, texts, total, listening)))
            }
            Err(error) => Err(error.without_secrets_of(&opening.common.call)),
        })
    }

    /// Those who watch the request, to be told of the error that it ended with.
    pub(super) fn take_watching(&mut self) -> Option<Watching> {
        self.watching.take()
    }
}

impl Future for SocketCall {
    type Output = Result<ResponseStream<SocketSource>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.poll_untold(cx));
        if let (Err(error), Some(watching)) = (&result, self.take_watching()) {
            watching.failed(error);
        }
        Poll::Ready(result)
    }
}

impl Drop for SocketCall {
    fn drop(&mut self) {
        if let (Some(waiting), Some(watching)) = (&self.waiting, &self.watching) {
            if waiting.reading.is_sent() {
                watching.dropped_sent();
            }
        }
    }
}

impl fmt::Debug for SocketCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketCall")
            .field("waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}
