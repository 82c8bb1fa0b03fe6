//! [`Session`]: how a conversation is held.

use crate::model::macros::{open_enum, tagged_enum, wire_struct};
use crate::model::{FunctionTool, RawJson, Schema, Tool, ToolChoice};

use super::{OutputModality, Voice};

open_enum! {
    /// What a session is for.
    pub enum SessionKind {
        /// A conversation.
        Realtime = "realtime",
        /// Transcripts of what is said, and no answers.
        Transcription = "transcription",
        /// A conversation of Codex, version 1.
        Quicksilver = "quicksilver",
    }
}

wire_struct! {
    /// How a conversation is held: what is sent to change it, and what the server says of it.
    ///
    /// An update changes what is there and leaves the rest: instructions of `""` clear the
    /// instructions, tools of `[]` the tools. The voice stays once the model has spoken, and the model
    /// for the life of the session. A member of an unexpected shape, such as the flat ones of the beta,
    /// reads as `None` and stays in `extra`.
    ///
    /// ```
    /// use tower_openai::model::realtime::{Session, Voice};
    ///
    /// let session = Session::new().instructions("Be brief.").voice(Voice::Marin);
    /// assert_eq!(
    ///     serde_json::to_string(&session)?,
    ///     r#"{"type":"realtime","instructions":"Be brief.","audio":{"output":{"voice":"marin"}}}"#
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[derive(Default)]
    pub struct Session {
        /// What it is for; the public API wants it of every update.
        lenient kind as "type": Option<SessionKind>,
        /// Set by the server.
        lenient id: Option<Box<str>>,
        /// Set by the server.
        lenient object: Option<Box<str>>,
        /// The model.
        lenient model: Option<String>,
        /// What the model is told.
        lenient instructions: Option<String>,
        /// Text or audio, never both.
        lenient output_modalities: Option<Vec<OutputModality>>,
        /// How audio comes and goes.
        lenient audio: Option<SessionAudio>,
        /// What the model may call.
        lenient tools: Option<Vec<Tool>>,
        /// What it is to call.
        lenient tool_choice: Option<ToolChoice>,
        /// Whether it may call several at a time.
        lenient parallel_tool_calls: Option<bool>,
        /// How long an answer may be: 1 to 4096 tokens, or `inf`.
        lenient max_output_tokens: Option<RawJson>,
        /// How much the model thinks.
        lenient reasoning: Option<RawJson>,
        /// A stored prompt.
        lenient prompt: Option<RawJson>,
        /// What is dropped once the conversation is too long.
        lenient truncation: Option<RawJson>,
        /// Where the trace of the session goes.
        lenient tracing: Option<RawJson>,
        /// What to add to the events, such as `item.input_audio_transcription.logprobs`.
        lenient include: Option<Vec<String>>,
        /// When the session ends, in seconds since 1970; set by the server.
        lenient expires_at: Option<i64>,
    }
}

wire_struct! {
    /// How audio comes and goes.
    #[derive(Default)]
    pub struct SessionAudio {
        /// What the person says.
        lenient input: Option<AudioInput>,
        /// What the model says.
        lenient output: Option<AudioOutput>,
    }
}

wire_struct! {
    /// What the person says.
    #[derive(Default)]
    pub struct AudioInput {
        /// How it is coded.
        lenient format: Option<AudioFormat>,
        /// Which noise is taken out.
        lenient noise_reduction: Option<NoiseReduction>,
        /// What writes it down.
        lenient transcription: Option<Transcription>,
        /// What tells that the person is done. See also
        /// [`without_turn_detection`](Self::without_turn_detection).
        lenient turn_detection: Option<TurnDetection>,
    }
}

wire_struct! {
    /// What the model says.
    #[derive(Default)]
    pub struct AudioOutput {
        /// How it is coded.
        lenient format: Option<AudioFormat>,
        /// Whose voice it is.
        lenient voice: Option<Voice>,
        /// How fast: 0.25 to 1.5.
        lenient speed: Option<serde_json::Number>,
    }
}

tagged_enum! {
    /// How audio is coded.
    pub enum AudioFormat {
        /// Samples of 16 bits, little end first. The API takes 24,000 a second, one channel.
        Pcm(PcmFormat) = "audio/pcm",
        /// G.711, µ-law.
        Pcmu(G711Format) = "audio/pcmu",
        /// G.711, A-law.
        Pcma(G711Format) = "audio/pcma",
    }
}

