//! What the fields of a request are made of.

use serde::{Deserialize, Serialize};

use crate::model::RawJson;
use crate::model::macros::{open_enum, tagged_enum, wire_struct};

wire_struct! {
    /// How the model reasons.
    #[derive(Default)]
    pub struct Reasoning {
        /// How much.
        optional effort: Option<ReasoningEffort>,
        /// Whether and how it is summarised.
        optional summary: Option<ReasoningSummary>,
        /// Which turns' reasoning the model sees (Codex).
        optional context: Option<ReasoningContext>,
        /// The kind of reasoning.
        optional mode: Option<ReasoningMode>,
        /// Older form of `summary`.
        optional generate_summary: Option<ReasoningSummary>,
    }
}

impl Reasoning {
    /// Reasoning of this effort.
    #[must_use]
    pub fn effort(effort: ReasoningEffort) -> Self {
        Self { effort: Some(effort), ..Self::default() }
    }

    /// Sets whether and how it is summarised.
    ///
    /// ```
    /// use tower_openai::model::{Reasoning, ReasoningEffort, ReasoningSummary};
    /// use tower_openai::services::ResponsesRequest;
    ///
    /// let reasoning = Reasoning::effort(ReasoningEffort::High).summary(ReasoningSummary::Auto);
    /// let request = ResponsesRequest::new("gpt-5.2", "Why is the sky blue?").reasoning(reasoning);
    /// // With nothing else to say, the effort is enough.
    /// let request = request.reasoning(ReasoningEffort::Low);
    /// # let _ = request;
    /// ```
    #[must_use]
    pub fn summary(mut self, summary: ReasoningSummary) -> Self {
        self.summary = Some(summary);
        self
    }
}

impl From<ReasoningEffort> for Reasoning {
    fn from(effort: ReasoningEffort) -> Self {
        Self::effort(effort)
    }
}

open_enum! {
    /// How much the model reasons, from none to the most. A model takes some of these only.
    pub enum ReasoningEffort {
        /// None: the answer begins at once.
        None = "none",
        /// The least there is above none.
        Minimal = "minimal",
        /// Little: the answer comes sooner and costs less.
        Low = "low",
        /// Between low and high.
        Medium = "medium",
        /// Much: the answer comes later and costs more.
        High = "high",
        /// Above high; of some models only.
        XHigh = "xhigh",
        /// The most there is; of some models only.
        Max = "max",
    }
}

open_enum! {
    /// How reasoning is summarised.
    pub enum ReasoningSummary {
        /// The server decides.
        Auto = "auto",
        /// In few words.
        Concise = "concise",
        /// At length.
        Detailed = "detailed",
        /// Not at all. Servers may want the field left out instead.
        None = "none",
    }
}

open_enum! {
    /// Which turns' reasoning the model sees.
    pub enum ReasoningContext {
        /// The server decides.
        Auto = "auto",
        /// This one's.
        CurrentTurn = "current_turn",
        /// All of them.
        AllTurns = "all_turns",
    }
}

open_enum! {
    /// The kind of reasoning.
    pub enum ReasoningMode {
        /// The usual kind.
        Standard = "standard",
        /// The thorough kind.
        Pro = "pro",
    }
}

wire_struct! {
    /// The form of the text.
    #[derive(Default)]
    pub struct TextControls {
        /// How wordy.
        optional verbosity: Option<Verbosity>,
        /// Free text or JSON.
        optional format: Option<TextFormat>,
    }
}

impl TextControls {
    /// Text of this form.
    #[must_use]
    pub fn format(format: TextFormat) -> Self {
        Self { format: Some(format), ..Self::default() }
    }

    /// Sets how wordy it is.
    ///
    /// ```
    /// use tower_openai::model::{Schema, TextControls, TextFormat, Verbosity};
    /// use tower_openai::services::ResponsesRequest;
    ///
    /// let schema = Schema::object().property("steps", Schema::array(Schema::string())).closed();
    /// let format = TextFormat::json_schema("recipe", schema);
    /// let request = ResponsesRequest::new("gpt-5.2", "How do I boil an egg?")
    ///     .text(TextControls::format(format).verbosity(Verbosity::Low));
    /// # let _ = request;
    /// ```
    #[must_use]
    pub fn verbosity(mut self, verbosity: Verbosity) -> Self {
        self.verbosity = Some(verbosity);
        self
    }
}

impl From<TextFormat> for TextControls {
    fn from(format: TextFormat) -> Self {
        Self::format(format)
    }
}

impl From<Verbosity> for TextControls {
    fn from(verbosity: Verbosity) -> Self {
        Self::default().verbosity(verbosity)
    }
}

open_enum! {
    /// How wordy the text is.
    pub enum Verbosity {
        /// Short.
        Low = "low",
        /// The usual.
        Medium = "medium",
        /// Long.
        High = "high",
    }
}

tagged_enum! {
    /// Free text or JSON.
    pub enum TextFormat {
        /// Free text.
        Text(PlainText) = "text",
        /// Some JSON object.
        JsonObject(JsonObject) = "json_object",
        /// JSON that follows a schema.
        JsonSchema(Box<JsonSchema>) = "json_schema",
    }
}

