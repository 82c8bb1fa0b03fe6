//! Rows of faults.md that are about what an event stream says, over bodies of the test's.

use std::time::Duration;

use serde_json::{Value, json};
use tower_openai::model::{ResponseEvent, ResponseItem};
use tower_openai::sse::{Limits, StreamSettings};
use tower_openai::{ErrorKind, Stage};

use crate::support::{
    completed, created, delta, error_of, events_of, failed, fed, item_done, kinds, read, sse,
    stream, stream_with, text,
};

fn lenient() -> StreamSettings {
    let mut settings = StreamSettings::default();
    settings.lenient = true;
    settings
}

#[tokio::test]
async fn row_31_a_clean_end_before_completed_is_truncation_and_keeps_the_events() {
    let (events, error) = events_of(sse(&[created(), delta("Hel")])).await;
    assert_eq!(kinds(&events), ["response.created", "response.output_text.delta"]);
    let error = error.unwrap();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Truncated, Stage::Streaming));
    assert_eq!((error.response_id(), error.sequence_number()), (Some("resp_1"), Some(0)));
    assert!(!error.is_retryable(), "text was handed out");
    let early = error_of(sse(&[created()])).await;
    assert!(early.is_retryable(), "nothing of the answer was handed out");
}

#[tokio::test]
async fn row_32_a_proxy_that_ends_the_body_in_the_middle_of_an_event_changes_nothing() {
    let whole = sse(&[created(), delta("Hel"), completed()]);
    let last = whole.find("response.completed").unwrap();
    for cut in [last, last + 30, whole.len() - 1] {
        let (events, error) = events_of(whole[..cut].to_owned()).await;
        assert_eq!(text(&events), "Hel", "cut at {cut}");
        assert_eq!(error.unwrap().kind(), ErrorKind::Truncated, "cut at {cut}");
    }
}

/// A stream whose second event is `data`, with text before and after.
fn with(data: &str) -> String {
    format!(
        "{}event: response.output_item.done\ndata: {data}\n\n{}",
        sse(&[delta("a")]),
        sse(&[delta("b"), completed()])
    )
}

const BROKEN: [&str; 6] = [
    "{\"type\":\"response.output_item.done\",",
    "nonsense",
    "{}",
    "[]",
    r#"{"type":"response.output_item.done"}"#,
    r#"{"type":"response.output_item.done","item":{"type":"message"}}"#,
];

#[tokio::test]
async fn row_39_a_malformed_event_ends_the_stream_by_default_and_is_named() {
    for data in BROKEN {
        let (events, error) = events_of(with(data)).await;
        assert_eq!(text(&events), "a", "{data}");
        let error = error.unwrap_or_else(|| panic!("{data} passed"));
        assert_eq!(
            (error.kind(), error.stage()),
            (ErrorKind::Protocol, Stage::Streaming),
            "{data}"
        );
        assert!(error.message().contains("event 2"), "{error}");
        assert!(error.message().contains("response.output_item.done"), "{error}");
        assert!(!error.is_retryable(), "{data}");
        assert!(error.chain().count() > 1, "the parser's reason is its cause: {data}");
    }
}

#[tokio::test]
async fn row_39_leniently_it_is_skipped_and_counted_and_later_events_arrive() {
    for data in BROKEN {
        let mut stream = stream_with(lenient(), &[], with(data)).await;
        let mut seen = Vec::new();
        while let Some(event) = stream.try_next().await.unwrap() {
            seen.push(event);
        }
        assert_eq!(text(&seen), "ab", "{data}");
        assert_eq!(stream.skipped_events(), 1, "{data}");
    }
}

