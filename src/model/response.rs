//! [`Response`]: what the API answers, whole, or as far as it has come.

mod answer;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Number;

pub use self::answer::OutputError;
use super::macros::{open_enum, wire_struct};
use super::{
    ApiError, Content, ContentPart, Conversation, PromptCacheRetention, RawJson, Reasoning,
    ResponseItem, ServiceTier, TextControls, TokenUsage, Tool, ToolChoice, Truncation,
};

wire_struct! {
    /// A response of the Responses API.
    ///
    /// Lifecycle events carry one (see [`ResponseEvent::response`](super::ResponseEvent::response)), and
    /// so do the endpoints that fetch or cancel a response. All members are optional when read, because
    /// early events and other servers leave most of them out; only `response.completed` insists on `id`.
    /// What merely echoes the request (tools, reasoning, text) never makes a response unreadable: an
    /// unexpected shape reads as empty and stays in `extra`.
    ///
    /// ```
    /// use tower_openai::model::{Response, ResponseStatus};
    ///
    /// let response: Response = serde_json::from_str(
    ///     r#"{"id":"resp_1","status":"completed","output":[{"type":"message","role":"assistant",
    ///         "content":[{"type":"output_text","text":"Hello"}]}],"usage":null}"#,
    /// )?;
    /// assert_eq!(response.status, Some(ResponseStatus::Completed));
    /// assert_eq!(response.output_text(), "Hello");
    /// assert!(response.usage.is_none());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[derive(Default)]
    pub struct Response {
        /// The response's id; empty when the server did not say.
        optional id: Arc<str>,
        /// `response`.
        optional object: Option<Box<str>>,
        /// When it was made, in seconds since 1970.
        lenient created_at: Option<Number>,
        /// When it was finished, in seconds since 1970.
        lenient completed_at: Option<Number>,
        /// How far it is.
        optional status: Option<ResponseStatus>,
        /// Why it failed.
        lenient error: Option<ApiError>,
        /// Why it is incomplete.
        lenient incomplete_details: Option<IncompleteDetails>,
        /// The model that answers.
        optional model: String,
        /// The items made so far.
        optional output: Vec<ResponseItem>,
        /// What it cost. `None` while running, and when the server's numbers cannot be read; these
        /// then stay in `extra`.
        lenient usage: Option<TokenUsage>,
        /// Whether the model means to end its turn (Codex); `None` when the server does not say.
        lenient end_turn: Option<bool>,
        /// The system message: a string or a list of items.
        optional instructions: Option<RawJson>,
        /// The caller's own key-value pairs.
        lenient metadata: Option<BTreeMap<String, String>>,
        /// The tools the model had.
        lenient tools: Vec<Tool>,
        /// Which tools it had to use.
        lenient tool_choice: Option<ToolChoice>,
        /// Whether it could call several at once.
        lenient parallel_tool_calls: Option<bool>,
        /// The response before this one.
        optional previous_response_id: Option<Arc<str>>,
        /// The conversation this belongs to.
        lenient conversation: Option<Conversation>,
        /// The reasoning asked for.
        lenient reasoning: Option<Reasoning>,
        /// The form of text asked for.
        lenient text: Option<TextControls>,
        /// The tier it was served in.
        lenient service_tier: Option<ServiceTier>,
        /// What happens to input that is too long.
        lenient truncation: Option<Truncation>,
        /// Sampling temperature.
        lenient temperature: Option<Number>,
        /// Nucleus sampling.
        lenient top_p: Option<Number>,
        /// The limit on output tokens.
        lenient max_output_tokens: Option<u64>,
        /// Whether it runs in the background.
        lenient background: Option<bool>,
        /// What similar requests share for caching.
        lenient prompt_cache_key: Option<Box<str>>,
        /// How long cached prompts are kept.
        lenient prompt_cache_retention: Option<PromptCacheRetention>,
        /// Identifies the end user to the provider.
        lenient safety_identifier: Option<Box<str>>,
        /// Older name for the end user.
        lenient user: Option<Box<str>>,
        /// Moderation results.
        optional moderation: Option<RawJson>,
    }
}

open_enum! {
    /// How far a response is.
    pub enum ResponseStatus {
        /// Waiting to start.
        Queued = "queued",
        /// Being made.
        InProgress = "in_progress",
        /// Finished.
        Completed = "completed",
        /// It did not work.
        Failed = "failed",
        /// Stopped by the caller.
        Cancelled = "cancelled",
        /// Cut short.
        Incomplete = "incomplete",
    }
}

impl ResponseStatus {
    /// Whether nothing more will happen: neither queued nor in progress.
    ///
    /// A status this crate does not know is taken as still open.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Incomplete)
    }
}

