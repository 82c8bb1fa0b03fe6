//! Stored responses and background jobs.

use std::time::Duration;

use http::Version;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_openai::testing::{Ending, Script, Server};

use crate::support::*;

fn question(extra: Value) -> Value {
    let mut body = json!({ "model": "gpt-5.2", "input": "hello", "stream": true });
    for (key, value) in extra.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body
}

/// A whole stream as its events.
async fn stream(server: &Server, method: &str, path: &str, body: Option<Value>) -> Vec<Value> {
    let response = ask(server, method, path, body).await;
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    events(&soon(text(response)).await)
}

async fn resumed(server: &Server, id: &str, after: usize) -> Vec<Value> {
    let path = format!("responses/{id}?stream=true&starting_after={after}");
    stream(server, "GET", &path, None).await
}

fn id(events: &[Value]) -> String {
    events[0]["response"]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn what_was_streamed_can_be_had_again_whole_and_in_part() {
    let server = Server::start().await.unwrap();
    let seen = stream(&server, "POST", "responses", Some(question(json!({})))).await;
    let id = id(&seen);
    let whole = get(&server, &format!("responses/{id}?include=a&include[]=b")).await;
    assert_eq!(whole, seen.last().unwrap()["response"]);
    assert_eq!(stream(&server, "GET", &format!("responses/{id}?stream=true"), None).await, seen);
    for after in 0..seen.len() {
        assert_eq!(resumed(&server, &id, after).await, seen[after + 1..]);
    }
    assert!(resumed(&server, &id, 1000).await.is_empty());
    let path = format!("responses/{id}?stream=true&include_obfuscation=false");
    let bare = stream(&server, "GET", &path, None).await;
    assert!(bare.len() == seen.len() && bare.iter().all(|event| event["obfuscation"].is_null()));
}

#[tokio::test]
async fn a_stored_stream_that_was_cut_is_complete_on_the_server() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(4).then_truncate());
    let response = ask(&server, "POST", "responses", Some(question(json!({})))).await;
    let (read, clean) = soon(read_all(response.into_body())).await;
    let first = events(&read);
    assert!(!clean && first.len() == 4);
    let rest = resumed(&server, &id(&first), 3).await;
    assert_eq!(rest[0]["sequence_number"], 4);
    assert_eq!(rest.last().unwrap()["type"], "response.completed");
}

#[tokio::test]
async fn store_false_keeps_nothing_and_delete_forgets() {
    let server = Server::start().await.unwrap();
    let gone = made(&server, "responses", json!({"model":"m","input":"x","store":false})).await;
    let path = format!("responses/{}", gone["id"].as_str().unwrap());
    let missing = (404, String::new(), String::from("response_not_found"));
    assert_eq!(refused(&server, "GET", &path, None).await, missing);

    let kept = made(&server, "responses", json!({"model":"m","input":"x"})).await;
    let path = format!("responses/{}", kept["id"].as_str().unwrap());
    let (status, deleted) = call(&server, "DELETE", &path, None).await;
    assert_eq!(
        (status, &deleted),
        (200, &json!({"id":kept["id"],"object":"response","deleted":true}))
    );
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/cancel")),
        ("GET", format!("{path}/input_items")),
    ] {
        assert_eq!(refused(&server, method, &path, None).await, missing, "{method} {path}");
    }
}

#[tokio::test]
async fn a_previous_response_has_to_be_there() {
    let server = Server::start().await.unwrap();
    let first = made(&server, "responses", json!({"model":"m","input":"x"})).await;
    let next = |id: &Value| json!({"model":"m","input":"y","previous_response_id":id});
    let second = made(&server, "responses", next(&first["id"])).await;
    assert_eq!(second["previous_response_id"], first["id"]);
    assert_eq!(
        refused(&server, "POST", "responses", Some(next(&json!("resp_nope")))).await,
        (400, "previous_response_id".into(), "previous_response_not_found".into())
    );
}