#[tokio::test]
async fn row_40_a_malformed_completed_is_never_success() {
    for data in [
        r#"{"type":"response.completed","response":{"id":"r""#,
        r#"{"type":"response.completed"}"#,
        r#"{"type":"response.completed","response":{}}"#,
        r#"{"type":"response.completed","response":{"id":5}}"#,
        r#"{"type":"response.completed","response":null}"#,
    ] {
        let body = format!("{}event: response.completed\ndata: {data}\n\n", sse(&[delta("a")]));
        for settings in [StreamSettings::default(), lenient()] {
            let (events, error) = read(stream_with(settings, &[], body.clone()).await).await;
            assert_eq!(kinds(&events), ["response.output_text.delta"], "{data}");
            let kind = if settings.lenient { ErrorKind::Truncated } else { ErrorKind::Protocol };
            assert_eq!(error.expect(data).kind(), kind, "{data}");
        }
    }
}

#[tokio::test]
async fn row_41_unknown_types_pass_and_the_stream_goes_on() {
    let events = [json!({"type": "response.new_thing", "n": 1}), delta("a"), completed()];
    let (events, error) = events_of(sse(&events)).await;
    assert!(error.is_none());
    assert_eq!(events.len(), 3);
    assert_eq!(text(&events), "a");
}

#[tokio::test]
async fn row_42_data_only_frames_and_done() {
    let frames = |events: &[Value]| -> String {
        events.iter().map(|event| format!("data: {event}\n\n")).collect()
    };
    let body = format!("{}data: [DONE]\n\n", frames(&[created(), delta("a"), completed()]));
    let (events, error) = events_of(body).await;
    assert!(error.is_none());
    assert_eq!((events.len(), text(&events)), (3, "a".to_owned()));

    // Without a terminal event before it, it is no success, and nothing behind it is read.
    let body = format!("{}data: [DONE]\n\n{}", frames(&[delta("a")]), frames(&[completed()]));
    let (events, error) = events_of(body).await;
    assert_eq!(events.len(), 1);
    assert_eq!(error.unwrap().kind(), ErrorKind::Truncated);
}

#[tokio::test]
async fn row_43_bom_and_all_line_ends() {
    let body = sse(&[created(), delta("a"), delta("b"), completed()]);
    let mut mixed = String::new();
    for (n, line) in body.split('\n').enumerate() {
        mixed.push_str(line);
        mixed.push_str(["\r\n", "\n", "\r"][n % 3]);
    }
    for body in [body.replace('\n', "\r"), body.replace('\n', "\r\n"), mixed, body] {
        let (events, error) = events_of(format!("\u{feff}{body}")).await;
        assert!(error.is_none(), "{body:?}");
        assert_eq!((events.len(), text(&events)), (4, "ab".to_owned()), "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_43_a_bare_carriage_return_delivers_its_event_at_once() {
    let (feed, mut stream) = fed(StreamSettings::default()).await;
    feed.text(sse(&[delta("a")]).replace('\n', "\r"));
    let first = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
    assert_eq!(text(&[first.expect("not held back").unwrap().unwrap()]), "a");
}

#[tokio::test]
async fn row_44_an_invalid_byte_is_replaced() {
    let mut body = sse(&[delta("a?b"), completed()]).into_bytes();
    let at = body.windows(3).position(|window| window == b"a?b").unwrap();
    body[at + 1] = 0xFF;
    let (events, error) = events_of(body).await;
    assert!(error.is_none());
    assert_eq!(text(&events), "a\u{fffd}b");
}

#[tokio::test]
async fn row_45_a_line_or_event_above_its_limit_is_too_large() {
    let mut settings = StreamSettings::default();
    settings.limits = Limits::uniform(1000);
    let line = sse(&[delta(&"x".repeat(2000)), completed()]);
    let event = format!("{}\n", "data: x\n".repeat(1500));
    for body in [line, event] {
        let body = sse(&[delta("a")]) + &body;
        let (events, error) = read(stream_with(settings, &[], body).await).await;
        assert_eq!(text(&events), "a");
        let error = error.unwrap();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::TooLarge, Stage::Streaming));
        assert!(error.chain().any(|cause| cause.to_string().contains("1000 bytes")), "{error:?}");
    }
}

#[tokio::test]
async fn row_49_nothing_follows_completed() {
    let body = sse(&[completed(), delta("late"), completed(), failed(json!({"code": "x"}))]);
    let (events, error) = events_of(body).await;
    assert!(error.is_none());
    assert_eq!(kinds(&events), ["response.completed"]);
}

