//! The rows of sections B.6, what Codex says, and B.7, what it hears.

use serde_json::{Value, json};

use crate::model::realtime::codex::{RealtimeConversationVersion, RealtimeEvent};
use crate::model::realtime::{ClientEvent, ServerEvent};

macro_rules! outbound {
    ($($row:ident: $event:expr => $text:literal;)+) => {
        mod outbound {
            use super::*;

            $(
                #[test]
                fn $row() {
                    assert_eq!(serde_json::to_string(&$event).unwrap(), $text);
                }
            )+
        }
    };
}

outbound! {
    audio_frame: ClientEvent::audio("AAA=")
        => r#"{"type":"input_audio_buffer.append","audio":"AAA="}"#;
    text: ClientEvent::text("hi")
        => r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}}"#;
    function_output_v1: ClientEvent::codex_v1_output("call_1", "done")
        => r#"{"type":"conversation.handoff.append","handoff_id":"call_1","output_text":"\"Agent Final Message\":\n\ndone"}"#;
    function_output_v2: ClientEvent::function_call_output("call_1", "done")
        => r#"{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":"call_1","output":"done"}}"#;
    response: ClientEvent::response() => r#"{"type":"response.create"}"#;
    truncate: ClientEvent::truncate("item_1", 1500)
        => r#"{"type":"conversation.item.truncate","item_id":"item_1","content_index":0,"audio_end_ms":1500}"#;
    raw: serde_json::from_str::<ClientEvent>(r#"{"x":1.50,"type":"session.hum","a":null}"#).unwrap()
        => r#"{"x":1.50,"type":"session.hum","a":null}"#;
}

/// What becomes of an event.
#[derive(Debug, PartialEq)]
enum Heard {
    Event(Value),
    /// It means nothing to Codex.
    Skipped,
    /// It is not what its type asks for.
    Refused(String),
}

fn heard(version: &str, json: Value) -> Heard {
    let event = match serde_json::from_value::<ServerEvent>(json) {
        Ok(event) => event,
        Err(error) => return Heard::Refused(error.to_string()),
    };
    match RealtimeEvent::from_server(&event, &RealtimeConversationVersion::from(version)) {
        Some(event) => Heard::Event(serde_json::to_value(event).unwrap()),
        None => Heard::Skipped,
    }
}

macro_rules! becomes {
    ($heard:expr, skipped) => {
        assert_eq!($heard, Heard::Skipped)
    };
    ($heard:expr, (refused without $member:ident)) => {{
        let heard = $heard;
        let Heard::Refused(error) = &heard else { panic!("{heard:?}") };
        assert!(error.contains(concat!("missing field `", stringify!($member), "`")), "{error}");
    }};
    ($heard:expr, $json:tt) => {
        assert_eq!($heard, Heard::Event(json!($json)))
    };
}

/// A test of each row, and of each way it may come.
macro_rules! inbound {
    ($($version:ident { $($row:ident: $type:literal $json:tt => $expected:tt;)+ })+) => {
        $(
            mod $version {
                use super::*;

                $(
                    #[test]
                    fn $row() {
                        let mut event = json!($json);
                        event["type"] = $type.into();
                        becomes!(heard(stringify!($version), event), $expected);
                    }
                )+
            }
        )+
    };
}

