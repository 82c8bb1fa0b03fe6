mod notifications;
mod prompts;
mod renames;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::model::RawJson;
use crate::model::realtime::{OutputModality, Voice};

/// A test of each payload in each direction: the value, and what stands for it on the wire.
macro_rules! payloads_on_the_wire {
    ($($name:ident: $value:expr => $json:tt;)+) => {
        $(
            mod $name {
                use super::*;

                #[test]
                fn is_written() {
                    assert_eq!(serde_json::to_value(&$value).unwrap(), json!($json));
                }

                #[test]
                fn is_read() {
                    read_as(&$value, json!($json));
                }
            }
        )+
    };
}

#[test]
fn sdp_shows_as_its_length() {
    let transport = ConversationStartTransport::Webrtc { sdp: "a=ice-pwd:planted".into() };
    let notification = ThreadRealtimeSdpNotification::new("thr_1", "a=ice-pwd:planted");
    let shown = format!("{transport:?} {notification:?}");
    assert!(shown.contains("[17 bytes]") && !shown.contains("planted"), "{shown}");
}

/// Reads it from text and from a value, and beside a member that nobody knows.
#[track_caller]
fn read_as<T: DeserializeOwned + PartialEq + std::fmt::Debug>(expected: &T, json: Value) {
    assert_eq!(serde_json::from_str::<T>(&json.to_string()).unwrap(), *expected);
    assert_eq!(serde_json::from_value::<T>(json.clone()).unwrap(), *expected);
    let mut more = json;
    add_unknown_members(&mut more);
    assert_eq!(serde_json::from_value::<T>(more).unwrap(), *expected);
}

/// Puts a member that nobody knows into each object, but for items, which are taken as they are.
fn add_unknown_members(value: &mut Value) {
    let Value::Object(members) = value else { return };
    for (name, value) in members.iter_mut() {
        if !["item", "ConversationItemAdded"].contains(&name.as_str()) {
            add_unknown_members(value);
        }
    }
    // An event is one member, named after its variant: the payload in it has the members.
    let event = members.len() == 1 && members.keys().all(|key| key.starts_with(char::is_uppercase));
    if !event {
        members.insert("not_invented_yet".into(), json!({"a": null}));
    }
}

fn start() -> ConversationStartParams {
    let mut params = ConversationStartParams::new(OutputModality::Audio);
    params.prompt = Some(Some("Be brief.".into()));
    params.realtime_session_id = Some("rt_7".into());
    params.transport = Some(ConversationStartTransport::Webrtc { sdp: "v=0".into() });
    params.voice = Some(Voice::Cedar);
    params.model = Some("gpt-realtime-1.5".into());
    params.version = Some(RealtimeConversationVersion::V1);
    params
}

fn frame() -> RealtimeAudioFrame {
    let mut frame = RealtimeAudioFrame::new("AAA=", 24_000, 1);
    frame.samples_per_channel = Some(480);
    frame.item_id = Some("item_1".into());
    frame
}

fn thread_start() -> ThreadRealtimeStartParams {
    let mut params = ThreadRealtimeStartParams::new("thr_1", OutputModality::Text);
    params.prompt = Some(Some(String::new()));
    params.realtime_session_id = Some("rt_7".into());
    params.transport = Some(ThreadRealtimeStartTransport::Webrtc { sdp: "v=0".into() });
    params.voice = Some(Voice::Cove);
    params.model = Some("m".into());
    params.version = Some(RealtimeConversationVersion::V2);
    params
}

