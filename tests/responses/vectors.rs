//! The acceptance vectors of http.md that are about requests and events. Those about errors alone
//! are unit tests in `src/error`, those about URLs are in `tests/layers.rs`.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use tower::service_fn;
use tower_openai::model::{ItemIds, ModelVerification, ResponseEvent, ResponseItem};
use tower_openai::provider::Provider;
use tower_openai::services::{
    Compression, Responses, ResponsesRequest, SessionHeaders, SessionSource, SubAgentSource,
};
use tower_openai::sse::StreamSettings;
use tower_openai::{Client, ErrorKind, RequestBody, Stage};

use crate::support::{
    call, completed, created, delta, error_of, events_of, failed, fed, item_done, kinds, request,
    response, sent, sent_by, sse,
};

/// A request whose input is a message with an id.
fn with_message_id(store: bool) -> ResponsesRequest {
    let body = json!({"type": "message", "id": "msg_1", "role": "user",
        "content": [{"type": "input_text", "text": "hi"}]});
    let item: ResponseItem = serde_json::from_value(body).unwrap();
    ResponsesRequest::new("m", vec![item]).store(store)
}

/// The id that the message has on the wire when the preset for `provider` sends it.
async fn id_sent_to(provider: &Provider, store: bool) -> Option<String> {
    let (seen, mut body) = tokio::sync::mpsc::unbounded_channel();
    let transport = service_fn(move |request: http::Request<RequestBody>| {
        seen.send(request.body().as_bytes().cloned().unwrap()).unwrap();
        async { Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default())) }
    });
    let client = Client::builder().provider(provider.clone()).transport(transport).build();
    let responses = client.unwrap().responses();
    drop(responses.stream_request(with_message_id(store)).await.unwrap());
    let body: Value = serde_json::from_slice(&body.recv().await.unwrap()).unwrap();
    body["input"][0]["id"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn store_and_azure_send_the_message_id() {
    let azure = Provider::new("azure", "https://x.openai.azure.com/openai/v1").unwrap();
    assert_eq!(id_sent_to(&azure, true).await.as_deref(), Some("msg_1"));
    assert_eq!(id_sent_to(&azure, false).await, None);
}

#[tokio::test]
async fn store_without_azure_sends_no_id_in_the_first_codex_mode() {
    let layer = Responses::layer().item_ids(ItemIds::Strip);
    let sent = sent_by(layer, with_message_id(true)).await.unwrap();
    assert_eq!(sent.body["input"][0].get("id"), None);
}

#[tokio::test]
async fn conversation_with_the_first_preset() {
    let sent = sent(request().conversation_id("c1")).await.unwrap();
    assert_eq!(sent.header("session_id"), Some("c1"));
    assert_eq!(sent.header("x-client-request-id"), Some("c1"));
}

#[tokio::test]
async fn session_and_thread_with_the_second_preset() {
    let names = SessionHeaders::HYPHEN;
    let sent = sent(request().session_headers(names).session_id("s").thread_id("t")).await.unwrap();
    assert_eq!(sent.header("session-id"), Some("s"));
    assert_eq!(sent.header("thread-id"), Some("t"));
    assert_eq!(sent.header("x-client-request-id"), Some("t"));
}

#[tokio::test]
async fn subagent_review_and_an_extra_header() {
    let source = SessionSource::SubAgent(SubAgentSource::Review);
    let sent = sent(request().session_source(source).header("x-extra", "kept")).await.unwrap();
    assert_eq!(sent.header("x-openai-subagent"), Some("review"));
    assert_eq!(sent.header("x-extra"), Some("kept"));
}

#[tokio::test]
async fn compression_and_a_content_encoding_conflict() {
    let request = request().compression(Compression::Zstd).header("content-encoding", "gzip");
    // `sent` fails the test if anything reached HTTP.
    let error = sent(request).await.err().expect("a refusal");
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    assert!(error.message().contains("content-encoding"), "{error}");
}

#[tokio::test]
async fn created_deltas_item_completed() {
    let body = sse(&[created(), delta("Hel"), delta("lo"), item_done("Hello"), completed()]);
    let (events, error) = events_of(body).await;
    assert!(error.is_none());
    let [
        ResponseEvent::Created(first),
        ResponseEvent::OutputTextDelta(hel),
        ResponseEvent::OutputTextDelta(lo),
        ResponseEvent::OutputItemDone(done),
        ResponseEvent::Completed(last),
    ] = &events[..]
    else {
        panic!("{:?}", kinds(&events));
    };
    assert_eq!(&*first.response.id, "resp_1");
    assert_eq!((&*hel.delta, &*lo.delta), ("Hel", "lo"));
    assert_eq!(done.item.id(), Some("msg_1"));
    assert!(last.response.usage.is_none());
}

#[tokio::test(start_paused = true)]
async fn completed_then_socket_stays_open() {
    let (feed, mut stream) = fed(StreamSettings::default()).await;
    feed.event(&completed());
    let start = tokio::time::Instant::now();
    let event = stream.next().await.unwrap().unwrap();
    assert!(matches!(event, ResponseEvent::Completed(_)));
    assert_eq!(start.elapsed(), Duration::ZERO, "the terminal event is never held back");
    assert!(stream.next().await.is_none());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(feed.is_closed());
}

#[tokio::test(start_paused = true)]
async fn failed_with_context_length_exceeded() {
    let (feed, mut stream) = fed(StreamSettings::default()).await;
    // The connection stays open: the error must not wait for its end.
    feed.event(&failed(json!({"code": "context_length_exceeded", "message": "too\nlong"})));
    let start = tokio::time::Instant::now();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(error.kind(), ErrorKind::ContextWindow);
    assert_eq!(error.message(), "too long");
    assert!(!error.is_retryable());
    assert!(stream.next().await.is_none());
    assert!(feed.is_closed());
}

#[tokio::test]
async fn failed_with_rate_limit_exceeded_and_a_delay() {
    let error = error_of(sse(&[failed(json!({
        "code": "rate_limit_exceeded",
        "message": "Rate limit reached. Please try again in 11.054s. Visit the site.",
    }))]))
    .await;
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.is_retryable());
    assert_eq!(error.retry_after(), Some(Duration::from_millis(11_054)));
}

