//! What `POST alpha/search` takes and gives (Codex).

mod commands;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::commands::*;

use super::macros::{open_enum, wire_struct};
use super::wire::{Omit, WireStruct};
use super::{
    Extra, Input, ItemIds, RawJson, Reasoning, ResponseItem, SearchContextSize, UserLocation,
    WebSearchFilters,
};

wire_struct! {
    /// The body of `POST alpha/search`: commands for the web, and how to carry them out.
    ///
    /// ```
    /// use tower_openai::model::{
    ///     OpenReference, SearchContextSize, SearchInput, SearchQuery, SearchSettings,
    /// };
    ///
    /// let settings = SearchSettings::new().search_context_size(SearchContextSize::Low);
    /// let input = SearchInput::new("search_1", "gpt-5.2")
    ///     .command(SearchQuery::new("tower 0.5").recency(30).domains(["docs.rs"]))
    ///     .command(OpenReference::new("turn0search1").line(120))
    ///     .settings(settings);
    /// let json = r#"{"id":"search_1","model":"gpt-5.2","commands":{
    ///     "search_query":[{"q":"tower 0.5","recency":30,"domains":["docs.rs"]}],
    ///     "open":[{"ref_id":"turn0search1","lineno":120}]},
    ///     "settings":{"search_context_size":"low"}}"#;
    /// assert_eq!(serde_json::to_string(&input)?, json.replace("\n    ", ""));
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub struct SearchInput {
        /// The id of the search, which the caller makes up: what later commands refer to is kept
        /// under it.
        required id: String,
        /// The model.
        required model: String,
        /// How the model reasons.
        optional reasoning: Option<Reasoning>,
        /// What the search is for.
        search_context input: Option<SearchContext>,
        /// What to do.
        optional_object commands: Option<SearchCommands>,
        /// How to do it.
        optional_object settings: Option<SearchSettings>,
        /// The most that the output may have, in tokens.
        optional max_output_tokens: Option<u64>,
    }
}

impl SearchInput {
    /// A search without commands.
    #[must_use]
    pub fn new(id: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            model: model.into(),
            reasoning: None,
            input: None,
            commands: None,
            settings: None,
            max_output_tokens: None,
            extra: Extra::new(),
        }
    }

    /// Adds a command.
    #[must_use]
    pub fn command(mut self, command: impl Into<SearchCommand>) -> Self {
        self.commands.get_or_insert_default().push(command);
        self
    }

    /// Adds commands.
    #[must_use]
    pub fn commands(
        mut self,
        commands: impl IntoIterator<Item = impl Into<SearchCommand>>,
    ) -> Self {
        self.commands.get_or_insert_default().extend(commands);
        self
    }

    /// How long the output is.
    #[must_use]
    pub fn response_length(mut self, length: ResponseLength) -> Self {
        self.commands.get_or_insert_default().response_length = Some(length);
        self
    }

    /// What the search is for: a text, or the conversation.
    #[must_use]
    pub fn input(mut self, input: impl Into<SearchContext>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// How the model reasons.
    #[must_use]
    pub fn reasoning(mut self, reasoning: impl Into<Reasoning>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }

    /// How to carry the commands out.
    #[must_use]
    pub fn settings(mut self, settings: SearchSettings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// The most that the output may have, in tokens.
    #[must_use]
    pub fn max_output_tokens(mut self, tokens: u64) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }
}

impl SearchInput {
    /// The input as it is written under a rule for item ids.
    pub(crate) fn written(&self, ids: ItemIds) -> impl Serialize + '_ {
        struct Written<'a>(&'a SearchInput, ItemIds);

        impl Serialize for Written<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                // What is searched for is stored nowhere.
                let item_ids = self.1.filter(false);
                self.0.write(&mut map, Omit { item_ids, ..Omit::default() })?;
                map.end()
            }
        }

        Written(self, ids)
    }
}

/// What a search is for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum SearchContext {
    /// Said in words.
    Text(String),
    /// The conversation that it is a part of.
    Items(Vec<ResponseItem>),
}

