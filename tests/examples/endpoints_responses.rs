//! The `endpoints` example: what is done with stored responses.

use serde_json::{Value, json};
use tower_openai::Client;
use tower_openai::model::ResponseItem;
use tower_openai::services::ResponsesRequest;
use tower_openai::testing::{Script, Server};

use crate::run::{File, Ran, example, run};

async fn asked(server: &Server, arguments: &[&str]) -> Ran {
    let base_url = server.base_url().to_owned();
    run(example("endpoints", &[&["--base-url", &base_url], arguments].concat())).await
}

/// The one line of a command that has worked.
#[track_caller]
fn answer(ran: &Ran) -> Value {
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let [line] = ran.lines().try_into().expect("one line");
    line
}

/// A server that keeps one response, made of three messages, and its id.
async fn with_response() -> (Server, String) {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    let input = ["one", "two", "three"].map(ResponseItem::user);
    let request = ResponsesRequest::new("gpt-5.2", input).store(true);
    let response = client.create_response().send(request).await.unwrap().into_value();
    (server, response.id.to_string())
}

#[tokio::test]
async fn a_response_is_looked_up_and_forgotten() {
    let (server, id) = with_response().await;
    let response = answer(&asked(&server, &["retrieve", &id]).await);
    assert_eq!((&response["id"], &response["status"]), (&json!(id), &json!("completed")));
    let deleted = answer(&asked(&server, &["delete", &id]).await);
    assert_eq!(deleted, json!({"id": id, "deleted": true}));
    let ran = asked(&server, &["retrieve", &id]).await;
    assert_eq!((ran.code, ran.lines()[0]["kind"].as_str()), (1, Some("not_found")));
}

#[tokio::test]
async fn its_input_is_listed_over_all_pages() {
    let (server, id) = with_response().await;
    let before = server.received();
    let list =
        answer(&asked(&server, &["input-items", &id, "--limit", "1", "--order", "asc"]).await);
    let texts: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|item| &item["content"][0]["text"]).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert!(server.received() - before >= 3, "a page for each");
    let behind = list["data"][0]["id"].as_str().unwrap();
    let arguments = ["input-items", &id, "--after", behind, "--order", "asc"];
    let rest = answer(&asked(&server, &arguments).await);
    assert_eq!(rest["data"], json!(list["data"].as_array().unwrap()[1..]));
}

#[tokio::test]
async fn a_stream_is_read_from_where_it_was_left() {
    let server = Server::builder().scripted_only().start().await.unwrap();
    let event = |number: u32| {
        json!({"type": "response.output_text.delta", "sequence_number": number, "delta": "x",
            "item_id": "m", "output_index": 0, "content_index": 0})
    };
    let last = json!({"type": "response.completed", "sequence_number": 9,
        "response": {"id": "resp_1"}});
    let end = json!({"type": "client.end", "outcome": "completed", "response_id": "resp_1"});
    for (flags, target) in [
        (&[][..], "/v1/responses/resp_1?stream=true"),
        (&["--starting-after", "7"], "/v1/responses/resp_1?stream=true&starting_after=7"),
    ] {
        server.enqueue(Script::events([event(8), last.clone()]));
        let ran = asked(&server, &[&["resume", "resp_1"], flags].concat()).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(ran.lines(), [event(8), last.clone(), end.clone()]);
        assert_eq!(server.requests().pop().unwrap().target(), target);
    }
    // One that breaks says from where to go on.
    server.enqueue(Script::events([event(8)]).then_end());
    let ran = asked(&server, &["resume", "resp_1"]).await;
    assert_eq!((ran.code, ran.types()[1].as_str()), (1, "client.error"));
    let error = &ran.lines()[1];
    assert_eq!((&error["kind"], &error["sequence_number"]), (&json!("truncated"), &json!(8)));
}

#[tokio::test]
async fn a_response_is_stopped() {
    let server = Server::builder().scripted_only().start().await.unwrap();
    let response = json!({"id": "resp_1", "object": "response", "status": "cancelled"});
    server.enqueue(Script::status(200).json(response));
    let stopped = answer(&asked(&server, &["cancel", "resp_1"]).await);
    assert_eq!((&stopped["id"], &stopped["status"]), (&json!("resp_1"), &json!("cancelled")));
    let request = server.requests().pop().unwrap();
    assert_eq!(
        (request.method().as_str(), request.target()),
        ("POST", "/v1/responses/resp_1/cancel")
    );
}

#[tokio::test]
async fn tokens_are_counted() {
    let server = Server::start().await.unwrap();
    let body = File::new("e-count", r#"{"model":"m","input":"hello there","store":false}"#);
    let count = answer(&asked(&server, &["count-tokens", "--body", body.path()]).await);
    assert!(count["input_tokens"].as_u64().unwrap() > 0, "{count}");
    let request = server.requests().pop().unwrap();
    assert_eq!(request.target(), "/v1/responses/input_tokens");
    assert_eq!(request.json().unwrap(), json!({"model": "m", "input": "hello there"}));
}

#[tokio::test]
async fn wrong_usage_sends_nothing() {
    let server = Server::start().await.unwrap();
    let list = File::new("e-count-list", "[]");
    for arguments in [
        &["retrieve"][..],
        &["resume", "r", "--starting-after", "-1"],
        &["resume", "r", "--starting-after", "soon"],
        &["input-items", "r", "--limit", "many"],
        &["cancel", "r", "--limit", "1"],
        &["delete", "r", "s"],
        &["count-tokens", "--body", list.path()],
    ] {
        let ran = asked(&server, arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {ran:?}");
    }
    assert_eq!(server.received(), 0);
}
