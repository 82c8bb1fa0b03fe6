//! The field modes of `wire_struct!`: when a member must be there, and how an empty one is written.
//!
//! | mode | on the wire | when empty | absent when read |
//! |---|---|---|---|
//! | `required` | always | | error |
//! | `optional` | when not empty | omitted | empty |
//! | `nullable` | always | `null` | `None` |
//! | `always` | always | as it is | empty |
//! | `always_true` | always | as it is | `true` |
//! | `optional_object` | when it has a member | omitted | `None` |
//! | `items` | always | `[]` | empty; also read from a string |
//! | `search_context` | when it is there | omitted | `None` |
//! | `finite` | when it is there; an error if it is no finite number | omitted | `None` |
//! | `lenient` | when not empty | omitted | empty; a bad value is kept in `extra` |
//! | `auto_summary`, `percent_95`, `text_and_image` | when it is not that value | omitted | that value; a bad one is kept in `extra` |
//! | `finished` | as `required`, and the response must say its `id` | | error |
//! | `reasoning_content` | as `nullable`, but a list without a `reasoning_text` is omitted | | |
//! | `required_id`, `optional_id` | as `required`, `optional` | | shared through [`IdCache`] |
//!
//! Empty is the default value of the field's type: `None`, `""`, `[]`, `false`. A field that was read
//! in another spelling (`null` for an optional one, say) is written in that spelling again as long as
//! it is empty.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{self, SerializeMap};
use serde::{Deserialize, Serialize};

use super::content::ContentPart;
use super::extra::{Extra, Spelling};
use super::input::{Input, WrittenItems};
use super::item::ResponseItem;
use super::models::InputModality;
use super::raw::RawJson;
use super::request::ReasoningSummary;
use super::response::Response;
use super::search::SearchContext;
use super::wire::{IdCache, Member, Reading, Slot, Writing};

/// Ends reading a field whose `empty` value is usually spelled `usual`.
fn finish<T: PartialEq>(
    slot: Slot<T>,
    member: Member,
    extra: &mut Extra,
    usual: Spelling,
    empty: T,
) -> T {
    let (value, spelling) = match slot {
        Slot::Value(value) if value != empty => return value,
        Slot::Value(value) => (value, Spelling::Value),
        Slot::Null => (empty, Spelling::Null),
        Slot::Absent => (empty, Spelling::Absent),
    };
    if spelling != usual {
        extra.spell(member.number, spelling);
    }
    value
}

/// Writes an empty field.
fn write_empty<T: Serialize, M: SerializeMap>(
    map: &mut M,
    member: Member,
    value: &T,
    extra: &Extra,
    usual: Spelling,
) -> Result<(), M::Error> {
    if let Some(raw) = extra.get(member.name) {
        return map.serialize_entry(member.name, raw);
    }
    match extra.spelling(member.number).unwrap_or(usual) {
        Spelling::Absent => Ok(()),
        Spelling::Null => map.serialize_entry(member.name, &()),
        Spelling::Value => map.serialize_entry(member.name, value),
    }
}

/// The modes whose field may be absent, and which differ in how they spell an empty one.
macro_rules! mode {
    ($mode:ident, empty is $usual:ident) => {
        pub(crate) mod $mode {
            use super::*;

            pub(crate) fn read<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
                map: &mut A,
                _: Member,
                _: Reading<'_>,
            ) -> Result<Slot<T>, A::Error> {
                Ok(map.next_value::<Option<T>>()?.map_or(Slot::Null, Slot::Value))
            }

            pub(crate) fn finish<T: Default + PartialEq, E: de::Error>(
                slot: Slot<T>,
                member: Member,
                extra: &mut Extra,
            ) -> Result<T, E> {
                Ok(super::finish(slot, member, extra, Spelling::$usual, T::default()))
            }

            pub(crate) fn write<T: Serialize + Default + PartialEq, M: SerializeMap>(
                map: &mut M,
                member: Member,
                value: &T,
                writing: Writing<'_>,
            ) -> Result<(), M::Error> {
                if *value == T::default() {
                    write_empty(map, member, value, writing.extra, Spelling::$usual)
                } else {
                    map.serialize_entry(member.name, value)
                }
            }
        }
    };
}

mode!(optional, empty is Absent);
mode!(nullable, empty is Null);
mode!(always, empty is Value);

pub(crate) mod always_true {
    pub(crate) use super::always::read;
    use super::*;

    pub(crate) fn finish<E: de::Error>(
        slot: Slot<bool>,
        member: Member,
        extra: &mut Extra,
    ) -> Result<bool, E> {
        Ok(super::finish(slot, member, extra, Spelling::Value, true))
    }