#[tokio::test]
async fn row_50_every_code_of_a_failure_has_its_kind() {
    for (code, kind, retryable) in [
        ("context_length_exceeded", ErrorKind::ContextWindow, false),
        ("insufficient_quota", ErrorKind::Quota, false),
        ("usage_not_included", ErrorKind::UsageNotIncluded, false),
        ("usage_limit_reached", ErrorKind::UsageLimit, false),
        ("cyber_policy", ErrorKind::Policy, false),
        ("misalignment_policy_violation", ErrorKind::Policy, false),
        ("invalid_prompt", ErrorKind::InvalidRequest, false),
        ("bio_policy", ErrorKind::InvalidRequest, false),
        ("image_too_large", ErrorKind::InvalidRequest, false),
        ("failed_to_download_image", ErrorKind::InvalidRequest, false),
        ("server_is_overloaded", ErrorKind::Overloaded, false),
        ("slow_down", ErrorKind::Overloaded, false),
        ("rate_limit_exceeded", ErrorKind::RateLimited, true),
        ("server_error", ErrorKind::Server, true),
        ("vector_store_timeout", ErrorKind::Timeout, true),
        ("some_new_code", ErrorKind::Server, true),
    ] {
        let error = error_of(sse(&[failed(json!({"code": code, "message": "m"}))])).await;
        assert_eq!((error.kind(), error.code()), (kind, Some(code)));
        assert_eq!(error.is_retryable(), retryable, "{code}");
        assert_eq!((error.message(), error.response_id()), ("m", Some("resp_1")), "{code}");
    }
    for said in [json!(null), json!({}), json!(7)] {
        let error = error_of(sse(&[failed(said.clone())])).await;
        assert_eq!(error.kind(), ErrorKind::Server, "{said}");
        assert!(!error.message().is_empty(), "{said}");
    }
    let text = error_of(sse(&[failed(json!("the GPU is on fire"))])).await;
    assert_eq!((text.kind(), text.message()), (ErrorKind::Server, "the GPU is on fire"));
    let blank = error_of(sse(&[failed(json!({"code": "cyber_policy", "message": " "}))])).await;
    assert!(blank.message().contains("policy"), "{blank}");
}

#[tokio::test(start_paused = true)]
async fn row_50_a_failure_is_not_overwritten_by_what_the_connection_does_next() {
    let (feed, mut stream) = fed(StreamSettings::default()).await;
    feed.event(&failed(json!({"code": "insufficient_quota", "message": "m"})));
    feed.fail("connection reset");
    assert_eq!(stream.next().await.unwrap().unwrap_err().kind(), ErrorKind::Quota);
    assert!(stream.next().await.is_none());
}

fn incomplete(reason: &str, output: &Value) -> Value {
    json!({"type": "response.incomplete", "response": {"id": "resp_1", "status": "incomplete",
        "incomplete_details": {"reason": reason}, "output": output,
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}})
}

#[tokio::test]
async fn row_51_incomplete_tells_its_reason_and_keeps_the_text() {
    for reason in ["max_output_tokens", "content_filter", "something_new"] {
        let body = sse(&[created(), delta("Hel"), incomplete(reason, &json!([]))]);
        let (events, error) = events_of(body.clone()).await;
        assert_eq!(text(&events), "Hel");
        let error = error.unwrap();
        assert_eq!(
            (error.kind(), error.incomplete_reason()),
            (ErrorKind::Incomplete, Some(reason))
        );
        assert!(error.message().contains(reason) && !error.is_retryable(), "{error}");
        let partial = stream(&[], body).await.final_response().await.unwrap_err();
        let partial = partial.response().unwrap();
        assert_eq!(partial.output_text(), "Hel");
        assert_eq!(partial.usage.as_ref().unwrap().total_tokens, 7);
    }
}

