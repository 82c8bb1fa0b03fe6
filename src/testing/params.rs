//! The members of a JSON request, and the pairs of a query.

use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::api_error::ApiError;

/// The object that a body has to be.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(ApiError::not_json()),
    }
}

/// An absent member and a null one are the same to the API.
pub(super) fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

/// The member `param`, if it is there; it has to fit then.
pub(super) fn optional<'a>(
    object: &'a Map<String, Value>,
    param: &'static str,
    expected: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<Option<&'a Value>, ApiError> {
    match present(object.get(param)) {
        Some(value) if !fits(value) => Err(ApiError::invalid_type(param, expected, kind(value))),
        value => Ok(value),
    }
}

/// The member `param`, which has to be there and to fit.
pub(super) fn required<'a>(
    object: &'a Map<String, Value>,
    param: &'static str,
    expected: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<&'a Value, ApiError> {
    optional(object, param, expected, fits)?.ok_or_else(|| ApiError::missing(param))
}

/// The string `param`, which has to be there.
pub(super) fn string<'a>(
    object: &'a Map<String, Value>,
    param: &'static str,
) -> Result<&'a str, ApiError> {
    let value = required(object, param, "a string", Value::is_string)?;
    value.as_str().ok_or_else(|| ApiError::missing(param))
}

/// The array `param`, which has to be there.
pub(super) fn array<'a>(
    object: &'a Map<String, Value>,
    param: &'static str,
) -> Result<&'a [Value], ApiError> {
    let value = required(object, param, "an array", Value::is_array)?;
    value.as_array().map(Vec::as_slice).ok_or_else(|| ApiError::missing(param))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A number that is to be in `range`.
pub(super) fn within(
    param: &'static str,
    number: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, ApiError> {
    match number {
        _ if number < *range.start() => Err(ApiError::too_small(param, *range.start(), number)),
        _ if number > *range.end() => Err(ApiError::too_large_number(param, *range.end(), number)),
        _ => Ok(number),
    }
}

/// The pairs of a query, decoded.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn new(query: &str) -> Self {
        let decode = |text: &str| {
            percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `true` or `false`; the API takes no other spelling.
    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::invalid_type(name, "a boolean", "a string")),
        }
    }

    pub(super) fn number(&self, name: &'static str) -> Result<Option<u64>, ApiError> {
        let wrong = |_| ApiError::invalid_type(name, "an integer", "a string");
        self.get(name).map(|value| value.parse().map_err(wrong)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_and_checked() {
        let query = Query::new("a=1&b%5B%5D=x+y%21&&c&d=true&d=false");
        assert_eq!(
            (query.get("a"), query.get("b[]"), query.get("c")),
            (Some("1"), Some("x y!"), Some(""))
        );
        assert_eq!(query.number("a").unwrap(), Some(1));
        assert_eq!(query.number("e").unwrap(), None);
        assert_eq!(query.flag("d").unwrap(), Some(true));
        assert_eq!(query.flag("a").unwrap_err().status, 400);
        assert_eq!(query.number("d").unwrap_err().status, 400);
    }
}
