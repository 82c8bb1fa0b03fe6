//! Uploads through the preset, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::Version;
use http_body_util::Full;
use serde_json::json;
use tower_openai::provider::Provider;
use tower_openai::services::{CreateFileRequest, UploadProgress, UploadRequest, UploadSource};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{Client, ErrorKind, RequestBody};

use crate::support::{TempFile, fnv, pattern};

/// An API, a store of what is uploaded, and a client that speaks HTTP/1.1 or HTTP/2 to them.
async fn servers(http2: bool) -> (Server, Server, Client) {
    let (api, blobs) = (Server::start().await.unwrap(), Server::start().await.unwrap());
    let backend = api.base_url().replace("/v1", "/backend-api");
    let provider = Provider::new("test", api.base_url()).unwrap().backend_url(&backend).unwrap();
    let transport = HyperTransport::builder();
    let transport = if http2 { transport.http2_only() } else { transport.http1_only() };
    let client = Client::builder().provider(provider).api_key("sk-test");
    (api, blobs, client.transport(transport.build().unwrap()).build().unwrap())
}

fn announced(blobs: &Server) -> Script {
    let url = format!("http://{}/up/1?sig=hidden-signature", blobs.address());
    Script::status(200).json(json!({"file_id": "file_1", "upload_url": url}))
}

fn ready() -> Script {
    Script::status(200).json(json!({"status": "success", "download_url": "https://d.test/"}))
}

#[tokio::test]
async fn a_file_goes_up_and_the_key_stays_with_the_api() {
    for http2 in [false, true] {
        let (api, blobs, client) = servers(http2).await;
        api.enqueue(announced(&blobs)).enqueue(ready());
        blobs.enqueue(Script::status(503)).enqueue(Script::status(201));
        let bytes = pattern(300_000);
        let file = TempFile::new("a.bin", &bytes);
        let source = UploadSource::open(file.path()).await.unwrap();
        let uploaded = client.files().upload(source).await.unwrap();
        assert_eq!((uploaded.file_id.as_str(), uploaded.size), ("file_1", 300_000));

        let requests = api.requests();
        let paths: Vec<_> = requests.iter().map(|request| request.path().to_owned()).collect();
        assert_eq!(paths, ["/backend-api/files", "/backend-api/files/file_1/uploaded"]);
        for request in &requests {
            assert_eq!(request.header("authorization"), Some("Bearer sk-test"));
        }
        let puts = blobs.requests();
        assert_eq!(puts.len(), 2, "the second attempt sends it again");
        let put = &puts[1];
        let version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        assert_eq!((put.version(), put.method().as_str()), (version, "PUT"));
        assert!(put.target().ends_with("/up/1?sig=hidden-signature"), "{}", put.target());
        assert_eq!(put.header("content-length"), Some("300000"));
        assert_eq!(put.header("x-ms-blob-type"), Some("BlockBlob"));
        assert!(put.header("authorization").is_none() && put.header("content-type").is_none());
        assert!(put.header("transfer-encoding").is_none());
        assert_eq!(put.body_len(), 300_000);
        assert!(bytes.starts_with(put.body()) && !put.body().is_empty());
        let ids: Vec<_> = puts.iter().map(|put| put.header("x-ms-client-request-id")).collect();
        assert!(ids[0].is_some() && ids[0] == ids[1], "one upload, one id");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_file_is_told_through_the_transport() {
    for http2 in [false, true] {
        let (api, blobs, client) = servers(http2).await;
        api.enqueue(announced(&blobs));
        let file = TempFile::new("a.bin", pattern(300_000));
        let source = UploadSource::open(file.path()).await.unwrap();
        file.write("short");
        let attempts = Arc::new(AtomicU32::new(0));
        let note = |attempts: &Arc<AtomicU32>| {
            let attempts = Arc::clone(attempts);
            move |progress: UploadProgress| attempts.store(progress.attempt, Ordering::Relaxed)
        };
        let request = UploadRequest::from(source.clone()).on_progress(note(&attempts));
        let error = client.files().upload(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build, "{error:?}");
        assert!(error.message().contains("has changed while it was uploaded"), "{error}");
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
        // Another attempt would read the same file.
        assert_eq!((attempts.load(Ordering::Relaxed), error.is_retryable()), (1, false));
        // To the public API too.
        let request = CreateFileRequest::new(source, "user_data").on_progress(note(&attempts));
        let error = client.create_file().send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build, "{error:?}");
        assert!(error.message().contains("has changed while it was uploaded"), "{error}");
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    }
}

/// One that comes from elsewhere knows when it is over.
#[tokio::test]
async fn a_body_that_is_shorter_than_it_said_is_told_through_the_transport() {
    for http2 in [false, true] {
        for bytes in [&b"four"[..], b""] {
            let (api, blobs, client) = servers(http2).await;
            api.enqueue(announced(&blobs));
            let body = RequestBody::replayable(Some(5), move || Full::new(Bytes::from(bytes)));
            let source = UploadSource::from_body("a", body).unwrap();
            let upload = client.files().upload(source.clone());
            let limit = std::time::Duration::from_secs(30);
            let ended = tokio::time::timeout(limit, upload).await;
            let error = ended.expect("it does not hang").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Build, "{error:?}");
            assert!(error.message().contains("not the 5 announced"), "{error}");
            let request = CreateFileRequest::new(source, "user_data");
            let ended = tokio::time::timeout(limit, client.create_file().send(request)).await;
            let error = ended.expect("it does not hang").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Build, "{error:?}");
        }
    }
}

