//! The `error` event, in whatever form a server sends it.

use std::convert::Infallible;

use http::StatusCode;
use serde::de::{self, MapAccess};
use serde::ser::SerializeMap;

use super::Payload;
use crate::model::wire::{self, IdCache, Omit, WireStruct};
use crate::model::{ApiError, ErrorBody, Extra, RawJson};

/// The stream failed (`error`).
///
/// The error stands in the event itself (`{"type":"error","code":…,"message":…,"param":…}`) or in a
/// member (`{"type":"error","error":{…}}`); both read the same here, and reading never fails, so that
/// an odd shape does not hide what the server had to say. The event is written as it came.
///
/// ```
/// use tower_openai::model::{ErrorEvent, ResponseEvent};
///
/// for text in [
///     r#"{"type":"error","code":"server_error","message":"Oops","param":null,"sequence_number":3}"#,
///     r#"{"type":"error","error":{"code":"server_error","message":"Oops"},"sequence_number":3}"#,
/// ] {
///     let event: ResponseEvent = serde_json::from_str(text)?;
///     let ResponseEvent::Error(error) = event else { unreachable!() };
///     assert_eq!(error.code(), Some("server_error"));
///     assert_eq!(error.message(), Some("Oops"));
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorEvent {
    error: ApiError,
    sequence_number: Option<u64>,
    /// Every member as it came.
    members: Extra,
}

impl ErrorEvent {
    /// What went wrong.
    #[must_use]
    pub fn error(&self) -> &ApiError {
        &self.error
    }

    /// The error's code, for programs.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.error.code()
    }

    /// What happened, for people.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.error.message.as_deref()
    }

    /// The request's parameter that is at fault.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.error.param.as_deref()
    }

    /// The error's class, such as `invalid_request_error`.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        self.error.kind.as_deref()
    }

    /// The caller's id of the event that is at fault, in the Realtime API.
    #[must_use]
    pub fn client_event_id(&self) -> Option<String> {
        self.error.extra.get("event_id")?.parse().ok()
    }

    /// The HTTP status that the failure stands for, where the server tells it (`status`).
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.members.get("status").and_then(status_in)
    }

    /// Position in the stream.
    #[must_use]
    pub fn sequence_number(&self) -> Option<u64> {
        self.sequence_number
    }

    /// The member `name` as it came.
    pub(crate) fn member(&self, name: &str) -> Option<&RawJson> {
        self.members.get(name)
    }

    fn from_members(members: Extra) -> Self {
        Self {
            error: ApiError::find(|name| members.get(name)).unwrap_or_default(),
            sequence_number: members.get("sequence_number").and_then(|raw| raw.parse().ok()),
            members,
        }
    }
}

/// A status among the members of an error: a number.
pub(crate) fn status_in(raw: &RawJson) -> Option<StatusCode> {
    StatusCode::from_u16(raw.parse().ok()?).ok()
}

impl From<ErrorBody> for ErrorEvent {
    /// For servers that send an error into a stream without a `type`.
    fn from(body: ErrorBody) -> Self {
        let mut members = Extra::new();
        for (name, value) in body.members().iter() {
            members.push(name.into(), value.clone());
        }
        Self::from_members(members)
    }
}

impl Payload for ErrorEvent {
    fn sequence_number(&self) -> Option<u64> {
        self.sequence_number
    }

    fn extra(&self) -> &Extra {
        &self.members
    }
}

/// All members are kept as they came, since none has a fixed place.
impl WireStruct for ErrorEvent {
    type Field = Infallible;
    type Slots = Extra;
    const NAME: &'static str = "ErrorEvent";

    fn field(_: &str) -> Option<Infallible> {
        None
    }

    fn is_alias(_: &str) -> bool {
        false
    }

    fn number(field: Infallible) -> u32 {
        match field {}
    }

    fn is_dropped(_: &str) -> bool {
        false
    }

    fn read<'de, A: MapAccess<'de>>(
        _: &mut Extra,
        field: Infallible,
        _: &mut A,
        _: &mut IdCache,
    ) -> Result<(), A::Error> {
        match field {}
    }

    fn extra(slots: &mut Extra) -> &mut Extra {
        slots
    }

    fn finish<E: de::Error>(mut members: Extra) -> Result<Self, E> {
        members.keep_last();
        Ok(Self::from_members(members))
    }

    fn write<M: SerializeMap>(&self, map: &mut M, omit: Omit) -> Result<(), M::Error> {
        wire::write_extra::<Self, M>(map, &self.members, omit)
    }
}
