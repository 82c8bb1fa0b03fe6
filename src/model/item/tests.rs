use serde_json::{Value, json};

use super::*;
use crate::model::TextPart;

/// What must hold for every item that a server may send: nothing is lost, from text and from a value.
#[track_caller]
fn round_trip(wire: Value) -> ResponseItem {
    let text = wire.to_string();
    let item: ResponseItem = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(!matches!(item, ResponseItem::Unknown(_)), "not modelled: {text}");
    assert_eq!(serde_json::to_value(&item).unwrap(), wire);
    let from_value: ResponseItem = serde_json::from_value(wire.clone()).unwrap();
    assert_eq!(serde_json::to_value(&from_value).unwrap(), wire);
    assert_eq!(item.kind(), wire["type"]);
    item
}

#[track_caller]
fn refused(wire: Value, parts: &[&str]) {
    let error = serde_json::from_value::<ResponseItem>(wire).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error} lacks {part}");
    }
}

#[test]
fn is_small() {
    assert!(size_of::<ResponseItem>() <= 40, "{}", size_of::<ResponseItem>());
    assert!(size_of::<ContentPart>() <= 96, "{}", size_of::<ContentPart>());
}

#[test]
fn messages() {
    let item = round_trip(json!({
        "id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "phase": "final_answer",
        "content": [
            {"type": "output_text", "text": "Hel", "annotations": [
                {"type": "url_citation", "start_index": 0, "end_index": 3, "url": "https://x", "title": "X"},
                {"type": "file_citation", "index": 1, "file_id": "file_1", "filename": "a.md"},
                {"type": "container_file_citation", "container_id": "c", "file_id": "f", "start_index": 0, "end_index": 1, "filename": "n"},
                {"type": "file_path", "file_id": "f", "index": 0},
                {"type": "moon_citation", "phase": "full"},
            ], "logprobs": [{"token": "Hel", "logprob": -0.25, "bytes": [72, 101, 108], "top_logprobs": [{"token": "Hel", "logprob": 0}]}]},
            {"type": "refusal", "refusal": "no"},
            {"type": "output_text", "text": "lo", "annotations": [], "logprobs": []},
            {"type": "hologram", "data": {"z": 1, "a": null}},
        ],
        "new_member": {"kept": null}
    }));
    let message = item.as_message().unwrap();
    assert_eq!(message.text(), "Hello");
    assert_eq!(message.refusal(), Some("no"));
    assert_eq!(message.phase, Some(MessagePhase::FinalAnswer));
    assert_eq!(item.id(), Some("msg_1"));

    round_trip(json!({"type": "message", "role": "user", "content": "plain"}));
    round_trip(json!({"type": "message", "role": "user", "content": []}));
    round_trip(json!({"type": "message", "role": "tool", "content": [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "high", "file_id": null},
        {"type": "input_file", "file_id": "f", "filename": "x.pdf"},
    ], "end_turn": true, "phase": null, "status": "paused"}));
    round_trip(json!({"type": "agent_message", "author": "a", "recipient": "b",
        "content": [{"type": "encrypted_content", "encrypted_content": "x"}]}));
}

#[test]
fn reasoning_and_compaction() {
    for content in [
        json!([{"type": "reasoning_text", "text": "r"}]),
        json!([{"type": "text", "text": "r"}]),
        json!([]),
        Value::Null,
    ] {
        round_trip(
            json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
            "content": content, "encrypted_content": null, "status": null}),
        );
    }
    round_trip(json!({"type": "reasoning", "id": "", "summary": []}));
    round_trip(
        json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "x", "created_by": "y"}),
    );
    round_trip(json!({"type": "compaction_trigger"}));
    round_trip(json!({"type": "context_compaction"}));
    round_trip(json!({"type": "ghost_snapshot", "ghost_commit": {"id": "abc"}}));
    round_trip(json!({"type": "additional_tools", "role": "developer", "tools": [{"type": "x"}]}));
    round_trip(json!({"type": "item_reference", "id": "msg_1"}));

    let item: ResponseItem =
        serde_json::from_value(json!({"type": "compaction_summary", "encrypted_content": "x"}))
            .unwrap();
    assert_eq!(serde_json::to_value(&item).unwrap()["type"], "compaction");
}

