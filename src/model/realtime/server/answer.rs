//! Events of the model's answer.

use std::sync::Arc;

use crate::model::macros::{open_enum, wire_struct};
use crate::model::realtime::{Content, Item, OutputModality, SessionAudio};
use crate::model::{ApiError, RawJson};

wire_struct! {
    /// The model's answer, as a whole.
    #[derive(Default)]
    pub struct ResponseEvent {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        lenient response: Option<Box<Response>>,
        /// Its id, where the server does not send all of it.
        lenient response_id: Option<Box<str>>,
    }
}

impl ResponseEvent {
    /// The answer's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let within = self.response.as_ref().and_then(|response| response.id.as_deref());
        within.or(self.response_id.as_deref())
    }
}

open_enum! {
    /// How far an answer is.
    pub enum ResponseStatus {
        /// Being made.
        InProgress = "in_progress",
        /// Finished.
        Completed = "completed",
        /// Stopped, by the person or by the application.
        Cancelled = "cancelled",
        /// It did not work.
        Failed = "failed",
        /// Cut short.
        Incomplete = "incomplete",
    }
}

wire_struct! {
    /// The model's answer. Members of an unexpected shape stay in `extra`.
    #[derive(Default)]
    pub struct Response {
        /// Its id.
        lenient id: Option<Box<str>>,
        /// `realtime.response`.
        lenient object: Option<Box<str>>,
        /// How far it is.
        lenient status: Option<ResponseStatus>,
        /// Why it is not completed.
        lenient status_details: Option<StatusDetails>,
        /// What it consists of.
        lenient output: Vec<Item>,
        /// The conversation; none for an answer outside it.
        lenient conversation_id: Option<Box<str>>,
        /// Text or audio.
        lenient output_modalities: Option<Vec<OutputModality>>,
        /// How its audio is coded.
        lenient audio: Option<SessionAudio>,
        /// How long it might have been.
        lenient max_output_tokens: Option<RawJson>,
        /// What it cost.
        lenient usage: Option<RealtimeUsage>,
        /// The caller's own.
        lenient metadata: Option<RawJson>,
    }
}

wire_struct! {
    /// Why an answer is not completed.
    #[derive(Default)]
    pub struct StatusDetails {
        /// The status.
        lenient kind as "type": Option<ResponseStatus>,
        /// `turn_detected`, `client_cancelled`, `max_output_tokens`, `content_filter`.
        lenient reason: Option<Box<str>>,
        /// Why it failed.
        lenient error: Option<ApiError>,
    }
}

wire_struct! {
    /// What an answer cost, in tokens.
    #[derive(Default)]
    pub struct RealtimeUsage {
        /// Input and output.
        lenient total_tokens: u64,
        /// Tokens read, cached ones included.
        lenient input_tokens: u64,
        /// Tokens written.
        lenient output_tokens: u64,
        /// What the input tokens were.
        lenient input_token_details: Option<TokenKinds>,
        /// What the output tokens were.
        lenient output_token_details: Option<TokenKinds>,
    }
}

wire_struct! {
    /// What tokens were of.
    #[derive(Default)]
    pub struct TokenKinds {
        /// Text.
        lenient text_tokens: u64,
        /// Audio.
        lenient audio_tokens: u64,
        /// Images.
        lenient image_tokens: u64,
        /// Read from the prompt cache.
        lenient cached_tokens: u64,
    }
}

wire_struct! {
    /// An item of the answer.
    pub struct OutputItem {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// The item.
        required item: Item,
    }
}

wire_struct! {
    /// A part of a message of the answer. Its `type` may be the short `text` or `audio`.
    pub struct ContentPart {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// Which part of the item.
        lenient content_index: Option<u64>,
        /// The part.
        required part: Content,
    }
}

wire_struct! {
    /// More text.
    #[derive(Default)]
    pub struct TextDelta {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// Which part of the item.
        lenient content_index: Option<u64>,
        /// What is added.
        required delta: String,
    }
}

wire_struct! {
    /// All text of a part.
    #[derive(Default)]
    pub struct TextDone {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// Which part of the item.
        lenient content_index: Option<u64>,
        /// The text.
        required text: String,
    }
}

wire_struct! {
    /// More audio.
    #[derive(Default)]
    pub struct AudioDelta {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// Which part of the item.
        lenient content_index: Option<u64>,
        /// The audio in base64, coded as the session says.
        required audio as "delta": String,
        /// Samples a second, where the server says it.
        lenient sample_rate: Option<u32>,
        /// How many channels there are, where the server says it.
        lenient channels as "channels" | "num_channels": Option<u16>,
        /// How many samples of each channel there are, where the server says it.
        lenient samples_per_channel: Option<u32>,
    }
}

wire_struct! {
    /// More audio (Codex, version 1).
    #[derive(Default)]
    pub struct CodexAudioDelta {
        /// The audio in base64.
        required audio as "delta" | "data": String,
        /// Samples a second.
        required sample_rate: u32,
        /// How many channels there are.
        required channels as "channels" | "num_channels": u16,
        /// How many samples of each channel there are.
        lenient samples_per_channel: Option<u32>,
    }
}

wire_struct! {
    /// The audio of a part is complete.
    #[derive(Default)]
    pub struct AudioDone {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// Which part of the item.
        lenient content_index: Option<u64>,
    }
}

wire_struct! {
    /// All of what the audio says.
    #[derive(Default)]
    pub struct TranscriptDone {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// Which part of the item.
        lenient content_index: Option<u64>,
        /// The text.
        required transcript: String,
    }
}

wire_struct! {
    /// More of a call's arguments.
    #[derive(Default)]
    pub struct ArgumentsDelta {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// The call; of functions only.
        optional_id call_id: Option<Arc<str>>,
        /// What is added.
        required delta: String,
    }
}

wire_struct! {
    /// All of a call's arguments.
    #[derive(Default)]
    pub struct ArgumentsDone {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The answer.
        optional_id response_id: Option<Arc<str>>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
        /// Which item of the answer.
        lenient output_index: Option<u64>,
        /// The call; of functions only.
        optional_id call_id: Option<Arc<str>>,
        /// The function; not of MCP.
        lenient name: Option<Box<str>>,
        /// The arguments as the model wrote them: JSON text, not always well-formed.
        required arguments: String,
    }
}

wire_struct! {
    /// How far an MCP server is.
    #[derive(Default)]
    pub struct McpProgress {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// Which item of the answer; of calls only.
        lenient output_index: Option<u64>,
        /// The item.
        optional_id item_id: Option<Arc<str>>,
    }
}
