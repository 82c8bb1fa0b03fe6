//! The input of a request: [`Input`] reads and takes every form of it, [`ItemIds`] says which item ids are sent.

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::item::ResponseItem;
use super::wire::{IdCache, Omit, TaggedSeed};

/// The input of a request, made from a text, an item, or several.
///
/// On the wire it is a string, which stands for one message of the person, or an array of items, in
/// which a message may leave out its `type`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Input(Vec<ResponseItem>);

impl From<Input> for Vec<ResponseItem> {
    fn from(input: Input) -> Self {
        input.0
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self(vec![text.into()])
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self(vec![text.into()])
    }
}

impl From<ResponseItem> for Input {
    fn from(item: ResponseItem) -> Self {
        Self(vec![item])
    }
}

impl From<Vec<ResponseItem>> for Input {
    fn from(items: Vec<ResponseItem>) -> Self {
        Self(items)
    }
}

impl From<&[ResponseItem]> for Input {
    fn from(items: &[ResponseItem]) -> Self {
        Self(items.to_vec())
    }
}

impl<const N: usize> From<[ResponseItem; N]> for Input {
    fn from(items: [ResponseItem; N]) -> Self {
        Self(items.into())
    }
}

impl FromIterator<ResponseItem> for Input {
    fn from_iter<I: IntoIterator<Item = ResponseItem>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InputVisitor;

        impl<'de> Visitor<'de> for InputVisitor {
            type Value = Input;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or an array of items")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Input, E> {
                Ok(text.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Input, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element_seed(InputItemSeed)? {
                    items.push(item);
                }
                Ok(Input(items))
            }
        }

        deserializer.deserialize_any(InputVisitor)
    }
}

/// Reads an item that is a message when it does not say otherwise.
struct InputItemSeed;

impl<'de> DeserializeSeed<'de> for InputItemSeed {
    type Value = ResponseItem;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ResponseItem, D::Error> {
        TaggedSeed::new(&mut IdCache::new()).implying("message").deserialize(deserializer)
    }
}

/// Which item ids a request carries.
///
/// The public API and newer Codex clients send ids as they are. Older Codex clients know the ids of
/// the items they have read but send them only to servers that store responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ItemIds {
    /// As they are.
    #[default]
    Keep,
    /// When the request says `store: true`, the non-empty ids of `reasoning`, `message`,
    /// `web_search_call`, `function_call`, `tool_search_call`, `local_shell_call` and
    /// `custom_tool_call`. Of the other types of the Codex backend, none.
    WhenStored,
    /// None of the types of the Codex backend.
    ///
    /// `image_generation_call` keeps its id always, as do the types that only the public API
    /// knows, which need theirs, and items of unknown type.
    Strip,
}

impl ItemIds {
    pub(crate) fn filter(self, store: bool) -> IdFilter {
        match self {
            Self::Keep => IdFilter::Keep,
            Self::WhenStored if store => IdFilter::Listed,
            Self::WhenStored | Self::Strip => IdFilter::Strip,
        }
    }
}

/// [`ItemIds`] once `store` is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IdFilter {
    #[default]
    Keep,
    Listed,
    Strip,
}

impl IdFilter {
    fn strips(self, item: &ResponseItem) -> bool {
        if self == Self::Keep {
            return false;
        }
        match item {
            ResponseItem::Reasoning(_)
            | ResponseItem::Message(_)
            | ResponseItem::WebSearchCall(_)
            | ResponseItem::FunctionCall(_)
            | ResponseItem::ToolSearchCall(_)
            | ResponseItem::LocalShellCall(_)
            | ResponseItem::CustomToolCall(_) => {
                self == Self::Strip || item.id().is_none_or(str::is_empty)
            }
            ResponseItem::AgentMessage(_)
            | ResponseItem::FunctionCallOutput(_)
            | ResponseItem::CustomToolCallOutput(_)
            | ResponseItem::ToolSearchOutput(_)
            | ResponseItem::Compaction(_)
            | ResponseItem::ContextCompaction(_)
            | ResponseItem::AdditionalTools(_) => true,
            _ => false,
        }
    }
}

/// Items as a request writes them.
pub(crate) struct WrittenItems<'a> {
    items: &'a [ResponseItem],
    ids: IdFilter,
}

impl<'a> WrittenItems<'a> {
    pub(crate) fn new(items: &'a [ResponseItem], ids: IdFilter) -> Self {
        Self { items, ids }
    }
}

impl Serialize for WrittenItems<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Written<'a>(&'a ResponseItem, Omit);

        impl Serialize for Written<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize_omitting(serializer, self.1)
            }
        }

        serializer.collect_seq(
            self.items
                .iter()
                .map(|item| Written(item, Omit { id: self.ids.strips(item), ..Omit::default() })),
        )
    }
}
