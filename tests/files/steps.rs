//! The three steps, to the byte, and what stands between them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready};
use tower::{ServiceBuilder, ServiceExt};
use tower_openai::extensions::{ApiRoot, StreamTimeouts};
use tower_openai::services::{Files, UploadProgress, UploadRequest, UploadSource};
use tower_openai::{ErrorKind, RequestBody};
use tower_test::mock;

use crate::support::{ANNOUNCED, Backend, NOT_YET, READY, UPLOAD_URL};

fn request() -> UploadRequest {
    UploadSource::from_bytes("a.txt", "hello").into()
}

#[tokio::test]
async fn each_step_is_written_to_the_byte() {
    let backend = Backend::willing();
    let request = request().header("x-a", "b").session_id("s").use_case("other");
    let file = Files::new(backend.service()).upload(request).await.unwrap();
    assert_eq!((file.file_id.as_str(), file.uri().as_str()), ("file_1", "sediment://file_1"));
    assert_eq!((file.file_name.as_str(), file.size), ("a.txt", 5));
    assert_eq!(file.mime_type.as_deref(), Some("text/plain"));
    assert_eq!(file.download_url, "https://blobs.test/down/1?sig=hidden%2Bsignature");
    assert_eq!(file.meta().status(), 200);

    let [announce, send, confirm] = &backend.sent()[..] else { panic!("three requests") };
    let body = r#"{"file_name":"a.txt","file_size":5,"use_case":"other"}"#;
    assert_eq!((announce.method.as_str(), announce.uri.as_str()), ("POST", "/files"));
    assert_eq!(announce.body.as_ref().unwrap(), body);
    assert_eq!((confirm.method.as_str(), confirm.uri.as_str()), ("POST", "/files/file_1/uploaded"));
    assert_eq!(confirm.body.as_ref().unwrap(), "{}");
    for step in [announce, confirm] {
        assert_eq!((step.root, step.headers.len()), (ApiRoot::Backend, 3));
        assert_eq!(step.header("content-type"), Some("application/json"));
        assert_eq!((step.header("x-a"), step.header("session_id")), (Some("b"), Some("s")));
    }

    assert_eq!((send.method.as_str(), send.uri.as_str()), ("PUT", UPLOAD_URL));
    assert_eq!(send.body.as_ref().unwrap(), "hello");
    assert_eq!((send.root, send.headers.len()), (ApiRoot::Api, 3), "{:?}", send.headers);
    assert_eq!(send.header("x-ms-blob-type"), Some("BlockBlob"));
    assert_eq!(send.header("content-length"), Some("5"));
    assert_eq!(send.header("x-ms-client-request-id").map(str::len), Some(36));
}