wire_struct! {
    /// Samples of 16 bits, little end first.
    #[derive(Default)]
    pub struct PcmFormat {
        /// Samples a second.
        optional rate: Option<u32>,
    }
}

wire_struct! {
    /// G.711 has no parameters.
    #[derive(Default)]
    pub struct G711Format {}
}

impl AudioFormat {
    /// How many samples a second the API takes and gives.
    pub const SAMPLE_RATE: u32 = 24_000;

    /// Samples of 16 bits, 24,000 a second.
    #[must_use]
    pub fn pcm() -> Self {
        Self::Pcm(PcmFormat { rate: Some(Self::SAMPLE_RATE), ..PcmFormat::default() })
    }
}

open_enum! {
    /// How far away the microphone is.
    pub enum MicrophoneDistance {
        /// Headphones.
        NearField = "near_field",
        /// A laptop, or a room.
        FarField = "far_field",
    }
}

wire_struct! {
    /// Which noise is taken out.
    pub struct NoiseReduction {
        /// How far away the microphone is.
        required kind as "type": MicrophoneDistance,
    }
}

wire_struct! {
    /// What writes down what the person says.
    #[derive(Default)]
    pub struct Transcription {
        /// The model.
        optional model: Option<String>,
        /// What language to expect, such as `en`.
        optional language: Option<String>,
        /// Words to expect.
        optional prompt: Option<String>,
    }
}

tagged_enum! {
    /// What tells that the person is done.
    pub enum TurnDetection {
        /// Silence.
        ServerVad(ServerVad) = "server_vad",
        /// The sense of what was said.
        SemanticVad(SemanticVad) = "semantic_vad",
    }
}

wire_struct! {
    /// Silence tells that the person is done.
    #[derive(Default)]
    pub struct ServerVad {
        /// Whether speech stops the model's answer.
        optional interrupt_response: Option<bool>,
        /// Whether the model answers by itself.
        optional create_response: Option<bool>,
        /// How long the silence must be; the server's default is 500 ms.
        optional silence_duration_ms: Option<u32>,
        /// How much from before the speech is kept; the server's default is 300 ms.
        optional prefix_padding_ms: Option<u32>,
        /// How loud speech must be, 0 to 1; the server's default is 0.5.
        optional threshold: Option<serde_json::Number>,
        /// After how much silence the model speaks by itself: 5,000 to 30,000 ms.
        optional idle_timeout_ms: Option<u32>,
    }
}

wire_struct! {
    /// The sense of what was said tells that the person is done.
    #[derive(Default)]
    pub struct SemanticVad {
        /// Whether speech stops the model's answer.
        optional interrupt_response: Option<bool>,
        /// Whether the model answers by itself.
        optional create_response: Option<bool>,
        /// How soon: `low`, `medium`, `high`, `auto`.
        optional eagerness: Option<String>,
    }
}

impl AudioInput {
    /// The person tells by hand when they are done: an update with this turns detection off, where
    /// one without the member leaves it as it is.
    #[must_use]
    pub fn without_turn_detection(mut self) -> Self {
        self.turn_detection = None;
        self.extra.set_raw("turn_detection", RawJson::default());
        self
    }

    /// What the person says is not written down; as
    /// [`without_turn_detection`](Self::without_turn_detection).
    #[must_use]
    pub fn without_transcription(mut self) -> Self {
        self.transcription = None;
        self.extra.set_raw("transcription", RawJson::default());
        self
    }

    /// No noise is taken out; as [`without_turn_detection`](Self::without_turn_detection).
    #[must_use]
    pub fn without_noise_reduction(mut self) -> Self {
        self.noise_reduction = None;
        self.extra.set_raw("noise_reduction", RawJson::default());
        self
    }
}

/// What the tools of a Codex session tell the model.
///
/// They are the product's words, so they are the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodexTools {
    /// Of `background_agent`, which gives work to the agent behind the voice.
    pub background_agent: String,
    /// Of its one argument, `prompt`; left out if empty.
    pub background_agent_prompt: String,
    /// Of `remain_silent`, which says nothing.
    pub remain_silent: String,
}

