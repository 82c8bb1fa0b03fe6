//! A socket as the source of a response stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::lanes::{CallId, Lanes};
use crate::sse::{Source, SseEvent};
use crate::ws::Text;
use crate::ws::shared::Shared;
use crate::{BoxError, Error};

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
}

impl SocketSource {
    /// The source of a call of which `texts` have come.
    pub(super) fn new(reading: Reading, texts: VecDeque<Text>) -> Self {
        let bytes = length(&texts);
        Self { reading: Some(reading), texts, current: None, bytes }
    }
}

fn length(texts: &VecDeque<Text>) -> u64 {
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
        match ready!(reading.poll_take(cx, &mut this.texts)) {
            Ok(true) => {
                this.bytes += length(&this.texts);
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
