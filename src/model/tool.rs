//! [`Tool`]: what the model may call, and [`ToolChoice`]: what it is to call.

mod choice;
mod schema;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::choice::{AllowedTools, McpToolChoice, NamedTool, SpecificTool, ToolChoice};
pub use self::schema::Schema;
use super::RawJson;
use super::macros::{from_payloads, open_enum, tagged_enum, wire_struct};

tagged_enum! {
    /// A tool the model may call.
    ///
    /// ```
    /// use tower_openai::model::{FunctionTool, ResponsesApiRequest, Schema, WebSearchTool};
    ///
    /// let weather = FunctionTool::new("weather", "The weather in a city")
    ///     .parameters(
    ///         Schema::object()
    ///             .property("city", Schema::string().description("As on a map"))
    ///             .closed(),
    ///     )
    ///     .strict(true);
    /// let mut request = ResponsesApiRequest::new("gpt-5.2", "Do I need an umbrella in Bern?");
    /// request.tools = vec![weather.into(), WebSearchTool::default().into()];
    /// ```
    ///
    /// Tools without a variant are sent through [`UnknownObject`](super::UnknownObject).
    pub enum Tool {
        /// A function of the application.
        Function(Box<FunctionTool>) = "function",
        /// A tool of the application that takes free text.
        Custom(Box<CustomTool>) = "custom",
        /// The web, searched by the server.
        WebSearch(Box<WebSearchTool>) = "web_search",
        /// Uploaded files, searched by the server.
        FileSearch(Box<FileSearchTool>) = "file_search",
        /// The tools of an MCP server, called by the server.
        Mcp(Box<McpTool>) = "mcp",
        /// Code, run by the server.
        CodeInterpreter(Box<CodeInterpreterTool>) = "code_interpreter",
        /// Images, made by the server.
        ImageGeneration(Box<ImageGenerationTool>) = "image_generation",
        /// The application's shell, in the older form.
        LocalShell(Box<LocalShellTool>) = "local_shell",
        /// A shell.
        Shell(Box<ShellTool>) = "shell",
        /// Changes to files.
        ApplyPatch(Box<ApplyPatchTool>) = "apply_patch",
    }
}

from_payloads!(Tool {
    FunctionTool => Function,
    CustomTool => Custom,
    WebSearchTool => WebSearch,
    FileSearchTool => FileSearch,
    McpTool => Mcp,
    CodeInterpreterTool => CodeInterpreter,
    ImageGenerationTool => ImageGeneration,
    LocalShellTool => LocalShell,
    ShellTool => Shell,
    ApplyPatchTool => ApplyPatch,
});

wire_struct! {
    /// A function of the application.
    #[derive(Default)]
    pub struct FunctionTool {
        /// Letters, digits, `_` and `-`.
        required name: String,
        /// Tells the model what the function does.
        optional description: Option<String>,
        /// Whether the arguments are made to follow the schema.
        optional strict: Option<bool>,
        /// The JSON schema of the arguments.
        optional parameters: Option<RawJson>,
    }
}

impl FunctionTool {
    /// A function without parameters.
    #[must_use]
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { name: name.into(), description: Some(description.into()), ..Self::default() }
    }

    /// Sets the JSON schema of the arguments: a [`Schema`], a `serde_json::Value` or raw JSON.
    #[must_use]
    pub fn parameters(mut self, schema: impl Into<RawJson>) -> Self {
        self.parameters = Some(schema.into());
        self
    }

    /// As [`parameters`](Self::parameters), for any other type that serialises to a JSON schema.
    ///
    /// # Errors
    ///
    /// When `schema` cannot be written as JSON.
    pub fn try_parameters<T: Serialize + ?Sized>(
        self,
        schema: &T,
    ) -> Result<Self, serde_json::Error> {
        Ok(self.parameters(RawJson::from_value(schema)?))
    }

    /// Sets whether the arguments are made to follow the schema.
    ///
    /// The server then refuses a schema that leaves an object open: every property has to be required
    /// and no others allowed, nested objects included, which is what [`Schema::closed`] writes.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = Some(strict);
        self
    }
}

wire_struct! {
    /// A tool of the application that takes free text.
    #[derive(Default)]
    pub struct CustomTool {
        /// The tool's name.
        required name: String,
        /// Tells the model what the tool does.
        optional description: Option<String>,
        /// What the text looks like.
        optional format: Option<CustomToolFormat>,
    }
}

impl CustomTool {
    /// A tool that takes any text.
    #[must_use]
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { name: name.into(), description: Some(description.into()), ..Self::default() }
    }

    /// Sets what the text looks like.
    #[must_use]
    pub fn format(mut self, format: CustomToolFormat) -> Self {
        self.format = Some(format);
        self
    }
}

