//! A socket in the place of one that broke.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;
use tower::service_fn;

use crate::model::realtime::Session;
use crate::model::realtime::codex::{
    RealtimeEvent, RealtimeResponse, RealtimeTranscriptDone, Transcript,
};
use crate::services::{HttpService, Realtime, RealtimeReconnect, RealtimeRequest};
use crate::ws::{CloseCode, CloseFrame, WebSocketConfig};
use crate::{BoxError, Error, ErrorKind, RequestBody};

/// A server that refuses every handshake, and how often it did.
fn refusing(
    status: StatusCode,
) -> (
    Realtime<impl HttpService<RequestBody, ResponseBody = Full<bytes::Bytes>> + Clone>,
    Arc<AtomicUsize>,
) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let http = service_fn(move |_: Request<RequestBody>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let answer = Response::builder().status(status).body(Full::default());
        std::future::ready(Ok::<_, BoxError>(answer.unwrap()))
    });
    (Realtime::new(http), count)
}

fn closed(code: u16) -> Error {
    Error::closed_by_peer(Some(CloseFrame::from(CloseCode::new(code))))
}

#[test]
fn the_codes_to_open_again_after() {
    for code in [1001, 1005, 1006, 1011, 1012, 1013, 1015] {
        assert!(closed(code).is_retryable(), "{code}");
    }
    for code in [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4000, 4999] {
        assert!(!closed(code).is_retryable(), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_again_with_growing_pauses() {
    let (realtime, count) = refusing(StatusCode::SERVICE_UNAVAILABLE);
    let again = RealtimeReconnect::new(realtime, RealtimeRequest::new("m"));
    let began = Instant::now();
    let opening = again.after(&closed(1011), &Transcript::default()).unwrap();
    let error = opening.await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Server, Some(StatusCode::SERVICE_UNAVAILABLE))
    );
    assert_eq!(count.load(Ordering::Relaxed), 5);
    // 0.5 + 1 + 2 + 4 + 8, less a quarter at most.
    let took = began.elapsed();
    assert!(
        (Duration::from_millis(11_625)..=Duration::from_millis(15_510)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_stays_is_not_tried_again() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND, StatusCode::GONE] {
        let (realtime, count) = refusing(status);
        let again = RealtimeReconnect::new(realtime, RealtimeRequest::join("rtc_1"));
        let opening = again.after(&closed(1006), &Transcript::default()).unwrap();
        assert_eq!(opening.await.unwrap_err().status(), Some(status));
        assert_eq!(count.load(Ordering::Relaxed), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_the_server_asks_for_counts() {
    for (seconds, attempts) in [(20, 5), (61, 1)] {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let http = service_fn(move |_: Request<RequestBody>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = Response::builder().status(503).header("retry-after", seconds);
            std::future::ready(Ok::<_, BoxError>(
                answer.body(Full::<bytes::Bytes>::default()).unwrap(),
            ))
        });
        let again = RealtimeReconnect::new(Realtime::new(http), RealtimeRequest::new("m"));
        let began = Instant::now();
        let opening = again.after(&closed(1011), &Transcript::default()).unwrap();
        assert_eq!(opening.await.unwrap_err().retry_after(), Some(Duration::from_secs(seconds)));
        assert_eq!(count.load(Ordering::Relaxed), attempts);
        assert!(began.elapsed() >= Duration::from_secs(seconds) * (attempts as u32 - 1));
    }
}

#[test]
fn a_call_that_is_joined_again_has_what_was_said() {
    let mut transcript = Transcript::default();
    transcript.observe(&mut RealtimeEvent::InputTranscriptDone(RealtimeTranscriptDone::new("hi")));
    let mut before = Transcript::default();
    before.observe(&mut RealtimeEvent::InputTranscriptDone(RealtimeTranscriptDone::new("earlier")));
    let said = |request: &RealtimeRequest| {
        let (_, first) = request.clone().open(&WebSocketConfig::default()).unwrap();
        let said = first.iter().map(|message| message.as_text().unwrap());
        ["earlier", "hi"].map(|text| said.clone().any(|said| said.contains(text)))
    };
    for (request, expected) in [
        (RealtimeRequest::join("rtc_1"), [false, false]),
        (RealtimeRequest::new("m").carry_over(&before), [true, true]),
    ] {
        let (realtime, _) = refusing(StatusCode::OK);
        let again = RealtimeReconnect::new(realtime, request);
        assert_eq!(said(&again.request_after(&transcript)), expected);
    }
}

#[test]
fn what_was_carried_over_before_is_not_said_twice() {
    let done = |text| RealtimeEvent::InputTranscriptDone(RealtimeTranscriptDone::new(text));
    let mut transcript = Transcript::default();
    transcript.observe(&mut done("earlier"));
    let request = RealtimeRequest::new("m").carry_over(&transcript);
    // The interpreter of the conversation goes on with the same transcript.
    transcript.observe(&mut RealtimeEvent::ResponseCreated(RealtimeResponse::default()));
    transcript
        .observe(&mut RealtimeEvent::OutputTranscriptDone(RealtimeTranscriptDone::new("yes")));
    transcript.observe(&mut done("now"));
    let (realtime, _) = refusing(StatusCode::OK);
    let request = RealtimeReconnect::new(realtime, request).request_after(&transcript);
    let (_, first) = request.open(&WebSocketConfig::default()).unwrap();
    let said: Vec<serde_json::Value> = first
        .iter()
        .map(|message| serde_json::from_str(message.as_text().unwrap()).unwrap())
        .collect();
    let said: Vec<_> =
        said.iter().map(|event| event["item"]["content"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(said, ["earlier", "yes", "now"]);
}

#[tokio::test]
async fn what_would_happen_again_is_left_alone() {
    let (realtime, _) = refusing(StatusCode::OK);
    let again = RealtimeReconnect::new(realtime, RealtimeRequest::new("m"));
    let nothing = Transcript::default();
    assert!(again.after(&closed(4000), &nothing).is_none());
    assert!(again.after(&Error::new(ErrorKind::Protocol, "one odd event"), &nothing).is_none());
    assert!(again.clone().attempts(0).after(&closed(1011), &nothing).is_none());
}

#[test]
fn the_session_and_what_was_said_are_said_again() {
    let mut transcript = Transcript::default();
    let done = |text| RealtimeTranscriptDone::new(text);
    transcript.observe(&mut RealtimeEvent::InputTranscriptDone(done("hi")));
    transcript.observe(&mut RealtimeEvent::OutputTranscriptDone(done("hello")));
    let session = Session::new().instructions("Be brief.");
    let request = RealtimeRequest::new("m").session(session).carry_over(&transcript);
    let (_, first) = request.open(&WebSocketConfig::default()).unwrap();
    let first: Vec<_> = first.iter().map(|message| message.as_text().unwrap()).collect();
    assert_eq!(
        first,
        [
            r#"{"type":"session.update","session":{"type":"realtime","instructions":"Be brief."}}"#,
            r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}}"#,
            r#"{"type":"conversation.item.create","item":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hello"}]}}"#,
        ]
    );
}
