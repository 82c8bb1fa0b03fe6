//! Events of what the person says.

use std::sync::Arc;

use crate::model::macros::wire_struct;
use crate::model::{ApiError, Logprob, RawJson};

wire_struct! {
    /// More of what the person says.
    #[derive(Default)]
    pub struct TranscriptionDelta {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// The part.
        lenient content_index: Option<u64>,
        /// What is added; without it, there are log probabilities alone.
        optional delta: Option<String>,
        /// Log probabilities, when they were asked for.
        lenient logprobs: Option<Vec<Logprob>>,
    }
}

wire_struct! {
    /// All of what the person said.
    #[derive(Default)]
    pub struct TranscriptionCompleted {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// The part.
        lenient content_index: Option<u64>,
        /// The text.
        required transcript: String,
        /// What it cost, in tokens or by time.
        lenient usage: Option<RawJson>,
        /// The languages that were heard.
        lenient languages: Option<RawJson>,
        /// Log probabilities, when they were asked for.
        lenient logprobs: Option<Vec<Logprob>>,
    }
}

wire_struct! {
    /// A piece of what was said, and who said it.
    #[derive(Default)]
    pub struct TranscriptionSegment {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// The part.
        lenient content_index: Option<u64>,
        /// The segment.
        lenient id: Option<Box<str>>,
        /// The text.
        required text: String,
        /// Who said it.
        lenient speaker: Option<Box<str>>,
        /// When it begins, in seconds.
        lenient start: Option<serde_json::Number>,
        /// When it ends, in seconds.
        lenient end: Option<serde_json::Number>,
    }
}

wire_struct! {
    /// What the person said could not be written down.
    #[derive(Default)]
    pub struct TranscriptionFailed {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// The part.
        lenient content_index: Option<u64>,
        /// Why.
        required error: ApiError,
    }
}

wire_struct! {
    /// What was said is a message now.
    #[derive(Default)]
    pub struct InputCommitted {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The message before it; `null` for the first.
        optional previous_item_id: Option<Box<str>>,
        /// The message.
        optional_id item_id: Option<Arc<str>>,
    }
}

wire_struct! {
    /// The person began to speak.
    #[derive(Default)]
    pub struct SpeechStarted {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// When, in milliseconds of all audio that was sent.
        lenient audio_start_ms: Option<u64>,
        /// The message that it will be.
        optional_id item_id: Option<Arc<str>>,
    }
}

wire_struct! {
    /// The person ended.
    #[derive(Default)]
    pub struct SpeechStopped {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// When, in milliseconds of all audio that was sent.
        lenient audio_end_ms: Option<u64>,
        /// The message that it will be.
        optional_id item_id: Option<Arc<str>>,
    }
}

wire_struct! {
    /// Nobody has spoken for a while.
    #[derive(Default)]
    pub struct TimeoutTriggered {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// From here, in milliseconds of all audio that was sent.
        lenient audio_start_ms: Option<u64>,
        /// To here.
        lenient audio_end_ms: Option<u64>,
        /// The message that was made of it.
        optional_id item_id: Option<Arc<str>>,
    }
}

wire_struct! {
    /// A key of a telephone.
    #[derive(Default)]
    pub struct DtmfReceived {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The key.
        required event: String,
        /// When, in seconds since 1970.
        lenient received_at: Option<i64>,
    }
}

wire_struct! {
    /// Names a response.
    #[derive(Default)]
    pub struct ResponseId {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The response.
        optional_id response_id: Option<Arc<str>>,
    }
}

wire_struct! {
    /// More of what the person or the model says (Codex, version 1).
    #[derive(Default)]
    pub struct CodexTranscriptDelta {
        /// What is added.
        required delta: String,
    }
}

wire_struct! {
    /// All of what the person said (Codex, version 1).
    #[derive(Default)]
    pub struct CodexTurnMarked {
        /// The text.
        required transcript: String,
    }
}

wire_struct! {
    /// The model gives work to the agent behind it (Codex, version 1).
    #[derive(Default)]
    pub struct CodexHandoff {
        /// The id to answer to.
        required handoff_id: String,
        /// The item of the request.
        required item_id: String,
        /// What the person asked for.
        required input_transcript: String,
    }
}
