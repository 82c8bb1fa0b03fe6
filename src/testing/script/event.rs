//! The pieces of an event stream that a script writes.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

/// The line ending of the events the server writes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Newline {
    /// Line feed, as the API.
    #[default]
    Lf,
    /// Carriage return and line feed.
    CrLf,
    /// Carriage return alone.
    Cr,
}

impl Newline {
    pub(in crate::testing) fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// One piece of an event stream.
///
/// A JSON value becomes an `event:` line with its `type` and a `data:` line with the value (keys
/// in serde_json's order, that is sorted; use [`raw`](Self::raw) where order matters).
#[derive(Clone, Debug)]
#[must_use]
pub struct Event {
    pub(in crate::testing) text: Text,
    pub(in crate::testing) delay: Duration,
}

#[derive(Clone, Debug)]
pub(in crate::testing) enum Text {
    Json(Value),
    DataOnly(Value),
    Comment(String),
    Raw(Bytes),
}

impl Event {
    fn new(text: Text) -> Self {
        Self { text, delay: Duration::ZERO }
    }

    /// Bytes as they are, final blank line included: valid SSE or not, whole or not.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::new(Text::Raw(bytes.into()))
    }

    /// A `data:` line without an `event:` line.
    pub fn data_only(value: Value) -> Self {
        Self::new(Text::DataOnly(value))
    }

    /// A comment line, as heartbeats are.
    pub fn comment(text: impl Into<String>) -> Self {
        Self::new(Text::Comment(text.into()))
    }

    /// Waits `delay` before this event, besides the script's own delays.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(in crate::testing) fn render(&self, newline: Newline) -> Bytes {
        match &self.text {
            Text::Json(value) => {
                render(value.get("type").and_then(Value::as_str), &value.to_string(), newline)
            }
            Text::DataOnly(value) => render(None, &value.to_string(), newline),
            Text::Comment(text) => comment(text, newline),
            Text::Raw(bytes) => bytes.clone(),
        }
    }
}

impl From<Value> for Event {
    fn from(value: Value) -> Self {
        Self::new(Text::Json(value))
    }
}

/// One event on the wire.
pub(in crate::testing) fn render(kind: Option<&str>, data: &str, newline: Newline) -> Bytes {
    let end = newline.as_str();
    Bytes::from(match kind {
        Some(kind) => format!("event: {kind}{end}data: {data}{end}{end}"),
        None => format!("data: {data}{end}{end}"),
    })
}

pub(in crate::testing) fn comment(text: &str, newline: Newline) -> Bytes {
    let end = newline.as_str();
    Bytes::from(format!(": {text}{end}{end}"))
}
