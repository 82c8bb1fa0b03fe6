//! What each message means for a response stream: its beginning, its run of events, its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::decoder::SseEvent;
use super::event::{EventDecoder, Repeated};
use super::flow::{self, Flow, Undecodable};
use super::observer::{Audience, StreamEnd};
use super::settings::StreamSettings;
use super::side_channel::{self, SideChannel};
use super::source::EventSource;
use http::response;

use crate::error::{self, Error, ErrorKind, Progress};
use crate::model::{ApiError, RawJson, RawObject, ResponseEvent, UnknownObject};
use crate::services::{ResponseMeta, TurnState};

/// All of a stream but its source.
#[allow(missing_debug_implementations)] // Out of sight: streams tell what is in it.
pub struct Core {
    pub(super) meta: ResponseMeta,
    pub(super) flow: Flow,
    decoder: EventDecoder,
    side_channel: SideChannel,
    /// Events to hand out before the next one is read.
    pub(super) ready: VecDeque<ResponseEvent>,
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

/// A stream that was opened again.
#[allow(missing_debug_implementations)] // Out of sight.
#[cfg_attr(not(feature = "retry"), allow(dead_code))] // Nobody does there.
pub enum Reopened {
    /// Behind the last event that was read.
    Behind(Core),
    /// From the beginning: another response.
    Anew(Core),
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
        Self {
            ready: side_channel::in_head(&head.headers),
            side_channel: SideChannel::new(&head.headers, turn_state),
            audience: Audience::open(&head.extensions),
            meta: ResponseMeta::packed(head),
            flow: Flow::new(settings),
            decoder: EventDecoder::default(),
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
        self.sequence_number = self.sequence_number.max(repeated.sequence_number);
        self.flow.repeated();
        Some(repeated)
    }

    /// Reads the message that `source` has found; what there is to hand out then.
    ///
    /// This and what follows is apart, so that the way past it stays short.
    #[inline(never)]
    pub(super) fn read<Src: EventSource>(
        &mut self,
        mut source: Pin<&mut Src>,
        cx: &mut Context<'_>,
        mut raw: Option<&mut Option<RawJson>>,
    ) -> Option<Result<ResponseEvent, Error>> {
        let message = self.message(&*source, raw.as_deref_mut());
        // A reader that is busy elsewhere must not keep the transport's buffer.
        source.as_mut().done_with_event();
        if let (Message::Skipped, Some(raw)) = (&message, raw) {
            *raw = None;
        }
        self.settle(source, cx, message)
    }

    /// Does what a message means for the stream; what there is to hand out then.
    #[inline(never)]
    pub(super) fn settle<Src: EventSource>(
        &mut self,
        mut source: Pin<&mut Src>,
        cx: &mut Context<'_>,
        message: Message,
    ) -> Option<Result<ResponseEvent, Error>> {
        match message {
            Message::Skipped => {}
            Message::Event(event) if self.ready.is_empty() => return Some(Ok(event)),
            Message::Event(event) => self.ready.push_back(event),
            Message::Last(Err(error)) if !self.handed_out && source.retries(&error) => {
                self.flow.end(source, cx, false);
                self.break_off(error);
            }
            Message::Last(result) => {
                self.flow.end(source, cx, result.is_ok());
                match result {
                    Ok(event) => self.ready.push_back(event),
                    Err(error) => {
                        self.ready.clear();
                        return Some(Err(self.told(error)));
                    }
                }
            }
            Message::Broken(error) => {
                source.as_mut().broken(&error);
                self.flow.end(source, cx, false);
                self.break_off(error);
            }
        }
        None
    }

    /// Opens a stream that has broken off once more; what it ends with if that cannot be.
    #[inline(never)]
    pub(super) fn poll_again<Src: EventSource>(
        &mut self,
        source: Pin<&mut Src>,
        cx: &mut Context<'_>,
        raw: Option<&mut Option<RawJson>>,
    ) -> Poll<Option<Error>> {
        let Some(broken) = &mut self.broken else { return Poll::Ready(None) };
        Poll::Ready(match ready!(source.poll_resume(cx, broken)) {
            Ok(again) => {
                self.go_on(again);
                // Of the event that told of the failure, if one did.
                if let Some(raw) = raw {
                    *raw = None;
                }
                None
            }
            Err(error) => {
                self.broken = None;
                Some(self.told(error))
            }
        })
    }

