//! A socket as the source of a response stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::{CallId, Lanes};
use super::watching::Listening;
use crate::sse::{Source, SseEvent};
use crate::timer::Alarm;
use crate::ws::Text;
use crate::ws::shared::Shared;
use crate::{BoxError, Error, ErrorKind};

/// A call of a connection while somebody reads it. Dropped, it leaves the rest unread.
pub(super) struct Reading {
    shared: Shared<Lanes>,
    id: CallId,
}

impl Reading {
    pub(super) fn new(shared: Shared<Lanes>, id: CallId) -> Self {
        Self { shared, id }
    }

    /// As [`Lanes::poll_take`]; the socket is read and written meanwhile.
    pub(super) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Text>,
    ) -> Poll<Result<bool, Error>> {
        self.shared.poll(cx, |lanes, cx, _| lanes.poll_take(self.id, cx, into))
    }

    pub(super) fn is_sent(&self) -> bool {
        self.shared.look(|lanes| lanes.is_sent(self.id))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.shared.change(|lanes, wakers| lanes.leave(self.id, wakers));
    }
}

/// The events of one response on a socket: what a [`ResponseStream`](crate::sse::ResponseStream) of a
/// [`ResponsesConnection`](super::ResponsesConnection) reads from.
///
/// Whoever polls it reads and writes the socket, for other lanes too. Dropped before its end, the rest
/// of the response is read and thrown away, within [limits](super::ResponsesSocketSettings::unread).
pub struct SocketSource {
    /// `None`: the end has been read.
    reading: Option<Reading>,
    texts: VecDeque<Text>,
    current: Option<Text>,
    bytes: u64,
    total: Option<Total>,
    listening: Listening,
}

impl SocketSource {
    /// The source of a call of which `texts` have come.
    pub(super) fn new(
        reading: Reading,
        texts: VecDeque<Text>,
        total: Option<Total>,
        listening: Listening,
    ) -> Self {
        let bytes = length(&texts);
        Self { reading: Some(reading), texts, current: None, bytes, total, listening }
    }
}

/// When a call must be over.
pub(super) struct Total {
    limit: Duration,
    alarm: Alarm,
}

impl Total {
    /// From now on.
    pub(super) fn new(limit: Duration) -> Option<Self> {
        let at = Instant::now().checked_add(limit)?;
        Some(Self { limit, alarm: Alarm::new(at) })
    }

    /// To be called when there is nothing to read.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.alarm.poll(cx).map(|()| self.error())
    }

    /// For when there may be something to read.
    fn passed(&mut self) -> Option<Error> {
        self.alarm.has_passed().then(|| self.error())
    }

    fn error(&self) -> Error {
        let message = format!("the call took longer than {:?}, the total limit", self.limit);
        Error::new(ErrorKind::TotalTimeout, message)
    }
}

pub(super) fn length(texts: &VecDeque<Text>) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

impl Source for SocketSource {
    /// A message is an event, so nothing is ahead of the one that was found.
    #[inline]
    fn ahead(self: Pin<&mut Self>) -> Option<&[u8]> {
        None
    }

    #[inline]
    fn skip(self: Pin<&mut Self>, _: usize) {}

    #[inline]
    fn advance(mut self: Pin<&mut Self>) -> Result<bool, BoxError> {
        self.current = self.texts.pop_front();
        Ok(self.current.is_some())
    }

    #[inline]
    fn event(&self) -> SseEvent<'_> {
        SseEvent::of_data(self.current.as_deref().unwrap_or_default().as_bytes())
    }

    #[inline]
    fn around(&self) -> Option<(&[u8], &[u8])> {
        None
    }

    fn poll_chunk(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BoxError>>> {
        let this = &mut *self;
        let Some(reading) = &this.reading else { return Poll::Ready(None) };
        if let Some(error) = this.total.as_mut().and_then(Total::passed) {
            this.reading = None;
            return Poll::Ready(Some(Err(error.into())));
        }
        let span = this.listening.reading();
        let taken = span.in_scope(|| reading.poll_take(cx, &mut this.texts));
        let taken = match (taken, &mut this.total) {
            (Poll::Ready(taken), _) => taken,
            (Poll::Pending, Some(total)) => Err(ready!(total.poll(cx))),
            (Poll::Pending, None) => return Poll::Pending,
        };
        match taken {
            Ok(true) => {
                let bytes = length(&this.texts);
                this.bytes += bytes;
                this.listening.read(bytes);
                Poll::Ready(Some(Ok(())))
            }
            Ok(false) => {
                this.reading = None;
                Poll::Ready(None)
            }
            Err(error) => {
                this.reading = None;
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn bytes_read(&self) -> u64 {
        self.bytes
    }

    #[inline]
    fn done_with_event(mut self: Pin<&mut Self>) {
        self.current = None;
    }

    /// The end of a response is not the end of its connection.
    fn poll_drain(self: Pin<&mut Self>, _: &mut Context<'_>, _: usize) -> Poll<()> {
        Poll::Ready(())
    }

    fn close(mut self: Pin<&mut Self>) {
        self.reading = None;
        self.texts = VecDeque::new();
    }
}

impl fmt::Debug for SocketSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketSource")
            .field("open", &self.reading.is_some())
            .field("bytes_read", &self.bytes)
            .finish_non_exhaustive()
    }
}
