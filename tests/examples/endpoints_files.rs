//! The `endpoints` example: images, and files that are uploaded.

use serde_json::json;
use tower_openai::testing::{Script, Server};

use crate::run::{File, Ran, example, run};

async fn asked(server: &Server, arguments: &[&str]) -> Ran {
    let base_url = server.base_url().to_owned();
    run(example("endpoints", &[&["--base-url", &base_url], arguments].concat())).await
}

#[tokio::test]
async fn images_are_made_and_changed() {
    let server = Server::start().await.unwrap();
    let body = File::new("e-image", r#"{"model":"gpt-image-1","prompt":"a cube"}"#);
    let ran = asked(&server, &["image", "--body", body.path()]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.lines()[0]["data"][0]["b64_json"].is_string(), "{ran:?}");
    assert_eq!(server.requests()[0].target(), "/v1/images/generations");

    let edit = json!({"model": "m", "prompt": "in blue", "images": [{"image_url": "data:x"}]});
    let body = File::new("e-edit", &edit.to_string());
    server.enqueue(Script::status(200).json(json!({"created": 1, "data": []})));
    let ran = asked(&server, &["image", "--body", body.path()]).await;
    assert_eq!((ran.code, ran.lines()), (0, vec![json!({"created": 1, "data": []})]));
    assert_eq!(server.requests()[1].target(), "/v1/images/edits");
    assert_eq!(server.requests()[1].json().unwrap(), edit);
}

/// Numbers of the body are not read and written anew, and a `stream` that is none is told.
#[tokio::test]
async fn an_image_request_is_sent_as_it_was_written() {
    let server = Server::start().await.unwrap();
    let text = r#"{"zz":{"b":1.0,"a":1e2},"model":"m","big":123456789012345678901,"prompt":"p"}"#;
    let body = File::new("e-numbers", text);
    let ran = asked(&server, &["image", "--body", body.path()]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let sent = String::from_utf8(server.requests()[0].body().to_vec()).unwrap();
    assert!(sent.contains(r#""zz":{"b":1.0,"a":1e2}"#), "{sent}");
    assert!(sent.contains(r#""big":123456789012345678901"#), "{sent}");

    let body = File::new("e-stream", r#"{"model":"m","prompt":"p","stream":"yes"}"#);
    let ran = asked(&server, &["image", "--body", body.path()]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");

    let body = File::new("e-null", r#"{"model":"m","prompt":"p","stream":null}"#);
    let ran = asked(&server, &["image", "--body", body.path()]).await;
    assert!(ran.code == 0 && ran.lines()[0]["data"].is_array(), "{ran:?}");
}

#[tokio::test]
async fn previews_of_an_image_are_lines() {
    let server = Server::start().await.unwrap();
    let body = json!({"model": "m", "prompt": "p", "stream": true, "partial_images": 2});
    let body = File::new("e-previews", &body.to_string());
    let ran = asked(&server, &["image", "--body", body.path()]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let partial = "image_generation.partial_image";
    assert_eq!(ran.types(), [partial, partial, "image_generation.completed"]);
    assert_eq!(server.requests()[0].json().unwrap()["stream"], json!(true));
}

#[tokio::test]
async fn a_file_is_uploaded_in_three_steps() {
    // Files are sent to another origin, which takes no credentials.
    let server = Server::builder().upload_host("localhost").start().await.unwrap();
    let file = File::new("e-upload", &"x".repeat(100_000));
    let ran = asked(&server, &["upload", file.path(), "--api-key", "sk-1"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "no terminal, no bar: {ran:?}");
    let stored = &server.files()[0];
    let line = &ran.lines()[0];
    assert_eq!(line["file_id"], json!(stored.id()));
    assert_eq!(line["uri"], json!(format!("sediment://{}", stored.id())));
    assert_eq!((line["size"].as_u64(), stored.size()), (Some(100_000), 100_000));
    assert!(line["download_url"].is_string());
}

#[tokio::test]
async fn a_file_is_uploaded_to_the_public_api() {
    let server = Server::start().await.unwrap();
    let file = File::new("e-public", "hello");
    let ran = asked(&server, &["upload", file.path(), "--purpose", "user_data"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let line = &ran.lines()[0];
    assert_eq!((&line["purpose"], &line["bytes"]), (&json!("user_data"), &json!(5)));
    assert_eq!(server.files()[0].purpose(), "user_data");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_wrong_usage() {
    let server = Server::start().await.unwrap();
    let folder = std::env::temp_dir();
    for path in ["/no/such/file", folder.to_str().unwrap()] {
        let ran = asked(&server, &["upload", path]).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    }
    assert_eq!(server.received(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_terminal_is_shown_a_bar() {
    use std::fs::OpenOptions;
    use std::io::Read as _;
    use std::os::unix::ffi::OsStrExt as _;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let server = Server::start().await.unwrap();
    let file = File::new("e-bar", &"x".repeat(1024 * 1024));
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let other_end = OpenOptions::new().read(true).write(true).open(name).unwrap();

    let mut command =
        example("endpoints", &["--base-url", server.base_url(), "upload", file.path()]);
    command.stderr(other_end);
    let shown = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        // Once nobody has the other end open, reading fails.
        let _ = std::fs::File::from(terminal).read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    });
    let ran = run(command).await;
    assert_eq!((ran.code, ran.lines().len()), (0, 1));
    let shown = shown.await.unwrap();
    let bars: Vec<_> = shown.split('\r').map(str::trim).filter(|bar| !bar.is_empty()).collect();
    assert_eq!(bars.first(), Some(&"[------------------------------]   0 % of 1.0 MiB"), "{shown}");
    assert_eq!(bars.last(), Some(&"[##############################] 100 % of 1.0 MiB"), "{shown}");
    assert!(bars.len() > 3 && shown.ends_with('\n'), "{shown}");
}
