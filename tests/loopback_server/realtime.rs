//! The Realtime WebSocket, driven by a client that is not this crate's.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tower_openai::testing::{Outcome, Script, Server};

use crate::support::*;

/// A session and its `session.created`.
async fn session(server: &Server) -> (Socket, Value) {
    let mut socket = open(server, "realtime?model=gpt-realtime").await;
    let created = hear(&mut socket).await;
    assert_eq!(created["type"], "session.created");
    (socket, created["session"].clone())
}

async fn update(socket: &mut Socket, mut session: Value) -> Value {
    session["type"] = "realtime".into();
    say(socket, json!({"type": "session.update", "session": session})).await;
    let updated = hear(socket).await;
    assert_eq!(updated["type"], "session.updated", "{updated}");
    updated["session"].clone()
}

/// `param` and `code` of the error that `event` gets.
async fn refusal(socket: &mut Socket, mut event: Value) -> (String, String) {
    event["event_id"] = "event-of-mine".into();
    say(socket, event).await;
    let event = hear(socket).await;
    assert_eq!(
        (&event["type"], &event["error"]["event_id"]),
        (&json!("error"), &json!("event-of-mine")),
        "{event}"
    );
    assert!(event["event_id"].is_string() && event["error"]["message"].is_string(), "{event}");
    let text = |key: &str| event["error"][key].as_str().unwrap_or_default().to_owned();
    (text("param"), text("code"))
}

fn message(text: &str) -> Value {
    json!({"type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}})
}

/// Audio of so many milliseconds, as PCM in Base64.
fn audio(ms: usize, sample: i16) -> Value {
    let bytes: Vec<u8> = std::iter::repeat_n(sample.to_le_bytes(), ms * 24).flatten().collect();
    json!({"type": "input_audio_buffer.append", "audio": STANDARD.encode(bytes)})
}

/// Asks for a response, and its events.
async fn respond(socket: &mut Socket, response: Value) -> Vec<Value> {
    say(socket, json!({"type": "response.create", "response": response})).await;
    hear_until(socket, &["response.done", "error"]).await
}

fn last(events: &[Value]) -> &Value {
    &events[events.len() - 1]
}

#[tokio::test]
async fn a_text_turn_has_the_full_sequence() {
    let server = Server::start().await.unwrap();
    let (mut socket, created) = session(&server).await;
    assert_eq!((&created["model"], &created["type"]), (&json!("gpt-realtime"), &json!("realtime")));
    let session = update(&mut socket, json!({"output_modalities": ["text"]})).await;
    assert_eq!(session["output_modalities"], json!(["text"]));
    assert_eq!(session["audio"], created["audio"], "what is absent stays");

    say(&mut socket, message("hello there")).await;
    let added = hear_until(&mut socket, &["conversation.item.done"]).await;
    assert_eq!(types(&added), ["conversation.item.added", "conversation.item.done"]);
    let item = &added[0]["item"]["id"];
    assert_eq!(added[0]["previous_item_id"], Value::Null);
    let events = respond(&mut socket, json!({})).await;
    assert_eq!(
        types(&events),
        [
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
    );
    assert_eq!(events[3]["previous_item_id"], *item);
    let ids: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len());
    let said: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert!(said.contains("hello there"), "{said}");
    let response = &last(&events)["response"];
    assert_eq!(
        (&response["status"], &response["output"][0]["content"][0]["text"]),
        (&json!("completed"), &json!(said))
    );
}

#[tokio::test]
async fn speech_makes_a_turn_and_is_answered_aloud() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    let input = json!({"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}});
    update(&mut socket, json!({"audio": input})).await;
    for chunk in [audio(100, 0), audio(300, 9000), audio(490, 3), audio(30, 0)] {
        say(&mut socket, chunk).await;
    }
    let events = hear_until(&mut socket, &["response.done"]).await;
    assert_eq!(
        types(&events)[..9],
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
            "response.created",
            "rate_limits.updated",
        ]
    );
    assert_eq!(events[1]["audio_end_ms"], 900);
    assert_eq!(events[0]["item_id"], events[3]["item"]["id"]);
    let deltas = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert!(deltas("response.output_audio.delta") > 3);
    assert_eq!(
        deltas("response.output_audio.delta"),
        deltas("response.output_audio_transcript.delta")
    );
    let chunk = events.iter().find(|event| event["type"] == "response.output_audio.delta").unwrap();
    let chunk = STANDARD.decode(chunk["delta"].as_str().unwrap()).unwrap();
    assert_eq!(chunk.len(), 40 * 48);
    let update = json!({"type": "session.update", "session": {"type": "realtime",
        "audio": {"output": {"voice": "ash"}}}});
    assert_eq!(refusal(&mut socket, update).await.1, "cannot_update_voice");
}

#[tokio::test]
async fn audio_is_committed_by_hand_where_nobody_listens_for_turns() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    update(&mut socket, json!({"audio": {"input": {"turn_detection": null}}})).await;
    say(&mut socket, audio(90, 9000)).await;
    let commit = json!({"type": "input_audio_buffer.commit"});
    assert_eq!(refusal(&mut socket, commit.clone()).await.1, "input_audio_buffer_commit_empty");
    say(&mut socket, audio(20, 9000)).await;
    say(&mut socket, commit.clone()).await;
    let events = hear_until(&mut socket, &["conversation.item.done"]).await;
    assert_eq!(events[0]["type"], "input_audio_buffer.committed");
    assert_eq!(refusal(&mut socket, commit).await.1, "input_audio_buffer_commit_empty");
    let broken = json!({"type": "input_audio_buffer.append", "audio": "!"});
    assert_eq!(refusal(&mut socket, broken).await, ("audio".into(), "invalid_value".into()));
    say(&mut socket, json!({"type": "input_audio_buffer.clear"})).await;
    assert_eq!(hear(&mut socket).await["type"], "input_audio_buffer.cleared");
}

#[tokio::test]
async fn speech_begins_with_the_session_at_the_earliest() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    let detection = json!({"type": "server_vad", "prefix_padding_ms": u64::MAX,
        "silence_duration_ms": u64::MAX});
    update(&mut socket, json!({"audio": {"input": {"turn_detection": detection}}})).await;
    say(&mut socket, audio(40, 20_000)).await;
    let started = hear(&mut socket).await;
    assert_eq!(started["type"], "input_audio_buffer.speech_started", "{started}");
    assert_eq!(started["audio_start_ms"], 0);
    say(&mut socket, audio(1_000, 0)).await;
    say(&mut socket, message("still silent")).await;
    assert_eq!(hear(&mut socket).await["type"], "conversation.item.added");
    server.shutdown().await;
}

