//! When a stream is given up, and with which error; and which streams are left alone.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tower_openai::extensions::{Deadline, StreamTimeouts};
use tower_openai::layers::ResumePolicy;
use tower_openai::services::ResponsesRequest;
use tower_openai::{Error, ErrorKind, Stage};

use crate::support::{
    Cut, EVENTS, Play, read, request, resuming, retrieval, server, targets, whole,
};

const SECOND: Duration = Duration::from_secs(1);

/// A second between tries.
fn policy() -> ResumePolicy {
    ResumePolicy::default().backoff([SECOND; 100])
}

/// What comes of these connections: how many events, which error, how many tries, in which time.
async fn given_up(
    plays: impl IntoIterator<Item = Play>,
    policy: ResumePolicy,
    request: ResponsesRequest,
) -> (usize, Error, usize, Duration) {
    let (http, log) = server(plays);
    let start = Instant::now();
    let stream = resuming(http, policy).stream_request(request).await.unwrap();
    let (seen, error) = read(stream).await;
    assert_eq!(seen[..], whole()[..seen.len()]);
    (seen.len(), error.expect("it is given up"), targets(&log).len(), start.elapsed())
}

fn cut() -> Play {
    Play::Cut(0, 7, Cut::Reset)
}

/// The place where `cut` cuts.
#[track_caller]
fn assert_place(error: &Error) {
    assert_eq!((error.response_id(), error.sequence_number()), (Some("resp_1"), Some(6)));
    assert_eq!(error.stage(), Stage::Streaming);
    assert!(!error.is_retryable(), "what was read would come twice: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_gone_is_given_up_at_once() {
    for (status, kind) in
        [(404, ErrorKind::NotFound), (400, ErrorKind::InvalidRequest), (401, ErrorKind::Auth)]
    {
        let plays = [cut(), Play::Status(status, "x-request-id", "req_2")];
        let (seen, error, tries, waited) = given_up(plays, policy(), request()).await;
        assert_eq!((seen, tries, waited), (7, 1, SECOND), "{status}");
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, status));
        assert_eq!(error.request_id(), Some("req_2"), "of the call that failed");
        assert!(error.message().contains("had broken off"), "{error}");
        assert_place(&error);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_may_pass_are_tried_again_up_to_a_limit() {
    for (failure, kind) in [
        (Play::Status(503, "", ""), ErrorKind::Server),
        (Play::Status(429, "", ""), ErrorKind::RateLimited),
        (Play::Refuse, ErrorKind::Connect),
        (Play::Cut(7, 7, Cut::Reset), ErrorKind::Transport),
        (Play::Cut(7, 7, Cut::Clean), ErrorKind::Truncated),
    ] {
        let times = |n| std::iter::once(cut()).chain(std::iter::repeat_n(failure.clone(), n));
        let max = policy().max_in_a_row(3);
        let (seen, error, tries, waited) = given_up(times(3), max.clone(), request()).await;
        assert_eq!((seen, tries, waited), (7, 3, 3 * SECOND), "{kind}");
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains("without a new event: 3"), "{error}");
        assert_place(&error);

        // One fewer, and it gets through.
        let (http, log) = server(times(2).chain([Play::From(7)]));
        let stream = resuming(http, max).stream_request(request()).await.unwrap();
        assert_eq!(read(stream).await.0, whole(), "{kind}");
        assert_eq!(targets(&log), vec![retrieval(6); 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_event_begins_a_new_row() {
    let plays = [
        Play::Cut(0, 7, Cut::Reset),
        Play::Status(503, "", ""),
        Play::Cut(7, 8, Cut::Clean),
        Play::Refuse,
        Play::Cut(8, 9, Cut::Stall),
        Play::Cut(0, 9, Cut::Reset), // nothing new in it
        Play::From(9),
    ];
    let (http, _) = server(plays);
    let stream = resuming(http, policy().max_in_a_row(2)).stream_request(request()).await.unwrap();
    let (seen, error) = read(stream).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(seen, whole());
}

#[tokio::test(start_paused = true)]
async fn the_schedule_and_the_time_of_a_row_are_limits_too() {
    let failures = || std::iter::once(cut()).chain(std::iter::repeat_n(Play::Refuse, 20));
    let many = policy().max_in_a_row(100);
    let two = many.clone().backoff([SECOND, 2 * SECOND]);
    let (_, error, tries, waited) = given_up(failures(), two, request()).await;
    assert_eq!((tries, waited), (2, 3 * SECOND));
    assert_place(&error);

    let short = many.clone().total_time(SECOND * 7 / 2);
    let (_, error, tries, waited) = given_up(failures(), short, request()).await;
    assert_eq!((tries, waited), (3, 3 * SECOND), "the fourth would be too late");
    assert_eq!(error.kind(), ErrorKind::Connect);

    // No head comes: the time ends the try.
    let short = many.clone().total_time(10 * SECOND);
    let mute = [cut(), Play::Mute];
    let (_, error, tries, waited) = given_up(mute, short, request()).await;
    assert_eq!((tries, error.kind()), (1, ErrorKind::Transport));
    assert!(waited.as_secs() == 10, "{waited:?}");
    assert_place(&error);

    // A wait that no clock can tell.
    let endless = many.clone().backoff([Duration::MAX]);
    let (_, error, tries, _) = given_up(failures(), endless, request()).await;
    assert_eq!((tries, error.kind()), (0, ErrorKind::Transport));
    assert!(!error.message().contains("given up"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_the_servers_is_waited_for_if_there_is_time() {
    let hinted = |seconds| [cut(), Play::Status(503, "retry-after", seconds), Play::From(7)];
    let (http, _) = server(hinted("20"));
    let start = Instant::now();
    let stream = resuming(http, policy()).stream_request(request()).await.unwrap();
    assert_eq!(read(stream).await.0, whole());
    assert_eq!(start.elapsed(), 21 * SECOND);

    let patient = policy().max_hint(600 * SECOND);
    let (_, error, tries, waited) = given_up(hinted("301"), patient, request()).await;
    assert_eq!((error.kind(), tries, waited), (ErrorKind::Server, 1, SECOND), "the row is over");
    assert_eq!(error.retry_after(), Some(301 * SECOND));
}

/// Not even where the time of a row is without limit.
#[tokio::test(start_paused = true)]
async fn row_20_no_hint_of_the_servers_is_an_endless_sleep() {
    let endless = || policy().total_time(Duration::ZERO);
    let patient = || endless().max_hint(Duration::MAX);
    let year = 31_536_000 * SECOND;
    for (seconds, policy, hint) in [
        ("61", endless(), 61 * SECOND),
        ("31536000", endless(), year),
        ("31536000", patient(), year),
        ("1e300", endless(), Duration::MAX),
        ("1e300", patient(), Duration::MAX),
    ] {
        let plays = [cut(), Play::Status(429, "retry-after", seconds), Play::From(7)];
        let (_, error, tries, waited) = given_up(plays, policy, request()).await;
        assert_eq!((error.kind(), tries, waited), (ErrorKind::RateLimited, 1, SECOND), "{seconds}");
        assert_eq!(error.retry_after(), Some(hint));
        assert_place(&error);
    }
    // What is no time is no hint.
    for no_time in ["inf", "nan", "-1"] {
        let (http, _) = server([cut(), Play::Status(429, "retry-after", no_time), Play::From(7)]);
        let start = Instant::now();
        let stream = resuming(http, endless()).stream_request(request()).await.unwrap();
        assert_eq!(read(stream).await.0, whole(), "{no_time}");
        assert_eq!(start.elapsed(), 2 * SECOND, "{no_time}: its own two waits");
    }
    let (http, _) = server([cut(), Play::Status(429, "retry-after", "61"), Play::From(7)]);
    let policy = endless().max_hint(61 * SECOND);
    let stream = resuming(http, policy).stream_request(request()).await.unwrap();
    assert_eq!(read(stream).await.0, whole());
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_whole_call_holds_for_its_resumptions() {
    let failures = || std::iter::once(cut()).chain(std::iter::repeat_n(Play::Refuse, 20));
    let many = || policy().max_in_a_row(100);
    let limited = request().timeouts(StreamTimeouts::new().total(SECOND * 5 / 2));
    let (_, _, tries, _) = given_up(failures(), many(), limited).await;
    assert_eq!(tries, 2);
    let deadline = Deadline::at(Instant::now() + SECOND * 7 / 2);
    let (_, _, tries, _) = given_up(failures(), many(), request().extension(deadline)).await;
    assert_eq!(tries, 3);

    // Layers below the service that retrieves are told.
    let (http, log) = server([cut(), Play::From(7)]);
    let at = Instant::now() + 60 * SECOND;
    let request = request().timeouts(StreamTimeouts::new().total(60 * SECOND));
    let stream = resuming(http, policy()).stream_request(request).await.unwrap();
    assert_eq!(read(stream).await.0.len(), EVENTS);
    let sent = log.lock().unwrap();
    assert_eq!(sent[1].extensions().get::<Deadline>(), Some(&Deadline::at(at)));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_keep_is_not_asked_for() {
    let own = |body: serde_json::Value| ResponsesRequest::from_body(&body).unwrap();
    for (request, kept) in [
        (ResponsesRequest::new("m", "hi"), true), // stored by default
        (ResponsesRequest::new("m", "hi").store(false), false),
        (ResponsesRequest::new("m", "hi").store(false).background(true), true),
        (own(json!({"model": "m"})), true),
        (own(json!({"model": "m", "store": true})), true),
        (own(json!({"model": "m", "store": false})), false),
        (own(json!({"model": "m", "store": false, "background": true})), true),
        (own(json!({"model": "m", "store": null, "background": false})), true),
    ] {
        let (http, log) = server([cut(), Play::From(7)]);
        let stream = resuming(http, policy()).stream_request(request.clone()).await.unwrap();
        let (seen, error) = read(stream).await;
        assert_eq!(targets(&log).len(), usize::from(kept), "{request:?}");
        assert_eq!((seen.len(), error.is_none()), (if kept { EVENTS } else { 7 }, kept));
        if let Some(error) = error {
            assert_eq!(error.kind(), ErrorKind::Transport);
            assert_place(&error);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_id_or_number_cannot_be_resumed() {
    let bare = |mut event: serde_json::Value| {
        event.as_object_mut().unwrap().remove("sequence_number");
        event
    };
    let events = crate::support::events();
    let nameless = vec![events[5].clone(), events[6].clone()];
    let numberless = events.iter().take(7).cloned().map(bare).collect();
    for (events, id, number) in
        [(vec![], None, None), (nameless, None, Some(6)), (numberless, Some("resp_1"), None)]
    {
        let (http, log) = server([Play::Events(events, Cut::Reset)]);
        let stream = resuming(http, policy()).stream_request(request()).await.unwrap();
        let (_, error) = read(stream).await;
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert_eq!((error.response_id(), error.sequence_number()), (id, number));
        assert!(targets(&log).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_server_told_is_the_end() {
    let then = |event: serde_json::Value| {
        let mut events = crate::support::events();
        events.truncate(7);
        events.push(event);
        Play::Events(events, Cut::Reset)
    };
    let response = |status: &str| {
        json!({"id": "resp_1", "status": status,
        "error": {"code": "server_error", "message": "m"},
        "incomplete_details": {"reason": "max_output_tokens"}})
    };
    for (event, kind) in [
        (json!({"type": "response.failed", "response": response("failed")}), ErrorKind::Server),
        (
            json!({"type": "response.incomplete", "response": response("incomplete")}),
            ErrorKind::Incomplete,
        ),
        (json!({"type": "error", "code": "server_error", "message": "m"}), ErrorKind::Server),
        (json!("no event"), ErrorKind::Protocol),
    ] {
        // On the first connection, and on one that resumes it.
        for plays in [vec![then(event.clone())], vec![cut(), then(event)]] {
            let tries = plays.len() - 1;
            let (seen, error, made, _) = given_up(plays, policy(), request()).await;
            assert_eq!((seen, error.kind(), made), (7, kind, tries));
            assert!(!error.message().contains("resum"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn off_is_off() {
    for off in [ResumePolicy::none(), ResumePolicy::default().max_in_a_row(0)] {
        let (seen, error, tries, _) = given_up([cut()], off, request()).await;
        assert_eq!((seen, error.kind(), tries), (7, ErrorKind::Transport, 0));
    }
}
