//! `POST images/generations` and `POST images/edits`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request};
use serde_json::json;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_openai::client::Client;
use tower_openai::extensions::{Call, StreamObservers, StreamTimeouts};
use tower_openai::model::{ImageEdit, ImageEvent, ImageGeneration, ImageReference};
use tower_openai::services::{Compression, FormFile, Images, ImagesRequest, ImagesStream};
use tower_openai::sse::{AnswerFacts, StreamEnd, StreamObserver, StreamSettings};
use tower_openai::testing::{Script, Server};
use tower_openai::{Error, ErrorKind, RequestBody, Stage};

use crate::support::{Feed, Header, assert_sent, once, response, whole};

const ANSWER: &str = r#"{"created":1764967971,"background":"opaque","output_format":"png",
    "quality":"high","size":"1024x1024","data":[{"b64_json":"aW1hZ2U=","revised_prompt":"a"},
    {"url":"https://blobs.test/1.png"}],"usage":{"input_tokens":50,
    "input_tokens_details":{"image_tokens":40,"text_tokens":10},"output_tokens":50,
    "total_tokens":100}}"#;

const JSON_TYPE: Header = ("content-type", "application/json");

fn text(request: &Request<RequestBody>) -> &str {
    std::str::from_utf8(request.body().as_bytes().unwrap()).unwrap()
}

#[tokio::test]
async fn a_generation_is_written_to_the_byte() {
    let (http, seen) = once(whole(200, &[("x-request-id", "req_1")], ANSWER));
    let images = Images::new(http).send(ImagesRequest::generate("m", "A cube")).await.unwrap();
    assert_eq!((images.created, images.data.len()), (1764967971, 2));
    assert_eq!(images.data[0].decode().unwrap(), b"image");
    assert_eq!(images.usage.as_ref().unwrap().total_tokens, 100);
    assert_eq!(images.meta().request_id(), Some("req_1"));
    let request = seen.take();
    let body = r#"{"prompt":"A cube","model":"m"}"#;
    assert_sent(&request, Method::POST, "/images/generations", &[JSON_TYPE], body);
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.model()), ("images", Some("m")));
    assert!(!call.is_streaming());

    let mut generation = ImageGeneration::new("m", "A cube");
    generation.background = Some("transparent".into());
    generation.n = Some(2);
    generation.quality = Some("low".into());
    generation.size = Some("auto".into());
    generation.output_format = Some("webp".into());
    generation.output_compression = Some(80);
    generation.moderation = Some("low".into());
    generation.partial_images = Some(1);
    generation.response_format = Some("b64_json".into());
    generation.style = Some("vivid".into());
    generation.user = Some("u".into());
    generation.extra.set("stream", &true).unwrap();
    generation.extra.set("seed", &7).unwrap();
    let body = concat!(
        r#"{"prompt":"A cube","model":"m","background":"transparent","n":2,"quality":"low","#,
        r#""size":"auto","output_format":"webp","output_compression":80,"moderation":"low","#,
        r#""partial_images":1,"response_format":"b64_json","style":"vivid","user":"u","seed":7}"#,
    );
    let (http, seen) = once(whole(200, &[], ANSWER));
    let request = ImagesRequest::from(generation).header("x-a", "b");
    Images::new(http).oneshot(request).await.unwrap();
    let headers = [JSON_TYPE, ("x-a", "b")];
    assert_sent(&seen.take(), Method::POST, "/images/generations", &headers, body);
}

#[tokio::test]
async fn an_edit_of_named_images_is_written_to_the_byte() {
    let images = vec![ImageReference::url("data:image/png;base64,aa"), ImageReference::file("f_1")];
    let mut edit = ImageEdit::new("m", "In blue", images);
    edit.mask = Some(ImageReference::file("f_2"));
    edit.input_fidelity = Some("high".into());
    let body = concat!(
        r#"{"images":[{"image_url":"data:image/png;base64,aa"},{"file_id":"f_1"}],"#,
        r#""prompt":"In blue","model":"m","input_fidelity":"high","mask":{"file_id":"f_2"}}"#,
    );
    let (http, seen) = once(whole(200, &[], ANSWER));
    Images::new(http).send(edit).await.unwrap();
    assert_sent(&seen.take(), Method::POST, "/images/edits", &[JSON_TYPE], body);
}