payloads_on_the_wire! {
    conversation_start_params: start() => {
        "output_modality": "audio", "prompt": "Be brief.", "realtime_session_id": "rt_7",
        "transport": {"type": "webrtc", "sdp": "v=0"}, "voice": "cedar",
        "model": "gpt-realtime-1.5", "version": "v1"
    };
    conversation_start_params_with_the_least:
        ConversationStartParams::new(OutputModality::Text) => {"output_modality": "text"};
    conversation_start_params_without_a_prompt: {
        let mut params = ConversationStartParams::new(OutputModality::Text);
        params.prompt = Some(None);
        params
    } => {"output_modality": "text", "prompt": null};
    conversation_audio_params: ConversationAudioParams::new(frame()) => {"frame": {
        "data": "AAA=", "sample_rate": 24000, "num_channels": 1, "samples_per_channel": 480,
        "item_id": "item_1"
    }};
    realtime_audio_frame_with_the_least: RealtimeAudioFrame::new("AAA=", 24_000, 1) => {
        "data": "AAA=", "sample_rate": 24000, "num_channels": 1
    };
    conversation_text_params: ConversationTextParams::new("hi") => {"text": "hi"};
    op_start: RealtimeOp::RealtimeConversationStart(Box::new(start())) => {
        "type": "realtime_conversation_start",
        "output_modality": "audio", "prompt": "Be brief.", "realtime_session_id": "rt_7",
        "transport": {"type": "webrtc", "sdp": "v=0"}, "voice": "cedar",
        "model": "gpt-realtime-1.5", "version": "v1"
    };
    op_audio: RealtimeOp::RealtimeConversationAudio(ConversationAudioParams::new(
        RealtimeAudioFrame::new("AAA=", 24_000, 1)
    )) => {
        "type": "realtime_conversation_audio",
        "frame": {"data": "AAA=", "sample_rate": 24000, "num_channels": 1}
    };
    op_text: RealtimeOp::RealtimeConversationText(ConversationTextParams::new("hi")) => {
        "type": "realtime_conversation_text", "text": "hi"
    };
    op_close: RealtimeOp::RealtimeConversationClose => {"type": "realtime_conversation_close"};
    op_list_voices: RealtimeOp::RealtimeConversationListVoices => {
        "type": "realtime_conversation_list_voices"
    };
    realtime_conversation_started_event: RealtimeConversationStartedEvent::new(
        Some("rt_7".to_owned()), RealtimeConversationVersion::V1,
    ) => {"realtime_session_id": "rt_7", "version": "v1"};
    realtime_conversation_started_event_without_an_id:
        RealtimeConversationStartedEvent::default() => {"realtime_session_id": null, "version": "v2"};
    realtime_conversation_realtime_event:
        RealtimeConversationRealtimeEvent::new(RealtimeEvent::Error("no".into()))
        => {"payload": {"Error": "no"}};
    realtime_conversation_closed_event:
        RealtimeConversationClosedEvent::new("requested".to_owned()) => {"reason": "requested"};
    realtime_conversation_closed_event_without_a_reason:
        RealtimeConversationClosedEvent::default() => {};
    realtime_conversation_sdp_event: RealtimeConversationSdpEvent::new("v=0") => {"sdp": "v=0"};

    event_session_updated: RealtimeEvent::SessionUpdated(
        RealtimeSessionUpdated::new("sess_1", Some("Be kind.".to_owned()))
    ) => {"SessionUpdated": {"realtime_session_id": "sess_1", "instructions": "Be kind."}};
    event_session_updated_without_instructions: RealtimeEvent::SessionUpdated(
        RealtimeSessionUpdated::new("sess_1", None)
    ) => {"SessionUpdated": {"realtime_session_id": "sess_1", "instructions": null}};
    event_input_audio_speech_started: RealtimeEvent::InputAudioSpeechStarted(
        RealtimeInputAudioSpeechStarted::default()
    ) => {"InputAudioSpeechStarted": {"item_id": null}};
    event_input_transcript_delta: RealtimeEvent::InputTranscriptDelta(
        RealtimeTranscriptDelta::new("h")
    ) => {"InputTranscriptDelta": {"delta": "h"}};
    event_input_transcript_done: RealtimeEvent::InputTranscriptDone(
        RealtimeTranscriptDone::new("hi")
    ) => {"InputTranscriptDone": {"text": "hi"}};
    event_output_transcript_delta: RealtimeEvent::OutputTranscriptDelta(
        RealtimeTranscriptDelta::new("h")
    ) => {"OutputTranscriptDelta": {"delta": "h"}};
    event_output_transcript_done: RealtimeEvent::OutputTranscriptDone(
        RealtimeTranscriptDone::new("hi")
    ) => {"OutputTranscriptDone": {"text": "hi"}};
    event_audio_out: RealtimeEvent::AudioOut(frame()) => {"AudioOut": {
        "data": "AAA=", "sample_rate": 24000, "num_channels": 1, "samples_per_channel": 480,
        "item_id": "item_1"
    }};
    event_response_created: RealtimeEvent::ResponseCreated(
        RealtimeResponse::new(Some("resp_1".to_owned()))
    ) => {"ResponseCreated": {"response_id": "resp_1"}};
    event_response_cancelled: RealtimeEvent::ResponseCancelled(RealtimeResponse::default())
        => {"ResponseCancelled": {"response_id": null}};
    event_response_done: RealtimeEvent::ResponseDone(RealtimeResponse::default())
        => {"ResponseDone": {"response_id": null}};
    event_conversation_item_added: RealtimeEvent::ConversationItemAdded(
        RawJson::from_text(r#"{"b":null,"id":"item_1"}"#).unwrap()
    ) => {"ConversationItemAdded": {"id": "item_1", "b": null}};
    event_conversation_item_done: RealtimeEvent::ConversationItemDone(
        RealtimeItemDone::new("item_1")
    ) => {"ConversationItemDone": {"item_id": "item_1"}};
    event_handoff_requested: RealtimeEvent::HandoffRequested(RealtimeHandoffRequested::new(
        "call_1", "item_1", "fix it", vec![RealtimeTranscriptEntry::new("user", "fix it")],
    )) => {"HandoffRequested": {
        "handoff_id": "call_1", "item_id": "item_1", "input_transcript": "fix it",
        "active_transcript": [{"role": "user", "text": "fix it"}]
    }};
    event_noop_requested: RealtimeEvent::NoopRequested(RealtimeNoopRequested::new("c", "i"))
        => {"NoopRequested": {"call_id": "c", "item_id": "i"}};
    event_error: RealtimeEvent::Error("no".into()) => {"Error": "no"};

    request_start: RealtimeRequest::from(thread_start()) => {
        "method": "thread/realtime/start",
        "params": {
            "threadId": "thr_1", "outputModality": "text", "prompt": "", "realtimeSessionId": "rt_7",
            "transport": {"type": "webrtc", "sdp": "v=0"}, "voice": "cove", "model": "m",
            "version": "v2"
        }
    };
    request_start_with_the_least: RealtimeRequest::from(
        ThreadRealtimeStartParams::new("thr_1", OutputModality::Audio)
    ) => {
        "method": "thread/realtime/start",
        "params": {
            "threadId": "thr_1", "outputModality": "audio", "realtimeSessionId": null,
            "transport": null, "voice": null, "model": null, "version": null
        }
    };
    request_start_without_a_prompt: {
        let mut params = ThreadRealtimeStartParams::new("thr_1", OutputModality::Audio);
        params.prompt = Some(None);
        params.transport = Some(ThreadRealtimeStartTransport::Websocket);
        params
    } => {
        "threadId": "thr_1", "outputModality": "audio", "prompt": null, "realtimeSessionId": null,
        "transport": {"type": "websocket"}, "voice": null, "model": null, "version": null
    };
    request_append_audio: RealtimeRequest::from(
        ThreadRealtimeAppendAudioParams::new("thr_1", RealtimeAudioFrame::new("AAA=", 24_000, 1))
    ) => {
        "method": "thread/realtime/appendAudio",
        "params": {"threadId": "thr_1", "audio": {
            "data": "AAA=", "sampleRate": 24000, "numChannels": 1, "samplesPerChannel": null,
            "itemId": null
        }}
    };
    request_append_text: RealtimeRequest::from(
        ThreadRealtimeAppendTextParams::new("thr_1", "hi")
    ) => {
        "method": "thread/realtime/appendText", "params": {"threadId": "thr_1", "text": "hi"}
    };
    request_stop: RealtimeRequest::from(ThreadRealtimeStopParams::new("thr_1")) => {
        "method": "thread/realtime/stop", "params": {"threadId": "thr_1"}
    };
    request_list_voices: RealtimeRequest::from(ThreadRealtimeListVoicesParams::default()) => {
        "method": "thread/realtime/listVoices", "params": {}
    };
    list_voices_response: ThreadRealtimeListVoicesResponse::default() => {"voices": {
        "v1": ["juniper", "maple", "spruce", "ember", "vale", "breeze", "arbor", "sol", "cove"],
        "v2": ["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"],
        "defaultV1": "cove", "defaultV2": "marin"
    }};
    notification_started: RealtimeNotification::from(ThreadRealtimeStartedNotification::new(
        "thr_1", Some("rt_7".to_owned()), RealtimeConversationVersion::V2,
    )) => {
        "method": "thread/realtime/started",
        "params": {"threadId": "thr_1", "realtimeSessionId": "rt_7", "version": "v2"}
    };
    notification_started_without_an_id: ThreadRealtimeStartedNotification::new(
        "thr_1", None, RealtimeConversationVersion::V1,
    ) => {"threadId": "thr_1", "realtimeSessionId": null, "version": "v1"};
    notification_item_added: RealtimeNotification::from(ThreadRealtimeItemAddedNotification::new(
        "thr_1", RawJson::from_text(r#"{"handoff_id":"c","type":"handoff_request"}"#).unwrap(),
    )) => {
        "method": "thread/realtime/itemAdded",
        "params": {"threadId": "thr_1", "item": {"type": "handoff_request", "handoff_id": "c"}}
    };
    notification_transcript_delta: RealtimeNotification::from(
        ThreadRealtimeTranscriptDeltaNotification::new("thr_1", "user", "h")
    ) => {
        "method": "thread/realtime/transcript/delta",
        "params": {"threadId": "thr_1", "role": "user", "delta": "h"}
    };
    notification_transcript_done: RealtimeNotification::from(
        ThreadRealtimeTranscriptDoneNotification::new("thr_1", "assistant", "hi")
    ) => {
        "method": "thread/realtime/transcript/done",
        "params": {"threadId": "thr_1", "role": "assistant", "text": "hi"}
    };
    notification_output_audio_delta: RealtimeNotification::from(
        ThreadRealtimeOutputAudioDeltaNotification::new("thr_1", frame())
    ) => {
        "method": "thread/realtime/outputAudio/delta",
        "params": {"threadId": "thr_1", "audio": {
            "data": "AAA=", "sampleRate": 24000, "numChannels": 1, "samplesPerChannel": 480,
            "itemId": "item_1"
        }}
    };
    notification_sdp: RealtimeNotification::from(ThreadRealtimeSdpNotification::new("thr_1", "v=0"))
        => {"method": "thread/realtime/sdp", "params": {"threadId": "thr_1", "sdp": "v=0"}};
    notification_error: RealtimeNotification::from(
        ThreadRealtimeErrorNotification::new("thr_1", "no")
    ) => {"method": "thread/realtime/error", "params": {"threadId": "thr_1", "message": "no"}};
    notification_closed: RealtimeNotification::from(
        ThreadRealtimeClosedNotification::new("thr_1", Some("requested".to_owned()))
    ) => {
        "method": "thread/realtime/closed", "params": {"threadId": "thr_1", "reason": "requested"}
    };
    notification_closed_without_a_reason:
        ThreadRealtimeClosedNotification::new("thr_1", None)
        => {"threadId": "thr_1", "reason": null};
}

#[test]
fn methods_are_told_apart_and_unknown_ones_refused() {
    let request = RealtimeRequest::from(ThreadRealtimeStopParams::new("t"));
    assert_eq!(request.method(), "thread/realtime/stop");
    let error =
        serde_json::from_value::<RealtimeRequest>(json!({"method": "turn/start", "params": {}}));
    assert!(error.unwrap_err().to_string().contains("turn/start"));
}

#[test]
fn words_that_are_not_known_are_kept() {
    let params: ConversationStartParams = serde_json::from_value(json!({
        "output_modality": "video", "voice": "tin", "version": "v9"
    }))
    .unwrap();
    assert_eq!(params.voice, Some(Voice::from("tin")));
    assert_eq!(
        serde_json::to_value(&params).unwrap(),
        json!({"output_modality": "video", "voice": "tin", "version": "v9"})
    );
}
