//! The three macros that make the wire types, so that the rules of the wire stand in one place.
//!
//! - `wire_struct!`: an object. Each field names its mode (see [`modes`](super::modes)); members
//!   without a field are kept in `extra`. A field whose wire name differs says `as "name"`,
//!   and `| "other"` for another that is read too, and written again where it was read;
//!   `drops ["name"]` after the struct's name lists members that are thrown away.
//! - `tagged_enum!`: an object told apart by `type`, with an `Unknown` arm. `synthesised { … }` after
//!   it lists arms that this crate makes itself: they are written as an object with one member, and
//!   an object of their `type` is read as unknown.
//! - `open_enum!`: a string with known values, with an `Other` arm.

use std::fmt;

/// A field as `Debug` shows it: of opaque text the length only.
pub(crate) struct Shown<'a, T>(pub(crate) &'static str, pub(crate) &'a T);

impl<T: fmt::Debug> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, value) = self;
        let is_base64 = |text: &str| {
            let sign = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            text.len() > 64 && text.as_bytes().iter().all(sign)
        };
        let is_opaque: &dyn Fn(&str) -> bool = match *name {
            "encrypted_content" | "encrypted_output" | "file_data" | "partial_image_b64"
            | "b64_json" | "audio" => &|_| true,
            // Signed: whoever has it has what it leads to.
            "url" => &|text| text.contains("sig=") || text.contains("Signature="),
            "image_url" => &|text| text.starts_with("data:"),
            // Of an image; the results of other calls are for people.
            "result" => &is_base64,
            _ => return value.fmt(f),
        };
        // A text or an optional text; of other types the name says nothing.
        let text = format!("{value:?}");
        let rest = text.strip_prefix("Some(").unwrap_or(&text).strip_prefix('"');
        match rest.and_then(|rest| rest.rsplit_once('"')) {
            Some((text, _)) if is_opaque(text) => {
                write!(f, "[{} bytes]", text.len())
            }
            _ => value.fmt(f),
        }
    }
}

macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(drops [$($dropped:literal),+])? {
            $(
                $(#[$field_meta:meta])*
                $mode:ident $field:ident $(as $wire:literal $(| $alias:literal)?)?: $ty:ty
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        $vis struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
            /// Members that have no field here.
            pub extra: $crate::model::Extra,
        }

        const _: () = {
            #[allow(unused_imports)]
            use $crate::model::{Extra, IdCache, macros, modes, wire};

            #[allow(non_camel_case_types, unreachable_pub)]
            #[derive(Clone, Copy)]
            pub enum Field { $($field,)* }

            #[allow(unreachable_pub)]
            #[derive(Default)]
            pub struct Slots {
                $($field: wire::Slot<$ty>,)*
                extra: Extra,
            }

            impl wire::WireStruct for $name {
                type Field = Field;
                type Slots = Slots;
                const NAME: &'static str = stringify!($name);

                fn field(name: &str) -> Option<Field> {
                    match name {
                        $(macros::wire_name!($field $($wire)?) $($(| $alias)?)? => Some(Field::$field),)*
                        _ => None,
                    }
                }

                fn is_alias(name: &str) -> bool {
                    match name {
                        $($($($alias => true,)?)?)*
                        _ => false,
                    }
                }

                fn number(field: Field) -> u32 {
                    field as u32
                }

                fn is_dropped(name: &str) -> bool {
                    let dropped: &[&str] = &[$($($dropped),+)?];
                    dropped.contains(&name)
                }

                #[allow(unused_variables)]
                fn read<'de, A: serde::de::MapAccess<'de>>(
                    slots: &mut Slots,
                    field: Field,
                    map: &mut A,
                    ids: &mut IdCache,
                ) -> Result<(), A::Error> {
                    match field {
                        $(Field::$field => {
                            let member = macros::member!($field $($wire)?)
                                .spelled(&slots.extra, &[$($($alias)?)?]);
                            let reading = wire::Reading { ids, extra: &mut slots.extra };
                            slots.$field = modes::$mode::read(map, member, reading)
                                .map_err(|error| wire::in_member(member.name, &error))?;
                        })*
                    }
                    #[allow(unreachable_code)]
                    Ok(())
                }

                fn extra(slots: &mut Slots) -> &mut Extra {
                    &mut slots.extra
                }

                fn finish<E: serde::de::Error>(slots: Slots) -> Result<Self, E> {
                    let Slots { $($field,)* mut extra } = slots;
                    extra.keep_last();
                    $(
                        let member = macros::member!($field $($wire)?)
                            .spelled(&extra, &[$($($alias)?)?]);
                        let $field = modes::$mode::finish($field, member, &mut extra)?;
                    )*
                    Ok(Self { $($field,)* extra })
                }

                fn write<M: serde::ser::SerializeMap>(
                    &self,
                    map: &mut M,
                    omit: wire::Omit,
                ) -> Result<(), M::Error> {
                    $(
                        let member = macros::member!($field $($wire)?)
                            .spelled(&self.extra, &[$($($alias)?)?]);
                        if !omit.has(member.name) {
                            let writing = wire::Writing { extra: &self.extra, omit };
                            modes::$mode::write(map, member, &self.$field, writing)?;
                        }
                    )*
                    wire::write_extra::<Self, M>(map, &self.extra, omit)
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.debug_struct(stringify!($name))
                        $(.field(stringify!($field), &macros::Shown(stringify!($field), &self.$field)))*
                        .field("extra", &self.extra)
                        .finish()
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    wire::serialize_struct(self, to)
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    wire::deserialize_struct(from)
                }
            }
        };
    };
}

