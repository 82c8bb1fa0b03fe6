//! Reading a Responses request: is it one the API would take, and what does it ask for?

use serde_json::{Map, Value};

use super::api_error::ApiError;
use super::params::{self, optional, present};
use super::sample::sample;
use super::strict;

/// Refuses what the API refuses.
pub(super) fn validate(body: &[u8]) -> Result<Value, ApiError> {
    let object = params::object(body)?;
    // What only the WebSocket has.
    for param in ["type", "generate", "stream_id"] {
        if object.contains_key(param) {
            return Err(ApiError::unknown_parameter(param));
        }
    }
    check(object)
}

/// As [`validate`], for the members of a request that came in whatever way.
pub(super) fn check(object: Map<String, Value>) -> Result<Value, ApiError> {
    params::string(&object, "model")?;
    let is_input = |input: &Value| input.is_string() || input.is_array();
    let input = optional(&object, "input", "a string or an array", is_input)?;
    let elsewhere = ["prompt", "previous_response_id", "conversation"];
    if input.is_none() && !elsewhere.iter().any(|key| present(object.get(*key)).is_some()) {
        return Err(ApiError::missing("input"));
    }
    for flag in ["stream", "store", "background"] {
        optional(&object, flag, "a boolean", Value::is_boolean)?;
    }
    optional(&object, "tools", "an array", Value::is_array)?;
    optional(&object, "reasoning", "an object", Value::is_object)?;
    optional(&object, "include", "an array", Value::is_array)?;
    optional(&object, "previous_response_id", "a string", Value::is_string)?;
    let is_conversation = |value: &Value| value.is_string() || value.is_object();
    optional(&object, "conversation", "a string or an object", is_conversation)?;
    strict::check(&object)?;
    Ok(Value::Object(object))
}

/// The id of the conversation that a request belongs to.
pub(super) fn conversation(request: &Value) -> Option<&str> {
    let conversation = request.get("conversation")?;
    conversation.as_str().or_else(|| conversation.get("id")?.as_str())
}

/// What the natural answer will consist of.
#[derive(Debug)]
pub(super) enum Reply {
    /// A message with this text.
    Text(String),
    /// Calls of these functions, as name and arguments.
    Calls(Vec<(String, String)>),
}

/// Decides on the answer.
///
/// In this order: the output of a function call is quoted; a function that `tool_choice` names or
/// the last user text mentions is called; a JSON format is filled with a sample; the last user
/// text is quoted.
pub(super) fn reply(request: &Value) -> Reply {
    let last = last_input(request);
    if let Last::ToolOutput(output) = &last {
        return Reply::Text(format!("The tool answered: {}", shorten(output)));
    }
    let text = match &last {
        Last::UserText(text) => text.as_str(),
        _ => "",
    };
    let calls = wanted_calls(request, text);
    if !calls.is_empty() {
        return Reply::Calls(calls);
    }
    let format = request.pointer("/text/format");
    match format.and_then(|format| format.get("type")).and_then(Value::as_str) {
        Some("json_schema") => {
            let schema = format.and_then(|format| format.get("schema")).unwrap_or(&Value::Null);
            Reply::Text(sample(schema).to_string())
        }
        Some("json_object") => {
            Reply::Text(serde_json::json!({ "answer": shorten(text) }).to_string())
        }
        _ if text.is_empty() => Reply::Text("Hello from the loopback server.".into()),
        _ => Reply::Text(format!(
            "You said \"{}\", and the loopback server heard you. It has no opinion of its own, \
             but it is happy to talk.",
            shorten(text)
        )),
    }
}

enum Last {
    UserText(String),
    ToolOutput(String),
    Nothing,
}

/// The last input item that calls for an answer.
fn last_input(request: &Value) -> Last {
    let input = request.get("input").unwrap_or(&Value::Null);
    if let Some(text) = input.as_str() {
        return Last::UserText(text.to_owned());
    }
    let items = input.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().rev().find_map(as_last).unwrap_or(Last::Nothing)
}

fn as_last(item: &Value) -> Option<Last> {
    let text = |key| item.get(key).and_then(Value::as_str);
    match (text("type"), text("role")) {
        (Some("function_call_output" | "custom_tool_call_output"), _) => {
            Some(Last::ToolOutput(joined_text(item.get("output")?)))
        }
        (None | Some("message"), Some("user")) => {
            Some(Last::UserText(joined_text(item.get("content")?)))
        }
        _ => None,
    }
}

