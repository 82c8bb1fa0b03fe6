//! From a script to what a WebSocket says: the same scripts as over HTTP, an event to a message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::play::{Beat, Beats};
use super::{Frame, Out, frame::Step};
use crate::testing::api_error::ApiError;
use crate::testing::events::Frames;
use crate::testing::json::{Json, object};
use crate::testing::script::{Content, Event, Script, Text};

/// The name of a lane, `None` for the one without a name.
pub(super) type LaneName = Option<Arc<str>>;

/// The API's events, whose deltas come at `pace`.
pub(super) fn natural(script: &Script, events: Frames, pace: Duration, lane: LaneName) -> Beats {
    let said = events.map(move |event| {
        let out = Out::Text(in_lane(event.data, &lane).compact());
        (event.is_delta, Beat { gate: event.gate, ..Beat::from(out) })
    });
    paced(script, pace, said)
}

/// Beats of which some are deltas: those come at `pace`.
pub(super) fn paced(
    script: &Script,
    pace: Duration,
    said: impl Iterator<Item = (bool, Beat)> + Send + 'static,
) -> Beats {
    let mut first = Some(script.first_delay);
    let beats = said.map(move |(is_delta, beat)| match is_delta {
        true => Beat { delay: pace.saturating_add(first.take().unwrap_or_default()), ..beat },
        false => beat,
    });
    shape(script, script.head_delay, beats)
}

/// What a script says by itself in answer to a turn; `None` if it is up to the API.
pub(super) fn scripted(script: &Script, lane: LaneName) -> Option<Beats> {
    Some(match &script.content {
        Content::Natural { .. } => return None,
        Content::Events(list) => events(script, list.clone(), lane),
        Content::Frames(list) => frames(script, list.clone()),
        Content::Pieces(list) => pieces(script, list, lane),
        Content::Error => error(script, lane),
        Content::NoHead => frames(script, Vec::new()),
        Content::RawTcp(bytes) => frames(script, vec![Frame::raw(bytes.clone())]),
    })
}

/// Events that a script names.
fn events(script: &Script, events: Vec<Event>, lane: LaneName) -> Beats {
    let beats = events.into_iter().map(move |event| {
        let out = match event.text {
            Text::Json(value) | Text::DataOnly(value) => Out::Text(match value {
                Value::Object(fields) => with_lane(fields, &lane).to_string(),
                other => other.to_string(),
            }),
            Text::Raw(bytes) => text_or_binary(bytes),
            Text::Comment(text) => Out::Ping(shorten(text)),
        };
        Beat { delay: event.delay, ..Beat::from(out) }
    });
    shape(script, script.head_delay.saturating_add(script.first_delay), beats)
}

/// Frames, which are said as they are.
pub(super) fn frames(script: &Script, frames: Vec<Frame>) -> Beats {
    let beats = frames.into_iter().map(|Frame { step, delay }| match step {
        Step::Send(out) => Beat { delay, ..Beat::from(out) },
        Step::WaitFor(messages) => Beat { delay, gate: None, messages, out: None },
    });
    shape(script, script.first_delay, beats)
}

/// The pieces of a body: the error of a status that is one, and else a message each.
fn pieces(script: &Script, pieces: &[Bytes], lane: LaneName) -> Beats {
    let status = script.status.unwrap_or(StatusCode::OK);
    let outs = if status.is_client_error() || status.is_server_error() {
        vec![Out::Text(wrapped(status, &pieces.concat(), &script.headers, &lane))]
    } else {
        pieces.iter().cloned().map(text_or_binary).collect()
    };
    shape(
        script,
        script.head_delay.saturating_add(script.first_delay),
        outs.into_iter().map(Beat::from),
    )
}

/// The error that the API has for the status of `script`.
fn error(script: &Script, lane: LaneName) -> Beats {
    let status = script.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = ApiError::of_status(status).body().compact();
    let out = Out::Text(wrapped(status, body.as_bytes(), &script.headers, &lane));
    shape(script, script.head_delay, std::iter::once(Beat::from(out)))
}

/// A refusal of the API's.
pub(super) fn refusal(error: &ApiError, lane: &LaneName) -> String {
    wrapped(error.status, error.body().compact().as_bytes(), &HeaderMap::new(), lane)
}

