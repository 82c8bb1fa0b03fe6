//! What the server says beside the answer: in headers, in metadata, in members of other events.

use serde_json::json;
use tower_openai::model::ResponseEvent;
use tower_openai::services::TurnState;
use tower_openai::sse::StreamSettings;

use crate::support::{
    Header, call, completed, created, delta, kinds, read, request, response, sent, sse, stream,
};

const HEAD: [Header; 6] = [
    ("x-reasoning-included", "true"),
    ("x-models-etag", "etag-1"),
    ("x-codex-primary-used-percent", "12.5"),
    ("x-codex-other-primary-used-percent", "50"),
    ("openai-model", "gpt-served"),
    ("x-request-id", "req_1"),
];

#[tokio::test]
async fn events_of_the_head_come_first_and_in_order() {
    let (events, error) = read(stream(&HEAD, sse(&[created(), completed()])).await).await;
    assert!(error.is_none());
    assert_eq!(
        kinds(&events),
        [
            "client.server_model",
            "client.rate_limits",
            "client.rate_limits",
            "client.models_etag",
            "client.reasoning_included",
            "response.created",
            "response.completed",
        ]
    );
    assert!(matches!(&events[0], ResponseEvent::ServerModel(model) if model == "gpt-served"));
    let limits = events.iter().filter_map(|event| match event {
        ResponseEvent::RateLimits(limits) => limits.primary.as_ref().map(|w| w.used_percent),
        _ => None,
    });
    assert_eq!(limits.collect::<Vec<_>>(), [12.5, 50.0]);
}

#[tokio::test]
async fn a_head_that_says_nothing_gives_no_events() {
    let (events, _) = read(stream(&[("x-request-id", "r")], sse(&[completed()])).await).await;
    assert_eq!(kinds(&events), ["response.completed"]);
    for no in ["false", "0", "False"] {
        let head = [("x-reasoning-included", no)];
        let (events, _) = read(stream(&head, sse(&[completed()])).await).await;
        assert_eq!(kinds(&events), ["response.completed"], "{no}");
    }
}

#[tokio::test]
async fn the_head_is_there_before_any_event() {
    let stream = stream(&HEAD, sse(&[completed()])).await;
    assert_eq!(stream.meta().request_id(), Some("req_1"));
    assert_eq!(stream.meta().model(), Some("gpt-served"));
    assert_eq!(stream.meta().rate_limits().len(), 2);
    assert_eq!(stream.meta().headers()["x-models-etag"], "etag-1");
}

#[tokio::test]
async fn a_new_model_in_a_later_event_is_told_and_the_same_one_is_not() {
    let named = |model: &str| {
        json!({"type": "response.in_progress", "response": {"id": "r"},
            "headers": {"x-openai-model": [model, "ignored"]}})
    };
    let body = sse(&[named("a"), named("a"), named("b"), named("a"), completed()]);
    let (events, _) = read(stream(&[("openai-model", "a")], body).await).await;
    let models = events.iter().filter_map(|event| match event {
        ResponseEvent::ServerModel(model) => Some(model.as_str()),
        _ => None,
    });
    // The head's model does not count for the body's.
    assert_eq!(models.collect::<Vec<_>>(), ["a", "a", "b", "a"]);
}

#[tokio::test]
async fn rate_limits_in_an_event_are_read_like_those_in_headers() {
    let limits = json!({"type": "codex.rate_limits", "plan_type": "plus",
        "rate_limits": {"primary": {"used_percent": 42, "window_minutes": 60, "reset_at": 7}}});
    let (events, _) = read(stream(&[], sse(&[limits, completed()])).await).await;
    assert_eq!(kinds(&events), ["client.rate_limits", "codex.rate_limits", "response.completed"]);
    let ResponseEvent::RateLimits(snapshot) = &events[0] else { panic!("{events:?}") };
    let window = snapshot.primary.as_ref().unwrap();
    assert_eq!((window.used_percent, window.window_minutes), (42.0, Some(60)));
    for silent in [json!({}), json!({"rate_limits": "many", "limit_name": "codex"})] {
        let mut limits = json!({"type": "codex.rate_limits"});
        limits.as_object_mut().unwrap().extend(silent.as_object().unwrap().clone());
        let (events, _) = read(stream(&[], sse(&[limits, completed()])).await).await;
        assert_eq!(kinds(&events), ["codex.rate_limits", "response.completed"]);
    }
}

