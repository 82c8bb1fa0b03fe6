//! The typed stream of a response: rules of its beginning and end, timers, errors.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::{FusedStream, Stream};

use super::accumulate::ResponseAccumulator;
use super::decoder::SseEvent;
use super::event::EventDecoder;
use super::raw::RawEvents;
use super::settings::StreamSettings;
use super::side_channel::{self, SideChannel};
use super::source::SseSource;
use super::text::TextStream;
use crate::BoxError;
use crate::body::ResponseBody;
use crate::error::{self, Error, ErrorKind, Progress};
use crate::model::{
    ApiError, ErrorBody, Extra, RawJson, RawObject, Response, ResponseEvent, UnknownObject,
};
use crate::services::{ResponseMeta, TurnState};
use crate::timer::Watchdog;

/// Bytes that may be read and thrown away behind a terminal event.
const DRAIN_BYTES: usize = 64 * 1024;

/// Where a response stream gets its events from: a body of server-sent events ([`SseSource`]).
///
/// Sealed; a bound that tells which streams there are.
pub trait EventSource: sealed::Source {}

impl<T: sealed::Source> EventSource for T {}

pub(super) mod sealed {
    use super::*;

    /// What a response stream asks of its source.
    pub trait Source {
        /// Goes on to the next event.
        fn poll_advance(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<(), BoxError>>>;
        /// The event that was found.
        fn event(&self) -> SseEvent<'_>;
        /// Reads to the end without looking, at most `limit` bytes.
        fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()>;
        /// Lets go of the connection.
        fn close(self: Pin<&mut Self>);
    }

    impl<B> Source for SseSource<B>
    where
        B: http_body::Body<Data = bytes::Bytes>,
        B::Error: Into<BoxError>,
    {
        fn poll_advance(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<(), BoxError>>> {
            SseSource::poll_advance(self, cx)
        }

        fn event(&self) -> SseEvent<'_> {
            SseSource::event(self)
        }

        fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
            SseSource::poll_drain(self, cx, limit)
        }

        fn close(self: Pin<&mut Self>) {
            SseSource::close(self);
        }
    }
}

pin_project_lite::pin_project! {
    /// The events of one response, as they come.
    ///
    /// Events that the head of the response stands for (the served model, rate limits) come first.
    /// The stream ends with its terminal event: [`ResponseEvent::Completed`] is the last one handed
    /// out, and `response.failed`, `response.incomplete` and `error` are errors, returned at once.
    /// A stream that stops without one is [`ErrorKind::Truncated`]: a clean end of the body proves
    /// nothing. After an error or the end there is only `None`.
    ///
    /// The stream pulls its body in place. Nothing is spawned or buffered: not reading holds the
    /// server back, and dropping the stream cancels the request.
    ///
    /// ```
    /// # use tower_openai::testing::Server;
    /// # use tower_openai::Client;
    /// use tower_openai::model::ResponseEvent;
    /// use tower_openai::services::ResponsesRequest;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let server = Server::start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).build()?;
    /// let request = ResponsesRequest::new("gpt-5.2", "hello");
    /// let mut stream = client.responses().stream_request(request).await?;
    /// let mut text = String::new();
    /// while let Some(event) = stream.try_next().await? {
    ///     if let ResponseEvent::OutputTextDelta(event) = event {
    ///         text.push_str(&event.delta);
    ///     }
    /// }
    /// assert!(!text.is_empty());
    /// # Ok::<_, tower_openai::BoxError>(()) }).unwrap();
    /// ```
    ///
    /// Other ways to read: [`text`](Self::text), [`final_response`](Self::final_response),
    /// [`into_raw`](Self::into_raw).
    ///
    /// Timers run on tokio: polling a stream that has a timeout needs a tokio runtime with time on.
    #[must_use = "a stream does nothing unless it is read, and cancels the request when dropped"]
    pub struct ResponseStream<Src = SseSource<ResponseBody>> {
        #[pin]
        source: Src,
        core: Core,
    }
}

/// All of a stream but its source.
struct Core {
    meta: ResponseMeta,
    settings: StreamSettings,
    decoder: EventDecoder,
    side_channel: SideChannel,
    /// Events to hand out before the next one is read.
    ready: VecDeque<ResponseEvent>,
    watchdog: Watchdog,
    state: State,
    events: u64,
    skipped: u64,
    response_id: Option<Arc<str>>,
    sequence_number: Option<u64>,
    /// Content has been handed out.
    handed_out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Reading,
    /// The terminal event is out; the body's end is waited for, shortly.
    Draining,
    Done,
}

/// What became of one message.
enum Message {
    /// Nothing to hand out.
    Skipped,
    Event(ResponseEvent),
    /// The stream ends with this.
    Last(Result<ResponseEvent, Error>),
}

