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
    raw: ClientEvent::truncate("item_1", 1500)
        => r#"{"type":"conversation.item.truncate","item_id":"item_1","content_index":0,"audio_end_ms":1500}"#;
}

/// What Codex makes of an event, as JSON; null if it skips it.
fn heard(version: &RealtimeConversationVersion, json: Value) -> Value {
    let Ok(event) = serde_json::from_value::<ServerEvent>(json) else { return Value::Null };
    serde_json::to_value(RealtimeEvent::from_server(&event, version)).unwrap()
}

macro_rules! inbound {
    ($($version:ident { $($row:ident: $($json:tt => $expected:tt),+;)+ })+) => {
        $(
            mod $version {
                use super::*;

                $(
                    #[test]
                    fn $row() {
                        let version = RealtimeConversationVersion::from(stringify!($version));
                        $(assert_eq!(heard(&version, json!($json)), json!($expected));)+
                    }
                )+
            }
        )+
    };
}

inbound! {
    v1 {
    session_updated:
        {"type": "session.updated", "session": {"id": "s", "instructions": "i"}}
            => {"SessionUpdated": {"realtime_session_id": "s", "instructions": "i"}},
        {"type": "session.updated", "session": {"id": "s"}}
            => {"SessionUpdated": {"realtime_session_id": "s", "instructions": null}},
        {"type": "session.updated", "session": {}} => null,
        {"type": "session.created", "session": {"id": "s"}} => null;
    error:
        {"type": "error", "message": "m"} => {"Error": "m"},
        {"type": "error", "error": {"message": "m", "code": "c"}} => {"Error": "m"},
        {"type": "error", "error": {"code": "c"}} => {"Error": "{\"code\":\"c\"}"},
        {"type": "error"} => null;
    conversation_item_added:
        {"type": "conversation.item.added", "item": {"type": "message", "role": "user", "content": [], "odd": null}}
            => {"ConversationItemAdded": {"type": "message", "role": "user", "content": [], "odd": null}};
    conversation_output_audio_delta:
        {"type": "conversation.output_audio.delta", "delta": "AA==", "sample_rate": 24000, "channels": 1, "samples_per_channel": 2}
            => {"AudioOut": {"data": "AA==", "sample_rate": 24000, "num_channels": 1, "samples_per_channel": 2}},
        {"type": "conversation.output_audio.delta", "data": "AA==", "sample_rate": 16000, "num_channels": 2}
            => {"AudioOut": {"data": "AA==", "sample_rate": 16000, "num_channels": 2}},
        {"type": "conversation.output_audio.delta", "delta": "AA==", "channels": 1} => null,
        {"type": "conversation.output_audio.delta", "delta": "AA==", "sample_rate": 24000} => null;
    input_transcript_delta:
        {"type": "conversation.input_transcript.delta", "delta": "d"} => {"InputTranscriptDelta": {"delta": "d"}},
        {"type": "conversation.item.input_audio_transcription.delta", "delta": "d"} => {"InputTranscriptDelta": {"delta": "d"}};
    input_transcript_done:
        {"type": "conversation.item.input_audio_transcription.completed", "transcript": "t"} => {"InputTranscriptDone": {"text": "t"}},
        {"type": "conversation.input_transcript.turn_marked", "transcript": "t"} => {"InputTranscriptDone": {"text": "t"}};
    output_transcript_delta:
        {"type": "conversation.output_transcript.delta", "delta": "d"} => {"OutputTranscriptDelta": {"delta": "d"}},
        {"type": "response.output_text.delta", "delta": "d"} => {"OutputTranscriptDelta": {"delta": "d"}},
        {"type": "response.output_audio_transcript.delta", "delta": "d"} => {"OutputTranscriptDelta": {"delta": "d"}};
    output_transcript_done:
        {"type": "response.output_audio_transcript.done", "transcript": "t"} => {"OutputTranscriptDone": {"text": "t"}};
    conversation_item_done:
        {"type": "conversation.item.done", "item": {"type": "message", "role": "user", "content": [], "id": "i"}}
            => {"ConversationItemDone": {"item_id": "i"}},
        {"type": "conversation.item.done", "item": {"type": "hum", "id": "i"}} => {"ConversationItemDone": {"item_id": "i"}},
        {"type": "conversation.item.done", "item": {"type": "hum"}} => null;
    conversation_handoff_requested:
        {"type": "conversation.handoff.requested", "handoff_id": "h", "item_id": "i", "input_transcript": "t"}
            => {"HandoffRequested": {"handoff_id": "h", "item_id": "i", "input_transcript": "t", "active_transcript": []}},
        {"type": "conversation.handoff.requested", "handoff_id": "h", "item_id": "i"} => null;
    anything_else:
        {"type": "response.created", "response": {"id": "r"}} => null,
        {"type": "input_audio_buffer.speech_started", "item_id": "i"} => null,
        {"type": "conversation.item.created", "item": {"type": "hum"}} => null,
        {"type": "session.hummed"} => null;

    }
    v2 {
    session_updated:
        {"type": "session.updated", "session": {"id": "s"}}
            => {"SessionUpdated": {"realtime_session_id": "s", "instructions": null}};
    output_audio_delta:
        {"type": "response.output_audio.delta", "delta": "AA=="}
            => {"AudioOut": {"data": "AA==", "sample_rate": 24000, "num_channels": 1}},
        {"type": "response.audio.delta", "delta": "AA==", "sample_rate": 16000, "num_channels": 2, "samples_per_channel": 3, "item_id": "i"}
            => {"AudioOut": {"data": "AA==", "sample_rate": 16000, "num_channels": 2, "samples_per_channel": 3, "item_id": "i"}},
        {"type": "response.output_audio.delta"} => null;
    input_transcript:
        {"type": "conversation.item.input_audio_transcription.delta", "delta": "d"} => {"InputTranscriptDelta": {"delta": "d"}},
        {"type": "conversation.item.input_audio_transcription.completed", "transcript": "t"} => {"InputTranscriptDone": {"text": "t"}};
    output_transcript_delta:
        {"type": "response.output_text.delta", "delta": "d"} => {"OutputTranscriptDelta": {"delta": "d"}},
        {"type": "response.output_audio_transcript.delta", "delta": "d"} => {"OutputTranscriptDelta": {"delta": "d"}};
    output_transcript_done:
        {"type": "response.output_text.done", "text": "t"} => {"OutputTranscriptDone": {"text": "t"}},
        {"type": "response.output_audio_transcript.done", "transcript": "t"} => {"OutputTranscriptDone": {"text": "t"}};
    input_audio_buffer_speech_started:
        {"type": "input_audio_buffer.speech_started", "item_id": "i"} => {"InputAudioSpeechStarted": {"item_id": "i"}},
        {"type": "input_audio_buffer.speech_started"} => {"InputAudioSpeechStarted": {"item_id": null}};
    conversation_item_created:
        {"type": "conversation.item.created", "item": {"type": "hum"}} => {"ConversationItemAdded": {"type": "hum"}},
        {"type": "conversation.item.added", "item": {"type": "hum"}} => {"ConversationItemAdded": {"type": "hum"}};
    conversation_item_done_of_the_background_agent:
        {"type": "conversation.item.done", "item": {"type": "function_call", "id": "i", "call_id": "c", "name": "background_agent", "arguments": "{\"prompt\":\" fix \",\"text\":\" \"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "i", "input_transcript": "fix", "active_transcript": []}},
        {"type": "conversation.item.done", "item": {"type": "function_call", "id": "i", "name": "background_agent", "arguments": "not json"}}
            => {"HandoffRequested": {"handoff_id": "i", "item_id": "i", "input_transcript": "not json", "active_transcript": []}},
        {"type": "conversation.item.done", "item": {"type": "function_call", "call_id": "c", "name": "background_agent", "arguments": ""}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "c", "input_transcript": "", "active_transcript": []}},
        {"type": "conversation.item.done", "item": {"type": "function_call", "call_id": "c", "name": "background_agent", "arguments": "{\"query\":\"q\",\"input_transcript\":\"first\"}"}}
            => {"HandoffRequested": {"handoff_id": "c", "item_id": "c", "input_transcript": "first", "active_transcript": []}};
    conversation_item_done_of_remain_silent:
        {"type": "conversation.item.done", "item": {"type": "function_call", "id": "i", "call_id": "c", "name": "remain_silent", "arguments": "{}"}}
            => {"NoopRequested": {"call_id": "c", "item_id": "i"}};
    conversation_item_done:
        {"type": "conversation.item.done", "item": {"type": "function_call", "id": "i", "name": "other", "arguments": "{}"}}
            => {"ConversationItemDone": {"item_id": "i"}};
    responses:
        {"type": "response.created", "response": {"id": "r"}} => {"ResponseCreated": {"response_id": "r"}},
        {"type": "response.cancelled", "response_id": "r"} => {"ResponseCancelled": {"response_id": "r"}},
        {"type": "response.done", "response": {"id": "r", "status": "cancelled"}, "response_id": "other"} => {"ResponseDone": {"response_id": "r"}},
        {"type": "response.done"} => {"ResponseDone": {"response_id": null}};
    anything_else:
        {"type": "conversation.output_audio.delta", "delta": "AA==", "sample_rate": 24000, "channels": 1} => null,
        {"type": "rate_limits.updated", "rate_limits": []} => null,
        {"type": "session.hummed"} => null;
    }
}
