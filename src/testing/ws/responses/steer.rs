//! `response.steer`: something said to a response while it is on its way.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::shape::in_lane;
use super::lane::{Running, Steer};
use super::{Create, Responses};
use crate::testing::api_error::ApiError;
use crate::testing::json::{Json, object};
use crate::testing::params;
use crate::testing::turn::{Item, Status, Turn};

impl Responses {
    /// Takes a `response.steer` in.
    ///
    /// # Errors
    ///
    /// For one that is not well-formed; one that comes too late is told so by an event.
    pub(super) fn steer(&mut self, object: Map<String, Value>) -> Result<(), ApiError> {
        let id = params::string(&object, "previous_response_id")?.to_owned();
        let input = match params::present(object.get("input")) {
            None => return Err(ApiError::missing("input")),
            Some(Value::String(text)) => {
                vec![serde_json::json!({ "role": "user", "content": text })]
            }
            Some(Value::Array(items)) if items.iter().all(can_steer) => items.clone(),
            Some(_) => {
                let why = "Invalid value for 'input': expected a string, or messages of the user \
                           and outputs of function calls.";
                return Err(ApiError::invalid_value("input", why));
            }
        };
        let steered = |running: &Running| {
            let turn = running.turn.clone().filter(|turn| turn.id() == id)?;
            Some((turn, running.said))
        };
        let found = self.lanes.iter().enumerate().find_map(|(index, lane)| {
            lane.running.as_ref().and_then(steered).map(|(turn, said)| (index, turn, said))
        });
        match found {
            Some((lane, turn, said)) => self.accept(lane, &turn, said, input),
            None => self.fail(&object, &id),
        }
        Ok(())
    }

    fn accept(&mut self, index: usize, turn: &Arc<Turn>, said: u64, input: Vec<Value>) {
        let id = self.turns.ids().item("steer");
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let steer = object! { "id": id.as_str(), "previous_response_id": turn.id() };
        let accepted = object! {
            "type": "response.steer.accepted", "sequence_number": said, "steer": steer,
        };
        let name = lane.name.clone();
        if calls(turn).next().is_some() {
            // It goes on, and its calls have to be answered first.
            lane.steered = Some(Steer { id, response_id: turn.id().to_owned(), input });
            self.say(in_lane(accepted, &name).compact());
            return;
        }
        lane.running = None;
        lane.last = Some(turn.id().to_owned());
        self.say(in_lane(accepted, &name).compact());
        let incomplete = object! {
            "type": "response.incomplete", "sequence_number": said + 1, "response": cut(turn),
        };
        self.say(in_lane(incomplete, &name).compact());
        let mut request = turn.request().as_object().cloned().unwrap_or_default();
        request.insert("previous_response_id".into(), turn.id().into());
        request.insert("input".into(), Value::Array(input));
        self.waiting.push_front(Create { lane: index, request, weight: 0 });
    }

    /// Says that a steer did not reach any response.
    fn fail(&mut self, object: &Map<String, Value>, id: &str) {
        let input = object.get("input").cloned().unwrap_or_default();
        let failed = object! {
            "type": "response.steer.failed",
            "steer": object! { "previous_response_id": id, "input": input },
            "error": object! {
                "type": "invalid_request_error",
                "code": "response_not_in_progress",
                "message": format!("The response '{id}' is not in progress."),
            },
        };
        let name = object.get("stream_id").and_then(Value::as_str).map(Into::into);
        self.say(in_lane(failed, &name).compact());
    }

    /// After a response whose calls a steer waits for: which they are.
    pub(super) fn tell_pending(&mut self, index: usize, finished: &Running) {
        let Some(turn) = &finished.turn else { return };
        let Some(lane) = self.lanes.get(index) else { return };
        let waits = |steer: &&Steer| steer.response_id == turn.id();
        let Some(steer) = lane.steered.as_ref().filter(waits) else { return };
        let required = calls(turn).map(|call_id| {
            object! { "type": "function_call_output", "call_id": call_id }
        });
        let pending = object! {
            "type": "response.steer.pending",
            "steer": object! {
                "id": steer.id.as_str(), "previous_response_id": steer.response_id.as_str(),
            },
            "reason": "waiting_for_required_input",
            "required_input": required.collect::<Vec<_>>(),
        };
        let text = in_lane(pending, &lane.name).compact();
        self.say(text);
    }
}

fn can_steer(item: &Value) -> bool {
    let is = |key, expected: &str| item.get(key).is_some_and(|value| value == expected);
    is("role", "user") || is("type", "function_call_output")
}

/// The calls that a turn makes.
fn calls(turn: &Turn) -> impl Iterator<Item = &str> {
    turn.items.iter().filter_map(|item| match item {
        Item::FunctionCall { call_id, .. } => Some(&**call_id),
        _ => None,
    })
}

/// The response as it is when something else is said instead.
fn cut(turn: &Turn) -> Json {
    let mut response = turn.response(Status::Incomplete);
    if let Json::Object(fields) = &mut response {
        for (key, value) in fields {
            if *key == "incomplete_details" {
                *value = object! { "reason": "steered" };
            }
        }
    }
    response
}
