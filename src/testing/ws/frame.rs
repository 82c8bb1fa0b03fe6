//! Frames: those that a script sends, and those that came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::Out;

/// One step of a script for a WebSocket, see [`Script::frames`](super::super::Script::frames).
///
/// A JSON value becomes a text message (keys in serde_json's order, that is sorted; use
/// [`text`](Self::text) where order matters).
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use tower_openai::testing::{Frame, Script};
///
/// let script = Script::frames([
///     Frame::wait_for(1), // until a message has come
///     json!({"type": "response.created", "response": {"id": "resp_1"}}).into(),
///     Frame::ping("still here").after(Duration::from_millis(10)),
///     Frame::raw(&b"\xc1\x00"[..]), // a text frame that claims to be compressed
/// ])
/// .then_stall();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Frame {
    pub(super) step: Step,
    pub(super) delay: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Out),
    WaitFor(u64),
}

impl Frame {
    fn new(step: Step) -> Self {
        Self { step, delay: Duration::ZERO }
    }

    fn send(out: Out) -> Self {
        Self::new(Step::Send(out))
    }

    /// A text message, JSON or not.
    pub fn text(text: impl Into<String>) -> Self {
        Self::send(Out::Text(text.into()))
    }

    /// A text message in frames of `size` bytes each, cut wherever that falls.
    pub fn fragments(text: impl Into<String>, size: usize) -> Self {
        Self::send(Out::Fragments(text.into(), Arc::new([size])))
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::send(Out::Binary(bytes.into()))
    }

    /// A ping; of more than 125 bytes it breaks the protocol.
    pub fn ping(bytes: impl Into<Bytes>) -> Self {
        Self::send(Out::Ping(bytes.into()))
    }

    /// A pong that nobody asked for.
    pub fn pong(bytes: impl Into<Bytes>) -> Self {
        Self::send(Out::Pong(bytes.into()))
    }

    /// Closes with `code`. What follows it in the script is not said.
    pub fn close(code: u16, reason: impl Into<Arc<str>>) -> Self {
        Self::send(Out::Close(code, reason.into()))
    }

    /// Bytes on the connection, below the framing: whatever breaks the protocol.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::send(Out::Raw(bytes.into()))
    }

    /// Says nothing, and waits until `messages` text messages have come since the script began.
    ///
    /// A script that answers a turn begins with the message that asked for the turn, which does not
    /// count.
    pub fn wait_for(messages: u64) -> Self {
        Self::new(Step::WaitFor(messages))
    }

    /// Waits `delay` before this step, besides the script's own delays.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl From<Value> for Frame {
    fn from(value: Value) -> Self {
        Self::text(value.to_string())
    }
}

/// What a client sent over a WebSocket: a message, whole, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordedFrame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close frame, with its code and reason if it has them.
    Close(Option<(u16, String)>),
}

impl RecordedFrame {
    /// The text as JSON, or `None` if it is no text or no JSON.
    pub fn json(&self) -> Option<Value> {
        match self {
            Self::Text(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
            Self::Close(close) => close.as_ref().map_or(0, |(_, reason)| reason.len()),
        }
    }

    /// `None` for what tungstenite never reads.
    pub(super) fn new(message: &Message) -> Option<Self> {
        Some(match message {
            Message::Text(text) => Self::Text(text.as_str().to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.clone()),
            Message::Ping(bytes) => Self::Ping(bytes.clone()),
            Message::Pong(bytes) => Self::Pong(bytes.clone()),
            Message::Close(close) => {
                let close = close.as_ref();
                Self::Close(close.map(|frame| (frame.code.into(), frame.reason.to_string())))
            }
            Message::Frame(_) => return None,
        })
    }
}

/// The frames that came over one WebSocket.
#[derive(Default)]
pub(in crate::testing) struct FrameLog(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    frames: VecDeque<RecordedFrame>,
    bytes: usize,
    received: u64,
}

/// More frames than this are not kept.
const MAX_FRAMES: usize = 10_000;

/// Nor more than this of them together.
const MAX_BYTES: usize = 64 * 1024 * 1024;

impl FrameLog {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // The sections below leave the data whole at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::testing) fn push(&self, frame: RecordedFrame) {
        let mut kept = self.lock();
        kept.received += 1;
        kept.bytes += frame.len();
        kept.frames.push_back(frame);
        while kept.frames.len() > MAX_FRAMES || (kept.bytes > MAX_BYTES && kept.frames.len() > 1) {
            let Some(oldest) = kept.frames.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
    }

    pub(in crate::testing) fn all(&self) -> Vec<RecordedFrame> {
        self.lock().frames.iter().cloned().collect()
    }

    pub(in crate::testing) fn received(&self) -> u64 {
        self.lock().received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded_by_number_and_by_weight() {
        let log = FrameLog::default();
        for number in 0..=MAX_FRAMES {
            log.push(RecordedFrame::Text(number.to_string()));
        }
        let all = log.all();
        assert_eq!((all.len(), log.received()), (MAX_FRAMES, MAX_FRAMES as u64 + 1));
        assert_eq!(all[0], RecordedFrame::Text("1".into()));
        log.push(RecordedFrame::Binary(vec![0; MAX_BYTES + 1].into()));
        assert_eq!(log.all().len(), 1);
    }
}
