//! `POST responses/compact`.

use http::{HeaderMap, Method};
use serde_json::json;
use tower::ServiceExt;
use tower_openai::ErrorKind;
use tower_openai::extensions::Call;
use tower_openai::model::{
    AccessPrograms, CompactionInput, ItemIds, Reasoning, ReasoningEffort, ResponseItem,
    ServiceTier, TextControls, Tool, Verbosity,
};
use tower_openai::services::{
    Compact, CompactRequest, Compression, SessionHeaders, SessionSource, SubAgentSource, TurnState,
};

use crate::support::{assert_sent, once, whole};

const ANSWER: &str = r#"{"id":"resp_7","object":"response.compaction","created_at":1764967971,
    "output":[{"id":"msg_1","type":"message","status":"completed","role":"user",
               "content":[{"type":"input_text","text":"hi"}]},
              {"id":"cmp_1","type":"compaction","encrypted_content":"gAAAA"}],
    "usage":{"input_tokens":139,"input_tokens_details":{"cached_tokens":0},"output_tokens":438,
             "output_tokens_details":{"reasoning_tokens":64},"total_tokens":577}}"#;

const JSON_TYPE: (&str, &str) = ("content-type", "application/json");

fn history() -> Vec<ResponseItem> {
    let item = json!({"type": "message", "id": "msg_1", "role": "user",
        "content": [{"type": "input_text", "text": "hi"}]});
    vec![serde_json::from_value(item).unwrap()]
}

#[tokio::test]
async fn the_least_request_is_written_to_the_byte() {
    let (http, seen) = once(whole(200, &[], ANSWER));
    let history = history();
    let input = CompactionInput::new("gpt-5.2", &history);
    let output = Compact::new(http).compact_input(&input, HeaderMap::new()).await.unwrap();
    assert_eq!(
        output.iter().map(ResponseItem::kind).collect::<Vec<_>>(),
        ["message", "compaction"]
    );
    let body = concat!(
        r#"{"model":"gpt-5.2","input":[{"type":"message","id":"msg_1","role":"user","#,
        r#""content":[{"type":"input_text","text":"hi"}]}],"parallel_tool_calls":true}"#,
    );
    let request = seen.take();
    assert_sent(&request, Method::POST, "/responses/compact", &[JSON_TYPE], body);
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.model()), ("compact", Some("gpt-5.2")));
    assert!(!call.is_streaming());
}

#[tokio::test]
async fn the_fullest_request_is_written_to_the_byte() {
    let tools: Vec<Tool> = vec![serde_json::from_value(json!({"type": "web_search"})).unwrap()];
    let reasoning = Reasoning::effort(ReasoningEffort::High);
    let mut text = TextControls::default();
    text.verbosity = Some(Verbosity::Low);
    let access: AccessPrograms = serde_json::from_value(json!({"cyber": "standard"})).unwrap();
    let mut input = CompactionInput::new("m", &[]);
    input.instructions = "Keep it short.";
    input.tools = Some(&tools);
    input.parallel_tool_calls = false;
    input.reasoning = Some(&reasoning);
    input.text = Some(&text);
    input.service_tier = Some(&ServiceTier::Flex);
    input.prompt_cache_key = Some("key");
    input.access_programs = Some(&access);
    let body = concat!(
        r#"{"model":"m","input":[],"instructions":"Keep it short.","#,
        r#""tools":[{"type":"web_search"}],"parallel_tool_calls":false,"#,
        r#""reasoning":{"effort":"high"},"text":{"verbosity":"low"},"service_tier":"flex","#,
        r#""prompt_cache_key":"key","access_programs":{"cyber":"standard"}}"#,
    );
    let mut extra = HeaderMap::new();
    extra.insert("x-codex-beta-features", "a".parse().unwrap());
    let headers = [JSON_TYPE, ("x-codex-beta-features", "a")];

    let (http, seen) = once(whole(200, &[], ANSWER));
    Compact::new(http).compact_input(&input, extra).await.unwrap();
    assert_sent(&seen.take(), Method::POST, "/responses/compact", &headers, body);

    // As a request that owns what it says, the same.
    let (http, seen) = once(whole(200, &[], ANSWER));
    let request = CompactRequest::from(&input).header("x-codex-beta-features", "a");
    Compact::new(http).send(request).await.unwrap();
    assert_sent(&seen.take(), Method::POST, "/responses/compact", &headers, body);
}