tagged_enum! {
    /// What the input of a custom tool looks like.
    pub enum CustomToolFormat {
        /// Any text.
        Text(AnyText) = "text",
        /// Text that follows a grammar.
        Grammar(Grammar) = "grammar",
    }
}

from_payloads!(CustomToolFormat { Grammar });

wire_struct! {
    /// Any text.
    #[derive(Default)]
    pub struct AnyText {}
}

wire_struct! {
    /// Text that follows a grammar.
    #[derive(Default)]
    pub struct Grammar {
        /// `lark` or `regex`.
        required syntax: String,
        /// The grammar.
        required definition: String,
    }
}

impl Grammar {
    /// A grammar in the given syntax, `lark` or `regex`.
    #[must_use]
    pub fn new(syntax: impl Into<String>, definition: impl Into<String>) -> Self {
        Self { syntax: syntax.into(), definition: definition.into(), ..Self::default() }
    }
}

wire_struct! {
    /// The web, searched by the server.
    #[derive(Default)]
    pub struct WebSearchTool {
        /// Where to look.
        optional filters: Option<WebSearchFilters>,
        /// Where the person is.
        optional user_location: Option<UserLocation>,
        /// How much of the results the model sees.
        optional search_context_size: Option<SearchContextSize>,
        /// Whether the live web may be used, and not only an index.
        optional external_web_access: Option<bool>,
    }
}

wire_struct! {
    /// Where a web search looks.
    #[derive(Default)]
    pub struct WebSearchFilters {
        /// Only there, subdomains included.
        optional allowed_domains: Option<Vec<String>>,
        /// Not there.
        optional blocked_domains: Option<Vec<String>>,
    }
}

tagged_enum! {
    /// Where the person is.
    pub enum UserLocation {
        /// About there.
        Approximate(Box<ApproximateLocation>) = "approximate",
    }
}

from_payloads!(UserLocation { ApproximateLocation => Approximate });

wire_struct! {
    /// About where the person is.
    #[derive(Default)]
    pub struct ApproximateLocation {
        /// Two letters, ISO 3166-1.
        optional country: Option<String>,
        /// Free text.
        optional region: Option<String>,
        /// Free text.
        optional city: Option<String>,
        /// IANA name.
        optional timezone: Option<String>,
    }
}

open_enum! {
    /// How much of the results the model sees.
    pub enum SearchContextSize {
        /// Little.
        Low = "low",
        /// The usual.
        Medium = "medium",
        /// Much.
        High = "high",
    }
}

wire_struct! {
    /// Uploaded files, searched by the server.
    #[derive(Default)]
    pub struct FileSearchTool {
        /// The stores to search.
        required vector_store_ids: Vec<String>,
        /// How many hits at most.
        optional max_num_results: Option<u64>,
        /// How hits are ranked.
        optional ranking_options: Option<RawJson>,
        /// Which files count, by their attributes.
        optional filters: Option<RawJson>,
    }
}

impl FileSearchTool {
    /// Searches these stores.
    #[must_use]
    pub fn new<I>(vector_store_ids: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let vector_store_ids = vector_store_ids.into_iter().map(Into::into).collect();
        Self { vector_store_ids, ..Self::default() }
    }
}

wire_struct! {
    /// The tools of an MCP server, called by the server.
    #[derive(Default)]
    pub struct McpTool {
        /// What calls and outputs name the server by.
        required server_label: String,
        /// Where the server is.
        optional server_url: Option<String>,
        /// A connector in place of a server.
        optional connector_id: Option<String>,
        /// An access token for the server.
        optional authorization: Option<Secret>,
        /// Headers for the server.
        optional headers: Option<BTreeMap<String, Secret>>,
        /// Tells the model what the server is for.
        optional server_description: Option<String>,
        /// Which tools may be called: a list of names, or a filter object.
        optional allowed_tools: Option<RawJson>,
        /// Which calls need approval: `always`, `never`, or a filter object.
        optional require_approval: Option<RawJson>,
    }
}

impl McpTool {
    /// The server at `server_url`.
    #[must_use]
    pub fn new(server_label: impl Into<String>, server_url: impl Into<String>) -> Self {
        Self {
            server_label: server_label.into(),
            server_url: Some(server_url.into()),
            ..Self::default()
        }
    }
}

/// Text that is sent but never shown: its `Debug` says nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

wire_struct! {
    /// Code, run by the server.
    #[derive(Default)]
    pub struct CodeInterpreterTool {
        /// Where it runs: a container's id, or an object such as `{"type":"auto"}`.
        required container: RawJson,
    }
}

impl CodeInterpreterTool {
    /// Runs in a container that the server picks.
    #[must_use]
    pub fn auto() -> Self {
        let container = serde_json::json!({"type": "auto"}).into();
        Self { container, ..Self::default() }
    }
}

