//! The endpoints without much of a state: memories, search, models, images, realtime calls.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_openai::testing::{Script, Server};

use crate::support::*;

#[tokio::test]
async fn memories_have_two_sentences_each() {
    let server = Server::start().await.unwrap();
    let traces = json!([{"id":"t1","metadata":{"source_path":"a"},"items":[1,2]},{"id":"t2"}]);
    let path = "memories/trace_summarize";
    let answer = made(&server, path, json!({"model":"m","traces":traces})).await;
    let output = answer["output"].as_array().unwrap();
    assert_eq!(
        (output.len(), &output[0]["trace_summary"]),
        (2, &json!("The trace t1 has 2 items."))
    );
    assert!(output[1]["memory_summary"].is_string());
    let refuse = |body| refused(&server, "POST", path, Some(body));
    assert_eq!(refuse(json!({"traces":[]})).await, missing("model"));
    assert_eq!(refuse(json!({"model":"m"})).await, missing("traces"));
    assert_eq!(refuse(json!({"model":"m","traces":[{}]})).await, missing("traces[].id"));
}

#[tokio::test]
async fn searches_are_answered_with_a_text() {
    let server = Server::start().await.unwrap();
    let commands = json!({"search_query":[{"q":"tower"},{"q":"hyper","recency":7}]});
    let body = json!({"id":"s","model":"m","commands":commands});
    let answer = made(&server, "alpha/search", body).await;
    assert!(answer["output"].as_str().unwrap().contains("tower, hyper"));
    let refuse = |body| refused(&server, "POST", "alpha/search", Some(body));
    assert_eq!(refuse(json!({"model":"m"})).await, missing("id"));
    assert_eq!(refuse(json!({"id":"s"})).await, missing("model"));
}

/// Status, `ETag` and body of Codex's model list.
async fn codex_models(server: &Server, known: Option<&str>) -> (u16, String, Bytes) {
    let mut request = Request::get(format!("{}/models?client_version=1.2.3", server.base_url()));
    if let Some(tag) = known {
        request = request.header("if-none-match", tag);
    }
    let request = request.body(Full::default()).unwrap();
    let response = soon(client(Version::HTTP_11).request(request)).await.unwrap();
    let (parts, body) = response.into_parts();
    let tag = parts.headers["etag"].to_str().unwrap().to_owned();
    (parts.status.as_u16(), tag, soon(body.collect()).await.unwrap().to_bytes())
}

#[tokio::test]
async fn models_have_two_shapes_and_a_tag_that_changes_with_them() {
    let server = Server::start().await.unwrap();
    let (status, tag, body) = codex_models(&server, None).await;
    assert_eq!(status, 200);
    let models: Value = serde_json::from_slice(&body).unwrap();
    for required in ["slug", "display_name", "shell_type", "priority", "truncation_policy"] {
        assert!(!models["models"][0][required].is_null(), "{required}");
    }
    for known in [tag.clone(), format!("\"x\", W/{tag}"), String::from("*")] {
        let (status, same, body) = codex_models(&server, Some(&known)).await;
        assert_eq!((status, &same, body.len()), (304, &tag, 0), "{known}");
    }
    server.set_models([json!({"slug":"mine"}), json!({"broken":true})]);
    let (status, other, body) = codex_models(&server, Some(&tag)).await;
    assert!(status == 200 && other != tag);
    let models: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(models, json!({"models":[{"slug":"mine"},{"broken":true}]}));

    let list = get(&server, "models").await;
    assert_eq!((&list["object"], list["data"].as_array().unwrap().len()), (&json!("list"), 1));
    let model = get(&server, "models/mine").await;
    assert_eq!(model, list["data"][0]);
    assert_eq!((&model["id"], &model["object"]), (&json!("mine"), &json!("model")));
    assert_eq!(
        refused(&server, "GET", "models/other", None).await,
        (404, "model".into(), "model_not_found".into())
    );
}

