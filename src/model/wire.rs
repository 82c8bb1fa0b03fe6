//! How wire structs and tagged enums are read and written: the shared half of [`macros`](super::macros).
//!
//! An object is read in one pass: each member goes straight to its field, and what has no field goes
//! to [`Extra`]. For tagged enums the members before `type` are held back as text (servers like to
//! send `id` first) and are read first once the type is known.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::extra::Extra;
use super::input::IdFilter;
use super::raw::{RawJson, RawObject};
use super::unknown::UnknownObject;

/// Shares the ids that events repeat: an id equal to one of the last three is not allocated again.
///
/// One per stream.
#[derive(Clone, Debug, Default)]
pub struct IdCache {
    /// As many as one event has.
    last: [Option<Arc<str>>; 3],
    /// The one that the next new id replaces.
    oldest: usize,
}

impl IdCache {
    /// A cache that has seen no id.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: [None, None, None], oldest: 0 }
    }

    /// The shared form of `id`.
    pub fn share(&mut self, id: &str) -> Arc<str> {
        if let Some(known) = self.last.iter().flatten().find(|known| ***known == *id) {
            return Arc::clone(known);
        }
        let id: Arc<str> = id.into();
        if let Some(place) = self.last.get_mut(self.oldest) {
            *place = Some(Arc::clone(&id));
        }
        self.oldest = (self.oldest + 1) % self.last.len();
        id
    }
}

/// A field while its object is being read.
#[derive(Default)]
pub(crate) enum Slot<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

/// A field's place: its wire name, and its number for [`Extra::spelling`].
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) number: u32,
}

impl Member {
    /// The same place by its other name, if it was read under that.
    #[inline]
    pub(crate) fn spelled(self, extra: &Extra, alias: &[&'static str]) -> Self {
        match alias {
            [name, ..] if extra.is_alias(self.number) => Self { name, ..self },
            _ => self,
        }
    }
}

/// What reading a field may need beside the input.
pub(crate) struct Reading<'a> {
    pub(crate) ids: &'a mut IdCache,
    pub(crate) extra: &'a mut Extra,
}

/// What writing a field may need beside the value.
#[derive(Clone, Copy)]
pub(crate) struct Writing<'a> {
    pub(crate) extra: &'a Extra,
    pub(crate) omit: Omit,
}

/// A struct made by `wire_struct!`.
pub(crate) trait WireStruct: Sized {
    /// One variant per field.
    type Field: Copy;
    /// One slot per field.
    type Slots: Default;
    const NAME: &'static str;

    fn field(name: &str) -> Option<Self::Field>;
    /// Whether a field has it for its other name.
    fn is_alias(name: &str) -> bool;
    fn number(field: Self::Field) -> u32;
    fn is_dropped(name: &str) -> bool;
    fn read<'de, A: MapAccess<'de>>(
        slots: &mut Self::Slots,
        field: Self::Field,
        map: &mut A,
        ids: &mut IdCache,
    ) -> Result<(), A::Error>;
    fn extra(slots: &mut Self::Slots) -> &mut Extra;
    fn finish<E: de::Error>(slots: Self::Slots) -> Result<Self, E>;
    /// Writes the members into an open map.
    fn write<M: SerializeMap>(&self, map: &mut M, omit: Omit) -> Result<(), M::Error>;
}

/// Members that are not written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Omit {
    /// `type`, because the enum has written it.
    pub(crate) tag: bool,
    /// `id`, because the request asks for items without ids.
    pub(crate) id: bool,
    /// Which ids the items of a request lose.
    pub(crate) item_ids: IdFilter,
    /// What a request on a socket says elsewhere or not at all.
    #[cfg(feature = "ws")]
    pub(crate) socket: bool,
    /// What a request may change and yet continue the one before it.
    #[cfg(feature = "ws")]
    pub(crate) continued: bool,
}

impl Omit {
    pub(crate) fn has(self, name: &str) -> bool {
        #[cfg(feature = "ws")]
        if self.socket && matches!(name, "type" | "stream" | "background" | "stream_id") {
            return true;
        }
        #[cfg(feature = "ws")]
        if self.continued && matches!(name, "input" | "client_metadata" | "generate") {
            return true;
        }
        (self.tag && name == "type") || (self.id && name == "id")
    }
}

impl<T: WireStruct> WireStruct for Box<T> {
    type Field = T::Field;
    type Slots = T::Slots;
    const NAME: &'static str = T::NAME;

    fn field(name: &str) -> Option<Self::Field> {
        T::field(name)
    }

