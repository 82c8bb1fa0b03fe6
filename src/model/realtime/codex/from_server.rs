//! The provider's events in the words of Codex.

use super::{
    RealtimeAudioFrame, RealtimeConversationVersion, RealtimeEvent, RealtimeHandoffRequested,
    RealtimeInputAudioSpeechStarted, RealtimeItemDone, RealtimeNoopRequested, RealtimeResponse,
    RealtimeSessionUpdated, RealtimeTranscriptDelta, RealtimeTranscriptDone, Transcript,
};
use crate::model::realtime::{AudioFormat, CodexTools, FunctionCall, Item, ServerEvent};
use crate::model::{ErrorEvent, RawJson, RawObject};

/// Reads the provider's events in the words of Codex, and keeps the transcript that hand-offs want.
///
/// It outlives a connection: one that takes the place of another goes on with the same transcript.
///
/// ```
/// use tower_openai::model::realtime::ServerEvent;
/// use tower_openai::model::realtime::codex::{
///     Interpreter, RealtimeConversationVersion, RealtimeEvent,
/// };
///
/// let mut interpreter = Interpreter::new(RealtimeConversationVersion::V2);
/// let event: ServerEvent = serde_json::from_str(
///     r#"{"type":"conversation.item.done","item":{"type":"function_call","id":"item_1",
///         "call_id":"call_1","name":"background_agent","arguments":"{\"prompt\":\" fix it \"}"}}"#,
/// )?;
/// let Some(RealtimeEvent::HandoffRequested(handoff)) = interpreter.read(&event) else { panic!() };
/// assert_eq!(handoff.input_transcript, "fix it");
/// assert_eq!(handoff.active_transcript[0].text, "fix it");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Interpreter {
    version: RealtimeConversationVersion,
    transcript: Transcript,
}

impl Interpreter {
    /// For a session of this version.
    #[must_use]
    pub fn new(version: RealtimeConversationVersion) -> Self {
        Self { version, transcript: Transcript::default() }
    }

    /// Goes on with a transcript, or with another limit on it.
    #[must_use]
    pub fn transcript_of(mut self, transcript: Transcript) -> Self {
        self.transcript = transcript;
        self
    }

    /// What this event means; `None` if nothing to Codex.
    pub fn read(&mut self, event: &ServerEvent) -> Option<RealtimeEvent> {
        let mut event = RealtimeEvent::from_server(event, &self.version)?;
        self.transcript.observe(&mut event);
        Some(event)
    }

    /// What was said so far.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }
}

impl RealtimeEvent {
    /// What the provider's event means to Codex, by itself: a hand-off has no transcript yet.
    ///
    /// `None` for events that mean nothing to Codex in a session of this version. A version that is
    /// not known is read as version 2.
    #[must_use]
    pub fn from_server(event: &ServerEvent, version: &RealtimeConversationVersion) -> Option<Self> {
        match event {
            ServerEvent::SessionUpdated(event) => {
                let id = event.session.id.as_deref()?;
                let instructions = event.session.instructions.clone();
                Some(Self::SessionUpdated(RealtimeSessionUpdated::new(id, instructions)))
            }
            ServerEvent::Error(event) => error_message(event).map(Self::Error),
            ServerEvent::ConversationItemAdded(event) => item_added(&event.item),
            _ if *version == RealtimeConversationVersion::V1 => from_v1(event),
            _ => from_v2(event),
        }
    }
}

fn input_delta(delta: &str) -> RealtimeEvent {
    RealtimeEvent::InputTranscriptDelta(RealtimeTranscriptDelta::new(delta))
}

fn input_done(text: &str) -> RealtimeEvent {
    RealtimeEvent::InputTranscriptDone(RealtimeTranscriptDone::new(text))
}

fn output_delta(delta: &str) -> RealtimeEvent {
    RealtimeEvent::OutputTranscriptDelta(RealtimeTranscriptDelta::new(delta))
}

fn output_done(text: &str) -> RealtimeEvent {
    RealtimeEvent::OutputTranscriptDone(RealtimeTranscriptDone::new(text))
}

fn from_v1(event: &ServerEvent) -> Option<RealtimeEvent> {
    Some(match event {
        ServerEvent::ConversationOutputAudioDelta(event) => {
            let mut frame =
                RealtimeAudioFrame::new(event.audio.as_str(), event.sample_rate, event.channels);
            frame.samples_per_channel = event.samples_per_channel;
            RealtimeEvent::AudioOut(frame)
        }
        ServerEvent::ConversationInputTranscriptDelta(event) => input_delta(&event.delta),
        ServerEvent::InputAudioTranscriptionDelta(event) => input_delta(event.delta.as_deref()?),
        ServerEvent::ConversationInputTranscriptTurnMarked(event) => input_done(&event.transcript),
        ServerEvent::InputAudioTranscriptionCompleted(event) => input_done(&event.transcript),
        ServerEvent::ConversationOutputTranscriptDelta(event) => output_delta(&event.delta),
        ServerEvent::ResponseOutputTextDelta(event)
        | ServerEvent::ResponseOutputAudioTranscriptDelta(event) => output_delta(&event.delta),
        ServerEvent::ResponseOutputAudioTranscriptDone(event) => output_done(&event.transcript),
        ServerEvent::ConversationItemDone(event) => item_done(&event.item)?,
        ServerEvent::ConversationHandoffRequested(event) => {
            RealtimeEvent::HandoffRequested(RealtimeHandoffRequested::new(
                event.handoff_id.as_str(),
                event.item_id.as_str(),
                event.input_transcript.as_str(),
                Vec::new(),
            ))
        }
        _ => return None,
    })
}