    pub(crate) fn write<M: SerializeMap>(
        map: &mut M,
        member: Member,
        value: &bool,
        writing: Writing<'_>,
    ) -> Result<(), M::Error> {
        if *value {
            write_empty(map, member, value, writing.extra, Spelling::Value)
        } else {
            map.serialize_entry(member.name, value)
        }
    }
}

pub(crate) mod required {
    use super::*;

    pub(crate) fn read<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
        map: &mut A,
        _: Member,
        _: Reading<'_>,
    ) -> Result<Slot<T>, A::Error> {
        map.next_value().map(Slot::Value)
    }

    pub(crate) fn finish<T, E: de::Error>(
        slot: Slot<T>,
        member: Member,
        _: &mut Extra,
    ) -> Result<T, E> {
        match slot {
            Slot::Value(value) => Ok(value),
            Slot::Absent | Slot::Null => Err(E::missing_field(member.name)),
        }
    }

    pub(crate) fn write<T: Serialize, M: SerializeMap>(
        map: &mut M,
        member: Member,
        value: &T,
        _: Writing<'_>,
    ) -> Result<(), M::Error> {
        map.serialize_entry(member.name, value)
    }
}

/// The response of `response.completed`: without its id nobody could refer to it.
pub(crate) mod finished {
    pub(crate) use super::required::{read, write};
    use super::*;

    pub(crate) fn finish<E: de::Error>(
        slot: Slot<Box<Response>>,
        member: Member,
        extra: &mut Extra,
    ) -> Result<Box<Response>, E> {
        let response: Box<Response> = super::required::finish(slot, member, extra)?;
        if response.id.is_empty() {
            return Err(super::super::wire::in_member(member.name, &E::missing_field("id")));
        }
        Ok(response)
    }
}

/// A number that JSON has a word for: the others would be written as `null`.
pub(crate) mod finite {
    pub(crate) use super::optional::{finish, read};
    use super::*;

    pub(crate) fn write<M: SerializeMap>(
        map: &mut M,
        member: Member,
        value: &Option<f64>,
        writing: Writing<'_>,
    ) -> Result<(), M::Error> {
        match value {
            Some(value) if !value.is_finite() => Err(ser::Error::custom(format_args!(
                "`{}` is {value}: give a finite number",
                member.name
            ))),
            _ => super::optional::write(map, member, value, writing),
        }
    }
}

pub(crate) mod lenient {
    pub(crate) use super::optional::{finish, write};
    use super::*;

    pub(crate) fn read<'de, T: DeserializeOwned, A: MapAccess<'de>>(
        map: &mut A,
        member: Member,
        reading: Reading<'_>,
    ) -> Result<Slot<T>, A::Error> {
        let raw: RawJson = map.next_value()?;
        if raw.is_null() {
            return Ok(Slot::Null);
        }
        Ok(raw.parse().map_or_else(
            |_| {
                // The last of several is kept once the object is read.
                reading.extra.push(member.name.into(), raw);
                Slot::Absent
            },
            Slot::Value,
        ))
    }
}

/// Modes of [`ModelInfo`](super::models::ModelInfo), whose empty value is another than the default of
/// the type: such as `lenient` in all else.
macro_rules! presumed {
    ($mode:ident: $ty:ty = $empty:expr) => {
        pub(crate) mod $mode {
            pub(crate) use super::lenient::read;
            use super::*;

            pub(crate) fn finish<E: de::Error>(
                slot: Slot<$ty>,
                member: Member,
                extra: &mut Extra,
            ) -> Result<$ty, E> {
                Ok(super::finish(slot, member, extra, Spelling::Absent, $empty))
            }

            pub(crate) fn write<M: SerializeMap>(
                map: &mut M,
                member: Member,
                value: &$ty,
                writing: Writing<'_>,
            ) -> Result<(), M::Error> {
                if *value == $empty {
                    write_empty(map, member, value, writing.extra, Spelling::Absent)
                } else {
                    map.serialize_entry(member.name, value)
                }
            }
        }
    };
}

presumed!(auto_summary: ReasoningSummary = ReasoningSummary::Auto);
presumed!(percent_95: i64 = 95);
presumed!(text_and_image: Vec<InputModality> = vec![InputModality::Text, InputModality::Image]);

/// An object whose members are all optional: `Some` of an object without any is empty too.
pub(crate) mod optional_object {
    pub(crate) use super::optional::read;
    use super::*;

    fn is_empty<T: Default + PartialEq>(value: Option<&T>) -> bool {
        value.is_none_or(|value| *value == T::default())
    }

    pub(crate) fn finish<T: Default + PartialEq, E: de::Error>(
        slot: Slot<Option<T>>,
        member: Member,
        extra: &mut Extra,
    ) -> Result<Option<T>, E> {
        let value = super::optional::finish(slot, member, extra)?;
        if value.is_some() && is_empty(value.as_ref()) {
            extra.spell(member.number, Spelling::Value);
        }
        Ok(value)
    }

