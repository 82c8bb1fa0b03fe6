//! A value that fits a JSON schema, for function arguments and structured output.

use serde_json::{Map, Value};

/// A sample for `schema`; `{}` for none.
pub(super) fn sample(schema: &Value) -> Value {
    match schema {
        Value::Object(object) if !object.is_empty() => {
            value(schema, &mut Limits { root: schema, left: MAX_VALUES }, 0)
        }
        _ => Value::Object(Map::new()),
    }
}

/// Deeper schemas, recursive ones above all, end in `null`.
const MAX_DEPTH: usize = 16;

/// More values than this, as a schema with several references to itself would have, too.
const MAX_VALUES: usize = 10_000;

struct Limits<'a> {
    root: &'a Value,
    left: usize,
}

fn value(schema: &Value, limits: &mut Limits<'_>, depth: usize) -> Value {
    if depth > MAX_DEPTH || limits.left == 0 {
        return Value::Null;
    }
    limits.left -= 1;
    let first = |key| schema.get(key).and_then(Value::as_array).and_then(|items| items.first());
    if let Some(fixed) = schema.get("const").or_else(|| first("enum")) {
        return fixed.clone();
    }
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        let target = path.strip_prefix('#').and_then(|path| limits.root.pointer(path));
        return target.map_or(Value::Null, |target| value(target, limits, depth + 1));
    }
    if let Some(one) = first("anyOf").or_else(|| first("oneOf")).or_else(|| first("allOf")) {
        return value(one, limits, depth + 1);
    }
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind {
        Some("string") => "example".into(),
        Some("integer" | "number") => {
            schema.get("minimum").cloned().unwrap_or_else(|| Value::from(1))
        }
        Some("boolean") => true.into(),
        Some("array") => {
            let item = schema.get("items").map(|items| value(items, limits, depth + 1));
            Value::Array(item.into_iter().collect())
        }
        Some("null") => Value::Null,
        _ => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten();
            Value::Object(
                fields
                    .map(|(key, schema)| (key.clone(), value(schema, limits, depth + 1)))
                    .collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn samples_fit() {
        let schema = json!({"type":"object","properties":{
            "city":{"type":"string"},"unit":{"enum":["c","f"]},"days":{"type":"integer","minimum":2},
            "tags":{"type":"array","items":{"$ref":"#/$defs/tag"}},"maybe":{"type":["boolean","null"]},
        },"$defs":{"tag":{"anyOf":[{"type":"number"}]}}});
        assert_eq!(
            sample(&schema),
            json!({"city":"example","unit":"c","days":2,"tags":[1],"maybe":true})
        );
        assert_eq!(sample(&Value::Null), json!({}));
    }

    #[test]
    fn a_recursive_schema_ends() {
        let sample = sample(&json!({"type":"object","properties":{"next":{"$ref":"#"}}}));
        assert!(sample.to_string().contains("null"));
    }
}
