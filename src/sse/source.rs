//! Any body as a source of server-sent events.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;

use super::decoder::{Decoder, SseEvent};
use super::limits::Limits;
use super::rules::{Broken, Reopened};
use crate::{BoxError, Error};

/// Frames read without an event before the task gives way to others. A body that is always ready and
/// never holds an event, or never ends after the last one, would otherwise keep its thread.
const FRAMES_PER_POLL: u16 = 1024;

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
        // Read since there was an event or a wait.
        frames: u16,
    }
}

impl<B> SseSource<B> {
    /// Reads events from `body`, with the default [`Limits`].
    pub fn new(body: B) -> Self {
        Self::with_limits(body, Limits::default())
    }

    /// Reads events from `body`, with limits of the caller's.
    pub fn with_limits(body: B, limits: Limits) -> Self {
        Self { body: Some(body), decoder: Decoder::with_limits(limits), bytes: 0, frames: 0 }
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
    fn poll_advance(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BoxError>>> {
        loop {
            match self.as_mut().advance() {
                Ok(true) => return Poll::Ready(Some(Ok(()))),
                Ok(false) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.as_mut().poll_chunk(cx)) {
                Some(Ok(())) => {}
                end => return Poll::Ready(end),
            }
        }
    }

    /// Goes on to the next event in the bytes at hand; whether there is one.
    fn advance(self: Pin<&mut Self>) -> Result<bool, BoxError> {
        let mut this = self.project();
        match this.decoder.advance() {
            Ok(found) => {
                if found {
                    *this.frames = 0;
                }
                Ok(found)
            }
            // The decoder would say so again; the stream says it once.
            Err(_) if this.body.is_none() => Ok(false),
            Err(error) => {
                this.body.set(None);
                Err(error.into())
            }
        }
    }

    /// Reads more bytes, to be called when those at hand hold no event; `None` at the end.
    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BoxError>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if *this.frames == FRAMES_PER_POLL {
            *this.frames = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let last = match body.poll_frame(cx) {
            Poll::Pending => {
                *this.frames = 0;
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(frame))) => {
                *this.frames += 1;
                // Trailers say nothing here.
                if let Ok(data) = frame.into_data() {
                    *this.bytes += data.len() as u64;
                    this.decoder.push(data);
                }
                return Poll::Ready(Some(Ok(())));
            }
            Poll::Ready(Some(Err(error))) => Some(Err(error.into())),
            Poll::Ready(None) => None,
        };
        this.body.set(None);
        Poll::Ready(last)
    }

    /// Reads on without looking, so that the transport sees the end of the body and keeps the
    /// connection; ready when there is nothing more to read, or after `limit` bytes.
    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
        let mut this = self.project();
        let mut drained = 0;
        while let Some(body) = this.body.as_mut().as_pin_mut() {
            if *this.frames == FRAMES_PER_POLL {
                *this.frames = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Poll::Ready(frame) = body.poll_frame(cx) else {
                *this.frames = 0;
                return Poll::Pending;
            };
            *this.frames += 1;
            match frame {
                Some(Ok(frame)) => drained += frame.into_data().map_or(0, |data| data.len()),
                Some(Err(_)) | None => drained = usize::MAX,
            }
            if drained > limit {
                this.body.set(None);
            }
        }
        Poll::Ready(())
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
        /// The bytes at hand, from the beginning of an event on.
        fn ahead(self: Pin<&mut Self>) -> Option<&[u8]>;
        /// Whole events of so many bytes were read from `ahead`.
        fn skip(self: Pin<&mut Self>, length: usize);
        /// Goes on to the next event in the bytes at hand; whether there is one.
        fn advance(self: Pin<&mut Self>) -> Result<bool, BoxError>;
        /// The event that was found.
        fn event(&self) -> SseEvent<'_>;
        /// What stands before and behind its data, see [`Decoder::around`].
        fn around(&self) -> Option<(&[u8], &[u8])>;
        /// Reads more bytes.
        fn poll_chunk(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<(), BoxError>>>;
        /// How many bytes were read.
        fn bytes_read(&self) -> u64;
        /// The event has been read; what holds it may go.
        fn done_with_event(self: Pin<&mut Self>);
        /// Reads to the end without looking, at most `limit` bytes.
        fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()>;
        /// Lets go of the connection.
        fn close(self: Pin<&mut Self>);
        /// The stream has broken off with this error, before its terminal event.
        fn broken(self: Pin<&mut Self>, _: &Error) {}
        /// Whether it may open the stream anew after this failure of the server's, as long as nothing
        /// of the answer has been handed out.
        fn retries(&self, _: &Error) -> bool {
            false
        }
        /// The stream has broken off: opens it once more, if it can be. Else says what to end with.
        fn poll_resume(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            broken: &mut Broken,
        ) -> Poll<Result<Reopened, Error>> {
            Poll::Ready(Err(broken.take_error()))
        }
    }

    impl<B> Source for SseSource<B>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        #[inline]
        fn ahead(self: Pin<&mut Self>) -> Option<&[u8]> {
            self.project().decoder.ahead()
        }

        #[inline]
        fn skip(self: Pin<&mut Self>, length: usize) {
            let this = self.project();
            *this.frames = 0;
            this.decoder.skip(length);
        }

        fn advance(self: Pin<&mut Self>) -> Result<bool, BoxError> {
            SseSource::advance(self)
        }

        fn event(&self) -> SseEvent<'_> {
            self.decoder.event()
        }

        fn around(&self) -> Option<(&[u8], &[u8])> {
            self.decoder.around()
        }

        fn poll_chunk(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<(), BoxError>>> {
            SseSource::poll_chunk(self, cx)
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
            self.project().body.set(None);
        }
    }
}
