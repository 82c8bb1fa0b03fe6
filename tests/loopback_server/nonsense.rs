//! Whatever is sent to whatever endpoint gets an answer that is no fault of the server's.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;
use tower_openai::testing::Server;

use crate::support::*;

const PATHS: [&str; 20] = [
    "responses",
    "responses/{}",
    "responses/{}/cancel",
    "responses/{}/input_items",
    "responses/input_tokens",
    "responses/compact",
    "memories/trace_summarize",
    "alpha/search",
    "models",
    "models/{}",
    "images/generations",
    "images/edits",
    "files",
    "files/{}",
    "files/{}/content",
    "files/{}/uploaded",
    "storage/{}",
    "conversations",
    "conversations/{}/items/{}",
    "realtime/calls",
];

const BODIES: [&str; 22] = [
    "",
    "{",
    "null",
    "[]",
    "7",
    "\"x\"",
    "\u{0}\u{1}",
    "{}",
    "{\"model\":7,\"prompt\":7,\"id\":7,\"file_name\":7,\"items\":7,\"sdp\":7}",
    "{\"model\":\"m\",\"input\":{}}",
    "{\"model\":\"m\",\"input\":[7,null,[],{\"type\":7},{\"role\":[]},{\"content\":{}}]}",
    "{\"model\":\"m\",\"input\":\"\\u0000\",\"tools\":[7,{}],\"stream\":true,\"stream_options\":7}",
    "{\"model\":\"m\",\"input\":\"x\",\"background\":true,\"stream\":true,\"reasoning\":{}}",
    "{\"model\":\"m\",\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}",
    "{\"model\":\"m\",\"input\":\"x\",\"conversation\":{\"id\":7}}",
    "{\"model\":\"m\",\"traces\":[7,null,{\"id\":7}]}",
    "{\"model\":\"m\",\"id\":\"s\",\"commands\":{\"search_query\":[7,{\"q\":7}]}}",
    "{\"prompt\":\"p\",\"n\":1e300,\"partial_images\":-1}",
    "{\"prompt\":\"p\",\"images\":[7],\"size\":[],\"stream\":true,\"partial_images\":3}",
    "{\"file_name\":\"\",\"file_size\":18446744073709551615,\"use_case\":\"\"}",
    "{\"items\":[7,null,{\"type\":{}}],\"metadata\":{\"a\":[]}}",
    "--b\r\n\r\n--b--\r\n--b\r\ncontent-disposition: form-data; name=\"\r\n\r\n\r\n--b--",
];

#[tokio::test]
async fn nonsense_is_refused_and_breaks_nothing() {
    let server = Server::start().await.unwrap();
    let client = client(Version::HTTP_11);
    let query = "?limit=99999999999999999999&after=%FF&order=&stream=&starting_after=-1&=&%";
    let mut answered = 0;
    for path in PATHS {
        for (number, body) in BODIES.into_iter().enumerate() {
            let id = ["x", "%00", "%FF%2F..", "..", "caf%C3%A9"][number % 5];
            let query = if number % 2 == 0 { "" } else { query };
            let kind = ["application/json", "multipart/form-data; boundary=b", "", "\u{e9}"];
            for method in ["POST", "GET", "PUT", "DELETE"] {
                let request = Request::builder()
                    .method(method)
                    .uri(format!("{}/{}{query}", server.base_url(), path.replace("{}", id)))
                    .header("content-type", kind[number % 4].as_bytes())
                    .header("x-ms-blob-type", "BlockBlob")
                    .body(Full::from(Bytes::from(body)))
                    .unwrap();
                let response = soon(client.request(request)).await.unwrap();
                let status = response.status();
                assert!(!status.is_server_error(), "{method} {path} {body}: {status}");
                soon(response.into_body().collect()).await.unwrap();
                answered += 1;
            }
        }
    }
    assert_eq!(server.received(), answered);
    // Would panic if any of the server's tasks had.
    server.shutdown().await;
}

/// What the members of messages may be.
fn values() -> Vec<Value> {
    let deep = (0..100).fold(json!(7), |inner, _| json!([inner]));
    vec![
        Value::Null,
        json!(7),
        json!(-1.5),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("root"),
        json!([]),
        json!([7, null, {}]),
        json!({}),
        json!({"type": "message", "role": "user", "content": [{}, 7]}),
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]}),
        json!({"type": "realtime", "audio": {"input": 7}}),
        json!({"type": "realtime", "tools": [7], "audio": {"output": {"voice": []}}}),
        json!({"conversation": "none", "input": [7, {"content": 7}], "tools": []}),
        deep,
    ]
}

#[tokio::test]
async fn nonsense_on_a_socket_is_refused_and_breaks_nothing() {
    let server = Server::start().await.unwrap();
    for (path, kinds) in [
        ("responses", &["response.create", "response.steer", "x", ""][..]),
        (
            "realtime?model=m",
            &[
                "session.update",
                "input_audio_buffer.append",
                "input_audio_buffer.commit",
                "conversation.item.create",
                "conversation.item.retrieve",
                "conversation.item.truncate",
                "conversation.item.delete",
                "response.create",
                "response.cancel",
                "x",
            ],
        ),
    ] {
        let mut socket = open(&server, path).await;
        for kind in kinds {
            for value in values() {
                let message = json!({
                    "type": kind, "model": value, "input": value, "session": value, "item": value,
                    "audio": value, "response": value, "item_id": value, "previous_item_id": value,
                    "stream_id": value, "previous_response_id": value, "event_id": value,
                    "content_index": value, "audio_end_ms": value, "response_id": value,
                });
                soon(socket.send(Message::text(message.to_string()))).await.expect(path);
            }
        }
        // It is alive: what is not understood is an error, and the last one.
        soon(socket.send(Message::text("[\"end\"]"))).await.expect(path);
        loop {
            let message = soon(socket.next()).await.expect(path).expect(path);
            let text = message.into_text().expect("a text");
            if text.contains("could not parse the JSON body") {
                break;
            }
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn noise_on_a_socket_closes_it_and_breaks_nothing() {
    let server = Server::start().await.unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..64 {
        let mut socket = open(&server, "responses").await;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        })
        .take(512)
        .collect();
        // The server may have closed before all of it is written.
        let _ = socket.get_mut().write_all(&noise).await;
        let _ = socket.get_mut().shutdown().await;
        while let Some(Ok(_)) = soon(socket.next()).await {}
    }
    server.shutdown().await;
}
