//! [`ToolChoice`]: a word, or a particular tool.

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::model::macros::{tagged_enum, wire_struct};
use crate::model::{RawJson, RawObject, UnknownObject};

/// Which tool the model is to call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// `none`: no tool.
    None,
    /// `auto`: the model decides.
    #[default]
    Auto,
    /// `required`: some tool.
    Required,
    /// A particular tool, or one of some.
    Specific(Box<SpecificTool>),
    /// Another word.
    Other(Box<str>),
}

impl ToolChoice {
    /// This function.
    #[must_use]
    pub fn function(name: impl Into<String>) -> Self {
        SpecificTool::Function(NamedTool::new(name)).into()
    }

    /// This custom tool.
    #[must_use]
    pub fn custom(name: impl Into<String>) -> Self {
        SpecificTool::Custom(NamedTool::new(name)).into()
    }

    /// This tool of the server, by its type, such as `web_search`.
    #[must_use]
    pub fn hosted(kind: &str) -> Self {
        let mut members = RawObject::new();
        members.push("type".into(), serde_json::Value::from(kind).into());
        match UnknownObject::from_members::<serde_json::Error>(kind.into(), &members) {
            Ok(object) => SpecificTool::Unknown(object).into(),
            Err(_) => Self::Other(kind.into()),
        }
    }
}

impl From<SpecificTool> for ToolChoice {
    fn from(tool: SpecificTool) -> Self {
        Self::Specific(Box::new(tool))
    }
}

impl From<&str> for ToolChoice {
    /// A word, not the name of a tool.
    fn from(word: &str) -> Self {
        match word {
            "none" => Self::None,
            "auto" => Self::Auto,
            "required" => Self::Required,
            _ => Self::Other(word.into()),
        }
    }
}

impl Serialize for ToolChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Required => serializer.serialize_str("required"),
            Self::Specific(tool) => tool.serialize(serializer),
            Self::Other(word) => serializer.serialize_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoiceVisitor;

        impl<'de> Visitor<'de> for ChoiceVisitor {
            type Value = ToolChoice;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or an object with a `type`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ToolChoice, E> {
                Ok(word.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ToolChoice, A::Error> {
                SpecificTool::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
            }
        }

        deserializer.deserialize_any(ChoiceVisitor)
    }
}

tagged_enum! {
    /// A particular tool. The server's own tools are chosen by type alone: [`ToolChoice::hosted`].
    pub enum SpecificTool {
        /// A function.
        Function(NamedTool) = "function",
        /// A custom tool.
        Custom(NamedTool) = "custom",
        /// A tool of an MCP server.
        Mcp(McpToolChoice) = "mcp",
        /// One of some.
        AllowedTools(AllowedTools) = "allowed_tools",
    }
}

wire_struct! {
    /// A tool of the application.
    #[derive(Default)]
    pub struct NamedTool {
        /// The tool's name.
        required name: String,
    }
}

impl NamedTool {
    /// The tool of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

wire_struct! {
    /// A tool of an MCP server.
    #[derive(Default)]
    pub struct McpToolChoice {
        /// The server.
        required server_label: String,
        /// The tool; any when `None`.
        optional name: Option<String>,
    }
}

wire_struct! {
    /// One of some tools.
    #[derive(Default)]
    pub struct AllowedTools {
        /// `auto` or `required`.
        required mode: String,
        /// The tools, each by its type and, if it has one, its name.
        required tools: Vec<RawJson>,
    }
}
