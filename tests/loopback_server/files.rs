//! Uploads in three steps and as a form, and that nothing large is kept.

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tower_openai::testing::{Script, Server};

use crate::support::*;

/// FNV-1a, written anew.
fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

async fn announced(server: &Server, size: usize) -> (String, String) {
    let body = json!({"file_name":"a.txt","file_size":size,"use_case":"codex"});
    let answer = made(server, "files", body).await;
    let text = |key: &str| answer[key].as_str().expect("a string").to_owned();
    (text("file_id"), text("upload_url"))
}

fn put(url: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::put(url)
        .header("x-ms-blob-type", "BlockBlob")
        .header("content-type", "text/plain")
        .body(Full::from(body))
        .unwrap()
}

#[tokio::test]
async fn an_upload_has_three_steps_and_may_take_its_time() {
    let server = Server::builder().upload_retries(2).start().await.unwrap();
    let (id, url) = announced(&server, 5).await;
    let finish = async || made(&server, &format!("files/{id}/uploaded"), json!({})).await;
    assert_eq!(finish().await["status"], "error", "nothing there yet");
    let response = client(Version::HTTP_11).request(put(&url, "hello")).await.unwrap();
    assert_eq!((response.status().as_u16(), text(response).await), (201, String::new()));
    assert_eq!(finish().await, json!({"status":"retry"}));
    assert_eq!(finish().await, json!({"status":"retry"}));
    let done = finish().await;
    assert_eq!((&done["status"], &done["file_name"]), (&json!("success"), &json!("a.txt")));
    assert_eq!(done["mime_type"], "text/plain");

    let file = server.files().remove(0);
    assert_eq!((file.id(), file.name(), file.purpose()), (id.as_str(), "a.txt", "codex"));
    assert_eq!((file.size(), file.head()), (5, &b"hello"[..]));
    assert_eq!(file.digest(), fnv(*b"hello"));
    let response = ask(&server, "GET", &format!("files/{id}/content"), None).await;
    assert_eq!(text(response).await, "hello");
}

#[tokio::test]
async fn the_upload_url_wants_no_credentials_but_its_own() {
    let server = Server::builder().upload_host("localhost").start().await.unwrap();
    let (id, url) = announced(&server, 5).await;
    let port = server.address().port();
    assert!(url.starts_with(&format!("http://localhost:{port}/storage/{id}?sig=")), "{url}");
    let url = url.replace("localhost", "127.0.0.1");
    for name in ["authorization", "chatgpt-account-id", "cookie"] {
        let mut request = put(&url, "hello");
        request.headers_mut().insert(name, "hush".parse().unwrap());
        let (status, error) = sent(request).await;
        assert_eq!(status, 403, "{name}");
        assert!(error["error"]["message"].as_str().unwrap().contains(name));
        assert!(!error.to_string().contains("hush"));
    }
    let mut request = put(&url, "hello");
    request.headers_mut().remove("x-ms-blob-type");
    let (status, error) = sent(request).await;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("x-ms-blob-type")));
    let other = url.replace("?sig=", "?sig=x");
    assert_eq!(sent(put(&other, "hello")).await.0, 403);
    assert_eq!(sent(put(&url.replace(&id, "file_x"), "hello")).await.0, 404);
    assert!(server.files().is_empty());

    let response = client(Version::HTTP_11).request(put(&url, "shorter?")).await.unwrap();
    assert_eq!(response.status(), 201);
    let done = made(&server, &format!("files/{id}/uploaded"), json!({})).await;
    assert_eq!(done["error_message"], "8 bytes were uploaded instead of 5.");
}

#[tokio::test]
async fn announcements_have_to_be_whole() {
    let server = Server::builder().require_key("k").start().await.unwrap();
    assert_eq!(refused(&server, "POST", "files", Some(json!({}))).await.0, 401);
    let server = Server::start().await.unwrap();
    let whole = json!({"file_name":"a","file_size":1,"use_case":"codex"});
    for param in ["file_name", "file_size", "use_case"] {
        let mut body = whole.clone();
        body[param] = Value::Null;
        assert_eq!(refused(&server, "POST", "files", Some(body)).await, missing(param));
    }
    let mut body = whole.clone();
    body["file_size"] = json!(536_870_913);
    assert_eq!(refused(&server, "POST", "files", Some(body)).await.2, "integer_above_max_value");
    let path = "files/file_x/uploaded";
    assert_eq!(refused(&server, "POST", path, Some(json!({}))).await.2, "file_not_found");
}

const CHUNK: usize = 64 * 1024;

/// A body of `chunks` chunks, none of which exists before it is asked for.
fn flood(
    chunks: usize,
    head: String,
    tail: &'static str,
) -> StreamBody<impl stream::Stream<Item = Result<Frame<Bytes>, std::io::Error>>> {
    let content = (0..chunks).map(|number| Bytes::from(vec![number as u8; CHUNK]));
    let whole = std::iter::once(Bytes::from(head)).chain(content).chain([Bytes::from(tail)]);
    StreamBody::new(stream::iter(whole.map(|bytes| Ok(Frame::data(bytes)))))
}

