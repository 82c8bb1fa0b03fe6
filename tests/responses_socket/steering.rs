//! What is said to a response that is under way.

use std::time::Duration;

use tower_openai::ErrorKind;
use tower_openai::model::{FunctionTool, IncompleteReason, ResponseEvent, ResponseItem};
use tower_openai::testing::{Script, Server};

use crate::support::*;

#[tokio::test]
async fn the_stream_follows_the_response_that_takes_up_what_was_said() {
    for lane in [None, Some("side")] {
        let server = Server::start().await.unwrap();
        let connection = connect(&server).await;
        let connection = match lane {
            Some(name) => connection.lane(name).unwrap(),
            None => connection,
        };
        server.enqueue(Script::natural().cut_after(5).then_stall());
        let mut stream = connection.stream_request(request("a story")).await.unwrap();
        let Some(ResponseEvent::Created(first)) = stream.try_next().await.unwrap() else {
            panic!("it begins")
        };
        let id = &first.response.id;
        let answer = soon(connection.steer(&**id, "a short one")).await.unwrap();

        let mut followed = Vec::new();
        let mut text = String::new();
        while let Some(event) = soon(stream.try_next()).await.unwrap() {
            match event {
                ResponseEvent::SteerAccepted(event) => {
                    assert_eq!(event.steer.id.as_deref(), Some(answer.id.as_str()));
                    assert_eq!(event.steer.previous_response_id.as_deref(), Some(&**id));
                    followed.push("accepted");
                }
                ResponseEvent::Incomplete(event) => {
                    let reason = event.response.incomplete_reason();
                    assert_eq!(reason, Some(&IncompleteReason::Steered));
                    followed.push("steered");
                    text.clear();
                }
                ResponseEvent::Created(event) => {
                    assert_ne!(event.response.id, *id);
                    assert_eq!(event.response.previous_response_id.as_deref(), Some(&**id));
                    followed.push("created");
                }
                ResponseEvent::OutputTextDelta(event) => text.push_str(&event.delta),
                ResponseEvent::Completed(_) => followed.push("completed"),
                event => assert!(!matches!(event, ResponseEvent::Unknown(_)), "{event:?}"),
            }
        }
        assert_eq!(followed, ["accepted", "steered", "created", "completed"]);
        assert!(text.contains("a short one"), "{text}");
        assert_ne!(stream.response_id(), Some(&**id));

        // Too late: that is the steer's error alone, and the lane is free.
        let error = soon(connection.steer(&**id, "too late")).await.unwrap_err();
        assert_eq!(error.code(), Some("response_not_in_progress"));
        let stream = soon(connection.stream_request(request("another"))).await.unwrap();
        assert!(self::text(stream).await.unwrap().contains("another"));
    }
}

#[tokio::test]
async fn a_steer_that_waits_for_a_call_is_taken_up_with_its_answer() {
    let server = Server::start().await.unwrap();
    let connection = connect(&server).await;
    server.enqueue(Script::natural().delay(Duration::from_millis(20)));
    let tool = FunctionTool::new("get_time", "The time");
    let asked = request("get_time").tool(tool.clone());
    let mut stream = connection.stream_request(asked).await.unwrap();
    stream.try_next().await.unwrap();
    let id = stream.response_id().unwrap().to_owned();
    soon(connection.steer(&id, "in Oslo")).await.unwrap();
    let mut kinds = Vec::new();
    while let Some(event) = soon(stream.try_next()).await.unwrap() {
        kinds.push(event.kind().to_owned());
    }
    assert!(kinds.iter().any(|kind| kind == "response.steer.accepted"), "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "response.completed", "it goes on to its own end");

    let pending = soon(async {
        loop {
            let pending = connection.take_pending_steers();
            if !pending.is_empty() {
                break pending;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let [pending] = &pending[..] else { panic!("one steer") };
    assert_eq!(pending.previous_response_id, id);
    let required: serde_json::Value = pending.required_input.as_ref().unwrap().parse().unwrap();
    let call_id = required[0]["call_id"].as_str().unwrap();
    let next = ResponseItem::function_call_output(call_id, "noon");
    let next = tower_openai::services::ResponsesRequest::new("gpt-5.2", vec![next]).tool(tool);
    let stream = connection.stream_request(next.previous_response_id(&id)).await.unwrap();
    assert!(text(stream).await.unwrap().contains("in Oslo"));
}

#[tokio::test]
async fn a_steer_of_a_socket_that_is_over_is_an_error() {
    let server = Server::start().await.unwrap();
    let connection = connect(&server).await;
    server.enqueue(Script::natural().cut_after(2).then_close(1011, "gone"));
    let mut stream = connection.stream_request(request("hello")).await.unwrap();
    while soon(stream.try_next()).await.is_ok() {}
    let error = soon(connection.steer("resp_1", "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}