#[tokio::test]
async fn the_options_are_those_of_every_endpoint() {
    let (http, seen) = once(whole(200, &[("x-codex-turn-state", "note")], ANSWER));
    let turn = TurnState::new();
    let request = CompactRequest::new("m", "hi")
        .session_headers(SessionHeaders::HYPHEN)
        .session_id("s")
        .thread_id("t")
        .session_source(SessionSource::SubAgent(SubAgentSource::Compact))
        .header("accept", "application/json")
        .turn_state(turn.clone());
    Compact::new(http).send(request).await.unwrap();
    let request = seen.take();
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!((header("session-id"), header("thread-id")), (Some("s"), Some("t")));
    assert_eq!(header("x-client-request-id"), Some("t"));
    assert_eq!(header("x-openai-subagent"), Some("compact"));
    assert_eq!(header("accept"), Some("application/json"), "the caller's own stays");
    assert_eq!(turn.get(), Some("note"), "the answer's note on the turn is kept");
}

#[tokio::test]
async fn the_answer_has_all_that_came_with_it() {
    let headers = [
        ("x-request-id", "req_1"),
        ("openai-model", "gpt-5.2-mini"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-codex-primary-used-percent", "12.5"),
    ];
    let (http, _) = once(whole(200, &headers, ANSWER));
    let answer = Compact::new(http).oneshot(CompactRequest::new("m", "hi")).await.unwrap();
    assert_eq!(answer.id.as_deref(), Some("resp_7"));
    assert_eq!(answer.usage.as_ref().unwrap().total_tokens, 577);
    assert_eq!(answer.meta().status(), 200);
    assert_eq!(answer.meta().request_id(), Some("req_1"));
    assert_eq!(answer.meta().model(), Some("gpt-5.2-mini"));
    assert!(answer.meta().public_rate_limits().is_some());
    assert_eq!(answer.meta().rate_limits().len(), 1);
    let (value, meta) = answer.map(|answer| answer.output.len()).into_parts();
    assert_eq!((value, meta.request_id()), (2, Some("req_1")));
}

#[tokio::test]
async fn ids_are_sent_as_the_rule_says() {
    for (rule, own, sent) in [
        (ItemIds::Keep, None, true),
        (ItemIds::Strip, None, false),
        (ItemIds::WhenStored, None, false),
        (ItemIds::Strip, Some(ItemIds::Keep), true),
    ] {
        let (http, seen) = once(whole(200, &[], ANSWER));
        let compact = Compact::new(http).item_ids(rule);
        let mut request = CompactRequest::new("m", history());
        if let Some(own) = own {
            request = request.item_ids(own);
        }
        compact.send(request).await.unwrap();
        let request = seen.take();
        let body = std::str::from_utf8(request.body().as_bytes().unwrap()).unwrap();
        assert_eq!(body.contains("msg_1"), sent, "{rule:?} {own:?}");
    }
}

#[tokio::test]
async fn a_payload_of_ones_own_is_sent_as_it_is() {
    let (http, seen) = once(whole(200, &[], ANSWER));
    let own = json!({"model": "m", "previous_response_id": "resp_1"});
    Compact::new(http).send(CompactRequest::from_body(&own).unwrap()).await.unwrap();
    let request = seen.take();
    let body = own.to_string();
    assert_sent(&request, Method::POST, "/responses/compact", &[JSON_TYPE], &body);
    assert_eq!(request.extensions().get::<Call>().unwrap().model(), Some("m"));
    for other in [json!([own]), json!("m"), json!(null)] {
        let error = CompactRequest::from_body(&other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains("a JSON object"), "{error}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_sent() {
    let request = || CompactRequest::new("m", "hi");
    let zstd_twice = request().compression(Compression::Zstd).header("content-encoding", "zstd");
    for (request, word) in [
        (request().header("bad name", "x"), "`bad name`"),
        (request().conversation_id("a\nb"), "conversation_id"),
        (zstd_twice, "content-encoding"),
        (request().header("x-good", "a\nb").options(Default::default()), "x-good"),
    ] {
        let (http, seen) = once(whole(200, &[], ANSWER));
        let error = Compact::new(http).send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains(word), "{error}");
        assert!(seen.is_none());
    }
}

#[tokio::test]
async fn one_item_that_cannot_be_read_fails_the_whole() {
    let body = r#"{"output":[{"type":"compaction","encrypted_content":"x"},{"type":"message"}]}"#;
    let (http, _) = once(whole(200, &[], body));
    let error = Compact::new(http).send(CompactRequest::new("m", "hi")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let cause = error.chain().nth(1).unwrap().to_string();
    assert!(cause.contains("`output`") && cause.contains("message"), "{cause}");
}