#[tokio::test]
async fn images_come_whole_and_in_parts() {
    let server = Server::start().await.unwrap();
    let body = json!({"prompt":"p","model":"gpt-image-1","n":2,"size":"1536x1024"});
    let whole = made(&server, "images/generations", body).await;
    assert_eq!((whole["data"].as_array().unwrap().len(), &whole["size"]), (2, &json!("1536x1024")));
    assert!(whole["data"][0]["b64_json"].as_str().unwrap().starts_with("iVBOR"));
    assert!(whole["created"].is_u64());

    let body = json!({"prompt":"p","stream":true,"partial_images":2});
    let response = ask(&server, "POST", "images/generations", Some(body)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let events = events(&soon(text(response)).await);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let partial = "image_generation.partial_image";
    assert_eq!(kinds, [partial, partial, "image_generation.completed"]);
    assert_eq!(events[1]["partial_image_index"], 1);
    assert!(events[2]["usage"]["total_tokens"].is_u64());

    let refuse = |path, body| refused(&server, "POST", path, Some(body));
    assert_eq!(refuse("images/generations", json!({})).await, missing("prompt"));
    assert_eq!(refuse("images/generations", json!({"prompt":"p","n":11})).await.1, "n");
    let partial = json!({"prompt":"p","stream":true,"partial_images":4});
    assert_eq!(refuse("images/generations", partial).await.1, "partial_images");
    assert_eq!(refuse("images/edits", json!({"prompt":"p"})).await, missing("images"));
    assert_eq!(refuse("images/edits", json!({"prompt":"p","images":[]})).await, missing("images"));
}

fn form(path: String, parts: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut body = String::new();
    for (head, content) in parts {
        body += &format!("--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n{content}\r\n");
    }
    Request::post(path)
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(Full::from(body + "--edge--\r\n"))
        .unwrap()
}

#[tokio::test]
async fn edits_take_json_and_forms() {
    let server = Server::start().await.unwrap();
    let edits = || format!("{}/images/edits", server.base_url());
    let images = json!([{"image_url":"data:image/png;base64,AA=="}]);
    let whole = made(&server, "images/edits", json!({"prompt":"p","images":images})).await;
    assert_eq!(whole["data"].as_array().unwrap().len(), 1);

    let image = ("name=\"image[]\"; filename=\"a.png\"", "\u{89}PNG");
    let (prompt, n) = (("name=\"prompt\"", "p"), ("name=\"n\"", "3"));
    let (status, whole) = sent(form(edits(), &[prompt, image, n])).await;
    assert_eq!((status, whole["data"].as_array().unwrap().len()), (200, 3));
    let stream = [prompt, image, ("name=\"stream\"", "true"), ("name=\"partial_images\"", "1")];
    let response = client(Version::HTTP_11).request(form(edits(), &stream)).await.unwrap();
    let events = events(&soon(text(response)).await);
    assert_eq!(events[0]["type"], "image_edit.partial_image");
    assert_eq!(events[1]["type"], "image_edit.completed");

    let (status, error) = sent(form(edits(), &[prompt])).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("image")));
    assert_eq!(sent(form(edits(), &[image])).await.1["error"]["param"], "prompt");
}

const OFFER: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

#[tokio::test]
async fn realtime_calls_take_an_offer_in_three_forms() {
    let server = Server::start().await.unwrap();
    let url = || format!("{}/realtime/calls", server.base_url());
    let wrapped = |kind: &str, body: String| {
        Request::post(url()).header("content-type", kind).body(Full::from(body)).unwrap()
    };
    let json = json!({"sdp":OFFER,"session":{"type":"realtime"}}).to_string();
    let parts = [("name=\"sdp\"", OFFER), ("name=\"session\"", "{\"type\":\"realtime\"}")];
    for request in [
        wrapped("application/sdp", OFFER.into()),
        wrapped("application/json", json),
        form(url(), &parts),
    ] {
        let response = soon(client(Version::HTTP_11).request(request)).await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["content-type"], "application/sdp");
        let location = response.headers()["location"].to_str().unwrap();
        assert!(location.starts_with("/v1/realtime/calls/rtc_"), "{location}");
        assert!(soon(text(response)).await.starts_with("v=0\r\n"));
    }
    let param = async |request| {
        let (status, error) = sent(request).await;
        (status, error["error"]["param"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(param(wrapped("application/sdp", "hello".into())).await, (400, "sdp".into()));
    assert_eq!(param(wrapped("application/json", "{}".into())).await, (400, "sdp".into()));
    assert_eq!(param(form(url(), &parts[1..])).await, (400, "sdp".into()));
    let broken = [parts[0], ("name=\"session\"", "[]")];
    assert_eq!(param(form(url(), &broken)).await, (400, "session".into()));
    assert_eq!(param(wrapped("text/plain", OFFER.into())).await.0, 415);
}

#[tokio::test]
async fn the_key_is_asked_for_everywhere_and_scripts_go_first() {
    let server = Server::builder().require_key("k").start().await.unwrap();
    for path in ["models", "responses/r", "files", "conversations/c"] {
        assert_eq!(call(&server, "GET", path, None).await.0, 401, "{path}");
    }
    for path in ["models", "files", "conversations/c/items"] {
        server.enqueue(Script::status(503));
        assert_eq!(call(&server, "GET", path, None).await.0, 503, "{path}");
    }
}

#[tokio::test]
async fn prefixes_share_what_is_kept() {
    let server = Server::start().await.unwrap();
    let kept = made(&server, "responses", json!({"model":"m","input":"x"})).await;
    let id = kept["id"].as_str().unwrap();
    for prefix in ["v1", "/backend-api/codex", "openai/deployments/d", ""] {
        let url = server.url(&format!("{prefix}/responses/{id}?api-version=1"));
        let (status, body) = sent(Request::get(url).body(Full::default()).unwrap()).await;
        assert_eq!((status, &body), (200, &kept), "{prefix}");
    }
}
