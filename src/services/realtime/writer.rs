//! [`RealtimeWriter`]: what is said to the server.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::model::realtime::codex::RealtimeAudioFrame;
use crate::model::realtime::{AudioFormat, ClientEvent, decoded_len};
use crate::ws::{Message, Sender, Sending};

/// The most that one event may say, in base64.
const MOST_AUDIO: usize = 15 * 1024 * 1024;

/// Says events in a realtime conversation. Clones say them over the same socket.
///
/// What is said waits its turn among 1 MiB of others, and the caller while that is full.
#[derive(Clone)]
pub struct RealtimeWriter {
    sender: Sender,
}

impl RealtimeWriter {
    pub(super) fn new(sender: Sender) -> Self {
        Self { sender }
    }

    /// Says an event.
    ///
    /// It is queued when the future is ready; if that is dropped before, it is not said. The server's
    /// answer, or its complaint, comes among the [events](super::RealtimeEvents).
    ///
    /// # Errors
    ///
    /// What ended the socket; or an event that does not serialise or is above the limit of the
    /// [configuration](crate::ws::WebSocketConfig::max_outgoing_size), after which the socket stays.
    pub fn send(&self, event: &ClientEvent) -> RealtimeSending<'_> {
        match serde_json::to_string(event) {
            Ok(text) => self.sending(text.into()),
            Err(error) => RealtimeSending::failed(
                Error::build("the event does not serialise").with_source(error),
            ),
        }
    }

    /// Says samples: 24,000 a second, one channel. For the model to hear them the session's input has
    /// to be [`AudioFormat::pcm`], as it is by default.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); and more samples than one event may have, 15 MiB in base64.
    pub fn send_samples(&self, samples: &[i16]) -> RealtimeSending<'_> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.send_audio(STANDARD.encode(bytes))
    }

    /// Says a frame of Codex's.
    ///
    /// # Errors
    ///
    /// As [`send_samples`](Self::send_samples); and a frame that is not of 24,000 samples a second
    /// and one channel: the server would take it for that, and hear another pitch. A frame that ends
    /// in the middle of a sample, too, behind which all is noise.
    pub fn send_frame(&self, frame: RealtimeAudioFrame) -> RealtimeSending<'_> {
        let (rate, channels) = (frame.sample_rate, frame.num_channels);
        if (rate, channels) != (AudioFormat::SAMPLE_RATE, 1) {
            return RealtimeSending::failed(Error::build(format!(
                "the audio has {rate} samples a second and {channels} channel(s); the server wants \
                 24000 and 1: convert it first"
            )));
        }
        if decoded_len(&frame.data) % 2 != 0 {
            return RealtimeSending::failed(Error::build(
                "the audio ends in the middle of a sample: samples have 16 bits",
            ));
        }
        self.send_audio(frame.data)
    }

    fn send_audio(&self, base64: String) -> RealtimeSending<'_> {
        if base64.len() > MOST_AUDIO {
            return RealtimeSending::failed(Error::build(format!(
                "the audio has {} bytes in base64, and one event may have {MOST_AUDIO}: say it in \
                 pieces",
                base64.len()
            )));
        }
        self.send(&ClientEvent::audio(base64))
    }

    fn sending(&self, message: Message) -> RealtimeSending<'_> {
        RealtimeSending(Ok(self.sender.send(message)))
    }
}

impl fmt::Debug for RealtimeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeWriter").finish_non_exhaustive()
    }
}

/// The future of [`RealtimeWriter::send`].
///
/// Polled again after it was ready, it stays pending.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct RealtimeSending<'a>(Result<Sending<'a>, Option<Error>>);

impl RealtimeSending<'_> {
    fn failed(error: Error) -> Self {
        Self(Err(Some(error)))
    }
}

impl Future for RealtimeSending<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(sending) => Pin::new(sending).poll(cx),
            Err(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}
