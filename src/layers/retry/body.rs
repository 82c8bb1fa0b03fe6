//! The response body above `RetryLayer`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;

pin_project! {
    /// The response body of [`Retry`](super::Retry): the one from inside.
    ///
    /// Of an error answer the beginning may have been read ahead; it comes first, then the rest.
    /// It is `Unpin` if the body inside is.
    pub struct RetryBody<RB> {
        #[pin]
        state: State<RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<RB> {
        Untouched { #[pin] body: RB },
        Replayed { replay: Box<Replay<RB>> },
    }
}

/// What was read of a body, and what is left of it.
pub(super) struct Replay<RB> {
    pub(super) prefix: Bytes,
    /// Of the chunk that went beyond what was to be read.
    pub(super) rest: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) error: Option<BoxError>,
    /// `None` after its end or an error.
    pub(super) body: Option<Pin<Box<RB>>>,
}

impl<RB> Replay<RB> {
    pub(super) fn new(body: Pin<Box<RB>>) -> Self {
        let (prefix, rest) = (Bytes::new(), Bytes::new());
        Self { prefix, rest, trailers: None, error: None, body: Some(body) }
    }

    /// What was read already.
    fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        for data in [&mut self.prefix, &mut self.rest] {
            if !data.is_empty() {
                return Some(Ok(Frame::data(std::mem::take(data))));
            }
        }
        let trailers = self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)));
        trailers.or_else(|| self.error.take().map(Err))
    }

    fn is_empty(&self) -> bool {
        let Self { prefix, rest, trailers, error, .. } = self;
        prefix.is_empty() && rest.is_empty() && trailers.is_none() && error.is_none()
    }
}

impl<RB> RetryBody<RB> {
    pub(super) const fn untouched(body: RB) -> Self {
        Self { state: State::Untouched { body } }
    }

    pub(super) fn replayed(replay: Replay<RB>) -> Self {
        Self { state: State::Replayed { replay: Box::new(replay) } }
    }
}

impl<RB: Default> Default for RetryBody<RB> {
    fn default() -> Self {
        Self::untouched(RB::default())
    }
}

impl<RB> Body for RetryBody<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let replay = match self.project().state.project() {
            StateProj::Untouched { body } => {
                return body
                    .poll_frame(cx)
                    .map(|frame| frame.map(|frame| frame.map_err(Into::into)));
            }
            StateProj::Replayed { replay } => replay,
        };
        if let Some(frame) = replay.next() {
            return Poll::Ready(Some(frame));
        }
        let Some(body) = &mut replay.body else { return Poll::Ready(None) };
        let frame = ready!(body.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            replay.body = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Untouched { body } => body.is_end_stream(),
            State::Replayed { replay } => {
                replay.is_empty() && replay.body.as_ref().is_none_or(|body| body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let replay = match &self.state {
            State::Untouched { body } => return body.size_hint(),
            State::Replayed { replay } => replay,
        };
        let read = (replay.prefix.len() + replay.rest.len()) as u64;
        let left = replay.body.as_ref().map_or(SizeHint::with_exact(0), |body| body.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = left.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint.set_lower(left.lower().saturating_add(read));
        hint
    }
}

impl<RB> fmt::Debug for RetryBody<RB> {
    /// Shows how much was read ahead, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = match &self.state {
            State::Untouched { .. } => 0,
            State::Replayed { replay } => replay.prefix.len() + replay.rest.len(),
        };
        f.debug_struct("RetryBody").field("read_ahead", &read).finish_non_exhaustive()
    }
}
