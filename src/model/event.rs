//! [`ResponseEvent`]: one event of a response stream.
//!
//! Every event the API documents has a variant named after its wire type, and so have the events of
//! the Codex backend and those of WebSockets. Events of other types arrive as [`ResponseEvent::Unknown`] with their JSON. An
//! event writes the JSON it was read from: indexes, ids, sequence numbers, members without a field
//! and nulls included. The one exception is `obfuscation`, random padding that hides the length of
//! deltas on the network; it is dropped when read.
//!
//! Backends leave out ids, indexes and sequence numbers at will, so these are all optional. What an
//! event is about (`delta`, `text`, `item`, `response`) is not: without it the event is refused with
//! an error that names the member.
//!
//! ```
//! use tower_openai::model::ResponseEvent;
//!
//! let event: ResponseEvent = serde_json::from_str(
//!     r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,
//!         "delta":"Hel","logprobs":[],"sequence_number":4,"obfuscation":"x8Kq"}"#,
//! )?;
//! assert_eq!(event.item_id(), Some("msg_1"));
//! assert_eq!(event.sequence_number(), Some(4));
//! let ResponseEvent::OutputTextDelta(text) = event else { unreachable!() };
//! assert_eq!(text.delta, "Hel");
//! # Ok::<(), serde_json::Error>(())
//! ```

mod call;
mod codex;
mod delta;
mod error;
mod lifecycle;
mod part;
mod steer;
#[cfg(test)]
mod tests;

pub use self::call::*;
pub use self::codex::*;
pub use self::delta::*;
pub use self::error::ErrorEvent;
pub(crate) use self::error::status_in;
pub use self::lifecycle::*;
pub use self::part::*;
pub use self::steer::*;

use serde::Deserialize;

use super::macros::{from_payloads, tagged_enum};
use super::{Extra, RateLimitSnapshot, RawJson, Response};

