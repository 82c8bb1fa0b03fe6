//! The span of a call, with the names of OpenTelemetry's conventions for generative AI.
//!
//! `tracing` has no lists: where the conventions have one, the field is its JSON.

use std::any::Any;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::field::{Empty, display};
use tracing::{Level, Span};

use super::call::Progress;
#[cfg(feature = "retry")]
use super::observe::RetryInfo;
use super::observe::{CallEnd, CallInfo, Outcome, SequenceGap};
use crate::RequestBody;
use crate::model::{IncompleteReason, Response, ResponseStatus};

/// The target of all spans and events of this module.
pub(super) const TARGET: &str = "tower_openai::telemetry";

/// The span of a call; disabled if nobody listens.
pub(super) fn of_call(info: &CallInfo) -> Span {
    tracing::span!(
        target: TARGET,
        Level::INFO,
        "call",
        otel.name = Name(info).to_string(),
        otel.kind = "client",
        otel.status_code = Empty,
        gen_ai.operation.name = info.operation_name(),
        gen_ai.provider.name = info.provider_name(),
        gen_ai.request.model = info.model(),
        gen_ai.request.stream = info.is_streaming(),
        openai.api.type = info.endpoint(),
        server.address = info.host(),
        server.port = info.port(),
        network.protocol.name = info.is_over_socket().then_some("websocket"),
        http.request.method = info.method().as_str(),
        url.path = info.path(),
        tower_openai.call.id = info.id(),
        http.response.status_code = Empty,
        gen_ai.response.id = Empty,
        gen_ai.response.model = Empty,
        gen_ai.response.finish_reasons = Empty,
        gen_ai.response.time_to_first_chunk = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.reasoning.output_tokens = Empty,
        gen_ai.input.messages = Empty,
        gen_ai.output.messages = Empty,
        gen_ai.system_instructions = Empty,
        gen_ai.tool.definitions = Empty,
        error.type = Empty,
        tower_openai.outcome = Empty,
        tower_openai.attempts = Empty,
    )
}

/// `chat gpt-5.2`.
struct Name<'a>(&'a CallInfo);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.operation_name())?;
        self.0.model().map_or(Ok(()), |model| write!(f, " {model}"))
    }
}

pub(super) fn record_head(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
}

pub(super) fn record_first_event(span: &Span, elapsed: Option<Duration>) {
    if let Some(elapsed) = elapsed {
        span.record("gen_ai.response.time_to_first_chunk", elapsed.as_secs_f64());
    }
}

/// Writes what is known at the end, and an event if it is a bad one.
pub(super) fn record_end(progress: &Progress, end: &CallEnd<'_>, record_content: bool) {
    let span = &progress.span;
    if span.is_disabled() {
        return;
    }
    span.record("tower_openai.outcome", end.outcome.as_str());
    span.record("tower_openai.attempts", end.attempts);
    if let Some(id) = end.response_id {
        span.record("gen_ai.response.id", id);
    }
    if let Some(model) = end.model {
        span.record("gen_ai.response.model", model);
    }
    if let Some(reason) = &progress.finish_reason {
        let list = serde_json::to_string(&[reason]).unwrap_or_default();
        span.record("gen_ai.response.finish_reasons", list);
    }
    if let Some(usage) = end.usage {
        span.record("gen_ai.usage.input_tokens", usage.input_tokens);
        span.record("gen_ai.usage.output_tokens", usage.output_tokens);
        span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens());
        span.record("gen_ai.usage.reasoning.output_tokens", usage.reasoning_output_tokens());
    }
    if let Outcome::Error { kind, error } = end.outcome {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", kind.as_str());
        // The server's sentence may quote the prompt.
        let message = error.filter(|_| record_content).map(display);
        let code = error.and_then(|error| error.code());
        tracing::event!(
            target: TARGET,
            parent: span,
            Level::WARN,
            {
                event.name = "gen_ai.client.operation.exception",
                exception.type = kind.as_str(),
                exception.message = message,
                code,
            },
            "the call failed"
        );
    }
}

#[cfg(feature = "retry")]
pub(super) fn retrying(span: &Span, retry: &RetryInfo) {
    if !span.is_disabled() {
        tracing::info!(
            target: TARGET,
            parent: span,
            attempt = retry.failed.number(),
            delay_ms = u64::try_from(retry.delay.as_millis()).unwrap_or(u64::MAX),
            reason = %retry.reason,
            "retrying"
        );
    }
}

pub(super) fn sequence_gap(span: &Span, gap: SequenceGap) {
    if !span.is_disabled() {
        tracing::debug!(
            target: TARGET,
            parent: span,
            last = gap.last,
            next = gap.next,
            "a gap in the sequence of events"
        );
    }
}

/// Why the model stopped, in the words that other APIs use for it.
pub(super) fn finish_reason(response: &Response) -> Option<&str> {
    let reason = response.incomplete_reason();
    Some(match response.status.as_ref()? {
        ResponseStatus::Completed => "stop",
        ResponseStatus::Failed => "error",
        ResponseStatus::Incomplete => match reason {
            Some(IncompleteReason::MaxOutputTokens) => "length",
            Some(reason) => reason.as_str(),
            None => "incomplete",
        },
        _ => return None,
    })
}

/// The parts of a payload that are content.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

/// Writes what is asked, if the body is JSON in memory.
pub(super) fn record_input(span: &Span, body: &dyn Any) {
    if let Some(body) = body.downcast_ref::<RequestBody>().and_then(RequestBody::content) {
        record_prompt(span, body);
    }
}

/// The same of the JSON itself.
pub(super) fn record_prompt(span: &Span, json: &[u8]) {
    if span.is_disabled() {
        return;
    }
    let Ok(content) = serde_json::from_slice::<Content<'_>>(json) else { return };
    for (name, json) in [
        ("gen_ai.input.messages", content.input),
        ("gen_ai.system_instructions", content.instructions),
        ("gen_ai.tool.definitions", content.tools),
    ] {
        if let Some(json) = json {
            span.record(name, json.get());
        }
    }
}

/// Writes what is answered.
pub(super) fn record_output(progress: &Progress, response: &Response) {
    if !progress.span.is_disabled() {
        let output = serde_json::to_string(&response.output).unwrap_or_default();
        progress.span.record("gen_ai.output.messages", progress.clean(&output));
    }
}
