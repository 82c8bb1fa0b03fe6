//! What the server says beside the answer: in the head of the response, and in members of events
//! that are not about the answer.

use std::collections::VecDeque;

use http::HeaderMap;
use serde::Deserialize;

use crate::model::{
    ModelVerification, RateLimitSnapshot, RawJson, ResponseEvent, SafetyBuffering,
};
use crate::services::{TURN_STATE, TurnState};

/// The events that the head of the response stands for, in the order the API documents.
pub(super) fn in_head(headers: &HeaderMap) -> VecDeque<ResponseEvent> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut events = VecDeque::new();
    if let Some(model) = text("openai-model") {
        events.push_back(ResponseEvent::ServerModel(model.to_owned()));
    }
    events.extend(RateLimitSnapshot::from_headers(headers).into_iter().map(ResponseEvent::RateLimits));
    if let Some(etag) = text("x-models-etag") {
        events.push_back(ResponseEvent::ModelsEtag(etag.to_owned()));
    }
    // Some servers send the header with `false`.
    let included = text("x-reasoning-included").map(|value| value.trim().to_ascii_lowercase());
    if included.is_some_and(|value| value != "false" && value != "0") {
        events.push_back(ResponseEvent::ServerReasoningIncluded(true));
    }
    events
}

/// What has been said so far, so that it is not said again.
#[derive(Debug, Default)]
pub(super) struct SideChannel {
    model: Option<String>,
    safety: SafetyBuffering,
    turn_state: Option<TurnState>,
}

/// The members of an event that are of interest here.
#[derive(Default, Deserialize)]
struct Metadata {
    openai_verification_recommendation: Option<Vec<ModelVerification>>,
    openai_chatgpt_moderation_metadata: Option<RawJson>,
}

impl SideChannel {
    /// A stream that begins with these headers.
    pub(super) fn new(headers: &HeaderMap, turn_state: Option<TurnState>) -> Self {
        let note = headers.get(TURN_STATE).and_then(|value| value.to_str().ok());
        if let (Some(state), Some(note)) = (&turn_state, note) {
            state.capture(note);
        }
        let mut safety = SafetyBuffering::default();
        safety.apply_headers(headers);
        Self { model: None, safety, turn_state }
    }

    /// What `event` says beside the answer, to be handed out before it.
    pub(super) fn said_by(&mut self, event: &ResponseEvent, said: &mut VecDeque<ResponseEvent>) {
        if let Some(model) = served_model(event) {
            if self.model.as_deref() != Some(&*model) {
                self.model = Some(model.clone());
                said.push_back(ResponseEvent::ServerModel(model));
            }
        }
        match event {
            ResponseEvent::Metadata(event) => {
                let headers = event.headers.as_ref();
                let note = headers.and_then(|headers| member(headers, TURN_STATE.as_str()));
                if let (Some(state), Some(note)) = (&self.turn_state, note) {
                    state.capture(&note);
                }
                let metadata: Option<Metadata> =
                    event.metadata.as_ref().and_then(|metadata| metadata.parse().ok());
                let metadata = metadata.unwrap_or_default();
                let known = metadata.openai_verification_recommendation.unwrap_or_default();
                let known = ModelVerification::known(known);
                if !known.is_empty() {
                    said.push_back(ResponseEvent::ModelVerifications(known));
                }
                if let Some(moderation) = metadata.openai_chatgpt_moderation_metadata {
                    said.push_back(ResponseEvent::TurnModerationMetadata(moderation));
                }
            }
            ResponseEvent::CodexRateLimits(event) => {
                said.push_back(ResponseEvent::RateLimits(event.snapshot()));
            }
            _ => {}
        }
        if let Some(raw) = event.extra().and_then(|extra| extra.get("safety_buffering")) {
            if let Ok(buffering) = raw.parse::<SafetyBuffering>() {
                said.push_back(ResponseEvent::SafetyBuffering(buffering.or(&self.safety)));
            }
        }
    }
}

/// The model that `response.headers`, or else a top-level `headers`, names.
fn served_model(event: &ResponseEvent) -> Option<String> {
    let response = event.response().and_then(|response| response.extra.get("headers"));
    let headers = response.or_else(|| event.extra()?.get("headers"))?;
    member(headers, "openai-model").or_else(|| member(headers, "x-openai-model"))
}

/// A header in a JSON object, whatever its case: a string, or the first of a list.
fn member(headers: &RawJson, name: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        One(String),
        Many(Vec<String>),
    }
    let headers: crate::model::RawObject = headers.parse().ok()?;
    let (_, value) = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    match value.parse().ok()? {
        Value::One(value) => Some(value),
        Value::Many(values) => values.into_iter().next(),
    }
}
