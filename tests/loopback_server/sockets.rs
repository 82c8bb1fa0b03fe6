//! The Responses WebSocket, driven by a client that is not this crate's: the handshake, turns,
//! memory, and what is refused.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::{Error, Message};
use tower_openai::testing::{Outcome, Proxy, RecordedFrame, Script, Server, Tls};

use crate::support::*;

pub(crate) fn create(input: &str) -> Value {
    json!({"type": "response.create", "model": "gpt-5.2", "input": input, "tools": []})
}

pub(crate) fn and(mut message: Value, key: &str, value: impl Into<Value>) -> Value {
    message[key] = value.into();
    message
}

pub(crate) const TERMINAL: &[&str] = &["response.completed", "response.failed", "error"];

/// Asks for a turn, and the events of the answer.
pub(crate) async fn turn(socket: &mut Socket, message: Value) -> Vec<Value> {
    say(socket, message).await;
    hear_until(socket, TERMINAL).await
}

/// As [`turn`], and the id of the response.
async fn id_of(socket: &mut Socket, message: Value) -> String {
    let events = turn(socket, message).await;
    let last = &events[events.len() - 1];
    assert_eq!(last["type"], "response.completed", "{last}");
    last["response"]["id"].as_str().expect("an id").to_owned()
}

/// As [`turn`], for one that is refused: status, `param` and `code`.
async fn refusal(socket: &mut Socket, message: Value) -> (u16, String, String) {
    let event = turn(socket, message).await.remove(0);
    assert_eq!(event["type"], "error", "{event}");
    let error = &event["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{event}");
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    (u16::try_from(event["status"].as_u64().unwrap()).unwrap(), text("param"), text("code"))
}

#[tokio::test]
async fn a_turn_is_the_stream_s_events_one_to_a_message() {
    let server = Server::start().await.unwrap();
    let (mut socket, response) = knock(&server, handshake(&server, "responses")).await.unwrap();
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
    for number in 0..2 {
        let over_socket = turn(&mut socket, create("hello")).await;
        let over_http = events(&text(send(&server, STREAM).await).await);
        assert_eq!(types(&over_socket), types(&[over_http].concat()), "turn {number}");
        for (number, event) in over_socket.iter().enumerate() {
            assert_eq!(event["sequence_number"], number);
            assert_eq!(event.get("stream_id"), None);
        }
    }
    socket.close(None).await.unwrap();
    let seen = server.requests().remove(0);
    assert_eq!((seen.method().as_str(), seen.path()), ("GET", "/v1/responses"));
    assert_eq!(soon(seen.closed()).await, Outcome::Complete);
    assert_eq!(seen.messages()[1]["input"], "hello");
    assert_eq!(seen.frames().pop(), Some(RecordedFrame::Close(None)));
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let server = Server::builder().require_key("sk-test").start().await.unwrap();
    let knock_with = async |name: &'static str, value: &'static str| {
        let mut request = handshake(&server, "responses");
        request.headers_mut().insert(name, value.parse().unwrap());
        // As bytes: the client would not send such a request.
        let mut head = String::from("GET /v1/responses HTTP/1.1\r\n");
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let shut = format!("{head}\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, shut.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let len = tokio::io::AsyncReadExt::read(&mut stream, &mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..len]).to_lowercase()
    };
    let refused = async |name, value| knock_with(name, value).await[9..12].to_owned();
    assert_eq!(refused("sec-websocket-version", "13").await, "101");
    assert_eq!(refused("sec-websocket-version", "8").await, "426");
    assert!(knock_with("sec-websocket-version", "8").await.contains("sec-websocket-version: 13"));
    assert_eq!(refused("sec-websocket-key", "c2hvcnQ=").await, "400");
    assert_eq!(refused("connection", "keep-alive").await, "400");
    assert_eq!(refused("authorization", "Bearer sk-guess").await, "401");
    assert_eq!(refused("upgrade", "h2c").await, "405");
    let mut request = handshake(&server, "models");
    request.headers_mut().insert("x-script", "ok".parse().unwrap());
    let response = knock(&server, request).await.unwrap_err();
    assert_eq!(response.status(), 200, "there is no such WebSocket");
}

#[tokio::test]
async fn the_latest_response_of_a_lane_is_continued_from_memory() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    let unstored = |input| and(create(input), "store", false);
    let first = id_of(&mut socket, unstored("one")).await;
    let second = id_of(&mut socket, and(unstored("two"), "previous_response_id", &*first)).await;
    let lost = (400, "previous_response_id".into(), "previous_response_not_found".into());
    let old = and(unstored("again"), "previous_response_id", &*first);
    assert_eq!(refusal(&mut socket, old.clone()).await, lost, "only the latest");
    id_of(&mut socket, and(unstored("three"), "previous_response_id", &*second)).await;

    let stored = id_of(&mut socket, create("stored")).await;
    id_of(&mut socket, unstored("other")).await;
    id_of(&mut socket, and(unstored("on"), "previous_response_id", &*stored)).await;

    let mut other = open(&server, "responses").await;
    id_of(&mut other, and(unstored("on"), "previous_response_id", &*stored)).await;
    assert_eq!(refusal(&mut other, old).await, lost, "memory goes with the socket");
}

