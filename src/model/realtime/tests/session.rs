//! The rows of section B.5.

use serde_json::{Value, json};

use super::round_trip;
use crate::model::realtime::{AudioInput, ClientEvent, CodexTools, OutputModality, Session, Voice};

fn update(session: Session) -> Value {
    serde_json::to_value(ClientEvent::session(session)).unwrap()
}

fn v2() -> Value {
    let tools = CodexTools::new("Delegates.", "Says nothing.");
    update(Session::codex_v2("Be kind.", OutputModality::Audio, Voice::Cedar, &tools))
}

#[test]
fn v1() {
    let text =
        serde_json::to_string(&ClientEvent::session(Session::codex_v1("Be kind.", Voice::Cove)));
    assert_eq!(
        text.unwrap(),
        r#"{"type":"session.update","session":{"type":"quicksilver","instructions":"Be kind.","audio":{"input":{"format":{"type":"audio/pcm","rate":24000}},"output":{"voice":"cove"}}}}"#
    );
}

macro_rules! rows_of_v2 {
    ($($row:ident: $path:literal => $value:tt;)+) => {
        $(
            #[test]
            fn $row() {
                assert_eq!(v2()["session"].pointer($path), Some(&json!($value)));
            }
        )+
    };
}

rows_of_v2! {
    v2_type: "/type" => "realtime";
    v2_instructions: "/instructions" => "Be kind.";
    v2_output_modalities: "/output_modalities" => ["audio"];
    v2_audio_input_format: "/audio/input/format" => {"type": "audio/pcm", "rate": 24000};
    v2_audio_output_format: "/audio/output/format" => {"type": "audio/pcm", "rate": 24000};
    v2_audio_input_noise_reduction: "/audio/input/noise_reduction" => {"type": "near_field"};
    v2_audio_input_transcription: "/audio/input/transcription" => {"model": "gpt-4o-mini-transcribe"};
    v2_audio_input_turn_detection: "/audio/input/turn_detection" => {
        "type": "server_vad", "interrupt_response": true, "create_response": true,
        "silence_duration_ms": 500
    };
    v2_audio_output_voice: "/audio/output/voice" => "cedar";
    v2_tools_0: "/tools/0" => {
        "type": "function", "name": "background_agent", "description": "Delegates.",
        "parameters": {
            "type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"],
            "additionalProperties": false
        }
    };
    v2_tools_1: "/tools/1" => {
        "type": "function", "name": "remain_silent", "description": "Says nothing.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": false}
    };
    v2_tool_choice: "/tool_choice" => "auto";
}

#[test]
fn v2_has_nothing_else_and_keeps_the_order() {
    let tools = CodexTools::default();
    let session = Session::codex_v2("I", OutputModality::Text, Voice::Marin, &tools);
    let text = serde_json::to_string(&session).unwrap();
    let order = [
        "\"type\"",
        "\"instructions\"",
        "\"output_modalities\":[\"text\"]",
        "\"audio\"",
        "\"tools\"",
        "\"tool_choice\"",
    ];
    let places: Vec<_> = order.iter().map(|member| text.find(member).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    let value = serde_json::to_value(&session).unwrap();
    let (session, audio) = (value.as_object().unwrap(), value["audio"].as_object().unwrap());
    assert_eq!((session.len(), audio.len()), (6, 2));
    assert_eq!(audio["input"].as_object().unwrap().len(), 4);
    assert_eq!(audio["output"].as_object().unwrap().len(), 2);
}

#[test]
fn v2_output_modalities_of_text() {
    let tools = CodexTools::default();
    let session = Session::codex_v2("I", OutputModality::Text, Voice::Marin, &tools);
    assert_eq!(update(session)["session"]["output_modalities"], json!(["text"]));
}

#[test]
fn neither_id_nor_model_is_said() {
    let tools = CodexTools::default();
    for session in [
        Session::codex_v1("I", Voice::Cove),
        Session::codex_v2("I", OutputModality::Audio, Voice::Marin, &tools),
        Session::codex_transcription(),
    ] {
        let session = update(session)["session"].take();
        assert_eq!((session.get("id"), session.get("model")), (None, None), "{session}");
    }
}

#[test]
fn the_argument_of_the_background_agent_may_be_described() {
    let mut tools = CodexTools::new("a", "b");
    tools.background_agent_prompt = "What to do.".into();
    let session = Session::codex_v2("I", OutputModality::Audio, Voice::Marin, &tools);
    let parameters = &serde_json::to_value(&session).unwrap()["tools"][0]["parameters"];
    assert_eq!(parameters["properties"]["prompt"]["description"], "What to do.");
}

#[test]
fn v2_transcription() {
    assert_eq!(
        update(Session::codex_transcription())["session"],
        json!({"type": "transcription", "audio": {"input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-4o-mini-transcribe"}
        }}})
    );
}

#[test]
fn voices_of_v1() {
    let names = Voice::V1.map(|voice| voice.to_string()).join(" ");
    assert_eq!(names, "juniper maple spruce ember vale breeze arbor sol cove");
    assert_eq!(Voice::DEFAULT_V1, "cove");
}

#[test]
fn voices_of_v2() {
    let names = Voice::V2.map(|voice| voice.to_string()).join(" ");
    assert_eq!(names, "alloy ash ballad coral echo sage shimmer verse marin cedar");
    assert_eq!(Voice::DEFAULT_V2, "marin");
}

#[test]
fn an_update_changes_only_what_it_says() {
    assert_eq!(update(Session::new())["session"], json!({"type": "realtime"}));
    let session = Session::new().instructions("").tools([]).audio_input(
        AudioInput::default()
            .without_turn_detection()
            .without_transcription()
            .without_noise_reduction(),
    );
    assert_eq!(
        update(session)["session"],
        json!({
            "type": "realtime", "instructions": "", "tools": [],
            "audio": {"input": {
                "turn_detection": null, "transcription": null, "noise_reduction": null
            }}
        })
    );
}

#[test]
fn the_servers_session_is_read_whole() {
    let session: Session = round_trip(json!({
        "type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime",
        "output_modalities": ["audio"], "instructions": "x", "tools": [], "tool_choice": "auto",
        "max_output_tokens": "inf", "tracing": null, "truncation": "auto", "prompt": null,
        "expires_at": 1_800_000_000, "include": null, "parallel_tool_calls": true,
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"}, "transcription": null, "noise_reduction": null,
                "turn_detection": {"type": "semantic_vad", "eagerness": "low", "create_response": true}
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "tin", "speed": 1.25}
        }
    }));
    assert_eq!(session.id.as_deref(), Some("sess_1"));
    assert_eq!(session.audio.unwrap().output.unwrap().voice, Some(Voice::from("tin")));
}

#[test]
fn the_flat_session_of_the_beta_is_kept() {
    let session: Session = round_trip(json!({
        "id": "sess_1", "object": "realtime.session", "modalities": ["audio", "text"],
        "voice": "alloy", "input_audio_format": "pcm16", "turn_detection": {"type": "server_vad"},
        "temperature": 0.8, "max_response_output_tokens": "inf", "audio": "odd", "tools": 7
    }));
    assert_eq!((session.audio, session.tools), (None, None));
    assert_eq!(session.extra.get("voice").unwrap().as_str(), "\"alloy\"");
}
