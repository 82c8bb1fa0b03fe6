//! The events of section D, each read and written.

use serde_json::{Value, json};

use super::round_trip;
use crate::model::realtime::{ClientEvent, Content, Item, ResponseStatus, ServerEvent};

/// A test of each event: it is known, and nothing of it is lost.
macro_rules! events {
    ($union:ident: $($name:ident: $json:tt;)+) => {
        $(
            #[test]
            fn $name() {
                let json = json!($json);
                let event: $union = round_trip(json.clone());
                assert!(!matches!(event, $union::Unknown(_)), "{event:?}");
                assert_eq!(event.kind(), json["type"]);
                // With what the next version of the API adds.
                let mut more = json;
                more["not_invented_yet"] = json!([null]);
                round_trip::<$union>(more);
            }
        )+
    };
}

mod client {
    use super::*;

    events! { ClientEvent:
        session_update: {"type": "session.update", "session": {"type": "realtime"}, "event_id": "e"};
        input_audio_buffer_append: {"type": "input_audio_buffer.append", "audio": "AAA="};
        input_audio_buffer_commit: {"type": "input_audio_buffer.commit"};
        input_audio_buffer_clear: {"type": "input_audio_buffer.clear", "event_id": "e"};
        output_audio_buffer_clear: {"type": "output_audio_buffer.clear"};
        conversation_item_create: {
            "type": "conversation.item.create", "previous_item_id": "root",
            "item": {"type": "message", "role": "system", "content": []}
        };
        conversation_item_retrieve: {"type": "conversation.item.retrieve", "item_id": "i"};
        conversation_item_delete: {"type": "conversation.item.delete", "item_id": "i"};
        conversation_item_truncate: {
            "type": "conversation.item.truncate", "item_id": "i", "content_index": 0,
            "audio_end_ms": 1500
        };
        response_create: {"type": "response.create", "response": {
            "output_modalities": ["text"], "instructions": "i", "audio": {"output": {"voice": "sage"}},
            "tools": [], "tool_choice": "required", "parallel_tool_calls": false,
            "reasoning": {"effort": "low"}, "max_output_tokens": "inf", "conversation": "none",
            "metadata": {"a": "b"}, "prompt": {"id": "p"},
            "input": [{"type": "item_reference", "id": "i"}]
        }};
        response_create_as_the_session_says: {"type": "response.create"};
        response_cancel: {"type": "response.cancel", "response_id": "r"};
        transcription_session_update: {
            "type": "transcription_session.update", "session": {"input_audio_format": "pcm16"}
        };
        conversation_handoff_append: {
            "type": "conversation.handoff.append", "handoff_id": "h", "output_text": "t"
        };
    }
}

mod server {
    use super::*;

