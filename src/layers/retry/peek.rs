//! Reads the beginning of an error body, so that a policy that cannot wait can look at it.
//!
//! Tower's `Policy` decides at once and for good, while the code that tells a used-up quota from a
//! busy minute stands in the body. So [`PeekError`] below it awaits that body, within bounds.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Extensions, Request, Response, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use super::body::{Replay, RetryBody};
use super::kept::Kept;
use super::rules::Peekable;
use crate::BoxError;
use crate::extensions::{Deadline, RetryOverride};
use crate::timer::Watchdog;

/// The most of an error body that is read ahead.
const PEEK_BYTES: usize = 64 * 1024;

/// The most frames that are read ahead, empty ones included.
const PEEK_FRAMES: u32 = 4096;

/// After so many frames in one poll other tasks have their turn.
const FRAMES_AT_ONCE: u32 = 64;

/// On a response: the beginning of its body.
#[derive(Clone)]
pub(super) struct Peeked(pub(super) Bytes);

/// Why there was no further attempt although one was due.
#[derive(Debug)]
pub(super) struct NotReady(BoxError);

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service failed before it was ready for another attempt")
    }
}

impl std::error::Error for NotReady {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// What is read ahead of the answers to one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peek {
    peekable: Peekable,
    deadline: Option<Deadline>,
    /// The retry of which nothing is read: its outcome is handed on whatever it is.
    final_retry: Option<u32>,
}

impl Peek {
    pub(super) const NOTHING: Self =
        Self { peekable: Peekable::NOTHING, deadline: None, final_retry: None };

    /// What a request with these extensions, `own` among them, wants read.
    #[inline]
    pub(super) fn of(
        peekable: Peekable,
        final_retry: Option<u32>,
        own: Option<&RetryOverride>,
        request: &Extensions,
    ) -> Self {
        let most = own.and_then(|own| own.max_retries);
        Self {
            peekable: own.map_or(peekable, |own| peekable.with(own)),
            deadline: request.get().copied(),
            final_retry: final_retry.map(|usual| most.unwrap_or(usual)),
        }
    }
}

#[derive(Debug)]
pub(super) struct PeekError<S> {
    pub(super) inner: S,
    /// For the call that is made next, and all its attempts.
    pub(super) peek: Peek,
    /// How many retries there were. The layer's own service makes the first attempt, a clone of it the
    /// others.
    retries: u32,
    /// Tower's `Retry` drops what it knows of the call when readiness fails between attempts. So the
    /// failure is kept, and handed out as the end of that attempt.
    unready: Option<BoxError>,
}

impl<S> PeekError<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self { inner, peek: Peek::NOTHING, retries: 0, unready: None }
    }
}

impl<S: Clone> Clone for PeekError<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), peek: self.peek, retries: 0, unready: None }
    }
}

impl<S, B, RB> Service<Kept<B>> for PeekError<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<RetryBody<RB>>;
    type Error = BoxError;
    type Future = PeekFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Of attempts after the first only.
        let ready = ready!(self.inner.poll_ready(cx));
        self.retries = self.retries.saturating_add(1);
        self.unready = ready.err().map(Into::into);
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Kept<B>) -> Self::Future {
        if let Some(error) = self.unready.take() {
            return PeekFuture::Unready { error: Some(error) };
        }
        let is_last = self.peek.final_retry.is_some_and(|last| self.retries >= last);
        let peek = if self.retries > 0 && is_last { Peek::NOTHING } else { self.peek };
        PeekFuture::Calling { future: self.inner.call(request.into_request()), peek }
    }
}