#[tokio::test]
async fn functions_are_called_and_their_outputs_taken() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    let tools = json!([{"type": "function", "name": "get_time", "parameters": {}}]);
    update(&mut socket, json!({"output_modalities": ["text"], "tools": tools})).await;
    say(&mut socket, message("get_time")).await;
    hear_until(&mut socket, &["conversation.item.done"]).await;
    let events = respond(&mut socket, json!({})).await;
    let call = &last(&events)["response"]["output"][0];
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_time")));
    let done =
        events.iter().find(|e| e["type"] == "response.function_call_arguments.done").unwrap();
    assert_eq!((&done["call_id"], &done["arguments"]), (&call["call_id"], &json!("{}")));
    let output = |call_id: &Value| {
        json!({"type": "conversation.item.create", "item": {
            "type": "function_call_output", "call_id": call_id, "output": "noon"}})
    };
    let unknown = refusal(&mut socket, output(&json!("call_unknown"))).await;
    assert_eq!(unknown, ("item.call_id".into(), "invalid_tool_call_id".into()));
    say(&mut socket, output(&call["call_id"])).await;
    hear_until(&mut socket, &["conversation.item.done"]).await;
    assert!(last(&respond(&mut socket, json!({})).await).to_string().contains("noon"));
}

#[tokio::test]
async fn one_response_at_a_time_and_it_can_be_cancelled() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    let cancel = || json!({"type": "response.cancel"});
    assert_eq!(refusal(&mut socket, cancel()).await.1, "response_cancel_not_active");
    server.enqueue(Script::natural().cut_after(6).then_stall());
    say(&mut socket, json!({"type": "response.create"})).await;
    let events = hear_until(&mut socket, &["response.output_audio_transcript.delta"]).await;
    let again = refusal(&mut socket, json!({"type": "response.create"})).await;
    assert_eq!(again.1, "conversation_already_has_active_response");
    let aside = json!({"conversation": "none", "output_modalities": ["text"]});
    let beside = respond(&mut socket, aside).await;
    assert_eq!(last(&beside)["response"]["conversation_id"], Value::Null);
    say(&mut socket, cancel()).await;
    let end = hear_until(&mut socket, &["response.done"]).await;
    let response = &last(&end)["response"];
    assert_eq!(
        (&response["id"], &response["status"]),
        (&events[0]["response"]["id"], &json!("cancelled"))
    );
    assert_eq!(response["status_details"]["reason"], "client_cancelled");
    assert_eq!(response["output"][0]["status"], "incomplete");
    let item_id = &response["output"][0]["id"];
    say(
        &mut socket,
        json!({"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0,
            "audio_end_ms": 40}),
    )
    .await;
    assert_eq!(hear(&mut socket).await["type"], "conversation.item.truncated");

    server.enqueue(Script::natural().cut_after(6).then_stall());
    say(&mut socket, json!({"type": "response.create"})).await;
    hear_until(&mut socket, &["response.output_audio_transcript.delta"]).await;
    say(&mut socket, audio(100, 9000)).await;
    let end = hear_until(&mut socket, &["response.done"]).await;
    assert_eq!(last(&end)["response"]["status_details"]["reason"], "turn_detected");
}

