//! The Realtime WebSocket: a session, a conversation, and one response at a time.

mod audio;
mod conversation;
mod play;
mod response;
mod session;
mod validate;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde_json::{Map, Value};
use tokio::time::{Sleep, sleep};

use self::audio::Audio;
use self::conversation::Conversation;
use self::play::Playing;
use self::session::Config;
pub(super) use self::session::Opened;
use super::turns::Turns;
use super::{Act, Out, Session, poll_decided};
use crate::testing::api_error::ApiError;
use crate::testing::json::{Json, object};
use crate::testing::params;
use crate::testing::script::Ending;

pub(super) struct Realtime {
    turns: Turns,
    config: Config,
    conversation: Conversation,
    audio: Audio,
    /// The response of the conversation.
    active: Option<Playing>,
    /// Responses beside the conversation.
    aside: Vec<Playing>,
    /// Once a voice was heard it stays.
    voiced: bool,
    decided: VecDeque<Act>,
    age: Pin<Box<Sleep>>,
}

/// More than this many are not made beside the conversation at a time.
const MAX_ASIDE: usize = 16;

/// What a client can send.
const EVENTS: [&str; 13] = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "output_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.delete",
    "conversation.item.truncate",
    "conversation.handoff.append",
    "response.create",
    "response.cancel",
    "transcription_session.update",
];

impl Realtime {
    pub(super) fn new(turns: Turns, opened: Opened) -> Self {
        let age = Box::pin(sleep(turns.age()));
        let mut this = Self {
            config: Config::new(&opened, turns.ids(), turns.age()),
            conversation: Conversation::default(),
            audio: Audio::default(),
            active: None,
            aside: Vec::new(),
            voiced: false,
            decided: VecDeque::new(),
            age,
            turns,
        };
        match opened.refusal() {
            Some(error) => this.refuse_for_good(&error),
            None => {
                let session = this.config.json();
                this.tell("session.created", object! { "session": session });
            }
        }
        this
    }

    /// Says an event, with the rest of its members.
    fn tell(&mut self, kind: &'static str, rest: Json) {
        let text = event(kind, &self.turns.ids().item("event"), rest).compact();
        self.decided.push_back(Act::Say(Out::Text(text)));
    }

    /// Says what is wrong with the client's event `id`.
    fn refuse(&mut self, error: &ApiError, id: Option<&str>) {
        let mut error = error.body().into_value();
        let mut error = error.get_mut("error").map(Value::take).unwrap_or_default();
        if let Some(fields) = error.as_object_mut() {
            fields.insert("event_id".into(), id.into());
        }
        self.tell("error", object! { "error": error });
    }

    /// Says why, and closes as the API does where it takes a client for lost.
    fn refuse_for_good(&mut self, error: &ApiError) {
        self.refuse(error, None);
        let reason = format!("invalid_request_error.{}", error.code_or_empty());
        self.decided.push_back(Act::End(Ending::Close(4000), reason.into()));
    }

    fn read(&mut self, text: &str) -> Result<(), (ApiError, Option<String>)> {
        let event = params::object(text.as_bytes()).map_err(|error| (error, None))?;
        let id = params::optional(&event, "event_id", "a string", Value::is_string)
            .map_err(|error| (error, None))?;
        let id = id.and_then(Value::as_str).map(str::to_owned);
        if id.as_ref().is_some_and(|id| id.chars().count() > 512) {
            let why = "Invalid 'event_id': string too long. Expected at most 512 characters.";
            let error =
                ApiError::invalid_request(why).param("event_id").code("string_above_max_length");
            return Err((error, id));
        }
        self.obey(&event).map_err(|error| (error, id))
    }

    fn obey(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        match params::string(event, "type")? {
            "session.update" => self.update_session(event),
            "input_audio_buffer.append" => self.append_audio(event),
            "input_audio_buffer.commit" => self.commit_audio(),
            "input_audio_buffer.clear" => {
                self.audio.clear();
                self.tell("input_audio_buffer.cleared", object! {});
                Ok(())
            }
            "conversation.item.create" => self.create_item(event),
            "conversation.item.retrieve" => self.retrieve_item(event),
            "conversation.item.delete" => self.delete_item(event),
            "conversation.item.truncate" => self.truncate_item(event),
            "conversation.handoff.append" if self.config.is_quicksilver() => {
                params::string(event, "handoff_id")?;
                params::string(event, "output_text").map(drop)
            }
            "response.create" => self.create_response(event),
            "response.cancel" => self.cancel_response(event),
            "output_audio_buffer.clear" => Err(ApiError::invalid_value(
                "type",
                "'output_audio_buffer.clear' is for WebRTC and SIP connections.",
            )),
            other => {
                let known: Vec<_> = EVENTS.iter().map(|name| format!("'{name}'")).collect();
                let known = known.join(", ");
                let why = format!("Invalid value: '{other}'. Supported values are: {known}.");
                Err(ApiError::invalid_value("type", why))
            }
        }
    }

    fn update_session(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let is_object = Value::is_object;
        let update = params::required(event, "session", "an object", is_object)?;
        let update = update.as_object().ok_or_else(|| ApiError::missing("session"))?;
        self.config.update(update, self.voiced)?;
        let session = self.config.json();
        self.tell("session.updated", object! { "session": session });
        Ok(())
    }
}

/// A member that is text, or else nothing.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Sets a member of an object.
fn set(value: &mut Value, key: &str, to: impl Into<Value>) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(key.to_owned(), to.into());
    }
}

/// An event as the API writes it.
fn event(kind: &'static str, id: &str, rest: Json) -> Json {
    let mut fields = vec![("type", kind.into()), ("event_id", id.into())];
    if let Json::Object(rest) = rest {
        fields.extend(rest);
    }
    Json::Object(fields)
}

impl Session for Realtime {
    fn receive(&mut self, text: &str) {
        for playing in self.active.iter_mut().chain(&mut self.aside) {
            playing.hear();
        }
        if let Err((error, id)) = self.read(text) {
            self.refuse(&error, id.as_deref());
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Act> {
        if let Poll::Ready(act) = poll_decided(&mut self.decided) {
            return Poll::Ready(act);
        }
        for playing in self.active.iter_mut().chain(&mut self.aside) {
            if let Poll::Ready(act) = playing.poll(cx) {
                return Poll::Ready(act);
            }
        }
        if let Some(over) = self.active.take_if(|playing| playing.is_over()) {
            self.conversation.finish(&over);
        }
        self.aside.retain(|playing| !playing.is_over());
        if self.age.as_mut().poll(cx).is_ready() {
            let why = "Your session hit the maximum duration of 60 minutes.";
            self.refuse(&ApiError::invalid_request(why).code("session_expired"), None);
            self.decided.push_back(Act::End(Ending::Close(1001), "session_expired".into()));
            return poll_decided(&mut self.decided);
        }
        Poll::Pending
    }
}
