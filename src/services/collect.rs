//! Reads a body into memory, up to a cap and for a time: refusals, and answers that are no streams.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, StatusCode, response};
use http_body::Body;

use crate::error;
use crate::sse::{Audience, StreamEnd};
use crate::timer::Watchdog;
use crate::{BoxError, Error};

/// The most of a refusal's body that is read.
const REFUSAL_BYTES: usize = 64 * 1024;

/// The longest that a refusal's body is read.
const REFUSAL_TIME: Duration = Duration::from_secs(10);

/// The most that is set aside for a body before any of it has come, whatever length its head says.
const AHEAD: usize = 1024 * 1024;

/// After so many frames in one poll other tasks have their turn.
const FRAMES_AT_ONCE: u32 = 64;

/// A body while it is read.
pub(super) struct Collecting {
    limit: usize,
    /// The first chunk as it came; empty once there is a second one.
    first: Bytes,
    body: BytesMut,
    watchdog: Watchdog,
}

/// Why reading a body has stopped.
pub(super) enum Stop {
    /// It is whole.
    End,
    /// It is longer than the limit.
    Full,
    /// It broke.
    Failed(BoxError),
    /// It did not end within this time.
    Late(Duration),
}

impl Collecting {
    /// At most `limit` bytes, for at most `time`.
    pub(super) fn new(limit: usize, time: Option<Duration>) -> Self {
        Self { limit, first: Bytes::new(), body: BytesMut::new(), watchdog: Watchdog::new(time) }
    }

    /// Reads on; what has been read stays here until it is [taken](Self::take).
    pub(super) fn poll_read<RB>(
        &mut self,
        mut body: Pin<&mut RB>,
        cx: &mut Context<'_>,
    ) -> Poll<Stop>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        for _ in 0..FRAMES_AT_ONCE {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Stop::End),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Stop::Failed(error.into())),
                Poll::Ready(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    let rest = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
                    if !self.keep(data, rest) {
                        return Poll::Ready(Stop::Full);
                    }
                }
                Poll::Pending => return self.poll_late(cx),
            }
        }
        let late = self.poll_late(cx);
        if late.is_pending() {
            cx.waker().wake_by_ref();
        }
        late
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        self.watchdog.poll_expired(cx).map(|elapsed| Stop::Late(elapsed.limit))
    }

    /// Keeps a chunk, of which `rest` bytes are said to follow; false if it does not fit whole.
    fn keep(&mut self, mut data: Bytes, rest: usize) -> bool {
        let room = self.limit.saturating_sub(self.first.len() + self.body.len());
        let fits = data.len() <= room;
        data.truncate(room);
        if self.first.is_empty() && self.body.is_empty() {
            self.first = data;
        } else if !data.is_empty() {
            let first = std::mem::take(&mut self.first);
            if !first.is_empty() {
                let ahead = first.len().saturating_add(data.len()).saturating_add(rest);
                self.body.reserve(ahead.min(self.limit).min(AHEAD));
                self.body.extend_from_slice(&first);
            }
            self.body.extend_from_slice(&data);
        }
        fits
    }

    /// What has been read: one chunk as it came, several joined.
    pub(super) fn take(&mut self) -> Bytes {
        match std::mem::take(&mut self.first) {
            first if first.is_empty() => std::mem::take(&mut self.body).freeze(),
            first => first,
        }
    }
}

/// An answer that is an error, while its body is read.
pub(crate) struct Refusal {
    status: StatusCode,
    headers: HeaderMap,
    extensions: Extensions,
    audience: Audience,
    collecting: Collecting,
    /// The error of a success that is not the one that was wanted.
    unwanted: fn(StatusCode, &HeaderMap, Bytes) -> Error,
}

impl Refusal {
    pub(super) fn new(parts: response::Parts) -> Self {
        Self::over(parts, error::not_a_stream)
    }

    /// The same for an answer to a handshake.
    #[cfg(feature = "ws")]
    pub(crate) fn of_upgrade(parts: response::Parts) -> Self {
        Self::over(parts, error::not_switched)
    }

    fn over(parts: response::Parts, unwanted: fn(StatusCode, &HeaderMap, Bytes) -> Error) -> Self {
        Self {
            unwanted,
            status: parts.status,
            headers: parts.headers,
            audience: Audience::open(&parts.extensions),
            extensions: parts.extensions,
            collecting: Collecting::new(REFUSAL_BYTES, Some(REFUSAL_TIME)),
        }
    }

    /// Reads the body as far as it is wanted, and tells the observers of the error. What goes wrong
    /// meanwhile does not hide the status.
    pub(crate) fn poll_read<RB>(&mut self, body: Pin<&mut RB>, cx: &mut Context<'_>) -> Poll<Error>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        let cause = match ready!(self.collecting.poll_read(body, cx)) {
            Stop::End | Stop::Full => None,
            Stop::Failed(error) => Some(error),
            Stop::Late(limit) => Some(format!("the body did not end within {limit:?}").into()),
        };
        let body = self.collecting.take();
        let error = if self.status.is_success() {
            (self.unwanted)(self.status, &self.headers, body)
        } else {
            Error::from_response(self.status, &self.headers, body)
        };
        let error = match cause {
            Some(cause) => error.with_source(cause),
            None => error,
        };
        let error = error.with_attempts(self.extensions.get()).without_sent(&self.extensions);
        self.audience.end(StreamEnd::Error(&error));
        Poll::Ready(error)
    }
}
