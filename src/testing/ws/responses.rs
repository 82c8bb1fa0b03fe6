//! The Responses WebSocket: lanes of turns, and what the socket remembers of them.

mod lane;
mod steer;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::{Map, Value};
use tokio::time::{Sleep, sleep};

use self::lane::Lane;
use super::shape::{self, LaneName};
use super::turns::Turns;
use super::{Act, Out, Session, poll_decided};
use crate::testing::api_error::ApiError;
use crate::testing::params;
use crate::testing::script::Ending;

/// So many responses are in flight at a time; more wait.
const MAX_IN_FLIGHT: usize = 16;

/// So many lanes can have a name.
const MAX_NAMES: usize = 32;

/// More requests than this do not wait.
const MAX_WAITING: usize = 1000;

pub(super) struct Responses {
    turns: Turns,
    /// The first has no name.
    lanes: Vec<Lane>,
    waiting: VecDeque<Create>,
    decided: VecDeque<Act>,
    age: Age,
    /// The lane that is asked first, so that none keeps the others from speaking.
    next: usize,
}

/// A `response.create` that waits for its lane.
struct Create {
    lane: usize,
    request: Map<String, Value>,
    weight: usize,
}

/// How long the socket may be used.
enum Age {
    Young(Pin<Box<Sleep>>),
    Old,
}

impl Responses {
    pub(super) fn new(turns: Turns) -> Self {
        let age = Age::Young(Box::pin(sleep(turns.age())));
        Self {
            turns,
            lanes: vec![Lane::new(None)],
            waiting: VecDeque::new(),
            decided: VecDeque::new(),
            age,
            next: 0,
        }
    }

    fn say(&mut self, text: String) {
        self.decided.push_back(Act::Say(Out::Text(text)));
    }

    fn refuse(&mut self, error: &ApiError, lane: &LaneName) {
        self.say(shape::refusal(error, lane));
    }

    /// What a message says, with the lane it is for.
    fn read(&mut self, text: &str) -> Result<(), (ApiError, LaneName)> {
        let nowhere = |error| (error, None);
        let object = params::object(text.as_bytes()).map_err(nowhere)?;
        let lane = self.lane(&object).map_err(nowhere)?;
        let name = self.lanes.get(lane).and_then(|lane| lane.name.clone());
        let here = |error| (error, name.clone());
        match params::string(&object, "type").map_err(here)? {
            "response.create" => self.create(lane, object, text.len()).map_err(here),
            "response.steer" => self.steer(object).map_err(here),
            other => {
                let why = format!(
                    "Invalid value: '{other}'. Supported values are: 'response.create' and \
                     'response.steer'."
                );
                Err(here(ApiError::invalid_value("type", why)))
            }
        }
    }

    /// The lane that a message is for; a new one, if there was none of that name.
    fn lane(&mut self, object: &Map<String, Value>) -> Result<usize, ApiError> {
        let invalid = || {
            ApiError::invalid_request(
                "Invalid 'stream_id': expected 1 to 256 characters out of letters, digits, '_', \
                 '.' and '-'.",
            )
            .param("stream_id")
            .code("invalid_stream_id")
        };
        let name = match params::present(object.get("stream_id")) {
            None => return Ok(0),
            Some(name) => name.as_str().ok_or_else(invalid)?,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || name.len() > 256 || !name.chars().all(fits) {
            return Err(invalid());
        }
        let known = self.lanes.iter().position(|lane| lane.name.as_deref() == Some(name));
        if let Some(known) = known {
            return Ok(known);
        }
        if self.lanes.len() > MAX_NAMES {
            return Err(ApiError::invalid_request(format!(
                "Responses websocket stream limit reached ({MAX_NAMES} streams). Use one of the \
                 streams of this connection, or create a new one."
            ))
            .param("stream_id")
            .code("websocket_stream_limit_reached"));
        }
        self.lanes.push(Lane::new(Some(name.into())));
        Ok(self.lanes.len() - 1)
    }

    fn create(
        &mut self,
        lane: usize,
        request: Map<String, Value>,
        weight: usize,
    ) -> Result<(), ApiError> {
        if let Age::Old = self.age {
            return Err(too_old());
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(ApiError::of_status(http::StatusCode::TOO_MANY_REQUESTS));
        }
        self.waiting.push_back(Create { lane, request, weight });
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.running.is_some()).count()
    }

    /// Starts what can start: in each lane one after the other, and not too many at a time.
    fn start(&mut self) {
        while self.in_flight() < MAX_IN_FLIGHT {
            let idle = |create: &Create| {
                self.lanes.get(create.lane).is_some_and(|lane| lane.running.is_none())
            };
            let Some(index) = self.waiting.iter().position(idle) else { break };
            let Some(create) = self.waiting.remove(index) else { break };
            self.start_one(create);
        }
    }

    fn start_one(&mut self, create: Create) {
        let Create { lane: index, request, weight } = create;
        let before = request.get("previous_response_id").and_then(Value::as_str);
        let remembered = before.is_some_and(|id| self.remembers(id));
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let before = before.filter(|id| lane.last.as_deref() == Some(id)).map(str::to_owned);
        match lane.start(&self.turns, request, remembered, weight) {
            Ok(running) => lane.running = Some(running.continuing(before)),
            Err(error) => {
                if before.is_some() {
                    lane.last = None;
                }
                let name = lane.name.clone();
                self.refuse(&error, &name);
            }
        }
    }

    /// Whether a response can be continued from memory: the latest of each lane can.
    fn remembers(&self, id: &str) -> bool {
        self.lanes.iter().any(|lane| lane.last.as_deref() == Some(id))
    }

    fn poll_age(&mut self, cx: &mut Context<'_>) {
        if let Age::Young(sleep) = &mut self.age {
            if sleep.as_mut().poll(cx).is_pending() {
                return;
            }
            self.age = Age::Old;
        }
    }

    /// The next word of any lane.
    fn poll_lanes(&mut self, cx: &mut Context<'_>) -> Poll<Act> {
        for turn in 0..self.lanes.len() {
            let index = (self.next + turn) % self.lanes.len();
            let Some(lane) = self.lanes.get_mut(index) else { continue };
            if let Poll::Ready(act) = lane.poll(cx) {
                self.next = index + 1;
                return Poll::Ready(act);
            }
        }
        Poll::Pending
    }
}

fn too_old() -> ApiError {
    ApiError::invalid_request(
        "Responses websocket connection limit reached (60 minutes). Create a new websocket \
         connection to continue.",
    )
    .code("websocket_connection_limit_reached")
}

impl Session for Responses {
    fn receive(&mut self, text: &str) {
        for lane in &mut self.lanes {
            lane.hear();
        }
        if let Err((error, lane)) = self.read(text) {
            self.refuse(&error, &lane);
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Act> {
        loop {
            if let Poll::Ready(act) = poll_decided(&mut self.decided) {
                return Poll::Ready(act);
            }
            self.start();
            if !self.decided.is_empty() {
                continue;
            }
            if let Poll::Ready(act) = self.poll_lanes(cx) {
                return Poll::Ready(act);
            }
            if self.settle() {
                continue;
            }
            self.poll_age(cx);
            let idle = self.waiting.is_empty() && self.in_flight() == 0;
            if idle && matches!(self.age, Age::Old) {
                self.refuse(&too_old(), &None);
                let reason: Arc<str> = "websocket_connection_limit_reached".into();
                self.decided.push_back(Act::End(Ending::Close(1000), reason));
                continue;
            }
            return Poll::Pending;
        }
    }
}