inbound! {
    v1 {
        session_updated: "session.updated" {"session": {"id": "s", "instructions": "i"}}
            => {"SessionUpdated": {"realtime_session_id": "s", "instructions": "i"}};
        session_updated_without_instructions: "session.updated" {"session": {"id": "s"}}
            => {"SessionUpdated": {"realtime_session_id": "s", "instructions": null}};
        session_updated_without_an_id: "session.updated" {"session": {"instructions": "i"}}
            => skipped;
        session_updated_without_a_session: "session.updated" {}
            => (refused without session);
        session_created: "session.created" {"session": {"id": "s"}}
            => skipped;
        error_with_a_message: "error" {"message": "m", "error": {"message": "other"}}
            => {"Error": "m"};
        error_with_a_message_within: "error" {"error": {"message": "m", "code": "c"}}
            => {"Error": "m"};
        error_without_a_message: "error" {"error": {"code": "c"}}
            => {"Error": "{\"code\":\"c\"}"};
        error_that_says_nothing: "error" {"event_id": "e"}
            => skipped;
        conversation_item_added: "conversation.item.added" {"item": {"type": "message", "role": "user", "content": [], "odd": null}}
            => {"ConversationItemAdded": {"type": "message", "role": "user", "content": [], "odd": null}};
        conversation_item_added_of_an_unknown_type: "conversation.item.added" {"item": {"type": "hum", "odd": [1.5]}}
            => {"ConversationItemAdded": {"type": "hum", "odd": [1.5]}};
        conversation_item_added_without_an_item: "conversation.item.added" {}
            => (refused without item);
        conversation_output_audio_delta: "conversation.output_audio.delta" {"delta": "AA==", "sample_rate": 24000, "channels": 1, "samples_per_channel": 2}
            => {"AudioOut": {"data": "AA==", "sample_rate": 24000, "num_channels": 1, "samples_per_channel": 2}};
        conversation_output_audio_delta_by_other_names: "conversation.output_audio.delta" {"data": "AA==", "sample_rate": 16000, "num_channels": 2, "item_id": "i"}
            => {"AudioOut": {"data": "AA==", "sample_rate": 16000, "num_channels": 2}};
        conversation_output_audio_delta_without_audio: "conversation.output_audio.delta" {"sample_rate": 24000, "channels": 1}
            => (refused without delta);
        conversation_output_audio_delta_without_a_sample_rate: "conversation.output_audio.delta" {"delta": "AA==", "channels": 1}
            => (refused without sample_rate);
        conversation_output_audio_delta_without_channels: "conversation.output_audio.delta" {"delta": "AA==", "sample_rate": 24000}
            => (refused without channels);
        conversation_input_transcript_delta: "conversation.input_transcript.delta" {"delta": "d"}
            => {"InputTranscriptDelta": {"delta": "d"}};
        conversation_input_transcript_delta_without_its_text: "conversation.input_transcript.delta" {}
            => (refused without delta);
        input_audio_transcription_delta: "conversation.item.input_audio_transcription.delta" {"delta": "d"}
            => {"InputTranscriptDelta": {"delta": "d"}};
        input_audio_transcription_delta_without_its_text: "conversation.item.input_audio_transcription.delta" {"logprobs": []}
            => skipped;
        input_audio_transcription_completed: "conversation.item.input_audio_transcription.completed" {"transcript": "t"}
            => {"InputTranscriptDone": {"text": "t"}};
        input_audio_transcription_completed_without_its_text: "conversation.item.input_audio_transcription.completed" {}
            => (refused without transcript);
        conversation_input_transcript_turn_marked: "conversation.input_transcript.turn_marked" {"transcript": "t"}
            => {"InputTranscriptDone": {"text": "t"}};
        conversation_input_transcript_turn_marked_without_its_text: "conversation.input_transcript.turn_marked" {}
            => (refused without transcript);
        conversation_output_transcript_delta: "conversation.output_transcript.delta" {"delta": "d"}
            => {"OutputTranscriptDelta": {"delta": "d"}};
        response_output_text_delta: "response.output_text.delta" {"delta": "d"}
            => {"OutputTranscriptDelta": {"delta": "d"}};
        response_output_audio_transcript_delta: "response.output_audio_transcript.delta" {"delta": "d"}
            => {"OutputTranscriptDelta": {"delta": "d"}};
        response_output_audio_transcript_delta_without_its_text: "response.output_audio_transcript.delta" {}
            => (refused without delta);
        response_output_audio_transcript_done: "response.output_audio_transcript.done" {"transcript": "t"}
            => {"OutputTranscriptDone": {"text": "t"}};
        response_output_audio_transcript_done_without_its_text: "response.output_audio_transcript.done" {}
            => (refused without transcript);
        conversation_item_done: "conversation.item.done" {"item": {"type": "message", "role": "user", "content": [], "id": "i"}}
            => {"ConversationItemDone": {"item_id": "i"}};
        conversation_item_done_of_an_unknown_type: "conversation.item.done" {"item": {"type": "hum", "id": "i"}}
            => {"ConversationItemDone": {"item_id": "i"}};
        conversation_item_done_of_a_call: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{}"}}
            => {"ConversationItemDone": {"item_id": "i"}};
        conversation_item_done_without_an_id: "conversation.item.done" {"item": {"type": "hum"}}
            => skipped;
        conversation_handoff_requested: "conversation.handoff.requested" {"handoff_id": "h", "item_id": "i", "input_transcript": "t"}
            => {"HandoffRequested": {"handoff_id": "h", "item_id": "i", "input_transcript": "t", "active_transcript": []}};
        conversation_handoff_requested_without_its_id: "conversation.handoff.requested" {"item_id": "i", "input_transcript": "t"}
            => (refused without handoff_id);
        conversation_handoff_requested_without_an_item: "conversation.handoff.requested" {"handoff_id": "h", "input_transcript": "t"}
            => (refused without item_id);
        conversation_handoff_requested_without_its_text: "conversation.handoff.requested" {"handoff_id": "h", "item_id": "i"}
            => (refused without input_transcript);
        of_v2_response_output_audio_delta: "response.output_audio.delta" {"delta": "AA=="}
            => skipped;
        of_v2_response_output_text_done: "response.output_text.done" {"text": "t"}
            => skipped;
        of_v2_input_audio_buffer_speech_started: "input_audio_buffer.speech_started" {"item_id": "i"}
            => skipped;
        of_v2_conversation_item_created: "conversation.item.created" {"item": {"type": "hum"}}
            => skipped;
        of_v2_response_created: "response.created" {"response": {"id": "r"}}
            => skipped;
        of_v2_response_done: "response.done" {"response": {"id": "r"}}
            => skipped;
        anything_else: "session.hummed" {}
            => skipped;
    }
    v2 {
        session_updated: "session.updated" {"session": {"id": "s", "instructions": "i"}}
            => {"SessionUpdated": {"realtime_session_id": "s", "instructions": "i"}};
        session_updated_without_instructions: "session.updated" {"session": {"id": "s"}}
            => {"SessionUpdated": {"realtime_session_id": "s", "instructions": null}};
        session_updated_without_an_id: "session.updated" {"session": {"instructions": "i"}}
            => skipped;
        session_updated_without_a_session: "session.updated" {}
            => (refused without session);
        session_created: "session.created" {"session": {"id": "s"}}
            => skipped;
        error_with_a_message: "error" {"message": "m", "error": {"message": "other"}}
            => {"Error": "m"};
        error_with_a_message_within: "error" {"error": {"message": "m", "code": "c"}}
            => {"Error": "m"};
        error_without_a_message: "error" {"error": {"code": "c"}}
            => {"Error": "{\"code\":\"c\"}"};
        error_that_says_nothing: "error" {"event_id": "e"}
            => skipped;
        conversation_item_added: "conversation.item.added" {"item": {"type": "message", "role": "user", "content": [], "odd": null}}
            => {"ConversationItemAdded": {"type": "message", "role": "user", "content": [], "odd": null}};
        conversation_item_added_of_an_unknown_type: "conversation.item.added" {"item": {"type": "hum", "odd": [1.5]}}
            => {"ConversationItemAdded": {"type": "hum", "odd": [1.5]}};
        conversation_item_added_without_an_item: "conversation.item.added" {}
            => (refused without item);
        response_output_audio_delta: "response.output_audio.delta" {"delta": "AA=="}
            => {"AudioOut": {"data": "AA==", "sample_rate": 24000, "num_channels": 1}};
        response_output_audio_delta_with_all_it_may_have: "response.output_audio.delta" {"delta": "AA==", "sample_rate": 16000, "channels": 2, "samples_per_channel": 3, "item_id": "i"}
            => {"AudioOut": {"data": "AA==", "sample_rate": 16000, "num_channels": 2, "samples_per_channel": 3, "item_id": "i"}};
        response_output_audio_delta_without_audio: "response.output_audio.delta" {"data": "AA=="}
            => (refused without delta);
        response_audio_delta: "response.audio.delta" {"delta": "AA==", "num_channels": 2}
            => {"AudioOut": {"data": "AA==", "sample_rate": 24000, "num_channels": 2}};
        input_audio_transcription_delta: "conversation.item.input_audio_transcription.delta" {"delta": "d"}
            => {"InputTranscriptDelta": {"delta": "d"}};
        input_audio_transcription_delta_without_its_text: "conversation.item.input_audio_transcription.delta" {"item_id": "i"}
            => skipped;
        input_audio_transcription_completed: "conversation.item.input_audio_transcription.completed" {"transcript": "t"}
            => {"InputTranscriptDone": {"text": "t"}};
        response_output_text_delta: "response.output_text.delta" {"delta": "d"}
            => {"OutputTranscriptDelta": {"delta": "d"}};
        response_output_text_delta_without_its_text: "response.output_text.delta" {}
            => (refused without delta);
        response_output_audio_transcript_delta: "response.output_audio_transcript.delta" {"delta": "d"}
            => {"OutputTranscriptDelta": {"delta": "d"}};
        response_output_text_done: "response.output_text.done" {"text": "t"}
            => {"OutputTranscriptDone": {"text": "t"}};
        response_output_text_done_without_its_text: "response.output_text.done" {"transcript": "t"}
            => (refused without text);
        response_output_audio_transcript_done: "response.output_audio_transcript.done" {"transcript": "t"}
            => {"OutputTranscriptDone": {"text": "t"}};
        response_output_audio_transcript_done_without_its_text: "response.output_audio_transcript.done" {"text": "t"}
            => (refused without transcript);
        input_audio_buffer_speech_started: "input_audio_buffer.speech_started" {"item_id": "i"}
            => {"InputAudioSpeechStarted": {"item_id": "i"}};
        input_audio_buffer_speech_started_without_an_item: "input_audio_buffer.speech_started" {}
            => {"InputAudioSpeechStarted": {"item_id": null}};
        conversation_item_created: "conversation.item.created" {"item": {"type": "hum"}}
            => {"ConversationItemAdded": {"type": "hum"}};
        conversation_item_done_of_the_background_agent: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"prompt\":\"fix\"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "fix", "active_transcript": []}};
        handoff_input_of_input_transcript: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"other\":\"x\",\"input_transcript\":\" fix it \"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "fix it", "active_transcript": []}};
        handoff_input_of_input: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"other\":\"x\",\"input\":\" fix it \"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "fix it", "active_transcript": []}};
        handoff_input_of_text: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"other\":\"x\",\"text\":\" fix it \"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "fix it", "active_transcript": []}};
        handoff_input_of_prompt: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"other\":\"x\",\"prompt\":\" fix it \"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "fix it", "active_transcript": []}};
        handoff_input_of_query: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"other\":\"x\",\"query\":\" fix it \"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "fix it", "active_transcript": []}};
        handoff_input_of_the_first_key: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"query\":\"q\",\"prompt\":\"p\",\"text\":\"t\",\"input\":\"i\",\"input_transcript\":\"first\"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "first", "active_transcript": []}};
        handoff_input_of_the_first_key_that_is_not_blank: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"input_transcript\":\" \",\"input\":7,\"text\":null,\"query\":\"q\"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "q", "active_transcript": []}};
        handoff_input_of_raw_arguments: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "not json"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "not json", "active_transcript": []}};
        handoff_input_of_arguments_without_a_key: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"a\":1}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "{\"a\":1}", "active_transcript": []}};
        handoff_input_of_empty_arguments: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": ""}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "", "active_transcript": []}};
        handoff_input_without_arguments: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "", "active_transcript": []}};
        handoff_without_a_call_id: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "name": "background_agent", "arguments": "x"}}
            => {"HandoffRequested": {"handoff_id": "i", "item_id": "i", "input_transcript": "x", "active_transcript": []}};
        handoff_without_an_item_id: "conversation.item.done" {"item": {"type": "function_call", "call_id": "c", "name": "background_agent", "arguments": "x"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "c", "input_transcript": "x", "active_transcript": []}};
        handoff_without_ids: "conversation.item.done" {"item": {"type": "function_call", "name": "background_agent", "arguments": "x"}}
            => skipped;
        conversation_item_done_of_remain_silent: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "remain_silent", "arguments": "{}"}}
            => {"NoopRequested": {"call_id": "c", "item_id": "i"}};
        conversation_item_done_of_remain_silent_without_an_item_id: "conversation.item.done" {"item": {"type": "function_call", "call_id": "c", "name": "remain_silent", "arguments": "{}"}}
            => {"NoopRequested": {"call_id": "c", "item_id": "c"}};
        conversation_item_done_of_remain_silent_without_ids: "conversation.item.done" {"item": {"type": "function_call", "name": "remain_silent", "arguments": "{}"}}
            => skipped;
        conversation_item_done_of_another_function: "conversation.item.done" {"item": {"type": "function_call", "id": "i", "call_id": "c", "name": "other", "arguments": "{}"}}
            => {"ConversationItemDone": {"item_id": "i"}};
        conversation_item_done: "conversation.item.done" {"item": {"type": "message", "role": "assistant", "content": [], "id": "i"}}
            => {"ConversationItemDone": {"item_id": "i"}};
        conversation_item_done_without_an_id: "conversation.item.done" {"item": {"type": "message", "role": "assistant"}}
            => skipped;
        response_created: "response.created" {"response": {"id": "r", "status": "cancelled"}, "response_id": "other"}
            => {"ResponseCreated": {"response_id": "r"}};
        response_created_by_its_id_alone: "response.created" {"response_id": "r"}
            => {"ResponseCreated": {"response_id": "r"}};
        response_created_by_its_id_beside: "response.created" {"response": {"status": "x"}, "response_id": "r"}
            => {"ResponseCreated": {"response_id": "r"}};
        response_created_without_an_id: "response.created" {}
            => {"ResponseCreated": {"response_id": null}};
        response_cancelled: "response.cancelled" {"response": {"id": "r", "status": "cancelled"}, "response_id": "other"}
            => {"ResponseCancelled": {"response_id": "r"}};
        response_cancelled_by_its_id_alone: "response.cancelled" {"response_id": "r"}
            => {"ResponseCancelled": {"response_id": "r"}};
        response_cancelled_by_its_id_beside: "response.cancelled" {"response": {"status": "x"}, "response_id": "r"}
            => {"ResponseCancelled": {"response_id": "r"}};
        response_cancelled_without_an_id: "response.cancelled" {}
            => {"ResponseCancelled": {"response_id": null}};
        response_done: "response.done" {"response": {"id": "r", "status": "cancelled"}, "response_id": "other"}
            => {"ResponseDone": {"response_id": "r"}};
        response_done_by_its_id_alone: "response.done" {"response_id": "r"}
            => {"ResponseDone": {"response_id": "r"}};
        response_done_by_its_id_beside: "response.done" {"response": {"status": "x"}, "response_id": "r"}
            => {"ResponseDone": {"response_id": "r"}};
        response_done_without_an_id: "response.done" {}
            => {"ResponseDone": {"response_id": null}};
        of_v1_conversation_output_audio_delta: "conversation.output_audio.delta" {"delta": "AA==", "sample_rate": 24000, "channels": 1}
            => skipped;
        of_v1_conversation_input_transcript_delta: "conversation.input_transcript.delta" {"delta": "d"}
            => skipped;
        of_v1_conversation_input_transcript_turn_marked: "conversation.input_transcript.turn_marked" {"transcript": "t"}
            => skipped;
        of_v1_conversation_output_transcript_delta: "conversation.output_transcript.delta" {"delta": "d"}
            => skipped;
        of_v1_conversation_handoff_requested: "conversation.handoff.requested" {"handoff_id": "h", "item_id": "i", "input_transcript": "t"}
            => skipped;
        rate_limits_updated: "rate_limits.updated" {"rate_limits": []}
            => skipped;
        anything_else: "session.hummed" {}
            => skipped;
    }
}
