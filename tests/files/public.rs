//! The files of the public API.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use tower::ServiceBuilder;
use tower_openai::extensions::StreamTimeouts;
use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer, RetryLayer, RetryPolicy};
use tower_openai::provider::Provider;
use tower_openai::services::{
    CreateFile, CreateFileRequest, DeleteFile, FileContent, ListFiles, ListFilesRequest,
    RetrieveFile, UploadSource,
};
use tower_openai::testing::Server;
use tower_openai::{Client, ErrorKind};

use crate::support::{Backend, TempFile, fnv, pattern};

const FILE: &str = r#"{"id":"file-1","object":"file","bytes":5,"created_at":1,"filename":"a.txt",
    "purpose":"user_data","new":true}"#;

/// The form that a file goes in, by the boundary of a request's content type.
fn form(content_type: &str, fields: &str, name: &str, bytes: &[u8]) -> Vec<u8> {
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let head = format!(
        "{fields}--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\
         \r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    let head = head.replace("BOUNDARY", boundary);
    [head.as_bytes(), bytes, format!("\r\n--{boundary}--\r\n").as_bytes()].concat()
}

const PURPOSE: &str =
    "--BOUNDARY\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n";

#[tokio::test]
async fn a_file_is_kept_by_a_form_to_the_byte() {
    for bytes in [&b""[..], b"hello", &pattern(200_000)] {
        let file = TempFile::new("a \"b\".txt", bytes);
        let backend = Backend::answering([(200, FILE)]);
        let source = UploadSource::open(file.path()).await.unwrap();
        let request = CreateFileRequest::new(source, "user_data").expires_after(3600);
        let kept = CreateFile::new(backend.service()).send(request).await.unwrap();
        assert_eq!((kept.id.as_str(), kept.filename.as_deref()), ("file-1", Some("a.txt")));
        assert!(kept.extra.get("new").is_some());
        let sent = &backend.sent()[0];
        assert_eq!((&sent.method, sent.uri.as_str()), (&Method::POST, "/files"));
        let fields = format!(
            "{PURPOSE}--BOUNDARY\r\nContent-Disposition: form-data; name=\"expires_after[anchor]\"\
             \r\n\r\ncreated_at\r\n--BOUNDARY\r\nContent-Disposition: form-data; \
             name=\"expires_after[seconds]\"\r\n\r\n3600\r\n"
        );
        let content_type = sent.header("content-type").unwrap();
        let expected = form(content_type, &fields, "a %22b%22.txt", bytes);
        assert!(*sent.body.as_ref().unwrap() == expected, "{} bytes", bytes.len());
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_sends_the_whole_form_and_waits_by_its_size() {
    let file = TempFile::new("a.txt", pattern(300_000));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let source = UploadSource::open(file.path()).await.unwrap();
    let request = CreateFileRequest::new(source, "user_data")
        .on_progress(move |one| note.lock().unwrap().push((one.attempt, one.sent)));
    let backend = Backend::answering([(503, ""), (200, FILE)]);
    let stack = ServiceBuilder::new()
        .layer(CreateFile::layer())
        .layer(ProviderLayer::new(Provider::openai()))
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AuthLayer::new(Bearer::new("sk-test").unwrap()))
        .service(backend.service());
    stack.send(request).await.unwrap();
    for sent in backend.sent() {
        let expected =
            form(sent.header("content-type").unwrap(), PURPOSE, "a.txt", &pattern(300_000));
        assert!(*sent.body.as_ref().unwrap() == expected);
        assert_eq!(sent.uri, "https://api.openai.com/v1/files");
        assert_eq!(sent.timeouts.unwrap().head_or(None), Some(Duration::from_secs(62)));
    }
    let seen = seen.lock().unwrap();
    assert_eq!((seen[0], *seen.last().unwrap()), ((1, 0), (2, 300_000)));
}

/// What a policy says of heads, and what each attempt then has for a file of 300,000 bytes.
#[tokio::test]
async fn the_policy_of_uploads_holds_for_their_heads() {
    let seconds = |count| Some(Duration::from_secs(count));
    for (policy, head) in [
        ("{}", seconds(60 + 2)),
        (r#"{"create_file": {"timeouts": {"head_ms": 600000}}}"#, seconds(600 + 2)),
        (r#"{"default": {"timeouts": {"head_ms": 5000}}}"#, seconds(5 + 2)),
        (r#"{"create_file": {"timeouts": {"head_ms": 0}}}"#, None),
    ] {
        let backend = Backend::answering([(200, FILE)]);
        let client = Client::builder().transport(backend.service());
        let client = client.policy(serde_json::from_str(policy).unwrap()).build().unwrap();
        let source = UploadSource::from_bytes("a.txt", pattern(300_000));
        client.create_file().send(CreateFileRequest::new(source, "batch")).await.unwrap();
        let told = backend.sent()[0].timeouts.expect("a limit of its own, or off");
        assert_eq!(told.head_or(seconds(7)), head, "{policy}");
    }
    // What the builder says holds too.
    let backend = Backend::answering([(200, FILE)]);
    let client = Client::builder().transport(backend.service());
    let client = client.timeouts(StreamTimeouts::new().head(Duration::from_secs(9)));
    let source = UploadSource::from_bytes("a.txt", "hello");
    let request = CreateFileRequest::new(source, "batch");
    client.build().unwrap().create_file().send(request).await.unwrap();
    assert_eq!(backend.sent()[0].timeouts.unwrap().head_or(None), seconds(9));
}

#[tokio::test]
async fn a_file_that_has_changed_is_an_error() {
    let file = TempFile::new("a.txt", "hello");
    let source = UploadSource::open(file.path()).await.unwrap();
    file.write("hello!");
    let backend = Backend::answering([(200, FILE)]);
    let request = CreateFileRequest::new(source, "user_data");
    let error = CreateFile::new(backend.service()).send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
    assert!(error.message().contains("has changed"), "{error}");
}

#[tokio::test]
async fn files_are_listed_looked_at_read_and_deleted() {
    let page = format!(r#"{{"object":"list","data":[{FILE}],"has_more":true,"last_id":"file-1"}}"#);
    let deleted = r#"{"id":"file-1","object":"file","deleted":true}"#;
    let backend = Backend::answering([
        (200, page.as_str()),
        (200, page.as_str()),
        (200, FILE),
        (200, "\u{0}hello"),
        (200, deleted),
    ]);
    let http = backend.service();
    let files = ListFiles::new(http.clone()).send(ListFilesRequest::new()).await.unwrap();
    assert_eq!((files.data.len(), files.has_more), (1, true));
    assert_eq!(files.last_id.as_deref(), Some("file-1"));
    let request = ListFilesRequest::new().after("a&b").limit(10).order("asc").purpose("user_data");
    ListFiles::new(http.clone()).send(request).await.unwrap();
    let file = RetrieveFile::new(http.clone()).send("a/b").await.unwrap();
    assert_eq!(file.bytes, Some(5));
    let content = FileContent::new(http.clone()).send("file-1").await.unwrap();
    assert_eq!(content.as_ref(), b"\0hello");
    assert!(!format!("{content:?}").contains("hello"));
    assert!(DeleteFile::new(http.clone()).send("file-1").await.unwrap().deleted);
    let sent: Vec<_> =
        backend.sent().iter().map(|sent| format!("{} {}", sent.method, sent.uri)).collect();
    assert_eq!(
        sent,
        [
            "GET /files",
            "GET /files?after=a%26b&limit=10&order=asc&purpose=user_data",
            "GET /files/a%2Fb",
            "GET /files/file-1/content",
            "DELETE /files/file-1",
        ]
    );
    for id in ["", ".."] {
        let error = DeleteFile::new(http.clone()).send(id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
    }
    assert_eq!(backend.sent().len(), 5);
}

#[tokio::test]
async fn content_has_a_cap() {
    let backend = Backend::answering([(200, "hello"), (200, "hello"), (404, "")]);
    let content = FileContent::new(backend.service());
    assert!(content.clone().body_limit(5).send("f").await.is_ok());
    let error = content.clone().body_limit(4).send("f").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(content.send("f").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn they_work_over_real_sockets() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let bytes = pattern(200_000);
    let file = TempFile::new("a.txt", &bytes);
    let source = UploadSource::open(file.path()).await.unwrap();
    let kept = client.create_file().send(CreateFileRequest::new(source, "batch")).await.unwrap();
    assert_eq!((kept.bytes, kept.purpose.as_deref()), (Some(200_000), Some("batch")));
    let stored = server.files().pop().unwrap();
    assert_eq!((stored.name(), stored.size(), stored.digest()), ("a.txt", 200_000, fnv(&bytes)));

    let source = UploadSource::from_bytes("b.txt", "hello");
    let small = client.create_file().send(CreateFileRequest::new(source, "vision")).await.unwrap();
    let files = client.list_files().send(ListFilesRequest::new().order("asc")).await.unwrap();
    let ids: Vec<_> = files.data.iter().map(|file| &file.id).collect();
    assert_eq!(ids, [&kept.id, &small.id]);
    let found = client.retrieve_file().send(&*small.id).await.unwrap();
    assert_eq!(found.filename.as_deref(), Some("b.txt"));
    let content = client.file_content().send(&*small.id).await.unwrap();
    assert_eq!(content.as_ref(), b"hello");
    assert!(client.delete_file().send(&*small.id).await.unwrap().deleted);
    let error = client.retrieve_file().send(&*small.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