    fn message<Src: EventSource>(
        &mut self,
        source: &Src,
        raw: Option<&mut Option<RawJson>>,
    ) -> Message {
        let event = &source.event();
        let data = event.data_bytes();
        if !flow::is_event(data) {
            return Message::Skipped;
        }
        let keep_raw = raw.is_some();
        if let Some(raw) = raw {
            *raw =
                serde_json::from_slice(data).or_else(|_| serde_json::from_str(&event.data())).ok();
        }
        let around = || source.around();
        if !keep_raw && self.behind.is_none() {
            if let Some(repeated) = self.decoder.repeat_data(data, around) {
                self.flow.count();
                self.sequence_number = self.sequence_number.max(repeated.sequence_number);
                return Message::Event(repeated.into_event());
            }
        }
        match self.decoder.parse(data, around) {
            // It is no news, and no clock takes it for some.
            Ok(decoded) if self.has_been_read(&decoded) => Message::Skipped,
            Ok(decoded) => {
                self.flow.count();
                self.decoded(decoded, keep_raw)
            }
            Err(error) => {
                self.flow.count();
                self.undecodable(event, &error, keep_raw)
            }
        }
    }

    /// What an event means for the stream.
    fn decoded(&mut self, event: ResponseEvent, keep_raw: bool) -> Message {
        self.sequence_number = self.sequence_number.max(event.sequence_number());
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
                let response = event.response;
                // As a text, say, it is none to the response, but it still says something.
                let odd = || flow::said_by(response.extra.get("error")?);
                let said = response.error.clone().or_else(odd);
                let error = error::in_stream(said.as_ref(), "response.failed", None);
                Message::Last(Err(error.with_response(response)))
            }
            // Another response takes up what this one was steered to, on the same stream.
            ResponseEvent::Incomplete(ref steered) if steered.response.was_steered() => {
                Message::Event(event)
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

    /// Whether an event was read before this stream began or was resumed. Behind the first new one there
    /// are only new ones, unless that is a snapshot, which servers put in front. One that ends the
    /// response is new whatever its number: after it nothing would have been resumed.
    fn has_been_read(&mut self, event: &ResponseEvent) -> bool {
        let (Some(last), Some(number)) = (self.behind, event.sequence_number()) else {
            return false;
        };
        if number > last && event.response().is_none() {
            self.behind = None;
        }
        number <= last && !event.is_terminal() && error_in(event).is_none()
    }

    /// A message that is no event of the API.
    fn undecodable(
        &mut self,
        event: &SseEvent<'_>,
        error: &serde_json::Error,
        keep_raw: bool,
    ) -> Message {
        match self.flow.undecodable(event, error) {
            Undecodable::End(error) => Message::Broken(error),
            Undecodable::Failure(error) => Message::Last(Err(error)),
            Undecodable::Skipped => {
                match RawJson::from_text(event.data()).and_then(UnknownObject::new) {
                    Ok(object) if keep_raw => Message::Event(ResponseEvent::Unknown(object)),
                    _ => Message::Skipped,
                }
            }
        }
    }

    /// Whether nothing will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.flow.is_over() && self.broken.is_none() && self.ready.is_empty()
    }

    /// The connection has ended: its observers hear of it, and the stream may be opened again.
    fn break_off(&mut self, error: Error) {
        self.ready.clear();
        let nothing = self.flow.events == 0;
        let error = match nothing.then(|| error::undecoded(self.meta.headers())).flatten() {
            Some(problem) => error.adding(problem),
            None => error,
        };
        let error = self.told(error);
        self.audience.end(StreamEnd::Error(&error));
        self.broken = Some(Box::new(Broken {
            error: Some(error),
            response_id: self.response_id.clone(),
            sequence_number: self.sequence_number,
            handed_out: self.handed_out,
        }));
    }

    fn go_on(&mut self, with: Reopened) {
        match with {
            Reopened::Behind(again) => self.resume(again),
            Reopened::Anew(again) => {
                let skipped = self.flow.skipped;
                *self = again;
                self.flow.skipped += skipped;
            }
        }
    }

    /// Goes on with a stream that was opened where this one broke off. What its head stands for is not
    /// handed out: the reader is in the middle of the response.
    fn resume(&mut self, again: Self) {
        self.meta = again.meta;
        self.flow.resume(again.flow);
        self.decoder = again.decoder;
        self.audience = again.audience;
        self.behind = self.sequence_number;
        self.broken = None;
    }

    /// An error as the reader and the observers have it.
    fn told(&self, error: Error) -> Error {
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
    flow::said_by(error)
}
