//! The crate's own client and the server, which share no code, understand each other.

use http::HeaderMap;
use serde_json::{Value, json};
use tower_openai::client::Client;
use tower_openai::model::{CompactionInput, MemorySummarizeInput, ResponseItem};
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
