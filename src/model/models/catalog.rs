//! The Codex catalogue, in which one bad entry does not hide the others.

use serde::de;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ModelInfo;
use crate::model::macros::wire_struct;
use crate::model::{Extra, RawJson};

/// What `GET models` of the Codex backend gives.
///
/// An entry that cannot be read does not hide the others: it is kept as text in
/// [`unreadable`](Self::unreadable). Only if no entry can be read is the whole refused. A catalogue is
/// written with every entry in its place again, so it can be kept in a file.
///
/// ```
/// use tower_openai::model::ModelsResponse;
///
/// # let good = r#"{"slug":"m","display_name":"M","supported_reasoning_levels":[],
/// #     "shell_type":"default","visibility":"list","supported_in_api":true,"priority":1,
/// #     "base_instructions":"","supports_reasoning_summaries":true,"support_verbosity":false,
/// #     "truncation_policy":{"mode":"bytes","limit":10000},"supports_parallel_tool_calls":true,
/// #     "experimental_supported_tools":[]}"#;
/// let text = format!(r#"{{"models":[{{"slug":"odd"}},{good}]}}"#);
/// let catalog: ModelsResponse = serde_json::from_str(&text)?;
/// assert_eq!(catalog.models[0].slug, "m");
/// assert_eq!(catalog.unreadable[0].raw().as_str(), r#"{"slug":"odd"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelsResponse {
    /// The models, in the order of the server.
    pub models: Vec<ModelInfo>,
    /// The entries that cannot be read.
    pub unreadable: Vec<UnreadableModel>,
    /// Members that have no field here.
    pub extra: Extra,
}

impl ModelsResponse {
    /// The model that requests name `slug`.
    #[must_use]
    pub fn get(&self, slug: &str) -> Option<&ModelInfo> {
        self.models.iter().find(|model| model.slug == slug)
    }
}

/// An entry of the catalogue that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableModel {
    index: usize,
    raw: RawJson,
    problem: Box<str>,
}

impl UnreadableModel {
    /// Its place in the server's list, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The entry as it came.
    #[must_use]
    pub fn raw(&self) -> &RawJson {
        &self.raw
    }

    /// Why it cannot be read.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

wire_struct! {
    /// The catalogue before its entries are read.
    struct Entries {
        /// As they came.
        required models: Vec<RawJson>,
    }
}

impl<'de> Deserialize<'de> for ModelsResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Entries { models: entries, extra } = Entries::deserialize(deserializer)?;
        let mut catalog = Self { extra, ..Self::default() };
        for (index, raw) in entries.into_iter().enumerate() {
            match raw.parse() {
                Ok(model) => catalog.models.push(model),
                Err(error) => {
                    let problem = error.to_string().into();
                    catalog.unreadable.push(UnreadableModel { index, raw, problem });
                }
            }
        }
        match catalog.unreadable.first() {
            Some(first) if catalog.models.is_empty() => Err(de::Error::custom(format_args!(
                "`models`: none of the {} entries can be read, the first for this: {}",
                catalog.unreadable.len(),
                first.problem,
            ))),
            _ => Ok(catalog),
        }
    }
}

impl Serialize for ModelsResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("models", &InPlace(self))?;
        for (name, value) in self.extra.iter().filter(|(name, _)| *name != "models") {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// All entries, each where it was.
struct InPlace<'a>(&'a ModelsResponse);

impl Serialize for InPlace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Entry<'a> {
            Model(&'a ModelInfo),
            Unreadable(&'a RawJson),
        }

        let Self(ModelsResponse { models, unreadable, .. }) = self;
        let mut models = models.iter();
        let mut unreadable = unreadable.iter().peekable();
        let in_order = (0..).map_while(|index| {
            // Those that are left over come at the end, should models have been taken out.
            let model = match unreadable.next_if(|entry| entry.index == index) {
                Some(entry) => return Some(Entry::Unreadable(&entry.raw)),
                None => models.next().map(Entry::Model),
            };
            model.or_else(|| unreadable.next().map(|entry| Entry::Unreadable(&entry.raw)))
        });
        serializer.collect_seq(in_order)
    }
}
