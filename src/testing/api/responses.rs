//! Responses: made, kept, listed, cancelled and deleted.

use std::sync::{Arc, Mutex, OnceLock};

use http::StatusCode;
#[cfg(feature = "ws")]
use serde_json::Map;
use serde_json::Value;

#[cfg(feature = "ws")]
use super::Manner;
use super::items::items;
use super::job::Job;
use super::page::Page;
use super::{Answer, Api, Call, lock};
use crate::testing::api_error::ApiError;
use crate::testing::events::{Frame, Frames, frames};
use crate::testing::json::{Json, object};
use crate::testing::params::optional;
use crate::testing::prompt;
use crate::testing::shelf::Shelf;
use crate::testing::turn::{Finish, Said, Status, Turn, input_tokens};

/// The stored responses.
#[derive(Default)]
pub(super) struct Responses(Mutex<Shelf<Arc<Stored>>>);

/// One stored response. Forgetting it ends its job.
struct Stored {
    turn: Arc<Turn>,
    /// Given ids when they are first asked for.
    input: OnceLock<Vec<Value>>,
    job: Option<Arc<Job>>,
}

impl Stored {
    /// A turn without a job is over for everybody but the one who streams it.
    fn status(&self) -> Status {
        self.job.as_ref().map_or_else(|| self.turn.status(), |job| job.status(&self.turn))
    }

    /// The events after number `after`, those to come included.
    fn events(&self, after: Option<u64>) -> Frames {
        let next = after.map_or(0, |after| after.saturating_add(1));
        let next = usize::try_from(next).unwrap_or(usize::MAX);
        let job = self.job.clone();
        let events = frames(Arc::clone(&self.turn)).enumerate().skip(next);
        Box::new(events.map(move |(number, frame)| {
            let gate = job.as_ref().map(|job| job.gate(number));
            Frame { is_delta: false, gate, ..frame }
        }))
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Some(job) = &self.job {
            job.cancel();
        }
    }
}

impl Api {
    pub(super) fn create_response(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let body = call.body()?;
        let request = prompt::validate(&body)?;
        self.check_references(&request, false)?;
        let manner = &call.manner;
        let said = manner.said.cloned();
        let turn = Arc::new(Turn::new(request, said, manner.finish.clone(), &self.ids));
        let job = turn.background().then(|| {
            let (job, work) = Job::new(Arc::clone(&turn), manner.first_delay, manner.pace);
            call.tasks.spawn(work);
            job
        });
        let stored = Arc::new(Stored { turn: Arc::clone(&turn), input: OnceLock::new(), job });
        let weight = body.len() + manner.said.map_or(0, Said::len);
        self.store(&stored, weight);
        Ok(match (turn.asks_for("stream"), &stored.job) {
            (true, None) => Answer::Events(Box::new(frames(turn))),
            (true, Some(_)) => Answer::Events(stored.events(None)),
            (false, None) => return whole(&turn),
            (false, Some(_)) => Answer::json(&turn.response(Status::Queued)),
        })
    }

    /// A turn on a WebSocket; the response before it may be `remembered` there.
    #[cfg(feature = "ws")]
    pub(in crate::testing) fn socket_turn(
        &self,
        request: Map<String, Value>,
        remembered: bool,
        weight: usize,
        manner: &Manner<'_>,
    ) -> Result<Arc<Turn>, ApiError> {
        let request = prompt::check(request)?;
        self.check_references(&request, remembered)?;
        let (said, finish) = (manner.said.cloned(), manner.finish.clone());
        let weight = weight + manner.said.map_or(0, Said::len);
        let turn = Arc::new(Turn::new(request, said, finish, &self.ids));
        let stored = Stored { turn: Arc::clone(&turn), input: OnceLock::new(), job: None };
        self.store(&Arc::new(stored), weight);
        Ok(turn)
    }

    /// Keeps a response, unless its request says otherwise.
    fn store(&self, stored: &Arc<Stored>, weight: usize) {
        let turn = &stored.turn;
        if turn.request().get("store") != Some(&Value::Bool(false)) {
            self.converse(turn, weight);
            lock(&self.responses.0).insert(turn.id().to_owned(), weight, Arc::clone(stored));
        }
    }