#[tokio::test]
async fn row_52_a_top_level_error_event_is_an_error_in_every_spelling() {
    for event in [
        json!({"type": "error", "code": "server_error", "message": "m", "param": "p"}),
        json!({"type": "error", "error": {"code": "server_error", "message": "m", "param": "p"}}),
        json!({"error": {"code": "server_error", "message": "m", "param": "p"}}),
        json!({"type": "new.kind", "error": {"code": "server_error", "message": "m", "param": "p"}}),
    ] {
        let body = format!("data: {event}\n\n{}", sse(&[completed()]));
        let (events, error) = events_of(body).await;
        assert!(events.is_empty(), "{event}");
        let error = error.unwrap();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Server, Some("server_error")));
        assert_eq!((error.message(), error.param()), ("m", Some("p")), "{event}");
    }
    // One that says nothing is none.
    for nothing in [json!(null), json!(false), json!(""), json!(0)] {
        let own = json!({"type": "new.kind", "error": nothing});
        assert!(events_of(sse(&[own, completed()])).await.1.is_none(), "{nothing}");
    }
}

#[tokio::test]
async fn row_53_missing_and_jumping_sequence_numbers_are_tolerated() {
    let numbered = |n: Value| {
        let mut event = delta("x");
        event["sequence_number"] = n;
        event
    };
    let body = sse(&[numbered(json!(5)), delta("x"), numbered(json!(90)), numbered(json!(7))]);
    let mut stream = stream(&[], body + &sse(&[completed()])).await;
    let mut seen = Vec::new();
    while let Some(event) = stream.try_next().await.unwrap() {
        seen.push(event.sequence_number());
    }
    assert_eq!(seen, [Some(5), None, Some(90), Some(7), None]);
    assert_eq!(stream.sequence_number(), Some(90), "the highest one that was read");
}

#[tokio::test]
async fn row_69_broken_arguments_of_a_tool_call_are_text() {
    for arguments in ["{\"city\": ", "not json", "", "\u{0}", "[[[["] {
        let item = json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f",
            "arguments": arguments});
        let part = json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1",
            "output_index": 0, "delta": arguments});
        let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
        let body = sse(&[part, done, completed()]);
        let (events, error) = events_of(body.clone()).await;
        assert!(error.is_none(), "{arguments:?}");
        let ResponseEvent::OutputItemDone(done) = &events[1] else { panic!("{events:?}") };
        let ResponseItem::FunctionCall(call) = &done.item else { panic!("{done:?}") };
        assert_eq!(call.arguments, arguments);
        let response = stream(&[], body).await.final_response().await.unwrap();
        assert_eq!(response.output[0].as_function_call().unwrap().arguments, arguments);
    }
}

#[tokio::test]
async fn an_empty_item_list_at_the_end_keeps_the_finished_items() {
    let body = sse(&[created(), item_done("Hello"), completed()]);
    let response = stream(&[], body).await.final_response().await.unwrap();
    assert_eq!(response.output_text(), "Hello");
}

#[tokio::test]
async fn an_error_event_may_carry_the_status_it_stands_for() {
    let said = |code: &str| json!({"message": "m", "code": code});
    for (status, code, kind, retryable) in [
        (429, "unheard_of", ErrorKind::RateLimited, true),
        (429, "insufficient_quota", ErrorKind::Quota, false),
        (400, "unheard_of", ErrorKind::InvalidRequest, false),
        (401, "unheard_of", ErrorKind::Auth, false),
        (529, "unheard_of", ErrorKind::Overloaded, true),
        (503, "slow_down", ErrorKind::Overloaded, false),
    ] {
        for event in [
            json!({"type": "error", "status": status, "error": said(code)}),
            json!({"type": "error", "status": status, "code": code, "message": "m"}),
            json!({"status": status, "error": said(code)}),
        ] {
            let error = error_of(sse(&[created(), event.clone()])).await;
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{event}");
            assert_eq!(error.status().map(|found| found.as_u16()), Some(status), "{event}");
        }
    }
    for odd in [json!(200), json!(99999), json!("429"), json!(null)] {
        let event = json!({"type": "error", "status": odd, "error": said("unheard_of")});
        let error = error_of(sse(&[event])).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::Server, None), "{odd}");
    }
}
