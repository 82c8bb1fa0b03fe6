//! Every way in which an upload can go wrong.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower_openai::layers::ProviderLayer;
use tower_openai::provider::Provider;
use tower_openai::services::{
    CreateFile, CreateFileRequest, Files, UploadNotReady, UploadRequest, UploadSource,
};
use tower_openai::{Error, ErrorKind, RequestBody, Stage};

use crate::support::{ANNOUNCED, Backend, NOT_YET, READY};

fn request() -> UploadRequest {
    UploadSource::from_bytes("a.txt", "hello").into()
}

async fn failing(backend: &Backend) -> Error {
    let error = Files::new(backend.service()).upload(request()).await.unwrap_err();
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    let shown = format!("{error} {error:?} {error:#?} {chain:?}");
    assert!(!shown.contains("hidden") && !shown.contains("sv=1"), "{shown}");
    assert!(memchr::memmem::find(error.body(), b"hidden").is_none(), "{:?}", error.body());
    error
}

#[tokio::test]
async fn each_failing_status_of_each_step_has_its_kind_and_is_the_last() {
    let before = [(200, ANNOUNCED), (201, "")];
    for step in 0..3 {
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Auth),
            (403, ErrorKind::Permission),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Conflict),
            (413, ErrorKind::TooLarge),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Server),
            (503, ErrorKind::Server),
            (302, ErrorKind::Protocol),
        ] {
            let answers = before[..step].iter().copied().chain([(status, r#"{"detail":"no"}"#)]);
            let backend = Backend::answering(answers);
            let error = failing(&backend).await;
            assert_eq!((error.kind(), error.stage()), (kind, Stage::Sent), "{step} {status}");
            assert_eq!(error.status().unwrap(), status);
            assert_eq!(backend.calls().len(), step + 1, "{step} {status}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_quotes_the_signature_is_told_without_it() {
    for quoted in ["hidden%2Bsignature", "hidden+signature"] {
        let body = format!("<Error><Message>Bad signature {quoted}</Message></Error>");
        let backend = Backend::answering([(200, ANNOUNCED), (403, body.as_str())]);
        let error = failing(&backend).await;
        assert_eq!((error.kind(), error.body().len()), (ErrorKind::Permission, 0));
        let json = format!(r#"{{"error":{{"message":"bad: {quoted}"}}}}"#);
        let backend = Backend::answering([(200, ANNOUNCED), (403, json.as_str())]);
        let error = failing(&backend).await;
        assert_eq!(error.message(), "bad: [redacted]");
    }
}

#[tokio::test]
async fn an_announcement_that_cannot_be_read_is_an_error_without_its_url() {
    for (body, words) in [
        (r#"{"upload_url":"https://blobs.test/?sig=hidden"}"#, "not what it should be"),
        (r#"{"file_id":7,"upload_url":"https://blobs.test/?sig=hidden"}"#, "not what it should be"),
        (r#"{"file_id":"f","upload_url":"/up?sig=hidden"}"#, "`upload_url`"),
        (r#"{"file_id":"f","upload_url":"ftp://blobs.test/?sig=hidden"}"#, "`upload_url`"),
        (r#"{"file_id":"f","upload_url":"https://a b/?sig=hidden"}"#, "`upload_url`"),
        (r#"{"file_id":"f","upload_url":"https://user:hidden@blobs.test/"}"#, "`upload_url`"),
        (r#"{"file_id":"..","upload_url":"https://blobs.test/?sig=hidden"}"#, "`file_id`"),
        (r#"{"file_id":"f","upload_url":"https://blobs.test/?sig=hidden"#, "ends in the middle"),
        ("<html>", "not JSON"),
    ] {
        let backend = Backend::answering([(200, body)]);
        let error = failing(&backend).await;
        assert!(error.message().contains(words), "{body}: {error}");
        assert_eq!(backend.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_file_that_the_server_does_not_take_is_an_error() {
    for (body, kind, words) in [
        (
            r#"{"status":"failed","error_message":"not\n today"}"#,
            ErrorKind::InvalidRequest,
            "not today",
        ),
        (r#"{"status":"failed"}"#, ErrorKind::InvalidRequest, "`file_1` failed, status `failed`"),
        (r#"{"status":"","error_message":" "}"#, ErrorKind::InvalidRequest, "`file_1` failed"),
        (r#"{"status":"success"}"#, ErrorKind::Protocol, "no `download_url`"),
        (r#"{"download_url":"https://x.test/?sig=hidden"}"#, ErrorKind::Protocol, "`files`"),
        (
            r#"{"status":7,"download_url":"https://x.test/?sig=hidden"}"#,
            ErrorKind::Protocol,
            "`files`",
        ),
    ] {
        let backend = Backend::answering([(200, ANNOUNCED), (201, ""), (200, body)]);
        let error = failing(&backend).await;
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, 200), "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn what_is_said_of_a_file_that_failed_is_told_without_the_signature() {
    for quoted in ["hidden%2Bsignature", "hidden+signature"] {
        let body = format!(r#"{{"status":"failed","error_message":"bad: {quoted}"}}"#);
        let backend = Backend::answering([(200, ANNOUNCED), (201, ""), (200, body.as_str())]);
        assert_eq!(failing(&backend).await.message(), "bad: [redacted]");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_ready_after_30_s_can_be_waited_for_again() {
    let waits = 30_000 / 250;
    let mut answers = vec![(200, ANNOUNCED), (201, "")];
    answers.extend([(200, NOT_YET); 121]);
    let backend = Backend::answering(answers);
    let start = Instant::now();
    let error = failing(&backend).await;
    assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Timeout, Duration::from_secs(30)));
    assert!(error.message().contains("`file_1` is not ready after 30s"), "{error}");
    assert_eq!(backend.calls().len(), 2 + waits + 1);

    let upload = UploadNotReady::of(&error).unwrap().clone();
    assert_eq!(upload.file_id(), "file_1");
    let backend = Backend::answering([(200, NOT_YET), (200, READY)]);
    let request = UploadRequest::resume(upload);
    let file = Files::new(backend.service()).upload(request).await.unwrap();
    assert_eq!(backend.calls(), ["POST /files/file_1/uploaded"; 2]);
    assert_eq!((file.file_id.as_str(), file.size), ("file_1", 5));
    assert!(UploadNotReady::of(&failing(&Backend::answering([(500, "")])).await).is_none());
}

#[tokio::test]
async fn an_id_of_the_server_s_stays_in_its_segment() {
    let announced = ANNOUNCED.replace("file_1", "../a?b");
    let backend = Backend::answering([(200, announced.as_str()), (201, ""), (200, READY)]);
    Files::new(backend.service()).upload(request()).await.unwrap();
    assert_eq!(backend.sent()[2].uri, "/files/..%2Fa%3Fb/uploaded");
}

#[tokio::test]
async fn a_body_of_another_length_than_it_said_is_an_error() {
    for (bytes, words) in [
        ("hell", "`a` has 4 bytes and not the 5 announced"),
        ("hello!", "`a` has more than the 5 bytes"),
        ("", "`a` has 0 bytes and not the 5"),
    ] {
        let body = RequestBody::replayable(Some(5), move || Full::new(Bytes::from(bytes)));
        let source = UploadSource::from_body("a", body).unwrap();
        let backend = Backend::willing();
        let error = Files::new(backend.service()).upload(source.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Build, false), "{error}");
        assert!(error.message().contains(words), "{error}");
        assert_eq!(backend.calls().len(), 2, "nothing is confirmed");
        let backend = Backend::willing();
        let request = CreateFileRequest::new(source, "user_data");
        let error = CreateFile::new(backend.service()).send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_provider_without_a_backend_is_an_error_and_nothing_is_sent() {
    let backend = Backend::willing();
    let stack = ServiceBuilder::new()
        .layer(Files::layer())
        .layer(ProviderLayer::new(Provider::openai()))
        .service(backend.service());
    let error = stack.upload(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    assert!(error.message().contains("`Provider::backend_url`"), "{error}");
    assert!(backend.calls().is_empty());
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_told_and_nothing_sent() {
    let backend = Backend::willing();
    let request = request().header("bad name", "x");
    let error = Files::new(backend.service()).upload(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
    assert!(backend.calls().is_empty());
}

#[tokio::test]
async fn debug_shows_no_signature_and_no_bytes() {
    let backend = Backend::willing();
    let request = UploadRequest::from(UploadSource::from_bytes("a.txt", "hidden"))
        .header("authorization", "Bearer hidden");
    let files = Files::new(backend.service());
    let mut upload = tokio_test::task::spawn(files.upload(request.clone()));
    let under_way = format!("{upload:?}");
    let file = tokio_test::assert_ready!(upload.poll()).unwrap();
    let text = format!("{request:?} {under_way} {file:?}");
    assert!(text.contains("a.txt") && text.contains("https://blobs.test/down/1"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
}
