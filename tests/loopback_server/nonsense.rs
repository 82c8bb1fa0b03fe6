//! Whatever is sent to whatever endpoint gets an answer that is no fault of the server's.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
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
