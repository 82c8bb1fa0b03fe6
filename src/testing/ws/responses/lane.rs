//! One lane: a turn at a time, and the latest response.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde_json::{Map, Value};

use super::super::play::Play;
use super::super::shape::{self, LaneName};
use super::super::turns::{Turns, manner};
use super::super::{Act, Out};
use super::Responses;
use crate::testing::api_error::ApiError;
use crate::testing::events::frames;
use crate::testing::params::{optional, present};
use crate::testing::script::{Content, Ending, Event, Script, Text};
use crate::testing::turn::{Finish, Turn};

pub(super) struct Lane {
    pub(super) name: LaneName,
    pub(super) running: Option<Running>,
    /// The response that can be continued from memory.
    pub(super) last: Option<String>,
    /// What a response is to be told as soon as it has what it waits for.
    pub(super) steered: Option<Steer>,
}

/// A turn that is being said.
pub(super) struct Running {
    play: Play,
    ending: Ending,
    reason: Arc<str>,
    over: bool,
    /// What the lane remembers when it is over; nothing, if it is in vain.
    id: Option<String>,
    before: Option<String>,
    /// Of a natural turn.
    pub(super) turn: Option<Arc<Turn>>,
    /// How many events it has said.
    pub(super) said: u64,
}

/// An accepted `response.steer`.
pub(super) struct Steer {
    pub(super) id: String,
    pub(super) response_id: String,
    pub(super) input: Vec<Value>,
}

impl Running {
    /// The response of the same lane that it continues.
    pub(super) fn continuing(self, before: Option<String>) -> Self {
        Self { before, ..self }
    }
}

impl Lane {
    pub(super) fn new(name: LaneName) -> Self {
        Self { name, running: None, last: None, steered: None }
    }

    pub(super) fn hear(&mut self) {
        if let Some(running) = &mut self.running {
            running.play.hear();
        }
    }

    /// Begins the turn that `request` asks for, as the next script wants it.
    ///
    /// # Errors
    ///
    /// Whatever the API refuses.
    pub(super) fn start(
        &mut self,
        turns: &Turns,
        mut request: Map<String, Value>,
        remembered: bool,
        weight: usize,
    ) -> Result<Running, ApiError> {
        let script = turns.next()?;
        let lane = || self.name.clone();
        let (mut id, mut turn) = (None, None);
        let beats = match shape::scripted(&script, lane()) {
            Some(beats) => {
                if let Content::Events(events) = &script.content {
                    id = events.iter().find_map(response_id);
                }
                beats
            }
            None => {
                check(&request)?;
                add_steer(&mut request, &mut self.steered);
                let pace = turns.pace(&script);
                let manner = manner(&script, pace);
                let new = turns.api().socket_turn(request, remembered, weight, &manner)?;
                let in_vain =
                    matches!(manner.finish, Finish::Failed { .. } | Finish::ErrorEvent { .. });
                id = (!in_vain).then(|| new.id().to_owned());
                turn = Some(Arc::clone(&new));
                shape::natural(&script, Box::new(frames(new)), pace, lane())
            }
        };
        let Script { ending, reason, .. } = script;
        let (play, over, before, said) = (Play::new(beats), false, None, 0);
        Ok(Running { play, ending, reason, over, id, before, turn, said })
    }

    /// The next word of the turn, and at its end what the script wants of the socket.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Act> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        if running.over {
            return Poll::Pending;
        }
        match ready!(running.play.poll(cx)) {
            Some(out) => {
                running.said += u64::from(matches!(out, Out::Text(_) | Out::Fragments(..)));
                Poll::Ready(Act::Say(out))
            }
            None => {
                running.over = true;
                match running.ending {
                    Ending::Complete | Ending::Stall => Poll::Pending,
                    ending => Poll::Ready(Act::End(ending, Arc::clone(&running.reason))),
                }
            }
        }
    }

    /// Takes the turn away, if it is over.
    fn finished(&mut self) -> Option<Running> {
        let done = |running: &mut Running| running.over && running.ending == Ending::Complete;
        let running = self.running.take_if(done)?;
        match (&running.id, &running.before) {
            (Some(id), _) => self.last = Some(id.clone()),
            // What was continued in vain is forgotten.
            (None, Some(before)) if self.last.as_ref() == Some(before) => self.last = None,
            (None, _) => {}
        }
        Some(running)
    }
}

impl Responses {
    /// Clears away the turns that are over; whether there were any.
    pub(super) fn settle(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.lanes.len() {
            let finished = self.lanes.get_mut(index).and_then(Lane::finished);
            if let Some(running) = finished {
                any = true;
                self.tell_pending(index, &running);
            }
        }
        any
    }
}

/// Refuses what the API refuses on a socket alone.
fn check(request: &Map<String, Value>) -> Result<(), ApiError> {
    optional(request, "generate", "a boolean", Value::is_boolean)?;
    for (param, allowed) in [("stream", true), ("background", false)] {
        let value = optional(request, param, "a boolean", Value::is_boolean)?;
        if value.is_some_and(|value| *value != allowed) {
            let why = format!("'{param}' is not supported over a WebSocket.");
            return Err(ApiError::invalid_value(param, why));
        }
    }
    Ok(())
}

/// Puts what a steer said behind the input that it waited for.
fn add_steer(request: &mut Map<String, Value>, steered: &mut Option<Steer>) {
    let before = present(request.get("previous_response_id")).and_then(Value::as_str);
    let Some(steer) = steered.take_if(|steer| before == Some(&steer.response_id)) else { return };
    if let Some(Value::Array(input)) = request.get_mut("input") {
        input.extend(steer.input);
    }
}

/// The id in an event of a script.
fn response_id(event: &Event) -> Option<String> {
    match &event.text {
        Text::Json(value) | Text::DataOnly(value) => {
            value.pointer("/response/id")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}
