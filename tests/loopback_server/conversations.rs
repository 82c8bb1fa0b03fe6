//! Conversations and their items.

use serde_json::{Value, json};
use tower_openai::testing::Server;

use crate::support::*;

fn texts(page: &Value) -> Vec<&str> {
    let items = page["data"].as_array().expect("a list").iter();
    items.map(|item| item["content"][0]["text"].as_str().expect("a text")).collect()
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

#[tokio::test]
async fn a_conversation_is_made_changed_and_deleted() {
    let server = Server::start().await.unwrap();
    let empty = call(&server, "POST", "conversations", None).await;
    assert_eq!((empty.0, &empty.1["metadata"]), (200, &json!({})));
    let body = json!({"metadata":{"a":"1"},"items":[user("hi")]});
    let made_one = made(&server, "conversations", body).await;
    assert_eq!(made_one["object"], "conversation");
    let path = format!("conversations/{}", made_one["id"].as_str().unwrap());
    assert_eq!(get(&server, &path).await, made_one);
    let changed = made(&server, &path, json!({"metadata":{"a":"2"}})).await;
    assert_eq!(changed["metadata"], json!({"a":"2"}));
    assert_eq!(get(&server, &path).await, changed);
    assert_eq!(refused(&server, "POST", &path, Some(json!({}))).await, missing("metadata"));

    let (status, deleted) = call(&server, "DELETE", &path, None).await;
    assert_eq!((status, &deleted["object"]), (200, &json!("conversation.deleted")));
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("GET", format!("{path}/items")),
        ("GET", format!("{path}/items/msg_1")),
    ] {
        let (status, _, code) = refused(&server, method, &path, None).await;
        assert_eq!((status, code.as_str()), (404, "conversation_not_found"), "{method} {path}");
    }
}

#[tokio::test]
async fn items_are_added_listed_and_removed() {
    let server = Server::start().await.unwrap();
    let body = json!({"items":[user("one")]});
    let conversation = made(&server, "conversations", body).await;
    let path = format!("conversations/{}/items", conversation["id"].as_str().unwrap());
    let added = made(&server, &path, json!({"items":[user("two"), user("three")]})).await;
    assert_eq!(texts(&added), ["two", "three"]);
    assert_eq!(texts(&get(&server, &path).await), ["three", "two", "one"]);
    let page = get(&server, &format!("{path}?order=asc&limit=2")).await;
    assert_eq!((texts(&page), &page["has_more"]), (vec!["one", "two"], &json!(true)));

    let item = format!("{path}/{}", added["data"][0]["id"].as_str().unwrap());
    assert_eq!(get(&server, &item).await, added["data"][0]);
    let (status, left) = call(&server, "DELETE", &item, None).await;
    assert_eq!((status, &left["id"]), (200, &conversation["id"]));
    assert_eq!(refused(&server, "GET", &item, None).await.2, "item_not_found");
    assert_eq!(texts(&get(&server, &path).await), ["three", "one"]);

    assert_eq!(refused(&server, "POST", &path, Some(json!({}))).await, missing("items"));
    let many = json!({"items": vec![user("x"); 21]});
    assert_eq!(refused(&server, "POST", &path, Some(many)).await.1, "items");
}

#[tokio::test]
async fn turns_belong_to_their_conversation() {
    let server = Server::start().await.unwrap();
    let conversation = made(&server, "conversations", json!({})).await;
    let ask =
        |conversation: Value| json!({"model":"m","input":"hello","conversation":conversation});
    let answer = made(&server, "responses", ask(conversation["id"].clone())).await;
    assert_eq!(answer["conversation"], json!({"id":conversation["id"]}));
    made(&server, "responses", ask(json!({"id":conversation["id"]}))).await;
    let path = format!("conversations/{}/items?order=asc", conversation["id"].as_str().unwrap());
    let page = get(&server, &path).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 4);
    assert_eq!(page["data"][1], answer["output"][0]);

    let unknown = refused(&server, "POST", "responses", Some(ask(json!("conv_nope")))).await;
    assert_eq!(unknown.2, "conversation_not_found");
    let mut both = ask(conversation["id"].clone());
    both["previous_response_id"] = answer["id"].clone();
    let both = refused(&server, "POST", "responses", Some(both)).await;
    assert_eq!((both.0, both.1.as_str()), (400, "previous_response_id"));
}