/// It must not panic, and neither may all else stand still if it does.
#[tokio::test]
async fn a_callback_that_panics_ends_the_call_and_no_other() {
    for http2 in [false, true] {
        for when in [0, 200_000] {
            let (api, blobs, client) = servers(http2).await;
            api.enqueue(announced(&blobs)).enqueue(announced(&blobs)).enqueue(ready());
            let source = UploadSource::from_bytes("a.bin", pattern(300_000));
            let request = UploadRequest::from(source.clone());
            let request = request.on_progress(move |told| assert!(told.sent < when, "planted"));
            let upload = tokio::spawn(client.files().upload(request));
            let ended = tokio::time::timeout(std::time::Duration::from_secs(30), upload).await;
            if let Ok(result) = ended.expect("it does not hang") {
                assert!(result.is_err(), "{http2} {when}");
            }
            blobs.enqueue(Script::status(201));
            assert!(client.files().upload(source).await.is_ok(), "{http2} {when}");
        }
    }
}

/// The loopback server takes the file at its own origin, where the key and the provider's headers must
/// not go all the same.
#[tokio::test]
async fn an_upload_url_of_the_providers_own_gets_no_key_either() {
    for http2 in [false, true] {
        let server = Server::builder().upload_retries(2).start().await.unwrap();
        let provider = Provider::new("test", server.base_url()).unwrap();
        let provider = provider.backend_url(server.base_url()).unwrap();
        let provider = provider.header("chatgpt-account-id", "acc_1").unwrap();
        let transport = HyperTransport::builder();
        let transport = if http2 { transport.http2_only() } else { transport.http1_only() };
        let client = Client::builder().provider(provider).api_key("sk-test");
        let client = client.transport(transport.build().unwrap()).build().unwrap();
        let bytes = pattern(300_000);
        let source = UploadSource::from_bytes("a.bin", bytes.clone());
        let uploaded = client.files().upload(source).await.unwrap();
        assert_eq!((uploaded.file_name.as_str(), uploaded.size), ("a.bin", 300_000));
        let stored = server.files().pop().unwrap();
        assert_eq!((stored.id(), stored.purpose()), (uploaded.file_id.as_str(), "codex"));
        assert_eq!((stored.size(), stored.digest()), (300_000, fnv(&bytes)));
        let requests = server.requests();
        assert_eq!(requests.len(), 5, "announced, sent, and confirmed at the third time");
        for request in requests {
            let is_ours = request.method() == "POST";
            for name in ["authorization", "chatgpt-account-id"] {
                assert_eq!(request.header(name).is_some(), is_ours, "{name} {}", request.target());
            }
        }
    }
}