#[tokio::test]
async fn a_continuation_in_vain_evicts_on_its_own_lane_only() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    let unstored = |input| and(create(input), "store", false);
    let parent = id_of(&mut socket, unstored("parent")).await;
    let child = || and(unstored("child"), "previous_response_id", &*parent);
    server.enqueue(Script::status(500)).enqueue(Script::status(500));
    assert_eq!(refusal(&mut socket, and(child(), "stream_id", "fork")).await.0, 500);
    assert_eq!(refusal(&mut socket, child()).await.0, 500);
    assert_eq!(refusal(&mut socket, child()).await.2, "previous_response_not_found");
}

#[tokio::test]
async fn a_warm_up_has_no_output_and_is_continued() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    let warm_up = and(and(create("hello"), "generate", false), "store", false);
    let events = turn(&mut socket, warm_up).await;
    assert_eq!(types(&events), ["response.created", "response.in_progress", "response.completed"]);
    let done = &events[2]["response"];
    assert_eq!(done["output"], json!([]));
    let next = and(and(create(""), "input", json!([])), "previous_response_id", done["id"].clone());
    id_of(&mut socket, next).await;
}

#[tokio::test]
async fn bad_messages_get_an_error_and_the_socket_stays() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    socket.send(Message::text("{")).await.unwrap();
    let event = hear(&mut socket).await;
    assert_eq!((&event["type"], &event["status"]), (&json!("error"), &json!(400)));
    let ours = |param: &str, code: &str| (400, param.into(), code.into());
    let missing = |param| ours(param, "missing_required_parameter");
    assert_eq!(refusal(&mut socket, json!({})).await, missing("type"));
    let unknown = json!({"type": "response.append"});
    assert_eq!(refusal(&mut socket, unknown).await, ours("type", "invalid_value"));
    let bare = json!({"type": "response.create"});
    assert_eq!(refusal(&mut socket, bare).await, missing("model"));
    for (key, value) in [("stream", false), ("background", true)] {
        let message = and(create("x"), key, value);
        assert_eq!(refusal(&mut socket, message).await, ours(key, "invalid_value"));
    }
    id_of(&mut socket, and(create("x"), "stream", true)).await;
}

#[tokio::test]
async fn what_only_the_socket_takes_is_refused_over_http() {
    let server = Server::start().await.unwrap();
    for (key, value) in [("type", json!("response.create")), ("generate", json!(false))] {
        let body = and(json!({"model": "m", "input": "x"}), key, value);
        let refused = refused(&server, "POST", "responses", Some(body)).await;
        assert_eq!(refused, (400, key.into(), "unknown_parameter".into()));
    }
}

#[tokio::test]
async fn too_much_and_the_wrong_kind_close_the_socket() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(hear_close(&mut socket).await.unwrap().0, 1003);

    let mut socket = open(&server, "responses").await;
    let huge = create(&"x".repeat(16 * 1024 * 1024));
    soon(socket.send(Message::text(huge.to_string()))).await.unwrap();
    assert_eq!(hear_close(&mut socket).await.unwrap().0, 1009);

    let mut socket = open(&server, "responses").await;
    let large = create(&"x".repeat(15 * 1024 * 1024));
    id_of(&mut socket, large).await;
}

