//! What every transport has to carry: the endpoints, when all goes well and when it does not.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_openai::layers::ProviderLayer;
use tower_openai::model::{
    CompactionInput, MemorySummarizeInput, ResponseEvent, ResponseItem, SearchInput, SearchQuery,
};
use tower_openai::provider::Provider;
use tower_openai::services::{
    Compact, HttpService, ListModels, Memories, Models, ModelsAnswer, ModelsRequest, Responses,
    ResponsesRequest, RetrieveModel, Search,
};
use tower_openai::{BoxError, ErrorKind, RequestBody, Stage};

use crate::world::{Answer, Sent, World};

/// The transport under the layer that knows where the server is.
pub(crate) fn at<T>(base_url: &str, transport: T) -> impl Stack + use<T>
where
    T: Stack,
{
    ProviderLayer::new(Provider::new("test", base_url).unwrap()).layer(transport)
}

/// What the endpoints stand on.
pub(crate) trait Stack:
    HttpService<RequestBody, ResponseBody: Send + Unpin, Future: Send> + Clone + Send + Sync
{
}

impl<S> Stack for S where
    S: HttpService<RequestBody, ResponseBody: Send + Unpin, Future: Send> + Clone + Send + Sync
{
}

pub(crate) const EVENT_STREAM: (&str, &str) = ("content-type", "text/event-stream");

fn event(value: Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap())
}

fn created() -> String {
    event(json!({"type": "response.created", "response": {"id": "resp_1"}}))
}

pub(crate) fn delta(text: &str) -> String {
    event(json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "delta": text}))
}

pub(crate) fn completed() -> String {
    event(json!({"type": "response.completed", "response": {"id": "resp_1", "usage": null}}))
}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "hello")
}

/// Asserts what the one request so far was.
#[track_caller]
fn assert_sent(world: &impl World, method: Method, target: &str, body: &str) -> Sent {
    let [sent] = world.sent().try_into().expect("one request");
    assert_eq!((&sent.method, sent.target.as_str()), (&method, target));
    assert_eq!(std::str::from_utf8(&sent.body).unwrap(), body);
    let content_type = sent.headers.get("content-type").map(|value| value.to_str().unwrap());
    assert_eq!(content_type, (!body.is_empty()).then_some("application/json"));
    sent
}

pub(crate) async fn responses_are_read_to_their_end(world: &impl World, http: impl Stack) {
    // Cut at odd places, a character among them.
    let whole = [created(), delta("Gr\u{fc}"), delta("ezi"), completed()].concat();
    let (first, second) = whole.split_at(whole.len() / 3);
    let answer = Answer::pieces([first.to_owned(), second.to_owned()]);
    world.tell(answer.header(EVENT_STREAM.0, EVENT_STREAM.1).header("x-request-id", "req_1"));
    let responses = Responses::new(at(&world.base_url(), http));
    let stream = responses.stream_request(request()).await.unwrap();
    assert_eq!(stream.meta().request_id(), Some("req_1"));
    assert_eq!(stream.text().collect().await.unwrap(), "Gr\u{fc}ezi");
    let [sent] = world.sent().try_into().unwrap();
    assert_eq!((sent.method, sent.target.as_str()), (Method::POST, "/v1/responses"));
    assert_eq!(sent.headers["accept"], "text/event-stream");
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!((&body["model"], &body["stream"]), (&json!("gpt-5.2"), &json!(true)));
}

pub(crate) async fn responses_are_read_as_they_come(world: &impl World, http: impl Stack) {
    let answer = Answer::pieces([created(), delta("Hel")]).left_open();
    world.tell(answer.header(EVENT_STREAM.0, EVENT_STREAM.1));
    let responses = Responses::new(at(&world.base_url(), http));
    let mut stream = responses.stream_request(request()).await.unwrap();
    let said = loop {
        match stream.try_next().await.unwrap().unwrap() {
            ResponseEvent::OutputTextDelta(event) => break event.delta,
            _ => continue,
        }
    };
    assert_eq!(said, "Hel", "the body is still open");
    drop(stream);
    world.reader_gone().await;
}

pub(crate) async fn responses_that_are_refused_say_why(world: &impl World, http: impl Stack) {
    let body = r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#;
    world.tell(Answer::new(429, body).header("retry-after", "7").header("x-request-id", "req_2"));
    let responses = Responses::new(at(&world.base_url(), http));
    let error = responses.stream_request(request()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::RateLimited, Stage::Sent));
    assert_eq!((error.message(), error.request_id()), ("slow down", Some("req_2")));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

pub(crate) async fn responses_that_are_cut_say_so(world: &impl World, http: impl Stack) {
    let responses = Responses::new(at(&world.base_url(), http));
    let begun = || {
        let answer = Answer::pieces([created(), delta("Hel")]);
        answer.header(EVENT_STREAM.0, EVENT_STREAM.1)
    };
    for (answer, kind) in
        [(begun(), ErrorKind::Truncated), (begun().broken(), ErrorKind::Transport)]
    {
        world.tell(answer);
        let stream = responses.stream_request(request()).await.unwrap();
        let error = stream.text().collect().await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (kind, Stage::Streaming), "{error:?}");
        assert_eq!(error.response_id(), Some("resp_1"));
    }
}