#[tokio::test]
async fn uploads_beyond_what_is_read_otherwise_go_by() {
    let server = Server::start().await.unwrap();
    // One chunk more than other bodies may have.
    let chunks = 1025;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (id, url) = announced(&server, chunks * CHUNK).await;
    let request = Request::put(&url)
        .header("x-ms-blob-type", "BlockBlob")
        .header("content-length", chunks * CHUNK)
        .body(flood(chunks, String::new(), "").boxed())
        .unwrap();
    assert_eq!(client.request(request).await.unwrap().status(), 201);
    let done = made(&server, &format!("files/{id}/uploaded"), json!({})).await;
    assert_eq!(done["status"], "success", "{done}");

    let head = "--e\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--e\r\n\
                content-disposition: form-data; name=\"file\"; filename=\"b.bin\"\r\n\r\n";
    let request = Request::post(format!("{}/files", server.base_url()))
        .header("content-type", "multipart/form-data; boundary=e")
        .body(flood(chunks, head.to_owned(), "\r\n--e--\r\n").boxed())
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let public = json_of(response).await;
    assert_eq!((&public["bytes"], &public["filename"]), (&json!(chunks * CHUNK), &json!("b.bin")));
    assert_eq!((&public["purpose"], &public["object"]), (&json!("user_data"), &json!("file")));

    let expected = fnv((0..chunks).flat_map(|number| std::iter::repeat_n(number as u8, CHUNK)));
    for file in server.files() {
        assert_eq!((file.size(), file.digest()), ((chunks * CHUNK) as u64, expected));
        assert_eq!(file.head().len(), CHUNK);
    }
    for request in [&server.requests()[1], &server.requests()[3]] {
        assert_eq!(request.body().len(), CHUNK);
        assert!(request.body_len() >= (chunks * CHUNK) as u64);
    }
    assert_eq!(call(&server, "GET", &format!("files/{id}/content"), None).await.0, 400);
    // Other bodies have a limit.
    let request = Request::post(format!("{}/responses", server.base_url()))
        .body(flood(chunks, String::new(), "").boxed())
        .unwrap();
    match client.request(request).await {
        Ok(response) => assert_eq!(response.status(), 413),
        // The server may have closed before the client had sent all of it.
        Err(error) => assert!(!error.is_connect(), "{error}"),
    }
}

#[tokio::test]
async fn a_list_of_files_is_long_and_of_one_purpose_if_asked() {
    let server = Server::start().await.unwrap();
    let mut batch = Vec::new();
    for number in 0..30 {
        let purpose = if number % 10 == 0 { "batch" } else { "user_data" };
        let part = |head: &str, text| {
            format!("--e\r\ncontent-disposition: form-data; {head}\r\n\r\n{text}\r\n")
        };
        let (purpose, file) = (part("name=purpose", purpose), part("name=file; filename=a", "x"));
        let request = Request::post(format!("{}/files", server.base_url()))
            .header("content-type", "multipart/form-data; boundary=e")
            .body(Full::from(format!("{purpose}{file}--e--")))
            .unwrap();
        let file = sent(request).await.1;
        if file["purpose"] == "batch" {
            batch.push(file["id"].clone());
        }
    }
    let ids = async |query: &str| {
        let list = get(&server, &format!("files?{query}")).await;
        let ids = list["data"].as_array().unwrap().iter().map(|file| file["id"].clone());
        (ids.collect::<Vec<_>>(), list["has_more"] == true)
    };
    assert_eq!(ids("").await.0.len(), 30, "a page has 10,000");
    assert_eq!(ids("limit=10000").await.0.len(), 30);
    let error = refused(&server, "GET", "files?limit=10001", None).await;
    assert_eq!(error.2, "integer_above_max_value");
    assert_eq!(ids("purpose=batch&order=asc").await, (batch.clone(), false));
    assert_eq!(ids("purpose=batch&order=asc&limit=2").await, (batch[..2].to_vec(), true));
    let rest = format!("purpose=batch&order=asc&after={}", batch[1].as_str().unwrap());
    assert_eq!(ids(&rest).await, (batch[2..].to_vec(), false));
    assert_eq!(ids("purpose=vision").await, (Vec::new(), false));
}

#[tokio::test]
async fn public_files_are_listed_and_deleted_and_bad_forms_refused() {
    let server = Server::start().await.unwrap();
    let upload = |body: String, kind: &'static str| {
        let request = Request::post(format!("{}/files", server.base_url()));
        sent(request.header("content-type", kind).body(Full::from(body)).unwrap())
    };
    let part = |head: &str| format!("--e\r\ncontent-disposition: form-data; {head}\r\n\r\nx\r\n");
    let (purpose, file) = (part("name=purpose"), part("name=file; filename=a"));
    let kind = "multipart/form-data; boundary=e";
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (status, file) = upload(format!("{purpose}{file}--e--"), kind).await;
        assert_eq!((status, &file["status"]), (200, &json!("processed")));
        ids.push(file["id"].as_str().unwrap().to_owned());
    }
    let list = get(&server, "files?order=asc&limit=2").await;
    assert_eq!((&list["data"][1]["id"], &list["has_more"]), (&json!(ids[1]), &json!(true)));
    let path = format!("files/{}", ids[0]);
    assert_eq!(get(&server, &path).await, list["data"][0]);
    assert_eq!(call(&server, "DELETE", &path, None).await.1["deleted"], true);
    assert_eq!(refused(&server, "GET", &path, None).await.2, "file_not_found");

    let param = async |body: String, kind| {
        let (status, error) = upload(body, kind).await;
        (status, error["error"]["param"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(param(format!("{file}--e--"), kind).await, (400, "purpose".into()));
    assert_eq!(param(format!("{purpose}--e--"), kind).await, (400, "file".into()));
    assert_eq!(param(format!("{purpose}{file}"), kind).await.0, 400);
    assert_eq!(param(file.clone(), "multipart/form-data; x=y").await.0, 400);
    server.enqueue_for("files", Script::status(503));
    assert_eq!(upload(format!("{purpose}{file}--e--"), kind).await.0, 503);
}