#[test]
fn reasoning_built_in_code_follows_the_codex_rule() {
    let text = |content| {
        let item: ResponseItem = ReasoningItem { content, ..Default::default() }.into();
        serde_json::to_string(&item).unwrap()
    };
    let head = r#"{"type":"reasoning","summary":[]"#;
    let tail = r#""encrypted_content":null}"#;
    assert_eq!(text(None), format!(r#"{head},"content":null,{tail}"#));
    assert_eq!(text(Some(vec![])), format!("{head},{tail}"));
    let part = ContentPart::Text(TextPart { text: "t".into(), ..Default::default() });
    assert_eq!(text(Some(vec![part])), format!("{head},{tail}"));
    assert_eq!(
        text(Some(vec![ContentPart::reasoning_text("r")])),
        format!(r#"{head},"content":[{{"type":"reasoning_text","text":"r"}}],{tail}"#)
    );
}

#[test]
fn calls_of_the_application() {
    let item = round_trip(
        json!({"type": "function_call", "id": "fc_1", "status": "in_progress", "name": "f",
        "namespace": "n", "arguments": "{\"city\":\"Bern\"}", "call_id": "call_1", "caller": {"type": "direct"}}),
    );
    let call = item.as_function_call().unwrap();
    assert_eq!(call.parse_arguments::<Value>().unwrap(), json!({"city": "Bern"}));
    assert_eq!(item.call_id(), Some("call_1"));
    round_trip(json!({"type": "function_call_output", "call_id": "call_1", "output": "text"}));
    round_trip(
        json!({"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "status": "completed",
        "output": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "u"}, {"type": "encrypted_content", "encrypted_content": "e"}]}),
    );
    round_trip(json!({"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "i"}));
    round_trip(
        json!({"type": "custom_tool_call_output", "call_id": "c", "name": "n", "output": "o"}),
    );
    let item = round_trip(
        json!({"type": "tool_search_call", "call_id": null, "execution": "client", "arguments": {"query": "q"}}),
    );
    let ResponseItem::ToolSearchCall(call) = item else { panic!() };
    assert_eq!(call.execution, ToolExecution::Client);
    round_trip(
        json!({"type": "tool_search_output", "call_id": "c", "status": "completed", "execution": "server", "tools": [{"a": 1}]}),
    );
    round_trip(json!({"type": "local_shell_call", "call_id": "c", "status": "completed", "action":
        {"type": "exec", "command": ["ls", "-l"], "timeout_ms": null, "working_directory": "/", "env": {"A": "b"}, "user": null}}));
    round_trip(
        json!({"type": "local_shell_call_output", "id": "x", "output": "{}", "status": null}),
    );
    round_trip(
        json!({"type": "shell_call", "id": "x", "call_id": "c", "status": "in_progress", "environment": null,
        "action": {"commands": ["ls"], "timeout_ms": 5, "max_output_length": null}}),
    );
    round_trip(
        json!({"type": "shell_call_output", "id": "x", "call_id": "c", "max_output_length": null, "output": [
        {"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": -1}},
        {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}}]}),
    );
    for kind in ["create_file", "delete_file", "update_file", "rename_file"] {
        round_trip(
            json!({"type": "apply_patch_call", "id": "x", "call_id": "c", "status": "completed",
            "operation": {"type": kind, "path": "p", "diff": "+a"}}),
        );
    }
    round_trip(
        json!({"type": "apply_patch_call_output", "id": "x", "call_id": "c", "status": "failed"}),
    );
    round_trip(json!({"type": "computer_call", "id": "x", "call_id": "c", "status": "completed",
        "action": {"type": "click", "x": 1, "y": 2, "button": "left"}, "pending_safety_checks": [{"id": "s", "code": null, "message": "m"}]}));
    round_trip(
        json!({"type": "computer_call_output", "id": "x", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": "u"}}),
    );
    round_trip(
        json!({"type": "program", "id": "x", "call_id": "c", "code": "1", "fingerprint": "f"}),
    );
    round_trip(
        json!({"type": "program_output", "id": "x", "call_id": "c", "result": "r", "status": "completed"}),
    );
}

#[test]
fn calls_of_the_server() {
    for action in [
        json!({"type": "search", "query": "q", "queries": ["q"], "sources": [{"type": "url", "url": "u"}]}),
        json!({"type": "open_page", "url": null}),
        json!({"type": "find_in_page", "url": "u", "pattern": "p"}),
        json!({"type": "scroll", "by": 3}),
    ] {
        round_trip(
            json!({"type": "web_search_call", "id": "ws_1", "status": "searching", "action": action}),
        );
    }
    round_trip(json!({"type": "web_search_call", "status": "in_progress"}));
    round_trip(
        json!({"type": "file_search_call", "id": "x", "status": "completed", "queries": ["q"], "results": [
        {"file_id": "f", "text": "t", "filename": "n", "attributes": {"a": 1}, "score": 0.5}]}),
    );
    round_trip(
        json!({"type": "file_search_call", "id": "x", "status": "in_progress", "queries": [], "results": null}),
    );
    let item = round_trip(
        json!({"type": "image_generation_call", "id": "ig_1", "status": "generating", "result": null}),
    );
    let ResponseItem::ImageGenerationCall(call) = item else { panic!() };
    assert_eq!(call.result, None);
    round_trip(
        json!({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AA", "size": "1x1"}),
    );
    round_trip(
        json!({"type": "code_interpreter_call", "id": "x", "status": "interpreting", "container_id": "c", "code": null, "outputs": null}),
    );
    round_trip(
        json!({"type": "code_interpreter_call", "id": "x", "status": "completed", "container_id": "c", "code": "1", "outputs": [
        {"type": "logs", "logs": "l"}, {"type": "image", "url": "u"}, {"type": "sound", "url": "u"}]}),
    );
    round_trip(
        json!({"type": "mcp_call", "id": "x", "server_label": "s", "name": "n", "arguments": "{}", "output": null, "error": null, "status": "calling", "approval_request_id": null}),
    );
    round_trip(
        json!({"type": "mcp_call", "id": "x", "server_label": "s", "name": "n", "arguments": "{}", "error": {"type": "http_error", "code": 500}}),
    );
    round_trip(json!({"type": "mcp_list_tools", "id": "x", "server_label": "s", "tools": [
        {"name": "n", "description": null, "input_schema": {"type": "object"}, "annotations": null}]}));
    round_trip(
        json!({"type": "mcp_approval_request", "id": "x", "server_label": "s", "name": "n", "arguments": "{}"}),
    );
    round_trip(
        json!({"type": "mcp_approval_response", "approval_request_id": "x", "approve": true, "reason": null}),
    );
}

#[test]
fn constructors_write_what_codex_writes() {
    assert_eq!(
        serde_json::to_string(&ResponseItem::user("hi")).unwrap(),
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}"#
    );
    assert_eq!(
        serde_json::to_string(&ResponseItem::assistant("hi")).unwrap(),
        r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}"#
    );
    assert_eq!(
        serde_json::to_string(&ResponseItem::function_call_output("c", "o")).unwrap(),
        r#"{"type":"function_call_output","call_id":"c","output":"o"}"#
    );
    assert_eq!(ResponseItem::from("hi"), ResponseItem::user("hi"));
    let call = LocalShellCall {
        id: None,
        call_id: None,
        status: ItemStatus::Completed,
        action: LocalShellAction::Exec(Box::default()),
        extra: Default::default(),
    };
    assert_eq!(
        serde_json::to_string(&ResponseItem::from(call)).unwrap(),
        r#"{"type":"local_shell_call","call_id":null,"status":"completed","action":{"type":"exec","command":[],"timeout_ms":null,"working_directory":null,"env":null,"user":null}}"#
    );
}

#[test]
fn items_live_in_the_callers_own_types() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(untagged)]
    enum Line {
        Count { count: u64 },
        Item(ResponseItem),
    }
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(tag = "entry", rename_all = "snake_case")]
    enum Entry {
        Item(ResponseItem),
        Note { text: String },
    }

    for wire in [
        json!({"type": "message", "role": "user", "id": "m", "content": [
            {"type": "input_text", "text": "a", "x": {"b": [1, null]}}, {"type": "hologram", "z": 1.5}]}),
        json!({"type": "tool_search_call", "call_id": null, "execution": "client", "arguments": {"q": {"a": 1}}}),
        json!({"id": "h", "type": "hologram_call", "z": {"b": [1.5, null]}}),
    ] {
        let item: ResponseItem = serde_json::from_value(wire.clone()).unwrap();
        let line: Line = serde_json::from_str(&wire.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&line).unwrap(), wire);
        let text = serde_json::to_string(&Entry::Item(item.clone())).unwrap();
        let Entry::Item(again) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!(serde_json::to_value(&again).unwrap(), wire);
    }
    assert_eq!(serde_json::from_str::<Line>(r#"{"count":3}"#).unwrap(), Line::Count { count: 3 });
}

#[test]
fn bad_bodies_name_the_member() {
    refused(json!({"role": "user", "content": []}), &["missing field `type`"]);
    refused(json!({"type": "message", "role": "user"}), &["message", "missing field `content`"]);
    refused(json!({"type": "message", "role": 1, "content": []}), &["message", "`role`"]);
    refused(
        json!({"type": "message", "role": "user", "content": 5}),
        &["`content`", "a string or an array"],
    );
    refused(
        json!({"type": "message", "role": "user", "content": [{"type": "input_text"}]}),
        &["message", "`content`", "input_text", "missing field `text`"],
    );
    refused(
        json!({"type": "function_call", "name": "f", "arguments": "{}"}),
        &["function_call", "missing field `call_id`"],
    );
    refused(
        json!({"type": "function_call", "name": "f", "arguments": {}, "call_id": "c"}),
        &["`arguments`", "expected a string"],
    );
    refused(json!({"type": "reasoning"}), &["missing field `summary`"]);
}

#[test]
fn unknown_items_keep_their_bytes_and_show_their_ids() {
    let text = r#"{"id":"h_1","type":"hologram_call","call_id":"c","z":1.0,"a":{"b" : null}}"#;
    let item: ResponseItem = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&item).unwrap(), text);
    assert_eq!((item.kind(), item.id(), item.call_id()), ("hologram_call", Some("h_1"), Some("c")));
}
