//! The core's operations, and its events other than the provider's.

use super::{RealtimeConversationVersion, RealtimeEvent, Sdp, made_of, payloads, present, renamed};
use crate::model::realtime::{OutputModality, Voice};

payloads! {
    /// An operation of the core, told apart by `type`.
    #[serde(tag = "type", rename_all = "snake_case")]
    pub enum RealtimeOp {
        /// Begins a conversation.
        RealtimeConversationStart(Box<ConversationStartParams>),
        /// Says something, as audio.
        RealtimeConversationAudio(ConversationAudioParams),
        /// Says something, as text.
        RealtimeConversationText(ConversationTextParams),
        /// Ends the conversation.
        RealtimeConversationClose,
        /// Asks which voices there are.
        RealtimeConversationListVoices,
    }

    /// How to begin a conversation.
    #[serde(remote = "Self")]
    #[cfg_attr(feature = "schema", schemars(rename = "ConversationStartParams"))]
    pub struct ConversationStartParams {
        /// What the model answers with.
        pub output_modality: OutputModality,
        /// What to tell the model first. Left out: the default prompt; `null`: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[serde(deserialize_with = "present")]
        #[cfg_attr(feature = "schema", ts(optional = nullable, as = "Option<String>"))]
        pub prompt: Option<Option<String>>,
        /// The id to give the provider's session; the thread's unless it is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub realtime_session_id: Option<String>,
        /// How the audio goes; over a WebSocket unless said otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub transport: Option<ConversationStartTransport>,
        /// The voice of the answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub voice: Option<Voice>,
        /// The model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub model: Option<String>,
        /// The shape of the session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub version: Option<RealtimeConversationVersion>,
    }

    /// How the audio of a conversation goes.
    #[serde(tag = "type", rename_all = "snake_case")]
    pub enum ConversationStartTransport {
        /// Through Codex, over a WebSocket.
        Websocket,
        /// Between the application and the provider, over WebRTC.
        Webrtc {
            /// The application's offer.
            #[cfg_attr(feature = "schema", schemars(with = "String"), ts(as = "String"))]
            sdp: Sdp,
        },
    }

    /// Audio to say.
    pub struct ConversationAudioParams {
        /// The audio.
        pub frame: RealtimeAudioFrame,
    }

    /// Text to say.
    pub struct ConversationTextParams {
        /// The text.
        pub text: String,
    }

    /// A piece of audio: PCM with 16 bits a sample.
    pub struct RealtimeAudioFrame {
        /// The samples, in base64.
        pub data: String,
        /// Samples per second and channel.
        pub sample_rate: u32,
        /// How many channels there are.
        pub num_channels: u16,
        /// How many samples of each channel there are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub samples_per_channel: Option<u32>,
        /// The item that the audio is of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub item_id: Option<String>,
    }

    /// A conversation has begun.
    #[derive(Default)]
    #[serde(remote = "Self")]
    #[cfg_attr(feature = "schema", schemars(rename = "RealtimeConversationStartedEvent"))]
    pub struct RealtimeConversationStartedEvent {
        /// The id that was asked for, which need not be the provider's. Written as `null` if there is
        /// none.
        #[serde(default)]
        pub realtime_session_id: Option<String>,
        /// The shape of the session.
        #[serde(default)]
        pub version: RealtimeConversationVersion,
    }

    /// Something happened in the conversation.
    pub struct RealtimeConversationRealtimeEvent {
        /// What happened.
        pub payload: RealtimeEvent,
    }

    /// The conversation has ended.
    #[derive(Default)]
    pub struct RealtimeConversationClosedEvent {
        /// Why: `requested`, `transport_closed`, `error`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reason: Option<String>,
    }

    /// The provider's answer to a WebRTC offer.
    pub struct RealtimeConversationSdpEvent {
        /// The answer.
        #[cfg_attr(feature = "schema", schemars(with = "String"), ts(as = "String"))]
        pub sdp: Sdp,
    }
}

renamed! {
    ConversationStartParams: "realtime_session_id",
    RealtimeConversationStartedEvent: "realtime_session_id",
}

impl ConversationStartParams {
    /// A conversation with the default prompt, over a WebSocket.
    #[must_use]
    pub fn new(output_modality: OutputModality) -> Self {
        Self {
            output_modality,
            prompt: None,
            realtime_session_id: None,
            transport: None,
            voice: None,
            model: None,
            version: None,
        }
    }
}

impl RealtimeAudioFrame {
    /// Audio in base64.
    #[must_use]
    pub fn new(data: impl Into<String>, sample_rate: u32, num_channels: u16) -> Self {
        Self {
            data: data.into(),
            sample_rate,
            num_channels,
            samples_per_channel: None,
            item_id: None,
        }
    }
}

made_of! {
    ConversationAudioParams(frame: RealtimeAudioFrame);
    ConversationTextParams(text: String);
    RealtimeConversationStartedEvent(
        realtime_session_id: Option<String>,
        version: RealtimeConversationVersion,
    );
    RealtimeConversationRealtimeEvent(payload: RealtimeEvent);
    RealtimeConversationClosedEvent(reason: Option<String>);
    RealtimeConversationSdpEvent(sdp: Sdp);
}