#[tokio::test]
async fn an_edit_of_images_sent_along_is_a_form_to_the_byte() {
    let mut request = ImagesRequest::edit("m", "\"In\"\nblue")
        .image(FormFile::png(&b"\x89PNG\xff"[..]))
        .image(FormFile::new("b.webp", "image/webp", "two").unwrap())
        .mask(FormFile::png("mask"));
    let edit = request.edit_mut().unwrap();
    edit.n = Some(2);
    edit.extra.set("flag", &true).unwrap();
    let (http, seen) = once(whole(200, &[], ANSWER));
    Images::new(http).send(request).await.unwrap();
    let request = seen.take();
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/images/edits"));
    let content_type = request.headers()["content-type"].to_str().unwrap();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let part = |head: &str, body: &[u8]| {
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        [head.as_bytes(), body, b"\r\n"].concat()
    };
    let png = "filename=\"image.png\"\r\nContent-Type: image/png";
    let webp = "name=\"image[]\"; filename=\"b.webp\"\r\nContent-Type: image/webp";
    let expected = [
        part(&format!("name=\"image[]\"; {png}"), b"\x89PNG\xff"),
        part(webp, b"two"),
        part(&format!("name=\"mask\"; {png}"), b"mask"),
        part("name=\"prompt\"", b"\"In\"\nblue"),
        part("name=\"model\"", b"m"),
        part("name=\"n\"", b"2"),
        part("name=\"flag\"", b"true"),
        format!("--{boundary}--\r\n").into_bytes(),
    ];
    assert_eq!(request.body().as_bytes().unwrap(), &expected.concat());

    // One image is a field of another name.
    let (http, seen) = once(whole(200, &[], ANSWER));
    let one = ImagesRequest::edit("m", "p").image(FormFile::png("one"));
    Images::new(http).send(one).await.unwrap();
    assert!(text(&seen.take()).contains("name=\"image\"; "));
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_and_nothing_sent() {
    let file = || FormFile::png("x");
    let named = || ImagesRequest::from(ImageEdit::new("m", "p", vec![ImageReference::file("f")]));
    let edit = || ImagesRequest::edit("m", "p");
    for (request, word) in [
        (ImagesRequest::generate("m", "p").image(file()), "ask for an edit"),
        (named().image(file()), "either"),
        (named().mask(file()), "either"),
        (edit().mask(file()), "no image"),
        (edit().image(file()).compression(Compression::Gzip), "not JSON"),
    ] {
        let (http, seen) = once(whole(200, &[], ANSWER));
        let error = Images::new(http.clone()).send(request.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains(word), "{error}");
        let error = ImagesStream::new(http).oneshot(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(seen.is_none());
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_without_its_images() {
    for body in [r#"{"data":{}}"#, r#"{"created":1}"#, r#"{"created":1,"data":[{"b64_json":7}]}"#] {
        let (http, _) = once(whole(200, &[], body));
        let error = Images::new(http).send(ImagesRequest::generate("m", "p")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}");
    }
    let (http, _) = once(whole(
        400,
        &[],
        r#"{"error":{"message":"no","code":"image_content_policy_violation"}}"#,
    ));
    let error = Images::new(http).send(ImagesRequest::generate("m", "p")).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Policy, "no"));
    // More than other answers may have, and no more than this.
    for (limit, fits) in [(None, true), (Some(1 << 20), false)] {
        let image = "A".repeat(20 << 20);
        let body = format!(r#"{{"created":1,"data":[{{"b64_json":"{image}"}}]}}"#);
        let (http, _) = once(whole(200, &[], body));
        let mut images = Images::new(http);
        if let Some(limit) = limit {
            images = images.body_limit(limit);
        }
        let answer = images.send(ImagesRequest::generate("m", "p")).await;
        assert_eq!(answer.is_ok(), fits);
        if let Err(error) = answer {
            assert_eq!(error.kind(), ErrorKind::TooLarge);
        }
    }
}

#[test]
fn debug_shows_no_image() {
    let request =
        ImagesRequest::edit("m", "p").image(FormFile::png("hidden")).mask(FormFile::png("hidden"));
    let text = format!("{request:?}");
    assert!(text.contains("image.png") && !text.contains("hidden"), "{text}");
}

// Streamed.

fn event(kind: &str, image: &str) -> String {
    let event = json!({"type": kind, "b64_json": image, "partial_image_index": 0, "usage":
        {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}});
    format!("event: {kind}\ndata: {event}\n\n")
}

fn request() -> ImagesRequest {
    ImagesRequest::generate("m", "p")
}

/// The events' types and the error at the end of a stream with this body.
async fn streamed(request: ImagesRequest, body: &str) -> (Vec<String>, Option<Error>) {
    let (http, _) = once(whole(200, &[("x-request-id", "req_1")], body.to_owned()));
    let mut stream = ImagesStream::new(http).stream_request(request).await.unwrap();
    let mut kinds = Vec::new();
    loop {
        match stream.next().await {
            Some(Ok(event)) => kinds.push(event.kind().to_owned()),
            Some(Err(error)) => {
                assert!(stream.next().await.is_none());
                return (kinds, Some(error));
            }
            None => return (kinds, None),
        }
    }
}

#[tokio::test]
async fn a_stream_is_asked_for_and_ends_with_its_terminal_event() {
    let (feed, body) = Feed::new();
    let (http, seen) = once(response(200, &[("x-request-id", "req_1")], body));
    let mut stream = ImagesStream::new(http).stream_request(request()).await.unwrap();
    assert_eq!(stream.meta().request_id(), Some("req_1"));
    let sent = seen.take();
    let body = r#"{"prompt":"p","model":"m","stream":true}"#;
    let headers = [("accept", "text/event-stream"), JSON_TYPE];
    assert_sent(&sent, Method::POST, "/images/generations", &headers, body);
    assert!(sent.extensions().get::<Call>().unwrap().is_streaming());

    feed.text(": comment\n\n");
    feed.text(event("image_generation.partial_image", "aW0="));
    let Some(ImageEvent::GenerationPartial(preview)) = stream.try_next().await.unwrap() else {
        panic!("a preview");
    };
    assert_eq!((preview.decode().unwrap(), preview.partial_image_index), (b"im".to_vec(), Some(0)));
    feed.text(event("image_generation.not_invented", "aW0="));
    let Some(ImageEvent::Unknown(unknown)) = stream.try_next().await.unwrap() else {
        panic!("an unknown event");
    };
    assert_eq!(unknown.kind(), "image_generation.not_invented");
    feed.text(event("image_generation.completed", "aW1hZ2U="));
    // The body stays open, and the image is handed out all the same.
    let Some(ImageEvent::GenerationCompleted(image)) = stream.try_next().await.unwrap() else {
        panic!("an image");
    };
    assert_eq!(
        (image.decode().unwrap(), image.usage.unwrap().total_tokens),
        (b"image".to_vec(), 3)
    );
    drop(feed);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_edit_sent_along_is_asked_for_as_a_stream_too() {
    let body = event("image_edit.partial_image", "") + &event("image_edit.completed", "");
    let (http, seen) = once(whole(200, &[], body));
    let edit = ImagesRequest::edit("m", "p").image(FormFile::png("x"));
    let mut stream = ImagesStream::new(http).stream_request(edit).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(ImageEvent::EditPartial(_)))));
    assert!(matches!(stream.next().await, Some(Ok(ImageEvent::EditCompleted(_)))));
    assert!(stream.next().await.is_none());
    assert!(text(&seen.take()).contains("name=\"stream\"\r\n\r\ntrue\r\n"));
}

#[tokio::test]
async fn a_stream_of_several_images_ends_with_the_last() {
    let mut two = ImageGeneration::new("m", "p");
    two.n = Some(2);
    let one = event("image_generation.completed", "");
    let (kinds, error) = streamed(two.clone().into(), &one.repeat(3)).await;
    assert_eq!((kinds.len(), error.is_none()), (2, true));
    // A server may make one of two; it may not stop in the middle of the first.
    for end in ["", "data: [DONE]\n\n"] {
        let (kinds, error) = streamed(two.clone().into(), &format!("{one}{end}")).await;
        assert_eq!((kinds.len(), error.is_none()), (1, true));
        let preview = event("image_generation.partial_image", "");
        let (kinds, error) = streamed(two.clone().into(), &format!("{preview}{end}")).await;
        assert_eq!((kinds.len(), error.unwrap().kind()), (1, ErrorKind::Truncated));
    }
}

#[tokio::test]
async fn a_stream_that_stops_or_fails_is_an_error() {
    let preview = event("image_generation.partial_image", "aW0=");
    let code = r#"{"message":"m","code":"rate_limit_exceeded"}"#;
    for (tail, kind) in [
        (String::new(), ErrorKind::Truncated),
        ("data: [DONE]\n\n".into(), ErrorKind::Truncated),
        (format!("data: {{\"type\":\"error\",\"error\":{code}}}\n\n"), ErrorKind::RateLimited),
        (format!("data: {{\"error\":{code}}}\n\n"), ErrorKind::RateLimited),
        (format!("data: {{\"type\":\"x\",\"error\":{code}}}\n\n"), ErrorKind::RateLimited),
        ("data: {\"type\":\"image_generation.completed\"}\n\n".into(), ErrorKind::Protocol),
        ("data: no\n\n".into(), ErrorKind::Protocol),
    ] {
        let (kinds, error) = streamed(request(), &format!("{preview}{tail}")).await;
        let error = error.unwrap();
        assert_eq!(
            (kinds.len(), error.kind(), error.stage()),
            (1, kind, Stage::Streaming),
            "{tail}"
        );
        assert_eq!(error.request_id(), Some("req_1"));
        // A server that says so may be asked again; a preview would come twice.
        assert_eq!(error.is_retryable(), kind == ErrorKind::RateLimited, "{tail}");
    }
    let (_, error) = streamed(request(), "").await;
    assert!(error.unwrap().is_retryable(), "nothing was handed out");
    // An answer that is no stream at all.
    let json = [("content-type", "application/json")];
    for (status, headers, kind) in
        [(200, &json[..], ErrorKind::Protocol), (429, &[], ErrorKind::RateLimited)]
    {
        let (http, _) = once(whole(status, headers, "{}"));
        let error = ImagesStream::new(http).stream_request(request()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[tokio::test]
async fn a_lenient_stream_skips_what_it_cannot_read() {
    let body = format!("data: no\n\n{}", event("image_generation.completed", ""));
    let (http, _) = once(whole(200, &[], body));
    let mut settings = StreamSettings::default();
    settings.lenient = true;
    let images = ImagesStream::new(http).settings(settings);
    let mut stream = images.stream_request(request()).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(ImageEvent::GenerationCompleted(_)))));
    assert_eq!(stream.skipped_events(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_clocks_of_streams_hold() {
    let limits = StreamTimeouts::new()
        .first_event(Duration::from_secs(20))
        .progress(Duration::from_secs(60));
    for (first, kind, seconds) in
        [(false, ErrorKind::FirstEventTimeout, 20), (true, ErrorKind::ProgressTimeout, 60)]
    {
        let (feed, body) = Feed::new();
        let (http, _) = once(response(200, &[], body));
        let images = ImagesStream::new(http).timeouts(limits);
        let mut stream = images.stream_request(request()).await.unwrap();
        if first {
            feed.text(event("image_generation.partial_image", ""));
            stream.next().await.unwrap().unwrap();
        }
        let start = Instant::now();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!((seconds..=seconds + seconds / 16 + 1).contains(&start.elapsed().as_secs()));
        assert!(feed.is_closed());
    }
}

#[tokio::test]
async fn dropping_the_stream_drops_the_body() {
    let (feed, body) = Feed::new();
    let (http, _) = once(response(200, &[], body));
    let stream = ImagesStream::new(http).stream_request(request()).await.unwrap();
    assert!(!feed.is_closed());
    drop(stream);
    assert!(feed.is_closed());
}

/// Notes how a stream ends.
#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl StreamObserver for Ear {
    fn on_answer(&self, answer: &AnswerFacts<'_>) {
        self.0.lock().unwrap().push(format!("{:?}", answer.usage.map(|usage| usage.total_tokens)));
    }

    fn on_end(&self, end: StreamEnd<'_>) {
        self.0.lock().unwrap().push(match end {
            StreamEnd::Error(error) => error.kind().to_string(),
            other => format!("{other:?}"),
        });
    }
}

#[tokio::test]
async fn observers_hear_of_the_end_once() {
    let body = event("image_generation.completed", "");
    for (body, read, heard) in [
        (body.as_str(), true, &["Some(3)", "Complete"][..]),
        ("", true, &["truncated"]),
        (body.as_str(), false, &["Dropped"]),
    ] {
        let ear = Arc::new(Ear::default());
        let mut answer = whole(200, &[], body.to_owned());
        StreamObservers::add(answer.extensions_mut(), Arc::clone(&ear) as Arc<_>);
        let (http, _) = once(answer);
        let mut stream = ImagesStream::new(http).stream_request(request()).await.unwrap();
        if read {
            let _ = stream.next().await;
        }
        drop(stream);
        assert_eq!(*ear.0.lock().unwrap(), heard);
    }
}

#[tokio::test]
async fn they_work_over_real_sockets() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let mut generation = ImageGeneration::new("m", "p");
    generation.n = Some(2);
    let images = client.images().send(generation).await.unwrap();
    assert_eq!(images.data.len(), 2);
    assert!(images.data[0].decode().unwrap().starts_with(b"\x89PNG"));
    let edit = || {
        let mut edit = ImagesRequest::edit("m", "p").image(FormFile::png("x"));
        edit.edit_mut().unwrap().partial_images = Some(2);
        edit
    };
    assert_eq!(client.images().send(edit()).await.unwrap().data.len(), 1);
    let mut stream = client.images_stream().stream_request(edit()).await.unwrap();
    let mut kinds = Vec::new();
    while let Some(event) = stream.try_next().await.unwrap() {
        kinds.push(event.kind().to_owned());
    }
    let partial = "image_edit.partial_image";
    assert_eq!(kinds, [partial, partial, "image_edit.completed"]);
    let paths: Vec<_> = server.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/v1/images/generations", "/v1/images/edits", "/v1/images/edits"]);

    // Cut to pieces on the way, and cut off.
    let events = event("image_generation.completed", "aW0=");
    for (cut, finished) in [(events.len(), true), (events.len() - 3, false)] {
        let pieces: Vec<_> = events.as_bytes()[..cut].chunks(7).map(<[u8]>::to_vec).collect();
        server.enqueue(Script::pieces(pieces).header("content-type", "text/event-stream"));
        let mut stream = client.images_stream().stream_request(request()).await.unwrap();
        assert_eq!(stream.next().await.unwrap().is_ok(), finished);
    }
}