#[tokio::test]
async fn moderation_metadata_is_handed_out_as_it_is() {
    let metadata = json!({"type": "response.metadata",
        "metadata": {"openai_chatgpt_moderation_metadata": {"any": [1, {"thing": null}]}}});
    let (events, _) = read(stream(&[], sse(&[metadata, completed()])).await).await;
    let ResponseEvent::TurnModerationMetadata(raw) = &events[0] else { panic!("{events:?}") };
    assert_eq!(raw.as_str(), r#"{"any":[1,{"thing":null}]}"#);
}

#[tokio::test]
async fn safety_buffering_merges_the_event_with_the_head() {
    let mut buffered = delta("a");
    buffered["safety_buffering"] = json!({"use_cases": ["u"], "reasons": ["r"]});
    let mut other = buffered.clone();
    other["safety_buffering"]["retry_model"] = json!("from-event");
    let head = [
        ("x-codex-safety-buffering-enabled", "true"),
        ("x-codex-safety-buffering-faster-model", "from-head"),
    ];
    let (events, _) = read(stream(&head, sse(&[buffered, other, completed()])).await).await;
    let models = events.iter().filter_map(|event| match event {
        ResponseEvent::SafetyBuffering(said) => {
            assert_eq!(
                (&said.use_cases[..], &said.reasons[..]),
                (&["u".into()][..], &["r".into()][..])
            );
            said.alternative_model()
        }
        _ => None,
    });
    assert_eq!(models.collect::<Vec<_>>(), ["from-head", "from-event"]);
    assert_eq!(crate::support::text(&events), "aa", "the events themselves are not lost");
}

async fn answered(state: &TurnState, headers: &[Header], body: String) {
    let answer = response(200, headers, http_body_util::Full::from(body));
    let request = request().turn_state(state.clone());
    let stream = call(StreamSettings::default(), request, answer).await.unwrap();
    assert!(read(stream).await.1.is_none());
}

#[tokio::test]
async fn turn_state_is_captured_once_and_sent_with_the_next_call() {
    let state = TurnState::new();
    let first = sent(request().turn_state(state.clone())).await.unwrap();
    assert_eq!(first.header("x-codex-turn-state"), None);
    answered(&state, &[("x-codex-turn-state", "one")], sse(&[completed()])).await;
    assert_eq!(state.get(), Some("one"));
    answered(&state, &[("x-codex-turn-state", "two")], sse(&[completed()])).await;
    assert_eq!(state.get(), Some("one"), "the first one wins");
    let next = sent(request().turn_state(state).header("x-codex-turn-state", "own")).await.unwrap();
    assert_eq!(next.header("x-codex-turn-state"), Some("one"));
    assert!(next.headers["x-codex-turn-state"].is_sensitive());
    let other = sent(request().turn_state(TurnState::new())).await.unwrap();
    assert_eq!(other.header("x-codex-turn-state"), None, "a new turn starts without");
}

#[tokio::test]
async fn turn_state_may_come_in_metadata() {
    let state = TurnState::new();
    let metadata = json!({"type": "response.metadata", "headers": {"X-Codex-Turn-State": "late"}});
    answered(&state, &[], sse(&[metadata, completed()])).await;
    assert_eq!(state.get(), Some("late"));
}

#[tokio::test]
async fn turn_state_in_metadata_reaches_readers_of_raw_events_too() {
    let state = TurnState::new();
    let metadata = json!({"type": "response.metadata", "headers": {"x-codex-turn-state": "late"}});
    let answer = response(200, &[], http_body_util::Full::from(sse(&[metadata, completed()])));
    let request = request().turn_state(state.clone());
    let mut events = call(StreamSettings::default(), request, answer).await.unwrap().into_raw();
    while events.try_next().await.unwrap().is_some() {}
    assert_eq!(state.get(), Some("late"));
}

#[tokio::test]
async fn turn_state_is_there_before_the_first_event_is_read() {
    let state = TurnState::new();
    let answer = response(
        200,
        &[("x-codex-turn-state", "now")],
        http_body_util::Empty::<bytes::Bytes>::new(),
    );
    let request = request().turn_state(state.clone());
    drop(call(StreamSettings::default(), request, answer).await.unwrap());
    assert_eq!(state.get(), Some("now"));
}