    pub(crate) fn write<T: Serialize + Default + PartialEq, M: SerializeMap>(
        map: &mut M,
        member: Member,
        value: &Option<T>,
        writing: Writing<'_>,
    ) -> Result<(), M::Error> {
        if is_empty(value.as_ref()) {
            write_empty(map, member, value, writing.extra, Spelling::Absent)
        } else {
            map.serialize_entry(member.name, value)
        }
    }
}

/// The input of a request.
pub(crate) mod items {
    pub(crate) use super::always::finish;
    use super::*;

    pub(crate) fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        _: Member,
        _: Reading<'_>,
    ) -> Result<Slot<Vec<ResponseItem>>, A::Error> {
        let input: Option<Input> = map.next_value()?;
        Ok(input.map_or(Slot::Null, |input| Slot::Value(input.into())))
    }

    pub(crate) fn write<M: SerializeMap>(
        map: &mut M,
        member: Member,
        items: &Vec<ResponseItem>,
        writing: Writing<'_>,
    ) -> Result<(), M::Error> {
        if items.is_empty() {
            super::always::write(map, member, items, writing)
        } else {
            map.serialize_entry(member.name, &WrittenItems::new(items, writing.omit.item_ids))
        }
    }
}

/// The input of a search.
pub(crate) mod search_context {
    pub(crate) use super::optional::{finish, read};
    use super::*;

    pub(crate) fn write<M: SerializeMap>(
        map: &mut M,
        member: Member,
        input: &Option<SearchContext>,
        writing: Writing<'_>,
    ) -> Result<(), M::Error> {
        match input {
            Some(SearchContext::Items(items)) => {
                map.serialize_entry(member.name, &WrittenItems::new(items, writing.omit.item_ids))
            }
            _ => super::optional::write(map, member, input, writing),
        }
    }
}

/// The content of a reasoning item. The rule is for lists built in code: one that was read is
/// written as it came.
pub(crate) mod reasoning_content {
    pub(crate) use super::nullable::read;
    use super::*;

    fn is_sent(content: Option<&Vec<ContentPart>>) -> bool {
        content.is_none_or(|parts| {
            parts.iter().any(|part| matches!(part, ContentPart::ReasoningText(_)))
        })
    }

    pub(crate) fn finish<E: de::Error>(
        slot: Slot<Option<Vec<ContentPart>>>,
        member: Member,
        extra: &mut Extra,
    ) -> Result<Option<Vec<ContentPart>>, E> {
        let content = super::nullable::finish(slot, member, extra)?;
        if !is_sent(content.as_ref()) {
            extra.spell(member.number, Spelling::Value);
        }
        Ok(content)
    }

    pub(crate) fn write<M: SerializeMap>(
        map: &mut M,
        member: Member,
        content: &Option<Vec<ContentPart>>,
        writing: Writing<'_>,
    ) -> Result<(), M::Error> {
        let came_so = writing.extra.spelling(member.number) == Some(Spelling::Value);
        if is_sent(content.as_ref()) || came_so {
            super::nullable::write(map, member, content, writing)
        } else {
            Ok(())
        }
    }
}

pub(crate) mod required_id {
    pub(crate) use super::required::{finish, write};
    use super::*;

    pub(crate) fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        _: Member,
        reading: Reading<'_>,
    ) -> Result<Slot<Arc<str>>, A::Error> {
        map.next_value_seed(IdSeed(reading.ids)).map(Slot::Value)
    }
}

pub(crate) mod optional_id {
    pub(crate) use super::optional::{finish, write};
    use super::*;

    pub(crate) fn read<'de, A: MapAccess<'de>>(
        map: &mut A,
        _: Member,
        reading: Reading<'_>,
    ) -> Result<Slot<Option<Arc<str>>>, A::Error> {
        let id = map.next_value_seed(OptionalIdSeed(reading.ids))?;
        Ok(id.map_or(Slot::Null, |id| Slot::Value(Some(id))))
    }
}

/// Reads an id into its shared form without an allocation of its own.
struct IdSeed<'a>(&'a mut IdCache);

impl<'de> DeserializeSeed<'de> for IdSeed<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IdSeed<'_> {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<Arc<str>, E> {
        Ok(self.0.share(id))
    }
}

struct OptionalIdSeed<'a>(&'a mut IdCache);

impl<'de> DeserializeSeed<'de> for OptionalIdSeed<'_> {
    type Value = Option<Arc<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for OptionalIdSeed<'_> {
    type Value = Option<Arc<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        IdSeed(self.0).deserialize(deserializer).map(Some)
    }
}