impl<Src> ResponseStream<Src> {
    pub(crate) fn new(
        source: Src,
        head: http::response::Parts,
        settings: StreamSettings,
        turn_state: Option<TurnState>,
    ) -> Self {
        let first = settings.first_event_timeout.or(settings.progress_timeout);
        let core = Core {
            ready: side_channel::in_head(&head.headers),
            side_channel: SideChannel::new(&head.headers, turn_state),
            watchdog: Watchdog::new(first),
            meta: ResponseMeta::new(head),
            settings,
            decoder: EventDecoder::default(),
            state: State::Reading,
            events: 0,
            skipped: 0,
            response_id: None,
            sequence_number: None,
            handed_out: false,
        };
        Self { source, core }
    }

    /// The head of the response: status, headers, request id, rate limits.
    pub fn meta(&self) -> &ResponseMeta {
        &self.core.meta
    }

    /// The response's id, once an event has told it.
    pub fn response_id(&self) -> Option<&str> {
        self.core.response_id.as_deref()
    }

    /// The last sequence number that was read.
    pub fn sequence_number(&self) -> Option<u64> {
        self.core.sequence_number
    }

    /// How many events were skipped because they could not be decoded. Always 0 unless
    /// [`lenient`](StreamSettings::lenient).
    pub fn skipped_events(&self) -> u64 {
        self.core.skipped
    }
}

impl<Src: EventSource> ResponseStream<Src> {
    /// The next event; `None` at the end.
    ///
    /// Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What ended the stream; see the [type](Self)'s documentation.
    pub async fn next(&mut self) -> Option<Result<ResponseEvent, Error>>
    where
        Self: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next event, with `Result` outside: `while let Some(event) = stream.try_next().await?`.
    ///
    /// Cancel safe, like [`next`](Self::next), and with the same errors.
    ///
    /// # Errors
    ///
    /// What ended the stream.
    pub async fn try_next(&mut self) -> Result<Option<ResponseEvent>, Error>
    where
        Self: Unpin,
    {
        self.next().await.transpose()
    }

    /// The text of the answer, piece by piece or whole.
    pub fn text(self) -> TextStream<Src> {
        TextStream::new(self)
    }

    /// The JSON of the events, for callers with types of their own.
    pub fn into_raw(self) -> RawEvents<Src> {
        RawEvents::new(self)
    }

    /// Reads to the end and gives the response, put together from the events.
    ///
    /// # Errors
    ///
    /// What ended the stream. Of an incomplete or failed response the error has
    /// [what there is of it](Error::response), merged with the deltas that had come.
    pub async fn final_response(mut self) -> Result<Response, Error>
    where
        Self: Unpin,
    {
        let mut response = ResponseAccumulator::new();
        while let Some(event) = self.next().await {
            match event {
                Ok(event) => response.push(&event),
                Err(error) => return Err(error.with_partial(response)),
            }
        }
        Ok(response.into_response())
    }

    /// Polls for the next event. With `raw`, the data of the event goes there too, and what is said
    /// beside the answer is left out.
    pub(super) fn poll_event(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut raw: Option<&mut Option<RawJson>>,
    ) -> Poll<Option<Result<ResponseEvent, Error>>> {
        let mut this = self.project();
        let core = this.core;
        loop {
            if let Some(event) = core.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            match core.state {
                State::Reading => {}
                State::Draining => {
                    if this.source.as_mut().poll_drain(cx, DRAIN_BYTES).is_pending()
                        && core.watchdog.poll_expired(cx).is_pending()
                    {
                        return Poll::Pending;
                    }
                    core.state = State::Done;
                    this.source.as_mut().close();
                }
                State::Done => return Poll::Ready(None),
            }
            if core.state == State::Done {
                continue;
            }
            let message = match this.source.as_mut().poll_advance(cx) {
                Poll::Ready(Some(Ok(()))) => {
                    core.watchdog.progress();
                    core.message(&this.source.event(), raw.as_deref_mut())
                }
                Poll::Ready(Some(Err(error))) => Message::Last(Err(Error::from(error))),
                Poll::Ready(None) => Message::Last(Err(core.truncated())),
                Poll::Pending => match core.watchdog.poll_expired(cx) {
                    Poll::Ready(elapsed) => Message::Last(Err(core.expired(elapsed.limit))),
                    Poll::Pending => return Poll::Pending,
                },
            };
            match message {
                Message::Skipped => {}
                Message::Event(event) if core.ready.is_empty() => {
                    return Poll::Ready(Some(Ok(event)));
                }
                Message::Event(event) => core.ready.push_back(event),
                Message::Last(result) => {
                    core.end(this.source.as_mut(), cx, result.is_ok());
                    match result {
                        Ok(event) => core.ready.push_back(event),
                        Err(error) => {
                            core.ready.clear();
                            return Poll::Ready(Some(Err(error.in_stream(core.progress()))));
                        }
                    }
                }
            }
        }
    }
}