pub(crate) async fn compaction_works_and_fails(world: &impl World, http: impl Stack) {
    let compact = Compact::new(at(&world.base_url(), http));
    let history = [ResponseItem::user("hi")];
    let input = CompactionInput::new("m", &history);
    world.tell(Answer::new(200, r#"{"output":[{"type":"compaction","encrypted_content":"x"}]}"#));
    let output = compact.compact_input(&input, HeaderMap::new()).await.unwrap();
    assert_eq!(output[0].kind(), "compaction");
    let body = serde_json::to_string(&input).unwrap();
    assert_sent(world, Method::POST, "/v1/responses/compact", &body);

    world.tell(Answer::new(400, r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#));
    let error = compact.compact_input(&input, HeaderMap::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::ContextWindow, Stage::Sent));
    world.tell(Answer::new(200, r#"{"output":["#).broken());
    let error = compact.compact_input(&input, HeaderMap::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Transport, Stage::Streaming));
}

pub(crate) async fn memories_work_and_fail(world: &impl World, http: impl Stack) {
    let memories = Memories::new(at(&world.base_url(), http));
    let input = MemorySummarizeInput::new("m", Vec::new());
    world.tell(Answer::new(200, r#"{"output":[{"trace_summary":"t","memory_summary":"s"}]}"#));
    let output = memories.summarize_input(&input, HeaderMap::new()).await.unwrap();
    assert_eq!((output[0].raw_memory.as_str(), output[0].memory_summary.as_str()), ("t", "s"));
    let body = r#"{"model":"m","traces":[]}"#;
    assert_sent(world, Method::POST, "/v1/memories/trace_summarize", body);

    world.tell(Answer::new(503, r#"{"error":{"code":"server_is_overloaded"}}"#));
    let error = memories.summarize_input(&input, HeaderMap::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::Sent));
}

pub(crate) async fn models_work_and_fail(world: &impl World, http: impl Stack) {
    let models = Models::new(at(&world.base_url(), http));
    world.tell(Answer::new(200, r#"{"models":[]}"#).header("etag", "\"7\""));
    let (list, etag) = models.list_models("1.2.3", HeaderMap::new()).await.unwrap();
    assert_eq!((list.len(), etag.as_deref()), (0, Some("\"7\"")));
    assert_sent(world, Method::GET, "/v1/models?client_version=1.2.3", "");

    world.tell(Answer::pieces([]).status(304).header("etag", "\"7\""));
    let request = ModelsRequest::new("1.2.3").if_none_match("\"7\"");
    let answer = models.send(request).await.unwrap();
    assert_eq!(*answer, ModelsAnswer::NotModified { etag: Some("\"7\"".into()) });
    assert_eq!(world.sent()[1].headers["if-none-match"], "\"7\"");

    world.tell(Answer::new(401, ""));
    let error = models.send(ModelsRequest::new("1.2.3")).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Auth, Stage::Sent));
}

pub(crate) async fn the_public_list_works_and_fails(world: &impl World, http: impl Stack) {
    let http = at(&world.base_url(), http);
    let one = RetrieveModel::new(http.clone());
    world.tell(Answer::new(200, r#"{"object":"list","data":[{"id":"m"}]}"#));
    assert_eq!(ListModels::new(http).list().await.unwrap()[0].id, "m");
    assert_sent(world, Method::GET, "/v1/models", "");
    world.tell(Answer::new(200, r#"{"id":"a/b"}"#));
    assert_eq!(one.retrieve("a/b").await.unwrap().id, "a/b");
    assert_eq!(world.sent()[1].target, "/v1/models/a%2Fb");
    world.tell(Answer::new(404, ""));
    assert_eq!(one.retrieve("c").await.unwrap_err().kind(), ErrorKind::NotFound);
    // A redirect goes to whoever decides, not to where it says.
    world.tell(Answer::new(307, "").header("location", "/v1/models"));
    let error = one.retrieve("c").await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Protocol, 307));
}

pub(crate) async fn search_works_and_fails(world: &impl World, http: impl Stack) {
    let search = Search::new(at(&world.base_url(), http));
    let input = SearchInput::new("s", "m").command(SearchQuery::new("a"));
    world.tell(Answer::new(200, r#"{"output":"found"}"#));
    assert_eq!(search.send(input.clone()).await.unwrap().output, "found");
    let body = r#"{"id":"s","model":"m","commands":{"search_query":[{"q":"a"}]}}"#;
    assert_sent(world, Method::POST, "/v1/alpha/search", body);

    world.tell(Answer::new(200, "<html>").header("content-type", "text/html"));
    let error = search.send(input).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Protocol, Stage::Streaming));
    assert!(error.message().contains("text/html"), "{error}");
}

pub(crate) async fn request_bodies_stream(world: &impl World, http: impl Stack) {
    let pieces = ["one ", "two ", "three"];
    let open = move || {
        let frames = pieces.map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::from(piece))));
        StreamBody::new(futures_util::stream::iter(frames))
    };
    let http = at(&world.base_url(), http);
    for (nth, length) in [None, Some(13)].into_iter().enumerate() {
        world.tell(Answer::pieces(pieces.map(str::to_owned)));
        let body = RequestBody::replayable(length, open);
        let request = Request::post("/upload").body(body).unwrap();
        let response = http.clone().oneshot(request).await.map_err(Into::into).unwrap();
        let body = response.into_body().collect().await.map_err(Into::into).unwrap();
        assert_eq!(body.to_bytes(), "one two three");
        let sent = &world.sent()[nth];
        assert_eq!((sent.target.as_str(), &sent.body[..]), ("/v1/upload", &b"one two three"[..]));
        let header = sent.headers.get("content-length").map(|header| header.to_str().unwrap());
        let said = length.filter(|_| world.is_network()).map(|length| length.to_string());
        assert_eq!(header, said.as_deref());
    }
}

pub(crate) async fn a_server_that_is_not_there_is_told(world: &impl World, http: impl Stack) {
    let http = at(&world.dead_url(), http);
    let error = Responses::new(http.clone()).stream_request(request()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Connect, Stage::NotSent), "{error:?}");
    assert!(error.is_retryable());
    let error = ListModels::new(http).list().await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Connect, Stage::NotSent));
    assert!(world.sent().is_empty());
}
