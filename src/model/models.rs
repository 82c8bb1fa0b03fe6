//! What the lists of models hold: the Codex catalogue, and the public list.

mod catalog;
mod public;

pub use self::catalog::*;
pub use self::public::*;

use super::macros::{open_enum, wire_struct};
use super::{RawJson, ReasoningEffort, ReasoningSummary, Verbosity};

wire_struct! {
    /// What the Codex backend says of one model.
    ///
    /// The members that every client relies on have to be there. The others take the value that is
    /// said here; one of another type is kept in `extra`.
    pub struct ModelInfo {
        /// The name that a request gives, such as `gpt-5.2-codex`.
        required slug: String,
        /// The name for people.
        required display_name: String,
        /// What it is for. Default: not said.
        lenient description: Option<String>,
        /// How much it reasons if not told. Default: not said.
        lenient default_reasoning_level: Option<ReasoningEffort>,
        /// How much it can be told to reason.
        required supported_reasoning_levels: Vec<ReasoningLevel>,
        /// Which tool it runs commands with.
        required shell_type: ShellType,
        /// Whether people are offered it.
        required visibility: ModelVisibility,
        /// Whether an API key may use it.
        required supported_in_api: bool,
        /// Its place in a list; smaller comes first.
        required priority: i32,
        /// Older form of `service_tiers`: their names. Default: none.
        lenient additional_speed_tiers: Vec<String>,
        /// The tiers it can be asked for in. Default: none.
        lenient service_tiers: Vec<ModelServiceTier>,
        /// The tier if not told. Default: not said.
        lenient default_service_tier: Option<String>,
        /// What people are told once it is there for them. Default: nothing.
        lenient availability_nux: Option<AvailabilityNux>,
        /// The model that replaces it, as the server says it. Default: none.
        lenient upgrade: Option<RawJson>,
        /// What it is told at the beginning.
        required base_instructions: String,
        /// Templates for what it is told. Default: none.
        lenient model_messages: Option<ModelMessages>,
        /// Whether its reasoning comes with summaries.
        required supports_reasoning_summaries: bool,
        /// How its reasoning is summarised if not told. Default: `auto`.
        auto_summary default_reasoning_summary: ReasoningSummary,
        /// Whether it takes [`Verbosity`].
        required support_verbosity: bool,
        /// How wordy it is if not told. Default: not said.
        lenient default_verbosity: Option<Verbosity>,
        /// The form of its tool for patches. Default: it has none.
        lenient apply_patch_tool_type: Option<ApplyPatchToolType>,
        /// What its web search gives. Default: text.
        lenient web_search_tool_type: WebSearchToolType,
        /// How much of a tool's output it is shown.
        required truncation_policy: TruncationPolicy,
        /// Whether it can call several tools at once.
        required supports_parallel_tool_calls: bool,
        /// Whether it takes images in their full size. Default: no.
        lenient supports_image_detail_original: bool,
        /// Its context, in tokens. Default: not said.
        lenient context_window: Option<i64>,
        /// The most that its context can be set to, in tokens. Default: not said.
        lenient max_context_window: Option<i64>,
        /// From how many tokens on a conversation is to be compacted. Default: not said.
        lenient auto_compact_token_limit: Option<i64>,
        /// How much of the context is for use. Default: 95.
        percent_95 effective_context_window_percent: i64,
        /// Tools to try out.
        required experimental_supported_tools: Vec<String>,
        /// What it takes. Default: text and images.
        text_and_image input_modalities: Vec<InputModality>,
        /// Whether it can search for tools. Default: no.
        lenient supports_search_tool: bool,
        /// Whether it wants the light form of requests. Default: no.
        lenient use_responses_lite: bool,
        /// The model that reviews in its place. Default: itself.
        lenient auto_review_model_override: Option<String>,
        /// How it is given tools. Default: not said.
        lenient tool_mode: Option<String>,
        /// How it works with other agents, as the server says it. Default: not said.
        lenient multi_agent_version: Option<RawJson>,
    }
}

wire_struct! {
    /// How much a model can be told to reason.
    pub struct ReasoningLevel {
        /// What a request says.
        required effort: ReasoningEffort,
        /// What people are told.
        required description: String,
    }
}

wire_struct! {
    /// A tier that a model can be asked for in.
    pub struct ModelServiceTier {
        /// What a request says.
        required id: String,
        /// The name for people.
        required name: String,
        /// What people are told.
        required description: String,
    }
}

wire_struct! {
    /// What people are told once a model is there for them.
    pub struct AvailabilityNux {
        /// The text.
        required message: String,
    }
}

wire_struct! {
    /// Templates for what a model is told.
    #[derive(Default)]
    pub struct ModelMessages {
        /// The template.
        optional instructions_template: Option<String>,
        /// What is put into it, as the server says it.
        optional instructions_variables: Option<RawJson>,
    }
}

wire_struct! {
    /// How much of a tool's output a model is shown.
    pub struct TruncationPolicy {
        /// What is counted.
        required mode: TruncationMode,
        /// How many.
        required limit: i64,
    }
}

open_enum! {
    /// What is counted of a tool's output.
    pub enum TruncationMode {
        /// Bytes.
        Bytes = "bytes",
        /// Tokens.
        Tokens = "tokens",
    }
}

open_enum! {
    /// Which tool a model runs commands with.
    pub enum ShellType {
        /// A shell.
        Default = "default",
        /// The shell on the person's machine.
        Local = "local",
        /// Sessions that stay open.
        UnifiedExec = "unified_exec",
        /// None.
        Disabled = "disabled",
        /// A function that takes the command.
        ShellCommand = "shell_command",
    }
}

open_enum! {
    /// Whether people are offered a model.
    pub enum ModelVisibility {
        /// They are.
        List = "list",
        /// Only to those who know its name.
        Hide = "hide",
        /// They are not.
        None = "none",
    }
}

open_enum! {
    /// The form of a model's tool for patches.
    pub enum ApplyPatchToolType {
        /// The patch as it is.
        Freeform = "freeform",
    }
}

open_enum! {
    /// What a model's web search gives.
    #[derive(Default)]
    pub enum WebSearchToolType {
        /// Text.
        #[default]
        Text = "text",
        /// Text and images.
        TextAndImage = "text_and_image",
    }
}

open_enum! {
    /// What a model takes.
    pub enum InputModality {
        /// Text.
        Text = "text",
        /// Images.
        Image = "image",
    }
}

impl ModelInfo {
    /// How many tokens of the context are for use; `None` where its size is not known.
    #[must_use]
    pub fn effective_context_window(&self) -> Option<i64> {
        let window = self.context_window?;
        Some(window.saturating_mul(self.effective_context_window_percent) / 100)
    }
}

#[cfg(test)]
mod tests;