    events! { ServerEvent:
        session_created: {"type": "session.created", "event_id": "e", "session": {"id": "s"}};
        session_updated: {"type": "session.updated", "event_id": "e", "session": {"id": "s"}};
        transcription_session_created: {
            "type": "transcription_session.created", "session": {"input_audio_format": "pcm16"}
        };
        transcription_session_updated: {"type": "transcription_session.updated", "session": {}};
        conversation_created: {
            "type": "conversation.created", "event_id": "e",
            "conversation": {"id": "c", "object": "realtime.conversation"}
        };
        conversation_item_added: {
            "type": "conversation.item.added", "event_id": "e", "previous_item_id": null,
            "item": {"id": "i", "type": "message", "object": "realtime.item", "status": "completed",
                "role": "user", "content": [{"type": "input_audio", "transcript": null}]}
        };
        conversation_item_done: {
            "type": "conversation.item.done", "previous_item_id": "p",
            "item": {"id": "i", "type": "message", "role": "assistant",
                "content": [{"type": "output_audio", "transcript": "hi"}]}
        };
        conversation_item_created: {
            "type": "conversation.item.created",
            "item": {"id": "i", "type": "message", "role": "assistant",
                "content": [{"type": "text", "text": "hi"}, {"type": "audio", "transcript": "ho"}]}
        };
        conversation_item_retrieved: {
            "type": "conversation.item.retrieved",
            "item": {"id": "i", "type": "function_call_output", "call_id": "c", "output": "o"}
        };
        conversation_item_deleted: {"type": "conversation.item.deleted", "item_id": "i"};
        conversation_item_truncated: {
            "type": "conversation.item.truncated", "item_id": "i", "content_index": 0,
            "audio_end_ms": 5
        };
        input_audio_transcription_delta: {
            "type": "conversation.item.input_audio_transcription.delta", "item_id": "i",
            "content_index": 0, "delta": "h", "logprobs": null
        };
        input_audio_transcription_of_log_probabilities_alone: {
            "type": "conversation.item.input_audio_transcription.delta", "item_id": "i",
            "content_index": 0, "logprobs": [{"token": "h", "logprob": -0.5, "bytes": [104]}]
        };
        input_audio_transcription_completed: {
            "type": "conversation.item.input_audio_transcription.completed", "item_id": "i",
            "content_index": 0, "transcript": "hi",
            "usage": {"type": "duration", "seconds": 3}, "languages": ["en"],
            "logprobs": [{"token": "hi", "logprob": -0.5, "bytes": [104, 105]}]
        };
        input_audio_transcription_segment: {
            "type": "conversation.item.input_audio_transcription.segment", "item_id": "i",
            "content_index": 0, "id": "seg", "text": "hi", "speaker": "s", "start": 0.1, "end": 0.25
        };
        input_audio_transcription_failed: {
            "type": "conversation.item.input_audio_transcription.failed", "item_id": "i",
            "content_index": 0,
            "error": {"type": "t", "code": "audio_unintelligible", "message": "m", "param": null}
        };
        input_audio_buffer_committed: {
            "type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": "i"
        };
        input_audio_buffer_cleared: {"type": "input_audio_buffer.cleared", "event_id": "e"};
        input_audio_buffer_speech_started: {
            "type": "input_audio_buffer.speech_started", "audio_start_ms": 1000, "item_id": "i"
        };
        input_audio_buffer_speech_stopped: {
            "type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2000, "item_id": "i"
        };
        input_audio_buffer_timeout_triggered: {
            "type": "input_audio_buffer.timeout_triggered", "audio_start_ms": 1, "audio_end_ms": 2,
            "item_id": "i"
        };
        input_audio_buffer_dtmf_event_received: {
            "type": "input_audio_buffer.dtmf_event_received", "event": "9", "received_at": 1_763_605_109
        };
        output_audio_buffer_started: {"type": "output_audio_buffer.started", "response_id": "r"};
        output_audio_buffer_stopped: {"type": "output_audio_buffer.stopped", "response_id": "r"};
        output_audio_buffer_cleared: {"type": "output_audio_buffer.cleared", "response_id": "r"};
        response_created: {
            "type": "response.created", "event_id": "e",
            "response": {"id": "r", "object": "realtime.response", "status": "in_progress",
                "status_details": null, "output": [], "conversation_id": "c",
                "output_modalities": ["audio"], "max_output_tokens": "inf",
                "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "ash"}},
                "usage": null, "metadata": null}
        };
        response_done: {
            "type": "response.done", "event_id": "e",
            "response": {"id": "r", "status": "incomplete",
                "status_details": {"type": "incomplete", "reason": "max_output_tokens"},
                "output": [{"type": "message", "role": "assistant", "content": []}],
                "usage": {"total_tokens": 3, "input_tokens": 1, "output_tokens": 2,
                    "input_token_details": {"text_tokens": 1, "cached_tokens": 0,
                        "cached_tokens_details": {"text_tokens": 0}},
                    "output_token_details": {"text_tokens": 1, "audio_tokens": 1}}}
        };
        response_cancelled: {"type": "response.cancelled", "response_id": "r"};
        response_output_item_added: {
            "type": "response.output_item.added", "response_id": "r", "output_index": 0,
            "item": {"type": "function_call", "id": "i", "name": "f", "call_id": "c",
                "arguments": "{}", "status": "in_progress"}
        };
        response_output_item_done: {
            "type": "response.output_item.done", "response_id": "r", "output_index": 0,
            "item": {"type": "mcp_call", "id": "i", "server_label": "l", "name": "n",
                "arguments": "{}", "approval_request_id": null, "output": "o",
                "error": {"type": "http_error", "code": 500, "message": "m"}}
        };
        response_content_part_added: {
            "type": "response.content_part.added", "response_id": "r", "item_id": "i",
            "output_index": 0, "content_index": 0, "part": {"type": "audio", "transcript": ""}
        };
        response_content_part_done: {
            "type": "response.content_part.done", "response_id": "r", "item_id": "i",
            "output_index": 0, "content_index": 0, "part": {"type": "text", "text": "hi"}
        };
        response_output_text_delta: {
            "type": "response.output_text.delta", "event_id": "e", "response_id": "r",
            "item_id": "i", "output_index": 0, "content_index": 0, "delta": "h"
        };
        response_output_text_done: {
            "type": "response.output_text.done", "response_id": "r", "item_id": "i",
            "output_index": 0, "content_index": 0, "text": "hi"
        };
        response_output_audio_delta: {
            "type": "response.output_audio.delta", "response_id": "r", "item_id": "i",
            "output_index": 0, "content_index": 0, "delta": "AAA="
        };
        response_output_audio_done: {
            "type": "response.output_audio.done", "response_id": "r", "item_id": "i",
            "output_index": 0, "content_index": 0
        };
        response_output_audio_transcript_delta: {
            "type": "response.output_audio_transcript.delta", "response_id": "r", "item_id": "i",
            "output_index": 0, "content_index": 0, "delta": "h"
        };
        response_output_audio_transcript_done: {
            "type": "response.output_audio_transcript.done", "response_id": "r", "item_id": "i",
            "output_index": 0, "content_index": 0, "transcript": "hi"
        };
        response_function_call_arguments_delta: {
            "type": "response.function_call_arguments.delta", "response_id": "r", "item_id": "i",
            "output_index": 0, "call_id": "c", "delta": "{"
        };
        response_function_call_arguments_done: {
            "type": "response.function_call_arguments.done", "response_id": "r", "item_id": "i",
            "output_index": 0, "call_id": "c", "name": "f", "arguments": "{"
        };
        response_mcp_call_arguments_delta: {
            "type": "response.mcp_call_arguments.delta", "response_id": "r", "item_id": "i",
            "output_index": 0, "delta": "{", "obfuscation": "x8Kq"
        };
        response_mcp_call_arguments_done: {
            "type": "response.mcp_call_arguments.done", "response_id": "r", "item_id": "i",
            "output_index": 0, "arguments": "{}"
        };
        response_mcp_call_in_progress: {
            "type": "response.mcp_call.in_progress", "output_index": 0, "item_id": "i"
        };
        response_mcp_call_completed: {
            "type": "response.mcp_call.completed", "output_index": 0, "item_id": "i"
        };
        response_mcp_call_failed: {
            "type": "response.mcp_call.failed", "output_index": 0, "item_id": "i"
        };
        mcp_list_tools_in_progress: {"type": "mcp_list_tools.in_progress", "item_id": "i"};
        mcp_list_tools_completed: {"type": "mcp_list_tools.completed", "item_id": "i"};
        mcp_list_tools_failed: {"type": "mcp_list_tools.failed", "item_id": "i"};
        rate_limits_updated: {
            "type": "rate_limits.updated", "event_id": "e",
            "rate_limits": [{"name": "tokens", "limit": 50000, "remaining": 49950, "reset_seconds": 0.5}]
        };
        error: {
            "type": "error", "event_id": "e",
            "error": {"type": "invalid_request_error", "message": "m", "code": "c", "param": null,
                "event_id": "mine"}
        };
        conversation_output_audio_delta: {
            "type": "conversation.output_audio.delta", "delta": "AAA=", "sample_rate": 24000,
            "channels": 1, "samples_per_channel": 1
        };
        conversation_output_audio_delta_by_other_names: {
            "type": "conversation.output_audio.delta", "data": "AAA=", "sample_rate": 24000,
            "num_channels": 1
        };
        response_output_audio_delta_by_other_names: {
            "type": "response.output_audio.delta", "delta": "AAA=", "num_channels": 1
        };
        response_output_audio_delta_with_odd_channels: {
            "type": "response.output_audio.delta", "delta": "AAA=", "num_channels": "two"
        };
        conversation_input_transcript_delta: {
            "type": "conversation.input_transcript.delta", "delta": "h"
        };
        conversation_input_transcript_turn_marked: {
            "type": "conversation.input_transcript.turn_marked", "transcript": "hi"
        };
        conversation_output_transcript_delta: {
            "type": "conversation.output_transcript.delta", "delta": "h"
        };
        conversation_handoff_requested: {
            "type": "conversation.handoff.requested", "handoff_id": "h", "item_id": "i",
            "input_transcript": "fix it"
        };
    }
}

