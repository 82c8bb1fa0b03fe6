//! The ways to read a stream: as events, as text, as JSON, as one response.

use std::time::Duration;

use futures_core::FusedStream;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tower_openai::ErrorKind;
use tower_openai::model::ResponseEvent;
use tower_openai::sse::{RawEvent, RawEvents, StreamSettings};

use crate::support::{completed, created, delta, failed, fed, item_done, sse, stream, stream_with};

fn lenient() -> StreamSettings {
    let mut settings = StreamSettings::default();
    settings.lenient = true;
    settings
}

/// The JSON that is handed out, events of the head as their types, and the error at the end.
async fn raw<Src>(mut events: RawEvents<Src>) -> (Vec<String>, Option<tower_openai::Error>)
where
    Src: tower_openai::sse::EventSource + Unpin,
{
    let mut all = Vec::new();
    loop {
        match events.next().await {
            None => return (all, None),
            Some(Ok(RawEvent::Wire(json))) => all.push(json.as_str().to_owned()),
            Some(Ok(RawEvent::Head(event))) => all.push(event.kind().to_owned()),
            Some(Ok(_)) => unreachable!("there are two kinds"),
            Some(Err(error)) => {
                assert!(events.next().await.is_none(), "an error is the end");
                return (all, Some(error));
            }
        }
    }
}

#[tokio::test]
async fn text_is_the_answers_text_only() {
    let reasoning = json!({"type": "response.reasoning_text.delta", "delta": "hm"});
    let refusal = json!({"type": "response.refusal.delta", "delta": "no"});
    let events = [created(), reasoning, delta("Hel"), refusal, delta("lo"), completed()];
    let mut text = stream(&[("openai-model", "m")], sse(&events)).await.text();
    assert_eq!(text.next().await.unwrap().unwrap(), "Hel");
    assert_eq!(text.get_ref().response_id(), Some("resp_1"));
    assert_eq!(text.collect().await.unwrap(), "lo");
}

#[tokio::test]
async fn text_that_is_not_whole_is_an_error() {
    let cut = stream(&[], sse(&[delta("Hel")])).await;
    assert_eq!(cut.text().collect().await.unwrap_err().kind(), ErrorKind::Truncated);
}

#[tokio::test]
async fn the_final_response_is_put_together_from_deltas() {
    let events = [created(), delta("Hel"), delta("lo"), completed()];
    let response = stream(&[], sse(&events)).await.final_response().await.unwrap();
    assert_eq!((&*response.id, response.output_text().as_str()), ("resp_1", "Hello"));
}

#[tokio::test]
async fn a_failure_or_a_break_keeps_what_had_come() {
    let begun = || vec![created(), item_done("Hello"), delta("!")];
    let mut ends = vec![begun(), begun(), begun()];
    ends[0].push(failed(json!({"code": "server_error", "message": "m"})));
    ends[1].push(json!({"type": "error", "code": "server_error", "message": "m"}));
    let kinds = [ErrorKind::Server, ErrorKind::Server, ErrorKind::Truncated];
    for (events, kind) in ends.into_iter().zip(kinds) {
        let error = stream(&[], sse(&events)).await.final_response().await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.response().unwrap().output_text(), "Hello!", "{kind}");
        assert_eq!(error.response_id(), Some("resp_1"));
    }
}

#[tokio::test]
async fn a_partial_response_that_the_server_sends_is_not_overwritten() {
    let own = json!({"type": "response.incomplete", "response": {"id": "resp_1",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [item_done("from the server")["item"]]}});
    let body = sse(&[delta("from deltas"), own]);
    let error = stream(&[], body).await.final_response().await.unwrap_err();
    assert_eq!(error.response().unwrap().output_text(), "from the server");
}

#[tokio::test]
async fn raw_events_are_the_servers_own_words() {
    // Key order, spacing and the spelling of numbers are the server's.
    let odd = r#"{"sequence_number": 1.0e0, "type":"response.new", "b":1, "a":0.10, "\u0061":"é"}"#;
    let last = r#"{"response":{"usage":null,"id":"resp_1"},"type":"response.completed"}"#;
    let body = format!("data: {odd}\n\ndata: {last}\n\n");
    let (events, error) = raw(stream(&[("openai-model", "m")], body).await.into_raw()).await;
    assert!(error.is_none());
    assert_eq!(events, ["client.server_model", odd, last]);
}