wire_struct! {
    /// Images, made by the server.
    #[derive(Default)]
    pub struct ImageGenerationTool {
        /// The image model.
        optional model: Option<String>,
        /// Width and height, as `1024x1024`, or `auto`.
        optional size: Option<String>,
        /// `low`, `medium`, `high` or `auto`.
        optional quality: Option<String>,
        /// `transparent`, `opaque` or `auto`.
        optional background: Option<String>,
        /// `png`, `webp` or `jpeg`.
        optional output_format: Option<String>,
        /// How many previews to stream, from 0 to 3.
        optional partial_images: Option<u64>,
    }
}

wire_struct! {
    /// The application's shell, in the older form.
    #[derive(Default)]
    pub struct LocalShellTool {}
}

wire_struct! {
    /// A shell.
    #[derive(Default)]
    pub struct ShellTool {
        /// Where it runs.
        optional environment: Option<RawJson>,
    }
}

wire_struct! {
    /// Changes to files.
    #[derive(Default)]
    pub struct ApplyPatchTool {}
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn round_trip(wire: Value) -> Tool {
        let tool: Tool = serde_json::from_str(&wire.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&tool).unwrap(), wire);
        tool
    }

    #[test]
    fn tools_come_back_as_they_came() {
        for wire in [
            json!({"type": "function", "name": "f", "description": null, "strict": null, "parameters": {"type": "object"}, "defer_loading": true}),
            json!({"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"a\""}}),
            json!({"type": "custom", "name": "c", "format": {"type": "text"}}),
            json!({"type": "web_search", "filters": {"allowed_domains": ["x"]}, "user_location": {"type": "approximate", "city": "Bern"}, "search_context_size": "low"}),
            json!({"type": "file_search", "vector_store_ids": ["v"], "max_num_results": 3, "filters": null}),
            json!({"type": "mcp", "server_label": "s", "server_url": "https://x", "authorization": "t", "headers": {"a": "b"}, "require_approval": "never", "allowed_tools": ["a"]}),
            json!({"type": "code_interpreter", "container": "c_1"}),
            json!({"type": "image_generation", "size": "auto", "input_fidelity": "high"}),
            json!({"type": "local_shell"}),
            json!({"type": "shell", "environment": {"type": "local"}}),
            json!({"type": "apply_patch"}),
        ] {
            assert!(!matches!(round_trip(wire), Tool::Unknown(_)));
        }
        assert!(matches!(round_trip(json!({"type": "namespace", "tools": [1]})), Tool::Unknown(_)));
    }

    #[test]
    fn builders_write_what_the_api_reads() {
        let tool = FunctionTool::new("weather", "The weather")
            .parameters(
                Schema::object()
                    .property("city", Schema::string().description("As on a map"))
                    .property("unit", Schema::string().one_of(["C", "F"]).nullable())
                    .closed(),
            )
            .strict(true);
        assert_eq!(
            serde_json::to_string(&Tool::from(tool)).unwrap(),
            concat!(
                r#"{"type":"function","name":"weather","description":"The weather","strict":true,"#,
                r#""parameters":{"type":"object","properties":{"city":{"type":"string","description":"As on a map"},"#,
                r#""unit":{"type":["string","null"],"enum":["C","F",null]}},"required":["city","unit"],"additionalProperties":false}}"#
            )
        );
        assert_eq!(
            serde_json::to_value(Tool::from(CodeInterpreterTool::auto())).unwrap(),
            json!({"type": "code_interpreter", "container": {"type": "auto"}})
        );
        let raw = FunctionTool::new("f", "d").try_parameters(&BTreeMap::from([("type", "object")]));
        assert_eq!(raw.unwrap().parameters.unwrap().as_str(), r#"{"type":"object"}"#);
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut tool = McpTool::new("s", "https://x");
        tool.authorization = Some("hunter2".into());
        tool.headers = Some(BTreeMap::from([("x".into(), "hunter3".into())]));
        let shown = format!("{tool:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert_eq!(serde_json::to_value(&tool).unwrap()["authorization"], "hunter2");
    }

    #[test]
    fn a_choice_is_a_word_or_a_tool() {
        for wire in [
            json!("none"),
            json!("auto"),
            json!("required"),
            json!("maybe"),
            json!({"type": "function", "name": "f"}),
            json!({"type": "custom", "name": "c"}),
            json!({"type": "mcp", "server_label": "s", "name": null}),
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}),
            json!({"type": "web_search"}),
        ] {
            let choice: ToolChoice = serde_json::from_str(&wire.to_string()).unwrap();
            assert_eq!(serde_json::to_value(&choice).unwrap(), wire);
        }
        assert_eq!(ToolChoice::default(), ToolChoice::Auto);
        assert_eq!(
            serde_json::to_value(ToolChoice::hosted("web_search")).unwrap(),
            json!({"type": "web_search"})
        );
        assert!(serde_json::from_str::<ToolChoice>("7").is_err());
    }
}