impl Core {
    /// Reads one message.
    #[inline]
    fn message(&mut self, event: &SseEvent<'_>, raw: Option<&mut Option<RawJson>>) -> Message {
        let data = event.data_bytes();
        self.events += 1;
        if self.events == 1 {
            self.watchdog.set_limit(self.settings.progress_timeout);
        }
        let keep_raw = raw.is_some();
        if let Some(raw) = raw {
            *raw =
                serde_json::from_slice(data).or_else(|_| serde_json::from_str(&event.data())).ok();
        }
        match self.decoder.decode(data) {
            Ok(decoded) => self.decoded(decoded, keep_raw),
            Err(error) => self.undecodable(event, &error, keep_raw),
        }
    }

    #[inline]
    fn decoded(&mut self, mut event: ResponseEvent, keep_raw: bool) -> Message {
        if let Some(sequence_number) = event.sequence_number() {
            self.sequence_number = Some(sequence_number);
        }
        // Nearly all events are deltas without members of interest here.
        if event.delta_mut().is_some() && event.extra().is_some_and(Extra::is_empty) {
            self.handed_out = true;
            return Message::Event(event);
        }
        self.rare(event, keep_raw)
    }

    /// An event that is no delta.
    fn rare(&mut self, event: ResponseEvent, keep_raw: bool) -> Message {
        if let Some(response) = event.response() {
            if self.response_id.as_deref() != Some(&*response.id) {
                self.response_id = Some((*response.id).into());
            }
        }
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
                let error = error::in_stream(event.response.error.as_ref(), "response.failed");
                Message::Last(Err(error.with_response(event.response)))
            }
            ResponseEvent::Incomplete(event) => {
                Message::Last(Err(error::incomplete(event.response)))
            }
            ResponseEvent::Error(event) => {
                Message::Last(Err(error::in_stream(Some(event.error()), "error")))
            }
            event => {
                // The official clients take any event with an `error` for a failure.
                if let Some(said) = error_in(&event) {
                    return Message::Last(Err(error::in_stream(Some(&said), event.kind())));
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
        let data = event.data();
        let data = data.trim();
        // Some servers keep the connection alive with empty events.
        if data.is_empty() {
            return Message::Skipped;
        }
        if data.starts_with("[DONE]") {
            return Message::Last(Err(self.truncated()));
        }
        // Some servers send an error body into the stream, without a `type`.
        if let Some(said) = ErrorBody::parse(data.as_bytes()) {
            return Message::Last(Err(error::in_stream(Some(said.error()), "error")));
        }
        if self.settings.lenient {
            self.skipped += 1;
            tracing::debug!(number = self.events, name = %event.name(), "undecodable event skipped");
            return match RawJson::from_text(data).and_then(UnknownObject::new) {
                Ok(object) if keep_raw => Message::Event(ResponseEvent::Unknown(object)),
                _ => Message::Skipped,
            };
        }
        Message::Last(Err(error::undecodable(self.events, &event.name(), data, error)))
    }

    /// The stream ends: tries to bring the connection to an end that lets it be used again.
    fn end<Src: EventSource>(
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

    fn progress(&self) -> Progress {
        Progress {
            response_id: self.response_id.clone(),
            sequence_number: self.sequence_number,
            handed_out: self.handed_out,
            request_id: self.meta.request_id().map(Into::into),
        }
    }

    fn truncated(&self) -> Error {
        let message = match self.events {
            0 => "the stream ended without an event".to_owned(),
            events => format!("the stream closed before completion, after {events} events"),
        };
        Error::new(ErrorKind::Truncated, message)
    }

    fn expired(&self, limit: Duration) -> Error {
        let events = self.events;
        if events == 0 && self.settings.first_event_timeout.is_some() {
            let message = format!("no event came within the first-event limit of {limit:?}");
            return Error::new(ErrorKind::FirstEventTimeout, message);
        }
        let message =
            format!("no event came within the progress limit of {limit:?}, after {events} events");
        Error::new(ErrorKind::ProgressTimeout, message)
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

impl<Src: EventSource> Stream for ResponseStream<Src> {
    type Item = Result<ResponseEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx, None)
    }
}

impl<Src: EventSource> FusedStream for ResponseStream<Src> {
    fn is_terminated(&self) -> bool {
        self.core.state == State::Done && self.core.ready.is_empty()
    }
}

impl<Src> fmt::Debug for ResponseStream<Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream")
            .field("state", &self.core.state)
            .field("events", &self.core.events)
            .field("response_id", &self.core.response_id)
            .field("sequence_number", &self.core.sequence_number)
            .finish_non_exhaustive()
    }
}
