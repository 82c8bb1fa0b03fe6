//! The models, in Codex's shape and in the public one.

use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{Answer, Api, Call, Whole, lock};
use crate::testing::api_error::ApiError;
use crate::testing::ids::Fnv;
use crate::testing::json::{Json, object};

/// The models there are, each as Codex's `ModelInfo`.
pub(super) struct Models(Mutex<Vec<Value>>);

impl Default for Models {
    fn default() -> Self {
        let models = [("gpt-5.2", 1), ("gpt-5.2-codex", 0), ("gpt-5.1-codex-mini", 2)];
        Self(Mutex::new(models.map(|(slug, priority)| model(slug, priority)).to_vec()))
    }
}

fn model(slug: &str, priority: u32) -> Value {
    json!({
        "slug": slug,
        "display_name": slug,
        "description": "A model without a model.",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [
            { "effort": "low", "description": "Faster" },
            { "effort": "medium", "description": "In between" },
            { "effort": "high", "description": "Thorough" },
        ],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": true,
        "priority": priority,
        "base_instructions": "You are a coding agent.",
        "supports_reasoning_summaries": true,
        "support_verbosity": true,
        "default_verbosity": "low",
        "truncation_policy": { "mode": "tokens", "limit": 10_000 },
        "supports_parallel_tool_calls": true,
        "context_window": 272_000,
        "experimental_supported_tools": [],
    })
}

/// A model in the public shape; `None` for what has no `slug`.
fn public(model: &Value) -> Option<Json> {
    const CREATED: u64 = 1_765_000_000;
    let slug = model.get("slug")?.as_str()?;
    Some(object! { "id": slug, "object": "model", "created": CREATED, "owned_by": "openai" })
}

impl Api {
    pub(in crate::testing) fn set_models(&self, models: Vec<Value>) {
        *lock(&self.models.0) = models;
    }

    /// The list; Codex's if the query has a `client_version`, with an `ETag` then.
    pub(super) fn list_models(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let models = lock(&self.models.0).clone();
        if call.query().get("client_version").is_none() {
            let data: Vec<Json> = models.iter().filter_map(public).collect();
            return Ok(Answer::json(&object! { "object": "list", "data": data }));
        }
        let models: Vec<Json> = models.into_iter().map(Json::from).collect();
        let Answer::Whole(mut whole) = Answer::json(&object! { "models": models }) else {
            return Err(ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let tag = format!("\"{:016x}\"", Fnv::of(&whole.body));
        if known(call.request.headers(), &tag) {
            let (status, headers) = (StatusCode::NOT_MODIFIED, HeaderMap::new());
            whole = Whole { status, headers, body: Bytes::new(), cut: false };
        }
        if let Ok(tag) = HeaderValue::try_from(tag) {
            whole.headers.insert(header::ETAG, tag);
        }
        Ok(Answer::Whole(whole))
    }

    pub(super) fn retrieve_model(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let models = lock(&self.models.0);
        let found = models.iter().find(|model| {
            model.get("slug").and_then(Value::as_str).is_some_and(|slug| slug == call.id())
        });
        found
            .and_then(public)
            .map(|model| Answer::json(&model))
            .ok_or_else(|| ApiError::no_model(call.id()))
    }
}

/// Whether `if-none-match` has the tag, weak or not.
fn known(headers: &HeaderMap, tag: &str) -> bool {
    let values =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| {
        let value = value.trim();
        value == "*" || value.strip_prefix("W/").unwrap_or(value) == tag
    })
}