/// The items of section D, each within an event.
mod items {
    use super::*;

    macro_rules! items {
        ($($name:ident: $json:tt;)+) => {
            $(
                #[test]
                fn $name() {
                    for kind in ["conversation.item.added", "conversation.item.done"] {
                        let event = json!({"type": kind, "previous_item_id": null, "item": $json});
                        match round_trip(event) {
                            ServerEvent::ConversationItemAdded(event)
                            | ServerEvent::ConversationItemDone(event) => {
                                assert!(!matches!(event.item, Item::Unknown(_)), "{event:?}");
                                assert_eq!(event.item.id(), Some("i"));
                            }
                            event => panic!("{event:?}"),
                        }
                    }
                }
            )+
        };
    }

    items! {
        message_of_the_system: {
            "id": "i", "type": "message", "role": "system",
            "content": [{"type": "input_text", "text": "Be brief."}]
        };
        message_of_the_user: {
            "id": "i", "type": "message", "role": "user", "status": "completed", "content": [
                {"type": "input_text", "text": ""},
                {"type": "input_audio", "audio": "AAA=", "transcript": null},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "high"}
            ]
        };
        message_of_the_assistant: {
            "id": "i", "type": "message", "role": "assistant", "object": "realtime.item",
            "content": [{"type": "output_text", "text": "a"}, {"type": "output_audio", "transcript": "b"}]
        };
        message_with_parts_that_lack_their_content: {
            "id": "i", "type": "message", "role": "assistant", "content": [
                {"type": "text", "transcript": "a"}, {"type": "output_text"}, {"type": "audio"},
                {"type": "input_text", "text": null}, {"type": "input_image", "detail": "low"}
            ]
        };
        message_without_content: {"id": "i", "type": "message", "role": "assistant"};
        function_call: {
            "id": "i", "type": "function_call", "status": "in_progress", "call_id": "c", "name": "f",
            "arguments": "{\"a\":"
        };
        function_call_without_arguments: {
            "id": "i", "type": "function_call", "call_id": "c", "name": "f"
        };
        function_call_output: {
            "id": "i", "type": "function_call_output", "call_id": "c", "output": "{}"
        };
        mcp_list_tools: {
            "id": "i", "type": "mcp_list_tools", "server_label": "l",
            "tools": [{"name": "t", "input_schema": {"type": "object"}, "annotations": null}]
        };
        mcp_call: {
            "id": "i", "type": "mcp_call", "server_label": "l", "name": "n", "arguments": "{}",
            "approval_request_id": "a", "output": null, "error": {"type": "protocol_error", "code": 1, "message": "m"}
        };
        mcp_approval_request: {
            "id": "i", "type": "mcp_approval_request", "server_label": "l", "name": "n", "arguments": "{}"
        };
        mcp_approval_response: {
            "id": "i", "type": "mcp_approval_response", "approval_request_id": "a", "approve": false,
            "reason": "no"
        };
    }
}