#[tokio::test]
async fn failed_with_quota_invalid_prompt_and_slow_down() {
    let failure = async |error| error_of(sse(&[failed(error)])).await;
    let quota = failure(json!({"code": "insufficient_quota", "message": "m"})).await;
    assert_eq!((quota.kind(), quota.is_retryable()), (ErrorKind::Quota, false));
    let prompt = failure(json!({"code": "invalid_prompt", "message": "bad words"})).await;
    assert_eq!((prompt.kind(), prompt.message()), (ErrorKind::InvalidRequest, "bad words"));
    let slow = failure(json!({"code": "slow_down", "message": "m"})).await;
    assert_eq!(slow.kind(), ErrorKind::Overloaded);
}

#[tokio::test]
async fn eof_after_item_done() {
    let (events, error) = events_of(sse(&[created(), item_done("Hello")])).await;
    assert_eq!(kinds(&events), ["response.created", "response.output_item.done"]);
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert!(error.message().contains("closed before completion"), "{error}");
}

#[tokio::test]
async fn unknown_event_type() {
    let own = json!({"type": "response.hologram.delta", "sequence_number": 3, "beam": [1, 2]});
    let (events, error) = events_of(sse(&[own.clone(), completed()])).await;
    assert!(error.is_none());
    assert_eq!(kinds(&events), ["response.hologram.delta", "response.completed"]);
    assert!(matches!(events[0], ResponseEvent::Unknown(_)));
    assert_eq!(serde_json::to_value(&events[0]).unwrap(), own);
}