#[tokio::test]
async fn what_the_files_are_for_is_codex_by_default_and_the_name_is_the_caller_s() {
    let backend = Backend::answering([
        (200, ANNOUNCED),
        (201, ""),
        (200, r#"{"status":"success","download_url":"https://d.test/"}"#),
    ]);
    let source = UploadSource::from_bytes("a.txt", "").with_name("\"b\"");
    let file = Files::new(backend.service()).oneshot(source.into()).await.unwrap();
    let body = r#"{"file_name":"\"b\"","file_size":0,"use_case":"codex"}"#;
    assert_eq!(backend.sent()[0].body.as_ref().unwrap(), body);
    assert_eq!((file.file_name.as_str(), file.mime_type.as_deref()), ("\"b\"", None));
    assert_eq!(backend.sent()[1].header("content-length"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn the_last_step_is_repeated_every_250_ms_until_it_is_done() {
    let mut answers = vec![(200, ANNOUNCED), (201, "")];
    answers.extend([(200, NOT_YET); 5]);
    answers.push((200, READY));
    let backend = Backend::answering(answers);
    let start = Instant::now();
    Files::new(backend.service()).upload(request()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(5 * 250));
    assert_eq!(backend.calls().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn steps_wait_a_minute_for_a_head_and_a_large_file_longer() {
    let secs = Duration::from_secs;
    let heads = async |files: Files<_>, request: UploadRequest, backend: &Backend| {
        files.upload(request).await.unwrap();
        let heads = backend.sent().into_iter().map(|sent| sent.timeouts?.head_or(None));
        heads.collect::<Vec<_>>()
    };
    let large = || {
        UploadSource::from_body("large", vec![0_u8; 4 * 128 * 1024].into()).map(UploadRequest::from)
    };
    let backend = Backend::willing();
    let found = heads(Files::new(backend.service()), request(), &backend).await;
    assert_eq!(found, [Some(secs(60)); 3]);
    let backend = Backend::willing();
    let found = heads(Files::new(backend.service()), large().unwrap(), &backend).await;
    assert_eq!(found, [Some(secs(60)), Some(secs(64)), Some(secs(60))]);
    let backend = Backend::willing();
    let files = Files::layer().timeouts(StreamTimeouts::new().head(secs(5)));
    let files = ServiceBuilder::new().layer(files).service(backend.service());
    let found = heads(files, large().unwrap(), &backend).await;
    assert_eq!(found, [Some(secs(5)), Some(secs(9)), Some(secs(5))]);
    let backend = Backend::willing();
    let off = large().unwrap().timeouts(StreamTimeouts::new().head(Duration::ZERO));
    let found = heads(Files::new(backend.service()), off, &backend).await;
    assert_eq!(found, [None; 3]);
}

#[tokio::test]
async fn progress_is_told_piece_by_piece() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let body = RequestBody::replayable(Some(6), || {
        let pieces = ["ab", "cd", "ef"].map(|piece| {
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(piece.as_bytes())))
        });
        http_body_util::StreamBody::new(futures_util::stream::iter(pieces))
    });
    let request = UploadRequest::from(UploadSource::from_body("x", body).unwrap())
        .on_progress(move |progress: UploadProgress| note.lock().unwrap().push(progress));
    let backend = Backend::willing();
    Files::new(backend.service()).upload(request).await.unwrap();
    assert_eq!(backend.sent()[1].body.as_ref().unwrap(), "abcdef");
    let seen: Vec<_> =
        seen.lock().unwrap().iter().map(|one| (one.sent, one.total, one.attempt)).collect();
    assert_eq!(seen, [(0, 6, 1), (2, 6, 1), (4, 6, 1), (6, 6, 1)]);
}

type Answer = Response<Full<Bytes>>;

fn answer(body: &'static str) -> Answer {
    Response::new(Full::from(body))
}

#[tokio::test(start_paused = true)]
async fn every_step_waits_until_the_service_is_ready() {
    let (mut files, mut handle) =
        mock::spawn_with(|http: mock::Mock<Request<RequestBody>, Answer>| Files::new(http));
    handle.allow(1);
    assert_ready!(files.poll_ready()).unwrap();
    let mut upload = tokio_test::task::spawn(files.call(request()));
    for (step, body) in [("/files", ANNOUNCED), ("/up/1", ""), ("/files/file_1/uploaded", NOT_YET)]
    {
        assert_pending!(upload.poll());
        let (sent, respond) = handle.next_request().await.unwrap();
        assert_eq!(sent.uri().path(), step);
        respond.send_response(answer(body));
        // Not ready, nothing further is sent.
        assert_pending!(upload.poll());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_pending!(upload.poll());
        assert_pending!(tokio_test::task::spawn(handle.next_request()).poll());
        handle.allow(1);
    }
    assert_pending!(upload.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(answer(READY));
    assert_eq!(assert_ready!(upload.poll()).unwrap().file_id, "file_1");
    assert_pending!(upload.poll());
    // The endpoint itself was left with a clone, which is not ready.
    assert_pending!(files.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn dropped_between_two_steps_it_sends_nothing_more() {
    for steps in 1..=3 {
        let (mut files, mut handle) =
            mock::spawn_with(|http: mock::Mock<Request<RequestBody>, Answer>| Files::new(http));
        handle.allow(10);
        assert_ready!(files.poll_ready()).unwrap();
        let mut upload = tokio_test::task::spawn(files.call(request()));
        for body in [ANNOUNCED, "", NOT_YET].into_iter().take(steps) {
            assert_pending!(upload.poll());
            let (_, respond) = handle.next_request().await.unwrap();
            respond.send_response(answer(body));
        }
        drop(upload);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_pending!(tokio_test::task::spawn(handle.next_request()).poll());
    }
}

#[tokio::test]
async fn a_service_that_fails_between_two_steps_fails_the_upload() {
    let (mut files, mut handle) =
        mock::spawn_with(|http: mock::Mock<Request<RequestBody>, Answer>| Files::new(http));
    handle.allow(1);
    assert_ready!(files.poll_ready()).unwrap();
    let mut upload = tokio_test::task::spawn(files.call(request()));
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(answer(ANNOUNCED));
    handle.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    assert_eq!(assert_ready!(upload.poll()).unwrap_err().kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn its_futures_can_be_spawned() {
    let backend = Backend::willing();
    let files = Files::new(backend.service());
    let file = tokio::spawn(async move { files.upload(request()).await }).await.unwrap().unwrap();
    assert_eq!(file.file_id, "file_1");
    let backend = Backend::willing();
    let files = ServiceBuilder::new().boxed_clone_sync().service(Files::new(backend.service()));
    tokio::spawn(files.oneshot(request())).await.unwrap().unwrap();
}
