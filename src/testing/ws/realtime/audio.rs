//! The audio that comes in, and a detector of turns: loud is speech, quiet is none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Realtime, set, text};
use crate::testing::api_error::ApiError;
use crate::testing::json::object;
use crate::testing::params;

/// An event may have so much audio, as Base64.
const MAX_APPEND: usize = 15 * 1024 * 1024;

/// Audio is looked at in windows of this many milliseconds.
const WINDOW: u64 = 20;

/// What counts as loud: a thirtieth of what 16 bits can say.
const LOUD: i16 = 1000;

/// What is known of the audio; it is not kept.
#[derive(Default)]
pub(super) struct Audio {
    /// In the buffer, in bytes.
    buffered: usize,
    /// Of the whole session, in milliseconds.
    heard: u64,
    /// Less than a window.
    rest: Vec<u8>,
    speech: Option<Speech>,
}

struct Speech {
    item_id: String,
    quiet: u64,
}

impl Audio {
    pub(super) fn clear(&mut self) {
        self.buffered = 0;
        self.rest.clear();
        self.speech = None;
    }
}

/// The bytes of a millisecond in a format, and whether some of them are loud.
#[derive(Clone, Copy)]
enum Coding {
    Pcm16,
    /// G.711, whose quiet samples are these.
    Law([u8; 2]),
}

impl Coding {
    fn new(format: &Value) -> Self {
        match text(format, "type") {
            "audio/pcmu" => Self::Law([0x7f, 0xff]),
            "audio/pcma" => Self::Law([0x55, 0xd5]),
            _ => Self::Pcm16,
        }
    }

    fn per_ms(self) -> usize {
        match self {
            Self::Pcm16 => 48,
            Self::Law(_) => 8,
        }
    }

    fn is_loud(self, window: &[u8]) -> bool {
        match self {
            Self::Pcm16 => window.chunks_exact(2).any(|sample| {
                let sample = <[u8; 2]>::try_from(sample).map_or(0, i16::from_le_bytes);
                sample.saturating_abs() >= LOUD
            }),
            Self::Law(quiet) => window.iter().any(|sample| !quiet.contains(sample)),
        }
    }
}

impl Realtime {
    pub(super) fn append_audio(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let audio = params::string(event, "audio")?;
        if audio.len() > MAX_APPEND {
            let why = "Invalid 'audio': an event may have 15 MiB of audio.";
            return Err(ApiError::invalid_value("audio", why));
        }
        let bytes = STANDARD.decode(audio).map_err(|_| {
            let why = "Invalid 'audio'. Expected base64-encoded audio bytes, but got an invalid \
                       value.";
            ApiError::invalid_value("audio", why)
        })?;
        self.audio.buffered += bytes.len();
        let coding = Coding::new(self.config.at("/audio/input/format"));
        let window = coding.per_ms() * usize::try_from(WINDOW).unwrap_or(1);
        let mut rest = std::mem::take(&mut self.audio.rest);
        rest.extend_from_slice(&bytes);
        let mut windows = rest.chunks_exact(window);
        for window in &mut windows {
            self.audio.heard += WINDOW;
            self.listen(coding.is_loud(window));
        }
        self.audio.rest = windows.remainder().to_vec();
        Ok(())
    }

    /// Takes in one more window.
    fn listen(&mut self, loud: bool) {
        let detection = self.config.at("/audio/input/turn_detection").clone();
        if detection.is_null() {
            return;
        }
        let wanted = |key: &str| detection.get(key) != Some(&Value::Bool(false));
        let number = |key: &str, usual| detection.get(key).and_then(Value::as_u64).unwrap_or(usual);
        match (&mut self.audio.speech, loud) {
            (None, false) => {}
            (None, true) => {
                let item_id = self.turns.ids().item("item");
                let prefix = number("prefix_padding_ms", 300);
                let start = self.audio.heard.saturating_sub(WINDOW.saturating_add(prefix));
                let rest =
                    object! { "audio_start_ms": Value::from(start), "item_id": item_id.as_str() };
                self.tell("input_audio_buffer.speech_started", rest);
                self.audio.speech = Some(Speech { item_id, quiet: 0 });
                if wanted("interrupt_response") {
                    self.interrupt("turn_detected");
                }
            }
            (Some(speech), true) => speech.quiet = 0,
            (Some(speech), false) => {
                speech.quiet += WINDOW;
                let enough = number("silence_duration_ms", 500);
                if speech.quiet < enough {
                    return;
                }
                let item_id = std::mem::take(&mut speech.item_id);
                self.audio.speech = None;
                let rest = object! {
                    "audio_end_ms": Value::from(self.audio.heard), "item_id": item_id.as_str(),
                };
                self.tell("input_audio_buffer.speech_stopped", rest);
                self.commit(&item_id);
                if wanted("create_response") && !self.config.is_transcription() {
                    self.respond_to_turn();
                }
            }
        }
    }

    pub(super) fn commit_audio(&mut self) -> Result<(), ApiError> {
        let coding = Coding::new(self.config.at("/audio/input/format"));
        let ms = self.audio.buffered / coding.per_ms();
        if ms < 100 {
            let why = format!(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of \
                 audio, but buffer only has {ms}.00ms of audio."
            );
            return Err(ApiError::invalid_request(why).code("input_audio_buffer_commit_empty"));
        }
        let item_id = match self.audio.speech.take() {
            Some(speech) => speech.item_id,
            None => self.turns.ids().item("item"),
        };
        self.commit(&item_id);
        Ok(())
    }

    /// Makes what is in the buffer an item of the conversation.
    fn commit(&mut self, item_id: &str) {
        let coding = Coding::new(self.config.at("/audio/input/format"));
        let ms = self.audio.buffered / coding.per_ms();
        self.audio.clear();
        let before = self.conversation.last_id();
        let rest = object! { "previous_item_id": before.clone(), "item_id": item_id };
        self.tell("input_audio_buffer.committed", rest);
        let transcribed = !self.config.at("/audio/input/transcription").is_null();
        let transcript = format!("{ms} milliseconds of audio");
        let mut item = json!({
            "id": item_id, "object": "realtime.item", "type": "message", "status": "completed",
            "role": "user", "content": [{ "type": "input_audio", "transcript": null }],
        });
        self.tell_item(before, &item);
        if transcribed {
            if let Some(part) = item.pointer_mut("/content/0") {
                set(part, "transcript", transcript.as_str());
            }
            let delta = object! {
                "item_id": item_id, "content_index": 0_u64, "delta": transcript.as_str(),
            };
            self.tell("conversation.item.input_audio_transcription.delta", delta);
            let usage = json!({ "type": "duration", "seconds": ms.div_ceil(1000) });
            let completed = object! {
                "item_id": item_id, "content_index": 0_u64, "transcript": transcript.as_str(),
                "usage": usage,
            };
            self.tell("conversation.item.input_audio_transcription.completed", completed);
        }
        self.conversation.push(item);
    }
}
