//! The client metrics of OpenTelemetry's conventions for generative AI, on the `metrics` facade.

use metrics::{Label, Unit, describe_histogram, histogram};

use super::observe::{CallEnd, CallInfo, EventInfo, Observe, Outcome};

const DURATION: &str = "gen_ai.client.operation.duration";
const TOKENS: &str = "gen_ai.client.token.usage";
const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
const OUTPUT_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";

/// The bounds that the conventions want for histograms of seconds, to be given to an exporter.
pub const SECONDS_BUCKETS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// The bounds that the conventions want for histograms of tokens, to be given to an exporter.
pub const TOKENS_BUCKETS: [f64; 14] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];

/// Records calls as metrics, on the recorder that the application has installed for the facade
/// `metrics`. Needs the feature `metrics`.
///
/// | histogram | unit | recorded |
/// |---|---|---|
/// | `gen_ai.client.operation.duration` | seconds | at the end of each call, dropped ones included |
/// | `gen_ai.client.token.usage` | tokens | at the end, if the server told the usage: one for each `gen_ai.token.type`, `input` and `output` |
/// | `gen_ai.client.operation.time_to_first_chunk` | seconds | at the end of a call that had an event |
/// | `gen_ai.client.operation.time_per_output_chunk` | seconds | at each event after the first, from the one before it |
///
/// All are labelled with `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`,
/// `server.address`, `server.port` and `openai.api.type`, as far as they are known, and on a socket with
/// `network.protocol.name`; at the end also with `gen_ai.response.model`, and a failed call's duration with `error.type`: the kind of
/// the error, or `dropped`.
///
/// ```
/// use tower_openai::layers::TelemetryLayer;
/// use tower_openai::layers::telemetry::MetricsObserver;
///
/// let layer = TelemetryLayer::new().observe(MetricsObserver::new());
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MetricsObserver;

impl MetricsObserver {
    /// Describes the metrics to the recorder: install that first.
    #[must_use]
    pub fn new() -> Self {
        describe_histogram!(DURATION, Unit::Seconds, "The time of a call to the end of its answer");
        describe_histogram!(TOKENS, Unit::Count, "The tokens that a call read or wrote");
        describe_histogram!(FIRST_CHUNK, Unit::Seconds, "The time to the first event of a stream");
        describe_histogram!(OUTPUT_CHUNK, Unit::Seconds, "The time between events of a stream");
        Self
    }
}

impl Default for MetricsObserver {
    fn default() -> Self {
        Self::new()
    }
}

fn labels(call: &CallInfo) -> Vec<Label> {
    let mut labels = vec![
        Label::from_static_parts("gen_ai.operation.name", call.operation_name()),
        Label::new("gen_ai.provider.name", call.provider_name().to_owned()),
    ];
    let texts = [
        ("gen_ai.request.model", call.model()),
        ("server.address", call.host()),
        ("openai.api.type", call.endpoint()),
    ];
    for (name, text) in texts {
        labels.extend(text.map(|text| Label::new(name, text.to_owned())));
    }
    labels.extend(call.port().map(|port| Label::new("server.port", port.to_string())));
    if call.is_over_socket() {
        labels.push(Label::from_static_parts("network.protocol.name", "websocket"));
    }
    labels
}

impl Observe for MetricsObserver {
    fn on_event(&self, call: &CallInfo, event: &EventInfo<'_>) {
        if let (true, Some(since)) = (event.from_wire, event.since_last) {
            histogram!(OUTPUT_CHUNK, labels(call)).record(since.as_secs_f64());
        }
    }

    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        let mut labels = labels(call);
        if let Some(model) = end.model {
            labels.push(Label::new("gen_ai.response.model", model.to_owned()));
        }
        if let Some(usage) = end.usage {
            for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
                let mut labels = labels.clone();
                labels.push(Label::from_static_parts("gen_ai.token.type", kind));
                // Exact up to 2^53 tokens.
                histogram!(TOKENS, labels).record(tokens as f64);
            }
        }
        if let Some(first) = end.first_event {
            histogram!(FIRST_CHUNK, labels.clone()).record(first.as_secs_f64());
        }
        let error = match end.outcome {
            Outcome::Complete => None,
            Outcome::Error { kind, .. } => Some(kind.as_str()),
            Outcome::Dropped => Some("dropped"),
        };
        labels.extend(error.map(|error| Label::from_static_parts("error.type", error)));
        histogram!(DURATION, labels).record(end.duration.as_secs_f64());
    }
}
