//! Refuses the names that the id of a session had before it became that of a *realtime* session.
//!
//! Members that nobody knows are ignored in these payloads, so an old name would be ignored too, and
//! the session would silently run under another id.

use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};

use std::fmt;
use std::marker::PhantomData;

const OLD_NAMES: [&str; 2] = ["session_id", "sessionId"];

/// A payload with a renamed member.
pub(super) trait Renamed: Sized {
    /// The type's name, for errors.
    const NAME: &'static str;
    /// What the member is called now.
    const NOW: &'static str;

    /// Reads the payload, whatever its members are called.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// Reads a payload that has no member of an old name.
pub(super) fn deserialize<'de, T: Renamed, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    from.deserialize_map(PayloadVisitor(PhantomData))
}

struct PayloadVisitor<T>(PhantomData<T>);

impl<'de, T: Renamed> Visitor<'de> for PayloadVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", T::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::read(MapAccessDeserializer::new(Checked { map, now: T::NOW }))
    }
}

/// The members of an object, up to one with an old name.
struct Checked<A> {
    map: A,
    now: &'static str,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Checked<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(name) = self.map.next_key::<Box<str>>()? else { return Ok(None) };
        if OLD_NAMES.contains(&&*name) {
            return Err(Error::custom(format_args!("`{name}` was renamed: say `{}`", self.now)));
        }
        seed.deserialize(StrDeserializer::new(&name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Makes `Serialize` and `Deserialize` of the functions that serde's derives with `remote = "Self"`
/// put on the type itself, and refuses the old names.
macro_rules! renamed {
    ($($payload:ident: $now:literal),+ $(,)?) => {
        $(
            impl $crate::model::realtime::codex::renamed::Renamed for $payload {
                const NAME: &'static str = stringify!($payload);
                const NOW: &'static str = $now;

                fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    // The derived function, which is inherent and so goes before the trait's.
                    Self::deserialize(from)
                }
            }

            impl serde::Serialize for $payload {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    Self::serialize(self, to)
                }
            }

            impl<'de> serde::Deserialize<'de> for $payload {
                fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    $crate::model::realtime::codex::renamed::deserialize(from)
                }
            }
        )+
    };
}

pub(super) use renamed;
