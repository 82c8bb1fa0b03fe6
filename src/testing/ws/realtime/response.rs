//! Responses of a session: asked for, begun, cancelled and interrupted.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::shape;
use super::play::{Draft, Playing};
use super::validate::check_response;
use super::{Realtime, set, text};
use crate::testing::api_error::ApiError;
use crate::testing::json::object;
use crate::testing::params;
use crate::testing::prompt::reply;
use crate::testing::script::Content;
use crate::testing::turn::Finish;

impl Realtime {
    pub(super) fn create_response(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let is_object = Value::is_object;
        let params = params::optional(event, "response", "an object", is_object)?;
        let params = params.cloned().unwrap_or_else(|| Value::Object(Map::new()));
        if self.config.is_transcription() {
            let why = "A transcription session makes no responses.";
            return Err(ApiError::invalid_value("type", why));
        }
        check_response(&params)?;
        self.begin(params)
    }

    /// After a turn of the user's. What cannot be begun is told as an error of nobody's event.
    pub(super) fn respond_to_turn(&mut self) {
        if let Err(error) = self.begin(Value::Object(Map::new())) {
            self.refuse(&error, None);
        }
    }

    fn begin(&mut self, params: Value) -> Result<(), ApiError> {
        let aside = text(&params, "conversation") == "none";
        match &self.active {
            Some(active) if !aside => {
                return Err(ApiError::invalid_request(format!(
                    "Conversation already has an active response in progress: {}. Wait until the \
                     response is finished before creating a new one.",
                    active.id()
                ))
                .code("conversation_already_has_active_response"));
            }
            _ if aside && self.aside.len() >= super::MAX_ASIDE => {
                return Err(ApiError::of_status(http::StatusCode::TOO_MANY_REQUESTS));
            }
            _ => {}
        }
        let script = self.turns.next()?;
        let id = self.turns.ids().item("resp");
        let playing = match shape::scripted(&script, None) {
            Some(beats) => Playing::scripted(id, beats, &script),
            None => {
                let draft = self.draft(&id, &params, &script.content, aside);
                if !aside {
                    for item in draft.items(false) {
                        self.conversation.push(item);
                    }
                    self.voiced |= draft.speaks();
                }
                Playing::natural(draft, &script, self.turns.pace(&script))
            }
        };
        match aside {
            true => self.aside.push(playing),
            false => self.active = Some(playing),
        }
        Ok(())
    }

    /// What the answer will be.
    fn draft(&self, id: &str, params: &Value, content: &Content, aside: bool) -> Draft {
        let (given, finish) = match content {
            Content::Natural { said, finish } => (said.clone(), finish.clone()),
            _ => (None, Finish::Completed),
        };
        let member = |key: &str| match params.get(key) {
            None | Some(Value::Null) => self.config.at(&format!("/{key}")).clone(),
            Some(value) => value.clone(),
        };
        let input = match params.get("input").and_then(Value::as_array) {
            Some(items) => items.iter().map(spoken).collect(),
            None => self.conversation.items().iter().map(spoken).collect::<Vec<_>>(),
        };
        let reply = match given {
            Some(said) => said.into(),
            None => reply(&json!({
                "input": input, "tools": member("tools"), "tool_choice": member("tool_choice"),
            })),
        };
        Draft {
            id: id.into(),
            ids: Arc::clone(self.turns.ids()),
            before: self.conversation.last_id().into_value(),
            in_conversation: !aside,
            base: json!({
                "object": "realtime.response", "id": id,
                "conversation_id": if aside { Value::Null } else { "conv_loopback".into() },
                "output_modalities": member("output_modalities"),
                "max_output_tokens": member("max_output_tokens"),
                "audio": { "output": self.config.at("/audio/output") },
                "metadata": params.get("metadata"),
            }),
            spoken: member("output_modalities") != json!(["text"]),
            quicksilver: self.config.is_quicksilver(),
            finish,
            ..Draft::new(reply, self.turns.ids())
        }
    }

    pub(super) fn cancel_response(&mut self, event: &Map<String, Value>) -> Result<(), ApiError> {
        let id = params::optional(event, "response_id", "a string", Value::is_string)?;
        let wanted = |playing: &Playing| id.is_none_or(|id| *id == playing.id());
        if self.active.as_ref().is_some_and(wanted) {
            self.interrupt("client_cancelled");
            return Ok(());
        }
        match self.aside.iter().position(|playing| id.is_some() && wanted(playing)) {
            Some(index) => {
                let playing = self.aside.remove(index);
                self.tell_cancelled(playing, "client_cancelled");
                Ok(())
            }
            None => {
                let why = "Cancellation failed: no active response found.";
                Err(ApiError::invalid_request(why).code("response_cancel_not_active"))
            }
        }
    }

    /// Ends the response of the conversation, if there is one.
    pub(super) fn interrupt(&mut self, reason: &'static str) {
        if let Some(playing) = self.active.take() {
            self.tell_cancelled(playing, reason);
        }
    }

    fn tell_cancelled(&mut self, mut playing: Playing, reason: &'static str) {
        playing.cut();
        self.conversation.finish(&playing);
        let begun = playing.has_begun_item();
        for item in playing.items().iter().take(usize::from(begun)) {
            let rest = object! {
                "response_id": playing.id(), "output_index": 0_u64, "item": item.clone(),
            };
            self.tell("response.output_item.done", rest);
        }
        let details = json!({ "type": "cancelled", "reason": reason });
        let response = playing.response("cancelled", details, begun);
        self.tell("response.done", object! { "response": response });
    }
}

/// An item as the prompt's reader knows it: what was said aloud is text, too.
fn spoken(item: &Value) -> Value {
    let mut item = item.clone();
    for part in item.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
        if part.get("text").is_none() {
            let transcript = text(part, "transcript").to_owned();
            set(part, "text", transcript);
        }
    }
    item
}
