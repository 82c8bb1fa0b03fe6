//! The rows of section C.4: the notification of each event of the core.

use serde_json::{Value, json};

use crate::model::realtime::codex::*;

#[track_caller]
fn is(notification: Option<RealtimeNotification>, expected: Option<(&str, Value)>) {
    let expected = expected.map(|(method, mut params)| {
        params["threadId"] = "thr_1".into();
        json!({"method": format!("thread/realtime/{method}"), "params": params})
    });
    assert_eq!(serde_json::to_value(notification).unwrap(), json!(expected));
}

macro_rules! notified {
    (nothing) => {
        None
    };
    ($method:literal $params:tt) => {
        Some(($method, json!($params)))
    };
}

/// A test of each event: what the app server says of it, to the member.
macro_rules! events {
    ($($row:ident: $event:tt => [$($notification:tt)+];)+) => {
        $(
            #[test]
            fn $row() {
                let event = serde_json::from_value(json!($event)).unwrap();
                is(Notifier::new("thr_1").event(event), notified!($($notification)+));
            }
        )+
    };
}

events! {
    input_transcript_delta: {"InputTranscriptDelta": {"delta": "h"}}
        => ["transcript/delta" {"role": "user", "delta": "h"}];
    output_transcript_delta: {"OutputTranscriptDelta": {"delta": "h"}}
        => ["transcript/delta" {"role": "assistant", "delta": "h"}];
    input_transcript_done: {"InputTranscriptDone": {"text": "hi"}}
        => ["transcript/done" {"role": "user", "text": "hi"}];
    output_transcript_done: {"OutputTranscriptDone": {"text": "hi"}}
        => ["transcript/done" {"role": "assistant", "text": "hi"}];
    audio_out: {"AudioOut": {"data": "AA==", "sample_rate": 24000, "num_channels": 1, "samples_per_channel": 1, "item_id": "i"}}
        => ["outputAudio/delta" {"audio": {"data": "AA==", "sampleRate": 24000, "numChannels": 1, "samplesPerChannel": 1, "itemId": "i"}}];
    audio_out_of_no_item: {"AudioOut": {"data": "AA==", "sample_rate": 16000, "num_channels": 2}}
        => ["outputAudio/delta" {"audio": {"data": "AA==", "sampleRate": 16000, "numChannels": 2, "samplesPerChannel": null, "itemId": null}}];
    conversation_item_added: {"ConversationItemAdded": {"type": "message", "item_id": "i", "odd": null}}
        => ["itemAdded" {"item": {"type": "message", "item_id": "i", "odd": null}}];
    input_audio_speech_started: {"InputAudioSpeechStarted": {"item_id": "i"}}
        => ["itemAdded" {"item": {"type": "input_audio_buffer.speech_started", "item_id": "i"}}];
    input_audio_speech_started_in_no_item: {"InputAudioSpeechStarted": {"item_id": null}}
        => ["itemAdded" {"item": {"type": "input_audio_buffer.speech_started", "item_id": null}}];
    response_cancelled: {"ResponseCancelled": {"response_id": "r"}}
        => ["itemAdded" {"item": {"type": "response.cancelled", "response_id": "r"}}];
    response_cancelled_without_an_id: {"ResponseCancelled": {"response_id": null}}
        => ["itemAdded" {"item": {"type": "response.cancelled", "response_id": null}}];
    handoff_requested: {"HandoffRequested": {"handoff_id": "h", "item_id": "i", "input_transcript": "fix it", "active_transcript": [{"role": "user", "text": "fix it"}]}}
        => ["itemAdded" {"item": {"type": "handoff_request", "handoff_id": "h", "item_id": "i", "input_transcript": "fix it", "active_transcript": [{"role": "user", "text": "fix it"}]}}];
    error: {"Error": "no"}
        => ["error" {"message": "no"}];
    session_updated: {"SessionUpdated": {"realtime_session_id": "s", "instructions": null}}
        => [nothing];
    response_created: {"ResponseCreated": {"response_id": "r"}}
        => [nothing];
    response_done: {"ResponseDone": {"response_id": "r"}}
        => [nothing];
    conversation_item_done: {"ConversationItemDone": {"item_id": "i"}}
        => [nothing];
    noop_requested: {"NoopRequested": {"call_id": "c", "item_id": "i"}}
        => [nothing];
}

/// A test of each of the core's other events.
macro_rules! others {
    ($($row:ident: $says:ident($event:expr) => $method:literal $params:tt;)+) => {
        $(
            #[test]
            fn $row() {
                is(Some(Notifier::new("thr_1").$says($event)), Some(($method, json!($params))));
            }
        )+
    };
}

type Closed = RealtimeConversationClosedEvent;

others! {
    started: started(RealtimeConversationStartedEvent::new(
        Some("rt_7".to_owned()), RealtimeConversationVersion::V1,
    )) => "started" {"realtimeSessionId": "rt_7", "version": "v1"};
    started_without_an_id: started(RealtimeConversationStartedEvent::default())
        => "started" {"realtimeSessionId": null, "version": "v2"};
    sdp: sdp(RealtimeConversationSdpEvent::new("v=0")) => "sdp" {"sdp": "v=0"};
    error_of_a_start: error("no") => "error" {"message": "no"};
    closed_as_requested: closed(Closed::new(Closed::REQUESTED.to_owned()))
        => "closed" {"reason": "requested"};
    closed_by_the_transport: closed(Closed::new(Closed::TRANSPORT_CLOSED.to_owned()))
        => "closed" {"reason": "transport_closed"};
    closed_by_an_error: closed(Closed::new(Closed::ERROR.to_owned()))
        => "closed" {"reason": "error"};
    closed_without_a_reason: closed(Closed::default()) => "closed" {"reason": null};
}