tagged_enum! {
    /// One event of a response stream.
    ///
    /// [`is_terminal`](Self::is_terminal) tells the last one. Several variants share a payload type;
    /// [`kind`](Self::kind) gives the wire type of any event.
    pub enum ResponseEvent {
        /// The response exists.
        Created(LifecycleEvent) = "response.created",
        /// The response waits to start.
        Queued(LifecycleEvent) = "response.queued",
        /// The response has started.
        InProgress(LifecycleEvent) = "response.in_progress",
        /// The response is finished. Terminal.
        Completed(CompletedEvent) = "response.completed",
        /// The response failed; `response.error` says why. Terminal.
        Failed(LifecycleEvent) = "response.failed",
        /// The response was cut short; `response.incomplete_details` says why. Terminal.
        Incomplete(LifecycleEvent) = "response.incomplete",
        /// The stream failed. Terminal.
        Error(Box<ErrorEvent>) = "error",

        /// A new item begins.
        OutputItemAdded(ItemEvent) = "response.output_item.added",
        /// An item is finished; this is its final form.
        OutputItemDone(ItemEvent) = "response.output_item.done",
        /// A new part of a message begins.
        ContentPartAdded(Box<PartEvent>) = "response.content_part.added",
        /// A part of a message is finished.
        ContentPartDone(Box<PartEvent>) = "response.content_part.done",

        /// More text.
        OutputTextDelta(TextDelta) = "response.output_text.delta",
        /// All text of a part.
        OutputTextDone(TextDone) = "response.output_text.done",
        /// The text refers to something.
        OutputTextAnnotationAdded(Box<AnnotationAdded>) = "response.output_text.annotation.added",
        /// More of a refusal.
        RefusalDelta(TextDelta) = "response.refusal.delta",
        /// All of a refusal.
        RefusalDone(RefusalDone) = "response.refusal.done",
        /// More raw reasoning.
        ReasoningTextDelta(TextDelta) = "response.reasoning_text.delta",
        /// All raw reasoning of a part.
        ReasoningTextDone(TextDone) = "response.reasoning_text.done",
        /// A new part of a reasoning summary begins.
        ReasoningSummaryPartAdded(Box<SummaryPartEvent>) = "response.reasoning_summary_part.added",
        /// A part of a reasoning summary is finished.
        ReasoningSummaryPartDone(Box<SummaryPartEvent>) = "response.reasoning_summary_part.done",
        /// More of a reasoning summary.
        ReasoningSummaryTextDelta(SummaryTextDelta) = "response.reasoning_summary_text.delta",
        /// All text of a summary's part.
        ReasoningSummaryTextDone(SummaryTextDone) = "response.reasoning_summary_text.done",

        /// More of a function call's arguments.
        FunctionCallArgumentsDelta(CallDelta) = "response.function_call_arguments.delta",
        /// All arguments of a function call.
        FunctionCallArgumentsDone(ArgumentsDone) = "response.function_call_arguments.done",
        /// More of a custom tool's input.
        CustomToolCallInputDelta(CallDelta) = "response.custom_tool_call_input.delta",
        /// All input of a custom tool.
        CustomToolCallInputDone(InputDone) = "response.custom_tool_call_input.done",
        /// More of an MCP call's arguments.
        McpCallArgumentsDelta(CallDelta) = "response.mcp_call_arguments.delta",
        /// All arguments of an MCP call.
        McpCallArgumentsDone(ArgumentsDone) = "response.mcp_call_arguments.done",
        /// More of the code to interpret.
        CodeInterpreterCallCodeDelta(CallDelta) = "response.code_interpreter_call_code.delta",
        /// All code to interpret.
        CodeInterpreterCallCodeDone(CodeDone) = "response.code_interpreter_call_code.done",

        /// A file search begins.
        FileSearchCallInProgress(CallProgress) = "response.file_search_call.in_progress",
        /// Files are being searched.
        FileSearchCallSearching(CallProgress) = "response.file_search_call.searching",
        /// A file search is finished.
        FileSearchCallCompleted(CallProgress) = "response.file_search_call.completed",
        /// A web search begins.
        WebSearchCallInProgress(CallProgress) = "response.web_search_call.in_progress",
        /// The web is being searched.
        WebSearchCallSearching(CallProgress) = "response.web_search_call.searching",
        /// A web search is finished.
        WebSearchCallCompleted(CallProgress) = "response.web_search_call.completed",
        /// A code interpreter call begins.
        CodeInterpreterCallInProgress(CallProgress) = "response.code_interpreter_call.in_progress",
        /// Code runs.
        CodeInterpreterCallInterpreting(CallProgress) = "response.code_interpreter_call.interpreting",
        /// A code interpreter call is finished.
        CodeInterpreterCallCompleted(CallProgress) = "response.code_interpreter_call.completed",
        /// An image generation begins.
        ImageGenerationCallInProgress(CallProgress) = "response.image_generation_call.in_progress",
        /// An image is being made.
        ImageGenerationCallGenerating(CallProgress) = "response.image_generation_call.generating",
        /// A sketch of the image.
        ImageGenerationCallPartialImage(Box<PartialImage>) = "response.image_generation_call.partial_image",
        /// An image is finished.
        ImageGenerationCallCompleted(CallProgress) = "response.image_generation_call.completed",
        /// An MCP call begins.
        McpCallInProgress(CallProgress) = "response.mcp_call.in_progress",
        /// An MCP call is finished.
        McpCallCompleted(CallProgress) = "response.mcp_call.completed",
        /// An MCP call failed.
        McpCallFailed(CallProgress) = "response.mcp_call.failed",
        /// The tools of an MCP server are being listed.
        McpListToolsInProgress(CallProgress) = "response.mcp_list_tools.in_progress",
        /// The tools of an MCP server are listed.
        McpListToolsCompleted(CallProgress) = "response.mcp_list_tools.completed",
        /// The tools of an MCP server could not be listed.
        McpListToolsFailed(CallProgress) = "response.mcp_list_tools.failed",

        /// A shell command begins.
        ShellCallCommandAdded(ShellCommand) = "response.shell_call_command.added",
        /// More of a shell command.
        ShellCallCommandDelta(ShellCommandDelta) = "response.shell_call_command.delta",
        /// All of a shell command.
        ShellCallCommandDone(ShellCommand) = "response.shell_call_command.done",
        /// More of a shell command's output.
        ShellCallOutputContentDelta(Box<ShellOutputDelta>) = "response.shell_call_output_content.delta",
        /// All output of a shell command.
        ShellCallOutputContentDone(ShellOutputDone) = "response.shell_call_output_content.done",

        /// More audio, as base64.
        AudioDelta(AudioDelta) = "response.audio.delta",
        /// The audio is finished.
        AudioDone(AudioDone) = "response.audio.done",
        /// More of what the audio says.
        AudioTranscriptDelta(AudioDelta) = "response.audio.transcript.delta",
        /// The transcript is finished.
        AudioTranscriptDone(AudioDone) = "response.audio.transcript.done",

        /// What the Codex backend says about the response on the side.
        Metadata(ResponseMetadata) = "response.metadata",
        /// The Codex backend's rate limits.
        CodexRateLimits(Box<CodexRateLimits>) = "codex.rate_limits",

        /// What the response was steered to has been taken.
        SteerAccepted(Box<SteerAccepted>) = "response.steer.accepted",
        /// What the response was steered to waits.
        SteerPending(Box<SteerPending>) = "response.steer.pending",
        /// What the response was steered to does not reach it.
        SteerFailed(Box<SteerFailed>) = "response.steer.failed",
    }
    synthesised {
        /// The model that serves the response, when the server names it (header `openai-model`).
        ServerModel(String) = "client.server_model" { "model" },
        /// The rate limits after this request, from the response's headers.
        RateLimits(Box<RateLimitSnapshot>) = "client.rate_limits" { "snapshot" },
        /// The version of the model list (header `x-models-etag`).
        ModelsEtag(String) = "client.models_etag" { "etag" },
        /// Whether the server's input already holds earlier reasoning (header `x-reasoning-included`).
        ServerReasoningIncluded(bool) = "client.reasoning_included" { "included" },
        /// Verifications that the server recommends for this account.
        ModelVerifications(Vec<ModelVerification>) = "client.model_verifications" { "verifications" },
        /// Moderation data of this turn, opaque.
        TurnModerationMetadata(RawJson) = "client.turn_moderation_metadata" { "metadata" },
        /// The server holds the answer back for safety checks.
        SafetyBuffering(Box<SafetyBuffering>) = "client.safety_buffering" { "safety_buffering" },
    }
}

