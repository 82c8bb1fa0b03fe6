//! What `POST memories/trace_summarize` takes and gives (Codex).

use super::macros::wire_struct;
use super::{Extra, RawJson, Reasoning};

wire_struct! {
    /// The body of `POST memories/trace_summarize`: what happened in some sessions.
    ///
    /// ```
    /// use tower_openai::model::{MemorySummarizeInput, RawMemory};
    ///
    /// let trace = RawMemory::new("trace_1", "/home/me/session.jsonl", vec![]);
    /// let input = MemorySummarizeInput::new("gpt-5.2", vec![trace]);
    /// let json = r#"{"model":"gpt-5.2","traces":[{"id":"trace_1",
    ///     "metadata":{"source_path":"/home/me/session.jsonl"},"items":[]}]}"#;
    /// assert_eq!(serde_json::to_string(&input)?, json.replace("\n    ", ""));
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub struct MemorySummarizeInput {
        /// The model.
        required model: String,
        /// What is to be summarised (wire `traces`).
        always raw_memories as "traces": Vec<RawMemory>,
        /// How the model reasons.
        optional reasoning: Option<Reasoning>,
    }
}

impl MemorySummarizeInput {
    /// Asks `model` to summarise `raw_memories`.
    #[must_use]
    pub fn new(model: impl Into<String>, raw_memories: Vec<RawMemory>) -> Self {
        Self { model: model.into(), raw_memories, reasoning: None, extra: Extra::new() }
    }
}

wire_struct! {
    /// What happened in one session.
    pub struct RawMemory {
        /// Its id.
        required id: String,
        /// Where it comes from.
        required metadata: RawMemoryMetadata,
        /// What happened, each in whatever form the session was recorded.
        always items: Vec<RawJson>,
    }
}

impl RawMemory {
    /// The memory `id` of what was recorded at `source_path`.
    #[must_use]
    pub fn new(id: impl Into<String>, source_path: impl Into<String>, items: Vec<RawJson>) -> Self {
        let metadata = RawMemoryMetadata { source_path: source_path.into(), extra: Extra::new() };
        Self { id: id.into(), metadata, items, extra: Extra::new() }
    }
}

wire_struct! {
    /// Where a memory comes from.
    #[derive(Default)]
    pub struct RawMemoryMetadata {
        /// The file.
        required source_path: String,
    }
}

wire_struct! {
    /// The summary of one session.
    pub struct MemorySummarizeOutput {
        /// What happened. Also read as `raw_memory`.
        required raw_memory as "trace_summary" | "raw_memory": String,
        /// What is worth keeping of it.
        required memory_summary: String,
    }
}

wire_struct! {
    /// What `POST memories/trace_summarize` gives.
    pub struct MemorySummaries {
        /// One summary for each memory.
        required output: Vec<MemorySummarizeOutput>,
    }
}
