//! JSON that keeps the order in which its keys were written.
//!
//! The API writes `type` before `sequence_number` before the rest. serde_json's own map sorts, and
//! its `preserve_order` feature would change the map of everybody in the build.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// A JSON tree with ordered objects.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Value(Value),
    Array(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(super) const NULL: Self = Self::Value(Value::Null);

    pub(super) fn empty_array() -> Self {
        Self::Array(Vec::new())
    }

    pub(super) fn empty_object() -> Self {
        Self::Object(Vec::new())
    }

    /// One line, as in an event.
    pub(super) fn compact(&self) -> String {
        // Keys are strings and nothing here fails to serialize; `null` stands for the impossible.
        serde_json::to_string(self).unwrap_or_else(|_| String::from("null"))
    }

    /// The same without the order.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Array(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Object(fields) => Value::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value.into_value()))
                    .collect(),
            ),
        }
    }

    /// Indented, as in a JSON answer of the API.
    pub(super) fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|_| String::from("null"))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

macro_rules! scalar {
    ($($from:ty),*) => {$(
        impl From<$from> for Json {
            fn from(value: $from) -> Self {
                Self::Value(Value::from(value))
            }
        }
    )*};
}

scalar!(bool, u16, u64, usize, f64, &str, String);

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(items: Vec<Json>) -> Self {
        Self::Array(items)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::NULL, Into::into)
    }
}

/// An ordered object: `object! { "type": kind, "delta": text }`.
macro_rules! object {
    ($($key:literal : $value:expr),* $(,)?) => {
        $crate::testing::json::Json::Object(vec![
            $(($key, $crate::testing::json::Json::from($value))),*
        ])
    };
}

pub(super) use object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order() {
        let json =
            object! { "type": "x", "sequence_number": 3_u64, "a": Json::NULL, "b": object! {} };
        assert_eq!(json.compact(), r#"{"type":"x","sequence_number":3,"a":null,"b":{}}"#);
    }
}
