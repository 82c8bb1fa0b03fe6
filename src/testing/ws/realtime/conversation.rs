//! The items of the conversation, and the events that create, find, cut and delete them.

use serde_json::{Map, Value, json};

use super::play::Playing;
use super::{Realtime, set, text};
use crate::testing::api_error::ApiError;
use crate::testing::json::{Json, object};
use crate::testing::params;

/// More items than this are not taken.
const MAX_ITEMS: usize = 10_000;

#[derive(Default)]
pub(super) struct Conversation {
    items: Vec<Value>,
}

impl Conversation {
    pub(super) fn items(&self) -> &[Value] {
        &self.items
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.items.iter().position(|item| text(item, "id") == id)
    }

    /// The id of the last item, null if there is none.
    pub(super) fn last_id(&self) -> Json {
        self.items.last().map_or(Json::NULL, |item| text(item, "id").into())
    }

    pub(super) fn push(&mut self, item: Value) {
        if self.items.len() < MAX_ITEMS {
            self.items.push(item);
        }
    }

    /// Completes the item of a response that is over.
    pub(super) fn finish(&mut self, response: &Playing) {
        for item in response.items() {
            let id = text(item, "id");
            if let Some(kept) = self.position(id).and_then(|index| self.items.get_mut(index)) {
                *kept = item.clone();
            }
        }
    }

    fn calls(&self, call_id: &str) -> bool {
        let call = |item: &Value| {
            text(item, "type") == "function_call" && text(item, "call_id") == call_id
        };
        self.items.iter().any(call)
    }
}

impl Realtime {
    pub(super) fn create_item(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let item = params::required(event, "item", "an object", Value::is_object)?;
        let mut item = item.clone();
        self.check_item(&item)?;
        let previous = params::optional(event, "previous_item_id", "a string", Value::is_string)?;
        let at = match previous.and_then(Value::as_str) {
            None => self.conversation.items.len(),
            Some("root") => 0,
            Some(id) => match self.conversation.position(id) {
                Some(index) => index + 1,
                None => return Err(unknown_item("item_create", "previous_item_id", id)),
            },
        };
        if self.conversation.items.len() >= MAX_ITEMS {
            return Err(ApiError::invalid_request("The conversation has too many items."));
        }
        let id = item.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = id.unwrap_or_else(|| self.turns.ids().item("item"));
        let fields = json!({ "id": id, "object": "realtime.item", "status": "completed" });
        for (key, value) in fields.as_object().into_iter().flatten() {
            set(&mut item, key, value.clone());
        }
        let before = match at.checked_sub(1).and_then(|index| self.conversation.items.get(index)) {
            Some(item) => text(item, "id").into(),
            None => Json::NULL,
        };
        self.conversation.items.insert(at, item.clone());
        self.tell_item(before, &item);
        Ok(())
    }

    /// Says that an item is there.
    pub(super) fn tell_item(&mut self, before: Json, item: &Value) {
        for kind in ["conversation.item.added", "conversation.item.done"] {
            let rest = object! { "previous_item_id": before.clone(), "item": item.clone() };
            self.tell(kind, rest);
        }
    }

    fn check_item(&self, item: &Value) -> Result<(), ApiError> {
        let fields = item.as_object().ok_or_else(|| ApiError::missing("item"))?;
        let string = |key: &'static str, param: &'static str| {
            let value = params::present(fields.get(key)).ok_or_else(|| ApiError::missing(param))?;
            value
                .as_str()
                .ok_or_else(|| ApiError::invalid_type(param, "a string", "something else"))
        };
        if let Some(id) = params::present(fields.get("id")) {
            let id = id
                .as_str()
                .ok_or_else(|| ApiError::invalid_type("item.id", "a string", "something else"))?;
            if self.conversation.position(id).is_some() {
                let why = format!("Error adding item: an item with id '{id}' already exists.");
                return Err(ApiError::invalid_request(why)
                    .param("item.id")
                    .code("item_create_duplicate_item_id"));
            }
        }
        match string("type", "item.type")? {
            "message" => check_content(string("role", "item.role")?, fields.get("content")),
            "function_call" => {
                string("name", "item.name")?;
                string("arguments", "item.arguments").map(drop)
            }
            "function_call_output" => {
                string("output", "item.output")?;
                let call_id = string("call_id", "item.call_id")?;
                if self.conversation.calls(call_id) {
                    return Ok(());
                }
                let why = format!("Tool call ID '{call_id}' not found in conversation.");
                Err(ApiError::invalid_request(why)
                    .param("item.call_id")
                    .code("invalid_tool_call_id"))
            }
            "mcp_approval_response" => Ok(()),
            other => {
                let why = format!(
                    "Invalid value: '{other}'. Supported values are: 'message', 'function_call', \
                     'function_call_output' and 'mcp_approval_response'."
                );
                Err(ApiError::invalid_value("item.type", why))
            }
        }
    }

