//! Events of servers that mean no good, or know no better: each is read or refused, and nothing else.

use serde_json::{Value, json};

use crate::model::realtime::codex::{Interpreter, RealtimeConversationVersion, Transcript};
use crate::model::realtime::{BargeIn, ClientEvent, OneResponse, ServerEvent, translation};

/// The types of events, as the source has them.
fn kinds() -> Vec<&'static str> {
    let names = include_str!("../server.rs").split('"').skip(1).step_by(2);
    let kinds: Vec<_> = names.filter(|name| *name == "error" || name.contains('.')).collect();
    assert!(kinds.len() >= 60 && kinds.contains(&"response.audio.delta"), "{kinds:?}");
    kinds
}

/// Every member that an event has, by one name.
const MEMBERS: &[&str] = &[
    "event_id",
    "session",
    "item",
    "item_id",
    "previous_item_id",
    "conversation",
    "content_index",
    "output_index",
    "audio_end_ms",
    "audio_start_ms",
    "delta",
    "logprobs",
    "transcript",
    "usage",
    "languages",
    "id",
    "text",
    "speaker",
    "start",
    "end",
    "error",
    "event",
    "received_at",
    "response_id",
    "response",
    "part",
    "call_id",
    "name",
    "arguments",
    "obfuscation",
    "rate_limits",
    "sample_rate",
    "channels",
    "data",
    "samples_per_channel",
    "handoff_id",
    "input_transcript",
    "message",
    "code",
    "status",
    "sequence_number",
];

fn values() -> Vec<Value> {
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0.5),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!([]),
        json!([null]),
        json!([[]]),
        json!({}),
        json!({"type": null}),
        json!({"type": "message"}),
        json!({"type": "message", "role": "user", "content": null, "id": 7}),
        json!({"type": "message", "role": "hum", "content": [{"type": "text", "text": null}]}),
        json!({"type": "function_call", "name": "background_agent", "arguments": "[1]", "id": "i"}),
        json!({"id": null, "output": [{}], "status_details": 7, "usage": {"total_tokens": -1}}),
        json!({"audio": {"input": {"turn_detection": {}}}, "tools": [{}], "voice": null}),
    ];
    odd.to_vec()
}

/// Reads it, and if it can be read does all that is done with events.
fn reads(text: &str) -> bool {
    let _ = serde_json::from_str::<ClientEvent>(text);
    let _ = serde_json::from_str::<translation::ServerEvent>(text);
    let Ok(event) = serde_json::from_str::<ServerEvent>(text) else { return false };
    let written = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<ServerEvent>(&written).unwrap(), event, "{text}");
    let _ = format!("{event:?}");
    for version in [RealtimeConversationVersion::V1, RealtimeConversationVersion::V2] {
        let mut interpreter = Interpreter::new(version).transcript_of(Transcript::with_limit(0));
        let _ = interpreter.read(&event);
    }
    let mut barge_in = BargeIn::new();
    let _ =
        (barge_in.observe(&event), barge_in.observe(&event), OneResponse::new().observe(&event));
    true
}

/// What an event may have to have.
fn plausible() -> serde_json::Map<String, Value> {
    let event = json!({
        "session": {"id": "s"}, "item": {"type": "hum", "id": "i"}, "conversation": {}, "item_id": "i",
        "delta": "x", "transcript": "x", "text": "x", "error": {}, "event": "9", "part": {"type": "hum"},
        "arguments": "{}", "handoff_id": "h", "input_transcript": "x", "sample_rate": 1, "channels": 1,
        "response": {"id": "r"}, "response_id": "r", "rate_limits": [],
    });
    event.as_object().unwrap().clone()
}

#[test]
fn members_of_any_kind() {
    let (mut read, mut refused) = (0, 0);
    let mut count =
        |event: serde_json::Map<String, Value>| match reads(&Value::Object(event).to_string()) {
            true => read += 1,
            false => refused += 1,
        };
    for (n, kind) in kinds().into_iter().enumerate() {
        // Each member meets each value, though not in each event.
        for value in values().into_iter().skip(n % 3).step_by(3) {
            let mut event: serde_json::Map<_, _> =
                MEMBERS.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
            event.insert("type".into(), kind.into());
            count(event);
            for member in plausible().keys() {
                let mut event = plausible();
                event.insert(member.clone(), value.clone());
                event.insert("type".into(), kind.into());
                count(event);
            }
        }
    }
    assert!(read > 500 && refused > 500, "{read} {refused}");
}

#[test]
fn numbers_that_no_type_holds() {
    for number in ["1e999", "-1e999", "18446744073709551616", "-0", "1e-400", "0.1e1", "4294967296"]
    {
        for text in [
            r#"{"type":"input_audio_buffer.speech_started","audio_start_ms":N,"item_id":"i"}"#,
            r#"{"type":"response.output_audio.delta","delta":"AAAA","sample_rate":N,"channels":N,"samples_per_channel":N}"#,
            r#"{"type":"response.done","response":{"usage":{"total_tokens":N,"input_token_details":{"text_tokens":N}}}}"#,
            r#"{"type":"rate_limits.updated","rate_limits":[{"limit":N,"reset_seconds":N}]}"#,
            r#"{"type":"session.updated","session":{"id":"s","expires_at":N,"max_output_tokens":N,"audio":{"output":{"speed":N}}}}"#,
            r#"{"type":"error","error":{"code":N,"message":N,"status":N},"status":N}"#,
            r#"{"type":"session.hummed","n":N}"#,
        ] {
            assert!(reads(&text.replace('N', number)), "{number} {text}");
        }
    }
}

#[test]
fn members_that_come_twice() {
    let event: ServerEvent = serde_json::from_str(
        r#"{"type":"response.output_text.delta","delta":"a","item_id":"i","delta":"b","type":"error"}"#,
    )
    .unwrap();
    assert_eq!(event.output_text_delta(), Some("b"));
    let text = r#"{"type":"conversation.output_audio.delta","data":"AA","delta":"BB","data":"CC","sample_rate":1,"num_channels":1,"channels":2}"#;
    assert!(reads(text));
}

#[test]
fn nesting_without_an_end() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for text in [
        r#"{"type":"session.hummed","x":D}"#,
        r#"{"x":D,"type":"session.hummed"}"#,
        r#"{"type":"response.done","response":{"metadata":D}}"#,
        r#"{"type":"response.done","response":{"output":D}}"#,
        r#"{"type":"session.created","session":{"tools":D,"prompt":D}}"#,
        r#"{"type":"conversation.item.added","item":{"type":"hum","x":D}}"#,
        r#"{"type":"error","error":D}"#,
        r#"{"type":"rate_limits.updated","rate_limits":D}"#,
        r#"{"type":D}"#,
        r#"{"type":"conversation.item.done","item":D}"#,
    ] {
        let text = text.replace('D', &deep);
        // Read or refused; the parser's stack has its limit.
        if let Ok(event) = serde_json::from_str::<ServerEvent>(&text) {
            let _ = (event.kind().len(), serde_json::to_string(&event).map(|text| text.len()));
            let mut interpreter = Interpreter::new(RealtimeConversationVersion::V2);
            let _ = interpreter.read(&event);
        }
    }
}
