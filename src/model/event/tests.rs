use std::sync::Arc;

use serde::de::DeserializeSeed;
use serde_json::{Value, json};

use super::*;
use crate::model::wire::TaggedSeed;
use crate::model::{ErrorBody, IdCache, IncompleteReason, PlanType, ResponseStatus, UnknownObject};

/// One line per event: the type, then the other members. All 58 public events, in the order of the
/// documentation, then those of the Codex backend and of steers.
const GOLDEN: &str = include_str!("tests/golden.jsonl");

fn golden() -> impl Iterator<Item = (&'static str, Value)> {
    GOLDEN.lines().map(|line| (line, serde_json::from_str(line).unwrap()))
}

#[track_caller]
fn read(text: &str) -> ResponseEvent {
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn refused(text: &str) -> String {
    serde_json::from_str::<ResponseEvent>(text).unwrap_err().to_string()
}

#[test]
fn every_event_is_known_and_writes_the_json_it_came_from() {
    let mut kinds = std::collections::HashSet::new();
    for (line, mut value) in golden() {
        let event = read(line);
        assert!(!matches!(event, ResponseEvent::Unknown(_)), "{line}");
        assert_eq!(event.kind(), value["type"], "{line}");
        assert_eq!(event.sequence_number(), value["sequence_number"].as_u64(), "{line}");
        assert!(event.extra().is_some(), "{line}");
        let from_value: ResponseEvent = serde_json::from_value(value.clone()).unwrap();
        value.as_object_mut().unwrap().remove("obfuscation");
        assert_eq!(serde_json::to_value(&event).unwrap(), value);
        assert_eq!(serde_json::to_value(&from_value).unwrap(), value);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(read(&text), event, "{line}");
        kinds.insert(event.kind().to_owned());
    }
    assert_eq!(kinds.len(), 63);
}

#[test]
fn item_ids_are_found() {
    for (line, value) in golden() {
        let expected = value["item_id"]
            .as_str()
            .or_else(|| value["item"]["id"].as_str())
            .or_else(|| value["call_id"].as_str());
        assert_eq!(read(line).item_id(), expected, "{line}");
    }
}

#[test]
fn members_of_every_event_may_be_missing_but_for_its_matter() {
    let matter = [
        "type",
        "response",
        "item",
        "part",
        "delta",
        "text",
        "refusal",
        "arguments",
        "input",
        "code",
        "command",
        "output",
        "partial_image_b64",
        "steer",
    ];
    for (_, value) in golden() {
        let bare: serde_json::Map<_, _> = value
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| matter.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let bare = Value::Object(bare);
        let event = read(&bare.to_string());
        assert_eq!(serde_json::to_value(&event).unwrap(), bare);
        assert_eq!(event.sequence_number(), None);
    }
}

#[test]
fn a_missing_or_bad_matter_is_refused_by_name() {
    for (kind, member) in [
        ("response.created", "response"),
        ("response.completed", "response"),
        ("response.output_item.added", "item"),
        ("response.content_part.done", "part"),
        ("response.output_text.delta", "delta"),
        ("response.output_text.done", "text"),
        ("response.refusal.done", "refusal"),
        ("response.reasoning_summary_text.delta", "delta"),
        ("response.function_call_arguments.delta", "delta"),
        ("response.function_call_arguments.done", "arguments"),
        ("response.custom_tool_call_input.done", "input"),
        ("response.code_interpreter_call_code.done", "code"),
        ("response.shell_call_command.done", "command"),
        ("response.shell_call_output_content.delta", "delta"),
        ("response.audio.delta", "delta"),
        ("response.steer.accepted", "steer"),
    ] {
        for body in [json!({"type": kind}), json!({"type": kind, member: 7})] {
            let error = refused(&body.to_string());
            assert!(error.contains(kind) && error.contains(member), "{body}: {error}");
        }
    }
    let error = refused(r#"{"type":"response.output_text.delta","delta":"a","output_index":-1}"#);
    assert!(error.contains("`output_index`"), "{error}");
}

#[test]
fn only_the_completed_response_needs_its_id() {
    read(r#"{"type":"response.created","response":{}}"#);
    for response in [json!({}), json!({"id": null}), json!({"id": ""})] {
        let body = json!({"type": "response.completed", "response": response});
        let error = refused(&body.to_string());
        assert!(error.contains("`response`") && error.contains("`id`"), "{error}");
    }
}

#[test]
fn the_last_event_is_told() {
    let terminal: Vec<_> = golden()
        .map(|(line, _)| read(line))
        .filter(ResponseEvent::is_terminal)
        .map(|event| event.kind().to_owned())
        .collect();
    assert_eq!(
        terminal,
        ["response.completed", "response.failed", "response.incomplete", "error", "error"]
    );
}

#[test]
fn the_response_of_the_lifecycle() {
    let of = |kind: &str| {
        let (line, _) = golden().find(|(_, value)| value["type"] == kind).unwrap();
        read(line).response().unwrap().clone()
    };
    let response = of("response.completed");
    assert_eq!(&*response.id, "resp_1");
    assert_eq!(response.status, Some(ResponseStatus::Completed));
    assert_eq!(response.usage.unwrap().cached_input_tokens(), 8);
    let error = of("response.failed").error.unwrap();
    assert_eq!(error.code(), Some("rate_limit_exceeded"));
    let response = of("response.incomplete");
    assert_eq!(response.incomplete_reason(), Some(&IncompleteReason::MaxOutputTokens));
    assert!(read(r#"{"type":"keepalive"}"#).response().is_none());
}

#[test]
fn empty_and_missing_logprobs_differ() {
    for (text, logprobs) in [
        (r#"{"type":"response.output_text.delta","delta":"a","logprobs":[]}"#, Some(0)),
        (r#"{"type":"response.output_text.delta","delta":"a","logprobs":null}"#, None),
        (r#"{"type":"response.output_text.delta","delta":"a"}"#, None),
    ] {
        let event = read(text);
        let ResponseEvent::OutputTextDelta(delta) = &event else { panic!() };
        assert_eq!(delta.logprobs.as_ref().map(Vec::len), logprobs);
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }
}

#[test]
fn unknown_events_come_back_byte_for_byte() {
    for text in [
        r#"{"type":"keepalive"}"#,
        r#"{"sequence_number":12,"type":"response.hologram.delta","delta":{"x": 1.50},"obfuscation":"zz"}"#,
        r#"{"type":"client.server_model","model":"m"}"#,
    ] {
        let event = read(text);
        let ResponseEvent::Unknown(object) = &event else { panic!("{event:?}") };
        assert_eq!(object.raw().as_str(), text);
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
        assert!(event.extra().is_none());
        assert!(!event.is_terminal());
    }
    let numbered = read(r#"{"type":"response.hologram.delta","sequence_number":12}"#);
    assert_eq!(numbered.sequence_number(), Some(12));
    let odd = read(r#"{"type":"response.hologram.delta","sequence_number":"x"}"#);
    assert_eq!(odd.sequence_number(), None);
}

#[test]
fn of_two_types_the_first_decides() {
    for text in [
        r#"{"type":"error","code":"c","type":"message","type":"x"}"#,
        r#"{"id":1,"type":"response.output_text.delta","delta":"a","type":"x","y":2}"#,
    ] {
        let event = read(text);
        let written = serde_json::to_string(&event).unwrap();
        assert_eq!(read(&written), event, "{written}");
    }
}

#[test]
fn the_call_stands_in_for_the_item() {
    let text = r#"{"type":"response.custom_tool_call_input.delta","call_id":"call_1","delta":"a"}"#;
    let event = read(text);
    assert_eq!(event.item_id(), Some("call_1"));
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
}

#[test]
fn events_are_small_and_share_ids() {
    assert!(size_of::<ResponseEvent>() <= 120, "{}", size_of::<ResponseEvent>());
    let mut ids = IdCache::new();
    let mut read = |text: &str| {
        let mut text = serde_json::Deserializer::from_str(text);
        match TaggedSeed::<ResponseEvent>::new(&mut ids).deserialize(&mut text).unwrap() {
            ResponseEvent::OutputTextDelta(event) => event.item_id.unwrap(),
            event => panic!("{event:?}"),
        }
    };
    let first = read(r#"{"type":"response.output_text.delta","item_id":"msg_1","delta":"a"}"#);
    let second = read(r#"{"type":"response.output_text.delta","item_id":"msg_1","delta":"b"}"#);
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn errors_read_in_any_form() {
    for (text, code, message) in [
        (r#"{"type":"error","code":"c","message":"m","param":null}"#, Some("c"), Some("m")),
        (r#"{"type":"error","error":{"code":"c","message":"m"}}"#, Some("c"), Some("m")),
        (r#"{"error":{"code":401,"message":"m"},"type":"error"}"#, Some("401"), Some("m")),
        (r#"{"type":"error","error":"m"}"#, None, Some("m")),
        (r#"{"type":"error","message":"m","code":null}"#, None, Some("m")),
        (r#"{"type":"error","detail":"m"}"#, None, Some("m")),
        (r#"{"type":"error","message":["odd"],"code":{}}"#, None, None),
        (r#"{"type":"error"}"#, None, None),
    ] {
        let event = read(text);
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), value);
        let ResponseEvent::Error(error) = event else { panic!() };
        assert_eq!((error.code(), error.message()), (code, message), "{text}");
    }
    let nested = r#"{"type":"error","error":{"type":"t","param":"p"},"sequence_number":4,"x":1}"#;
    let ResponseEvent::Error(error) = read(nested) else { panic!() };
    assert_eq!((error.error_type(), error.param()), (Some("t"), Some("p")));
    assert_eq!(error.sequence_number(), Some(4));

    let untyped = ErrorBody::parse(br#"{"error":{"message":"m"},"id":1}"#).unwrap();
    let event = ResponseEvent::Error(Box::new(untyped.into()));
    assert_eq!(
        serde_json::to_string(&event).unwrap(),
        r#"{"type":"error","error":{"message":"m"},"id":1}"#
    );
}

#[test]
fn metadata_of_the_codex_backend() {
    let ResponseEvent::Metadata(metadata) = read(
        r#"{"type":"response.metadata","metadata":{
            "openai_verification_recommendation":["trusted_access_for_cyber","x",7,"trusted_access_for_cyber"],
            "openai_chatgpt_moderation_metadata":{"a":1}},
            "headers":{"X-Codex-Turn-State":["ts","other"],"x-one":"1","x-none":[]}}"#,
    ) else {
        panic!()
    };
    assert_eq!(metadata.model_verifications(), [ModelVerification::TrustedAccessForCyber]);
    assert_eq!(metadata.turn_moderation_metadata().unwrap().as_str(), r#"{"a":1}"#);
    assert_eq!(metadata.header("x-codex-turn-state").as_deref(), Some("ts"));
    assert_eq!(metadata.header("X-One").as_deref(), Some("1"));
    assert_eq!(metadata.header("x-none"), None);

    let odd = r#"{"type":"response.metadata","metadata":[1],"headers":"none"}"#;
    let event = read(odd);
    assert_eq!(serde_json::to_string(&event).unwrap(), odd);
    let ResponseEvent::Metadata(metadata) = event else { panic!() };
    assert!(metadata.model_verifications().is_empty());
    assert_eq!(metadata.turn_moderation_metadata(), None);
}

#[test]
fn rate_limits_of_the_codex_backend() {
    let snapshot = |text| match read(text) {
        ResponseEvent::CodexRateLimits(event) => event.snapshot(),
        event => panic!("{event:?}"),
    };
    let full = snapshot(
        r#"{"type":"codex.rate_limits","plan_type":"plus","rate_limits":{
            "primary":{"used_percent":42,"window_minutes":60,"reset_at":1700000000},"secondary":null},
            "credits":{"has_credits":true,"unlimited":false,"balance":"123"},
            "metered_limit_name":" Codex-Other ","limit_name":"ignored"}"#,
    );
    assert_eq!(
        serde_json::to_value(&full).unwrap(),
        json!({
            "limit_id": "codex_other",
            "primary": {"used_percent": 42.0, "window_minutes": 60, "resets_at": 1_700_000_000},
            "credits": {"has_credits": true, "unlimited": false, "balance": "123"},
            "plan_type": "plus"
        })
    );
    assert_eq!(full.plan_type, Some(PlanType::Plus));
    let named =
        snapshot(r#"{"type":"codex.rate_limits","metered_limit_name":"","limit_name":"a-b"}"#);
    assert_eq!(named, RateLimitSnapshot::new("a_b"));
    let odd = snapshot(
        r#"{"type":"codex.rate_limits","rate_limits":{"primary":{"used_percent":"x"},
            "secondary":{"used_percent":1.5}},"credits":[]}"#,
    );
    assert_eq!(odd.limit_id.as_deref(), Some("codex"));
    assert_eq!(odd.primary, None);
    assert_eq!(odd.secondary.unwrap().used_percent, 1.5);
    assert_eq!(odd.credits, None);
}

#[test]
fn the_serving_model_is_read_from_headers_only() {
    for (text, model) in [
        (r#"{"type":"response.created","response":{"headers":{"OpenAI-Model":"m"}}}"#, Some("m")),
        (
            r#"{"type":"response.created","response":{"headers":{"x-openai-model":["m","n"]}}}"#,
            Some("m"),
        ),
        (r#"{"type":"response.created","response":{},"headers":{"openai-model":"m"}}"#, Some("m")),
        (r#"{"type":"response.metadata","headers":{"X-OpenAI-Model":"m"}}"#, Some("m")),
        (r#"{"type":"response.created","response":{"model":"m"}}"#, None),
        (r#"{"type":"response.created","response":{"headers":{"openai-model":[]}}}"#, None),
        (r#"{"type":"response.created","response":{"headers":7},"headers":7}"#, None),
    ] {
        assert_eq!(read(text).server_model().as_deref(), model, "{text}");
    }
}

#[test]
fn safety_buffering_comes_with_any_event_and_in_headers() {
    let event = read(
        r#"{"type":"response.in_progress","response":{},
            "safety_buffering":{"use_cases":["cyber"],"reasons":["r"],"retry_model":"a"}}"#,
    );
    let buffering = event.safety_buffering().unwrap();
    assert_eq!(
        (&*buffering.use_cases, &*buffering.reasons),
        (&["cyber".into()][..], &["r".into()][..])
    );

    let mut headers = http::HeaderMap::new();
    headers.insert("x-codex-safety-buffering-faster-model", "b".parse().unwrap());
    assert_eq!(SafetyBuffering::from_headers(&headers), None);
    headers.insert("x-codex-safety-buffering-enabled", "True".parse().unwrap());
    let defaults = SafetyBuffering::from_headers(&headers).unwrap();
    assert_eq!(defaults.alternative_model(), Some("b"));
    let merged = buffering.or(&defaults);
    assert_eq!(merged.alternative_model(), Some("a"));
    assert_eq!(merged.faster_model.as_deref(), Some("b"));

    let odd = read(r#"{"type":"response.in_progress","response":{},"safety_buffering":true}"#);
    assert_eq!(odd.safety_buffering(), None);
}

#[test]
fn synthesised_events_are_written_under_their_own_names() {
    for (event, expected) in [
        (
            ResponseEvent::ServerModel("m".into()),
            json!({"type": "client.server_model", "model": "m"}),
        ),
        (
            ResponseEvent::RateLimits(Box::new(RateLimitSnapshot::new("codex"))),
            json!({"type": "client.rate_limits", "snapshot": {"limit_id": "codex"}}),
        ),
        (ResponseEvent::ModelsEtag("e".into()), json!({"type": "client.models_etag", "etag": "e"})),
        (
            ResponseEvent::ServerReasoningIncluded(true),
            json!({"type": "client.reasoning_included", "included": true}),
        ),
        (
            ResponseEvent::ModelVerifications(vec![ModelVerification::TrustedAccessForCyber]),
            json!({"type": "client.model_verifications", "verifications": ["trusted_access_for_cyber"]}),
        ),
        (
            ResponseEvent::TurnModerationMetadata(RawJson::from(json!({"a": 1}))),
            json!({"type": "client.turn_moderation_metadata", "metadata": {"a": 1}}),
        ),
        (
            ResponseEvent::SafetyBuffering(Box::default()),
            json!({"type": "client.safety_buffering",
                "safety_buffering": {"use_cases": [], "reasons": []}}),
        ),
    ] {
        assert_eq!(serde_json::to_value(&event).unwrap(), expected);
        assert_eq!(event.kind(), expected["type"]);
        assert!(event.extra().is_none() && event.sequence_number().is_none());
        let again: ResponseEvent = serde_json::from_value(expected).unwrap();
        assert!(matches!(again, ResponseEvent::Unknown(_)));
    }
}

#[test]
fn unknown_events_can_be_built() {
    let raw = RawJson::from_text(r#"{"type":"mine","a":1}"#).unwrap();
    let event = ResponseEvent::Unknown(UnknownObject::new(raw).unwrap());
    assert_eq!(event.kind(), "mine");
}