    /// Refuses what refers to something that is not there; the previous response may be known to be.
    fn check_references(&self, request: &Value, remembered: bool) -> Result<(), ApiError> {
        if request.get("background") == Some(&Value::Bool(true))
            && request.get("store") == Some(&Value::Bool(false))
        {
            let why = "Background mode requires 'store' to be true.";
            return Err(ApiError::invalid_value("background", why));
        }
        let previous = request.get("previous_response_id").and_then(Value::as_str);
        match (previous, prompt::conversation(request)) {
            (Some(_), Some(_)) => Err(ApiError::invalid_value(
                "previous_response_id",
                "'previous_response_id' and 'conversation' exclude each other.",
            )),
            (Some(_), None) if remembered => Ok(()),
            (Some(id), None) => self.check_previous(id),
            (None, Some(id)) => self.check_conversation(id),
            (None, None) => Ok(()),
        }
    }

    pub(super) fn check_previous(&self, id: &str) -> Result<(), ApiError> {
        let known = lock(&self.responses.0).get(id).is_some();
        known.then_some(()).ok_or_else(|| ApiError::no_previous_response(id))
    }

    fn stored(&self, call: &Call<'_>) -> Result<Arc<Stored>, ApiError> {
        let stored = lock(&self.responses.0).get(call.id()).map(Arc::clone);
        stored.ok_or_else(|| not_found(call))
    }

    pub(super) fn retrieve_response(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let query = call.query();
        let stream = query.flag("stream")?.unwrap_or(false);
        let padded = query.flag("include_obfuscation")?.unwrap_or(true);
        let after = query.number("starting_after")?;
        let stored = self.stored(call)?;
        if !stream {
            if after.is_some() {
                let why = "'starting_after' is only for 'stream=true'.";
                return Err(ApiError::invalid_value("starting_after", why));
            }
            return Ok(Answer::json(&stored.turn.response(stored.status())));
        }
        if !stored.turn.asks_for("stream") {
            let why = "This response cannot be streamed because it was not created with \
                       'stream' set to true.";
            return Err(ApiError::invalid_value("stream", why));
        }
        let mut events = stored.events(after);
        if !padded {
            events = Box::new(events.map(without_padding));
        }
        Ok(Answer::Events(events))
    }

    pub(super) fn delete_response(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let removed = lock(&self.responses.0).remove(call.id());
        removed.ok_or_else(|| not_found(call))?;
        let deleted = object! { "id": call.id(), "object": "response", "deleted": true };
        Ok(Answer::json(&deleted))
    }

    pub(super) fn cancel_response(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let stored = self.stored(call)?;
        let Some(job) = &stored.job else {
            return Err(ApiError::invalid_request("Cannot cancel a synchronous response."));
        };
        job.cancel();
        Ok(Answer::json(&stored.turn.response(stored.status())))
    }

    pub(super) fn input_items(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let page = Page::new(&call.query())?;
        let stored = self.stored(call)?;
        let input = || items(stored.turn.request().get("input"), &self.ids);
        Ok(Answer::json(&page.of(stored.input.get_or_init(input))?))
    }

    /// An estimate, the same as in the `usage` of a natural answer.
    pub(super) fn input_tokens(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = call.object()?;
        optional(&object, "model", "a string", Value::is_string)?;
        let is_input = |input: &Value| input.is_string() || input.is_array();
        optional(&object, "input", "a string or an array", is_input)?;
        let tokens = input_tokens(&Value::Object(object));
        Ok(Answer::json(&object! { "object": "response.input_tokens", "input_tokens": tokens }))
    }
}

fn not_found(call: &Call<'_>) -> ApiError {
    ApiError::not_found("Response", call.id(), "response_not_found")
}

/// The turn as one JSON body.
fn whole(turn: &Turn) -> Result<Answer, ApiError> {
    if let Finish::ErrorEvent { .. } = turn.finish {
        // Without a stream there is no event to put the error into.
        return Err(ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR));
    }
    let mut answer = Answer::json(&turn.response(turn.status()));
    if let Answer::Whole(whole) = &mut answer {
        whole.cut = turn.finish == Finish::Nothing;
    }
    Ok(answer)
}

fn without_padding(mut frame: Frame) -> Frame {
    if let Json::Object(fields) = &mut frame.data {
        fields.retain(|(key, _)| *key != "obfuscation");
    }
    frame
}
