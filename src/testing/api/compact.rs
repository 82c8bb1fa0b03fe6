//! `responses/compact`: a long input becomes a short one.

use serde_json::{Value, json};

use super::items::items;
use super::{Answer, Api, Call};
use crate::testing::api_error::ApiError;
use crate::testing::json::{Json, object};
use crate::testing::params::{self, optional};
use crate::testing::turn::{input_tokens, unix_seconds};

impl Api {
    /// The user's messages as they are, and one compaction item for all the rest.
    pub(super) fn compact(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = call.object()?;
        params::string(&object, "model")?;
        let is_input = |input: &Value| input.is_string() || input.is_array();
        let input = optional(&object, "input", "a string or an array", is_input)?;
        let previous = optional(&object, "previous_response_id", "a string", Value::is_string)?;
        if let Some(id) = previous.and_then(Value::as_str) {
            self.check_previous(id)?;
        } else if input.is_none() {
            return Err(ApiError::missing("input"));
        }
        let mut output: Vec<Json> = items(input, &self.ids)
            .into_iter()
            .filter(|item| item.get("role").is_some_and(|role| role == "user"))
            .map(Json::from)
            .collect();
        output.push(Json::from(json!({
            "id": self.ids.item("cmp"),
            "type": "compaction",
            "encrypted_content": self.ids.item("gAAAAABcompacted"),
        })));
        let input_tokens = input_tokens(&Value::Object(object.clone()));
        let output_tokens = 16 * output.len();
        Ok(Answer::json(&object! {
            "id": self.ids.item("resp"),
            "object": "response.compaction",
            "created_at": unix_seconds(),
            "output": output,
            "usage": object! {
                "input_tokens": input_tokens,
                "input_tokens_details": object! { "cached_tokens": 0_u64 },
                "output_tokens": output_tokens,
                "output_tokens_details": object! { "reasoning_tokens": 0_u64 },
                "total_tokens": input_tokens + output_tokens,
            },
        }))
    }
}