/// The wire name of a field.
macro_rules! wire_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $wire:literal) => {
        $wire
    };
}

/// The place of a field, inside `wire_struct!`.
macro_rules! member {
    ($field:ident $($wire:literal)?) => {
        $crate::model::wire::Member {
            name: $crate::model::macros::wire_name!($field $($wire)?),
            number: Field::$field as u32,
        }
    };
}

macro_rules! tagged_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$arm_meta:meta])* $arm:ident($payload:ty) = $kind:literal $(| $alias:literal)*),+ $(,)?
        }
        $(synthesised {
            $($(#[$made_meta:meta])* $made:ident($made_of:ty) = $made_kind:literal { $member:literal }),+ $(,)?
        })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        $vis enum $name {
            $(
                $(#[$arm_meta])*
                #[doc = concat!("\n\nOn the wire: `", $kind, "`.")]
                $arm($payload),
            )+
            $($(
                $(#[$made_meta])*
                #[doc = concat!("\n\nNever on the wire; written as `", $made_kind, "`.")]
                $made($made_of),
            )+)?
            /// An object whose `type` is not known here; written back as it came.
            Unknown($crate::model::UnknownObject),
        }

        impl $name {
            /// The value of `type`.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$arm(_) => $kind,)+
                    $($(Self::$made(_) => $made_kind,)+)?
                    Self::Unknown(object) => object.kind(),
                }
            }

            #[allow(dead_code)]
            pub(crate) fn serialize_omitting<S: serde::Serializer>(
                &self,
                serializer: S,
                omit: $crate::model::wire::Omit,
            ) -> Result<S::Ok, S::Error> {
                use $crate::model::wire;
                match self {
                    $(Self::$arm(payload) => {
                        wire::write_tagged(serializer, $kind, payload, omit)
                    })+
                    $($(Self::$made(value) => {
                        wire::write_synthesised(serializer, $made_kind, $member, value)
                    })+)?
                    Self::Unknown(object) => serde::Serialize::serialize(object, serializer),
                }
            }
        }

        const _: () = {
            use $crate::model::{IdCache, RawObject, UnknownObject, wire};

            #[allow(clippy::enum_variant_names, unreachable_pub)]
            #[derive(Clone, Copy)]
            pub enum Arm { $($arm,)+ }

            impl wire::TaggedEnum for $name {
                type Arm = Arm;
                const NAME: &'static str = stringify!($name);

                fn arm(kind: &str) -> Option<Arm> {
                    match kind {
                        $($kind $(| $alias)* => Some(Arm::$arm),)+
                        _ => None,
                    }
                }

                fn read<'de, A: serde::de::MapAccess<'de>>(
                    arm: Arm,
                    before: &RawObject,
                    map: A,
                    ids: &mut IdCache,
                ) -> Result<Self, A::Error> {
                    match arm {
                        $(Arm::$arm => wire::read_payload($kind, before, map, ids).map(Self::$arm),)+
                    }
                }

                fn unknown(object: UnknownObject) -> Self {
                    Self::Unknown(object)
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    self.serialize_omitting(to, wire::Omit::default())
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    let mut ids = IdCache::new();
                    serde::de::DeserializeSeed::deserialize(wire::TaggedSeed::new(&mut ids), from)
                }
            }
        };
    };
}

/// `From<payload>` for the arms whose payload belongs to no other arm: `Payload`, when the arm has
/// the same name, or `Payload => Arm`.
macro_rules! from_payloads {
    ($name:ident { $($payload:ident $(=> $arm:ident)?),+ $(,)? }) => {
        $($crate::model::macros::from_payloads!(@ $name $payload $($arm)?);)+
    };
    (@ $name:ident $payload:ident) => {
        $crate::model::macros::from_payloads!(@ $name $payload $payload);
    };
    (@ $name:ident $payload:ident $arm:ident) => {
        impl From<$payload> for $name {
            fn from(payload: $payload) -> Self {
                Self::$arm(payload.into())
            }
        }
    };
}

macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$arm_meta:meta])* $arm:ident = $text:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        ///
        /// An open set: values this crate does not know are kept as `Other`. Make values from text
        /// with `From`, which finds the named variant where there is one.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $vis enum $name {
            $(
                $(#[$arm_meta])*
                #[doc = concat!("`", $text, "`")]
                $arm,
            )+
            /// Any other value.
            Other(Box<str>),
        }

        impl $name {
            /// The known values, in order.
            #[allow(dead_code)]
            pub(crate) const WORDS: &'static [&'static str] = &[$($text),+];

            /// The value as the wire spells it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$arm => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$arm,)+
                    _ => Self::Other(text.into()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.as_str() == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.as_str() == *text
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct TextVisitor;

                impl serde::de::Visitor<'_> for TextVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok($name::from(text))
                    }
                }

                from.deserialize_str(TextVisitor)
            }
        }
    };
}

pub(crate) use {from_payloads, member, open_enum, tagged_enum, wire_name, wire_struct};

#[cfg(test)]
mod tests;
