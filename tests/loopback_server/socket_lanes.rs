//! Lanes of the Responses WebSocket: order, concurrency and limits.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tower_openai::testing::{Script, Server};

use crate::sockets::{TERMINAL, and, create, turn};
use crate::support::*;

fn in_lane(lane: &str, input: &str) -> Value {
    and(create(input), "stream_id", lane)
}

/// The events until so many turns have ended, each with its lane.
async fn hear_turns(socket: &mut Socket, mut turns: usize) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    while turns > 0 {
        let event = hear(socket).await;
        turns -= usize::from(TERMINAL.contains(&event["type"].as_str().unwrap()));
        events.push((event["stream_id"].as_str().unwrap_or_default().to_owned(), event));
    }
    events
}

#[tokio::test]
async fn a_lane_is_a_queue_and_lanes_are_concurrent() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    for _ in 0..3 {
        server.enqueue(Script::natural().delay(Duration::from_millis(2)));
    }
    for message in [in_lane("a", "one"), in_lane("a", "two"), in_lane("b", "three")] {
        say(&mut socket, message).await;
    }
    let events = hear_turns(&mut socket, 3).await;
    let mut changes = 0;
    let mut open_in_lane: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in events.windows(2) {
        changes += usize::from(pair[0].0 != pair[1].0);
    }
    for (lane, event) in &events {
        assert!(["a", "b"].contains(&&**lane), "{event}");
        match event["type"].as_str().unwrap() {
            "response.created" => {
                let id = event["response"]["id"].as_str().unwrap();
                assert_eq!(open_in_lane.insert(lane, id), None, "one at a time in {lane}");
            }
            "response.completed" => drop(open_in_lane.remove(&**lane)),
            _ => {}
        }
    }
    assert!(changes > 5, "the lanes alternate: {changes}");
    let texts: Vec<_> = events.iter().filter(|(lane, _)| lane == "a").collect();
    let completed: Vec<_> =
        texts.iter().filter(|(_, event)| event["type"] == "response.completed").collect();
    assert!(
        completed[0].1.to_string().contains("one") && completed[1].1.to_string().contains("two")
    );
}

#[tokio::test]
async fn sixteen_are_in_flight_and_more_wait() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    for _ in 0..16 {
        server.enqueue(Script::natural().cut_after(2).then_stall());
    }
    for lane in 0..17 {
        say(&mut socket, in_lane(&format!("lane-{lane}"), "x")).await;
    }
    let mut created = 0;
    for _ in 0..32 {
        created += usize::from(hear(&mut socket).await["type"] == "response.created");
    }
    assert_eq!(created, 16);
    // The seventeenth was read, but is not begun.
    say(&mut socket, json!({})).await;
    assert_eq!(hear(&mut socket).await["type"], "error");
}

#[tokio::test]
async fn names_are_checked_and_limited() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    for bad in ["", "a b", "ü", &"x".repeat(257)] {
        let event = turn(&mut socket, in_lane(bad, "x")).await.remove(0);
        assert_eq!(event["error"]["code"], "invalid_stream_id", "{bad}");
        assert_eq!(event.get("stream_id"), None);
    }
    for lane in 0..32 {
        let events = turn(&mut socket, in_lane(&format!("lane_{lane}."), "x")).await;
        assert_eq!(events[0]["type"], "response.created", "{lane}");
    }
    let event = turn(&mut socket, in_lane("one-more", "x")).await.remove(0);
    assert_eq!(event["error"]["code"], "websocket_stream_limit_reached");
    assert_eq!(event["status"], 400);
    for known in [in_lane("lane_7.", "x"), create("x")] {
        assert_eq!(turn(&mut socket, known).await[0]["type"], "response.created");
    }
}

#[tokio::test]
async fn errors_say_their_lane_and_a_fork_shares_its_parent() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    let parent = turn(&mut socket, and(in_lane("a", "x"), "store", false)).await;
    let id = parent[0]["response"]["id"].clone();
    let fork = and(and(in_lane("b", "x"), "store", false), "previous_response_id", id);
    let events = turn(&mut socket, fork).await;
    assert!(events.iter().all(|event| event["stream_id"] == "b"), "{events:?}");
    let event = turn(&mut socket, json!({"type": "response.create", "stream_id": "b"})).await;
    assert_eq!((&event[0]["stream_id"], &event[0]["type"]), (&json!("b"), &json!("error")));
}
