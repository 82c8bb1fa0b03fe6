//! Items of the conversation itself: messages, reasoning, compactions.

use std::sync::Arc;

use crate::model::macros::{open_enum, wire_struct};
use crate::model::{Content, ContentPart, ItemStatus, RawJson};

open_enum! {
    /// Who speaks.
    pub enum Role {
        /// The person.
        User = "user",
        /// The model.
        Assistant = "assistant",
        /// The platform.
        System = "system",
        /// The application.
        Developer = "developer",
    }
}

open_enum! {
    /// What an assistant message is for.
    pub enum MessagePhase {
        /// Said along the way.
        Commentary = "commentary",
        /// The answer.
        FinalAnswer = "final_answer",
    }
}

wire_struct! {
    /// A message.
    pub struct Message {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// Who speaks.
        required role: Role,
        /// What is said.
        required content: Content,
        /// Set by the server.
        optional status: Option<ItemStatus>,
        /// What an assistant message is for.
        optional phase: Option<MessagePhase>,
        /// Whether the turn ends here (Codex).
        optional end_turn: Option<bool>,
    }
}

impl Message {
    /// A message of `role`.
    #[must_use]
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            id: None,
            role,
            content: content.into(),
            status: None,
            phase: None,
            end_turn: None,
            extra: Default::default(),
        }
    }

    /// All text of the message, concatenated. Refusals are not text.
    #[must_use]
    pub fn text(&self) -> String {
        self.content.text()
    }

    /// The first refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.content.parts().iter().find_map(|part| match part {
            ContentPart::Refusal(refusal) => Some(refusal.refusal.as_str()),
            _ => None,
        })
    }
}

wire_struct! {
    /// A message from one agent to another (Codex).
    #[derive(Default)]
    pub struct AgentMessage {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The sender.
        required author: String,
        /// The receiver.
        required recipient: String,
        /// What is said, usually encrypted.
        required content: Vec<ContentPart>,
    }
}

wire_struct! {
    /// The model's reasoning.
    ///
    /// Built in code, `content` follows the Codex rule: `None` is written as `null`, and a list
    /// without any `reasoning_text` is left out. What was read is written as it came.
    #[derive(Default)]
    pub struct ReasoningItem {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// Summaries for people.
        required summary: Vec<ContentPart>,
        /// The reasoning itself, where the model shows it.
        reasoning_content content: Option<Vec<ContentPart>>,
        /// The reasoning for the server, to be sent back in a stateless conversation.
        nullable encrypted_content: Option<String>,
        /// Set by the server.
        optional status: Option<ItemStatus>,
    }
}

impl ReasoningItem {
    /// The summaries, concatenated.
    #[must_use]
    pub fn summary_text(&self) -> String {
        self.summary.iter().filter_map(ContentPart::text).collect()
    }
}

wire_struct! {
    /// A conversation pressed into text that only the server can read.
    #[derive(Default)]
    pub struct Compaction {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// Opaque.
        required encrypted_content: String,
    }
}

wire_struct! {
    /// Asks the server to compact here; a request control, not history.
    #[derive(Default)]
    pub struct CompactionTrigger {}
}

wire_struct! {
    /// Marks where the context was compacted (Codex).
    #[derive(Default)]
    pub struct ContextCompaction {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// Opaque.
        optional encrypted_content: Option<String>,
    }
}

wire_struct! {
    /// A snapshot of a working tree. Local to old Codex clients; do not send it.
    #[derive(Default)]
    pub struct GhostSnapshot {
        /// The commit.
        required ghost_commit: RawJson,
    }
}

wire_struct! {
    /// Tools that become available in mid-conversation.
    pub struct AdditionalTools {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// Who adds them.
        required role: Role,
        /// Their definitions.
        required tools: Vec<RawJson>,
    }
}

wire_struct! {
    /// Stands for an item that the server has stored.
    pub struct ItemReference {
        /// The item.
        required_id id: Arc<str>,
    }
}

impl ItemReference {
    /// Stands for the item `id`.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), extra: Default::default() }
    }
}