impl TextFormat {
    /// JSON that follows `schema` strictly. The server refuses one that leaves an object open: see
    /// [`Schema::closed`](crate::model::Schema::closed). The answer is read with
    /// [`Response::parse`](crate::model::Response::parse).
    #[must_use]
    pub fn json_schema(name: impl Into<String>, schema: impl Into<RawJson>) -> Self {
        Self::JsonSchema(Box::new(JsonSchema {
            strict: Some(true),
            schema: schema.into(),
            name: name.into(),
            ..JsonSchema::default()
        }))
    }
}

wire_struct! {
    /// The format of free text.
    #[derive(Default)]
    pub struct PlainText {}
}

wire_struct! {
    /// The format of some JSON object.
    #[derive(Default)]
    pub struct JsonObject {}
}

wire_struct! {
    /// The format of JSON that follows a schema.
    #[derive(Default)]
    pub struct JsonSchema {
        /// Whether the schema is enforced.
        optional strict: Option<bool>,
        /// The JSON schema.
        required schema: RawJson,
        /// A name for the model.
        required name: String,
        /// What the JSON is for.
        optional description: Option<String>,
    }
}

wire_struct! {
    /// How a stream is written.
    #[derive(Default)]
    pub struct StreamOptions {
        /// Whether deltas are padded to hide their length. Typed events drop the padding.
        optional include_obfuscation: Option<bool>,
        /// How reasoning summaries arrive (Codex): `sequential_cutoff`.
        optional reasoning_summary_delivery: Option<String>,
    }
}

open_enum! {
    /// What a response should hold in addition.
    pub enum Include {
        /// The hits of file searches.
        FileSearchResults = "file_search_call.results",
        /// The hits of web searches.
        WebSearchResults = "web_search_call.results",
        /// Where web searches looked.
        WebSearchSources = "web_search_call.action.sources",
        /// The addresses of images in messages.
        MessageImageUrls = "message.input_image.image_url",
        /// The addresses of screenshots.
        ComputerImageUrls = "computer_call_output.output.image_url",
        /// What code gave.
        CodeInterpreterOutputs = "code_interpreter_call.outputs",
        /// Reasoning for stateless conversations.
        EncryptedReasoning = "reasoning.encrypted_content",
        /// Log probabilities of the text.
        OutputTextLogprobs = "message.output_text.logprobs",
    }
}

open_enum! {
    /// How a request is scheduled.
    pub enum ServiceTier {
        /// As the project is set.
        Auto = "auto",
        /// As usual.
        Default = "default",
        /// Slower and cheaper.
        Flex = "flex",
        /// On reserved capacity.
        Scale = "scale",
        /// Ahead of the others. What Codex users call `fast`.
        Priority = "priority",
        /// Fast.
        Fast = "fast",
        /// Fastest.
        UltraFast = "ultrafast",
    }
}

open_enum! {
    /// What happens to input that does not fit.
    pub enum Truncation {
        /// Items from the middle are left out.
        Auto = "auto",
        /// The request fails.
        Disabled = "disabled",
    }
}

/// A stored conversation, by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Conversation {
    /// Written as a string.
    Id(String),
    /// Written as an object.
    Object(ConversationObject),
}

impl Conversation {
    /// The conversation's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => &object.id,
        }
    }
}

impl<T: AsRef<str>> From<T> for Conversation {
    /// The conversation of this id.
    fn from(id: T) -> Self {
        Self::Id(id.as_ref().to_owned())
    }
}

wire_struct! {
    /// A stored conversation, written as an object.
    #[derive(Default)]
    pub struct ConversationObject {
        /// The conversation's id.
        required id: String,
    }
}

wire_struct! {
    /// A stored prompt.
    #[derive(Default)]
    pub struct Prompt {
        /// The prompt's id.
        required id: String,
        /// Its version; the current one when `None`.
        optional version: Option<String>,
        /// Values for its variables: strings or content parts.
        optional variables: Option<RawJson>,
    }
}

open_enum! {
    /// How long the prompt cache lasts.
    pub enum PromptCacheRetention {
        /// Minutes.
        InMemory = "in_memory",
        /// A day.
        Day = "24h",
    }
}

wire_struct! {
    /// How the prompt cache works.
    #[derive(Default)]
    pub struct PromptCacheOptions {
        /// `implicit` or `explicit`.
        optional mode: Option<String>,
        /// How long it lasts: `30m`.
        optional ttl: Option<String>,
    }
}

tagged_enum! {
    /// How the server keeps the context small.
    pub enum ContextManagement {
        /// It compacts the conversation.
        Compaction(CompactionRule) = "compaction",
    }
}

wire_struct! {
    /// When the server compacts the conversation.
    #[derive(Default)]
    pub struct CompactionRule {
        /// From how many tokens on; at least 1000.
        optional compact_threshold: Option<u64>,
    }
}

wire_struct! {
    /// Moderation of input and output.
    #[derive(Default)]
    pub struct Moderation {
        /// The moderation model.
        required model: String,
        /// What is done about findings.
        optional policy: Option<RawJson>,
    }
}

wire_struct! {
    /// Access programmes (Codex).
    #[derive(Default)]
    pub struct AccessPrograms {
        /// `standard`, `daybreak_blue` or `daybreak_red`.
        optional cyber: Option<String>,
    }
}
