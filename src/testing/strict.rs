//! Schemas that the model is held to: the API takes only those that say all of an object.

use serde_json::{Map, Value};

use super::api_error::ApiError;

/// Refuses a request with a strict tool or format whose schema leaves something open.
pub(super) fn check(request: &Map<String, Value>) -> Result<(), ApiError> {
    let is_strict = |object: &Value| object.get("strict") == Some(&Value::Bool(true));
    let text = |object: &Value, member: &str| {
        object.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let tools = request.get("tools").and_then(Value::as_array).map(Vec::as_slice);
    for (number, tool) in tools.unwrap_or_default().iter().enumerate() {
        if tool.get("type").is_some_and(|kind| kind == "function") && is_strict(tool) {
            if let Some(why) = tool.get("parameters").and_then(open) {
                let name = text(tool, "name");
                return Err(ApiError::open_schema(&format!("function '{name}'"), &why)
                    .param(format!("tools[{number}].parameters"))
                    .code("invalid_function_parameters"));
            }
        }
    }
    let format = request.get("text").and_then(|text| text.get("format"));
    if let Some(format) = format.filter(|format| is_strict(format)) {
        if let Some(why) = format.get("schema").and_then(open) {
            let name = text(format, "name");
            return Err(ApiError::open_schema(&format!("response_format '{name}'"), &why)
                .param("text.format.schema")
                .code("invalid_json_schema"));
        }
    }
    Ok(())
}

/// Where the schema leaves something open, in the API's words.
fn open(schema: &Value) -> Option<String> {
    find(schema, &mut Vec::new())
}

/// As deep as `serde_json` reads.
fn find(schema: &Value, path: &mut Vec<String>) -> Option<String> {
    if is_object(schema) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice);
        let is_required = |name: &String| {
            required.unwrap_or_default().iter().any(|required| required == name.as_str())
        };
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            let why = "'additionalProperties' is required to be supplied and to be false.";
            return Some(format!("In context={}, {why}", context(path)));
        }
        if let Some(name) =
            properties.into_iter().flat_map(Map::keys).find(|name| !is_required(name))
        {
            return Some(format!(
                "In context={}, 'required' is required to be supplied and to be an array including \
                 every key in properties. Missing '{name}'.",
                context(path)
            ));
        }
    }
    for keyword in ["properties", "$defs", "definitions"] {
        let inside = schema.get(keyword).and_then(Value::as_object);
        let found = inside
            .into_iter()
            .flatten()
            .find_map(|(name, schema)| below([keyword.to_owned(), name.clone()], schema, path));
        if found.is_some() {
            return found;
        }
    }
    let of_any = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice);
    let found =
        of_any.unwrap_or_default().iter().enumerate().find_map(|(number, schema)| {
            below(["anyOf".to_owned(), number.to_string()], schema, path)
        });
    found.or_else(|| below(["items".to_owned()], schema.get("items")?, path))
}

fn below<const N: usize>(
    steps: [String; N],
    schema: &Value,
    path: &mut Vec<String>,
) -> Option<String> {
    path.extend(steps);
    let found = find(schema, path);
    path.truncate(path.len().saturating_sub(N));
    found
}

fn is_object(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.get("properties").is_some(),
    }
}

/// A path as the API writes it: a tuple of Python's.
fn context(path: &[String]) -> String {
    let quoted: Vec<_> = path.iter().map(|step| format!("'{step}'")).collect();
    match &*quoted {
        [one] => format!("({one},)"),
        steps => format!("({})", steps.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(request: Value) -> Option<Value> {
        let error = check(request.as_object().unwrap()).err()?;
        let body: Value = serde_json::from_str(&error.body().compact()).unwrap();
        Some(body["error"].clone())
    }

    fn tool(strict: bool, parameters: Value) -> Value {
        json!({"tools": [{"type": "web_search"},
            {"type": "function", "name": "f", "strict": strict, "parameters": parameters}]})
    }

    #[test]
    fn strict_schemas_are_closed_at_every_depth() {
        let closed = |properties: Value| {
            let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
            json!({"type": "object", "properties": properties, "required": required,
                "additionalProperties": false})
        };
        let open = json!({"type": "object", "properties": {}});
        let cases = [
            (open.clone(), "()"),
            (closed(json!({"a": open})), "('properties', 'a')"),
            (
                closed(json!({"a": {"type": "array", "items": open}})),
                "('properties', 'a', 'items')",
            ),
            (
                closed(json!({"a": {"anyOf": [{"type": "null"}, open]}})),
                "('properties', 'a', 'anyOf', '1')",
            ),
            (json!({"$defs": {"D": open}}), "('$defs', 'D')"),
            (json!({"items": {"type": ["object", "null"]}}), "('items',)"),
        ];
        for (schema, context) in cases {
            let error = refusal(tool(true, schema.clone())).unwrap();
            assert_eq!(
                error["message"],
                format!(
                    "Invalid schema for function 'f': In context={context}, 'additionalProperties' is \
                     required to be supplied and to be false."
                )
            );
            assert_eq!(error["code"], "invalid_function_parameters");
            assert_eq!(error["param"], "tools[1].parameters");
            assert_eq!(refusal(tool(false, schema)), None);
        }
        let nested = closed(json!({"a": closed(json!({"b": {"type": "string"}}))}));
        assert_eq!(refusal(tool(true, nested)), None);
    }

    #[test]
    fn every_property_is_required() {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        let format = json!({"type": "json_schema", "name": "n", "strict": true, "schema": schema});
        let error = refusal(json!({"text": {"format": format}})).unwrap();
        let message = error["message"].as_str().unwrap();
        assert!(
            message
                .starts_with("Invalid schema for response_format 'n': In context=(), 'required'")
        );
        assert!(message.ends_with("Missing 'b'."), "{message}");
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("invalid_json_schema"), &json!("text.format.schema"))
        );
    }
}