    /// The item that an event names.
    fn item(&self, event: &Map<String, Value>, verb: &str) -> Result<usize, ApiError> {
        let id = params::string(event, "item_id")?;
        self.conversation.position(id).ok_or_else(|| unknown_item(verb, "item_id", id))
    }

    pub(super) fn retrieve_item(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let index = self.item(event, "item_retrieve")?;
        let item = self.conversation.items.get(index).cloned().unwrap_or_default();
        self.tell("conversation.item.retrieved", object! { "item": item });
        Ok(())
    }

    pub(super) fn delete_item(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let index = self.item(event, "item_delete")?;
        let item = self.conversation.items.remove(index);
        self.tell("conversation.item.deleted", object! { "item_id": text(&item, "id") });
        Ok(())
    }

    pub(super) fn truncate_item(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let index = self.item(event, "item_truncate")?;
        let content =
            params::required(event, "content_index", "an integer", Value::is_u64)?.clone();
        let end = params::required(event, "audio_end_ms", "an integer", Value::is_u64)?.clone();
        let Some(item) = self.conversation.items.get_mut(index) else { return Ok(()) };
        let item_id = text(item, "id").to_owned();
        let part = item.pointer_mut("/content/0");
        let Some(part) = part.filter(|part| text(part, "type") == "output_audio") else {
            let why = "Only model output audio messages can be truncated.";
            return Err(ApiError::invalid_value("item_id", why));
        };
        if content != 0 {
            let why = "Invalid 'content_index': the item has one content part.";
            return Err(ApiError::invalid_value("content_index", why));
        }
        // What was not heard is not remembered.
        set(part, "transcript", "");
        let rest = object! { "item_id": item_id, "content_index": content, "audio_end_ms": end };
        self.tell("conversation.item.truncated", rest);
        Ok(())
    }
}

fn unknown_item(verb: &str, param: &'static str, id: &str) -> ApiError {
    let code = match verb {
        "item_retrieve" => "item_retrieve_invalid_item_id",
        "item_delete" => "item_delete_invalid_item_id",
        "item_truncate" => "item_truncate_invalid_item_id",
        _ => "item_create_invalid_previous_item_id",
    };
    let why = format!("Error with item: the item with id '{id}' does not exist.");
    ApiError::invalid_request(why).param(param).code(code)
}

fn check_content(role: &str, content: Option<&Value>) -> Result<(), ApiError> {
    let kinds: &[&str] = match role {
        "user" => &["input_text", "input_audio", "input_image"],
        "assistant" => &["output_text", "output_audio"],
        "system" => &["input_text"],
        other => {
            let why = format!(
                "Invalid value: '{other}'. Supported values are: 'user', 'assistant' and 'system'."
            );
            return Err(ApiError::invalid_value("item.role", why));
        }
    };
    let parts =
        content.and_then(Value::as_array).ok_or_else(|| ApiError::missing("item.content"))?;
    for (index, part) in parts.iter().enumerate() {
        let at = |key: &str| format!("item.content[{index}].{key}");
        let kind = part.get("type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| ApiError::missing(at("type")))?;
        if !kinds.contains(&kind) {
            let known: Vec<_> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
            let known = known.join(", ");
            let why = format!("Invalid value: '{kind}'. Supported values are: {known}.");
            return Err(ApiError::invalid_value(at("type"), why));
        }
        if kind.ends_with("_text") && !part.get("text").is_some_and(Value::is_string) {
            return Err(ApiError::missing(at("text")));
        }
    }
    Ok(())
}
