//! Any body as a source of server-sent events.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;

use super::decoder::{Decoder, SseEvent};
use super::limits::Limits;
use super::rules::{Broken, Core};
use crate::{BoxError, Error};

/// Frames read in one poll before the task gives way to others. A body that is always ready and
/// never holds an event would otherwise keep its thread.
const FRAMES_PER_POLL: usize = 1024;

pin_project_lite::pin_project! {
    /// Reads server-sent events from a body, in place.
    ///
    /// This is the typed stream's source, and of use by itself wherever a body of
    /// `text/event-stream` is to be read:
    ///
    /// ```
    /// use http_body_util::Full;
    /// use tower_openai::sse::SseSource;
    ///
    /// # tokio_test::block_on(async {
    /// let body = Full::new("event: tick\ndata: 1\n\ndata: 2\n\n".into());
    /// let mut events = SseSource::new(body);
    /// let mut seen = Vec::new();
    /// while let Some(event) = events.next().await {
    ///     seen.push(event?.data().into_owned());
    /// }
    /// assert_eq!(seen, ["1", "2"]);
    /// # Ok::<_, tower_openai::Error>(()) }).unwrap();
    /// ```
    ///
    /// Nothing is spawned and nothing is read ahead: dropping it drops the body. After an error or
    /// the end the body is dropped at once.
    pub struct SseSource<B> {
        #[pin]
        body: Option<B>,
        decoder: Decoder,
        bytes: u64,
    }
}

impl<B> SseSource<B> {
    /// Reads events from `body`, with the default [`Limits`].
    pub fn new(body: B) -> Self {
        Self::with_limits(body, Limits::default())
    }

    /// Reads events from `body`, with limits of the caller's.
    pub fn with_limits(body: B, limits: Limits) -> Self {
        Self { body: Some(body), decoder: Decoder::with_limits(limits), bytes: 0 }
    }

    /// How many bytes of the body were read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes
    }

    /// The decoder, for what outlives the events: the last event id and the reconnection time.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

impl<B> SseSource<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// The next event, borrowed until the one after it is asked for; `None` at the end.
    ///
    /// Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// The body's error, or an event above its limit. The stream has ended then.
    pub async fn next(&mut self) -> Option<Result<SseEvent<'_>, Error>>
    where
        Self: Unpin,
    {
        let found = poll_fn(|cx| Pin::new(&mut *self).poll_advance(cx)).await?;
        Some(match found {
            Ok(()) => Ok(self.decoder.event()),
            Err(error) => Err(Error::from(error)),
        })
    }

    /// Goes on to the next event, which [`event`](Self::event) then shows.
    pub(crate) fn poll_advance(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BoxError>>> {
        let mut this = self.project();
        for _ in 0..FRAMES_PER_POLL {
            match this.decoder.advance() {
                Ok(true) => return Poll::Ready(Some(Ok(()))),
                Ok(false) => {}
                Err(error) => {
                    // The decoder would say so again; the stream says it once.
                    let spoke = this.body.is_none();
                    this.body.set(None);
                    return Poll::Ready((!spoke).then(|| Err(error.into())));
                }
            }
            let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Ok(data) = frame.into_data() {
                        *this.bytes += data.len() as u64;
                        this.decoder.push(data);
                    }
                }
                Some(Err(error)) => {
                    this.body.set(None);
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    this.body.set(None);
                    return Poll::Ready(None);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads on without looking, so that the transport sees the end of the body and keeps the
    /// connection; ready when there is nothing more to read, or after `limit` bytes.
    pub(crate) fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
        let mut this = self.project();
        let mut drained = 0;
        while let Some(body) = this.body.as_mut().as_pin_mut() {
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => drained += frame.into_data().map_or(0, |data| data.len()),
                Some(Err(_)) | None => drained = usize::MAX,
            }
            if drained > limit {
                this.body.set(None);
            }
        }
        Poll::Ready(())
    }

    /// The event that [`poll_advance`](Self::poll_advance) has found.
    pub(crate) fn event(&self) -> SseEvent<'_> {
        self.decoder.event()
    }

    /// Drops the body.
    pub(crate) fn close(self: Pin<&mut Self>) {
        self.project().body.set(None);
    }
}

impl<B> fmt::Debug for SseSource<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseSource")
            .field("open", &self.body.is_some())
            .field("bytes_read", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Where a response stream gets its events from: a body of server-sent events ([`SseSource`]), or one
/// after another (`ResumeSource`, of `ResumeLayer`).
///
/// Sealed; a bound that tells which streams there are.
pub trait EventSource: sealed::Source {}

impl<T: sealed::Source> EventSource for T {}

pub(crate) mod sealed {
    use super::*;

    /// What a response stream asks of its source.
    pub trait Source {
        /// Goes on to the next event.
        fn poll_advance(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<(), BoxError>>>;
        /// The event that was found.
        fn event(&self) -> SseEvent<'_>;
        /// How many bytes were read.
        fn bytes_read(&self) -> u64;
        /// The event has been read; what holds it may go.
        fn done_with_event(self: Pin<&mut Self>);
        /// Reads to the end without looking, at most `limit` bytes.
        fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()>;
        /// Lets go of the connection.
        fn close(self: Pin<&mut Self>);
        /// The stream has broken off: opens it once more, if it can be, behind the last event that was
        /// read. Else says what to end with.
        fn poll_resume(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            broken: &mut Broken,
        ) -> Poll<Result<Core, Error>> {
            Poll::Ready(Err(broken.take_error()))
        }
    }

    impl<B> Source for SseSource<B>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        fn poll_advance(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<(), BoxError>>> {
            SseSource::poll_advance(self, cx)
        }

        fn event(&self) -> SseEvent<'_> {
            SseSource::event(self)
        }

        fn bytes_read(&self) -> u64 {
            SseSource::bytes_read(self)
        }

        fn done_with_event(self: Pin<&mut Self>) {
            self.project().decoder.done_with_event();
        }

        fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
            SseSource::poll_drain(self, cx, limit)
        }

        fn close(self: Pin<&mut Self>) {
            SseSource::close(self);
        }
    }
}