#[tokio::test]
async fn items_are_found_deleted_and_refused() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    let mut create = message("one");
    create["item"]["id"] = "item_1".into();
    say(&mut socket, create.clone()).await;
    hear_until(&mut socket, &["conversation.item.done"]).await;
    let duplicate = refusal(&mut socket, create).await;
    assert_eq!(duplicate, ("item.id".into(), "item_create_duplicate_item_id".into()));
    let mut first = message("zero");
    first["previous_item_id"] = "root".into();
    say(&mut socket, first).await;
    let added = hear_until(&mut socket, &["conversation.item.done"]).await;
    assert_eq!(added[0]["previous_item_id"], Value::Null);

    let on = |verb: &str, id: &str| {
        json!({"type": format!("conversation.item.{verb}"), "item_id": id, "content_index": 0,
            "audio_end_ms": 0})
    };
    say(&mut socket, on("retrieve", "item_1")).await;
    assert_eq!(hear(&mut socket).await["item"]["content"][0]["text"], "one");
    assert_eq!(refusal(&mut socket, on("truncate", "item_1")).await.1, "invalid_value");
    say(&mut socket, on("delete", "item_1")).await;
    assert_eq!(hear(&mut socket).await["type"], "conversation.item.deleted");
    for verb in ["retrieve", "delete", "truncate"] {
        let code = format!("item_{verb}_invalid_item_id");
        assert_eq!(refusal(&mut socket, on(verb, "item_1")).await.1, code);
    }
    let mut beta = message("x");
    beta["item"]["content"][0]["type"] = "text".into();
    assert_eq!(refusal(&mut socket, beta).await.0, "item.content[0].type");
    let mut nowhere = message("x");
    nowhere["previous_item_id"] = "item_1".into();
    assert_eq!(refusal(&mut socket, nowhere).await.0, "previous_item_id");
}

#[tokio::test]
async fn errors_are_told_and_the_session_goes_on() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    socket.send(Message::text("{")).await.unwrap();
    let event = hear(&mut socket).await;
    assert_eq!((&event["type"], &event["error"]["event_id"]), (&json!("error"), &Value::Null));
    let invalid = ("type".into(), "invalid_value".into());
    assert_eq!(refusal(&mut socket, json!({"type": "response.stop"})).await, invalid);
    assert_eq!(refusal(&mut socket, json!({})).await.1, "missing_required_parameter");
    let beta = json!({"type": "session.update", "session": {"modalities": ["text"]}});
    assert_eq!(refusal(&mut socket, beta).await.0, "session.type");
    let long = json!({"type": "response.cancel", "event_id": "x".repeat(513)});
    say(&mut socket, long).await;
    assert_eq!(hear(&mut socket).await["error"]["param"], "event_id");
    update(&mut socket, json!({"instructions": ""})).await;
}

#[tokio::test]
async fn a_transcription_session_answers_nothing() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "realtime?intent=transcription").await;
    assert_eq!(hear(&mut socket).await["session"]["type"], "transcription");
    let input = json!({"transcription": {"model": "gpt-4o-transcribe"}});
    let session = json!({"type": "transcription", "audio": {"input": input}});
    say(&mut socket, json!({"type": "session.update", "session": session})).await;
    assert_eq!(hear(&mut socket).await["type"], "session.updated");
    for chunk in [audio(200, 9000), audio(600, 0)] {
        say(&mut socket, chunk).await;
    }
    let last_kind = "conversation.item.input_audio_transcription.completed";
    let events = hear_until(&mut socket, &[last_kind]).await;
    assert_eq!(last(&events)["usage"]["type"], "duration");
    let refused = refusal(&mut socket, json!({"type": "response.create"})).await;
    assert_eq!(refused.1, "invalid_value");
}

