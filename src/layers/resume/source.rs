//! The source of a stream that is resumed: one connection after another.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use super::resumption::Resumption;
use crate::services::RetrieveStreamRequest;
use crate::sse::{Broken, Reopened, ResponseStream, Source, SseEvent};
use crate::{BoxError, Error};

pin_project! {
    /// The source of a [`ResumeStream`](super::ResumeStream).
    ///
    /// `A` is the source of the first connection and `B` that of those that resume it, `R` the service
    /// that retrieves and `F` its future.
    pub struct ResumeSource<A, R, F, B> {
        #[pin]
        source: Current<A, B>,
        // `None`: the stream is not to be resumed.
        resumption: Option<Box<Resumption<R, F>>>,
    }
}

pin_project! {
    #[project = CurrentProj]
    enum Current<A, B> {
        First { #[pin] source: A },
        Again { #[pin] source: B },
    }
}

impl<A, R, F, B> ResumeSource<A, R, F, B> {
    pub(super) fn new(source: A, resumption: Option<Resumption<R, F>>) -> Self {
        Self { source: Current::First { source }, resumption: resumption.map(Box::new) }
    }

    pub(super) fn resumptions(&self) -> u32 {
        self.resumption.as_ref().map_or(0, |resumption| resumption.made())
    }
}

/// Does the same with whichever source is read.
macro_rules! current {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self.project().source.project() {
            CurrentProj::First { source } => source.$method($($argument),*),
            CurrentProj::Again { source } => source.$method($($argument),*),
        }
    };
}

impl<A, R, F, B> Source for ResumeSource<A, R, F, B>
where
    A: Source,
    B: Source,
    R: Service<RetrieveStreamRequest, Response = ResponseStream<B>, Future = F> + Clone,
    R::Error: Into<BoxError>,
    F: Future<Output = Result<ResponseStream<B>, R::Error>>,
{
    #[inline]
    fn ahead(self: Pin<&mut Self>) -> Option<&[u8]> {
        current!(self.ahead())
    }

    #[inline]
    fn skip(self: Pin<&mut Self>, length: usize) {
        current!(self.skip(length));
    }

    fn advance(self: Pin<&mut Self>) -> Result<bool, BoxError> {
        current!(self.advance())
    }

    fn event(&self) -> SseEvent<'_> {
        match &self.source {
            Current::First { source } => source.event(),
            Current::Again { source } => source.event(),
        }
    }

    fn around(&self) -> Option<(&[u8], &[u8])> {
        match &self.source {
            Current::First { source } => source.around(),
            Current::Again { source } => source.around(),
        }
    }

    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BoxError>>> {
        current!(self.poll_chunk(cx))
    }

    fn bytes_read(&self) -> u64 {
        match &self.source {
            Current::First { source } => source.bytes_read(),
            Current::Again { source } => source.bytes_read(),
        }
    }

    #[inline]
    fn done_with_event(self: Pin<&mut Self>) {
        current!(self.done_with_event());
    }

    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
        current!(self.poll_drain(cx, limit))
    }

    fn close(self: Pin<&mut Self>) {
        current!(self.close());
    }

    fn broken(self: Pin<&mut Self>, error: &Error) {
        current!(self.broken(error));
    }

    fn poll_resume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        broken: &mut Broken,
    ) -> Poll<Result<Reopened, Error>> {
        let mut this = self.project();
        let Some(resumption) = this.resumption else {
            return Poll::Ready(Err(broken.take_error()));
        };
        let (source, core) = ready!(resumption.poll(cx, broken))?.into_parts();
        this.source.set(Current::Again { source });
        Poll::Ready(Ok(Reopened::Behind(core)))
    }
}

impl<A, R, F, B> fmt::Debug for ResumeSource<A, R, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeSource")
            .field("may_be_resumed", &self.resumption.is_some())
            .field("resumptions", &self.resumptions())
            .finish_non_exhaustive()
    }
}
