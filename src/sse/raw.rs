//! A response stream as the JSON it is made of.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use serde::de::DeserializeOwned;

use super::source::EventSource;
use super::stream::ResponseStream;
use crate::Error;
use crate::model::{RawJson, ResponseEvent};

/// One event of a [`RawEvents`] stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RawEvent {
    /// What the head of the response stands for; it was no event on the wire.
    Head(ResponseEvent),
    /// The data of an event, as the server wrote it.
    Wire(RawJson),
}

impl RawEvent {
    /// The event as a type of the caller's.
    ///
    /// # Errors
    ///
    /// JSON that is not what the type asks for.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self {
            Self::Head(event) => RawJson::from_value(event)?.parse(),
            Self::Wire(json) => json.parse(),
        }
    }
}

pin_project_lite::pin_project! {
    /// The events of a response as JSON, for callers with types of their own.
    ///
    /// Made by [`ResponseStream::into_raw`]. The rules of the typed stream hold: the stream ends
    /// with its terminal event, and a failure is an error, but the event that says so is handed out
    /// as JSON first. An event whose JSON does not fit this crate's types is handed out all the
    /// same.
    #[must_use = "a stream does nothing unless it is read, and cancels the request when dropped"]
    pub struct RawEvents<Src> {
        #[pin]
        stream: ResponseStream<Src>,
        // What follows the event that was handed out last.
        next: Option<Result<ResponseEvent, Error>>,
    }
}

impl<Src> RawEvents<Src> {
    pub(super) fn new(stream: ResponseStream<Src>) -> Self {
        Self { stream, next: None }
    }

    /// The stream, for what it knows: head, ids, counts.
    pub fn get_ref(&self) -> &ResponseStream<Src> {
        &self.stream
    }
}

impl<Src: EventSource> RawEvents<Src> {
    /// The next event; `None` at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// What ended the stream.
    pub async fn next(&mut self) -> Option<Result<RawEvent, Error>>
    where
        Self: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next event, with `Result` outside. Cancel safe.
    ///
    /// # Errors
    ///
    /// What ended the stream.
    pub async fn try_next(&mut self) -> Result<Option<RawEvent>, Error>
    where
        Self: Unpin,
    {
        self.next().await.transpose()
    }
}

impl<Src: EventSource> Stream for RawEvents<Src> {
    type Item = Result<RawEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if let Some(Err(error)) = this.next.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut raw = None;
        let polled = this.stream.poll_event(cx, Some(&mut raw));
        let Poll::Ready(found) = polled else { return Poll::Pending };
        Poll::Ready(match (found, raw) {
            (Some(Ok(_)), Some(json)) => Some(Ok(RawEvent::Wire(json))),
            (Some(Ok(event)), None) => Some(Ok(RawEvent::Head(event))),
            (Some(Err(error)), Some(json)) => {
                *this.next = Some(Err(error));
                Some(Ok(RawEvent::Wire(json)))
            }
            (Some(Err(error)), None) => Some(Err(error)),
            (None, _) => None,
        })
    }
}

impl<Src: EventSource> FusedStream for RawEvents<Src> {
    fn is_terminated(&self) -> bool {
        // An error may still follow the event that told of it.
        self.next.is_none() && self.stream.is_terminated()
    }
}

impl<Src> fmt::Debug for RawEvents<Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEvents").field("stream", &self.stream).finish_non_exhaustive()
    }
}
