//! JSON kept as text: [`RawJson`] for one value, [`RawObject`] for an ordered list of members.
//!
//! Whatever the API says that this crate does not model is kept in these, so that it can be read by those who know it
//! and is written back as it came.

mod shown;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use self::shown::{Member as ShownMember, Outline};

/// The name under which `serde_json` hands out the text of a value instead of the value.
///
/// It is an implementation detail there. Should it change, values are still read, through
/// `serde_json::Value`, and only their exact spelling is lost; a test below notices.
const RAW_TOKEN: &str = "$serde_json::private::RawValue";

/// One JSON value as the text it was written with.
///
/// Reading it from JSON text keeps every byte between the value's first and last. Reading it from
/// anything else (a `serde_json::Value`, or serde's own buffer inside an untagged enum) works too
/// and keeps the value, not its spelling.
///
/// It is one value, so it cannot be written as a `#[serde(flatten)]` field: use [`RawObject`] there.
///
/// ```
/// use tower_openai::model::RawJson;
///
/// let raw: RawJson = serde_json::from_str(r#"{"b": 1.50, "a": []}"#)?;
/// assert_eq!(raw.as_str(), r#"{"b": 1.50, "a": []}"#);
/// assert_eq!(serde_json::to_string(&raw)?, raw.as_str());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// The JSON text of `value`.
    ///
    /// # Errors
    ///
    /// When `value` cannot be written as JSON, such as a map whose keys are not strings.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Takes over JSON text.
    ///
    /// # Errors
    ///
    /// When `text` is not exactly one JSON value.
    pub fn from_text(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text.into()).map(Self)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    ///
    /// When the value has another shape than `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }

    /// Whether this is the JSON `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }
}

impl Default for RawJson {
    /// JSON `null`.
    fn default() -> Self {
        Self(RawValue::NULL.to_owned())
    }
}

impl fmt::Debug for RawJson {
    /// The JSON text; where members are called `authorization` or `headers`, without their values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown::Json(self.as_str()).fmt(f)
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for RawJson {
    /// Compares the texts.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RawJson {}

impl From<serde_json::Value> for RawJson {
    fn from(value: serde_json::Value) -> Self {
        // The text of a `Value` is JSON, so this takes it over as it is.
        Self::from_text(value.to_string()).unwrap_or_default()
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;

        impl<'de> Visitor<'de> for RawVisitor {
            type Value = RawJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }

            // `serde_json` recognised the token.
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawJson, A::Error> {
                Box::<RawValue>::deserialize(MapAccessDeserializer::new(map)).map(RawJson)
            }

            // Everyone else, which is where a plain `Box<RawValue>` gives up.
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<RawJson, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                RawJson::from_value(&value).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_newtype_struct(RAW_TOKEN, RawVisitor)
    }
}

/// The members of a JSON object, in order, each value as its text.
///
/// Names are unique: [`set`](Self::set) replaces. Lookup is linear, since these lists are short.
///
/// ```
/// use tower_openai::model::RawObject;
///
/// let mut body: RawObject = serde_json::from_str(r#"{"model":"gpt-5.2","input":[]}"#)?;
/// body.set("seed", &7)?;
/// assert_eq!(serde_json::to_string(&body)?, r#"{"model":"gpt-5.2","input":[],"seed":7}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct RawObject {
    members: Vec<(Box<str>, RawJson)>,
}

impl RawObject {
    /// An object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self { members: Vec::new() }
    }

    /// The value of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawJson> {
        self.members.iter().find_map(|(member, value)| (**member == *name).then_some(value))
    }

    /// Sets the member `name`: in its place when it is there, else at the end.
    ///
    /// # Errors
    ///
    /// When `value` cannot be written as JSON.
    pub fn set<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.set_raw(name, RawJson::from_value(value)?);
        Ok(())
    }

    /// As [`set`](Self::set), for a value that is JSON text already.
    pub fn set_raw(&mut self, name: impl Into<Box<str>>, value: RawJson) {
        let name = name.into();
        match self.members.iter_mut().find(|(member, _)| *member == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((name, value)),
        }
    }

    /// Takes the member `name` out.
    pub fn remove(&mut self, name: &str) -> Option<RawJson> {
        let at = self.members.iter().position(|(member, _)| **member == *name)?;
        Some(self.members.remove(at).1)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.members.iter().map(|(name, value)| (&**name, value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Takes out the members whose name is not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.members.retain(|(name, _)| keep(name));
    }

    /// Adds without looking for an earlier member of that name.
    pub(crate) fn push(&mut self, name: Box<str>, value: RawJson) {
        self.members.push((name, value));
    }

    /// Makes names unique after [`push`](Self::push): the last member of a name stays.
    ///
    /// Once per object and not once per member, so that a hostile object with very many members
    /// costs linear time.
    pub(crate) fn keep_last(&mut self) {
        if self.members.len() < 2 {
            return;
        }
        let mut seen = HashSet::with_capacity(self.members.len());
        let mut keep: Vec<bool> =
            self.members.iter().rev().map(|(name, _)| seen.insert(&**name)).collect();
        if seen.len() < self.members.len() {
            self.members.retain(|_| keep.pop().unwrap_or(true));
        }
    }
}

impl PartialEq for RawObject {
    /// Compares names and texts; the order of members does not count, as in JSON.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Eq for RawObject {}

impl Serialize for RawObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = RawObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
                let mut object = RawObject::new();
                while let Some((name, value)) = map.next_entry::<Box<str>, RawJson>()? {
                    object.push(name, value);
                }
                object.keep_last();
                Ok(object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A member name, borrowed when it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object, borrowed from its text.
struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

fn members(object: &str) -> Result<Members<'_>, serde_json::Error> {
    struct MembersVisitor;

    impl<'de> Visitor<'de> for MembersVisitor {
        type Value = Members<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(Members(members))
        }
    }

    serde_json::Deserializer::from_str(object).deserialize_map(MembersVisitor)
}

/// The string that is the member `name` of an object, when it can be borrowed.
pub(crate) fn text_member<'a>(object: &'a RawJson, name: &str) -> Option<&'a str> {
    let Members(members) = members(object.as_str()).ok()?;
    let (_, value) = members.into_iter().find(|(Name(member), _)| *member == name)?;
    serde_json::from_str(value.get()).ok()
}

