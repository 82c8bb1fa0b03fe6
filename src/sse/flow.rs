//! What holds for every typed stream, whatever its events are: clocks, counts, the end.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::Deserialize;

use super::decoder::SseEvent;
use super::settings::StreamSettings;
use super::source::EventSource;
use crate::BoxError;
use crate::error::{self, Error, ErrorKind};
#[cfg(feature = "retry")]
use crate::extensions::StreamTimeouts;
use crate::model::{ApiError, ErrorBody, RawJson, status_in};
use crate::timer::Watchdog;

/// Bytes that may be read and thrown away behind a terminal event.
const DRAIN_BYTES: usize = 64 * 1024;

/// How far a stream has come, and how long it may wait.
pub(super) struct Flow {
    settings: StreamSettings,
    watchdog: Watchdog,
    pub(super) state: State,
    pub(super) events: u64,
    pub(super) skipped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Reading,
    /// The terminal event is out; the body's end is waited for, shortly.
    Draining,
    Done,
}

/// What a poll of the source has come to.
pub(super) enum Step {
    /// The source shows an event.
    Event,
    /// It has more bytes than before.
    More,
    /// It has ended, before its terminal event.
    Broken(Error),
}

/// What becomes of a message that is no event of the API.
pub(super) enum Undecodable {
    /// The server ends the stream.
    End(Error),
    Failure(Error),
    Skipped,
}

impl Flow {
    pub(super) fn new(settings: StreamSettings) -> Self {
        let first = settings.first_event_timeout().or(settings.progress_timeout());
        let watchdog = Watchdog::new(first);
        Self { settings, watchdog, state: State::Reading, events: 0, skipped: 0 }
    }

    /// Whether nothing will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Done
    }

    /// Goes on with a stream that was opened where this one broke off.
    pub(super) fn resume(&mut self, again: Self) {
        self.settings = again.settings;
        self.watchdog = Watchdog::new(self.settings.progress_timeout());
        self.state = State::Reading;
    }

    #[cfg(feature = "retry")]
    pub(super) fn timeouts(&self) -> StreamTimeouts {
        self.settings.timeouts
    }

    /// Whether the stream has ended, once that is settled.
    #[inline]
    pub(super) fn poll_over<Src: EventSource>(
        &mut self,
        mut source: Pin<&mut Src>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        match self.state {
            State::Reading => return Poll::Ready(false),
            State::Draining
                if source.as_mut().poll_drain(cx, DRAIN_BYTES).is_pending()
                    && self.watchdog.poll_expired(cx).is_pending() =>
            {
                return Poll::Pending;
            }
            State::Draining | State::Done => {}
        }
        self.state = State::Done;
        source.close();
        Poll::Ready(true)
    }

    /// Goes on to the next event.
    #[inline]
    pub(super) fn poll_source<Src: EventSource>(
        &mut self,
        mut source: Pin<&mut Src>,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        Poll::Ready(match source.as_mut().advance() {
            Ok(true) => Step::Event,
            Ok(false) => match source.as_mut().poll_chunk(cx) {
                Poll::Ready(Some(Ok(()))) => Step::More,
                Poll::Ready(Some(Err(error))) => Step::Broken(self.failed(error)),
                Poll::Ready(None) => Step::Broken(self.truncated()),
                Poll::Pending => {
                    let elapsed = ready!(self.watchdog.poll_expired(cx));
                    Step::Broken(self.expired(elapsed.limit, source.bytes_read()))
                }
            },
            Err(error) => Step::Broken(self.failed(error)),
        })
    }

    /// Counts an event that is known to be one, and not the first.
    #[inline]
    pub(super) fn repeated(&mut self) {
        self.watchdog.progress();
        self.events += 1;
    }

    /// Counts an event.
    pub(super) fn count(&mut self) {
        self.repeated();
        if self.events == 1 {
            self.watchdog.set_limit(self.settings.progress_timeout());
        }
    }

    /// A message that is no event of the API.
    pub(super) fn undecodable(
        &mut self,
        event: &SseEvent<'_>,
        error: &serde_json::Error,
    ) -> Undecodable {
        let data = event.data();
        let data = data.trim();
        if data.starts_with("[DONE]") {
            return Undecodable::End(self.truncated());
        }
        // Some servers send an error body into the stream.
        if let Some(said) = ErrorBody::parse(data.as_bytes()).filter(ErrorBody::is_nothing_else) {
            let status = said.members().get("status").and_then(status_in);
            return Undecodable::Failure(error::in_stream(Some(said.error()), "error", status));
        }
        if self.settings.lenient {
            self.skipped += 1;
            let name = error::one_line(&name_of(event, data));
            tracing::debug!(number = self.events, name, "undecodable event skipped");
            return Undecodable::Skipped;
        }
        Undecodable::Failure(error::undecodable(self.events, &name_of(event, data), data, error))
    }

    /// The stream ends: tries to bring the connection to an end that lets it be used again.
    pub(super) fn end<Src: EventSource>(
        &mut self,
        mut source: Pin<&mut Src>,
        cx: &mut Context<'_>,
        wait: bool,
    ) {
        // Usually the end of the body has come with the terminal event.
        let drained = source.as_mut().poll_drain(cx, DRAIN_BYTES).is_ready();
        if drained || !wait || !cfg!(feature = "timeout") || self.settings.drain_timeout.is_zero() {
            source.close();
            self.state = State::Done;
        } else {
            self.watchdog = Watchdog::new(Some(self.settings.drain_timeout));
            self.state = State::Draining;
        }
    }

    fn truncated(&self) -> Error {
        let message = match self.events {
            0 => "the stream ended without an event".to_owned(),
            events => format!("the stream closed before completion, after {events} events"),
        };
        Error::new(ErrorKind::Truncated, message)
    }

    /// The stream's own clock has run out, after `bytes`.
    fn expired(&self, limit: Duration, bytes: u64) -> Error {
        let first = self.events == 0 && self.settings.first_event_timeout().is_some();
        let (kind, clock) = match first {
            true => (ErrorKind::FirstEventTimeout, "first-event"),
            false => (ErrorKind::ProgressTimeout, "progress"),
        };
        let message = format!("no event within {limit:?}, the {clock} limit, after {bytes} bytes");
        Error::new(kind, message).after_events(self.events)
    }

    /// The source has failed. A clock below knows of bytes only, so the events are added.
    fn failed(&self, error: BoxError) -> Error {
        let error = Error::from(error);
        match error.kind() {
            ErrorKind::IdleTimeout | ErrorKind::TotalTimeout => error.after_events(self.events),
            _ => error,
        }
    }
}

/// Whether an event with this data is one: some servers keep the connection alive with empty events,
/// which are no more than comments.
pub(super) fn is_event(data: &[u8]) -> bool {
    !data.iter().all(u8::is_ascii_whitespace)
}

/// What the member `error` of an event says, if it says something.
pub(super) fn said_by(error: &RawJson) -> Option<ApiError> {
    if matches!(error.as_str(), "null" | "false" | "0" | "\"\"") {
        return None;
    }
    let body = ErrorBody::parse(format!("{{\"error\":{}}}", error.as_str()).as_bytes());
    Some(body.map(ErrorBody::into_error).unwrap_or_default())
}

/// What to call an event in an error: its name, or its type if it has none, as on a socket.
fn name_of<'a>(event: &SseEvent<'a>, data: &str) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: String,
    }

    let name = event.name();
    if name != "message" {
        return name;
    }
    serde_json::from_str(data).map_or(name, |Typed { kind }| kind.into())
}
