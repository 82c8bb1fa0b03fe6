//! The endpoints as the preset gives them: over real sockets, and each by its own policy.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Request};
use tokio::time::Instant;
use tower::service_fn;
use tower_openai::client::{Client, Policy};
use tower_openai::layers::telemetry::{CallEnd, CallInfo, Observe};
use tower_openai::model::{
    CompactionInput, ItemIds, MemorySummarizeInput, ResponseItem, SearchInput,
};
use tower_openai::provider::Provider;
use tower_openai::services::{
    Compact, CompactRequest, ModelsAnswer, ModelsRequest, ResponsesRequest,
};
use tower_openai::testing::{Script, Server};
use tower_openai::{BoxError, ErrorKind, RequestBody};

use crate::support::{json, whole};

const COMPACTED: &str = r#"{"output":[{"type":"compaction","encrypted_content":"x"}]}"#;
const SUMMARIES: &str = r#"{"output":[{"trace_summary":"t","memory_summary":"m"}]}"#;

#[tokio::test]
async fn they_work_over_real_sockets() {
    let server = Server::start().await.unwrap();
    for answer in [COMPACTED, SUMMARIES, r#"{"output":"found"}"#] {
        server.enqueue(Script::status(200).json(json(answer)));
    }
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let history = [ResponseItem::user("hi")];
    let input = CompactionInput::new("m", &history);
    let output = client.compact().compact_input(&input, HeaderMap::new()).await.unwrap();
    assert_eq!(output[0].kind(), "compaction");
    let input = MemorySummarizeInput::new("m", Vec::new());
    let output = client.memories().summarize_input(&input, HeaderMap::new()).await.unwrap();
    assert_eq!(output[0].memory_summary, "m");
    let input = SearchInput::new("s", "m");
    let found = client.search().search(input, HeaderMap::new()).await.unwrap();
    assert_eq!(found.output, "found");

    let requests = server.requests();
    let targets: Vec<_> = requests.iter().map(|request| request.target().to_string()).collect();
    assert_eq!(
        targets,
        ["/v1/responses/compact", "/v1/memories/trace_summarize", "/v1/alpha/search"]
    );
    for request in &requests {
        assert_eq!(request.headers()["authorization"], "Bearer sk-test");
        assert!(!request.headers().contains_key("accept"));
        assert_eq!(request.headers()["content-type"], "application/json");
    }
    let body = std::str::from_utf8(requests[1].body()).unwrap();
    assert_eq!(json(body), json(r#"{"model":"m","traces":[]}"#));
}

#[tokio::test]
async fn models_are_listed_over_real_sockets() {
    let server = Server::start().await.unwrap();
    let catalog = json(r#"{"models":[]}"#);
    server.enqueue(Script::status(200).header("etag", "W/\"7\"").json(catalog));
    server.enqueue(Script::status(304).header("etag", "W/\"7\""));
    server.enqueue(Script::status(200).json(json(r#"{"object":"list","data":[{"id":"m"}]}"#)));
    server.enqueue(Script::status(200).json(json(r#"{"id":"m"}"#)));
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let models = client.models();
    let (_, etag) = models.list_models("1.2.3", HeaderMap::new()).await.unwrap();
    let request = ModelsRequest::new("1.2.3").if_none_match(etag.unwrap());
    let answer = models.send(request).await.unwrap();
    assert_eq!(*answer, ModelsAnswer::NotModified { etag: Some("W/\"7\"".into()) });
    assert_eq!(client.list_models().list().await.unwrap()[0].id, "m");
    assert_eq!(client.retrieve_model().retrieve("m").await.unwrap().id, "m");

    let requests = server.requests();
    let targets: Vec<_> = requests.iter().map(|request| request.target().to_string()).collect();
    let catalog = "/v1/models?client_version=1.2.3";
    assert_eq!(targets, [catalog, catalog, "/v1/models", "/v1/models/m"]);
    assert_eq!(requests[1].header("if-none-match"), Some("W/\"7\""));
    for request in &requests {
        assert_eq!(request.header("authorization"), Some("Bearer sk-test"));
        assert!(request.header("content-type").is_none() && request.body().is_empty());
    }
}

#[tokio::test]
async fn stored_responses_work_over_real_sockets() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    // The server makes a response by itself; the rest of its life is scripted.
    let request = ResponsesRequest::new("gpt-5.2", "Say hello.");
    let created = client.create_response().send(request.clone()).await.unwrap();
    assert!(created.output_text().contains("Say hello."), "{created:?}");
    let id = &created.id;

    let response = json(&serde_json::to_string(created.value()).unwrap());
    server.enqueue(Script::status(200).json(response.clone()));
    assert_eq!(client.retrieve_response().send(id).await.unwrap().value(), created.value());
    let events = [
        r#"{"type":"response.output_text.delta","sequence_number":1,"delta":"and again"}"#,
        r#"{"type":"response.completed","sequence_number":2,"response":{"id":"resp_1"}}"#,
    ];
    server.enqueue(Script::events(events.map(json)));
    let stream = client.retrieve_stream().stream_request(id).await.unwrap();
    assert_eq!(stream.text().collect().await.unwrap(), "and again");
    server.enqueue(Script::status(200).json(response));
    client.cancel_response().send(id).await.unwrap();
    server.enqueue(Script::status(200).json(json(r#"{"input_tokens":3}"#)));
    assert_eq!(client.count_input_tokens().send(request).await.unwrap().input_tokens, 3);
    for (item, more) in [(1, true), (2, false)] {
        let page = format!(
            r#"{{"data":[{{"type":"message","id":"m{item}","role":"user","content":"x"}}],
            "has_more":{more}}}"#
        );
        server.enqueue(Script::status(200).json(json(&page)));
    }
    let mut items = client.list_input_items().items(id);
    assert_eq!(items.try_next().await.unwrap().unwrap().id(), Some("m1"));
    assert_eq!(items.try_next().await.unwrap().unwrap().id(), Some("m2"));
    assert_eq!(items.try_next().await.unwrap(), None);
    server.enqueue(Script::status(200).json(json(r#"{"id":"conv_1"}"#)));
    assert_eq!(&*client.conversations().retrieve("conv_1").await.unwrap().id, "conv_1");
    server.enqueue(Script::status(200).json(json("{}")));
    client.delete_response().send(id).await.unwrap();

    let requests = server.requests();
    let lines: Vec<_> = requests
        .iter()
        .map(|request| format!("{} {}", request.method(), request.target()).replace(&**id, "ID"))
        .collect();
    assert_eq!(
        lines,
        [
            "POST /v1/responses",
            "GET /v1/responses/ID",
            "GET /v1/responses/ID?stream=true",
            "POST /v1/responses/ID/cancel",
            "POST /v1/responses/input_tokens",
            "GET /v1/responses/ID/input_items",
            "GET /v1/responses/ID/input_items?after=m1",
            "GET /v1/conversations/conv_1",
            "DELETE /v1/responses/ID",
        ]
    );
    for request in &requests {
        assert_eq!(request.headers()["authorization"], "Bearer sk-test");
    }
}

#[tokio::test(start_paused = true)]
async fn each_has_a_policy_of_its_own() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let transport = service_fn(move |_: Request<RequestBody>| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(whole(503, &[], "")))
    });
    let policy: Policy = serde_json::from_str(
        r#"{"default": {"retry": {"max_retries": 0}}, "compact": {"retry": {"max_retries": 2}}}"#,
    )
    .unwrap();
    assert_eq!(policy.memories(), policy.default);
    let client = Client::builder().policy(policy).transport(transport).build().unwrap();
    let error = client.compact().send(CompactRequest::new("m", "hi")).await.unwrap_err();
    assert_eq!((error.kind(), calls.swap(0, Ordering::SeqCst)), (ErrorKind::Server, 3));
    let input = MemorySummarizeInput::new("m", Vec::new());
    let error = client.memories().send(input).await.unwrap_err();
    assert_eq!((error.kind(), calls.load(Ordering::SeqCst)), (ErrorKind::Server, 1));
}

#[tokio::test(start_paused = true)]
async fn work_may_take_20_minutes_and_no_longer() {
    let slow = |wait: Duration| {
        service_fn(move |_: Request<RequestBody>| async move {
            tokio::time::sleep(wait).await;
            Ok::<_, BoxError>(whole(200, &[], COMPACTED))
        })
    };
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let client = |wait| Client::builder().transport(slow(wait)).build().unwrap();
    let request = || CompactRequest::new("m", "hi");
    assert!(client(minutes(19)).compact().send(request()).await.is_ok());

    let start = Instant::now();
    let error = client(minutes(60)).compact().send(request()).await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed()), (ErrorKind::TotalTimeout, minutes(20)));

    // What the caller says of heads holds for all endpoints.
    let policy = serde_json::from_str(
        r#"{"default": {"retry": {"max_retries": 0},
        "timeouts": {"head_ms": 5000}}}"#,
    );
    let client =
        Client::builder().policy(policy.unwrap()).transport(slow(minutes(1))).build().unwrap();
    let error = client.compact().send(request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HeadTimeout);
}

/// Notes how calls end.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<String>>>);

impl Observe for Ends {
    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        let tokens = end.usage.map(|usage| usage.total_tokens);
        self.0.lock().unwrap().push(format!(
            "{:?} {:?} {} {tokens:?} {:?} {:?}",
            call.endpoint().unwrap(),
            call.is_streaming(),
            end.outcome.as_str(),
            end.model,
            end.response_id,
        ));
    }
}

#[tokio::test]
async fn telemetry_knows_what_they_cost() {
    let ends = Ends::default();
    let answers = Arc::new(Mutex::new(vec![
        "no",
        r#"{"id":"resp_1","output":[],
        "usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#,
    ]));
    let transport = service_fn(move |_: Request<RequestBody>| {
        let body = answers.lock().unwrap().pop().unwrap();
        std::future::ready(Ok::<_, Infallible>(whole(200, &[("openai-model", "m-1")], body)))
    });
    let client = Client::builder().transport(transport).observe(ends.clone()).build().unwrap();
    client.compact().send(CompactRequest::new("m", "hi")).await.unwrap();
    client.compact().send(CompactRequest::new("m", "hi")).await.unwrap_err();
    assert_eq!(
        *ends.0.lock().unwrap(),
        [
            r#""compact" false complete Some(3) Some("m-1") Some("resp_1")"#,
            r#""compact" false error None Some("m-1") None"#,
        ]
    );
}

#[tokio::test]
async fn ids_are_sent_as_the_client_says() {
    let answer = || {
        service_fn(|request: Request<RequestBody>| {
            let ids = memchr::memmem::find(request.body().as_bytes().unwrap(), b"msg_1").is_some();
            let id = if ids { "kept" } else { "stripped" };
            let body = format!(r#"{{"id":"{id}","output":[]}}"#);
            std::future::ready(Ok::<_, Infallible>(whole(200, &[], body)))
        })
    };
    let item = r#"{"type":"message","id":"msg_1","role":"user","content":"hi"}"#;
    let item: ResponseItem = serde_json::from_str(item).unwrap();
    let azure = Provider::new("azure", "https://x.openai.azure.com/openai/v1").unwrap();
    for (builder, id) in [
        (Client::builder(), "kept"),
        (Client::builder().item_ids(ItemIds::Strip), "stripped"),
        (Client::builder().provider(azure), "stripped"),
    ] {
        let client = builder.transport(answer()).build().unwrap();
        let request = CompactRequest::new("m", vec![item.clone()]);
        assert_eq!(client.compact().send(request).await.unwrap().id.as_deref(), Some(id));
    }
    // An endpoint over the stack itself goes by its own rule.
    let client = Client::builder().item_ids(ItemIds::Strip).transport(answer()).build().unwrap();
    let request = CompactRequest::new("m", vec![item]);
    let answer = Compact::new(client.http()).send(request).await.unwrap();
    assert_eq!(answer.id.as_deref(), Some("kept"));
}

#[tokio::test]
async fn an_id_stays_one_segment_all_the_way() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    for id in [
        "a/../b",
        "../x",
        "%2e%2e",
        "..%2f",
        "a b",
        "\u{e9}\u{1F600}",
        "\0",
        "a\r\nX: y",
        "?a=b",
        "#f",
        ";p=1",
        "\\..\\",
        "...",
        " ",
        "a?b#c",
        "http://x.test/",
        "@",
        "*",
        "~",
        "a+b",
    ] {
        let error = client.retrieve_response().send(id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{id:?} {error}");
        let target = server.requests().last().unwrap().target().to_owned();
        let segment = target.strip_prefix("/v1/responses/").unwrap_or_else(|| panic!("{target}"));
        assert!(!segment.contains(['/', '?', '#', ';', '\\', ' ']), "{target}");
        let told = percent_encoding::percent_decode_str(segment).decode_utf8().unwrap();
        assert_eq!(told, id, "{target}");
    }
}

#[tokio::test]
async fn an_id_that_makes_too_long_a_url_is_refused() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let transport = service_fn(move |request: Request<RequestBody>| {
        count.fetch_add(1, Ordering::SeqCst);
        assert!(request.uri().to_string().len() < 66_000);
        std::future::ready(Ok::<_, BoxError>(whole(404, &[], "")))
    });
    let client = Client::builder().base_url("https://x.test/v1").transport(transport);
    let client = client.build().unwrap();
    let mut refused = 0;
    for len in (65_300..65_700).step_by(7) {
        let error = client.retrieve_response().send("x".repeat(len)).await.unwrap_err();
        match error.kind() {
            ErrorKind::NotFound => assert_eq!(refused, 0, "{len}"),
            ErrorKind::Build => refused += 1,
            _ => panic!("{len}: {error:?}"),
        }
        assert!(error.to_string().len() < 300, "{}", error.to_string().len());
    }
    assert!(refused > 0 && sent.load(Ordering::SeqCst) > 0);
}
