//! Definitions of these payloads for other languages: JSON Schemas, and TypeScript.
//!
//! They are made of the types themselves, so they cannot fall behind them; what is checked in under
//! `schema/` is what [`definitions`] gives, written by `cargo run --example export_schema -- schema`.
//! Members that may be missing are not required in the schemas; words that a server may add to are
//! open in both languages.
//!
//! ```
//! use tower_openai::model::realtime::codex::schema::definitions;
//!
//! let definitions = definitions()?;
//! let started = definitions
//!     .iter()
//!     .find(|file| file.path == "typescript/ThreadRealtimeStartedNotification.ts")
//!     .unwrap();
//! assert!(started.text.contains("realtimeSessionId: string | null"));
//! # Ok::<(), tower_openai::BoxError>(())
//! ```

use std::borrow::Cow;

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use ts_rs::{Config, TS};

use super::*;
use crate::BoxError;
use crate::model::realtime::{OutputModality, Voice};

/// One file of definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Definition {
    /// Where it belongs, below the folder of them all: `json/{type}.json` or `typescript/{type}.ts`.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The files of all payloads, by their paths.
///
/// A schema holds what it refers to, under `$defs`; a file of TypeScript imports it.
///
/// # Errors
///
/// When a definition cannot be written, which would be a fault of the types.
pub fn definitions() -> Result<Vec<Definition>, BoxError> {
    let mut files = Vec::new();
    for (name, write) in JSON {
        let text = serde_json::to_string_pretty(&write())? + "\n";
        files.push(Definition { path: format!("json/{name}.json"), text });
    }
    // Numbers are numbers, however large: that is how they stand in JSON.
    let config = Config::new().with_large_int("number");
    for (name, write) in TYPESCRIPT {
        files.push(Definition { path: format!("typescript/{name}.ts"), text: write(&config)? });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

type WriteTypescript = fn(&Config) -> Result<String, ts_rs::ExportError>;

/// The types that are payloads of their own, and those that they are made of.
macro_rules! defined {
    (payloads { $($payload:ident)+ } parts { $($part:ident)+ }) => {
        const JSON: &[(&str, fn() -> schemars::Schema)] = &[
            $((stringify!($payload), || SchemaGenerator::default().into_root_schema_for::<$payload>()),)+
        ];
        const TYPESCRIPT: &[(&str, WriteTypescript)] = &[
            $((stringify!($payload), |config| $payload::export_to_string(config)),)+
            $((stringify!($part), |config| $part::export_to_string(config)),)+
        ];
    };
}

defined! {
    payloads {
        ConversationAudioParams
        ConversationStartParams
        ConversationTextParams
        RealtimeConversationClosedEvent
        RealtimeConversationRealtimeEvent
        RealtimeConversationSdpEvent
        RealtimeConversationStartedEvent
        RealtimeEvent
        RealtimeNotification
        RealtimeOp
        RealtimeRequest
        ThreadRealtimeAppendAudioParams
        ThreadRealtimeAppendTextParams
        ThreadRealtimeClosedNotification
        ThreadRealtimeErrorNotification
        ThreadRealtimeItemAddedNotification
        ThreadRealtimeListVoicesParams
        ThreadRealtimeListVoicesResponse
        ThreadRealtimeOutputAudioDeltaNotification
        ThreadRealtimeSdpNotification
        ThreadRealtimeStartParams
        ThreadRealtimeStartedNotification
        ThreadRealtimeStopParams
        ThreadRealtimeTranscriptDeltaNotification
        ThreadRealtimeTranscriptDoneNotification
    }
    parts {
        ConversationStartTransport
        OutputModality
        RealtimeAudioFrame
        RealtimeConversationVersion
        RealtimeHandoffRequested
        RealtimeInputAudioSpeechStarted
        RealtimeItemDone
        RealtimeNoopRequested
        RealtimeResponse
        RealtimeSessionUpdated
        RealtimeTranscriptDelta
        RealtimeTranscriptDone
        RealtimeTranscriptEntry
        RealtimeVoicesList
        ThreadRealtimeAudioChunk
        ThreadRealtimeStartTransport
        Voice
    }
}

/// For open sets of words: the known ones, or any other string.
macro_rules! words {
    ($($name:ident: $about:literal),+ $(,)?) => {
        $(
            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
                    json_schema!({
                        "description": $about,
                        "anyOf": [{ "type": "string", "enum": Self::WORDS }, { "type": "string" }],
                    })
                }
            }

            impl TS for $name {
                type WithoutGenerics = Self;
                type OptionInnerType = Self;

                fn docs() -> Option<String> {
                    Some(concat!("/**\n * ", $about, "\n */\n").into())
                }

                fn name(_: &Config) -> String {
                    stringify!($name).into()
                }

                fn decl(config: &Config) -> String {
                    format!("type {} = {};", Self::name(config), Self::inline(config))
                }

                fn decl_concrete(config: &Config) -> String {
                    Self::decl(config)
                }

                fn inline(_: &Config) -> String {
                    let words: Vec<_> = Self::WORDS.iter().map(|word| format!("{word:?}")).collect();
                    // What TypeScript writers do to keep the words apart from the rest.
                    format!("{} | (string & {{}})", words.join(" | "))
                }

                fn output_path() -> Option<std::path::PathBuf> {
                    Some(concat!(stringify!($name), ".ts").into())
                }
            }
        )+
    };
}

words! {
    OutputModality: "What the model answers with.",
    RealtimeConversationVersion: "Which shape of session Codex asks the provider for.",
    Voice: "A voice of the model.",
}
