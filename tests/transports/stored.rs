//! The same of the endpoints that keep things: responses, conversations, images, files, calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::Full;
use serde_json::json;
use tower::Layer;
use tower_openai::layers::{ProviderLayer, RetryLayer, RetryPolicy};
use tower_openai::model::{ImageGeneration, ResponseItem};
use tower_openai::provider::Provider;
use tower_openai::services::{
    CancelResponse, Conversations, CountInputTokens, CreateFile, CreateFileRequest, CreateResponse,
    DeleteFile, DeleteResponse, FileContent, Files, FormFile, Images, ImagesRequest, ImagesStream,
    ListFiles, ListFilesRequest, ListInputItems, RealtimeCall, RealtimeCallRequest,
    ResponsesRequest, RetrieveFile, RetrieveResponse, RetrieveStream, RetrieveStreamRequest,
    UploadSource,
};
use tower_openai::{ErrorKind, RequestBody};

use crate::suite::{EVENT_STREAM, Stack, at, completed, delta};
use crate::world::{Answer, Sent, World};

const RESPONSE: &str = r#"{"id":"resp_1","status":"completed","output":[]}"#;

/// Methods and targets, in order.
fn calls(world: &impl World) -> Vec<String> {
    world.sent().iter().map(|sent| format!("{} {}", sent.method, sent.target)).collect()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// The body of a form, with its boundary in the place of `B`.
#[track_caller]
fn assert_form(sent: &Sent, body: &str) {
    let content_type = header(&sent.headers, "content-type");
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let text = std::str::from_utf8(&sent.body).unwrap();
    assert_eq!(text.replace(boundary, "B").replace("\r\n", "\n"), body);
}

pub(crate) async fn responses_are_kept(world: &impl World, http: impl Stack) {
    let http = at(&world.base_url(), http);
    world.tell(Answer::new(200, RESPONSE));
    let create = CreateResponse::new(http.clone());
    let response = create.send(ResponsesRequest::new("m", "hi")).await.unwrap();
    assert_eq!(&*response.id, "resp_1");
    world.tell(Answer::new(200, RESPONSE));
    RetrieveResponse::new(http.clone()).send("resp_1").await.unwrap();
    let (name, value) = EVENT_STREAM;
    let pieces =
        [delta("hi").replace("\"delta\":", "\"sequence_number\":8,\"delta\":"), completed()];
    world.tell(Answer::pieces(pieces).header(name, value));
    let behind = RetrieveStreamRequest::new("resp_1").starting_after(7);
    let stream = RetrieveStream::new(http.clone()).stream_request(behind).await.unwrap();
    assert_eq!(stream.text().collect().await.unwrap(), "hi");
    world.tell(Answer::new(200, RESPONSE));
    CancelResponse::new(http.clone()).send("resp_1").await.unwrap();
    let page = |more| {
        let item = json!({"type": "message", "id": "msg_1", "role": "user", "content": "x"});
        json!({"object": "list", "data": [item], "last_id": "msg_1", "has_more": more}).to_string()
    };
    world.tell(Answer::new(200, page(true)));
    world.tell(Answer::new(200, r#"{"data":[],"has_more":false}"#));
    let mut items = ListInputItems::new(http.clone()).items("resp_1");
    assert_eq!(items.try_next().await.unwrap().unwrap().id(), Some("msg_1"));
    assert!(items.try_next().await.unwrap().is_none());
    world.tell(Answer::new(200, r#"{"input_tokens":11}"#));
    let count = CountInputTokens::new(http.clone());
    assert_eq!(count.send(ResponsesRequest::new("m", "hi")).await.unwrap().input_tokens, 11);
    world.tell(Answer::new(200, ""));
    DeleteResponse::new(http.clone()).send("resp_1").await.unwrap();
    world.tell(Answer::new(404, r#"{"error":{"message":"gone"}}"#));
    let error = RetrieveResponse::new(http).send("resp_1").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "gone"));
    assert_eq!(
        calls(world),
        [
            "POST /v1/responses",
            "GET /v1/responses/resp_1",
            "GET /v1/responses/resp_1?stream=true&starting_after=7",
            "POST /v1/responses/resp_1/cancel",
            "GET /v1/responses/resp_1/input_items",
            "GET /v1/responses/resp_1/input_items?after=msg_1",
            "POST /v1/responses/input_tokens",
            "DELETE /v1/responses/resp_1",
            "GET /v1/responses/resp_1",
        ]
    );
}

pub(crate) async fn conversations_are_kept(world: &impl World, http: impl Stack) {
    let conversations = Conversations::new(at(&world.base_url(), http));
    world.tell(Answer::new(200, r#"{"id":"conv_1"}"#));
    assert_eq!(&*conversations.retrieve("conv_1").await.unwrap().id, "conv_1");
    world.tell(Answer::new(200, r#"{"data":[{"type":"new","id":"i"}],"has_more":false}"#));
    let item: ResponseItem =
        conversations.items("conv_1").try_next().await.unwrap().expect("an item");
    assert_eq!(item.id(), Some("i"));
    world.tell(Answer::new(200, r#"{"id":"conv_1","deleted":true}"#));
    assert!(conversations.delete("conv_1").await.unwrap().deleted);
    world.tell(Answer::new(429, "").header("retry-after", "3"));
    let error = conversations.delete("conv_1").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after().unwrap().as_secs()), (ErrorKind::RateLimited, 3));
}

pub(crate) async fn images_are_made(world: &impl World, http: impl Stack) {
    let http = at(&world.base_url(), http);
    world.tell(Answer::new(200, r#"{"created":1,"data":[{"b64_json":"aW1hZ2U="}]}"#));
    let images = Images::new(http.clone()).send(ImageGeneration::new("m", "a cube")).await.unwrap();
    assert_eq!(images.data[0].decode().unwrap(), b"image");
    let (name, value) = EVENT_STREAM;
    let done = "data: {\"type\":\"image_edit.completed\",\"b64_json\":\"aW1hZ2U=\"}\n\n";
    world.tell(Answer::new(200, done).header(name, value));
    let edit = ImagesRequest::edit("m", "blue").image(FormFile::png("png"));
    let mut events = ImagesStream::new(http).stream_request(edit).await.unwrap();
    assert!(events.try_next().await.unwrap().is_some());
    assert!(events.try_next().await.unwrap().is_none());
    assert_eq!(calls(world), ["POST /v1/images/generations", "POST /v1/images/edits"]);
    let text = String::from_utf8_lossy(&world.sent()[1].body).into_owned();
    assert!(text.contains("name=\"image\"; filename=\"image.png\"\r\nContent-Type: image/png"));
    assert!(text.contains("name=\"stream\"\r\n\r\ntrue\r\n"), "{text}");
}

pub(crate) async fn a_call_is_begun(world: &impl World, http: impl Stack) {
    let calls = RealtimeCall::new(at(&world.base_url(), http));
    let accepted = || Answer::new(201, "v=0\r\n").header("location", "/v1/realtime/calls/rtc_1");
    world.tell(accepted());
    let answer = calls.send("v=0\r\no=-").await.unwrap();
    assert_eq!((answer.call_id.as_str(), answer.sdp.as_str()), ("rtc_1", "v=0\r\n"));
    world.tell(accepted());
    let offer = RealtimeCallRequest::new("v=0").session(&json!({"type": "realtime"}));
    calls.send(offer).await.unwrap();
    let [plain, form] = world.sent().try_into().unwrap();
    assert_eq!(header(&plain.headers, "content-type"), "application/sdp");
    assert_eq!(&plain.body[..], b"v=0\r\no=-");
    assert_form(
        &form,
        "--B\nContent-Disposition: form-data; name=\"sdp\"\nContent-Type: application/sdp\n\nv=0\n\
         --B\nContent-Disposition: form-data; name=\"session\"\nContent-Type: application/json\n\n\
         {\"type\":\"realtime\"}\n--B--\n",
    );
}

/// A source of this length that is read piece by piece.
fn source(bytes: &'static str, len: u64) -> UploadSource {
    let body = RequestBody::replayable(Some(len), move || Full::new(Bytes::from(bytes)));
    UploadSource::from_body("a.txt", body).unwrap()
}

pub(crate) async fn a_file_goes_up_in_three_steps(world: &impl World, http: impl Stack) {
    let (base, root) = (world.base_url(), world.base_url().replace("/v1", ""));
    let provider = Provider::new("test", &base).unwrap().backend_url(&base).unwrap();
    let provider = provider.header("x-team", "t").unwrap();
    let files = Files::new(ProviderLayer::new(provider).layer(http));
    let announced =
        json!({"file_id": "f", "upload_url": format!("{root}/up?sig=hidden-signature")});
    let ready = r#"{"status":"success","download_url":"https://d.test/"}"#;
    world.tell(Answer::new(200, announced.to_string()));
    world.tell(Answer::new(201, ""));
    world.tell(Answer::new(200, ready));
    assert_eq!(files.upload(source("hello", 5)).await.unwrap().uri(), "sediment://f");
    assert_eq!(
        calls(world),
        ["POST /v1/files", "PUT /up?sig=hidden-signature", "POST /v1/files/f/uploaded"]
    );
    let put = &world.sent()[1];
    assert_eq!((header(&put.headers, "content-length"), &put.body[..]), ("5", &b"hello"[..]));
    assert_eq!(header(&put.headers, "x-ms-blob-type"), "BlockBlob");
    for name in ["x-team", "authorization", "content-type", "transfer-encoding"] {
        assert!(!put.headers.contains_key(name), "{name}");
    }
    world.tell(Answer::new(200, announced.to_string()));
    world.tell(Answer::new(403, "no hidden-signature"));
    let error = files.upload(source("hello", 5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
}

pub(crate) async fn public_files_are_kept(world: &impl World, http: impl Stack) {
    const FILE: &str = r#"{"id":"file-1","bytes":5}"#;
    let http = at(&world.base_url(), http);
    world.tell(Answer::new(200, FILE));
    let create = CreateFile::new(http.clone());
    let kept = create.send(CreateFileRequest::new(source("hello", 5), "batch")).await.unwrap();
    assert_eq!(kept.id, "file-1");
    let sent = &world.sent()[0];
    assert_form(
        sent,
        "--B\nContent-Disposition: form-data; name=\"purpose\"\n\nbatch\n\
         --B\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\n\
         Content-Type: application/octet-stream\n\nhello\n--B--\n",
    );
    if world.is_network() {
        assert_eq!(header(&sent.headers, "content-length"), sent.body.len().to_string());
    }
    world.tell(Answer::new(200, format!(r#"{{"data":[{FILE}]}}"#)));
    let list = ListFiles::new(http.clone()).send(ListFilesRequest::new()).await.unwrap();
    assert_eq!(list.data.len(), 1);
    world.tell(Answer::new(200, FILE));
    RetrieveFile::new(http.clone()).send("file-1").await.unwrap();
    world.tell(Answer::new(200, "hello"));
    let content = FileContent::new(http.clone()).send("file-1").await.unwrap();
    assert_eq!(content.as_ref(), b"hello");
    world.tell(Answer::new(200, r#"{"id":"file-1","deleted":true}"#));
    assert!(DeleteFile::new(http).send("file-1").await.unwrap().deleted);
}

pub(crate) async fn a_file_that_cannot_be_sent_is_tried_once(world: &impl World, http: impl Stack) {
    let http = at(&world.base_url(), RetryLayer::new(RetryPolicy::default()).layer(http));
    let attempts = Arc::new(AtomicU32::new(0));
    let note = Arc::clone(&attempts);
    let request = CreateFileRequest::new(source("hell", 5), "batch")
        .on_progress(move |told| note.store(told.attempt, Ordering::Relaxed));
    let error = CreateFile::new(http).send(request).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Build, false), "{error:?}");
    assert!(error.message().contains("`a.txt` has 4 bytes and not the 5"), "{error}");
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
}
