//! [`RealtimeEvents`]: what the server says.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeSeed;

use crate::error;
use crate::model::realtime::ServerEvent;
use crate::model::wire::TaggedSeed;
use crate::model::{ApiError, IdCache};
use crate::ws::{CloseCode, CloseFrame, Message, WebSocket};
use crate::{Error, ErrorKind, Stage};

/// What the server says in a realtime conversation: its one reader.
///
/// Read with [`next`](Self::next), or as a [`Stream`]. What had come before the socket ended is read
/// before the end. It ends, with `None`, once the socket is closed by this side or by the server with
/// code 1000, or after the error that says how else it ended; the [module](super) tells errors apart.
///
/// Dropping it while a [`RealtimeWriter`](super::RealtimeWriter) is left stops the server once what
/// it says fills the queue.
pub struct RealtimeEvents {
    socket: WebSocket,
    /// Of the handshake's answer: what is secret of the call.
    extensions: http::Extensions,
    events: u64,
    ids: IdCache,
    /// What the server complained of last, if it has said nothing since.
    complaint: Option<ApiError>,
    /// The reader knows how the socket ended.
    told: bool,
}

impl RealtimeEvents {
    pub(super) fn new(socket: WebSocket, extensions: http::Extensions) -> Self {
        Self { socket, extensions, events: 0, ids: IdCache::new(), complaint: None, told: false }
    }

    /// The next event. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What ended the socket; `None` follows. Or one message that cannot be read, or is no text: the
    /// next event follows.
    pub async fn next(&mut self) -> Option<Result<ServerEvent, Error>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Says what was queued to be said, closes the socket, and waits for its end. Events that come
    /// meanwhile can still be read.
    ///
    /// # Errors
    ///
    /// What ended the socket before.
    pub async fn close(&self) -> Result<(), Error> {
        self.socket.close(CloseFrame::from(CloseCode::NORMAL)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ServerEvent, Error>>> {
        let message = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(message) => message,
            // A server that goes away, or says nothing of why, ends its socket in order. It does not
            // end the conversation, which nobody here has asked for.
            None => match self.socket.closed_by_peer() {
                Some(error) if !self.told && error.close_code() != Some(CloseCode::NORMAL) => {
                    Err(error)
                }
                _ => return Poll::Ready(None),
            },
        };
        self.told |= message.is_err();
        let complaint = self.complaint.take();
        let result = message
            .map_err(|error| match complaint {
                // The server often says why before it closes.
                Some(said) if error.close_code().is_some() => error.with_said(&said),
                _ => error,
            })
            .and_then(|message| self.read(&message))
            .map_err(|error| error.with_stage(Stage::Streaming).without_sent(&self.extensions));
        Poll::Ready(Some(result))
    }

    fn read(&mut self, message: &Message) -> Result<ServerEvent, Error> {
        self.events += 1;
        let Some(text) = message.as_text() else {
            let message =
                format!("event {} is a binary message: events are JSON text", self.events);
            return Err(Error::new(ErrorKind::Protocol, message));
        };
        let event = parse(text, &mut self.ids).map_err(|error| {
            #[derive(serde::Deserialize)]
            struct Tag {
                #[serde(rename = "type")]
                kind: String,
            }
            let kind =
                serde_json::from_str::<Tag>(text).map_or_else(|_| "?".into(), |tag| tag.kind);
            error::undecodable(self.events, &kind, text, &error)
        })?;
        if let ServerEvent::Error(event) = &event {
            self.complaint = Some(event.error().clone());
        }
        Ok(event)
    }
}

/// Reads an event, whose ids are mostly those of the one before.
fn parse(text: &str, ids: &mut IdCache) -> Result<ServerEvent, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let event = TaggedSeed::new(ids).deserialize(&mut json)?;
    json.end()?;
    Ok(event)
}

impl Stream for RealtimeEvents {
    type Item = Result<ServerEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl fmt::Debug for RealtimeEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeEvents").field("events", &self.events).finish_non_exhaustive()
    }
}
