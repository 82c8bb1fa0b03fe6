//! A response stream as the text of its answer.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use super::source::EventSource;
use super::stream::ResponseStream;
use crate::Error;
use crate::model::ResponseEvent;

pin_project_lite::pin_project! {
    /// The pieces of an answer's text as they come, and nothing else.
    ///
    /// Made by [`ResponseStream::text`]. Refusals, function calls and reasoning are not part of the
    /// text, so a model that refuses has none. The errors are those of the stream: text that ends
    /// without one is whole.
    #[must_use = "a stream does nothing unless it is read, and cancels the request when dropped"]
    pub struct TextStream<Src> {
        #[pin]
        stream: ResponseStream<Src>,
    }
}

impl<Src> TextStream<Src> {
    pub(super) fn new(stream: ResponseStream<Src>) -> Self {
        Self { stream }
    }

    /// The stream, for what it knows: head, ids, counts.
    pub fn get_ref(&self) -> &ResponseStream<Src> {
        &self.stream
    }
}

impl<Src: EventSource> TextStream<Src> {
    /// The next piece; `None` at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// What ended the stream.
    pub async fn next(&mut self) -> Option<Result<String, Error>>
    where
        Self: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next piece, with `Result` outside. Cancel safe.
    ///
    /// # Errors
    ///
    /// What ended the stream.
    pub async fn try_next(&mut self) -> Result<Option<String>, Error>
    where
        Self: Unpin,
    {
        self.next().await.transpose()
    }

    /// All the text that is still to come; empty if the model refuses, or calls a function.
    ///
    /// Refusal, calls and usage are dropped: [`ResponseStream::final_response`] has them, with
    /// [`Response::refusal`](crate::model::Response::refusal) and its neighbours.
    ///
    /// # Errors
    ///
    /// What ended the stream; what had come of the text is gone then.
    pub async fn collect(mut self) -> Result<String, Error>
    where
        Self: Unpin,
    {
        let mut text = String::new();
        while let Some(piece) = self.try_next().await? {
            text.push_str(&piece);
        }
        Ok(text)
    }
}

impl<Src: EventSource> Stream for TextStream<Src> {
    type Item = Result<String, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut stream = self.project().stream;
        loop {
            return Poll::Ready(match ready!(stream.as_mut().poll_next(cx)) {
                Some(Ok(ResponseEvent::OutputTextDelta(event))) => Some(Ok(event.delta)),
                Some(Ok(_)) => continue,
                Some(Err(error)) => Some(Err(error)),
                None => None,
            });
        }
    }
}

impl<Src: EventSource> FusedStream for TextStream<Src> {
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated()
    }
}

impl<Src> fmt::Debug for TextStream<Src> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextStream").field("stream", &self.stream).finish()
    }
}
