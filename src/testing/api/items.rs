//! Input items as the API gives them back: with ids, and with their content as parts.

use serde_json::{Map, Value, json};

use crate::testing::ids::Ids;

/// The items of an `input`, whichever form it has.
pub(super) fn items(input: Option<&Value>, ids: &Ids) -> Vec<Value> {
    match input {
        Some(Value::String(text)) => vec![item(&json!({ "role": "user", "content": text }), ids)],
        Some(Value::Array(items)) => items.iter().map(|value| item(value, ids)).collect(),
        _ => Vec::new(),
    }
}

/// One item. What is no object stays as it is: the list is not the place to refuse it.
pub(super) fn item(value: &Value, ids: &Ids) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let mut fields = fields.clone();
    let kind = fields.entry("type").or_insert_with(|| "message".into());
    let kind = kind.as_str().unwrap_or("message").to_owned();
    if fields.get("id").is_none_or(Value::is_null) {
        fields.insert("id".into(), ids.item(prefix(&kind)).into());
    }
    if kind == "message" {
        message(&mut fields);
    }
    Value::Object(fields)
}

fn message(fields: &mut Map<String, Value>) {
    fields.entry("status").or_insert_with(|| "completed".into());
    let spoken = fields.get("role").is_some_and(|role| role == "assistant");
    if let Some(Value::String(text)) = fields.get("content") {
        let part = match spoken {
            true => json!({ "type": "output_text", "text": text, "annotations": [] }),
            false => json!({ "type": "input_text", "text": text }),
        };
        fields.insert("content".into(), Value::Array(vec![part]));
    }
}

fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        "compaction" => "cmp",
        _ => "item",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_become_items_with_ids() {
        let ids = Ids::new(None);
        let one = items(Some(&json!("hi")), &ids).remove(0);
        assert_eq!(one["content"], json!([{ "type": "input_text", "text": "hi" }]));
        assert_eq!((&one["role"], &one["type"]), (&json!("user"), &json!("message")));
        let input = json!([
            { "role": "assistant", "content": "a" },
            { "type": "function_call_output", "call_id": "c", "output": "o" },
            { "type": "message", "id": "msg_1", "role": "user", "content": [] },
            7,
        ]);
        let many = items(Some(&input), &ids);
        assert_eq!(many[0]["content"][0]["type"], "output_text");
        assert!(many[1]["id"].as_str().unwrap().starts_with("fco_"));
        assert_eq!((&many[2]["id"], &many[3]), (&json!("msg_1"), &json!(7)));
        assert!(items(None, &ids).is_empty());
    }
}