/// Writes the members of the object whose text is `object` into `serializer` as a map.
///
/// A map, and not the text itself, so that it also works inside a caller's flattened or
/// internally tagged types. Compact text comes out byte for byte.
pub(crate) fn write_object<S: Serializer>(
    object: &RawJson,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Members(members) = members(object.as_str()).map_err(serde::ser::Error::custom)?;
    let mut map = serializer.serialize_map(Some(members.len()))?;
    for (Name(name), value) in &members {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_comes_back_byte_for_byte() {
        let text = r#"{"z": 1.0e5, "a" : [ "\u00e9", null ]}"#;
        let raw: RawJson = serde_json::from_str(text).unwrap();
        assert_eq!(raw.as_str(), text, "serde_json has renamed its raw-value token");
        assert_eq!(serde_json::to_string(&raw).unwrap(), text);
        let nested: Vec<RawJson> = serde_json::from_str(&format!("[{text}, 1.50]")).unwrap();
        assert_eq!(nested[0].as_str(), text);
        assert_eq!(nested[1].as_str(), "1.50");
    }

    #[test]
    fn reads_from_a_value_and_from_serdes_buffer() {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            #[expect(dead_code)]
            Number(u8),
            Raw(RawJson),
        }

        let value = json!({"a": [1, 2.5, null], "b": "x"});
        let raw: RawJson = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(raw.parse::<serde_json::Value>().unwrap(), value);
        let Either::Raw(raw) = serde_json::from_value(value.clone()).unwrap() else { panic!() };
        assert_eq!(raw.parse::<serde_json::Value>().unwrap(), value);
        let Either::Raw(raw) = serde_json::from_str(&value.to_string()).unwrap() else { panic!() };
        assert_eq!(raw.parse::<serde_json::Value>().unwrap(), value);
    }

    #[test]
    fn object_keeps_order_and_replaces_in_place() {
        let text = r#"{"b":1,"a":{"x": 2},"c":null}"#;
        let mut object: RawObject = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), text);
        object.set("a", "new").unwrap();
        assert_eq!(object.remove("c").unwrap().as_str(), "null");
        assert!(object.remove("c").is_none());
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"b":1,"a":"new"}"#);
        let other: RawObject = serde_json::from_str(r#"{"a":"new","b":1}"#).unwrap();
        assert_eq!(object, other);
    }

    #[test]
    fn the_last_of_equal_names_stays() {
        let object: RawObject = serde_json::from_str(r#"{"a":1,"b":2,"a":3,"c":4}"#).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"b":2,"a":3,"c":4}"#);
    }

    #[test]
    fn an_object_can_be_flattened_and_a_raw_value_cannot() {
        #[derive(Serialize, Deserialize)]
        struct Around<T> {
            a: u8,
            #[serde(flatten)]
            rest: T,
        }

        let text = r#"{"a":1,"b":{"c":2}}"#;
        let object: Around<RawObject> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), text);
        let raw: Around<RawJson> = serde_json::from_str(text).unwrap();
        assert_eq!(raw.rest.as_str(), r#"{"b":{"c":2}}"#);
        assert_ne!(serde_json::to_string(&raw).unwrap_or_default(), text);
    }

    #[test]
    fn a_value_becomes_its_text() {
        assert_eq!(RawJson::from(json!({"a": 1})).as_str(), r#"{"a":1}"#);
        assert!(RawJson::default().is_null());
        assert!(RawJson::from_text("{").is_err());
    }
}
