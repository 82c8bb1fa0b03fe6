//! Files on disk.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tower::ServiceBuilder;
use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer, RetryLayer, RetryPolicy};
use tower_openai::provider::Provider;
use tower_openai::services::{Files, UploadRequest, UploadSource};
use tower_openai::{ErrorKind, RequestBody, Stage};

use crate::support::{ANNOUNCED, Backend, READY, TempFile, pattern};

/// The piece that a file is read in.
const PIECE: usize = 64 * 1024;

#[tokio::test]
async fn a_file_is_sent_whole_whatever_its_length() {
    for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
        let file = TempFile::new("a b.txt", pattern(len));
        let source = UploadSource::open(file.path()).await.unwrap();
        assert_eq!((source.name(), source.len()), ("a b.txt", len as u64));
        let backend = Backend::willing();
        let uploaded = Files::new(backend.service()).upload(source).await.unwrap();
        assert_eq!(uploaded.size, len as u64);
        let sent = &backend.sent()[1];
        assert_eq!(sent.header("content-length"), Some(len.to_string().as_str()));
        assert!(*sent.body.as_ref().unwrap() == pattern(len), "{len} bytes");
    }
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let file = TempFile::new("a", "");
    let folder = file.path().parent().unwrap();
    for (path, word) in [(folder.join("gone"), "cannot be uploaded"), (folder.into(), "is no file")]
    {
        let error = UploadSource::open(path).await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
        assert!(error.message().contains(word), "{error}");
    }
    let error = UploadSource::from_body("x", RequestBody::replayable(None, RequestBody::empty));
    assert!(error.unwrap_err().message().contains("no known length"));
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_anything_is_sent() {
    const MOST: u64 = 536_870_912;
    let file = TempFile::new("large", "");
    for (len, fits) in [(MOST, true), (MOST + 1, false)] {
        // Without bytes on the disk.
        File::options().write(true).open(file.path()).unwrap().set_len(len).unwrap();
        let source = UploadSource::open(file.path()).await.unwrap();
        let backend = Backend::answering([(404, "")]);
        let error = Files::new(backend.service()).upload(source).await.unwrap_err();
        let kind = if fits { ErrorKind::NotFound } else { ErrorKind::TooLarge };
        assert_eq!((error.kind(), backend.calls().len()), (kind, usize::from(fits)), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_has_changed_since_is_not_sent() {
    for (now, words) in [
        (Some("longer than it was"), "had 5 bytes and has 18 bytes"),
        (Some(""), "had 5 bytes and has 0 bytes"),
        (None, "cannot be read"),
    ] {
        let file = TempFile::new("a.txt", "hello");
        let source = UploadSource::open(file.path()).await.unwrap();
        match now {
            Some(now) => file.write(now),
            None => std::fs::remove_file(file.path()).unwrap(),
        }
        let backend = Backend::willing();
        let error = Files::new(backend.service()).upload(source).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Build, false));
        assert!(error.message().contains(words), "{error}");
        assert_eq!(backend.calls().len(), 2, "nothing is confirmed");
        assert!(backend.sent()[1].body.as_ref().unwrap_err().contains(words));
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_an_error() {
    for (now, words) in [(PIECE + 1, "is shorter now"), (4 * PIECE, "is longer now")] {
        let file = TempFile::new("a.txt", pattern(2 * PIECE));
        let (path, reads) = (file.path().to_owned(), AtomicUsize::new(0));
        let source = UploadSource::open(file.path()).await.unwrap();
        let request = UploadRequest::from(source).on_progress(move |_| {
            // The first piece is read then.
            if reads.fetch_add(1, Ordering::Relaxed) == 1 {
                let file = File::options().write(true).open(&path).unwrap();
                file.set_len(now as u64).unwrap();
            }
        });
        let backend = Backend::willing();
        let error = Files::new(backend.service()).upload(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains(words), "{error}");
    }
}

/// Some files say that they are empty, and are not.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_does_not_tell_its_length_is_not_sent_as_an_empty_one() {
    let error = UploadSource::open("/proc/version").await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    assert!(error.message().contains("`/proc/version` does not tell its length"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_after_the_first_sends_the_whole_file_again() {
    let file = TempFile::new("a.txt", pattern(2 * PIECE));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let source = UploadSource::open(file.path()).await.unwrap();
    let request = UploadRequest::from(source).on_progress(move |one| {
        note.lock().unwrap().push((one.attempt, one.sent));
    });
    let backend = Backend::answering([
        (500, ""),
        (200, ANNOUNCED),
        (503, ""),
        (503, ""),
        (201, ""),
        (503, ""),
        (200, READY),
    ]);
    let provider = Provider::new("test", "https://api.test/backend-api/codex").unwrap();
    let provider = provider.header("x-team", "t").unwrap();
    let stack = ServiceBuilder::new()
        .layer(Files::layer())
        .layer(ProviderLayer::new(provider))
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AuthLayer::new(Bearer::new("sk-test").unwrap()))
        .service(backend.service());
    stack.upload(request).await.unwrap();
    let announce = "POST https://api.test/backend-api/files";
    let confirm = "POST https://api.test/backend-api/files/file_1/uploaded";
    let put = "PUT https://blobs.test/up/1";
    assert_eq!(backend.calls(), [announce, announce, put, put, put, confirm, confirm]);
    for sent in backend.sent() {
        let is_ours = sent.method == "POST";
        assert_eq!(sent.header("authorization").is_some(), is_ours, "{}", sent.uri);
        assert_eq!(sent.header("x-team").is_some(), is_ours, "{}", sent.uri);
        assert!(is_ours || *sent.body.as_ref().unwrap() == pattern(2 * PIECE));
    }
    let sizes = [0, PIECE as u64, 2 * PIECE as u64];
    let told = (1..=3).flat_map(|attempt| sizes.map(|sent| (attempt, sent)));
    assert_eq!(*seen.lock().unwrap(), told.collect::<Vec<_>>());
}