pin_project! {
    #[project = PeekProj]
    pub(super) enum PeekFuture<F, RB> {
        Calling { #[pin] future: F, peek: Peek },
        Reading { reading: Option<Box<Reading<RB>>> },
        Unready { error: Option<BoxError> },
    }
}

impl<F, RB, E> Future for PeekFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<RetryBody<RB>>, BoxError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                PeekProj::Calling { future, peek } => {
                    let reading = match future.poll(cx) {
                        Poll::Ready(Ok(response))
                            if !peek.peekable.takes(response.status(), response.headers()) =>
                        {
                            return Poll::Ready(Ok(response.map(RetryBody::untouched)));
                        }
                        Poll::Ready(Ok(response)) => Some(Reading::start(response, peek)),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                        Poll::Pending => return Poll::Pending,
                    };
                    self.set(Self::Reading { reading });
                }
                // Polled again after it was ready, it stays pending.
                PeekProj::Reading { reading } => {
                    if let Some(reading) = reading {
                        ready!(reading.poll_read(cx));
                    }
                    let read = reading.take().map(|reading| Ok(reading.done()));
                    return read.map_or(Poll::Pending, Poll::Ready);
                }
                PeekProj::Unready { error } => {
                    let error = error.take().map(NotReady);
                    return error.map_or(Poll::Pending, |error| Poll::Ready(Err(error.into())));
                }
            }
        }
    }
}

impl<F, RB> fmt::Debug for PeekFuture<F, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calling { .. } => "Calling",
            Self::Reading { .. } => "Reading",
            Self::Unready { .. } => "Unready",
        })
    }
}

/// An error answer while the beginning of its body is read.
pub(super) struct Reading<RB> {
    head: response::Parts,
    /// The first chunk as it came; empty once there is a second one.
    first: Bytes,
    read: BytesMut,
    /// How many more frames are read.
    frames: u32,
    replay: Replay<RB>,
    watchdog: Watchdog,
}

impl<RB> Reading<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    // Apart, for few answers come here, and all are moved past it.
    #[inline(never)]
    fn start(response: Response<RB>, peek: &Peek) -> Box<Self> {
        // Who has a deadline decides before it, on what is there.
        let left = peek.deadline.map(|at| at.instant().saturating_duration_since(Instant::now()));
        let most = peek.peekable.time();
        let time = left.map_or(most, |left| left.min(most));
        let (head, body) = response.into_parts();
        Box::new(Self {
            head,
            first: Bytes::new(),
            read: BytesMut::new(),
            frames: PEEK_FRAMES,
            replay: Replay::new(Box::pin(body)),
            watchdog: Watchdog::new(Some(time)),
        })
    }

    /// Ready when enough is read: all, the most that is wanted, or what came in time. What goes
    /// wrong is left for the reader of the body.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..FRAMES_AT_ONCE {
            let Some(body) = self.replay.body.as_mut().filter(|_| self.frames > 0) else {
                return Poll::Ready(());
            };
            self.frames -= 1;
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(mut data) => {
                        let room = PEEK_BYTES - self.first.len() - self.read.len();
                        let kept = data.split_to(data.len().min(room));
                        let full = kept.len() == room;
                        if self.first.is_empty() && self.read.is_empty() {
                            self.first = kept;
                        } else if !kept.is_empty() {
                            self.read.extend_from_slice(&std::mem::take(&mut self.first));
                            self.read.extend_from_slice(&kept);
                        }
                        if full {
                            self.replay.rest = data;
                            return Poll::Ready(());
                        }
                    }
                    Err(frame) => self.replay.trailers = frame.into_trailers().ok(),
                },
                Poll::Ready(Some(Err(error))) => {
                    self.replay.error = Some(error.into());
                    self.replay.body = None;
                }
                Poll::Ready(None) => self.replay.body = None,
                Poll::Pending => return self.watchdog.poll_expired(cx).map(drop),
            }
        }
        let expired = self.watchdog.poll_expired(cx).map(drop);
        if expired.is_pending() {
            cx.waker().wake_by_ref();
        }
        expired
    }

    fn done(self) -> Response<RetryBody<RB>> {
        let Self { head, first, read, mut replay, .. } = self;
        replay.prefix = if read.is_empty() { first } else { read.freeze() };
        let peeked = Peeked(replay.prefix.clone());
        let mut response = Response::from_parts(head, RetryBody::replayed(replay));
        response.extensions_mut().insert(peeked);
        response
    }
}