#[tokio::test]
async fn event_without_data() {
    let (events, error) =
        events_of(format!("event: response.new\n\n{}", sse(&[completed()]))).await;
    assert!(error.is_none());
    assert_eq!(kinds(&events), ["response.completed"]);
}

#[tokio::test]
async fn tool_search_call_with_object_arguments() {
    let item = json!({"type": "tool_search_call", "call_id": "c", "execution": "client",
        "arguments": {"query": "weather", "limit": 3}});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
    let (events, error) = events_of(sse(&[done, completed()])).await;
    assert!(error.is_none());
    let ResponseEvent::OutputItemDone(done) = &events[0] else { panic!("{events:?}") };
    let ResponseItem::ToolSearchCall(call) = &done.item else { panic!("{done:?}") };
    assert_eq!(call.execution.as_str(), "client");
    assert_eq!(call.arguments.parse::<Value>().unwrap()["limit"], 3);
}

#[tokio::test]
async fn server_model_from_the_response_headers_of_an_event() {
    let named = |kind: &str| json!({"type": kind, "response": {"id": "resp_1", "headers": {"OpenAI-Model": "m"}}});
    let events = [named("response.created"), named("response.in_progress"), completed()];
    let (events, error) = events_of(sse(&events)).await;
    assert!(error.is_none());
    assert_eq!(
        kinds(&events),
        ["client.server_model", "response.created", "response.in_progress", "response.completed"]
    );
    assert!(matches!(&events[0], ResponseEvent::ServerModel(model) if model == "m"));
}

#[tokio::test]
async fn payload_model_only_is_no_server_model() {
    let created = json!({"type": "response.created", "response": {"id": "r", "model": "m"}});
    let (events, _) = events_of(sse(&[created, completed()])).await;
    assert_eq!(kinds(&events), ["response.created", "response.completed"]);
}

#[tokio::test]
async fn metadata_with_verifications() {
    let metadata = json!({"type": "response.metadata", "metadata": {
        "openai_verification_recommendation": ["trusted_access_for_cyber", "x"]}});
    let (events, _) = events_of(sse(&[metadata, completed()])).await;
    assert_eq!(events.len(), 3);
    let ResponseEvent::ModelVerifications(known) = &events[0] else { panic!("{events:?}") };
    assert_eq!(known[..], [ModelVerification::TrustedAccessForCyber]);
}

#[tokio::test]
async fn bom_crlf_and_a_split_multi_byte_stream() {
    let mut body = vec![0xEF, 0xBB, 0xBF];
    let text = sse(&[created(), delta("caf\u{e9} \u{1F600}"), completed()]);
    body.extend_from_slice(text.replace('\n', "\r\n").as_bytes());
    let (feed, stream) = fed(StreamSettings::default()).await;
    for byte in body {
        feed.text(vec![byte]);
    }
    drop(feed);
    let (events, error) = crate::support::read(stream).await;
    assert!(error.is_none());
    assert_eq!(crate::support::text(&events), "caf\u{e9} \u{1F600}");
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn the_error_vectors_hold_through_the_endpoint() {
    let refused = async |status, headers, body: Value| {
        let answer = response(status, headers, Full::from(body.to_string()));
        call(StreamSettings::default(), request(), answer).await.map(drop).unwrap_err()
    };
    let overloaded = refused(503, &[], json!({"error": {"code": "server_is_overloaded"}})).await;
    assert_eq!(overloaded.kind(), ErrorKind::Overloaded);
    // base64 of {"error":{"code":"token_expired"}}
    let headers = [
        ("x-error-json", "eyJlcnJvciI6eyJjb2RlIjoidG9rZW5fZXhwaXJlZCJ9fQ=="),
        ("x-request-id", "req_1"),
        ("cf-ray", "ray_1"),
    ];
    let expired = refused(401, &headers, json!({})).await;
    assert_eq!((expired.kind(), expired.code()), (ErrorKind::Auth, Some("token_expired")));
    assert_eq!((expired.request_id(), expired.cf_ray()), (Some("req_1"), Some("ray_1")));
}
