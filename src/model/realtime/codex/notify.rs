//! What the core says, in the words of the app server.

use serde::Serialize;

use super::{
    RealtimeConversationClosedEvent, RealtimeConversationSdpEvent,
    RealtimeConversationStartedEvent, RealtimeEvent, RealtimeHandoffRequested,
    RealtimeNotification, ThreadRealtimeClosedNotification, ThreadRealtimeErrorNotification,
    ThreadRealtimeItemAddedNotification, ThreadRealtimeOutputAudioDeltaNotification,
    ThreadRealtimeSdpNotification, ThreadRealtimeStartedNotification,
    ThreadRealtimeTranscriptDeltaNotification, ThreadRealtimeTranscriptDoneNotification,
};
use crate::model::RawJson;

const USER: &str = "user";
const ASSISTANT: &str = "assistant";

/// Says in the words of the app server what the core says of one thread's conversation.
///
/// | the core says | the app server says |
/// |---|---|
/// | [`started`](Self::started) | `thread/realtime/started` |
/// | [`sdp`](Self::sdp) | `thread/realtime/sdp`, after `started` |
/// | [`closed`](Self::closed) | `thread/realtime/closed` |
/// | [`event`](Self::event): `InputTranscriptDelta`, `OutputTranscriptDelta` | `thread/realtime/transcript/delta` |
/// | `InputTranscriptDone`, `OutputTranscriptDone` | `thread/realtime/transcript/done` |
/// | `AudioOut` | `thread/realtime/outputAudio/delta` |
/// | `ConversationItemAdded` | `thread/realtime/itemAdded`, of the provider's item |
/// | `InputAudioSpeechStarted`, `ResponseCancelled`, `HandoffRequested` | `thread/realtime/itemAdded`, of an item made up for it |
/// | `Error` | `thread/realtime/error` |
/// | `SessionUpdated`, `ResponseCreated`, `ResponseDone`, `ConversationItemDone`, `NoopRequested` | nothing |
///
/// ```
/// use tower_openai::model::realtime::codex::{
///     Notifier, RealtimeConversationClosedEvent, RealtimeEvent, RealtimeResponse,
/// };
///
/// let notifier = Notifier::new("thr_1");
/// let event = RealtimeEvent::ResponseCancelled(RealtimeResponse::new(Some("resp_1".to_owned())));
/// assert_eq!(
///     serde_json::to_value(notifier.event(event))?,
///     serde_json::json!({
///         "method": "thread/realtime/itemAdded",
///         "params": {
///             "threadId": "thr_1",
///             "item": {"type": "response.cancelled", "response_id": "resp_1"}
///         }
///     })
/// );
///
/// let end = RealtimeConversationClosedEvent::new(RealtimeConversationClosedEvent::REQUESTED.to_owned());
/// assert_eq!(notifier.closed(end).method(), "thread/realtime/closed");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Notifier {
    thread_id: String,
}

/// The items that are made up for events, whose members keep the names that the core has for them.
#[derive(Serialize)]
#[serde(tag = "type")]
enum MadeItem<'a> {
    #[serde(rename = "input_audio_buffer.speech_started")]
    SpeechStarted { item_id: Option<&'a str> },
    #[serde(rename = "response.cancelled")]
    ResponseCancelled { response_id: Option<&'a str> },
    #[serde(rename = "handoff_request")]
    Handoff(&'a RealtimeHandoffRequested),
}

impl RealtimeConversationClosedEvent {
    /// The reason of a conversation that its user has ended.
    pub const REQUESTED: &'static str = "requested";
    /// The reason of one whose socket has ended.
    pub const TRANSPORT_CLOSED: &'static str = "transport_closed";
    /// The reason of one that an error has ended.
    pub const ERROR: &'static str = "error";
}

impl Notifier {
    /// Of the conversation of this thread.
    #[must_use]
    pub fn new(thread_id: impl Into<String>) -> Self {
        Self { thread_id: thread_id.into() }
    }

    /// The conversation has begun. The id is the one that was asked for: the provider's own never
    /// gets here.
    #[must_use]
    pub fn started(&self, event: RealtimeConversationStartedEvent) -> RealtimeNotification {
        let RealtimeConversationStartedEvent { realtime_session_id, version } = event;
        ThreadRealtimeStartedNotification::new(self.thread(), realtime_session_id, version).into()
    }

    /// The provider has answered a WebRTC offer.
    #[must_use]
    pub fn sdp(&self, event: RealtimeConversationSdpEvent) -> RealtimeNotification {
        ThreadRealtimeSdpNotification::new(self.thread(), event.sdp).into()
    }

    /// The conversation has ended.
    #[must_use]
    pub fn closed(&self, event: RealtimeConversationClosedEvent) -> RealtimeNotification {
        ThreadRealtimeClosedNotification::new(self.thread(), event.reason).into()
    }

    /// Something went wrong, or the conversation did not begin, whose request is answered all the
    /// same.
    #[must_use]
    pub fn error(&self, message: impl Into<String>) -> RealtimeNotification {
        ThreadRealtimeErrorNotification::new(self.thread(), message).into()
    }

    /// Something happened in the conversation; `None` for what is not passed on.
    #[must_use]
    pub fn event(&self, event: RealtimeEvent) -> Option<RealtimeNotification> {
        Some(match event {
            RealtimeEvent::InputTranscriptDelta(event) => self.delta(USER, event.delta),
            RealtimeEvent::OutputTranscriptDelta(event) => self.delta(ASSISTANT, event.delta),
            RealtimeEvent::InputTranscriptDone(event) => self.done(USER, event.text),
            RealtimeEvent::OutputTranscriptDone(event) => self.done(ASSISTANT, event.text),
            RealtimeEvent::AudioOut(frame) => {
                ThreadRealtimeOutputAudioDeltaNotification::new(self.thread(), frame).into()
            }
            RealtimeEvent::ConversationItemAdded(item) => self.item(item),
            RealtimeEvent::InputAudioSpeechStarted(event) => {
                self.made(&MadeItem::SpeechStarted { item_id: event.item_id.as_deref() })?
            }
            RealtimeEvent::ResponseCancelled(event) => {
                let response_id = event.response_id.as_deref();
                self.made(&MadeItem::ResponseCancelled { response_id })?
            }
            RealtimeEvent::HandoffRequested(event) => self.made(&MadeItem::Handoff(&event))?,
            RealtimeEvent::Error(message) => self.error(message),
            RealtimeEvent::SessionUpdated(_)
            | RealtimeEvent::ResponseCreated(_)
            | RealtimeEvent::ResponseDone(_)
            | RealtimeEvent::ConversationItemDone(_)
            | RealtimeEvent::NoopRequested(_) => return None,
        })
    }

    fn thread(&self) -> &str {
        &self.thread_id
    }

    fn delta(&self, role: &str, delta: String) -> RealtimeNotification {
        ThreadRealtimeTranscriptDeltaNotification::new(self.thread(), role, delta).into()
    }

    fn done(&self, role: &str, text: String) -> RealtimeNotification {
        ThreadRealtimeTranscriptDoneNotification::new(self.thread(), role, text).into()
    }

    fn item(&self, item: RawJson) -> RealtimeNotification {
        ThreadRealtimeItemAddedNotification::new(self.thread(), item).into()
    }

    /// Of texts, which always serialise.
    fn made(&self, item: &MadeItem<'_>) -> Option<RealtimeNotification> {
        RawJson::from_value(item).ok().map(|item| self.item(item))
    }
}
