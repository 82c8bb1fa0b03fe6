//! [`UnknownObject`]: the unknown arm of every tagged type.

use std::fmt;

use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::raw::{self, RawJson, RawObject};

/// An object whose `type` this crate does not know, kept whole.
///
/// It is written back as it came: same members, same order, same text of each value. Build one to
/// send an item, part or tool that is not modelled yet:
///
/// ```
/// use tower_openai::model::{RawJson, ResponseItem, UnknownObject};
///
/// let raw = RawJson::from_text(r#"{"type":"hologram_call","id":"h_1"}"#)?;
/// let item = ResponseItem::Unknown(UnknownObject::new(raw)?);
/// assert_eq!(item.kind(), "hologram_call");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct UnknownObject {
    kind: Box<str>,
    raw: RawJson,
}

impl UnknownObject {
    /// Takes over a JSON object that has a `type` string.
    ///
    /// # Errors
    ///
    /// When `raw` is not such an object.
    pub fn new(raw: RawJson) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Tag {
            #[serde(rename = "type")]
            kind: Box<str>,
        }
        let Tag { kind } = raw.parse()?;
        Ok(Self { kind, raw })
    }

    /// From members among which is `type`.
    pub(crate) fn from_members<E: de::Error>(
        kind: Box<str>,
        members: &RawObject,
    ) -> Result<Self, E> {
        let raw = RawJson::from_value(members).map_err(E::custom)?;
        Ok(Self { kind, raw })
    }

    /// The value of `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The whole object.
    #[must_use]
    pub fn raw(&self) -> &RawJson {
        &self.raw
    }

    /// The text of the member `name`; `None` when it is not there, not a string, or has escapes.
    pub(crate) fn text_member(&self, name: &str) -> Option<&str> {
        raw::text_member(&self.raw, name)
    }

    /// Reads the whole object as a `T`.
    ///
    /// # Errors
    ///
    /// When the object has another shape than `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.raw.parse()
    }
}

impl fmt::Debug for UnknownObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnknownObject").field(&self.raw).finish()
    }
}

impl Serialize for UnknownObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw::write_object(&self.raw, serializer)
    }
}

impl<'de> Deserialize<'de> for UnknownObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(RawJson::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