from_payloads!(ResponseEvent { CompletedEvent => Completed, ErrorEvent => Error });

/// What the payloads of events have in common.
trait Payload {
    fn sequence_number(&self) -> Option<u64>;

    fn item_id(&self) -> Option<&str> {
        None
    }

    fn extra(&self) -> &Extra;
}

/// Implements [`Payload`]; `item_id` follows the types that have one.
macro_rules! payloads {
    ($($payload:ident $(.$item_id:ident)?),+ $(,)?) => {
        $(
            impl Payload for $payload {
                fn sequence_number(&self) -> Option<u64> {
                    self.sequence_number
                }

                $(
                    fn item_id(&self) -> Option<&str> {
                        self.$item_id.as_deref()
                    }
                )?

                fn extra(&self) -> &Extra {
                    &self.extra
                }
            }
        )+
    };
}

payloads! {
    LifecycleEvent, CompletedEvent, PartEvent.item_id, AnnotationAdded.item_id, SummaryPartEvent.item_id,
    TextDelta.item_id, TextDone.item_id, RefusalDone.item_id, SummaryTextDelta.item_id,
    SummaryTextDone.item_id, ArgumentsDone.item_id, CodeDone.item_id, CallProgress.item_id,
    PartialImage.item_id, ShellCommand.item_id, ShellCommandDelta.item_id, ShellOutputDelta.item_id,
    ShellOutputDone.item_id, AudioDelta, AudioDone, ResponseMetadata, CodexRateLimits,
    SteerAccepted, SteerPending, SteerFailed,
}

impl Payload for ItemEvent {
    fn sequence_number(&self) -> Option<u64> {
        self.sequence_number
    }

    fn item_id(&self) -> Option<&str> {
        self.item.id()
    }

    fn extra(&self) -> &Extra {
        &self.extra
    }
}

/// Implements [`Payload`] where the Codex backend may name the call instead of the item.
macro_rules! payloads_of_calls {
    ($($payload:ident),+) => {
        $(
            impl Payload for $payload {
                fn sequence_number(&self) -> Option<u64> {
                    self.sequence_number
                }

                fn item_id(&self) -> Option<&str> {
                    self.item_id.as_deref().or(self.call_id.as_deref())
                }

                fn extra(&self) -> &Extra {
                    &self.extra
                }
            }
        )+
    };
}

payloads_of_calls!(CallDelta, InputDone);

impl ResponseEvent {
    /// The position in the stream: strictly increasing within a response.
    ///
    /// The largest one seen is where a background response can be resumed.
    #[must_use]
    pub fn sequence_number(&self) -> Option<u64> {
        #[derive(Deserialize)]
        struct Numbered {
            sequence_number: Option<u64>,
        }

        match self {
            Self::Unknown(object) => object.parse::<Numbered>().ok()?.sequence_number,
            event => event.payload()?.sequence_number(),
        }
    }

    /// The id of the item this is about.
    ///
    /// For the input of a custom tool the call's id stands in for it when the server names only that.
    #[must_use]
    pub fn item_id(&self) -> Option<&str> {
        match self {
            Self::Unknown(object) => object.text_member("item_id"),
            event => event.payload()?.item_id(),
        }
    }

