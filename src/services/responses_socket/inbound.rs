//! What a message from the server is, as far as lanes care: its type, and the lane it belongs to.
//!
//! Nearly all messages are deltas, which the reader of the lane decodes anyway, so these are told by
//! their bytes. Others are few: a JSON parser looks at what is asked of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{self, Error, Stage};
use crate::model::{ApiError, ErrorBody};

/// What a message is.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// An event within a response.
    Event,
    /// `response.created`.
    Created,
    /// The end of a response whose place another one takes.
    Steered,
    /// The last event of a response.
    Terminal,
    /// `type: error`: the last event of its lane's response, whatever else it says.
    Error,
    /// The server's word on a `response.steer`.
    Steer(SteerWord),
}

/// What the server says of a `response.steer`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SteerWord {
    Accepted,
    Pending,
    Failed,
}

/// A message's type, and the name of its lane if it has one.
#[derive(Debug, PartialEq)]
pub(super) struct Head<'a> {
    pub(super) kind: Kind,
    pub(super) lane: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    /// Reads the head of a message.
    ///
    /// # Errors
    ///
    /// What is no JSON object with a `type`.
    pub(super) fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        match Self::of_delta(text) {
            Some(head) => Ok(head),
            None => Self::parse(text),
        }
    }

    /// The head of a delta in the form that servers write; `None` says nothing.
    #[inline]
    fn of_delta(text: &'a str) -> Option<Self> {
        const LANE: &str = "\"stream_id\"";
        let rest = text.strip_prefix("{\"type\":\"")?;
        let end = memchr::memchr(b'"', rest.as_bytes())?;
        let (kind, rest) = rest.split_at_checked(end)?;
        if !kind.ends_with(".delta") {
            return None;
        }
        // A quote within a string is escaped: found like this, it is a string of its own.
        let Some(at) = memchr::memmem::rfind(rest.as_bytes(), LANE.as_bytes()) else {
            return Some(Self { kind: Kind::Event, lane: None });
        };
        // As the last member it belongs to the event and not to something within it.
        let name = rest.get(at + LANE.len()..)?.strip_prefix(":\"")?.strip_suffix("\"}")?;
        let plain = !name.is_empty() && !name.bytes().any(|byte| matches!(byte, b'"' | b'\\'));
        let within = rest.get(..at)?.ends_with(',');
        (plain && within).then_some(Self { kind: Kind::Event, lane: Some(Cow::Borrowed(name)) })
    }

    fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            stream_id: Option<Cow<'a, str>>,
        }

        let members: Members<'a> = serde_json::from_str(text)?;
        let kind = match &*members.kind {
            "response.created" => Kind::Created,
            "response.completed" | "response.failed" => Kind::Terminal,
            "response.incomplete" if was_steered(text) => Kind::Steered,
            "response.incomplete" => Kind::Terminal,
            "error" => Kind::Error,
            "response.steer.accepted" => Kind::Steer(SteerWord::Accepted),
            "response.steer.pending" => Kind::Steer(SteerWord::Pending),
            "response.steer.failed" => Kind::Steer(SteerWord::Failed),
            _ => Kind::Event,
        };
        // No lane has an empty name: some say that there is none like this.
        Ok(Self { kind, lane: members.stream_id.filter(|name| !name.is_empty()) })
    }
}

/// The id of the response that `response.created` tells of.
pub(super) fn created_id(text: &str) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Members {
        response: Response,
    }
    #[derive(Deserialize)]
    struct Response {
        id: Box<str>,
    }

    serde_json::from_str(text).ok().map(|members: Members| members.response.id)
}

/// Whether a `response.incomplete` makes way for a response that takes up what it was steered to.
fn was_steered(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow)]
        response: Response<'a>,
    }
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        incomplete_details: Details<'a>,
    }
    #[derive(Deserialize)]
    struct Details<'a> {
        #[serde(borrow)]
        reason: Cow<'a, str>,
    }

    serde_json::from_str(text)
        .is_ok_and(|members: Members<'_>| members.response.incomplete_details.reason == "steered")
}

/// What a message of the type `error` means.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is too old for another response.
    Expired(Error),
    /// The response that was to be continued is not there.
    ChainLost(Error),
    /// A refusal, as over HTTP.
    Refused(Error),
    /// An event like any other: its reader knows it.
    Event,
}

impl Failure {
    /// Reads a message of the type `error`.
    pub(super) fn read(text: &str) -> Self {
        let said = ErrorBody::parse(text.as_bytes()).map(ErrorBody::into_error);
        let wrapper = Wrapper::read(text);
        match said.as_ref().and_then(ApiError::code) {
            Some("websocket_connection_limit_reached") => {
                Self::Expired(wrapper.into_error(text, said))
            }
            Some("previous_response_not_found") => Self::ChainLost(wrapper.into_error(text, said)),
            _ if wrapper.status.is_some() => Self::Refused(wrapper.into_error(text, said)),
            _ => Self::Event,
        }
    }
}

/// The most of a message that an error keeps, as of a refusal's body.
const KEPT: usize = 64 * 1024;

/// What stands around an error in a message: the head that it would have over HTTP.
#[derive(Default)]
struct Wrapper {
    /// Unless it is a success.
    status: Option<StatusCode>,
    headers: HeaderMap,
}

impl Wrapper {
    fn read(text: &str) -> Self {
        #[derive(Default, Deserialize)]
        struct Members<'a> {
            #[serde(borrow)]
            status: Option<&'a RawValue>,
            #[serde(borrow)]
            status_code: Option<&'a RawValue>,
            #[serde(borrow)]
            headers: Option<&'a RawValue>,
        }

        let members: Members<'_> = serde_json::from_str(text).unwrap_or_default();
        let status = |raw: Option<&RawValue>| {
            let number = serde_json::from_str(raw?.get()).ok()?;
            StatusCode::from_u16(number).ok().filter(|status| !status.is_success())
        };
        let headers = members.headers.map(|raw| headers(raw.get())).unwrap_or_default();
        Self { status: status(members.status).or_else(|| status(members.status_code)), headers }
    }

    /// The error of the whole message. With a status it is that of an HTTP answer.
    fn into_error(self, text: &str, said: Option<ApiError>) -> Error {
        match self.status {
            Some(status) => {
                let body = text.as_bytes();
                let kept = Bytes::copy_from_slice(body.get(..KEPT).unwrap_or(body));
                Error::from_response(status, &self.headers, kept)
            }
            None => {
                let said = said.unwrap_or_default();
                let error = error::in_stream(Some(&said), "error", None);
                error.with_stage(Stage::Sent).under_headers(&self.headers)
            }
        }
    }
}

/// A map of headers inside JSON: text, numbers and truth values; what is no header is left out, and
/// what is beyond the most that a head over HTTP may have.
fn headers(json: &str) -> HeaderMap {
    const MOST: usize = 100;

    let values: BTreeMap<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    let header = |(name, value): (String, Value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(text(value)?).ok()?))
    };
    values.into_iter().filter_map(header).take(MOST).collect()
}
