//! [`RealtimeEvent`]: what happened, in the words of Codex.

use super::{RealtimeAudioFrame, made_of, payloads, renamed};
use crate::model::RawJson;

payloads! {
    /// What happened in a realtime conversation, in the words of Codex.
    ///
    /// On the wire an object of one member, named after the variant.
    pub enum RealtimeEvent {
        /// The provider has taken over the settings of the session.
        SessionUpdated(RealtimeSessionUpdated),
        /// The person began to speak.
        InputAudioSpeechStarted(RealtimeInputAudioSpeechStarted),
        /// More of what the person says.
        InputTranscriptDelta(RealtimeTranscriptDelta),
        /// All of what the person said.
        InputTranscriptDone(RealtimeTranscriptDone),
        /// More of what the model says.
        OutputTranscriptDelta(RealtimeTranscriptDelta),
        /// All of what the model said.
        OutputTranscriptDone(RealtimeTranscriptDone),
        /// Audio to play.
        AudioOut(RealtimeAudioFrame),
        /// The model begins to answer.
        ResponseCreated(RealtimeResponse),
        /// The answer was called off.
        ResponseCancelled(RealtimeResponse),
        /// The answer is over.
        ResponseDone(RealtimeResponse),
        /// The conversation has a new item: the provider's own words.
        ConversationItemAdded(
            #[cfg_attr(feature = "schema", schemars(with = "serde_json::Value"))]
            #[cfg_attr(feature = "schema", ts(type = "unknown"))]
            RawJson,
        ),
        /// An item is finished.
        ConversationItemDone(RealtimeItemDone),
        /// The model gives work to the agent behind it.
        HandoffRequested(RealtimeHandoffRequested),
        /// The model chose to say nothing.
        NoopRequested(RealtimeNoopRequested),
        /// Something went wrong: the provider's message.
        Error(String),
    }

    /// The provider has taken over the settings of the session.
    #[derive(Default)]
    #[serde(remote = "Self")]
    #[cfg_attr(feature = "schema", schemars(rename = "RealtimeSessionUpdated"))]
    pub struct RealtimeSessionUpdated {
        /// The provider's id of the session.
        pub realtime_session_id: String,
        /// What the model was told; written as `null` if nothing.
        #[serde(default)]
        pub instructions: Option<String>,
    }

    /// The person began to speak.
    #[derive(Default)]
    pub struct RealtimeInputAudioSpeechStarted {
        /// The item that will hold it; written as `null` if it is not known.
        #[serde(default)]
        pub item_id: Option<String>,
    }

    /// More of a transcript.
    #[derive(Default)]
    pub struct RealtimeTranscriptDelta {
        /// What is added.
        pub delta: String,
    }

    /// A whole transcript.
    #[derive(Default)]
    pub struct RealtimeTranscriptDone {
        /// The text.
        pub text: String,
    }

    /// Names a response.
    #[derive(Default)]
    pub struct RealtimeResponse {
        /// Its id; written as `null` if it is not known.
        #[serde(default)]
        pub response_id: Option<String>,
    }

    /// Names a finished item.
    #[derive(Default)]
    pub struct RealtimeItemDone {
        /// Its id.
        pub item_id: String,
    }

    /// The model gives work to the agent behind it.
    #[derive(Default)]
    pub struct RealtimeHandoffRequested {
        /// The id to answer to.
        pub handoff_id: String,
        /// The item of the request.
        pub item_id: String,
        /// What the person asked for.
        pub input_transcript: String,
        /// What was said since the last time.
        #[serde(default)]
        pub active_transcript: Vec<RealtimeTranscriptEntry>,
    }

    /// What one side said.
    #[derive(Default)]
    pub struct RealtimeTranscriptEntry {
        /// `user` or `assistant`.
        pub role: String,
        /// The words.
        pub text: String,
    }

    /// The model chose to say nothing.
    #[derive(Default)]
    pub struct RealtimeNoopRequested {
        /// The id to answer to.
        pub call_id: String,
        /// The item of the call.
        pub item_id: String,
    }
}

renamed! { RealtimeSessionUpdated: "realtime_session_id" }

made_of! {
    RealtimeSessionUpdated(realtime_session_id: String, instructions: Option<String>);
    RealtimeInputAudioSpeechStarted(item_id: Option<String>);
    RealtimeTranscriptDelta(delta: String);
    RealtimeTranscriptDone(text: String);
    RealtimeResponse(response_id: Option<String>);
    RealtimeItemDone(item_id: String);
    RealtimeHandoffRequested(
        handoff_id: String,
        item_id: String,
        input_transcript: String,
        active_transcript: Vec<RealtimeTranscriptEntry>
    );
    RealtimeTranscriptEntry(role: String, text: String);
    RealtimeNoopRequested(call_id: String, item_id: String);
}