mod translation {
    use super::*;
    use crate::model::realtime::translation;

    type Client = translation::ClientEvent;
    type Server = translation::ServerEvent;

    events! { Client:
        session_update: {"type": "session.update", "session": {"audio": {"output": {"language": "de"}}}};
        session_input_audio_buffer_append: {"type": "session.input_audio_buffer.append", "audio": "AA=="};
        session_close: {"type": "session.close"};
    }

    events! { Server:
        session_created: {"type": "session.created", "event_id": "e", "session": {"id": "s"}};
        session_updated: {"type": "session.updated", "event_id": "e", "session": {"id": "s"}};
        session_closed: {"type": "session.closed", "event_id": "e"};
        session_input_transcript_delta: {"type": "session.input_transcript.delta", "delta": "h"};
        session_output_transcript_delta: {"type": "session.output_transcript.delta", "delta": "h"};
        session_output_audio_delta: {"type": "session.output_audio.delta", "delta": "AA=="};
        error: {"type": "error", "error": {"message": "m"}};
    }
}

#[track_caller]
fn read(json: Value) -> ServerEvent {
    serde_json::from_value(json).unwrap()
}

#[test]
fn the_names_of_the_beta_are_read() {
    for (beta, released) in [
        ("response.text.delta", "response.output_text.delta"),
        ("response.audio.delta", "response.output_audio.delta"),
        ("response.audio_transcript.delta", "response.output_audio_transcript.delta"),
    ] {
        assert_eq!(read(json!({"type": beta, "delta": "x"})).kind(), released);
    }
    for (beta, released) in [
        ("response.text.done", "response.output_text.done"),
        ("response.audio.done", "response.output_audio.done"),
        ("response.audio_transcript.done", "response.output_audio_transcript.done"),
    ] {
        let event = read(json!({"type": beta, "text": "x", "transcript": "x"}));
        assert_eq!(event.kind(), released);
    }
}

