//! What each message means for a response stream: its beginning, its run of events, its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::decoder::SseEvent;
use super::event::{EventDecoder, Repeated};
use super::observer::{Audience, StreamEnd};
use super::settings::StreamSettings;
use super::side_channel::{self, SideChannel};
use super::source::EventSource;
use http::response;

use crate::BoxError;
use crate::error::{self, Error, ErrorKind, Progress};
use crate::model::{
    ApiError, ErrorBody, RawJson, RawObject, ResponseEvent, UnknownObject, status_in,
};
use crate::services::{ResponseMeta, TurnState};
use crate::timer::Watchdog;

/// Bytes that may be read and thrown away behind a terminal event.
pub(super) const DRAIN_BYTES: usize = 64 * 1024;

/// All of a stream but its source.
#[allow(missing_debug_implementations)] // Out of sight: streams tell what is in it.
pub struct Core {
    pub(super) meta: ResponseMeta,
    pub(super) settings: StreamSettings,
    decoder: EventDecoder,
    side_channel: SideChannel,
    /// Events to hand out before the next one is read.
    pub(super) ready: VecDeque<ResponseEvent>,
    pub(super) watchdog: Watchdog,
    pub(super) state: State,
    pub(super) events: u64,
    pub(super) skipped: u64,
    pub(super) response_id: Option<Arc<str>>,
    pub(super) sequence_number: Option<u64>,
    /// Content has been handed out.
    handed_out: bool,
    pub(super) audience: Audience,
    /// While the stream is resumed.
    pub(super) broken: Option<Box<Broken>>,
    /// Events up to this one were read by another stream, and may come once more.
    behind: Option<u64>,
}

/// A stream that has broken off before its end, and what is needed to go on.
#[derive(Debug)]
#[cfg_attr(not(feature = "retry"), allow(dead_code))] // Nobody goes on there.
pub struct Broken {
    error: Option<Error>,
    pub(crate) response_id: Option<Arc<str>>,
    pub(crate) sequence_number: Option<u64>,
    pub(crate) handed_out: bool,
}

impl Broken {
    /// The error that it broke off with; for whoever ends with it.
    pub(crate) fn take_error(&mut self) -> Error {
        self.error.take().unwrap_or_else(|| {
            Error::new(ErrorKind::Truncated, "the stream closed before completion")
        })
    }

    /// The error that it broke off with.
    #[cfg(feature = "retry")]
    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Reading,
    /// It has broken off and may be resumed.
    Broken,
    /// The terminal event is out; the body's end is waited for, shortly.
    Draining,
    Done,
}

/// What became of one message.
pub(super) enum Message {
    /// Nothing to hand out.
    Skipped,
    Event(ResponseEvent),
    /// The stream ends with this.
    Last(Result<ResponseEvent, Error>),
    /// The connection has ended and not the response.
    Broken(Error),
}

impl Core {
    pub(super) fn new(
        head: response::Parts,
        settings: StreamSettings,
        turn_state: Option<TurnState>,
    ) -> Self {
        let first = settings.first_event_timeout().or(settings.progress_timeout());
        Self {
            ready: side_channel::in_head(&head.headers),
            side_channel: SideChannel::new(&head.headers, turn_state),
            watchdog: Watchdog::new(first),
            audience: Audience::open(&head.extensions),
            meta: ResponseMeta::packed(head),
            settings,
            decoder: EventDecoder::default(),
            state: State::Reading,
            events: 0,
            skipped: 0,
            response_id: None,
            sequence_number: None,
            handed_out: false,
            broken: None,
            behind: None,
        }
    }

    /// The stream begins behind this event of this response.
    pub(super) fn begin_at(&mut self, response_id: String, after: Option<u64>) {
        self.response_id = Some(response_id.into());
        self.sequence_number = after;
        self.behind = after;
    }