    fn is_alias(name: &str) -> bool {
        T::is_alias(name)
    }

    fn number(field: Self::Field) -> u32 {
        T::number(field)
    }

    fn is_dropped(name: &str) -> bool {
        T::is_dropped(name)
    }

    fn read<'de, A: MapAccess<'de>>(
        slots: &mut Self::Slots,
        field: Self::Field,
        map: &mut A,
        ids: &mut IdCache,
    ) -> Result<(), A::Error> {
        T::read(slots, field, map, ids)
    }

    fn extra(slots: &mut Self::Slots) -> &mut Extra {
        T::extra(slots)
    }

    fn finish<E: de::Error>(slots: Self::Slots) -> Result<Self, E> {
        T::finish(slots).map(Self::new)
    }

    fn write<M: SerializeMap>(&self, map: &mut M, omit: Omit) -> Result<(), M::Error> {
        T::write(self, map, omit)
    }
}

/// An enum made by `tagged_enum!`.
pub(crate) trait TaggedEnum: Sized {
    /// One variant per known arm.
    type Arm: Copy;
    const NAME: &'static str;

    fn arm(kind: &str) -> Option<Self::Arm>;
    fn read<'de, A: MapAccess<'de>>(
        arm: Self::Arm,
        before: &RawObject,
        map: A,
        ids: &mut IdCache,
    ) -> Result<Self, A::Error>;
    fn unknown(object: UnknownObject) -> Self;
}

/// Puts the name of the member in front of an error that does not say where it happened.
pub(crate) fn in_member<E: de::Error>(name: &str, error: &E) -> E {
    E::custom(format_args!("`{name}`: {error}"))
}

/// The name of a member of `T`.
enum Key<F> {
    Field(F),
    Alias(F),
    Dropped,
    Extra(Box<str>),
}

struct KeySeed<T>(PhantomData<T>);

impl<'de, T: WireStruct> DeserializeSeed<'de> for KeySeed<T> {
    type Value = Key<T::Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<T: WireStruct> Visitor<'_> for KeySeed<T> {
    type Value = Key<T::Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(match T::field(name) {
            Some(field) if T::is_alias(name) => Key::Alias(field),
            Some(field) => Key::Field(field),
            None if T::is_dropped(name) => Key::Dropped,
            None => Key::Extra(name.into()),
        })
    }
}

fn read_members<'de, T: WireStruct, A: MapAccess<'de>>(
    slots: &mut T::Slots,
    map: &mut A,
    ids: &mut IdCache,
) -> Result<(), A::Error> {
    while let Some(key) = map.next_key_seed(KeySeed::<T>(PhantomData))? {
        match key {
            Key::Field(field) => T::read(slots, field, map, ids)?,
            Key::Alias(field) => {
                T::extra(slots).set_alias(T::number(field));
                T::read(slots, field, map, ids)?;
            }
            Key::Dropped => {
                map.next_value::<IgnoredAny>()?;
            }
            Key::Extra(name) => {
                let value = map.next_value()?;
                T::extra(slots).push(name, value);
            }
        }
    }
    Ok(())
}

/// `Deserialize` of a wire struct on its own.
pub(crate) fn deserialize_struct<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: WireStruct,
    D: Deserializer<'de>,
{
    struct StructVisitor<T>(PhantomData<T>);

    impl<'de, T: WireStruct> Visitor<'de> for StructVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an object ({})", T::NAME)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
            let mut slots = T::Slots::default();
            read_members::<T, A>(&mut slots, &mut map, &mut IdCache::new())?;
            T::finish(slots)
        }
    }

    deserializer.deserialize_map(StructVisitor(PhantomData))
}

/// `Serialize` of a wire struct on its own.
pub(crate) fn serialize_struct<T: WireStruct, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    value.write(&mut map, Omit::default())?;
    map.end()
}

/// Reads the payload of a tagged enum: the members `before` the tag, then the rest of `map`.
pub(crate) fn read_payload<'de, T: WireStruct, A: MapAccess<'de>>(
    kind: &str,
    before: &RawObject,
    mut map: A,
    ids: &mut IdCache,
) -> Result<T, A::Error> {
    let mut read = || {
        let mut slots = T::Slots::default();
        let mut buffered = Buffered { members: before.iter(), value: None, error: PhantomData };
        read_members::<T, _>(&mut slots, &mut buffered, ids)?;
        read_members::<T, A>(&mut slots, &mut map, ids)?;
        // The first `type` has decided what this is; another one would say otherwise when it is written.
        while T::extra(&mut slots).remove("type").is_some() {}
        T::finish(slots)
    };
    read().map_err(|error: A::Error| de::Error::custom(format_args!("{kind}: {error}")))
}

