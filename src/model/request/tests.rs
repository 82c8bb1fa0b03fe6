use serde_json::{Value, json};

use super::*;
use crate::model::{FunctionTool, ImageGenerationCall, ItemStatus, Message, Role};

#[test]
fn an_empty_request_has_the_members_that_are_always_there() {
    let request = ResponsesApiRequest::new("m", Vec::new());
    assert_eq!(
        serde_json::to_string(&request).unwrap(),
        concat!(
            r#"{"model":"m","input":[],"tools":[],"tool_choice":"auto","parallel_tool_calls":true,"#,
            r#""reasoning":null,"store":true,"stream":true,"include":[]}"#
        )
    );
}

#[test]
fn every_field_is_written_under_its_name() {
    let wire = json!({
        "model": "m", "instructions": "i", "input": [{"type": "message", "role": "user", "content": "hi"}],
        "tools": [{"type": "function", "name": "f"}], "tool_choice": "required", "parallel_tool_calls": false,
        "reasoning": {"effort": "xhigh", "summary": "auto", "context": "all_turns", "mode": "pro"}, "store": false, "stream": true,
        "stream_options": {"include_obfuscation": false}, "include": ["reasoning.encrypted_content"],
        "service_tier": "priority", "prompt_cache_key": "k", "text": {"verbosity": "low", "format": {"type": "json_schema", "strict": true, "schema": {"type": "object"}, "name": "codex_output_schema"}},
        "client_metadata": {"a": "b"}, "access_programs": {"cyber": "standard"}, "previous_response_id": "resp_1", "generate": false,
        "background": true, "conversation": {"id": "conv_1"}, "max_output_tokens": 1, "max_tool_calls": 2, "top_logprobs": 3,
        "temperature": 0.5, "top_p": 0.25, "truncation": "disabled", "prompt": {"id": "p", "version": "1", "variables": {"a": "b"}},
        "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "context_management": [{"type": "compaction", "compact_threshold": 1000}], "metadata": {"a": "b"}, "safety_identifier": "s",
        "user": "u", "moderation": {"model": "m", "policy": {}}, "multi_agent": {"x": 1}, "brand_new": [1, {"a": null}]
    });
    let request: ResponsesApiRequest = serde_json::from_str(&wire.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&request).unwrap(), wire);
    assert_eq!(request.extra.len(), 1, "{:?}", request.extra);
    assert_eq!(request.service_tier, Some(ServiceTier::Priority));
    assert_eq!(request.conversation.as_ref().unwrap().id(), "conv_1");
}