wire_struct! {
    /// Why a response is incomplete.
    #[derive(Default)]
    pub struct IncompleteDetails {
        /// The reason.
        optional reason: Option<IncompleteReason>,
    }
}

open_enum! {
    /// Why a response is incomplete.
    pub enum IncompleteReason {
        /// The limit on output tokens was reached.
        MaxOutputTokens = "max_output_tokens",
        /// A content filter stopped it.
        ContentFilter = "content_filter",
        /// More was said to it (`response.steer`, over a WebSocket): another response takes its place.
        Steered = "steered",
    }
}

impl Response {
    /// The model's text: the output text of all messages, and of those whose content is plain text
    /// that, concatenated.
    #[must_use]
    pub fn output_text(&self) -> String {
        let mut text = String::new();
        for message in self.output.iter().filter_map(ResponseItem::as_message) {
            let parts = match &message.content {
                Content::Text(plain) => {
                    text.push_str(plain);
                    continue;
                }
                Content::Parts(parts) => parts,
            };
            for part in parts {
                if let ContentPart::OutputText(part) = part {
                    text.push_str(&part.text);
                }
            }
        }
        text
    }

    /// Why the response is incomplete, if it says so.
    #[must_use]
    pub fn incomplete_reason(&self) -> Option<&IncompleteReason> {
        self.incomplete_details.as_ref()?.reason.as_ref()
    }

    /// Whether another response takes its place, on the same stream.
    pub(crate) fn was_steered(&self) -> bool {
        self.incomplete_reason() == Some(&IncompleteReason::Steered)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn round_trip(value: Value) -> Response {
        let response: Response = serde_json::from_str(&value.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&response).unwrap(), value);
        response
    }

    #[test]
    fn text_is_that_of_all_messages() {
        let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
        let response = round_trip(json!({"id": "r", "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "no"}]},
            {"type": "message", "role": "assistant", "content": [
                text("a"), {"type": "refusal", "refusal": "no"}, text("b")]},
            {"type": "hologram", "text": "no"},
            {"type": "message", "role": "assistant", "content": "plain"},
            {"type": "message", "role": "assistant", "content": [text("c")]},
        ]}));
        assert_eq!(response.output_text(), "abplainc");
        assert_eq!(Response::default().output_text(), "");
    }

    #[test]
    fn usage_of_another_shape_reads_as_none_and_survives() {
        for usage in [
            json!("much"),
            json!([]),
            json!({"input_tokens": "x", "output_tokens": 1, "total_tokens": 2}),
            json!({"input_tokens": 1}),
            json!({"input_tokens": -1, "output_tokens": 1, "total_tokens": 2}),
        ] {
            let response = round_trip(json!({"id": "r", "usage": usage}));
            assert_eq!(response.usage, None);
            assert_eq!(response.extra.get("usage").unwrap().parse::<Value>().unwrap(), usage);
        }
        let response = round_trip(json!({"id": "r", "usage": null}));
        assert_eq!(response.usage, None);
        assert!(response.extra.get("usage").is_none());
        let response = round_trip(json!({"id": "r", "usage": {
            "input_tokens": 1, "input_tokens_details": {}, "output_tokens": 2, "total_tokens": 3}}));
        assert_eq!(response.usage.unwrap().total_tokens, 3);
    }

    #[test]
    fn what_echoes_the_request_never_fails() {
        let response = round_trip(json!({
            "id": "r", "tools": [{"type": "function"}], "tool_choice": 7, "reasoning": "much",
            "text": [], "metadata": {"a": 1}, "temperature": "hot", "truncation": {}, "error": "text",
            "incomplete_details": "x", "service_tier": 1, "created_at": "now", "conversation": 3
        }));
        assert!(response.tools.is_empty());
        assert_eq!(response.error, None);
        assert!(response.extra.get("tools").is_some());
    }

    #[test]
    fn output_that_cannot_be_read_is_refused_by_name() {
        let error = serde_json::from_str::<Response>(r#"{"output":[{"type":"message"}]}"#);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`output`") && error.contains("message"), "{error}");
    }

    #[test]
    fn numbers_keep_their_form() {
        for number in [json!(1), json!(1.0), json!(0.2), json!(null)] {
            let response = round_trip(json!({"temperature": number, "created_at": number}));
            assert_eq!(response.temperature.and_then(|number| number.as_f64()), number.as_f64());
        }
    }

    #[test]
    fn some_states_are_final() {
        let is_terminal = |status: &str| ResponseStatus::from(status).is_terminal();
        assert!(["completed", "failed", "cancelled", "incomplete"].into_iter().all(is_terminal));
        assert!(!["queued", "in_progress", "new"].into_iter().any(is_terminal));
    }
}
