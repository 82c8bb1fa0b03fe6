//! What the server says beside the answer: in the head of the response, and in members of events
//! that are not about the answer.

use std::collections::VecDeque;

use http::HeaderMap;

use crate::model::{RateLimitSnapshot, ResponseEvent, SafetyBuffering};
use crate::services::{TURN_STATE, TurnState};

/// The events that the head of the response stands for, in the order that the reference gives them.
pub(super) fn in_head(headers: &HeaderMap) -> VecDeque<ResponseEvent> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut events = VecDeque::new();
    if let Some(model) = text("openai-model") {
        events.push_back(ResponseEvent::ServerModel(model.to_owned()));
    }
    for limits in RateLimitSnapshot::from_headers(headers) {
        events.push_back(ResponseEvent::RateLimits(Box::new(limits)));
    }
    if let Some(etag) = text("x-models-etag") {
        events.push_back(ResponseEvent::ModelsEtag(etag.to_owned()));
    }
    // Some servers send the header to say no.
    let included = text("x-reasoning-included").map(|value| value.trim().to_ascii_lowercase());
    if included.is_some_and(|value| value != "false" && value != "0") {
        events.push_back(ResponseEvent::ServerReasoningIncluded(true));
    }
    events
}

/// What has been said beside the answer of one stream.
#[derive(Debug)]
pub(super) struct SideChannel {
    /// The model that an event named last; headers do not count.
    model: Option<String>,
    safety: Option<Box<SafetyBuffering>>,
    turn_state: Option<TurnState>,
}

impl SideChannel {
    /// That of a stream with this head, whose note on the turn is captured at once.
    pub(super) fn new(headers: &HeaderMap, turn_state: Option<TurnState>) -> Self {
        let note = headers.get(TURN_STATE).and_then(|value| value.to_str().ok());
        if let (Some(state), Some(note)) = (&turn_state, note) {
            state.capture(note);
        }
        let safety = SafetyBuffering::from_headers(headers).map(Box::new);
        Self { model: None, safety, turn_state }
    }

    /// Keeps the note on the turn, if `event` brings one.
    pub(super) fn note(&self, event: &ResponseEvent) {
        if let (ResponseEvent::Metadata(metadata), Some(state)) = (event, &self.turn_state) {
            if let Some(note) = metadata.header(TURN_STATE.as_str()) {
                state.capture(&note);
            }
        }
    }

    /// Adds what `event` says beside the answer, to be handed out before the event itself.
    pub(super) fn listen(&mut self, event: &ResponseEvent, said: &mut VecDeque<ResponseEvent>) {
        if let Some(model) = event.server_model() {
            if self.model.as_ref() != Some(&model) {
                self.model = Some(model.clone());
                said.push_back(ResponseEvent::ServerModel(model));
            }
        }
        match event {
            ResponseEvent::Metadata(metadata) => {
                let verifications = metadata.model_verifications();
                if !verifications.is_empty() {
                    said.push_back(ResponseEvent::ModelVerifications(verifications));
                }
                if let Some(moderation) = metadata.turn_moderation_metadata() {
                    said.push_back(ResponseEvent::TurnModerationMetadata(moderation.clone()));
                }
            }
            ResponseEvent::CodexRateLimits(limits) => {
                let limits = limits.said().map(Box::new);
                said.extend(limits.map(ResponseEvent::RateLimits));
            }
            _ => {}
        }
        if let Some(buffering) = event.safety_buffering() {
            let buffering = match &self.safety {
                Some(defaults) => buffering.or(defaults),
                None => buffering,
            };
            said.push_back(ResponseEvent::SafetyBuffering(Box::new(buffering)));
        }
    }
}