impl CodexTools {
    /// These descriptions.
    #[must_use]
    pub fn new(background_agent: impl Into<String>, remain_silent: impl Into<String>) -> Self {
        Self {
            background_agent: background_agent.into(),
            remain_silent: remain_silent.into(),
            ..Self::default()
        }
    }

    /// The name of the tool that gives work to the agent.
    pub const BACKGROUND_AGENT: &str = "background_agent";
    /// The name of the tool that says nothing.
    pub const REMAIN_SILENT: &str = "remain_silent";

    fn tools(&self) -> Vec<Tool> {
        let prompt = match self.background_agent_prompt.as_str() {
            "" => Schema::string(),
            text => Schema::string().description(text),
        };
        let tool = |name, description: &str, parameters| -> Tool {
            FunctionTool::new(name, description).parameters(parameters).into()
        };
        vec![
            tool(
                Self::BACKGROUND_AGENT,
                &self.background_agent,
                Schema::object().property("prompt", prompt).closed(),
            ),
            tool(Self::REMAIN_SILENT, &self.remain_silent, Schema::object().closed()),
        ]
    }
}

impl Session {
    /// A conversation with the server's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::of(SessionKind::Realtime)
    }

    /// Transcripts of what is said, and no answers.
    #[must_use]
    pub fn transcription() -> Self {
        Self::of(SessionKind::Transcription)
    }

    fn of(kind: SessionKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Codex, version 1: it always converses, by voice.
    #[must_use]
    pub fn codex_v1(instructions: impl Into<String>, voice: Voice) -> Self {
        let mut session = Self::of(SessionKind::Quicksilver).instructions(instructions);
        let input = session.audio_mut().input.get_or_insert_default();
        input.format = Some(AudioFormat::pcm());
        session.voice(voice)
    }

    /// Codex, version 2: a conversation, with the two tools of Codex.
    #[must_use]
    pub fn codex_v2(
        instructions: impl Into<String>,
        modality: OutputModality,
        voice: Voice,
        tools: &CodexTools,
    ) -> Self {
        let mut session = Self::new().instructions(instructions);
        session.output_modalities = Some(vec![modality]);
        let audio = session.audio_mut();
        let input = audio.input.insert(Self::codex_input());
        input.noise_reduction =
            Some(NoiseReduction { kind: MicrophoneDistance::NearField, extra: Default::default() });
        input.turn_detection = Some(TurnDetection::ServerVad(ServerVad {
            interrupt_response: Some(true),
            create_response: Some(true),
            silence_duration_ms: Some(500),
            ..ServerVad::default()
        }));
        audio.output.get_or_insert_default().format = Some(AudioFormat::pcm());
        session.tools = Some(tools.tools());
        session.tool_choice = Some(ToolChoice::Auto);
        session.voice(voice)
    }

    /// Codex, version 2: transcripts only. There are no instructions, voice or tools in it.
    #[must_use]
    pub fn codex_transcription() -> Self {
        let mut session = Self::transcription();
        session.audio_mut().input = Some(Self::codex_input());
        session
    }

    fn codex_input() -> AudioInput {
        AudioInput {
            format: Some(AudioFormat::pcm()),
            transcription: Some(Transcription {
                model: Some("gpt-4o-mini-transcribe".into()),
                ..Transcription::default()
            }),
            ..AudioInput::default()
        }
    }

    /// Sets what the model is told.
    #[must_use]
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.instructions = Some(text.into());
        self
    }

    /// Sets whether the model answers with text or audio.
    #[must_use]
    pub fn output_modality(mut self, modality: OutputModality) -> Self {
        self.output_modalities = Some(vec![modality]);
        self
    }

    /// Sets the model's voice.
    #[must_use]
    pub fn voice(mut self, voice: Voice) -> Self {
        self.audio_mut().output.get_or_insert_default().voice = Some(voice);
        self
    }

    /// Sets what the model may call.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = Tool>) -> Self {
        self.tools = Some(tools.into_iter().collect());
        self
    }

    /// Sets how what the person says comes, and what is made of it.
    #[must_use]
    pub fn audio_input(mut self, input: AudioInput) -> Self {
        self.audio_mut().input = Some(input);
        self
    }

    fn audio_mut(&mut self) -> &mut SessionAudio {
        self.audio.get_or_insert_default()
    }
}