#[tokio::test]
async fn an_old_socket_refuses_turns_and_closes() {
    let age = std::time::Duration::from_millis(1);
    let server = Server::builder().socket_age(age).start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    let event = hear(&mut socket).await;
    assert_eq!(event["error"]["code"], "websocket_connection_limit_reached");
    assert_eq!(hear_close(&mut socket).await.unwrap().0, 1000);
}

#[tokio::test]
async fn a_steer_replaces_what_is_on_its_way() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    server.enqueue(Script::natural().cut_after(5).then_stall());
    say(&mut socket, create("a story")).await;
    let events = hear_until(&mut socket, &["response.output_text.delta"]).await;
    let id = &events[0]["response"]["id"];
    let steer =
        json!({"type": "response.steer", "previous_response_id": id, "input": "a short one"});
    say(&mut socket, steer.clone()).await;
    let events = hear_until(&mut socket, TERMINAL).await;
    assert_eq!(
        types(&events)[..3],
        ["response.steer.accepted", "response.incomplete", "response.created"]
    );
    assert_eq!(events[1]["response"]["incomplete_details"]["reason"], "steered");
    assert_eq!(events[2]["response"]["previous_response_id"], *id);
    let said = events[events.len() - 1]["response"]["output"][0]["content"][0]["text"].to_string();
    assert!(said.contains("a short one"), "{said}");

    say(&mut socket, steer).await;
    let event = hear(&mut socket).await;
    assert_eq!(event["type"], "response.steer.failed");
    assert_eq!(event["steer"]["input"], "a short one");
}

#[tokio::test]
async fn a_steer_waits_for_the_calls_of_its_response() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    let tools = json!([{"type": "function", "name": "get_time", "parameters": {}}]);
    server.enqueue(Script::natural().delay(std::time::Duration::from_millis(20)));
    say(&mut socket, and(create("get_time"), "tools", tools)).await;
    let events = hear_until(&mut socket, &["response.in_progress"]).await;
    let id = &events[0]["response"]["id"];
    say(
        &mut socket,
        json!({"type": "response.steer", "previous_response_id": id, "input": "in Oslo"}),
    )
    .await;
    let events = hear_until(&mut socket, &["response.steer.pending"]).await;
    let pending = &events[events.len() - 1];
    let call = &pending["required_input"][0]["call_id"];
    let output = json!({"type": "function_call_output", "call_id": call, "output": "noon"});
    let next = and(create(""), "input", json!([output]));
    let events = turn(&mut socket, and(next, "previous_response_id", id.clone())).await;
    let said = events[events.len() - 1]["response"]["output"][0]["content"][0]["text"].to_string();
    assert!(said.contains("in Oslo"), "what the steer said is the last: {said}");
}

#[tokio::test]
async fn sockets_work_over_tls_and_through_proxies() {
    let tls = Tls::new().unwrap().host("api.example.test");
    let server = Server::builder().tls(tls.clone()).start().await.unwrap();
    let proxy = Proxy::http().host("api.example.test", server.address()).start().await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let connect = b"CONNECT api.example.test:443 HTTP/1.1\r\nhost: api.example.test:443\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, connect).await.unwrap();
    let mut answer = vec![0; 1024];
    let len = tokio::io::AsyncReadExt::read(&mut stream, &mut answer).await.unwrap();
    assert!(answer[..len].starts_with(b"HTTP/1.1 200"), "{answer:?}");
    let stream = secured(stream, "api.example.test", &tls.ca_pem(), None).await.unwrap();
    let opened = client_async("wss://api.example.test/v1/responses", stream).await;
    let (mut socket, _) = opened.unwrap();
    socket.send(Message::text(create("hello").to_string())).await.unwrap();
    let first = soon(socket.next()).await.unwrap().unwrap();
    assert!(first.into_text().unwrap().contains("response.created"));
    let seen = server.requests().remove(0);
    drop(socket);
    assert_eq!(soon(seen.closed()).await, Outcome::Disconnected);
}

#[tokio::test]
async fn the_server_stops_with_sockets_open() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    let seen = server.requests().remove(0);
    soon(server.shutdown()).await;
    assert_eq!(seen.outcome(), Some(Outcome::Stopped));
    assert!(matches!(soon(socket.next()).await, Some(Err(Error::Protocol(_) | Error::Io(_)))));
}