/// Members that were held back until the type was known.
struct Buffered<'a, I, E> {
    members: I,
    value: Option<&'a RawJson>,
    error: PhantomData<E>,
}

impl<'a, I, E> MapAccess<'a> for Buffered<'a, I, E>
where
    I: Iterator<Item = (&'a str, &'a RawJson)>,
    E: de::Error,
{
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, E> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, E> {
        let text = self.value.take().map_or("null", RawJson::as_str);
        seed.deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(E::custom)
    }
}

/// The tag, or the name of a member before it.
enum TagKey {
    Tag,
    Other(Box<str>),
}

impl<'de> Deserialize<'de> for TagKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TagKeyVisitor;

        impl Visitor<'_> for TagKeyVisitor {
            type Value = TagKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<TagKey, E> {
                Ok(if name == "type" { TagKey::Tag } else { TagKey::Other(name.into()) })
            }
        }

        deserializer.deserialize_identifier(TagKeyVisitor)
    }
}

/// Reads the value of `type`: a known arm, or the text.
struct ArmSeed<T>(PhantomData<T>);

impl<'de, T: TaggedEnum> DeserializeSeed<'de> for ArmSeed<T> {
    type Value = Result<T::Arm, Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T: TaggedEnum> Visitor<'_> for ArmSeed<T> {
    type Value = Result<T::Arm, Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, kind: &str) -> Result<Self::Value, E> {
        Ok(T::arm(kind).ok_or_else(|| kind.into()))
    }
}

/// Reads a tagged enum, sharing ids through a cache.
pub(crate) struct TaggedSeed<'a, T> {
    ids: &'a mut IdCache,
    implied: Option<&'static str>,
    result: PhantomData<T>,
}

impl<'a, T> TaggedSeed<'a, T> {
    pub(crate) fn new(ids: &'a mut IdCache) -> Self {
        Self { ids, implied: None, result: PhantomData }
    }

    /// Takes an object without `type` for one of type `kind`.
    pub(crate) fn implying(self, kind: &'static str) -> Self {
        Self { implied: Some(kind), ..self }
    }
}

impl<'de, T: TaggedEnum> DeserializeSeed<'de> for TaggedSeed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: TaggedEnum> Visitor<'de> for TaggedSeed<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a `type` ({})", T::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut members = RawObject::new();
        let kind = loop {
            match map.next_key()? {
                Some(TagKey::Tag) => {
                    let arm = map.next_value_seed(ArmSeed::<T>(PhantomData));
                    break arm.map_err(|error| in_member("type", &error))?;
                }
                Some(TagKey::Other(name)) => members.push(name, map.next_value()?),
                None => {
                    if let Some(arm) = self.implied.and_then(T::arm) {
                        return T::read(arm, &members, map, self.ids);
                    }
                    return Err(de::Error::custom(format_args!(
                        "{}: missing field `type`",
                        T::NAME
                    )));
                }
            }
        };
        match kind {
            Ok(arm) => T::read(arm, &members, map, self.ids),
            Err(kind) => {
                let tag = RawJson::from_value(&*kind).map_err(de::Error::custom)?;
                members.push("type".into(), tag);
                while let Some((name, value)) = map.next_entry()? {
                    members.push(name, value);
                }
                UnknownObject::from_members(kind, &members).map(T::unknown)
            }
        }
    }
}

/// Writes a tagged object: `type`, then the payload's members.
pub(crate) fn write_tagged<T: WireStruct, S: Serializer>(
    serializer: S,
    kind: &str,
    payload: &T,
    omit: Omit,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("type", kind)?;
    payload.write(&mut map, Omit { tag: true, ..omit })?;
    map.end()
}

/// Writes a tagged object that has one member and never came from the wire.
pub(crate) fn write_synthesised<T: Serialize, S: Serializer>(
    serializer: S,
    kind: &str,
    member: &str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("type", kind)?;
    map.serialize_entry(member, value)?;
    map.end()
}

/// Writes the extra members that have no field.
pub(crate) fn write_extra<T: WireStruct, M: SerializeMap>(
    map: &mut M,
    extra: &Extra,
    omit: Omit,
) -> Result<(), M::Error> {
    for (name, value) in extra.iter() {
        if T::field(name).is_none() && !omit.has(name) {
            map.serialize_entry(name, value)?;
        }
    }
    Ok(())
}
