//! The app server's requests and notifications, protocol version 2.
//!
//! All of them are experimental there: a client says `experimentalApi` when it introduces itself.

use super::{
    RealtimeAudioFrame, RealtimeConversationVersion, Sdp, made_of, payloads, present, renamed,
};
use crate::model::RawJson;
use crate::model::realtime::{OutputModality, Voice};

/// An enum of payloads told apart by the method of JSON-RPC.
macro_rules! methods {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$arm_meta:meta])* $arm:ident($params:ident) = $method:tt,)+
        }
    ) => {
        payloads! {
            $(#[$meta])*
            #[serde(tag = "method", content = "params")]
            pub enum $name {
                $(
                    $(#[$arm_meta])*
                    #[doc = concat!("\n\nIts method: `", $method, "`.")]
                    #[serde(rename = $method)]
                    $arm($params),
                )+
            }
        }

        impl $name {
            /// The JSON-RPC method.
            #[must_use]
            pub fn method(&self) -> &'static str {
                match self {
                    $(Self::$arm(_) => $method,)+
                }
            }
        }

        $(
            impl From<$params> for $name {
                fn from(params: $params) -> Self {
                    Self::$arm(params)
                }
            }
        )+
    };
}

methods! {
    /// A request to the app server: `method` and `params` of a JSON-RPC request, which the caller
    /// puts beside its `id`.
    ///
    /// The answer to each is an object without members, but for `thread/realtime/listVoices`, which
    /// `ThreadRealtimeListVoicesResponse` answers.
    pub enum RealtimeRequest {
        /// Begins a conversation.
        Start(ThreadRealtimeStartParams) = "thread/realtime/start",
        /// Says something, as audio.
        AppendAudio(ThreadRealtimeAppendAudioParams) = "thread/realtime/appendAudio",
        /// Says something, as text.
        AppendText(ThreadRealtimeAppendTextParams) = "thread/realtime/appendText",
        /// Ends the conversation.
        Stop(ThreadRealtimeStopParams) = "thread/realtime/stop",
        /// Asks which voices there are.
        ListVoices(ThreadRealtimeListVoicesParams) = "thread/realtime/listVoices",
    }
}

methods! {
    /// What the app server says of a conversation: `method` and `params` of a JSON-RPC notification.
    pub enum RealtimeNotification {
        /// The conversation has begun.
        Started(ThreadRealtimeStartedNotification) = "thread/realtime/started",
        /// The conversation has a new item.
        ItemAdded(ThreadRealtimeItemAddedNotification) = "thread/realtime/itemAdded",
        /// More of what somebody says.
        TranscriptDelta(ThreadRealtimeTranscriptDeltaNotification) = "thread/realtime/transcript/delta",
        /// All of what somebody said.
        TranscriptDone(ThreadRealtimeTranscriptDoneNotification) = "thread/realtime/transcript/done",
        /// Audio to play.
        OutputAudioDelta(ThreadRealtimeOutputAudioDeltaNotification) = "thread/realtime/outputAudio/delta",
        /// The provider's answer to a WebRTC offer.
        Sdp(ThreadRealtimeSdpNotification) = "thread/realtime/sdp",
        /// Something went wrong, or the conversation did not begin.
        Error(ThreadRealtimeErrorNotification) = "thread/realtime/error",
        /// The conversation has ended.
        Closed(ThreadRealtimeClosedNotification) = "thread/realtime/closed",
    }
}