#[test]
fn undocumented_fields_travel() {
    let mut request = ResponsesApiRequest::new("m", "hi");
    request.extra.set("seed", &7).unwrap();
    request.extra.set_raw("odd", RawJson::from_text(r#"{"b":1,"a":[1.50]}"#).unwrap());
    let text = serde_json::to_string(&request).unwrap();
    assert!(text.ends_with(r#","seed":7,"odd":{"b":1,"a":[1.50]}}"#), "{text}");
}

#[test]
fn text_without_a_setting_is_left_out() {
    let mut request = ResponsesApiRequest::new("m", "hi");
    request.text = Some(TextControls::default());
    assert_eq!(serde_json::to_value(&request).unwrap().get("text"), None);
    request.text = Some(TextControls { verbosity: Some(Verbosity::Low), ..Default::default() });
    assert_eq!(serde_json::to_value(&request).unwrap()["text"], json!({"verbosity": "low"}));
    let read: ResponsesApiRequest =
        serde_json::from_str(r#"{"model":"m","input":[],"text":{}}"#).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap()["text"], json!({}));
}

#[test]
fn a_sparse_body_means_what_the_public_api_says_and_comes_back_sparse() {
    let text = r#"{"model":"m","input":[]}"#;
    let request: ResponsesApiRequest = serde_json::from_str(text).unwrap();
    assert!(request.store && request.parallel_tool_calls && !request.stream);
    assert_eq!(serde_json::to_string(&request).unwrap(), text);
}

#[test]
fn input_is_read_in_every_form() {
    let read = |input: Value| {
        let wire = json!({"model": "m", "input": input}).to_string();
        serde_json::from_str::<ResponsesApiRequest>(&wire).map(|request| request.input)
    };
    assert_eq!(read(json!("hi")).unwrap(), [ResponseItem::user("hi")]);
    let easy = read(json!([{"role": "developer", "content": "hi"}])).unwrap();
    assert_eq!(easy, [ResponseItem::from(Message::new(Role::Developer, "hi"))]);
    let error = read(json!([{"content": "hi"}])).unwrap_err().to_string();
    assert!(error.contains("`input`") && error.contains("missing field `role`"), "{error}");
    assert!(read(json!(7)).is_err());

    assert_eq!(ResponsesApiRequest::new("m", "a").input, [ResponseItem::user("a")]);
    assert_eq!(ResponsesApiRequest::new("m", String::from("a")).input.len(), 1);
    assert_eq!(ResponsesApiRequest::new("m", ResponseItem::user("a")).input.len(), 1);
    let two = [ResponseItem::user("a"), ResponseItem::assistant("b")];
    assert_eq!(ResponsesApiRequest::new("m", two.clone()).input, two);
    assert_eq!(ResponsesApiRequest::new("m", two.to_vec()).input, two);
}

#[test]
fn tools_and_text_formats() {
    let mut request = ResponsesApiRequest::new("m", "hi");
    request.tools.push(FunctionTool::new("f", "d").into());
    request.tool_choice = ToolChoice::function("f");
    let format = TextFormat::json_schema("codex_output_schema", json!({"type": "object"}));
    request.text = Some(format.into());
    let wire = serde_json::to_value(&request).unwrap();
    assert_eq!(wire["tools"], json!([{"type": "function", "name": "f", "description": "d"}]));
    assert_eq!(wire["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(
        serde_json::to_string(&request.text).unwrap(),
        r#"{"format":{"type":"json_schema","strict":true,"schema":{"type":"object"},"name":"codex_output_schema"}}"#
    );
}

fn ids_after(rule: ItemIds, store: bool) -> Vec<Option<String>> {
    let items: Vec<ResponseItem> = serde_json::from_value(json!([
        {"type": "message", "id": "msg_1", "role": "user", "content": []},
        {"type": "message", "id": "", "role": "user", "content": []},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call_output", "id": "fco_1", "call_id": "c", "output": "o"},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AA"},
        {"type": "item_reference", "id": "msg_0"},
        {"type": "hologram", "id": "h_1"},
    ]))
    .unwrap();
    let mut request = ResponsesApiRequest::new("m", items);
    request.store = store;
    let wire = serde_json::to_value(request.with_item_ids(rule)).unwrap();
    let id = |item: &Value| item.get("id").map(|id| id.as_str().unwrap().to_owned());
    wire["input"].as_array().unwrap().iter().map(id).collect()
}

#[test]
fn item_ids_follow_the_rule() {
    let ids = |list: [&str; 7]| list.map(|id| (id != "-").then(|| id.to_owned()));
    let all = ids(["msg_1", "", "rs_1", "fco_1", "ig_1", "msg_0", "h_1"]);
    assert_eq!(ids_after(ItemIds::Keep, true), all);
    assert_eq!(ids_after(ItemIds::Keep, false), all);
    let stored = ids(["msg_1", "-", "rs_1", "-", "ig_1", "msg_0", "h_1"]);
    assert_eq!(ids_after(ItemIds::WhenStored, true), stored);
    let none = ids(["-", "-", "-", "-", "ig_1", "msg_0", "h_1"]);
    assert_eq!(ids_after(ItemIds::WhenStored, false), none);
    assert_eq!(ids_after(ItemIds::Strip, true), none);
}

#[test]
fn keeping_ids_writes_what_the_request_writes() {
    let call = ImageGenerationCall {
        id: Some("ig".into()),
        status: ItemStatus::Completed,
        revised_prompt: None,
        result: None,
        extra: Extra::new(),
    };
    let request = ResponsesApiRequest::new("m", [ResponseItem::user("a"), call.into()]);
    assert_eq!(
        serde_json::to_string(&request.with_item_ids(ItemIds::Keep)).unwrap(),
        serde_json::to_string(&request).unwrap()
    );
}

#[test]
fn bad_bodies_name_the_field() {
    for (text, field) in [
        (r#"{"input":[]}"#, "`model`"),
        (r#"{"model":"m","input":[],"store":"yes"}"#, "`store`"),
        (
            r#"{"model":"m","input":[],"tools":[{"type":"function"}]}"#,
            "`tools`: function: missing field `name`",
        ),
        (r#"{"model":"m","input":[],"max_output_tokens":-1}"#, "`max_output_tokens`"),
    ] {
        let error = serde_json::from_str::<ResponsesApiRequest>(text).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}
