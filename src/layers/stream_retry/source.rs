//! The source of a stream whose request may be sent again: one response's after another's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use super::retrying::Retrying;
use crate::services::ResponsesRequest;
use crate::sse::{Broken, Reopened, ResponseStream, Source, SseEvent};
use crate::{BoxError, Error};

pin_project! {
    /// The source of a [`StreamRetryStream`](super::StreamRetryStream).
    ///
    /// `A` is the source of the streams of the service `S`, and `F` its future.
    pub struct StreamRetrySource<A, S, F> {
        #[pin]
        source: A,
        // `None`: the request is not to be sent again.
        retrying: Option<Box<Retrying<S, F>>>,
    }
}

impl<A, S, F> StreamRetrySource<A, S, F> {
    pub(super) fn new(source: A, retrying: Option<Retrying<S, F>>) -> Self {
        Self { source, retrying: retrying.map(Box::new) }
    }

    pub(super) fn retries(&self) -> u32 {
        self.retrying.as_ref().map_or(0, |retrying| retrying.made())
    }
}

impl<A, S, F> Source for StreamRetrySource<A, S, F>
where
    A: Source,
    S: Service<ResponsesRequest, Response = ResponseStream<A>, Future = F> + Clone,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<ResponseStream<A>, S::Error>>,
{
    #[inline]
    fn ahead(self: Pin<&mut Self>) -> Option<&[u8]> {
        self.project().source.ahead()
    }

    #[inline]
    fn skip(self: Pin<&mut Self>, length: usize) {
        self.project().source.skip(length);
    }

    fn advance(self: Pin<&mut Self>) -> Result<bool, BoxError> {
        self.project().source.advance()
    }

    fn event(&self) -> SseEvent<'_> {
        self.source.event()
    }

    fn around(&self) -> Option<(&[u8], &[u8])> {
        self.source.around()
    }

    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BoxError>>> {
        self.project().source.poll_chunk(cx)
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    #[inline]
    fn done_with_event(self: Pin<&mut Self>) {
        self.project().source.done_with_event();
    }

    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
        self.project().source.poll_drain(cx, limit)
    }

    fn close(self: Pin<&mut Self>) {
        self.project().source.close();
    }

    fn broken(self: Pin<&mut Self>, error: &Error) {
        self.project().source.broken(error);
    }

    fn retries(&self, error: &Error) -> bool {
        self.retrying.as_ref().is_some_and(|retrying| retrying.may_pass(error))
    }

    fn poll_resume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        broken: &mut Broken,
    ) -> Poll<Result<Reopened, Error>> {
        let mut this = self.project();
        let Some(retrying) = this.retrying else { return this.source.poll_resume(cx, broken) };
        if !retrying.is_under_way() {
            // What can be taken up need not be sent again.
            match ready!(this.source.as_mut().poll_resume(cx, broken)) {
                Err(error) if !broken.handed_out => retrying.try_again(error)?,
                end => return Poll::Ready(end),
            }
        }
        let (source, core) = ready!(retrying.poll(cx))?.into_parts();
        this.source.set(source);
        Poll::Ready(Ok(Reopened::Anew(core)))
    }
}

impl<A, S, F> fmt::Debug for StreamRetrySource<A, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRetrySource")
            .field("may_be_retried", &self.retrying.is_some())
            .field("retries", &self.retries())
            .finish_non_exhaustive()
    }
}