payloads! {
    /// How to begin a conversation. Empty members other than `prompt` are written as `null`.
    #[serde(remote = "Self")]
    #[cfg_attr(feature = "schema", schemars(rename = "ThreadRealtimeStartParams"))]
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeStartParams {
        /// The thread that the conversation belongs to.
        pub thread_id: String,
        /// What the model answers with.
        pub output_modality: OutputModality,
        /// What to tell the model first. Left out: the default prompt; `null`: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[serde(deserialize_with = "present")]
        #[cfg_attr(feature = "schema", ts(optional = nullable, as = "Option<String>"))]
        pub prompt: Option<Option<String>>,
        /// The id to give the provider's session; the thread's unless it is given.
        #[serde(default)]
        #[cfg_attr(feature = "schema", ts(optional = nullable))]
        pub realtime_session_id: Option<String>,
        /// How the audio goes; over a WebSocket unless said otherwise.
        #[serde(default)]
        #[cfg_attr(feature = "schema", ts(optional = nullable))]
        pub transport: Option<ThreadRealtimeStartTransport>,
        /// The voice of the answers.
        #[serde(default)]
        #[cfg_attr(feature = "schema", ts(optional = nullable))]
        pub voice: Option<Voice>,
        /// The model.
        #[serde(default)]
        #[cfg_attr(feature = "schema", ts(optional = nullable))]
        pub model: Option<String>,
        /// The shape of the session.
        #[serde(default)]
        #[cfg_attr(feature = "schema", ts(optional = nullable))]
        pub version: Option<RealtimeConversationVersion>,
    }

    /// How the audio of a conversation goes.
    #[serde(tag = "type", rename_all = "camelCase")]
    pub enum ThreadRealtimeStartTransport {
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
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeAppendAudioParams {
        /// The thread of the conversation.
        pub thread_id: String,
        /// The audio.
        pub audio: ThreadRealtimeAudioChunk,
    }

    /// Text to say.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeAppendTextParams {
        /// The thread of the conversation.
        pub thread_id: String,
        /// The text.
        pub text: String,
    }

    /// Which conversation to end.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeStopParams {
        /// Its thread.
        pub thread_id: String,
    }

    /// Asks for all voices.
    #[derive(Default)]
    pub struct ThreadRealtimeListVoicesParams {}

    /// The answer to `thread/realtime/listVoices`.
    #[derive(Default)]
    pub struct ThreadRealtimeListVoicesResponse {
        /// The voices.
        pub voices: RealtimeVoicesList,
    }

    /// Which voices there are.
    #[serde(rename_all = "camelCase")]
    pub struct RealtimeVoicesList {
        /// Those of sessions of version 1.
        pub v1: Vec<Voice>,
        /// Those of sessions of version 2.
        pub v2: Vec<Voice>,
        /// The one of version 1 unless another is asked for.
        pub default_v1: Voice,
        /// The one of version 2 unless another is asked for.
        pub default_v2: Voice,
    }

    /// A piece of audio: PCM with 16 bits a sample. Empty members are written as `null`.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeAudioChunk {
        /// The samples, in base64.
        pub data: String,
        /// Samples per second and channel.
        pub sample_rate: u32,
        /// How many channels there are.
        pub num_channels: u16,
        /// How many samples of each channel there are.
        #[serde(default)]
        pub samples_per_channel: Option<u32>,
        /// The item that the audio is of.
        #[serde(default)]
        pub item_id: Option<String>,
    }

    /// The conversation has begun.
    #[serde(remote = "Self")]
    #[cfg_attr(feature = "schema", schemars(rename = "ThreadRealtimeStartedNotification"))]
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeStartedNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// The id that was asked for, which need not be the provider's. Written as `null` if there is
        /// none.
        #[serde(default)]
        pub realtime_session_id: Option<String>,
        /// The shape of the session.
        pub version: RealtimeConversationVersion,
    }

    /// The conversation has a new item.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeItemAddedNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// The item: the provider's, or one that Codex made of an event, such as
        /// `{"type":"handoff_request",…}`.
        #[cfg_attr(feature = "schema", schemars(with = "serde_json::Value"))]
        #[cfg_attr(feature = "schema", ts(type = "unknown"))]
        pub item: RawJson,
    }

    /// More of what somebody says.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeTranscriptDeltaNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// `user` or `assistant`.
        pub role: String,
        /// What is added.
        pub delta: String,
    }

    /// All of what somebody said.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeTranscriptDoneNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// `user` or `assistant`.
        pub role: String,
        /// The text.
        pub text: String,
    }

    /// Audio to play.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeOutputAudioDeltaNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// The audio.
        pub audio: ThreadRealtimeAudioChunk,
    }

    /// The provider's answer to a WebRTC offer.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeSdpNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// The answer.
        #[cfg_attr(feature = "schema", schemars(with = "String"), ts(as = "String"))]
        pub sdp: Sdp,
    }

    /// Something went wrong.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeErrorNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// What, for people.
        pub message: String,
    }

    /// The conversation has ended.
    #[serde(rename_all = "camelCase")]
    pub struct ThreadRealtimeClosedNotification {
        /// The thread of the conversation.
        pub thread_id: String,
        /// Why: `requested`, `transport_closed`, `error`. Written as `null` if it is not known.
        #[serde(default)]
        pub reason: Option<String>,
    }
}

renamed! {
    ThreadRealtimeStartParams: "realtimeSessionId",
    ThreadRealtimeStartedNotification: "realtimeSessionId",
}

impl ThreadRealtimeStartParams {
    /// A conversation with the default prompt, over a WebSocket.
    #[must_use]
    pub fn new(thread_id: impl Into<String>, output_modality: OutputModality) -> Self {
        Self {
            thread_id: thread_id.into(),
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

impl Default for RealtimeVoicesList {
    /// All voices that this crate knows.
    fn default() -> Self {
        Self {
            v1: Voice::V1.into(),
            v2: Voice::V2.into(),
            default_v1: Voice::DEFAULT_V1,
            default_v2: Voice::DEFAULT_V2,
        }
    }
}

impl From<RealtimeAudioFrame> for ThreadRealtimeAudioChunk {
    fn from(frame: RealtimeAudioFrame) -> Self {
        Self {
            data: frame.data,
            sample_rate: frame.sample_rate,
            num_channels: frame.num_channels,
            samples_per_channel: frame.samples_per_channel,
            item_id: frame.item_id,
        }
    }
}

impl From<ThreadRealtimeAudioChunk> for RealtimeAudioFrame {
    fn from(chunk: ThreadRealtimeAudioChunk) -> Self {
        Self {
            data: chunk.data,
            sample_rate: chunk.sample_rate,
            num_channels: chunk.num_channels,
            samples_per_channel: chunk.samples_per_channel,
            item_id: chunk.item_id,
        }
    }
}

made_of! {
    ThreadRealtimeAppendAudioParams(thread_id: String, audio: ThreadRealtimeAudioChunk);
    ThreadRealtimeAppendTextParams(thread_id: String, text: String);
    ThreadRealtimeStopParams(thread_id: String);
    ThreadRealtimeListVoicesResponse(voices: RealtimeVoicesList);
    ThreadRealtimeStartedNotification(
        thread_id: String,
        realtime_session_id: Option<String>,
        version: RealtimeConversationVersion,
    );
    ThreadRealtimeItemAddedNotification(thread_id: String, item: RawJson);
    ThreadRealtimeTranscriptDeltaNotification(thread_id: String, role: String, delta: String);
    ThreadRealtimeTranscriptDoneNotification(thread_id: String, role: String, text: String);
    ThreadRealtimeOutputAudioDeltaNotification(thread_id: String, audio: ThreadRealtimeAudioChunk);
    ThreadRealtimeSdpNotification(thread_id: String, sdp: Sdp);
    ThreadRealtimeErrorNotification(thread_id: String, message: String);
    ThreadRealtimeClosedNotification(thread_id: String, reason: Option<String>);
}