#[tokio::test]
async fn input_items_come_in_pages() {
    let server = Server::start().await.unwrap();
    let input: Vec<_> = (0..45).map(|n| json!({"role":"user","content":n.to_string()})).collect();
    let made = made(&server, "responses", json!({"model":"m","input":input})).await;
    let path = format!("responses/{}/input_items", made["id"].as_str().unwrap());
    let (mut texts, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&server, &format!("{path}?order=asc{after}")).await;
        assert_eq!(page["object"], "list");
        let data = page["data"].as_array().unwrap();
        texts.extend(
            data.iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()),
        );
        assert_eq!(
            (&page["first_id"], &page["last_id"]),
            (&data[0]["id"], &data[data.len() - 1]["id"])
        );
        after = format!("&after={}", page["last_id"].as_str().unwrap());
        if page["has_more"] == false {
            break;
        }
        assert_eq!(data.len(), 20);
    }
    assert_eq!(texts, (0..45).map(|n| n.to_string()).collect::<Vec<_>>());
    let newest = get(&server, &format!("{path}?limit=1")).await;
    assert_eq!(newest["data"][0]["content"][0]["text"], "44");
    let path = format!("{path}?limit=101");
    assert_eq!(refused(&server, "GET", &path, None).await.1, "limit");
}

#[tokio::test]
async fn tokens_are_counted_as_usage_counts_them_and_inputs_are_compacted() {
    let server = Server::start().await.unwrap();
    let request = json!({"model":"m","input":"how long is this","instructions":"count"});
    let counted = made(&server, "responses/input_tokens", request.clone()).await;
    assert_eq!(counted["object"], "response.input_tokens");
    let answer = made(&server, "responses", request.clone()).await;
    assert_eq!(counted["input_tokens"], answer["usage"]["input_tokens"]);

    let input = json!([{"role":"user","content":"keep"},{"role":"assistant","content":"drop"}]);
    let short = made(&server, "responses/compact", json!({"model":"m","input":input})).await;
    assert_eq!(short["object"], "response.compaction");
    let output = short["output"].as_array().unwrap();
    assert_eq!((output.len(), &output[0]["role"]), (2, &json!("user")));
    assert!(output[1]["type"] == "compaction" && output[1]["encrypted_content"].is_string());
    let missing = |param: &str| (400, param.into(), "missing_required_parameter".into());
    let refuse = |body| refused(&server, "POST", "responses/compact", Some(body));
    assert_eq!(refuse(json!({"input":"x"})).await, missing("model"));
    assert_eq!(refuse(json!({"model":"m"})).await, missing("input"));
}

#[tokio::test]
async fn a_background_job_is_queued_then_runs_and_can_be_polled() {
    let server = Server::builder().pace(Duration::from_millis(100)).start().await.unwrap();
    server.enqueue(Script::natural().text("one two three four"));
    let body = json!({"model":"m","input":"x","background":true});
    let mut now = made(&server, "responses", body).await;
    assert_eq!((&now["status"], &now["output"]), (&json!("queued"), &json!([])));
    let path = format!("responses/{}", now["id"].as_str().unwrap());
    let mut statuses = vec![String::from("queued")];
    while now["status"] == "queued" || now["status"] == "in_progress" {
        tokio::time::sleep(Duration::from_millis(5)).await;
        now = get(&server, &path).await;
        statuses.push(now["status"].as_str().unwrap().to_owned());
    }
    statuses.dedup();
    assert_eq!(statuses, ["queued", "in_progress", "completed"]);
    assert_eq!(now["output"][0]["content"][0]["text"], "one two three four");
}

/// Every way to lose a background stream, at every event: the rest is there, and nothing else.
#[tokio::test]
async fn a_background_stream_cut_anywhere_goes_on_where_it_was_cut() {
    let server = Server::start().await.unwrap();
    let text = "a b c d e f g h i j";
    let body = || question(json!({"background":true}));
    server.enqueue(Script::natural().text(text));
    let whole = stream(&server, "POST", "responses", Some(body())).await;
    assert_eq!(whole[1]["type"], "response.queued");
    let kinds =
        |events: &[Value]| events.iter().map(|event| event["type"].clone()).collect::<Vec<_>>();
    for cut in 1..whole.len() {
        let ending = [Ending::Complete, Ending::Reset, Ending::Truncate][cut % 3];
        let version = [Version::HTTP_11, Version::HTTP_2][cut % 2];
        server.enqueue(Script::natural().text(text).cut_after(cut).ending(ending));
        let response = ask_over(version, &server, "POST", "responses", Some(body())).await;
        let mut seen = events(&soon(read_all(response.into_body())).await.0);
        assert_eq!(seen.len(), cut, "{ending:?}");
        seen.extend(resumed(&server, &id(&seen), cut - 1).await);
        assert_eq!(kinds(&seen), kinds(&whole), "cut after {cut}");
        let numbers: Vec<_> = seen.iter().map(|e| e["sequence_number"].as_u64().unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..whole.len() as u64), "{numbers:?}");
    }
}

