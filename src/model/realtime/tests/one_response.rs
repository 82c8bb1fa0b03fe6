//! One answer at a time.

use serde_json::{Value, json};

use crate::model::realtime::{ClientEvent, OneResponse, ResponseCreate, ServerEvent};

fn create(id: &str) -> ResponseCreate {
    ResponseCreate { event_id: Some(id.into()), ..ResponseCreate::default() }
}

/// The id of what is to be sent.
fn sent(event: Option<ClientEvent>) -> Option<String> {
    event.map(|event| match event {
        ClientEvent::ResponseCreate(event) => event.event_id.unwrap().into(),
        event => panic!("{event:?}"),
    })
}

fn ask(responses: &mut OneResponse, id: &str) -> Option<String> {
    sent(responses.ask(create(id)))
}

fn tell(responses: &mut OneResponse, event: Value) -> Option<String> {
    let event: ServerEvent = serde_json::from_value(event).unwrap();
    sent(responses.observe(&event))
}

fn created(id: &str) -> Value {
    json!({"type": "response.created", "response": {"id": id, "status": "in_progress"}})
}

fn done(id: &str) -> Value {
    json!({"type": "response.done", "response": {"id": id, "status": "completed"}})
}

fn conflict_with(id: &str) -> Value {
    json!({"type": "error", "error": {
        "type": "invalid_request_error", "code": "conversation_already_has_active_response",
        "message": format!("Conversation already has an active response in progress: {id}. Wait \
            until the response is finished before creating a new one."),
    }})
}

fn some(id: &str) -> Option<String> {
    Some(id.to_owned())
}

#[test]
fn the_first_is_sent_and_the_next_waits() {
    let mut responses = OneResponse::new();
    assert!(!responses.is_busy());
    assert_eq!(ask(&mut responses, "a"), some("a"));
    assert_eq!(ask(&mut responses, "b"), None);
    assert_eq!(tell(&mut responses, created("r1")), None);
    assert!(responses.is_busy());
    assert_eq!(tell(&mut responses, done("r1")), some("b"));
    assert_eq!(tell(&mut responses, created("r2")), None);
    assert_eq!(tell(&mut responses, done("r2")), None);
    assert!(!responses.is_busy());
}

#[test]
fn the_latest_takes_the_place_of_the_one_that_waits() {
    let mut responses = OneResponse::new();
    for (id, expected) in [("a", some("a")), ("b", None), ("c", None)] {
        assert_eq!(ask(&mut responses, id), expected);
    }
    tell(&mut responses, created("r1"));
    assert_eq!(tell(&mut responses, done("r1")), some("c"));
    tell(&mut responses, created("r2"));
    assert_eq!(tell(&mut responses, done("r2")), None);
}

#[test]
fn an_answer_that_the_server_began_counts() {
    let mut responses = OneResponse::new();
    tell(&mut responses, created("r1"));
    assert_eq!(ask(&mut responses, "a"), None);
    assert_eq!(tell(&mut responses, done("r1")), some("a"));
}

#[test]
fn a_cancelled_answer_is_over_once() {
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    tell(&mut responses, created("r1"));
    ask(&mut responses, "b");
    let cancelled = json!({"type": "response.cancelled", "response_id": "r1"});
    assert_eq!(tell(&mut responses, cancelled), some("b"));
    ask(&mut responses, "c");
    // The server says so twice: the second is no end of `b`.
    assert_eq!(tell(&mut responses, done("r1")), None);
    assert!(responses.is_busy());
    tell(&mut responses, created("r2"));
    assert_eq!(tell(&mut responses, done("r2")), some("c"));
}

#[test]
fn the_end_of_another_answer_does_not_count() {
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    tell(&mut responses, created("r1"));
    ask(&mut responses, "b");
    assert_eq!(tell(&mut responses, done("beside")), None);
    assert_eq!(tell(&mut responses, done("r1")), some("b"));
}

#[test]
fn ends_without_ids_count() {
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    tell(&mut responses, json!({"type": "response.created"}));
    ask(&mut responses, "b");
    assert_eq!(tell(&mut responses, json!({"type": "response.done"})), some("b"));
    assert_eq!(tell(&mut responses, json!({"type": "response.done"})), None);
    assert!(!responses.is_busy());
}

#[test]
fn one_that_crosses_an_answer_of_the_server_waits_again() {
    let mut responses = OneResponse::new();
    assert_eq!(ask(&mut responses, "a"), some("a"));
    tell(&mut responses, created("r1"));
    assert_eq!(tell(&mut responses, conflict_with("r1")), None);
    assert_eq!(tell(&mut responses, done("r1")), some("a"));
    // Without knowing of the answer before.
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    assert_eq!(tell(&mut responses, conflict_with("r1")), None);
    assert_eq!(tell(&mut responses, done("r1")), some("a"));
    // By the words alone, as Codex knows it.
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    let words = "Conversation already has an active response in progress: r1";
    assert_eq!(tell(&mut responses, json!({"type": "error", "message": words})), None);
    assert_eq!(tell(&mut responses, done("r1")), some("a"));
}

#[test]
fn a_later_one_goes_before_one_that_was_refused() {
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    tell(&mut responses, created("r1"));
    ask(&mut responses, "b");
    tell(&mut responses, conflict_with("r1"));
    assert_eq!(tell(&mut responses, done("r1")), some("b"));
}

#[test]
fn a_refusal_because_of_an_answer_that_is_over_is_asked_again() {
    let mut responses = OneResponse::new();
    tell(&mut responses, created("r1"));
    tell(&mut responses, done("r1"));
    assert_eq!(ask(&mut responses, "a"), some("a"));
    assert_eq!(tell(&mut responses, conflict_with("r1")), some("a"));
    // Once: what the server says again is left to its next answer.
    assert_eq!(tell(&mut responses, conflict_with("r1")), None);
    // Or its end was taken for that of the one that was refused.
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    tell(&mut responses, created("r1"));
    tell(&mut responses, done("r1"));
    assert_eq!(tell(&mut responses, conflict_with("r1")), some("a"));
}

#[test]
fn a_refusal_for_another_reason_ends_it() {
    let complaint = |id: Value| json!({"type": "error", "error": {"code": "unknown_parameter", "message": "No.", "event_id": id}});
    for id in [json!("a"), Value::Null] {
        let mut responses = OneResponse::new();
        ask(&mut responses, "a");
        ask(&mut responses, "b");
        assert_eq!(tell(&mut responses, complaint(id)), some("b"));
    }
    // One of another event, or of an answer that is being made, is no end.
    let mut responses = OneResponse::new();
    ask(&mut responses, "a");
    ask(&mut responses, "b");
    assert_eq!(tell(&mut responses, complaint(json!("of some audio"))), None);
    tell(&mut responses, created("r1"));
    assert_eq!(tell(&mut responses, complaint(Value::Null)), None);
    assert_eq!(tell(&mut responses, done("r1")), some("b"));
}

#[test]
fn complaints_of_nothing_that_was_asked_for_are_nothing() {
    let mut responses = OneResponse::new();
    assert_eq!(tell(&mut responses, conflict_with("r1")), None);
    assert_eq!(tell(&mut responses, json!({"type": "error"})), None);
    assert!(!responses.is_busy());
    assert_eq!(ask(&mut responses, "a"), some("a"));
}
