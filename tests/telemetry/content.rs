//! What must not be recorded, and what only on demand.

use http::Response;
use serde_json::json;
use tower::{Layer, ServiceBuilder};
use tower_openai::Client;
use tower_openai::layers::telemetry::{AttemptLayer, TelemetryLayer};
use tower_openai::layers::{ApiKey, AuthLayer, CompressionLayer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Compression, Responses, ResponsesRequest};

use crate::support::{AnyBody, Trace, answer, full, sse, status, transport};

const PROMPT: &str = "planted-prompt";
const OUTPUT: &str = "planted-output";
/// It looks like nothing in particular.
const KEY: &str = "0123456789abcdef";

fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", PROMPT).instructions("planted-instructions")
}

/// Sends one request and reads the answer, as far as it goes.
async fn call(layer: TelemetryLayer, answer: fn() -> Response<AnyBody>) -> Trace {
    let (trace, _guard) = Trace::start();
    let provider = Provider::new("x", "https://gw.test/v1?sig=0123456789abcdef").unwrap();
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider))
        .layer(layer)
        .layer(AuthLayer::new(ApiKey::new(KEY).unwrap()))
        .layer(AttemptLayer::new())
        .service(transport(move |_| Ok(answer())));
    if let Ok(stream) = Responses::new(stack).stream_request(request()).await {
        let _ = stream.final_response().await;
    }
    trace
}

fn quoting() -> Response<AnyBody> {
    let said = format!("{PROMPT} and {OUTPUT} are refused, key {KEY}");
    let body = json!({"error": {"message": said, "code": KEY}}).to_string();
    let mut response = status(401, &body);
    for name in ["x-request-id", "cf-ray", "x-openai-authorization-error", "set-cookie"] {
        response.headers_mut().insert(name, KEY.parse().unwrap());
    }
    response
}

fn failing() -> Response<AnyBody> {
    let error = json!({"message": PROMPT, "code": KEY});
    let part = json!({"type": "output_text", "text": format!("{OUTPUT} {KEY}")});
    let output = json!([{"type": "message", "role": "assistant", "content": [part]}]);
    let response = json!({"id": KEY, "model": KEY, "error": error, "output": output});
    let mut answer =
        Response::new(full(sse(&json!({"type": "response.failed", "response": response}))));
    answer.headers_mut().insert("openai-model", KEY.parse().unwrap());
    answer
}

fn good() -> Response<AnyBody> {
    Response::new(full(answer()))
}

#[tokio::test]
async fn neither_content_nor_secrets_are_recorded_by_default() {
    for answer in [good as fn() -> _, quoting, failing] {
        let text = call(TelemetryLayer::new(), answer).await.text();
        assert!(text.contains("tower_openai.outcome") && text.contains("api-key"), "{text}");
        for planted in ["planted", KEY] {
            assert!(!text.contains(planted), "{planted} in {text}");
        }
    }
}

#[tokio::test]
async fn content_is_recorded_on_demand_and_secrets_never() {
    let layer = || TelemetryLayer::new().record_content(true);
    let fields = call(layer(), good).await.call().fields;
    assert!(fields["gen_ai.input.messages"].contains(PROMPT), "{fields:?}");
    assert!(fields["gen_ai.system_instructions"].contains("planted-instructions"), "{fields:?}");
    assert!(fields["gen_ai.output.messages"].contains(OUTPUT), "{fields:?}");

    for answer in [quoting as fn() -> _, failing] {
        let trace = call(layer(), answer).await;
        assert!(!trace.text().contains(KEY), "{}", trace.text());
        let message = &trace.events("the call failed")[0].fields["exception.message"];
        assert!(message.contains(PROMPT), "{message}");
    }
}

/// The layer stands outside of compression, where the prompt is still to be read.
#[tokio::test]
async fn the_prompt_of_a_request_that_asks_for_compression_is_recorded_too() {
    let (trace, _guard) = Trace::start();
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new().record_content(true))
        .layer(CompressionLayer::new())
        .service(transport(|request| {
            assert_eq!(request.headers()["content-encoding"], "zstd");
            Ok(good())
        }));
    let request = request().compression(Compression::Zstd);
    let stream = Responses::new(stack).stream_request(request).await.unwrap();
    stream.final_response().await.unwrap();
    let fields = trace.call().fields;
    assert!(fields["gen_ai.input.messages"].contains(PROMPT), "{fields:?}");
    assert!(fields["gen_ai.system_instructions"].contains("planted-instructions"), "{fields:?}");
}

#[tokio::test]
async fn the_preset_records_content_on_demand() {
    let layer = || TelemetryLayer::new().provider_name("gw");
    for (layer, recorded) in [(layer(), false), (layer().record_content(true), true)] {
        let (trace, _guard) = Trace::start();
        let client = Client::builder().transport(transport(|_| Ok(good()))).telemetry(layer);
        let client = client.build().unwrap();
        let stream = client.responses().stream_request(request()).await.unwrap();
        stream.final_response().await.unwrap();
        let fields = trace.call().fields;
        assert_eq!(fields["gen_ai.provider.name"], "gw");
        for name in ["gen_ai.input.messages", "gen_ai.output.messages"] {
            assert_eq!(fields.contains_key(name), recorded, "{fields:?}");
        }
    }
}

#[test]
fn debug_shows_no_query() {
    let layer = TelemetryLayer::new();
    let service = layer.layer(());
    assert!(format!("{layer:?} {service:?}").contains("Telemetry"));
}
