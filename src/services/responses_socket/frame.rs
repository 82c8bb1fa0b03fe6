//! What is sent: `response.create` and `response.steer`, each encoded once.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::name::LaneName;
use crate::Error;
use crate::model::wire::{Omit, WireStruct};
use crate::model::{Input, ItemIds, RawObject, ResponseItem, ResponsesApiRequest};
use crate::services::options::ResponsesOptions;
use crate::services::request::Payload;
use crate::ws::Text;

/// A typed request as a socket takes it.
struct Create<'a> {
    request: &'a ResponsesApiRequest,
    item_ids: ItemIds,
    lane: Option<&'a LaneName>,
}

impl Serialize for Create<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = begin(serializer, "response.create", self.lane)?;
        let item_ids = self.item_ids.filter(self.request.store);
        self.request.write(&mut map, Omit { item_ids, socket: true, ..Omit::default() })?;
        map.end()
    }
}

/// The same of a caller's own JSON.
struct CreateRaw<'a> {
    request: &'a RawObject,
    lane: Option<&'a LaneName>,
}

impl Serialize for CreateRaw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = begin(serializer, "response.create", self.lane)?;
        let omit = Omit { socket: true, ..Omit::default() };
        for (name, value) in self.request.iter().filter(|(name, _)| !omit.has(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn begin<S: Serializer>(
    serializer: S,
    kind: &str,
    lane: Option<&LaneName>,
) -> Result<S::SerializeMap, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("type", kind)?;
    if let Some(lane) = lane {
        map.serialize_entry("stream_id", lane.as_str())?;
    }
    Ok(map)
}

/// The frame of a typed request.
pub(super) fn create(
    request: &ResponsesApiRequest,
    item_ids: ItemIds,
    lane: Option<&LaneName>,
) -> Result<Text, Error> {
    encode(&Create { request, item_ids, lane })
}

/// The frame of a caller's own JSON.
pub(super) fn create_raw(request: &RawObject, lane: Option<&LaneName>) -> Result<Text, Error> {
    encode(&CreateRaw { request, lane })
}

/// The frame that steers a response.
pub(super) fn steer(
    previous_response_id: &str,
    input: Input,
    lane: Option<&LaneName>,
) -> Result<Text, Error> {
    struct Steer<'a> {
        previous_response_id: &'a str,
        input: &'a [ResponseItem],
        lane: Option<&'a LaneName>,
    }

    impl Serialize for Steer<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = begin(serializer, "response.steer", self.lane)?;
            map.serialize_entry("previous_response_id", self.previous_response_id)?;
            map.serialize_entry("input", self.input)?;
            map.end()
        }
    }

    let input: Vec<ResponseItem> = input.into();
    encode(&Steer { previous_response_id, input: &input, lane })
}

fn encode(frame: &impl Serialize) -> Result<Text, Error> {
    match serde_json::to_string(frame) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(does_not_serialise(error)),
    }
}

pub(super) fn does_not_serialise(error: serde_json::Error) -> Error {
    Error::build("the request does not serialise").with_source(error)
}

/// What a request must not say on a socket.
pub(super) fn check_background(payload: &Payload) -> Result<(), Error> {
    let background = match payload {
        Payload::Typed(request) => request.background,
        Payload::Json(object) => object.get("background").and_then(|raw| raw.parse().ok()),
    };
    if background == Some(true) {
        return Err(Error::build(
            "a socket takes no request with `background`: send it over HTTP, or leave it out",
        ));
    }
    Ok(())
}

/// What of these headers a trace is carried on by, as members of `client_metadata`.
pub(super) fn trace_context(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    TRACE
        .into_iter()
        .filter_map(|name| Some((prefixed(name), headers.get(name)?.to_str().ok()?.to_owned())))
}

/// What over HTTP would be headers of the request, as members of `client_metadata`: a socket has
/// headers only once, in its handshake.
///
/// # Errors
///
/// A header that has no such member.
pub(super) fn metadata(
    options: &ResponsesOptions,
    stamped: bool,
) -> Result<BTreeMap<String, String>, Error> {
    let mut members = BTreeMap::new();
    if let Some(label) = options.session_source.subagent() {
        members.insert(SUBAGENT.to_owned(), label.to_owned());
    }
    for (name, value) in texts(&options.extra_headers)? {
        members.insert(member(name)?, value.to_owned());
    }
    if stamped {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        members.insert("x-codex-ws-stream-request-start-ms".into(), now.as_millis().to_string());
    }
    Ok(members)
}

const SUBAGENT: &str = "x-openai-subagent";

/// Headers that are members under their own names.
const AS_THEY_ARE: [&str; 5] = [
    "x-codex-installation-id",
    "x-codex-window-id",
    "x-codex-parent-thread-id",
    "x-codex-turn-metadata",
    SUBAGENT,
];

/// Headers that are members under longer names.
const PREFIXED: [&str; 3] = [TRACE[0], TRACE[1], "x-openai-internal-codex-responses-lite"];

/// W3C's trace context.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

fn prefixed(header: &str) -> String {
    format!("ws_request_header_{}", header.replace('-', "_"))
}

fn member(header: &HeaderName) -> Result<String, Error> {
    let header = header.as_str();
    if AS_THEY_ARE.contains(&header) {
        return Ok(header.to_owned());
    }
    if PREFIXED.contains(&header) {
        return Ok(prefixed(header));
    }
    Err(Error::build(format!(
        "the header `{header}` cannot go with one request of a socket: give it to the handshake \
         (`ResponsesSocketRequest::header`), or send the request over HTTP"
    )))
}

fn texts(headers: &HeaderMap) -> Result<Vec<(&HeaderName, &str)>, Error> {
    headers
        .iter()
        .map(|(name, value)| match value.to_str() {
            Ok(text) => Ok((name, text)),
            Err(error) => Err(Error::build(format!(
                "the header `{name}` cannot go with one request of a socket: it is no text"
            ))
            .with_source(error)),
        })
        .collect()
}