#[tokio::test]
async fn a_running_job_is_followed_by_several_readers_and_outlives_them() {
    let server = Server::builder().pace(Duration::from_millis(20)).start().await.unwrap();
    server.enqueue(Script::natural().text("a b c d e f").cut_after(3).then_stall());
    let body = question(json!({"background":true}));
    let mut response = ask(&server, "POST", "responses", Some(body)).await;
    let first = soon(response.frame()).await.unwrap().unwrap().into_data().unwrap();
    let first = events(std::str::from_utf8(&first).unwrap());
    let id = id(&first);
    // Gone before the job has begun.
    drop(response);
    let (one, two) = tokio::join!(resumed(&server, &id, 0), resumed(&server, &id, 2));
    assert_eq!(one[2..], two[..]);
    assert_eq!(one.last().unwrap()["type"], "response.completed");
    let deltas: String = one.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(deltas, "a b c d e f");
    assert_eq!(resumed(&server, &id, 0).await, one);
}

#[tokio::test]
async fn cancelling_is_for_background_jobs_and_ends_their_streams() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().text("a b c").pace(Duration::from_secs(600)));
    let body = question(json!({"background":true}));
    let response = ask(&server, "POST", "responses", Some(body)).await;
    let mut body = response.into_body();
    let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    let path = format!("responses/{}", id(&events(std::str::from_utf8(&first).unwrap())));
    for _ in 0..2 {
        let cancelled = made(&server, &format!("{path}/cancel"), Value::Null).await;
        assert_eq!(cancelled["status"], "cancelled");
    }
    assert!(soon(read_all(body)).await.1, "the stream ends, without a terminal event");
    assert_eq!(get(&server, &path).await["status"], "cancelled");

    let done = made(&server, "responses", json!({"model":"m","input":"x","background":true})).await;
    let path = format!("responses/{}", done["id"].as_str().unwrap());
    stream_until_completed(&server, &path).await;
    assert_eq!(made(&server, &format!("{path}/cancel"), Value::Null).await["status"], "completed");

    let plain = made(&server, "responses", json!({"model":"m","input":"x"})).await;
    let path = format!("responses/{}/cancel", plain["id"].as_str().unwrap());
    let (status, error) = call(&server, "POST", &path, None).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["message"], "Cannot cancel a synchronous response.");
}

async fn stream_until_completed(server: &Server, path: &str) {
    while get(server, path).await["status"] != "completed" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn impossible_retrievals_and_backgrounds_are_refused() {
    let server = Server::start().await.unwrap();
    let unstored = json!({"model":"m","input":"x","background":true,"store":false});
    assert_eq!(refused(&server, "POST", "responses", Some(unstored)).await.1, "background");
    let plain = made(&server, "responses", json!({"model":"m","input":"x"})).await;
    let path = format!("responses/{}", plain["id"].as_str().unwrap());
    for (query, param) in [
        ("stream=true", "stream"),
        ("stream=1", "stream"),
        ("starting_after=3", "starting_after"),
        ("stream=true&starting_after=-1", "starting_after"),
    ] {
        let (status, said, _) = refused(&server, "GET", &format!("{path}?{query}"), None).await;
        assert_eq!((status, said.as_str()), (400, param), "{query}");
    }
}

#[tokio::test]
async fn a_script_for_a_path_waits_for_it() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(500));
    server.enqueue_for("responses/{}", Script::status(503));
    server.enqueue_for("/responses/{}/cancel", Script::status(409));
    let kept = call(&server, "POST", "responses", Some(json!({"model":"m","input":"x"}))).await;
    assert_eq!(kept.0, 500);
    assert_eq!(server.queued(), 2);
    let status = async |method, path| call(&server, method, path, None).await.0;
    assert_eq!(status("POST", "responses/x/cancel").await, 409);
    assert_eq!(status("GET", "responses/x").await, 503);
    assert_eq!(status("GET", "responses/x").await, 404);
    assert_eq!(server.queued(), 0);
}
