//! A prompt that is absent, `null` or a string: three things, however the payload is told apart; and
//! payloads whose tag stands last.

use serde_json::{Value, json};

use crate::model::realtime::codex::*;

/// What a prompt may be on the wire, and here.
fn prompts() -> [(Option<Value>, Option<Option<String>>); 4] {
    [
        (None, None),
        (Some(Value::Null), Some(None)),
        (Some("".into()), Some(Some(String::new()))),
        (Some("Be brief.".into()), Some(Some("Be brief.".into()))),
    ]
}

fn with_prompt(mut params: Value, prompt: Option<Value>) -> Value {
    if let Some(prompt) = prompt {
        params["prompt"] = prompt;
    }
    params
}

#[test]
fn of_a_realtime_op() {
    for (wire, here) in prompts() {
        let params = with_prompt(json!({"output_modality": "text"}), wire);
        let rest = params.to_string();
        let rest = rest.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
        // The tag is the first member, or the last.
        for text in [
            format!(r#"{{"type":"realtime_conversation_start",{rest}}}"#),
            format!(r#"{{{rest},"type":"realtime_conversation_start"}}"#),
        ] {
            let op: RealtimeOp = serde_json::from_str(&text).unwrap();
            let RealtimeOp::RealtimeConversationStart(start) = &op else { panic!("{op:?}") };
            assert_eq!(start.prompt, here, "{text}");
            let written = serde_json::to_value(&op).unwrap();
            assert_eq!(written, serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}

#[test]
fn of_a_realtime_request() {
    for (wire, here) in prompts() {
        let params = with_prompt(json!({"threadId": "t", "outputModality": "text"}), wire);
        for text in [
            format!(r#"{{"method":"thread/realtime/start","params":{params}}}"#),
            format!(r#"{{"params":{params},"id":1,"method":"thread/realtime/start"}}"#),
        ] {
            let request: RealtimeRequest = serde_json::from_str(&text).unwrap();
            let RealtimeRequest::Start(start) = &request else { panic!("{request:?}") };
            assert_eq!(start.prompt, here, "{text}");
            let written = serde_json::to_value(&request).unwrap();
            assert_eq!(written["params"].get("prompt"), params.get("prompt"), "{text}");
        }
    }
}

#[test]
fn an_item_of_a_notification_whose_method_stands_last() {
    let item = json!({"type": "hum", "n": 1.5, "list": [null, {"a": "é"}], "id": "i"});
    for text in [
        format!(
            r#"{{"method":"thread/realtime/itemAdded","params":{{"threadId":"t","item":{item}}}}}"#
        ),
        format!(
            r#"{{"params":{{"item":{item},"threadId":"t"}},"method":"thread/realtime/itemAdded"}}"#
        ),
    ] {
        let notification: RealtimeNotification = serde_json::from_str(&text).unwrap();
        let RealtimeNotification::ItemAdded(added) = &notification else { panic!() };
        assert_eq!(serde_json::from_str::<Value>(added.item.as_str()).unwrap(), item);
        let written = serde_json::to_value(&notification).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(&text).unwrap());
    }
}

#[test]
fn of_nothing_but_a_tag() {
    let request: RealtimeRequest =
        serde_json::from_str(r#"{"params":{},"method":"thread/realtime/listVoices"}"#).unwrap();
    assert_eq!(request.method(), "thread/realtime/listVoices");
    for text in
        [r#"{"method":"thread/realtime/stop"}"#, r#"{"params":{"threadId":"t"}}"#, "[]", "null"]
    {
        serde_json::from_str::<RealtimeRequest>(text).unwrap_err();
    }
}
