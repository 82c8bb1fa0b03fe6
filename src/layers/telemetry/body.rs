//! The response body of a call that is watched.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::call::Watch;
use crate::BoxError;

pin_project! {
    /// The response body of [`Telemetry`](super::Telemetry).
    ///
    /// It is `Unpin` if the body inside is.
    #[derive(Debug)]
    pub struct TelemetryBody<B> {
        #[pin]
        inner: B,
        watched: Watched,
    }
}

impl<B> TelemetryBody<B> {
    #[inline]
    pub(super) fn unwatched(inner: B) -> Self {
        Self { inner, watched: Watched::new(None) }
    }
}

impl<B: Body> TelemetryBody<B> {
    pub(super) fn new(inner: B, mut watched: Watched) -> Self {
        // Nobody may ever poll a body without data.
        watched.at_end = inner.is_end_stream();
        Self { inner, watched }
    }
}

/// A body of no call; layers that answer themselves need one.
impl<B: Default> Default for TelemetryBody<B> {
    fn default() -> Self {
        Self::unwatched(B::default())
    }
}

impl<B> Body for TelemetryBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        match &this.watched.watch {
            Some(_) => this.watched.poll_frame(this.inner, cx),
            None => this.inner.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A call that ends with its owner, if it has not ended before; or none.
pub(super) struct Watched {
    pub(super) watch: Option<Arc<dyn Watch>>,
    /// There is nothing to read, so not reading it is no end before its time.
    at_end: bool,
}

impl Watched {
    pub(super) fn new(watch: Option<Arc<dyn Watch>>) -> Self {
        Self { watch, at_end: false }
    }

    /// Polls `body` in the call's span, and reports what it yields.
    ///
    /// Apart, so that the way past it stays short.
    #[inline(never)]
    fn poll_frame<B>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let Some(watch) = &self.watch else { return Poll::Ready(None) };
        let polled = watch.reading().in_scope(|| body.as_mut().poll_frame(cx));
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => {
                watch.read(frame.data_ref().map_or(0, |data| data.remaining() as u64));
                // A reader that knows the length does not poll again.
                if body.is_end_stream() {
                    self.end(None);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = error.into();
                self.end(Some(&error));
                Some(Err(error))
            }
            None => {
                self.end(None);
                None
            }
        })
    }

    /// It goes on elsewhere.
    pub(super) fn take(&mut self) -> Self {
        Self::new(self.watch.take())
    }

    /// The owner was dropped with the call still in it.
    #[inline(never)]
    fn left(&mut self) {
        match self.watch.take() {
            Some(watch) if self.at_end => watch.ended(None),
            Some(watch) => watch.dropped(),
            None => {}
        }
    }

    /// The body or the call ends here.
    pub(super) fn end(&mut self, error: Option<&BoxError>) {
        if let Some(watch) = self.watch.take() {
            watch.ended(error);
        }
    }
}

impl Drop for Watched {
    #[inline]
    fn drop(&mut self) {
        if self.watch.is_some() {
            self.left();
        }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watched").field(&self.watch.is_some()).finish()
    }
}
