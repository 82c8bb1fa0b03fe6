//! [`Schema`]: JSON schemas, written in Rust.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::model::{RawJson, RawObject};

/// A JSON schema of the kind that tools and structured output use.
///
/// ```
/// use tower_openai::model::{RawJson, Schema};
///
/// let schema = Schema::object()
///     .property("city", Schema::string().description("As on a map"))
///     .property("days", Schema::array(Schema::integer()))
///     .required(["city"]);
/// assert_eq!(
///     RawJson::from(schema).as_str(),
///     r#"{"type":"object","properties":{"city":{"type":"string","description":"As on a map"},"days":{"type":"array","items":{"type":"integer"}}},"required":["city"]}"#
/// );
/// ```
///
/// Keywords without a method are set with [`keyword`](Self::keyword).
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Schema {
    kind: &'static str,
    nullable: bool,
    properties: Vec<(String, Schema)>,
    required: Vec<String>,
    closed: bool,
    items: Option<Box<Schema>>,
    keywords: RawObject,
}

impl Schema {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            nullable: false,
            properties: Vec::new(),
            required: Vec::new(),
            closed: false,
            items: None,
            keywords: RawObject::new(),
        }
    }

    /// An object.
    pub fn object() -> Self {
        Self::new("object")
    }

    /// An array of `items`.
    pub fn array(items: Self) -> Self {
        Self { items: Some(Box::new(items)), ..Self::new("array") }
    }

    /// A string.
    pub fn string() -> Self {
        Self::new("string")
    }

    /// A whole number.
    pub fn integer() -> Self {
        Self::new("integer")
    }

    /// A number.
    pub fn number() -> Self {
        Self::new("number")
    }

    /// `true` or `false`.
    pub fn boolean() -> Self {
        Self::new("boolean")
    }

    /// Tells the model what the value is.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.keyword("description", serde_json::Value::String(text.into()))
    }

    /// Adds a property to an object.
    pub fn property(mut self, name: impl Into<String>, schema: Self) -> Self {
        self.properties.push((name.into(), schema));
        self
    }

    /// Adds names of properties that must be there.
    pub fn required<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.required.extend(names.into_iter().map(Into::into));
        self
    }

    /// Makes every property required and forbids others, at every depth: what strict tools and
    /// strict formats want. A property that may be left out is then a [`nullable`](Self::nullable) one.
    ///
    /// Say it after the last property. Schemas that were set by [`keyword`](Self::keyword), such as
    /// those of `anyOf`, stay as they are.
    ///
    /// ```
    /// use tower_openai::model::{FunctionTool, RawJson, Schema};
    ///
    /// let place = Schema::object().property("city", Schema::string());
    /// let schema = Schema::object().property("places", Schema::array(place)).closed();
    /// let json = RawJson::from(schema.clone());
    /// assert_eq!(json.as_str().matches(r#""additionalProperties":false"#).count(), 2);
    ///
    /// let forecast = FunctionTool::new("forecast", "The weather to come").parameters(schema).strict(true);
    /// # let _ = forecast;
    /// ```
    pub fn closed(mut self) -> Self {
        if self.kind == "object" {
            self.required = self.properties.iter().map(|(name, _)| name.clone()).collect();
            self.closed = true;
        }
        let close = |(name, schema): (String, Self)| (name, schema.closed());
        self.properties = self.properties.into_iter().map(close).collect();
        self.items = self.items.map(|items| Box::new(items.closed()));
        self
    }

    /// Limits a string to these values.
    pub fn one_of<I>(self, values: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let values = values.into_iter().map(|value| serde_json::Value::String(value.into()));
        self.keyword("enum", serde_json::Value::Array(values.collect()))
    }

    /// Allows `null` too.
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        if let Some(raw) = self.keywords.get("enum") {
            if let Ok(mut values) = raw.parse::<Vec<serde_json::Value>>() {
                values.push(serde_json::Value::Null);
                return self.keyword("enum", serde_json::Value::Array(values));
            }
        }
        self
    }

    /// Sets any other keyword, such as `minimum` or `pattern`.
    pub fn keyword(mut self, name: &str, value: impl Into<RawJson>) -> Self {
        self.keywords.set_raw(name, value.into());
        self
    }
}

impl From<Schema> for RawJson {
    fn from(schema: Schema) -> Self {
        // Writing strings and JSON text into memory does not fail.
        Self::from_value(&schema).unwrap_or_default()
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Properties<'a>(&'a [(String, Schema)]);

        impl Serialize for Properties<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, schema)| (name, schema)))
            }
        }

        let mut map = serializer.serialize_map(None)?;
        if self.nullable {
            map.serialize_entry("type", &[self.kind, "null"])?;
        } else {
            map.serialize_entry("type", self.kind)?;
        }
        for (name, value) in self.keywords.iter() {
            map.serialize_entry(name, value)?;
        }
        if self.kind == "object" {
            map.serialize_entry("properties", &Properties(&self.properties))?;
        }
        if !self.required.is_empty() {
            map.serialize_entry("required", &self.required)?;
        }
        if self.closed {
            map.serialize_entry("additionalProperties", &false)?;
        }
        if let Some(items) = &self.items {
            map.serialize_entry("items", items)?;
        }
        map.end()
    }
}