fn from_v2(event: &ServerEvent) -> Option<RealtimeEvent> {
    Some(match event {
        ServerEvent::ResponseOutputAudioDelta(event) => {
            let rate = event.sample_rate.unwrap_or(AudioFormat::SAMPLE_RATE);
            let channels = event.channels.unwrap_or(1);
            let mut frame = RealtimeAudioFrame::new(event.audio.as_str(), rate, channels);
            frame.samples_per_channel = event.samples_per_channel;
            frame.item_id = event.item_id.as_deref().map(Into::into);
            RealtimeEvent::AudioOut(frame)
        }
        ServerEvent::InputAudioTranscriptionDelta(event) => input_delta(event.delta.as_deref()?),
        ServerEvent::InputAudioTranscriptionCompleted(event) => input_done(&event.transcript),
        ServerEvent::ResponseOutputTextDelta(event)
        | ServerEvent::ResponseOutputAudioTranscriptDelta(event) => output_delta(&event.delta),
        ServerEvent::ResponseOutputTextDone(event) => output_done(&event.text),
        ServerEvent::ResponseOutputAudioTranscriptDone(event) => output_done(&event.transcript),
        ServerEvent::InputAudioBufferSpeechStarted(event) => {
            let item_id = event.item_id.as_deref().map(String::from);
            RealtimeEvent::InputAudioSpeechStarted(RealtimeInputAudioSpeechStarted::new(item_id))
        }
        ServerEvent::ConversationItemCreated(event) => item_added(&event.item)?,
        ServerEvent::ConversationItemDone(event) => match &event.item {
            Item::FunctionCall(call) if call.name == CodexTools::BACKGROUND_AGENT => {
                let (call_id, item_id) = ids(call)?;
                RealtimeEvent::HandoffRequested(RealtimeHandoffRequested::new(
                    call_id,
                    item_id,
                    asked_for(&call.arguments),
                    Vec::new(),
                ))
            }
            Item::FunctionCall(call) if call.name == CodexTools::REMAIN_SILENT => {
                let (call_id, item_id) = ids(call)?;
                RealtimeEvent::NoopRequested(RealtimeNoopRequested::new(call_id, item_id))
            }
            item => item_done(item)?,
        },
        ServerEvent::ResponseCreated(event) => RealtimeEvent::ResponseCreated(response(event.id())),
        ServerEvent::ResponseCancelled(event) => {
            RealtimeEvent::ResponseCancelled(response(event.id()))
        }
        ServerEvent::ResponseDone(event) => RealtimeEvent::ResponseDone(response(event.id())),
        _ => return None,
    })
}

fn response(id: Option<&str>) -> RealtimeResponse {
    RealtimeResponse::new(id.map(String::from))
}

fn item_added(item: &Item) -> Option<RealtimeEvent> {
    RawJson::from_value(item).ok().map(RealtimeEvent::ConversationItemAdded)
}

fn item_done(item: &Item) -> Option<RealtimeEvent> {
    Some(RealtimeEvent::ConversationItemDone(RealtimeItemDone::new(item.id()?)))
}

/// The ids of the call and of its item; one stands in for the other.
fn ids(call: &FunctionCall) -> Option<(&str, &str)> {
    let (call_id, id) = (call.call_id.as_deref(), call.id.as_deref());
    let either = call_id.or(id)?;
    Some((either, id.unwrap_or(either)))
}

/// The server's sentence, else all it says of the error.
fn error_message(event: &ErrorEvent) -> Option<String> {
    let text = event.member("message").and_then(|raw| raw.parse().ok());
    text.or_else(|| event.message().map(String::from)).or_else(|| {
        let error = event.member("error")?;
        Some(error.as_str().to_owned())
    })
}

/// What the model wants of the agent: by one of several names in the arguments, else all of them.
fn asked_for(arguments: &str) -> String {
    const NAMES: [&str; 5] = ["input_transcript", "input", "text", "prompt", "query"];
    let members: RawObject = serde_json::from_str(arguments).unwrap_or_default();
    let words = NAMES.iter().find_map(|name| {
        let text: String = members.get(name)?.parse().ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    });
    words.unwrap_or_else(|| arguments.to_owned())
}
