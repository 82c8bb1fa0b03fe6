//! [`BargeIn`]: cuts the model's words to what was heard of them.

use std::sync::Arc;

use super::{AudioDelta, AudioFormat, ClientEvent, ServerEvent};

/// Cuts the model's words to what was heard of them, when the person speaks into them.
///
/// The model believes that all it said was heard. Once the server notices speech, this gives the
/// `conversation.item.truncate` that puts it right: at what was [heard](Self::heard), if the application
/// says so, else at all that has come, which is Codex's rule. What comes of the item after that counts
/// no more; the application plays no more of it either.
///
/// For sockets: over WebRTC and SIP the server knows what it has played.
///
/// ```
/// use tower_openai::model::realtime::{BargeIn, ServerEvent};
///
/// let mut barge_in = BargeIn::new();
/// // A tenth of a second.
/// let audio = "A".repeat(6_400);
/// let delta = format!(r#"{{"type":"response.output_audio.delta","item_id":"item_1","delta":"{audio}"}}"#);
/// assert!(barge_in.observe(&serde_json::from_str(&delta)?).is_none());
///
/// barge_in.heard(40);
/// let speech: ServerEvent = serde_json::from_str(r#"{"type":"input_audio_buffer.speech_started"}"#)?;
/// assert_eq!(
///     serde_json::to_string(&barge_in.observe(&speech))?,
///     r#"{"type":"conversation.item.truncate","item_id":"item_1","content_index":0,"audio_end_ms":40}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BargeIn {
    bytes_per_sample: u64,
    sample_rate: u32,
    playing: Option<Playing>,
    /// The item that was cut.
    cut: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Playing {
    item_id: Arc<str>,
    micros: u64,
    heard_ms: Option<u64>,
}

impl Default for BargeIn {
    fn default() -> Self {
        Self::new()
    }
}

impl BargeIn {
    /// Of a session whose output is [`AudioFormat::pcm`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes_per_sample: 2,
            sample_rate: AudioFormat::SAMPLE_RATE,
            playing: None,
            cut: None,
        }
    }

    /// Of a session whose output is coded in this way.
    #[must_use]
    pub fn of(format: &AudioFormat) -> Self {
        let (bytes_per_sample, sample_rate) = match format {
            AudioFormat::Pcm(pcm) => (2, pcm.rate.unwrap_or(AudioFormat::SAMPLE_RATE)),
            AudioFormat::Pcmu(_) | AudioFormat::Pcma(_) => (1, 8_000),
            AudioFormat::Unknown(_) => (2, AudioFormat::SAMPLE_RATE),
        };
        Self { bytes_per_sample, sample_rate, ..Self::new() }
    }

    /// So much of the item that plays was heard until now, in milliseconds. More than has come counts
    /// as all of it.
    pub fn heard(&mut self, ms: u64) {
        if let Some(playing) = &mut self.playing {
            playing.heard_ms = Some(ms);
        }
    }

    /// Takes in what the server says: what to send now, if the person speaks into an answer.
    #[must_use = "it is to be sent"]
    pub fn observe(&mut self, event: &ServerEvent) -> Option<ClientEvent> {
        match event {
            ServerEvent::ResponseOutputAudioDelta(delta) => {
                self.play(delta);
                None
            }
            ServerEvent::InputAudioBufferSpeechStarted(_) => {
                let Playing { item_id, micros, heard_ms } = self.playing.take()?;
                let ms = micros / 1000;
                let cut =
                    ClientEvent::truncate(&*item_id, heard_ms.map_or(ms, |heard| heard.min(ms)));
                self.cut = Some(item_id);
                Some(cut)
            }
            _ => None,
        }
    }

    fn play(&mut self, delta: &AudioDelta) {
        let Some(item_id) = &delta.item_id else { return };
        if self.cut.as_ref() == Some(item_id) {
            return;
        }
        let micros = self.micros(delta);
        match &mut self.playing {
            Some(playing) if playing.item_id == *item_id => {
                playing.micros = playing.micros.saturating_add(micros);
            }
            _ => {
                let item_id = Arc::clone(item_id);
                self.playing = Some(Playing { item_id, micros, heard_ms: None });
            }
        }
    }

    /// How long a piece is.
    fn micros(&self, delta: &AudioDelta) -> u64 {
        let samples = match delta.samples_per_channel {
            Some(samples) => u64::from(samples),
            None => {
                let channels = u64::from(delta.channels.unwrap_or(1).max(1));
                decoded_len(&delta.audio) / self.bytes_per_sample / channels
            }
        };
        let rate = delta.sample_rate.unwrap_or(self.sample_rate).max(1);
        samples.saturating_mul(1_000_000) / u64::from(rate)
    }
}

/// How many bytes this base64 is of.
pub(crate) fn decoded_len(base64: &str) -> u64 {
    let signs = base64.trim_end_matches('=').len() as u64;
    signs * 3 / 4
}
