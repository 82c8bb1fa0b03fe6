//! The crate's own client and the server, which share no code, understand each other.

use http::HeaderMap;
use serde_json::{Value, json};
use tower_openai::ErrorKind;
use tower_openai::client::Client;
use tower_openai::model::{
    CompactionInput, MemorySummarizeInput, ResponseItem, SearchInput, SearchQuery,
};
use tower_openai::services::{ModelsAnswer, ModelsRequest};
use tower_openai::testing::Server;

use crate::support::*;

#[tokio::test]
async fn natural_answers_are_decoded() {
    let server = Server::builder().require_key("sk-test").start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let history = [ResponseItem::user("hi"), ResponseItem::assistant("ho")];
    let input = CompactionInput::new("m", &history);
    let output = soon(client.compact().compact_input(&input, HeaderMap::new())).await.unwrap();
    let kinds: Vec<_> = output.iter().map(|item| item.kind().to_owned()).collect();
    assert_eq!(kinds, ["message", "compaction"]);

    let traces: Value = json!([{"id":"t","metadata":{"source_path":"p"},"items":[]}]);
    let traces = serde_json::from_value(traces).unwrap();
    let input = MemorySummarizeInput::new("m", traces);
    let output = soon(client.memories().summarize_input(&input, HeaderMap::new())).await.unwrap();
    assert_eq!(output.len(), 1);
}

#[tokio::test]
async fn natural_models_and_searches_are_decoded() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    let models = client.models();
    let (catalog, etag) = soon(models.list_models("1.0.0", HeaderMap::new())).await.unwrap();
    assert_eq!(catalog.len(), 3);
    let request = ModelsRequest::new("1.0.0").if_none_match(etag.as_deref().unwrap());
    let answer = soon(models.send(request)).await.unwrap();
    assert_eq!(*answer, ModelsAnswer::NotModified { etag });

    let list = soon(client.list_models().list()).await.unwrap();
    assert_eq!(list.len(), 3);
    let model = soon(client.retrieve_model().retrieve(&*list[0].id)).await.unwrap();
    assert_eq!(model, list[0]);
    let error = soon(client.retrieve_model().retrieve("gpt-none")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);

    let input = SearchInput::new("s", "m").command(SearchQuery::new("ferries"));
    let found = soon(client.search().search(input, HeaderMap::new())).await.unwrap();
    assert!(found.output.contains("ferries") && found.encrypted_output.is_some());
}
