//! What each message means for a response stream: its beginning, its run of events, its end.

use std::collections::VecDeque;
use std::sync::Arc;

use super::decoder::SseEvent;
use super::event::EventDecoder;
use super::flow::{self, Flow};
use super::observer::Audience;
use super::settings::StreamSettings;
use super::side_channel::{self, SideChannel};
use http::response;

use crate::error::{self, Error, Progress};
use crate::model::{ApiError, RawJson, RawObject, ResponseEvent, UnknownObject};
use crate::services::{ResponseMeta, TurnState};

/// All of a stream but its source.
pub(super) struct Core {
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
}

/// What became of one message.
pub(super) enum Message {
    /// Nothing to hand out.
    Skipped,
    Event(ResponseEvent),
    /// The stream ends with this.
    Last(Result<ResponseEvent, Error>),
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
        }
    }

    /// The next event of a run of deltas, which nearly all events are.
    #[inline]
    pub(super) fn repeated(&mut self, event: &SseEvent<'_>) -> Option<ResponseEvent> {
        let event = self.decoder.repeat(event.data_bytes(), &mut self.sequence_number)?;
        self.flow.repeated();
        Some(event)
    }

    /// Reads one message.
    pub(super) fn message(
        &mut self,
        event: &SseEvent<'_>,
        raw: Option<&mut Option<RawJson>>,
    ) -> Message {
        let data = event.data_bytes();
        if !self.flow.counts(data) {
            return Message::Skipped;
        }
        let keep_raw = raw.is_some();
        if let Some(raw) = raw {
            *raw =
                serde_json::from_slice(data).or_else(|_| serde_json::from_str(&event.data())).ok();
        }
        match self.decoder.parse(data) {
            Ok(decoded) => self.decoded(decoded, keep_raw),
            Err(error) => self.undecodable(event, &error, keep_raw),
        }
    }

    /// What an event means for the stream.
    fn decoded(&mut self, event: ResponseEvent, keep_raw: bool) -> Message {
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

    /// A message that is no event of the API.
    fn undecodable(
        &mut self,
        event: &SseEvent<'_>,
        error: &serde_json::Error,
        keep_raw: bool,
    ) -> Message {
        match self.flow.undecodable(event, error) {
            Some(error) => Message::Last(Err(error)),
            None => match RawJson::from_text(event.data()).and_then(UnknownObject::new) {
                Ok(object) if keep_raw => Message::Event(ResponseEvent::Unknown(object)),
                _ => Message::Skipped,
            },
        }
    }

    pub(super) fn progress(&self) -> Progress {
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