#[tokio::test]
async fn the_beta_and_a_session_without_a_model_are_closed_with_4000() {
    let server = Server::start().await.unwrap();
    let mut request = handshake(&server, "realtime?model=m");
    request.headers_mut().insert("openai-beta", "realtime=v1".parse().unwrap());
    let (mut socket, _) = knock(&server, request).await.unwrap();
    assert_eq!(hear(&mut socket).await["error"]["code"], "beta_api_shape_disabled");
    let reason = "invalid_request_error.beta_api_shape_disabled";
    assert_eq!(hear_close(&mut socket).await, Some((4000, reason.into())));
    let mut socket = open(&server, "realtime").await;
    assert_eq!(hear(&mut socket).await["error"]["code"], "missing_model");
    assert_eq!(hear_close(&mut socket).await.unwrap().0, 4000);
}

#[tokio::test]
async fn a_call_is_attached_to_by_its_id() {
    let server = Server::start().await.unwrap();
    let session = json!({"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."});
    let offer = json!({"sdp": "v=0\r\nm=audio 9\r\n", "session": session});
    let made = ask(&server, "POST", "realtime/calls", Some(offer)).await;
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    let id = location.rsplit('/').next().unwrap();
    let mut socket = open(&server, &format!("realtime?call_id={id}")).await;
    let created = hear(&mut socket).await;
    assert_eq!(created["session"]["instructions"], "Be brief.");
    let unknown = knock(&server, handshake(&server, "realtime?call_id=rtc_x")).await.unwrap_err();
    assert_eq!(unknown.status(), 404);
    let body = String::from_utf8(unknown.into_body().unwrap_or_default()).unwrap();
    assert!(body.is_empty() || body.contains("call_id_not_found"), "{body}");
}

#[tokio::test]
async fn the_first_version_of_codex_s_sessions_is_spoken() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "realtime?intent=quicksilver&model=m").await;
    hear(&mut socket).await;
    let format = json!({"type": "audio/pcm", "rate": 24000});
    let session = json!({"type": "quicksilver", "instructions": "I",
        "audio": {"input": {"format": format}, "output": {"voice": "cove"}}});
    say(&mut socket, json!({"type": "session.update", "session": session})).await;
    let updated = hear(&mut socket).await;
    assert_eq!(updated["session"]["audio"]["output"]["voice"], "cove", "{updated}");
    let events = respond(&mut socket, json!({})).await;
    let audio = events.iter().find(|e| e["type"] == "conversation.output_audio.delta").unwrap();
    assert_eq!((&audio["sample_rate"], &audio["channels"]), (&json!(24000), &json!(1)));
    let handoff = json!({"type": "conversation.handoff.append", "handoff_id": "h",
        "output_text": "done"});
    say(&mut socket, handoff).await;
    let incomplete = json!({"type": "conversation.handoff.append", "handoff_id": "h"});
    assert_eq!(refusal(&mut socket, incomplete).await.0, "output_text");
}

#[tokio::test]
async fn scripts_say_how_a_response_goes() {
    let server = Server::start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    server.enqueue(Script::natural().failed("server_error", "no"));
    server.enqueue(Script::natural().incomplete("max_output_tokens"));
    server.enqueue(Script::natural().error_event("rate_limit_exceeded", "slow down"));
    let status = |events: &[Value]| last(events)["response"]["status"].clone();
    assert_eq!(status(&respond(&mut socket, json!({})).await), "failed");
    let events = respond(&mut socket, json!({})).await;
    assert_eq!(last(&events)["response"]["status_details"]["reason"], "max_output_tokens");
    let events = respond(&mut socket, json!({})).await;
    assert_eq!(last(&events)["error"]["code"], "rate_limit_exceeded");
    assert_eq!(status(&hear_until(&mut socket, &["response.done"]).await), "failed");

    server.enqueue(Script::natural().cut_after(4).then_truncate());
    say(&mut socket, json!({"type": "response.create"})).await;
    assert_eq!(hear_close(&mut socket).await, None);
    let seen = server.requests().pop().unwrap();
    assert_eq!(soon(seen.closed()).await, Outcome::BrokenOff);
}

#[tokio::test]
async fn an_old_session_expires() {
    let age = Duration::from_millis(1);
    let server = Server::builder().socket_age(age).start().await.unwrap();
    let (mut socket, _) = session(&server).await;
    assert_eq!(hear(&mut socket).await["error"]["code"], "session_expired");
    assert_eq!(hear_close(&mut socket).await.unwrap().0, 1001);
}

#[tokio::test]
async fn browsers_are_answered_in_their_protocol() {
    let server = Server::start().await.unwrap();
    let mut request = handshake(&server, "realtime?model=m");
    let offered = "realtime, openai-insecure-api-key.sk-1";
    request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
    let (_, response) = knock(&server, request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");
}