#[test]
fn events_that_are_not_known_are_kept_whole() {
    let text = r#"{"type":"session.hummed","event_id":"e","key":"A","tempo":1.50}"#;
    let event: ServerEvent = serde_json::from_str(text).unwrap();
    assert_eq!(event.kind(), "session.hummed");
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
}

#[test]
fn what_an_event_is_about_is_required() {
    for (json, member) in [
        (json!({"type": "response.output_text.delta"}), "delta"),
        (json!({"type": "session.created"}), "session"),
        (json!({"type": "conversation.item.done"}), "item"),
        (json!({"type": "response.function_call_arguments.done"}), "arguments"),
    ] {
        let kind = json["type"].as_str().unwrap().to_owned();
        let error = serde_json::from_value::<ServerEvent>(json).unwrap_err().to_string();
        assert!(error.contains(&kind) && error.contains(member), "{error}");
    }
}

#[test]
fn odd_shapes_beside_it_are_kept() {
    let event: ServerEvent = round_trip(json!({
        "type": "response.done", "event_id": 7,
        "response": {"id": "r", "status": "paused", "output": "none", "usage": {"total_tokens": "many"}}
    }));
    let ServerEvent::ResponseDone(event) = event else { panic!() };
    let response = event.response.as_ref().unwrap();
    assert_eq!(response.status, Some(ResponseStatus::from("paused")));
    assert!(response.output.is_empty());
}

#[test]
fn items_and_parts_have_their_text() {
    let item: Item = round_trip(json!({
        "type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "a"}, {"type": "input_audio", "transcript": "b"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            {"type": "smell", "of": "rose"}]
    }));
    assert_eq!(item.text(), "ab");
    let item: Item = round_trip(json!({"type": "hologram", "id": "h"}));
    assert_eq!((item.id(), item.text().as_str()), (Some("h"), ""));
    for json in [
        json!({"type": "mcp_list_tools", "id": "i", "server_label": "l", "tools": [{"name": "t"}]}),
        json!({"type": "mcp_approval_request", "id": "i", "server_label": "l", "name": "n", "arguments": ""}),
        json!({"type": "mcp_approval_response", "id": "i", "approval_request_id": "a", "approve": true, "reason": null}),
    ] {
        assert_eq!(round_trip::<Item>(json).id(), Some("i"));
    }
    assert_eq!(Content::output_text("x").text(), Some("x"));
}

#[test]
fn audio_shows_as_its_length() {
    let event = read(json!({"type": "response.output_audio.delta", "delta": "AAAABBBB"}));
    let shown = format!("{event:?} {:?}", ClientEvent::audio("CCCC"));
    assert!(shown.contains("[8 bytes]") && shown.contains("[4 bytes]"), "{shown}");
}
