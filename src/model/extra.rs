//! [`Extra`]: what a JSON object held beyond the fields of its type.

use serde::Serialize;

use super::raw::{RawJson, RawObject, ShownMember};

/// Members of a JSON object that its Rust type has no field for.
///
/// Decoding puts unknown members here, and encoding writes them after the fields, so a value that
/// is read and written again loses nothing. Callers use it to send what this crate does not know:
///
/// ```
/// use tower_openai::model::ResponsesApiRequest;
///
/// let mut request = ResponsesApiRequest::new("gpt-5.2", "hello");
/// request.extra.set("some_new_knob", &true)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// A member with the name of a field is written only while that field is empty (`None`, an empty
/// string or list); a field that is set wins.
///
/// Equality compares the members and nothing else. An empty one is 8 bytes and no allocation.
#[derive(Clone, Default)]
pub struct Extra(Option<Box<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    members: RawObject,
    spelled: Spelled,
}

/// How an empty field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// The member is not there.
    Absent,
    /// The member is `null`.
    Null,
    /// The member is there with its empty value: `""`, `[]`, `false`.
    Value,
}

/// One bit per field that came in another spelling than the one its mode prescribes.
#[derive(Clone, Copy, Default)]
struct Spelled {
    absent: u64,
    null: u64,
    value: u64,
    /// The field came under its other name.
    alias: u64,
}

impl Extra {
    /// No extra members.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// The value of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawJson> {
        self.0.as_ref()?.members.get(name)
    }

    /// Sets the member `name`, replacing an earlier one.
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
        self.inner_mut().members.set_raw(name, value);
    }

    /// Takes the member `name` out.
    pub fn remove(&mut self, name: &str) -> Option<RawJson> {
        self.0.as_mut()?.members.remove(name)
    }

    /// The members, in the order they came or were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.0.iter().flat_map(|inner| inner.members.iter())
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.members.len())
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member while reading; [`keep_last`](Self::keep_last) follows.
    pub(crate) fn push(&mut self, name: Box<str>, value: RawJson) {
        self.inner_mut().members.push(name, value);
    }

    /// Makes names unique after [`push`](Self::push).
    pub(crate) fn keep_last(&mut self) {
        if let Some(inner) = &mut self.0 {
            inner.members.keep_last();
        }
    }

    fn inner_mut(&mut self) -> &mut Inner {
        self.0.get_or_insert_default()
    }

    /// Remembers how the field number `field` was spelled while empty.
    pub(crate) fn spell(&mut self, field: u32, spelling: Spelling) {
        let spelled = &mut self.inner_mut().spelled;
        let set = match spelling {
            Spelling::Absent => &mut spelled.absent,
            Spelling::Null => &mut spelled.null,
            Spelling::Value => &mut spelled.value,
        };
        // No struct has more than 64 fields; a later one would merely take its usual spelling.
        *set |= 1u64.checked_shl(field).unwrap_or(0);
    }

    /// Remembers that the field number `field` came under its other name.
    pub(crate) fn set_alias(&mut self, field: u32) {
        self.inner_mut().spelled.alias |= 1u64.checked_shl(field).unwrap_or(0);
    }

    /// Whether the field number `field` came under its other name.
    pub(crate) fn is_alias(&self, field: u32) -> bool {
        let bit = 1u64.checked_shl(field).unwrap_or(0);
        self.0.as_ref().is_some_and(|inner| inner.spelled.alias & bit != 0)
    }

    /// The remembered spelling of the field number `field`.
    pub(crate) fn spelling(&self, field: u32) -> Option<Spelling> {
        let spelled = &self.0.as_ref()?.spelled;
        let bit = 1u64.checked_shl(field).unwrap_or(0);
        let has = |set: u64| set & bit != 0;
        if has(spelled.absent) {
            Some(Spelling::Absent)
        } else if has(spelled.null) {
            Some(Spelling::Null)
        } else if has(spelled.value) {
            Some(Spelling::Value)
        } else {
            None
        }
    }
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.iter().map(|(name, value)| (name, ShownMember(name, value.as_str())));
        f.debug_map().entries(shown).finish()
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => a.members == b.members,
            _ => self.is_empty() && other.is_empty(),
        }
    }
}

impl Eq for Extra {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small_and_equal_by_members() {
        assert_eq!(size_of::<Extra>(), 8);
        let mut spelled = Extra::new();
        spelled.spell(3, Spelling::Null);
        spelled.spell(63, Spelling::Absent);
        spelled.spell(64, Spelling::Value);
        assert_eq!(spelled.spelling(3), Some(Spelling::Null));
        assert_eq!(spelled.spelling(63), Some(Spelling::Absent));
        assert_eq!(spelled.spelling(64), None);
        assert_eq!(spelled, Extra::new());
        spelled.set("a", &1).unwrap();
        assert_ne!(spelled, Extra::new());
        assert_eq!(format!("{spelled:?}"), r#"{"a": 1}"#);
    }
}
