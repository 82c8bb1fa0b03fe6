//! The typed stream of a response: rules of its beginning and end, timers, errors.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use super::accumulate::ResponseAccumulator;
use super::flow::Step;
use super::raw::RawEvents;
use super::rules::{Core, Message};
use super::settings::StreamSettings;
use super::source::{EventSource, SseSource};
use super::text::TextStream;
use crate::Error;
use crate::body::ResponseBody;
#[cfg(feature = "retry")]
use crate::extensions::StreamTimeouts;
use crate::model::{RawJson, Response, ResponseEvent};
use crate::services::{ResponseMeta, TurnState};

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

impl<B> ResponseStream<SseSource<B>> {
    /// Reads the events of a response that another client has got, reqwest say: any body of
    /// `text/event-stream`.
    ///
    /// The status is not looked at; [`Responses`](crate::services::Responses) does that.
    ///
    /// ```
    /// use http_body_util::Full;
    /// use tower_openai::sse::{ResponseStream, StreamSettings};
    ///
    /// # tokio_test::block_on(async {
    /// let body = concat!(
    ///     r#"data: {"type":"response.output_text.delta","delta":"Hi"}"#, "\n\n",
    ///     r#"data: {"type":"response.completed","response":{"id":"resp_1"}}"#, "\n\n",
    /// );
    /// let response = http::Response::new(Full::from(body));
    /// let stream = ResponseStream::from_response(response, StreamSettings::default());
    /// assert_eq!(stream.text().collect().await?, "Hi");
    /// # Ok::<_, tower_openai::Error>(()) }).unwrap();
    /// ```
    pub fn from_response(response: http::Response<B>, settings: StreamSettings) -> Self {
        let (parts, body) = response.into_parts();
        let source = SseSource::with_limits(body, settings.limits);
        Self::new(source, parts, settings, None)
    }
}

impl<Src> ResponseStream<Src> {
    pub(crate) fn new(
        source: Src,
        head: http::response::Parts,
        settings: StreamSettings,
        turn_state: Option<TurnState>,
    ) -> Self {
        Self { source, core: Core::new(head, settings, turn_state) }
    }

    /// The stream of this response, from behind this event on.
    pub(crate) fn beginning_at(mut self, response_id: String, after: Option<u64>) -> Self {
        self.core.begin_at(response_id, after);
        self
    }

    /// Does not hand out what the head says of rate limits, because others were told.
    #[cfg(feature = "ws")]
    pub(crate) fn without_rate_limits(mut self) -> Self {
        self.core.ready.retain(|event| !matches!(event, ResponseEvent::RateLimits(_)));
        self
    }

    /// The same stream over another source.
    #[cfg(any(feature = "retry", feature = "ws"))]
    pub(crate) fn map_source<T>(self, map: impl FnOnce(Src) -> T) -> ResponseStream<T> {
        ResponseStream { source: map(self.source), core: self.core }
    }

    #[cfg(feature = "retry")]
    pub(crate) fn into_parts(self) -> (Src, Core) {
        (self.source, self.core)
    }

    #[cfg(any(feature = "retry", feature = "ws"))]
    pub(crate) fn source(&self) -> &Src {
        &self.source
    }

    #[cfg(feature = "retry")]
    pub(crate) fn timeouts(&self) -> StreamTimeouts {
        self.core.flow.timeouts()
    }

    /// The head of the response: status, headers, request id, rate limits.
    pub fn meta(&self) -> &ResponseMeta {
        &self.core.meta
    }

    /// The response's id, once an event has told it, or if the response was asked for by it.
    pub fn response_id(&self) -> Option<&str> {
        self.core.response_id.as_deref()
    }

    /// The highest sequence number that was read; at first the one behind which the stream was asked
    /// for.
    pub fn sequence_number(&self) -> Option<u64> {
        self.core.sequence_number
    }

    /// How many events were skipped because they could not be decoded. Always 0 unless
    /// [`lenient`](StreamSettings::lenient).
    pub fn skipped_events(&self) -> u64 {
        self.core.flow.skipped
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
    #[inline]
    pub(super) fn poll_event(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        raw: Option<&mut Option<RawJson>>,
    ) -> Poll<Option<Result<ResponseEvent, Error>>> {
        let polled = self.as_mut().poll_unobserved(cx, raw);
        self.project().core.audience.tell(&polled);
        polled
    }

    fn poll_unobserved(
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
            if core.broken.is_some() {
                let again = core.poll_again(this.source.as_mut(), cx, raw.as_deref_mut());
                if let Some(error) = ready!(again) {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            if ready!(core.flow.poll_over(this.source.as_mut(), cx)) {
                return Poll::Ready(None);
            }
            if raw.is_none() {
                if let Some(repeated) = core.repeated(this.source.as_mut()) {
                    return Poll::Ready(Some(Ok(repeated.into_event())));
                }
            }
            let step = ready!(core.flow.poll_source(this.source.as_mut(), cx));
            let item = match step {
                Step::Event => core.read(this.source.as_mut(), cx, raw.as_deref_mut()),
                Step::More => continue,
                Step::Broken(error) => {
                    core.settle(this.source.as_mut(), cx, Message::Broken(error))
                }
            };
            if item.is_some() {
                return Poll::Ready(item);
            }
        }
    }
}

impl<Src: EventSource> Stream for ResponseStream<Src> {
    type Item = Result<ResponseEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx, None)
    }
}

impl<Src: EventSource> FusedStream for ResponseStream<Src> {
    fn is_terminated(&self) -> bool {
        self.core.is_over()
    }
}

impl<Src> fmt::Debug for ResponseStream<Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream")
            .field("state", &self.core.flow.state)
            .field("events", &self.core.flow.events)
            .field("response_id", &self.core.response_id)
            .field("sequence_number", &self.core.sequence_number)
            .finish_non_exhaustive()
    }
}