impl From<&str> for SearchContext {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SearchContext {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<ResponseItem>> for SearchContext {
    fn from(items: Vec<ResponseItem>) -> Self {
        Self::Items(items)
    }
}

impl<'de> Deserialize<'de> for SearchContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContextVisitor;

        impl<'de> Visitor<'de> for ContextVisitor {
            type Value = SearchContext;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or an array of items")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SearchContext, E> {
                Ok(text.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<SearchContext, A::Error> {
                let input = Input::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(SearchContext::Items(input.into()))
            }
        }

        deserializer.deserialize_any(ContextVisitor)
    }
}

/// A setter for each optional field of a type.
macro_rules! setters {
    ($($(#[$meta:meta])* $name:ident: $ty:ty, $value:ident => $typed:expr;)*) => {$(
        $(#[$meta])*
        #[must_use]
        pub fn $name(mut self, $value: $ty) -> Self {
            self.$name = Some($typed);
            self
        }
    )*};
}

use setters;

/// Texts of any kind, owned.
fn texts(all: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    all.into_iter().map(Into::into).collect()
}

wire_struct! {
    /// How a search carries out its commands.
    #[derive(Default)]
    pub struct SearchSettings {
        /// Where the person is.
        optional user_location: Option<UserLocation>,
        /// How much of the results the model sees.
        optional search_context_size: Option<SearchContextSize>,
        /// Where to look.
        optional filters: Option<WebSearchFilters>,
        /// How images are found.
        optional image_settings: Option<SearchImageSettings>,
        /// Who may call the tools that the search offers; an empty list is written, `None` is not.
        optional allowed_callers: Option<Vec<SearchCaller>>,
        /// Whether the live web may be used, and not only an index.
        optional external_web_access: Option<bool>,
        /// How much of the live web may be used.
        optional mode: Option<SearchMode>,
    }
}

impl SearchSettings {
    /// Settings that say nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Where the person is.
        user_location: impl Into<UserLocation>, location => location.into();
        /// How much of the results the model sees.
        search_context_size: SearchContextSize, size => size;
        /// Where to look.
        filters: WebSearchFilters, filters => filters;
        /// How images are found.
        image_settings: SearchImageSettings, settings => settings;
        /// Who may call the tools that the search offers.
        allowed_callers: impl IntoIterator<Item = SearchCaller>, callers =>
            callers.into_iter().collect();
        /// Whether the live web may be used, and not only an index.
        external_web_access: bool, allowed => allowed;
        /// How much of the live web may be used.
        mode: SearchMode, mode => mode;
    }
}

wire_struct! {
    /// How a search finds images.
    #[derive(Default)]
    pub struct SearchImageSettings {
        /// The most that are given.
        optional max_results: Option<u64>,
        /// Whether they come with captions.
        optional caption: Option<bool>,
    }
}

impl SearchImageSettings {
    /// Settings that say nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// The most that are given.
        max_results: u64, count => count;
        /// Whether they come with captions.
        caption: bool, wanted => wanted;
    }
}

open_enum! {
    /// Who may call a tool.
    pub enum SearchCaller {
        /// The model itself.
        Direct = "direct",
        /// What runs in a shell.
        Shell = "shell",
        /// What runs in the code interpreter.
        CodeInterpreter = "code_interpreter",
    }
}

open_enum! {
    /// How much of the live web a search may use.
    pub enum SearchMode {
        /// Nothing.
        Offline = "offline",
        /// What an index lists.
        IndexGated = "index_gated",
        /// All of it.
        Online = "online",
    }
}

wire_struct! {
    /// What `POST alpha/search` gives.
    pub struct SearchOutput {
        /// What was found, for the model to read.
        required output: String,
        /// The same in a form that only the server reads.
        optional encrypted_output: Option<String>,
        /// What was found, one by one, as newer servers say it.
        lenient results: Vec<RawJson>,
    }
}

#[cfg(test)]
mod tests;