#[tokio::test]
async fn a_raw_terminal_event_comes_before_its_error() {
    let end = failed(json!({"code": "insufficient_quota", "message": "m"}));
    let (events, error) = raw(stream(&[], sse(&[delta("a"), end.clone()])).await.into_raw()).await;
    assert_eq!(events, [delta("a").to_string(), end.to_string()]);
    assert_eq!(error.unwrap().kind(), ErrorKind::Quota);
    // An event that this crate cannot read is still the server's.
    let bad = r#"{"type":"response.output_item.done"}"#;
    let (events, error) = raw(stream(&[], format!("data: {bad}\n\n")).await.into_raw()).await;
    assert_eq!(events, [bad]);
    assert_eq!(error.unwrap().kind(), ErrorKind::Protocol);
    // What is no JSON cannot be handed out as JSON.
    let (events, error) = raw(stream(&[], "data: {\n\n").await.into_raw()).await;
    assert!(events.is_empty());
    assert_eq!(error.unwrap().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn raw_and_lenient_hands_out_what_it_counts() {
    let bad = r#"{"type":"response.output_item.done"}"#;
    let body = format!("data: {bad}\n\ndata: nonsense\n\n{}", sse(&[completed()]));
    let mut events = stream_with(lenient(), &[], body).await.into_raw();
    let mut seen = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        let RawEvent::Wire(json) = event else { panic!("{event:?}") };
        seen.push(json.as_str().to_owned());
    }
    assert_eq!(seen, [bad.to_owned(), completed().to_string()]);
    assert_eq!(events.get_ref().skipped_events(), 2);
}

#[tokio::test]
async fn what_is_skipped_in_raw_mode_does_not_come_with_a_later_error() {
    let body = format!("{}data: [1]\n\n", sse(&[delta("a")]));
    let (events, error) = raw(stream_with(lenient(), &[], body).await.into_raw()).await;
    assert_eq!(events, [delta("a").to_string()]);
    assert_eq!(error.unwrap().kind(), ErrorKind::Truncated);
}

#[tokio::test]
async fn raw_events_parse_as_the_callers_own_types() {
    #[derive(serde::Deserialize)]
    struct Own {
        r#type: String,
    }
    let mut events = stream(&[("openai-model", "m")], sse(&[completed()])).await.into_raw();
    let mut seen = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        seen.push(event.parse::<Own>().unwrap().r#type);
    }
    assert_eq!(seen, ["client.server_model", "response.completed"]);
}

#[tokio::test]
async fn keepalive_events_are_not_events_of_the_answer() {
    let body = format!(
        ": ping\n\ndata:\n\nevent: keepalive\ndata:  \n\nevent: ping\n\n{}data: \n\n{}",
        sse(&[delta("a")]),
        sse(&[completed()])
    );
    for settings in [StreamSettings::default(), lenient()] {
        let mut stream = stream_with(settings, &[], body.clone()).await;
        let mut seen = Vec::new();
        while let Some(event) = stream.try_next().await.unwrap() {
            seen.push(event);
        }
        assert_eq!(
            crate::support::kinds(&seen),
            ["response.output_text.delta", "response.completed"]
        );
        assert_eq!(stream.skipped_events(), 0);
    }
}

#[tokio::test]
async fn dispatch_is_by_type_whatever_the_event_line_says() {
    let body = format!("event: error\ndata: {}\n\ndata: {}\n\n", delta("a"), completed());
    let (events, error) = crate::support::events_of(body).await;
    assert!(error.is_none());
    assert_eq!(crate::support::text(&events), "a");
}

#[tokio::test]
async fn a_stream_is_a_stream() {
    let mut events = stream(&[], sse(&[delta("a"), completed()])).await;
    assert!(!events.is_terminated());
    let all: Vec<ResponseEvent> = (&mut events).try_collect().await.unwrap();
    assert_eq!(all.len(), 2);
    assert!(events.is_terminated());
    assert!(StreamExt::next(&mut events).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_read_loses_nothing() {
    let (feed, mut stream) = fed(StreamSettings::default()).await;
    let body = sse(&[delta("a"), delta("b"), completed()]);
    let mut seen = Vec::new();
    for piece in body.as_bytes().chunks(5) {
        feed.text(piece.to_vec());
        // Dropped whenever the event is not whole.
        let read = tokio::time::timeout(Duration::from_millis(1), stream.try_next());
        if let Ok(event) = read.await {
            seen.extend(event.unwrap());
        }
    }
    drop(feed);
    while let Some(event) = stream.try_next().await.unwrap() {
        seen.push(event);
    }
    assert_eq!(crate::support::text(&seen), "ab");
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn ids_and_positions_are_known_as_they_come() {
    let mut numbered = delta("a");
    numbered["sequence_number"] = json!(4);
    let mut stream = stream(&[], sse(&[created(), numbered, completed()])).await;
    assert_eq!((stream.response_id(), stream.sequence_number()), (None, None));
    stream.next().await.unwrap().unwrap();
    assert_eq!((stream.response_id(), stream.sequence_number()), (Some("resp_1"), Some(0)));
    stream.next().await.unwrap().unwrap();
    assert_eq!(stream.sequence_number(), Some(4));
    let shown = format!("{stream:?}");
    assert!(shown.contains("resp_1") && shown.contains('4'), "{shown}");
}

#[tokio::test]
async fn usage_of_another_shape_does_not_fail_the_response() {
    let end = json!({"type": "response.completed",
        "response": {"id": "r", "usage": {"input_tokens": "many"}}});
    let (events, error) = crate::support::events_of(sse(&[end])).await;
    assert!(error.is_none());
    let ResponseEvent::Completed(end) = &events[0] else { panic!("{events:?}") };
    assert!(end.response.usage.is_none());
    let kept: Value = end.response.extra.get("usage").unwrap().parse().unwrap();
    assert_eq!(kept["input_tokens"], "many");
}

#[tokio::test]
async fn texts_and_raw_events_tell_that_they_are_over() {
    let mut pieces = stream(&[], sse(&[delta("a"), completed()])).await.text();
    assert!(!pieces.is_terminated());
    assert_eq!(pieces.next().await.unwrap().unwrap(), "a");
    assert!(pieces.next().await.is_none());
    assert!(pieces.is_terminated());
    let end = failed(json!({"code": "insufficient_quota", "message": "m"}));
    let mut events = stream(&[], sse(&[end])).await.into_raw();
    assert!(events.next().await.unwrap().is_ok());
    assert!(!events.is_terminated(), "the error is still to come");
    assert!(events.next().await.unwrap().is_err());
    assert!(events.is_terminated());
}
