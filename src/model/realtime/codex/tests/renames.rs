//! The rename of the session's id: each payload in each direction, and the rows of section C.2 with
//! what is better in place of what was.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::model::realtime::OutputModality;
use crate::model::realtime::codex::*;

/// Tests of each payload: it is written with the new name, read by it, and refused by the old ones,
/// by itself and where it stands in others.
macro_rules! renamed_payloads {
    ($($payload:ident: $type:ty { $new:literal in $json:tt $(within $outer:ty: $place:expr),* })+) => {
        $(
            mod $payload {
                use super::*;

                fn json(name: &str) -> Value {
                    let mut json = json!($json);
                    json[name] = "rt_1".into();
                    json
                }

                #[test]
                fn is_written_with_the_new_name() {
                    let payload: $type = serde_json::from_value(json($new)).unwrap();
                    let written = serde_json::to_value(&payload).unwrap();
                    assert_eq!(written[$new], "rt_1");
                    for old in ["session_id", "sessionId"] {
                        assert_eq!(written.get(old), None);
                    }
                }

                #[test]
                fn is_read_by_the_new_name() {
                    let payload: $type = serde_json::from_value(json($new)).unwrap();
                    let id: Option<String> = payload.realtime_session_id.into();
                    assert_eq!(id.as_deref(), Some("rt_1"));
                    $(
                        let place: fn(Value) -> Value = $place;
                        serde_json::from_value::<$outer>(place(json($new))).unwrap();
                    )*
                }

                #[test]
                fn is_refused_by_the_old_names() {
                    for old in ["session_id", "sessionId"] {
                        refuses::<$type>(old, json(old), $new);
                        // Whether or not the new name is there too.
                        let mut both = json($new);
                        both[old] = Value::Null;
                        refuses::<$type>(old, both, $new);
                        $(
                            let place: fn(Value) -> Value = $place;
                            refuses::<$outer>(old, place(json(old)), $new);
                        )*
                    }
                }
            }
        )+
    };
}

renamed_payloads! {
    conversation_start_params: ConversationStartParams {
        "realtime_session_id" in {"output_modality": "text"}
        within RealtimeOp: |mut params| {
            params["type"] = "realtime_conversation_start".into();
            params
        }
    }
    realtime_conversation_started_event: RealtimeConversationStartedEvent {
        "realtime_session_id" in {"version": "v2"}
    }
    realtime_session_updated: RealtimeSessionUpdated {
        "realtime_session_id" in {"instructions": null}
        within RealtimeEvent: |event| json!({"SessionUpdated": event}),
        within RealtimeConversationRealtimeEvent: |event| json!({"payload": {"SessionUpdated": event}})
    }
    thread_realtime_start_params: ThreadRealtimeStartParams {
        "realtimeSessionId" in {"threadId": "t", "outputModality": "text"}
        within RealtimeRequest: |params| json!({"id": 1, "method": "thread/realtime/start", "params": params})
    }
    thread_realtime_started_notification: ThreadRealtimeStartedNotification {
        "realtimeSessionId" in {"threadId": "t", "version": "v2"}
        within RealtimeNotification: |params| json!({"method": "thread/realtime/started", "params": params})
    }
}

#[track_caller]
fn refuses<T: DeserializeOwned + std::fmt::Debug>(old: &str, json: Value, now: &str) {
    let text = json.to_string();
    let sentence = format!("`{old}` was renamed: say `{now}`");
    for error in [
        serde_json::from_str::<T>(&text).unwrap_err(),
        serde_json::from_value::<T>(json).unwrap_err(),
    ] {
        assert!(error.to_string().contains(&sentence), "{error}");
    }
}

// The rows of section C.2, with what is better in place of what was.

#[test]
fn thread_realtime_start_with_the_old_name_is_refused() {
    for old in ["sessionId", "session_id"] {
        let params = json!({"threadId": "t", "outputModality": "text", old: "rt_1"});
        refuses::<ThreadRealtimeStartParams>(old, params.clone(), "realtimeSessionId");
        // Inside the frame of JSON-RPC, whatever comes first in it.
        let request = json!({"id": 1, "method": "thread/realtime/start", "params": params});
        refuses::<RealtimeRequest>(old, request.clone(), "realtimeSessionId");
        let turned = format!(
            r#"{{"params":{},"method":"thread/realtime/start","id":1}}"#,
            request["params"]
        );
        let error = serde_json::from_str::<RealtimeRequest>(&turned).unwrap_err();
        assert!(error.to_string().contains("say `realtimeSessionId`"), "{error}");
    }
}

#[test]
fn thread_realtime_start_ignores_the_snake_case_of_the_new_name() {
    let params: ThreadRealtimeStartParams = serde_json::from_value(json!({
        "threadId": "t", "outputModality": "text", "realtime_session_id": "rt_1"
    }))
    .unwrap();
    assert_eq!(params, ThreadRealtimeStartParams::new("t", OutputModality::Text));
}

#[test]
fn realtime_conversation_started_event_with_the_old_name_is_refused() {
    for old in ["session_id", "sessionId"] {
        let event = json!({old: "rt_1", "version": "v2"});
        refuses::<RealtimeConversationStartedEvent>(old, event, "realtime_session_id");
    }
}

#[test]
fn realtime_event_session_updated_with_the_old_name_is_refused() {
    for old in ["session_id", "sessionId"] {
        let event = json!({"SessionUpdated": {old: "sess_1", "instructions": null}});
        refuses::<RealtimeEvent>(old, event, "realtime_session_id");
    }
    let error = serde_json::from_str::<RealtimeEvent>(r#"{"SessionUpdated":{}}"#).unwrap_err();
    assert!(error.to_string().contains("missing field `realtime_session_id`"), "{error}");
}

#[test]
fn conversation_start_params_with_the_old_name_are_refused() {
    for old in ["session_id", "sessionId"] {
        // Whether or not the new name is there too.
        let params = json!({"output_modality": "text", "realtime_session_id": "a", old: "b"});
        refuses::<ConversationStartParams>(old, params, "realtime_session_id");
        let op =
            json!({"type": "realtime_conversation_start", "output_modality": "text", old: null});
        refuses::<RealtimeOp>(old, op, "realtime_session_id");
    }
}

#[test]
fn thread_realtime_started_with_the_old_name_is_refused() {
    for old in ["session_id", "sessionId"] {
        let params = json!({"threadId": "t", "version": "v2", old: "rt_1"});
        refuses::<ThreadRealtimeStartedNotification>(old, params.clone(), "realtimeSessionId");
        let note = json!({"method": "thread/realtime/started", "params": params});
        refuses::<RealtimeNotification>(old, note, "realtimeSessionId");
    }
}

#[cfg(feature = "schema")]
#[test]
fn typescript_clients_have_the_new_names_and_not_the_old() {
    let files = schema::definitions().unwrap();
    let text = |path: &str| &files.iter().find(|file| file.path == path).unwrap().text;
    let start = text("typescript/ThreadRealtimeStartParams.ts");
    assert!(start.contains("realtimeSessionId?: string | null"), "{start}");
    assert!(start.contains("prompt?: string | null"), "{start}");
    let event = text("typescript/RealtimeSessionUpdated.ts");
    assert!(event.contains("realtime_session_id: string"), "{event}");
    for file in &files {
        for old in ["\"sessionId\"", "\"session_id\"", " sessionId", " session_id"] {
            assert!(!file.text.contains(old), "{}: {old}", file.path);
        }
    }
}