    /// Whether the stream ends here: `response.completed`, `response.failed`, `response.incomplete`
    /// and `error`. A response that was steered is incomplete, and another one takes its place.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Failed(_) | Self::Error(_) => true,
            Self::Incomplete(event) => !event.response.was_steered(),
            _ => false,
        }
    }

    /// The response, in the events of its lifecycle.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Completed(event) => Some(&event.response),
            Self::Created(event)
            | Self::Queued(event)
            | Self::InProgress(event)
            | Self::Failed(event)
            | Self::Incomplete(event) => Some(&event.response),
            _ => None,
        }
    }

    /// The event's members that have no field, such as `headers` and `safety_buffering` of the Codex
    /// backend; for `error` all members. `None` for events that did not come from the wire, and for
    /// unknown ones, which have their whole JSON.
    #[must_use]
    pub fn extra(&self) -> Option<&Extra> {
        self.payload().map(Payload::extra)
    }

    /// What the event holds, if it came from the wire and its type is known.
    fn payload(&self) -> Option<&dyn Payload> {
        Some(match self {
            Self::Created(event)
            | Self::Queued(event)
            | Self::InProgress(event)
            | Self::Failed(event)
            | Self::Incomplete(event) => event,
            Self::Completed(event) => event,
            Self::Error(event) => &**event,
            Self::OutputItemAdded(event) | Self::OutputItemDone(event) => event,
            Self::ContentPartAdded(event) | Self::ContentPartDone(event) => &**event,
            Self::OutputTextDelta(event)
            | Self::RefusalDelta(event)
            | Self::ReasoningTextDelta(event) => event,
            Self::OutputTextDone(event) | Self::ReasoningTextDone(event) => event,
            Self::OutputTextAnnotationAdded(event) => &**event,
            Self::RefusalDone(event) => event,
            Self::ReasoningSummaryPartAdded(event) | Self::ReasoningSummaryPartDone(event) => {
                &**event
            }
            Self::ReasoningSummaryTextDelta(event) => event,
            Self::ReasoningSummaryTextDone(event) => event,
            Self::FunctionCallArgumentsDelta(event)
            | Self::CustomToolCallInputDelta(event)
            | Self::McpCallArgumentsDelta(event)
            | Self::CodeInterpreterCallCodeDelta(event) => event,
            Self::FunctionCallArgumentsDone(event) | Self::McpCallArgumentsDone(event) => event,
            Self::CustomToolCallInputDone(event) => event,
            Self::CodeInterpreterCallCodeDone(event) => event,
            Self::FileSearchCallInProgress(event)
            | Self::FileSearchCallSearching(event)
            | Self::FileSearchCallCompleted(event)
            | Self::WebSearchCallInProgress(event)
            | Self::WebSearchCallSearching(event)
            | Self::WebSearchCallCompleted(event)
            | Self::CodeInterpreterCallInProgress(event)
            | Self::CodeInterpreterCallInterpreting(event)
            | Self::CodeInterpreterCallCompleted(event)
            | Self::ImageGenerationCallInProgress(event)
            | Self::ImageGenerationCallGenerating(event)
            | Self::ImageGenerationCallCompleted(event)
            | Self::McpCallInProgress(event)
            | Self::McpCallCompleted(event)
            | Self::McpCallFailed(event)
            | Self::McpListToolsInProgress(event)
            | Self::McpListToolsCompleted(event)
            | Self::McpListToolsFailed(event) => event,
            Self::ImageGenerationCallPartialImage(event) => &**event,
            Self::ShellCallCommandAdded(event) | Self::ShellCallCommandDone(event) => event,
            Self::ShellCallCommandDelta(event) => event,
            Self::ShellCallOutputContentDelta(event) => &**event,
            Self::ShellCallOutputContentDone(event) => event,
            Self::AudioDelta(event) | Self::AudioTranscriptDelta(event) => event,
            Self::AudioDone(event) | Self::AudioTranscriptDone(event) => event,
            Self::Metadata(event) => event,
            Self::CodexRateLimits(event) => &**event,
            Self::SteerAccepted(event) => &**event,
            Self::SteerPending(event) => &**event,
            Self::SteerFailed(event) => &**event,
            Self::ServerModel(_)
            | Self::RateLimits(_)
            | Self::ModelsEtag(_)
            | Self::ServerReasoningIncluded(_)
            | Self::ModelVerifications(_)
            | Self::TurnModerationMetadata(_)
            | Self::SafetyBuffering(_)
            | Self::Unknown(_) => return None,
        })
    }
}