/// A string, or the texts of an array of parts.
fn joined_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

fn wanted_calls(request: &Value, text: &str) -> Vec<(String, String)> {
    let tools = request.get("tools").and_then(Value::as_array).map(Vec::as_slice);
    let functions = tools.unwrap_or_default().iter().filter_map(|tool| {
        (tool.get("type")? == "function").then_some(())?;
        let parameters = tool.get("parameters").unwrap_or(&Value::Null);
        Some((tool.get("name")?.as_str()?, parameters))
    });
    let choice = request.get("tool_choice").unwrap_or(&Value::Null);
    let text = text.to_lowercase();
    let any = choice == "required" || text.contains("call the tool");
    let wanted = |name: &str| {
        let lower = name.to_lowercase();
        choice.get("name").is_some_and(|chosen| chosen == name)
            || (choice != "none"
                && (text.contains(&lower) || text.contains(&lower.replace(['_', '-'], " "))))
    };
    let call =
        |(name, parameters): (&str, &Value)| (name.to_owned(), sample(parameters).to_string());
    let mut calls: Vec<_> = functions.clone().filter(|(name, _)| wanted(name)).map(call).collect();
    if calls.is_empty() && any {
        calls.extend(functions.map(call).take(1));
    }
    if request.get("parallel_tool_calls") == Some(&Value::Bool(false)) {
        calls.truncate(1);
    }
    calls
}

/// At most 200 characters.
fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(body: &str) -> Value {
        let error = validate(body.as_bytes()).unwrap_err();
        serde_json::from_str(&error.body().compact()).unwrap()
    }

    #[test]
    fn refusals_name_the_parameter() {
        let error = refusal(r#"{"input":"hi"}"#);
        assert_eq!(error["error"]["param"], "model");
        assert_eq!(error["error"]["code"], "missing_required_parameter");
        let error = refusal(r#"{"model":"m"}"#);
        assert_eq!(error["error"]["message"], "Missing required parameter: 'input'.");
        let error = refusal(r#"{"model":7,"input":"hi"}"#);
        assert_eq!(
            error["error"]["message"],
            "Invalid type for 'model': expected a string, but got an integer instead."
        );
        assert_eq!(refusal("{")["error"]["param"], Value::Null);
        assert_eq!(refusal("[]")["error"]["type"], "invalid_request_error");
        validate(br#"{"model":"m","previous_response_id":"resp_1"}"#).unwrap();
        validate(br#"{"model":"m","input":[],"reasoning":null}"#).unwrap();
    }

    #[test]
    fn functions_are_called_when_asked_for() {
        let tools = json!([
            {"type":"function","name":"get_weather","parameters":{"type":"object",
                "properties":{"city":{"type":"string"}},"required":["city"]}},
            {"type":"function","name":"get_time","parameters":{}},
            {"type":"web_search"},
        ]);
        let calls = |extra: Value| {
            let mut request = json!({"model":"m","tools":tools,"input":"hello"});
            for (key, value) in extra.as_object().unwrap() {
                request[key] = value.clone();
            }
            match reply(&request) {
                Reply::Calls(calls) => calls.into_iter().map(|(name, _)| name).collect(),
                Reply::Text(_) => Vec::new(),
            }
        };
        assert!(calls(json!({})).is_empty());
        assert_eq!(calls(json!({"input":"Get weather in Oslo"})), ["get_weather"]);
        assert_eq!(calls(json!({"input":"get_weather and get_time"})), ["get_weather", "get_time"]);
        assert_eq!(calls(json!({"tool_choice":"required"})), ["get_weather"]);
        assert_eq!(
            calls(json!({"tool_choice":{"type":"function","name":"get_time"}})),
            ["get_time"]
        );
        assert!(calls(json!({"input":"get_time","tool_choice":"none"})).is_empty());
        assert!(
            calls(json!({"input":[
                {"role":"user","content":"get_time"},
                {"type":"function_call_output","call_id":"c","output":"noon"},
            ]}))
            .is_empty()
        );
    }

    #[test]
    fn the_last_user_text_is_quoted() {
        let request = json!({"model":"m","input":[
            {"role":"user","content":"first"},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"second"}]},
            {"role":"assistant","content":"third"},
        ]});
        let Reply::Text(text) = reply(&request) else { panic!("a text") };
        assert!(text.starts_with("You said \"second\""), "{text}");
    }
}
