//! `POST memories/trace_summarize`.

use http::{HeaderMap, Method};
use serde_json::json;
use tower::ServiceExt;
use tower_openai::extensions::Call;
use tower_openai::model::{MemorySummarizeInput, RawJson, RawMemory, Reasoning, ReasoningEffort};
use tower_openai::services::{Memories, MemoriesRequest, SessionSource, SubAgentSource};
use tower_openai::{Error, ErrorKind};

use crate::support::{assert_sent, json, once, whole};

const ANSWER: &str = r#"{"output":[{"trace_summary":"t1","memory_summary":"m1"},
    {"raw_memory":"t2","memory_summary":"m2"}]}"#;

const JSON_TYPE: (&str, &str) = ("content-type", "application/json");

fn input() -> MemorySummarizeInput {
    let items = vec![RawJson::from(json!({"type": "message", "role": "user"})), json!("a").into()];
    MemorySummarizeInput::new("gpt-5.2", vec![RawMemory::new("trace_1", "/tmp/a.jsonl", items)])
}

const BODY: &str = concat!(
    r#"{"model":"gpt-5.2","traces":[{"id":"trace_1","metadata":{"source_path":"/tmp/a.jsonl"},"#,
    r#""items":[{"role":"user","type":"message"},"a"]}]}"#,
);

#[tokio::test]
async fn the_request_is_written_to_the_byte() {
    let (http, seen) = once(whole(200, &[], ANSWER));
    let summaries = Memories::new(http).summarize_input(&input(), HeaderMap::new()).await.unwrap();
    let pairs: Vec<_> = summaries
        .iter()
        .map(|one| (one.raw_memory.as_str(), one.memory_summary.as_str()))
        .collect();
    assert_eq!(pairs, [("t1", "m1"), ("t2", "m2")]);
    let request = seen.take();
    // Without `arbitrary` order: `serde_json::Value` sorts the members of the item.
    assert_eq!(json(std::str::from_utf8(request.body().as_bytes().unwrap()).unwrap()), json(BODY));
    assert_sent(&request, Method::POST, "/memories/trace_summarize", &[JSON_TYPE], BODY);
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.model()), ("memories", Some("gpt-5.2")));
}

#[tokio::test]
async fn options_and_reasoning_go_along() {
    let (http, seen) = once(whole(200, &[("x-request-id", "req_2")], ANSWER));
    let mut input = input();
    input.reasoning = Some(Reasoning::effort(ReasoningEffort::Low));
    let source = SessionSource::SubAgent(SubAgentSource::MemoryConsolidation);
    let request = MemoriesRequest::from(input)
        .session_source(source)
        .header("x-openai-memgen-request", "true");
    let answer = Memories::new(http).oneshot(request).await.unwrap();
    assert_eq!((answer.output.len(), answer.meta().request_id()), (2, Some("req_2")));
    let body = BODY.replace("]}]}", r#"]}],"reasoning":{"effort":"low"}}"#);
    let headers = [
        JSON_TYPE,
        ("x-openai-memgen-request", "true"),
        ("x-openai-subagent", "memory_consolidation"),
    ];
    assert_sent(&seen.take(), Method::POST, "/memories/trace_summarize", &headers, &body);
}

#[tokio::test]
async fn both_summaries_are_needed() {
    for body in [
        r#"{"output":[{"trace_summary":"t"}]}"#,
        r#"{"output":[{"memory_summary":"m"}]}"#,
        r#"{"output":[{"trace_summary":null,"memory_summary":"m"}]}"#,
        r#"{}"#,
    ] {
        let (http, _) = once(whole(200, &[], body));
        let error: Error =
            Memories::new(http).summarize_input(&input(), HeaderMap::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}");
        assert!(error.message().contains("`memories`"), "{error}");
    }
}