    /// The next event of a run of deltas, which nearly all events are, if it is at hand.
    #[inline]
    pub(super) fn repeated<Src: EventSource>(
        &mut self,
        mut source: Pin<&mut Src>,
    ) -> Option<Repeated<'_>> {
        if self.behind.is_some() {
            return None;
        }
        let ahead = source.as_mut().ahead()?;
        let repeated = self.decoder.repeat(ahead)?;
        source.skip(repeated.length);
        self.sequence_number = repeated.sequence_number.or(self.sequence_number);
        self.watchdog.progress();
        self.events += 1;
        Some(repeated)
    }

    /// Reads the message that `source` has found.
    pub(super) fn message<Src: EventSource>(
        &mut self,
        source: &Src,
        raw: Option<&mut Option<RawJson>>,
    ) -> Message {
        let event = &source.event();
        let data = event.data_bytes();
        // Some servers keep the connection alive with empty events: no more than comments.
        if data.iter().all(u8::is_ascii_whitespace) {
            return Message::Skipped;
        }
        self.watchdog.progress();
        self.events += 1;
        if self.events == 1 {
            self.watchdog.set_limit(self.settings.progress_timeout());
        }
        let keep_raw = raw.is_some();
        if let Some(raw) = raw {
            *raw =
                serde_json::from_slice(data).or_else(|_| serde_json::from_str(&event.data())).ok();
        }
        let around = || source.around();
        if !keep_raw && self.behind.is_none() {
            if let Some(repeated) = self.decoder.repeat_data(data, around) {
                self.sequence_number = repeated.sequence_number.or(self.sequence_number);
                return Message::Event(repeated.into_event());
            }
        }
        match self.decoder.parse(data, around) {
            Ok(decoded) => self.decoded(decoded, keep_raw),
            Err(error) => self.undecodable(event, &error, keep_raw),
        }
    }

    /// What an event means for the stream.
    fn decoded(&mut self, event: ResponseEvent, keep_raw: bool) -> Message {
        if self.has_been_read(&event) {
            self.events -= 1;
            return Message::Skipped;
        }
        self.sequence_number = event.sequence_number().or(self.sequence_number);
        if let Some(id) = event.response().map(|response| &response.id) {
            if !id.is_empty() {
                self.response_id = Some(Arc::clone(id));
            }
        }
        self.side_channel.note(&event);
        if !keep_raw {
            self.side_channel.listen(&event, &mut self.ready);
        }
        match event {
            ResponseEvent::Completed(ref completed) => {
                let response = &completed.response;
                if response.usage.is_none() && response.extra.get("usage").is_some() {
                    tracing::warn!("the usage of a completed response cannot be read");
                }
                Message::Last(Ok(event))
            }
            ResponseEvent::Failed(event) => {
                let error =
                    error::in_stream(event.response.error.as_ref(), "response.failed", None);
                Message::Last(Err(error.with_response(event.response)))
            }
            ResponseEvent::Incomplete(event) => {
                Message::Last(Err(error::incomplete(event.response)))
            }
            ResponseEvent::Error(event) => {
                Message::Last(Err(error::in_stream(Some(event.error()), "error", event.status())))
            }
            event => {
                // The official clients take any event with an `error` for a failure.
                if let Some(said) = error_in(&event) {
                    return Message::Last(Err(error::in_stream(Some(&said), event.kind(), None)));
                }
                self.handed_out |= is_content(&event);
                Message::Event(event)
            }
        }
    }

    /// Whether an event was read before this stream began or was resumed. Behind the first new one there are only
    /// new ones, unless that is a snapshot, which servers put in front.
    fn has_been_read(&mut self, event: &ResponseEvent) -> bool {
        let (Some(last), Some(number)) = (self.behind, event.sequence_number()) else {
            return false;
        };
        if number > last && event.response().is_none() {
            self.behind = None;
        }
        number <= last
    }

    /// A message that is no event of the API.
    fn undecodable(
        &mut self,
        event: &SseEvent<'_>,
        error: &serde_json::Error,
        keep_raw: bool,
    ) -> Message {
        let data = event.data();
        let data = data.trim();
        if data.starts_with("[DONE]") {
            return Message::Broken(self.truncated());
        }
        // Some servers send an error body into the stream. An event that has a `type` is none: the
        // flat form of an error body has one too, so only the member `error` tells them apart.
        let said = ErrorBody::parse(data.as_bytes()).filter(|body| {
            let member = |name| body.members().get(name).is_some_and(|raw| !raw.is_null());
            member("error") || !member("type")
        });
        if let Some(said) = said {
            let status = said.members().get("status").and_then(status_in);
            return Message::Last(Err(error::in_stream(Some(said.error()), "error", status)));
        }
        if self.settings.lenient {
            self.skipped += 1;
            let name = error::one_line(&event.name());
            tracing::debug!(number = self.events, name, "undecodable event skipped");
            return match RawJson::from_text(data).and_then(UnknownObject::new) {
                Ok(object) if keep_raw => Message::Event(ResponseEvent::Unknown(object)),
                _ => Message::Skipped,
            };
        }
        Message::Last(Err(error::undecodable(self.events, &event.name(), data, error)))
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

    /// The connection has ended: its observers hear of it, and the stream may be resumed.
    pub(super) fn break_off(&mut self, error: Error) {
        let error = self.told(error);
        self.audience.end(StreamEnd::Error(&error));
        self.broken = Some(Box::new(Broken {
            error: Some(error),
            response_id: self.response_id.clone(),
            sequence_number: self.sequence_number,
            handed_out: self.handed_out,
        }));
        self.state = State::Broken;
    }

    /// Goes on with a stream that was opened where this one broke off. What its head stands for is not
    /// handed out: the reader is in the middle of the response.
    pub(super) fn resume(&mut self, again: Self) {
        self.meta = again.meta;
        self.settings = again.settings;
        self.decoder = again.decoder;
        self.audience = again.audience;
        self.watchdog = Watchdog::new(self.settings.progress_timeout());
        self.behind = self.sequence_number;
        self.broken = None;
        self.state = State::Reading;
    }

    /// An error as the reader and the observers have it.
    pub(super) fn told(&self, error: Error) -> Error {
        error.in_stream(self.progress()).without_sent(self.meta.extensions())
    }

    fn progress(&self) -> Progress {
        Progress {
            response_id: self.response_id.clone(),
            sequence_number: self.sequence_number,
            handed_out: self.handed_out,
            request_id: self.meta.request_id().map(Into::into),
        }
    }

    pub(super) fn truncated(&self) -> Error {
        let message = match self.events {
            0 => "the stream ended without an event".to_owned(),
            events => format!("the stream closed before completion, after {events} events"),
        };
        Error::new(ErrorKind::Truncated, message)
    }

    /// The stream's own clock has run out, after `bytes`.
    pub(super) fn expired(&self, limit: Duration, bytes: u64) -> Error {
        let first = self.events == 0 && self.settings.first_event_timeout().is_some();
        let (kind, clock) = match first {
            true => (ErrorKind::FirstEventTimeout, "first-event"),
            false => (ErrorKind::ProgressTimeout, "progress"),
        };
        let message = format!("no event within {limit:?}, the {clock} limit, after {bytes} bytes");
        Error::new(kind, message).after_events(self.events)
    }

    /// The source has failed. A clock below knows of bytes only, so the events are added.
    pub(super) fn failed(&self, error: BoxError) -> Error {
        let error = Error::from(error);
        match error.kind() {
            ErrorKind::IdleTimeout | ErrorKind::TotalTimeout => error.after_events(self.events),
            _ => error,
        }
    }
}

/// Whether a reader has something of the answer with this event.
fn is_content(event: &ResponseEvent) -> bool {
    !matches!(
        event,
        ResponseEvent::Created(_)
            | ResponseEvent::Queued(_)
            | ResponseEvent::InProgress(_)
            | ResponseEvent::Metadata(_)
            | ResponseEvent::CodexRateLimits(_)
    )
}

/// What a top-level `error` of an event says, if it says something.
fn error_in(event: &ResponseEvent) -> Option<ApiError> {
    let members: RawObject;
    let error = match event {
        ResponseEvent::Unknown(object) => {
            members = object.parse().ok()?;
            members.get("error")?
        }
        event => event.extra()?.get("error")?,
    };
    if matches!(error.as_str(), "null" | "false" | "0" | "\"\"") {
        return None;
    }
    let body = ErrorBody::parse(format!("{{\"error\":{}}}", error.as_str()).as_bytes());
    Some(body.map(ErrorBody::into_error).unwrap_or_default())
}
