//! Resumption over real sockets, as the preset has it.

use std::time::Duration;

use serde_json::json;
use tower_openai::Client;
use tower_openai::extensions::StreamTimeouts;
use tower_openai::layers::ResumePolicy;
use tower_openai::testing::{RecordedRequest, Script, Server};

use crate::support::{CUTS, EVENTS, Play, events, read, request, server, whole};

/// Answers as the header says, `CUT-AFTER`, and goes on from where it is asked to.
fn answer(request: &RecordedRequest) -> Script {
    let after = request.target().split_once("starting_after=").map(|(_, after)| after);
    if let Some(after) = after {
        let from = after.parse::<usize>().unwrap() + 1;
        return Script::events(events().split_off(from));
    }
    let (cut, after) = request.header("x-cut").unwrap().split_once('-').unwrap();
    let script = Script::events(events()).cut_after(after.parse().unwrap());
    match cut {
        "clean" => script.then_end(),
        "truncated" => script.then_truncate(),
        "reset" => script.then_reset(),
        "stall" => script.then_stall(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_stream_that_breaks_on_the_wire_gives_each_event_once() {
    let server = Server::builder().handler(answer).start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let policy = ResumePolicy::default().backoff([Duration::ZERO; 9]);
    let responses = client.resuming_responses().policy(policy);
    let mut broken = 0;
    for cut in ["clean", "truncated", "reset", "stall"] {
        // A stall takes its time, and the first event tells the id.
        let cuts: Vec<_> =
            if cut == "stall" { vec![1, 20, EVENTS - 1] } else { (1..EVENTS).collect() };
        for k in cuts {
            let mut request = request().header("x-cut", format!("{cut}-{k}"));
            if cut == "stall" {
                request = request.timeouts(StreamTimeouts::new().idle(Duration::from_millis(300)));
            }
            let stream = responses.stream_request(request).await.unwrap();
            let (seen, error) = read(stream).await;
            // A reset may overtake what was sent before it, the first event included.
            if seen.is_empty() && cut != "clean" && cut != "truncated" {
                assert_eq!(error.unwrap().response_id(), None);
                continue;
            }
            assert!(error.is_none(), "{cut} after {k}: {error:?}");
            assert_eq!(seen, whole(), "{cut} after {k}");
            broken += 1;
        }
    }
    assert!(broken > 2 * EVENTS, "{broken}");
    let again = server.requests().into_iter().filter(|request| request.method() == "GET");
    for request in again {
        assert!(request.path().ends_with("/responses/resp_1"), "{}", request.target());
        assert_eq!(request.header("authorization"), Some("Bearer sk-test"));
        assert_eq!(request.header("accept"), Some("text/event-stream"));
    }
}

#[tokio::test]
async fn the_plain_endpoint_of_the_preset_resumes_nothing() {
    let server = Server::builder().handler(answer).start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let request = request().header("x-cut", "clean-7");
    let stream = client.responses().stream_request(request).await.unwrap();
    let (seen, error) = read(stream).await;
    assert_eq!((seen.len(), error.unwrap().sequence_number()), (7, Some(6)));
    assert_eq!(server.requests().len(), 1);

    // Nor does the resuming one what is not kept, or is gone.
    let own = json!({"model": "m", "input": "hi", "store": false});
    let request = tower_openai::services::ResponsesRequest::from_body(&own).unwrap();
    let request = request.header("x-cut", "clean-7");
    let stream = client.resuming_responses().stream_request(request).await.unwrap();
    assert_eq!(read(stream).await.0.len(), 7);
    assert_eq!(server.requests().len(), 2);
}

/// The connection that broke does not hold the place that the next one needs.
#[tokio::test(start_paused = true)]
async fn one_place_is_enough_for_a_stream_that_is_resumed() {
    for cut in CUTS {
        let (http, log) = server([
            Play::Cut(0, 7, cut),
            Play::Status(503, "", ""),
            Play::Cut(7, 8, cut),
            Play::From(8),
        ]);
        let policy = r#"{"responses": {"max_in_flight": 1}, "resume": {"total_ms": 0}}"#;
        let policy = serde_json::from_str(policy).unwrap();
        let client = Client::builder().transport(http).policy(policy).build().unwrap();
        let stream = client.resuming_responses().stream_request(request()).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(3600), read(stream)).await;
        let (seen, error) = read.expect("it goes on");
        assert!(error.is_none(), "{cut:?}: {error:?}");
        assert_eq!(seen, whole(), "{cut:?}");
        assert_eq!(log.lock().unwrap().len(), 4);
    }
}
