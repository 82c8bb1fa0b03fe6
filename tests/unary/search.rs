//! `POST alpha/search`.

use http::{HeaderMap, Method};
use serde_json::json;
use tower::ServiceExt;
use tower_openai::ErrorKind;
use tower_openai::extensions::Call;
use tower_openai::model::{
    ItemIds, OpenReference, ResponseItem, ResponseLength, SearchContextSize, SearchInput,
    SearchQuery, SearchSettings,
};
use tower_openai::services::{Search, SearchRequest, SessionSource, SubAgentSource};

use crate::support::{assert_sent, once, whole};

const ANSWER: &str = r#"{"output":"found","encrypted_output":"gAAAA","results":[{"url":"u"}]}"#;
const JSON_TYPE: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn the_request_is_written_to_the_byte() {
    let (http, seen) = once(whole(200, &[("x-request-id", "req_1")], ANSWER));
    let settings =
        SearchSettings::new().search_context_size(SearchContextSize::Low).external_web_access(true);
    let input = SearchInput::new("search_1", "gpt-5.2")
        .input("Why is the sky blue?")
        .command(SearchQuery::new("sky blue").recency(30).domains(["nasa.gov"]))
        .command(OpenReference::new("turn0search0").line(7))
        .response_length(ResponseLength::Short)
        .settings(settings)
        .max_output_tokens(500);
    let source = SessionSource::SubAgent(SubAgentSource::Other("s".into()));
    let request = SearchRequest::from(input).session_source(source);
    let answer = Search::new(http).oneshot(request).await.unwrap();
    assert_eq!((answer.output.as_str(), answer.results.len()), ("found", 1));
    assert_eq!(answer.encrypted_output.as_deref(), Some("gAAAA"));
    assert_eq!(answer.meta().request_id(), Some("req_1"));
    let body = concat!(
        r#"{"id":"search_1","model":"gpt-5.2","input":"Why is the sky blue?","commands":{"#,
        r#""search_query":[{"q":"sky blue","recency":30,"domains":["nasa.gov"]}],"#,
        r#""open":[{"ref_id":"turn0search0","lineno":7}],"response_length":"short"},"#,
        r#""settings":{"search_context_size":"low","external_web_access":true},"#,
        r#""max_output_tokens":500}"#,
    );
    let request = seen.take();
    let headers = [JSON_TYPE, ("x-openai-subagent", "s")];
    assert_sent(&request, Method::POST, "/alpha/search", &headers, body);
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.model()), ("search", Some("gpt-5.2")));
}

#[tokio::test]
async fn the_least_request_is_written_to_the_byte() {
    let (http, seen) = once(whole(200, &[], r#"{"output":""}"#));
    let mut extra = HeaderMap::new();
    extra.insert("x-extra", "a".parse().unwrap());
    let found = Search::new(http).search(SearchInput::new("s", "m"), extra).await.unwrap();
    assert_eq!((found.output.as_str(), found.encrypted_output), ("", None));
    let body = r#"{"id":"s","model":"m"}"#;
    let headers = [JSON_TYPE, ("x-extra", "a")];
    assert_sent(&seen.take(), Method::POST, "/alpha/search", &headers, body);
}

#[tokio::test]
async fn ids_are_sent_as_the_rule_says() {
    let item = json!({"type": "message", "id": "msg_1", "role": "user",
        "content": [{"type": "input_text", "text": "hi"}]});
    let item: ResponseItem = serde_json::from_value(item).unwrap();
    for (rule, own, sent) in [
        (ItemIds::Keep, None, true),
        (ItemIds::Strip, None, false),
        (ItemIds::WhenStored, None, false),
        (ItemIds::Strip, Some(ItemIds::Keep), true),
    ] {
        let (http, seen) = once(whole(200, &[], ANSWER));
        let mut request: SearchRequest =
            SearchInput::new("s", "m").input(vec![item.clone()]).into();
        if let Some(own) = own {
            request = request.item_ids(own);
        }
        Search::new(http).item_ids(rule).send(request).await.unwrap();
        let request = seen.take();
        let body = std::str::from_utf8(request.body().as_bytes().unwrap()).unwrap();
        assert_eq!(body.contains("msg_1"), sent, "{rule:?} {own:?}");
    }
}

#[tokio::test]
async fn an_answer_without_output_is_an_error() {
    for body in ["{}", r#"{"output":null}"#, r#"{"output":["found"]}"#] {
        let (http, _) = once(whole(200, &[], body));
        let error = Search::new(http).send(SearchInput::new("s", "m")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}");
        assert!(error.message().contains("`search`"), "{error}");
    }
}
