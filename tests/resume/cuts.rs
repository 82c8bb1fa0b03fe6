//! Wherever and however a stream is cut, its reader sees one response.

use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_openai::ErrorKind;
use tower_openai::layers::ResumePolicy;
use tower_openai::model::{ResponseEvent, ResponseStatus};

use crate::support::{
    CUTS, Cut, EVENTS, Play, WORDS, events, read, request, resuming, retrieval, server, targets,
    whole,
};

#[tokio::test(start_paused = true)]
async fn a_stream_cut_after_any_event_gives_each_event_once() {
    for cut in CUTS {
        for k in 1..=EVENTS {
            let (http, log) = server([Play::Cut(0, k, cut), Play::From(k)]);
            let resuming = resuming(http, ResumePolicy::default());
            let stream = resuming.stream_request(request()).await.unwrap();
            let (seen, error) = read(stream).await;
            assert!(error.is_none(), "{cut:?} after {k}: {error:?}");
            assert_eq!(seen, whole(), "{cut:?} after {k}");
            // Behind the last event there is nothing to resume.
            let retrieved: Vec<_> = (k < EVENTS).then(|| retrieval(k - 1)).into_iter().collect();
            assert_eq!(targets(&log), retrieved, "{cut:?} after {k}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_sends_again_is_dropped() {
    for cut in CUTS {
        for k in 1..EVENTS {
            // One that begins anew, and one that repeats the last two.
            for from in [0, k.saturating_sub(2)] {
                let (http, _) = server([Play::Cut(0, k, cut), Play::From(from)]);
                let resuming = resuming(http, ResumePolicy::default());
                let stream = resuming.stream_request(request()).await.unwrap();
                let (seen, error) = read(stream).await;
                assert!(error.is_none(), "{cut:?} after {k}: {error:?}");
                assert_eq!(seen, whole(), "{cut:?} after {k}, again from {from}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_cut_behind_every_event() {
    let plays = (0..EVENTS).map(|k| Play::Cut(k, k + 1, CUTS[k % CUTS.len()]));
    let (http, log) = server(plays);
    let resuming = resuming(http, ResumePolicy::default().max_in_a_row(1));
    let mut stream = resuming.stream_request(request()).await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = stream.try_next().await.unwrap() {
        seen.push(event);
    }
    assert_eq!(seen, whole());
    assert_eq!(stream.resumptions() as usize, EVENTS - 1);
    assert_eq!(stream.sequence_number(), Some(EVENTS as u64 - 1));
    assert_eq!(targets(&log), (0..EVENTS - 1).map(retrieval).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn every_way_to_read_goes_on() {
    let text: String = (0..WORDS).map(|n| format!("w{n} ")).collect();
    for cut in CUTS {
        for k in [1, 4, 5, 6, 20, EVENTS - 4, EVENTS - 1] {
            let plays = [Play::Cut(0, k, cut), Play::From(0)];
            let resuming = || resuming(server(plays.clone()).0, ResumePolicy::default());
            let stream = resuming().stream_request(request()).await.unwrap();
            assert_eq!(stream.text().collect().await.unwrap(), text, "{cut:?} after {k}");

            let stream = resuming().stream_request(request()).await.unwrap();
            let response = stream.final_response().await.unwrap();
            assert_eq!(response.status, Some(ResponseStatus::Completed));
            assert_eq!(response.output_text(), text, "{cut:?} after {k}");

            let stream = resuming().stream_request(request()).await.unwrap();
            let mut raw = stream.into_raw();
            let mut seen: Vec<Value> = Vec::new();
            while let Some(event) = raw.try_next().await.unwrap() {
                seen.push(event.parse().unwrap());
            }
            assert_eq!(seen, events(), "{cut:?} after {k}");
            assert_eq!(raw.get_ref().resumptions(), 1);
        }
    }
}

/// As Azure does: the response as it stands, when a stream is taken up.
fn snapshot(number: Option<usize>, text: &str) -> Value {
    let mut event = json!({"type": "response.in_progress", "response": {"id": "resp_1",
        "status": "in_progress", "output": [{"id": "msg_1", "type": "message",
            "role": "assistant", "status": "in_progress",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}]}});
    if let Some(number) = number {
        event["sequence_number"] = number.into();
    }
    event
}

#[tokio::test(start_paused = true)]
async fn a_fresh_snapshot_is_the_response_as_it_stands() {
    // The server has gone on meanwhile, and says so; the reader has seen up to "w1 ".
    let delta = |number: usize, text: &str| {
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text, "sequence_number": number})
    };
    let end = json!({"type": "response.completed", "sequence_number": 12,
        "response": {"id": "resp_1", "status": "completed", "output": []}});
    for number in [None, Some(10)] {
        let again =
            vec![snapshot(number, "w0 w1 w2 "), delta(6, "dropped"), delta(11, "w3"), end.clone()];
        let plays = [Play::Cut(0, 7, Cut::Reset), Play::Events(again, Cut::Clean)];
        let resuming = || resuming(server(plays.clone()).0, ResumePolicy::default());
        let stream = resuming().stream_request(request()).await.unwrap();
        let (seen, error) = read(stream).await;
        assert!(error.is_none(), "{error:?}");
        let snapshots =
            seen.iter().filter(|event| matches!(event, ResponseEvent::InProgress(_))).count();
        assert_eq!(snapshots, 2, "the snapshot is no duplicate");

        let stream = resuming().stream_request(request()).await.unwrap();
        let response = stream.final_response().await.unwrap();
        assert_eq!(response.output_text(), "w0 w1 w2 w3");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_snapshot_is_a_duplicate() {
    let again: Vec<_> = [snapshot(Some(2), "")].into_iter().chain(events().split_off(7)).collect();
    let (http, _) = server([Play::Cut(0, 7, Cut::Reset), Play::Events(again, Cut::Clean)]);
    let stream = resuming(http, ResumePolicy::default()).oneshot(request()).await.unwrap();
    assert_eq!(read(stream).await.0, whole());
}

/// The end of a response has not been read, or there would be no resumption.
#[tokio::test(start_paused = true)]
async fn a_terminal_event_is_never_a_duplicate() {
    // A server that counts anew on each connection.
    let again = |end: Value| {
        let plays = [Play::Cut(0, 7, Cut::Reset), Play::Events(vec![end], Cut::Stall)];
        let (http, log) = server(plays);
        (resuming(http, ResumePolicy::default()), log)
    };
    for number in [0, 6] {
        let mut end = events().pop().unwrap();
        end["sequence_number"] = number.into();
        let (resuming, log) = again(end);
        let (seen, error) = read(resuming.stream_request(request()).await.unwrap()).await;
        assert!(error.is_none(), "{error:?}");
        assert!(matches!(seen.last(), Some(ResponseEvent::Completed(_))), "{:?}", seen.last());
        assert_eq!(targets(&log).len(), 1);

        let response = json!({"id": "resp_1", "status": "failed",
            "error": {"code": "server_error", "message": "m"}});
        for end in [
            json!({"type": "error", "code": "server_error", "message": "m"}),
            json!({"type": "response.failed", "response": response}),
            json!({"type": "response.new", "error": {"code": "server_error", "message": "m"}}),
        ] {
            let mut end = end;
            end["sequence_number"] = number.into();
            let (resuming, log) = again(end);
            let (_, error) = read(resuming.stream_request(request()).await.unwrap()).await;
            let error = error.unwrap();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Server, "m"));
            assert_eq!(targets(&log).len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_behind_the_highest_number() {
    // The last two in the wrong order.
    let mut first = events();
    first.truncate(9);
    first.swap(7, 8);
    let plays = [Play::Events(first.clone(), Cut::Reset), Play::From(8)];
    let (http, log) = server(plays);
    let stream = resuming(http, ResumePolicy::default()).stream_request(request()).await.unwrap();
    let (seen, error) = read(stream).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(targets(&log), [retrieval(8)]);
    let expected: Vec<ResponseEvent> = first
        .into_iter()
        .chain(events().split_off(9))
        .map(|event| serde_json::from_value(event).unwrap())
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_cut_in_the_middle_of_an_event() {
    let text: String = events().iter().map(|event| format!("data: {event}\n\n")).collect();
    // Behind which byte each event is whole.
    let ends: Vec<_> = text.match_indices("\n\n").map(|(at, _)| at + 2).collect();
    let bytes = (ends[4]..ends[5]).chain((ends[5]..text.len()).step_by(97));
    for (at, cut) in bytes.flat_map(|at| CUTS.map(|cut| (at, cut))) {
        let read_whole = ends.iter().filter(|end| **end <= at).count();
        let (http, log) = server([Play::Text(text[..at].to_owned(), cut), Play::From(read_whole)]);
        let resuming = resuming(http, ResumePolicy::default());
        let stream = resuming.stream_request(request()).await.unwrap();
        let (seen, error) = read(stream).await;
        assert!(error.is_none(), "{cut:?} after {at} bytes: {error:?}");
        assert_eq!(seen, whole(), "{cut:?} after {at} bytes");
        assert_eq!(targets(&log), [retrieval(read_whole - 1)], "{cut:?} after {at} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_noticed_by_the_clock_of_events() {
    let (http, _) = server([Play::Cut(0, 7, Cut::Stall), Play::From(7)]);
    let resuming = resuming(http, ResumePolicy::default().backoff([std::time::Duration::ZERO]));
    let start = Instant::now();
    let stream = resuming.stream_request(request()).await.unwrap();
    assert_eq!(read(stream).await.0, whole());
    let waited = start.elapsed().as_secs();
    assert!((300..=320).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn done_without_a_terminal_event_is_a_break() {
    let head: Vec<_> = events().into_iter().take(3).chain([json!("[DONE]")]).collect();
    let (http, log) = server([Play::Events(head, Cut::Stall), Play::From(3)]);
    let stream = resuming(http, ResumePolicy::default()).oneshot(request()).await.unwrap();
    assert_eq!(read(stream).await.0, whole());
    assert_eq!(targets(&log), [retrieval(2)]);
}