/// An error body as an error event, with what else belongs to an answer.
fn wrapped(status: StatusCode, body: &[u8], headers: &HeaderMap, lane: &LaneName) -> String {
    let error = match serde_json::from_slice(body) {
        Ok(Value::Object(mut fields)) => fields.remove("error").unwrap_or(Value::Object(fields)),
        _ => serde_json::json!({ "message": String::from_utf8_lossy(body) }),
    };
    let mut event = object! { "type": "error", "status": status.as_u16(), "error": error };
    if let (Json::Object(fields), false) = (&mut event, headers.is_empty()) {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        fields.push(("headers", Value::Object(headers.collect()).into()));
    }
    in_lane(event, lane).compact()
}

/// Events of a lane that has a name say it.
pub(super) fn in_lane(mut event: Json, lane: &LaneName) -> Json {
    if let (Json::Object(fields), Some(lane)) = (&mut event, lane) {
        fields.push(("stream_id", (&**lane).into()));
    }
    event
}

fn with_lane(mut fields: Map<String, Value>, lane: &LaneName) -> Value {
    if let Some(lane) = lane {
        fields.entry("stream_id").or_insert_with(|| (&**lane).into());
    }
    Value::Object(fields)
}

fn text_or_binary(bytes: Bytes) -> Out {
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) => Out::Text(text),
        Err(_) => Out::Binary(bytes),
    }
}

/// So much of a text as a ping can hold.
fn shorten(text: String) -> Bytes {
    const MAX: usize = 125;
    let mut bytes = Bytes::from(text);
    bytes.truncate(MAX);
    bytes
}

/// Everything a script does to what is said: comments are pings here, and chunks are fragments.
fn shape(
    script: &Script,
    first: Duration,
    beats: impl Iterator<Item = Beat> + Send + 'static,
) -> Beats {
    let (malformed, between, pings) = (script.malformed, script.delay, script.comments);
    let sizes: Arc<[usize]> = script.chunk_sizes.as_slice().into();
    let beats = beats.take(script.cut_after.unwrap_or(usize::MAX)).enumerate();
    Box::new(beats.flat_map(move |(number, mut beat)| {
        let wait = if number == 0 { first } else { between };
        beat.delay = beat.delay.saturating_add(wait);
        if let Some(Out::Text(text)) = &mut beat.out {
            if malformed == Some(number) {
                halve(text);
            }
            if !sizes.is_empty() {
                beat.out = Some(Out::Fragments(std::mem::take(text), Arc::clone(&sizes)));
            }
        }
        let ping = pings.then(|| Beat::from(Out::Ping(Bytes::from_static(b"keep-alive"))));
        ping.into_iter().chain([beat])
    }))
}

/// Takes the second half of a JSON away.
fn halve(text: &mut String) {
    let mut end = text.len() / 2;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(beats: Beats) -> Vec<Out> {
        beats.filter_map(|beat| beat.out).collect()
    }

    #[test]
    fn a_status_is_an_error_event_with_its_headers() {
        let script = Script::status(429).header("retry-after", "2");
        let [Out::Text(text)] = &said(error(&script, Some("a".into())))[..] else { panic!("one") };
        assert!(text.starts_with(r#"{"type":"error","status":429,"error":{"#), "{text}");
        let event: Value = serde_json::from_str(text).unwrap();
        assert_eq!(event["error"]["code"], "rate_limit_exceeded");
        assert_eq!(event["headers"], json!({ "retry-after": "2" }));
        assert_eq!(event["stream_id"], "a");
    }

    #[test]
    fn what_shapes_an_http_body_shapes_messages() {
        let script = Script::events([json!({"type": "a"}), json!({"type": "b"}), json!({})]);
        let shaped = |script: Script| {
            said(events(&script, vec![json!({"type": "aé"}).into(), json!({"t": 1}).into()], None))
        };
        let text = |text: &str| Out::Text(text.into());
        assert_eq!(shaped(script.clone()), [text(r#"{"type":"aé"}"#), text(r#"{"t":1}"#)]);
        assert_eq!(shaped(script.clone().cut_after(1)), [text(r#"{"type":"aé"}"#)]);
        assert_eq!(shaped(script.clone().malformed(1))[1], text(r#"{"t"#));
        let ping = Out::Ping(Bytes::from("keep-alive"));
        assert_eq!(shaped(script.clone().comments())[2], ping);
        let fragments = Out::Fragments(r#"{"t":1}"#.into(), [3].into());
        assert_eq!(shaped(script.chunk_size(3))[1], fragments);
    }
}
