//! [`ResponsesApiRequest`]: the body of `POST /responses`.

mod options;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub use self::options::*;
use super::input::{Input, ItemIds};
use super::item::ResponseItem;
use super::macros::wire_struct;
use super::tool::{Tool, ToolChoice};
use super::wire::{Omit, WireStruct};
use super::{Extra, RawJson};

wire_struct! {
    /// The body of `POST /responses`.
    ///
    /// The first fields are those of the Codex record, in its order; the rest is the public API's.
    /// Fields that are empty are left out, except where a field says otherwise. A field that this
    /// crate does not know travels in `extra`.
    ///
    /// ```
    /// use tower_openai::model::{Reasoning, ReasoningEffort, ResponsesApiRequest};
    ///
    /// let mut request = ResponsesApiRequest::new("gpt-5.2", "Say hello.");
    /// request.instructions = "Be brief.".into();
    /// request.reasoning = Some(Reasoning::effort(ReasoningEffort::Low));
    /// request.extra.set("some_new_knob", &true)?;
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub struct ResponsesApiRequest {
        /// The model.
        required model: String,
        /// What the model is told before the input.
        optional instructions: String,
        /// The conversation; always written. A string is read as one message of the person.
        items input: Vec<ResponseItem>,
        /// The tools the model may call; always written.
        always tools: Vec<Tool>,
        /// Which tool the model is to call; always written, `auto` by default.
        always tool_choice: ToolChoice,
        /// Whether the model may call several tools at once; always written, `true` by default.
        always_true parallel_tool_calls: bool,
        /// How the model reasons; `null` when `None`.
        nullable reasoning: Option<Reasoning>,
        /// Whether the server keeps the response; always written.
        ///
        /// `true` by default, as on the public API. The Codex backend wants `false`.
        always_true store: bool,
        /// Whether the answer is a stream of events; always written.
        ///
        /// [`new`](Self::new) says `true`; a body that is read and does not say means `false`.
        always stream: bool,
        /// How the stream is written.
        optional stream_options: Option<StreamOptions>,
        /// What the response should hold in addition; always written.
        always include: Vec<Include>,
        /// How the request is scheduled.
        optional service_tier: Option<ServiceTier>,
        /// Requests with equal keys share a prompt cache.
        optional prompt_cache_key: Option<String>,
        /// The form of the text; left out when nothing in it is set.
        optional_object text: Option<TextControls>,
        /// The client's own data (Codex).
        optional client_metadata: Option<BTreeMap<String, String>>,
        /// Access programmes (Codex).
        optional access_programs: Option<AccessPrograms>,
        /// The response that this one continues.
        optional previous_response_id: Option<String>,
        /// `false` warms the server up without an answer (WebSocket only).
        optional generate: Option<bool>,
        /// Whether the server works on when the connection is gone; needs `store`.
        optional background: Option<bool>,
        /// The stored conversation; excludes `previous_response_id`.
        optional conversation: Option<Conversation>,
        /// Limit on what the model writes, reasoning included.
        optional max_output_tokens: Option<u64>,
        /// Limit on the calls of the server's own tools.
        optional max_tool_calls: Option<u64>,
        /// How many of the likeliest tokens to report at each place.
        optional top_logprobs: Option<u64>,
        /// Randomness, from 0 to 2.
        finite temperature: Option<f64>,
        /// Share of probability mass to sample from, from 0 to 1.
        finite top_p: Option<f64>,
        /// What happens to input that does not fit.
        optional truncation: Option<Truncation>,
        /// A stored prompt.
        optional prompt: Option<Prompt>,
        /// How long the prompt cache lasts.
        optional prompt_cache_retention: Option<PromptCacheRetention>,
        /// How the prompt cache works.
        optional prompt_cache_options: Option<PromptCacheOptions>,
        /// How the server keeps the context small.
        optional context_management: Option<Vec<ContextManagement>>,
        /// The application's own data, kept with the response.
        optional metadata: Option<BTreeMap<String, String>>,
        /// A stable id of the person, for abuse detection.
        optional safety_identifier: Option<String>,
        /// Older form of `safety_identifier` and `prompt_cache_key`.
        optional user: Option<String>,
        /// Moderation of input and output.
        optional moderation: Option<Moderation>,
        /// Several agents (beta).
        optional multi_agent: Option<RawJson>,
    }
}

impl ResponsesApiRequest {
    /// Whether a member of this name has a field here.
    pub(crate) fn has_member(name: &str) -> bool {
        <Self as super::wire::WireStruct>::field(name).is_some()
    }

    /// A streamed, stored request without tools.
    #[must_use]
    pub fn new(model: impl Into<String>, input: impl Into<Input>) -> Self {
        Self {
            model: model.into(),
            instructions: String::new(),
            input: input.into().into(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            reasoning: None,
            store: true,
            stream: true,
            stream_options: None,
            include: Vec::new(),
            service_tier: None,
            prompt_cache_key: None,
            text: None,
            client_metadata: None,
            access_programs: None,
            previous_response_id: None,
            generate: None,
            background: None,
            conversation: None,
            max_output_tokens: None,
            max_tool_calls: None,
            top_logprobs: None,
            temperature: None,
            top_p: None,
            truncation: None,
            prompt: None,
            prompt_cache_retention: None,
            prompt_cache_options: None,
            context_management: None,
            metadata: None,
            safety_identifier: None,
            user: None,
            moderation: None,
            multi_agent: None,
            extra: Extra::new(),
        }
    }

    /// The request as it is written under a rule for item ids. Nothing is cloned.
    ///
    /// ```
    /// use tower_openai::model::{ItemIds, ResponsesApiRequest};
    ///
    /// let request = ResponsesApiRequest::new("gpt-5.2", "hello");
    /// let body = serde_json::to_vec(&request.with_item_ids(ItemIds::Strip))?;
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn with_item_ids(&self, ids: ItemIds) -> WithItemIds<'_> {
        WithItemIds { request: self, ids }
    }
}

/// A request that writes the item ids a rule leaves it: see [`ResponsesApiRequest::with_item_ids`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct WithItemIds<'a> {
    request: &'a ResponsesApiRequest,
    ids: ItemIds,
}

impl Serialize for WithItemIds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let item_ids = self.ids.filter(self.request.store);
        self.request.write(&mut map, Omit { item_ids, ..Omit::default() })?;
        map.end()
    }
}
