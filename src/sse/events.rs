//! The typed stream of anything that is no response.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use super::decoder::SseEvent;
use super::flow::{self, Flow, Step, Undecodable};
use super::observer::{AnswerFacts, Audience, StreamEnd};
use super::settings::StreamSettings;
use super::source::{EventSource, SseSource};
use crate::body::ResponseBody;
use crate::error::{self, Error, ErrorKind, Progress};
use crate::services::ResponseMeta;

pin_project_lite::pin_project! {
    /// Events of the type `T`, as they come: what endpoints stream that do not stream a response.
    ///
    /// The rules are those of [`ResponseStream`](super::ResponseStream). The stream ends with its
    /// terminal event, which is the last one handed out; an error of the server is returned at once;
    /// a stream that stops without either is [`ErrorKind::Truncated`](crate::ErrorKind::Truncated).
    /// After an error or the end there is only `None`. [`StreamSettings`] hold, clocks and limits
    /// included.
    ///
    /// It pulls its body in place. Nothing is spawned or buffered: not reading holds the server back,
    /// and dropping the stream cancels the request. Polling a stream that has a timeout needs a tokio
    /// runtime with time on.
    ///
    /// Observers hear of the terminal event as of an
    /// [answer](super::StreamObserver::on_answer), and of the end; of no other event.
    #[must_use = "a stream does nothing unless it is read, and cancels the request when dropped"]
    pub struct EventStream<T, Src = SseSource<ResponseBody>> {
        #[pin]
        source: Src,
        meta: ResponseMeta,
        flow: Flow,
        // How many terminal events are still to come, and whether there was one.
        finals: u64,
        finished: bool,
        handed_out: bool,
        audience: Audience,
        event: PhantomData<fn() -> T>,
    }
}

/// The events of an [`EventStream`].
///
/// Sealed; a bound that tells which streams there are.
pub trait StreamEvent: sealed::Event {}

impl<T: sealed::Event> StreamEvent for T {}

pub(crate) mod sealed {
    use super::*;

    /// What a stream asks of its events.
    pub trait Event: Sized {
        /// Reads the data of an event.
        fn read(data: &[u8]) -> Result<Self, serde_json::Error>;
        /// The error that the event is, if it is one.
        fn failure(&self) -> Option<Error>;
        /// Whether it is a terminal event.
        fn is_final(&self) -> bool;
        /// What a terminal event tells of the call.
        fn facts(&self) -> AnswerFacts<'_>;
    }
}

/// What became of one message.
enum Message<T> {
    /// Nothing to hand out.
    Skipped,
    Event(T),
    /// The stream ends with this.
    Last(Result<T, Error>),
}

impl<T, Src> EventStream<T, Src> {
    /// A stream that ends with the `finals`th terminal event, or after the first where the server
    /// ends it.
    pub(crate) fn new(
        source: Src,
        head: http::response::Parts,
        settings: StreamSettings,
        finals: u64,
    ) -> Self {
        Self {
            source,
            audience: Audience::open(&head.extensions),
            meta: ResponseMeta::packed(head),
            flow: Flow::new(settings),
            finals,
            finished: false,
            handed_out: false,
            event: PhantomData,
        }
    }

    /// The head of the response: status, headers, request id, rate limits.
    pub fn meta(&self) -> &ResponseMeta {
        &self.meta
    }

    /// How many events were skipped because they could not be decoded. Always 0 unless
    /// [`lenient`](StreamSettings::lenient).
    pub fn skipped_events(&self) -> u64 {
        self.flow.skipped
    }
}

impl<T: StreamEvent, Src: EventSource> EventStream<T, Src> {
    /// The next event; `None` at the end.
    ///
    /// Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What ended the stream; see the [type](Self)'s documentation.
    pub async fn next(&mut self) -> Option<Result<T, Error>>
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
    pub async fn try_next(&mut self) -> Result<Option<T>, Error>
    where
        Self: Unpin,
    {
        self.next().await.transpose()
    }
}

/// Reads one message.
fn read<T: StreamEvent>(flow: &mut Flow, finals: &mut u64, event: &SseEvent<'_>) -> Message<T> {
    if !flow::is_event(event.data_bytes()) {
        return Message::Skipped;
    }
    flow.count();
    // Invalid UTF-8 is read as U+FFFD.
    match T::read(event.data().as_bytes()) {
        Ok(read) => match read.failure() {
            Some(error) => Message::Last(Err(error)),
            None if read.is_final() => {
                *finals = finals.saturating_sub(1);
                if *finals == 0 { Message::Last(Ok(read)) } else { Message::Event(read) }
            }
            None => Message::Event(read),
        },
        Err(error) => match flow.undecodable(event, &error) {
            Undecodable::End(error) | Undecodable::Failure(error) => Message::Last(Err(error)),
            Undecodable::Skipped => Message::Skipped,
        },
    }
}

impl<T: StreamEvent, Src: EventSource> Stream for EventStream<T, Src> {
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if ready!(this.flow.poll_over(this.source.as_mut(), cx)) {
                return Poll::Ready(None);
            }
            let message = match ready!(this.flow.poll_source(this.source.as_mut(), cx)) {
                Step::Event => {
                    let message = read::<T>(this.flow, this.finals, &this.source.event());
                    // A reader that is busy elsewhere must not keep the transport's buffer.
                    this.source.as_mut().done_with_event();
                    message
                }
                Step::More => continue,
                Step::Broken(error) => Message::Last(Err(error)),
            };
            match message {
                Message::Skipped => {}
                Message::Event(event) => {
                    *this.handed_out = true;
                    *this.finished |= event.is_final();
                    return Poll::Ready(Some(Ok(event)));
                }
                Message::Last(Err(error))
                    if *this.finished && error.kind() == ErrorKind::Truncated =>
                {
                    // Less than was asked for may be all there is.
                    this.flow.end(this.source.as_mut(), cx, false);
                    this.audience.end(StreamEnd::Complete);
                    return Poll::Ready(None);
                }
                Message::Last(result) => {
                    this.flow.end(this.source.as_mut(), cx, result.is_ok());
                    let result = result.map_err(|error| {
                        let progress = Progress {
                            response_id: None,
                            sequence_number: None,
                            handed_out: *this.handed_out,
                            request_id: this.meta.request_id().map(Into::into),
                        };
                        error.in_stream(progress).without_sent(this.meta.extensions())
                    });
                    match &result {
                        Ok(event) => this.audience.answer(&event.facts()),
                        Err(error) => this.audience.end(StreamEnd::Error(error)),
                    }
                    return Poll::Ready(Some(result));
                }
            }
        }
    }
}

impl<T: StreamEvent, Src: EventSource> FusedStream for EventStream<T, Src> {
    fn is_terminated(&self) -> bool {
        self.flow.is_over()
    }
}

impl<T, Src> fmt::Debug for EventStream<T, Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("state", &self.flow.state)
            .field("events", &self.flow.events)
            .finish_non_exhaustive()
    }
}

/// The error that an event with this member `error` is, if it says something.
pub(super) fn failed_event(kind: &str, error: &crate::model::RawJson) -> Option<Error> {
    let said = flow::said_by(error)?;
    Some(error::in_stream(Some(&said), kind, None))
}
