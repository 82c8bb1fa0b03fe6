//! [`ClientEvent`]: what is said to the server.

use crate::model::RawJson;
use crate::model::macros::{tagged_enum, wire_struct};

use super::{Item, OutputModality, Session, SessionAudio};
use crate::model::{Tool, ToolChoice};

tagged_enum! {
    /// What is said to the server.
    ///
    /// An `event_id` of the caller's, of up to 512 characters, comes back in the error that the event
    /// causes.
    ///
    /// ```
    /// use tower_openai::model::realtime::ClientEvent;
    ///
    /// assert_eq!(
    ///     serde_json::to_string(&ClientEvent::text("hi"))?,
    ///     r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}}"#
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum ClientEvent {
        /// Changes how the conversation is held.
        SessionUpdate(Box<SessionUpdate>) = "session.update",
        /// Says more, as audio.
        InputAudioBufferAppend(InputAudioBufferAppend) = "input_audio_buffer.append",
        /// Makes what was said a message.
        InputAudioBufferCommit(Bare) = "input_audio_buffer.commit",
        /// Takes back what was said.
        InputAudioBufferClear(Bare) = "input_audio_buffer.clear",
        /// Stops the audio that plays; over WebRTC and SIP only.
        OutputAudioBufferClear(Bare) = "output_audio_buffer.clear",
        /// Adds an item.
        ConversationItemCreate(ConversationItemCreate) = "conversation.item.create",
        /// Asks for an item.
        ConversationItemRetrieve(ItemId) = "conversation.item.retrieve",
        /// Takes an item out.
        ConversationItemDelete(ItemId) = "conversation.item.delete",
        /// Says how much of the model's audio was heard.
        ConversationItemTruncate(ConversationItemTruncate) = "conversation.item.truncate",
        /// Has the model answer.
        ResponseCreate(ResponseCreate) = "response.create",
        /// Stops the model's answer.
        ResponseCancel(ResponseCancel) = "response.cancel",
        /// Changes a transcription session of the beta.
        TranscriptionSessionUpdate(Box<SessionUpdate>) = "transcription_session.update",
        /// Says what the agent behind the voice has done (Codex, version 1).
        ConversationHandoffAppend(ConversationHandoffAppend) = "conversation.handoff.append",
    }
}

wire_struct! {
    /// Changes how the conversation is held.
    #[derive(Default)]
    pub struct SessionUpdate {
        /// What changes.
        required session: Session,
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// Says more, as audio.
    #[derive(Default)]
    pub struct InputAudioBufferAppend {
        /// The audio in base64, at most 15 MiB of it.
        required audio: String,
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// An event that says all by its type.
    #[derive(Default)]
    pub struct Bare {
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// Adds an item.
    pub struct ConversationItemCreate {
        /// The item it comes after: the last one unless it is given, `root` for the beginning.
        optional previous_item_id: Option<Box<str>>,
        /// The item.
        required item: Item,
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// Names an item.
    #[derive(Default)]
    pub struct ItemId {
        /// The item.
        required item_id: String,
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// Says how much of the model's audio was heard.
    #[derive(Default)]
    pub struct ConversationItemTruncate {
        /// The item.
        required item_id: String,
        /// The part; 0.
        required content_index: u64,
        /// What was heard, in milliseconds.
        required audio_end_ms: u64,
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// Has the model answer.
    #[derive(Default)]
    pub struct ResponseCreate {
        /// How it differs from the session.
        optional response: Option<Box<ResponseOptions>>,
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// How one answer differs from the session.
    #[derive(Default)]
    pub struct ResponseOptions {
        /// Text or audio, never both.
        optional output_modalities: Option<Vec<OutputModality>>,
        /// What the model is told.
        optional instructions: Option<String>,
        /// How the audio goes: its `output`.
        optional audio: Option<SessionAudio>,
        /// What the model may call.
        optional tools: Option<Vec<Tool>>,
        /// What it is to call.
        optional tool_choice: Option<ToolChoice>,
        /// Whether it may call several at a time.
        optional parallel_tool_calls: Option<bool>,
        /// How much the model thinks.
        optional reasoning: Option<RawJson>,
        /// How long the answer may be: 1 to 4096 tokens, or `inf`.
        optional max_output_tokens: Option<RawJson>,
        /// `auto`, or `none` for an answer outside the conversation.
        optional conversation: Option<String>,
        /// The caller's own.
        optional metadata: Option<RawJson>,
        /// A stored prompt.
        optional prompt: Option<RawJson>,
        /// What the model reads in place of the conversation.
        optional input: Option<Vec<Item>>,
    }
}

wire_struct! {
    /// Stops the model's answer.
    #[derive(Default)]
    pub struct ResponseCancel {
        /// Which; the one in the conversation unless it is given.
        optional response_id: Option<Box<str>>,
        /// The caller's id of the event.
        optional event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// Says what the agent behind the voice has done (Codex, version 1).
    #[derive(Default)]
    pub struct ConversationHandoffAppend {
        /// The hand-off.
        required handoff_id: String,
        /// What was done.
        required output_text: String,
    }
}

impl ClientEvent {
    /// Changes how the conversation is held.
    #[must_use]
    pub fn session(session: Session) -> Self {
        Self::SessionUpdate(Box::new(SessionUpdate { session, ..SessionUpdate::default() }))
    }

    /// Says more, as audio in base64: samples of 16 bits, 24,000 a second, one channel, unless the
    /// session says otherwise.
    #[must_use]
    pub fn audio(base64: impl Into<String>) -> Self {
        Self::InputAudioBufferAppend(InputAudioBufferAppend {
            audio: base64.into(),
            ..InputAudioBufferAppend::default()
        })
    }

    /// Adds an item.
    #[must_use]
    pub fn item(item: impl Into<Item>) -> Self {
        Self::ConversationItemCreate(ConversationItemCreate {
            previous_item_id: None,
            item: item.into(),
            event_id: None,
            extra: Default::default(),
        })
    }

    /// Adds a message of the person. The model answers it once it is told to:
    /// [`response`](Self::response).
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::item(Item::user(text))
    }

    /// Answers the call `call_id`.
    #[must_use]
    pub fn function_call_output(call_id: impl Into<String>, output: impl Into<String>) -> Self {
        Self::item(Item::function_call_output(call_id, output))
    }

    /// Says what the agent behind the voice has done, as Codex of version 1 words it.
    #[must_use]
    pub fn codex_v1_output(handoff_id: impl Into<String>, output: &str) -> Self {
        Self::ConversationHandoffAppend(ConversationHandoffAppend {
            handoff_id: handoff_id.into(),
            output_text: format!("\"Agent Final Message\":\n\n{output}"),
            ..ConversationHandoffAppend::default()
        })
    }

    /// Has the model answer.
    #[must_use]
    pub fn response() -> Self {
        Self::ResponseCreate(ResponseCreate::default())
    }

    /// Stops the model's answer.
    #[must_use]
    pub fn cancel() -> Self {
        Self::ResponseCancel(ResponseCancel::default())
    }

    /// Makes what was said a message.
    #[must_use]
    pub fn commit() -> Self {
        Self::InputAudioBufferCommit(Bare::default())
    }

    /// Says that of the first part of `item_id` only this much was heard.
    #[must_use]
    pub fn truncate(item_id: impl Into<String>, audio_end_ms: u64) -> Self {
        Self::ConversationItemTruncate(ConversationItemTruncate {
            item_id: item_id.into(),
            audio_end_ms,
            ..ConversationItemTruncate::default()
        })
    }
}
