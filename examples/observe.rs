//! What an observer hears of one call that is sent twice.
//!
//! ```text
//! cargo run --example observe
//! ```
//!
//! The server refuses the first attempt with 503. The observer's lines come in the order in which
//! things happen.

use std::time::Duration;

use tower::{ServiceBuilder, ServiceExt};
use tower_openai::BoxError;
use tower_openai::layers::telemetry::{
    AttemptInfo, AttemptLayer, CallEnd, CallInfo, EventInfo, HeadInfo, Observe, RetryInfo,
    SequenceGap, TelemetryLayer,
};
use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer, RetryLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;

/// Prints each hook.
#[derive(Clone)]
struct Print;

impl Observe for Print {
    fn on_request(&self, call: &CallInfo) {
        println!("request: {} {}, model {:?}", call.method(), call.path(), call.model());
    }

    fn on_attempt(&self, _: &CallInfo, attempt: &AttemptInfo<'_>) {
        println!("attempt {}: {:?}", attempt.attempt.number(), attempt.outcome);
    }

    fn on_retry(&self, _: &CallInfo, retry: &RetryInfo) {
        let number = retry.failed.number();
        println!("retry: {} on attempt {number}, the next in {:.1?}", retry.reason, retry.delay);
    }

    fn on_head(&self, _: &CallInfo, head: &HeadInfo<'_>) {
        println!("head: {}", head.status);
    }

    fn on_first_event(&self, _: &CallInfo, _: Duration) {
        println!("first event");
    }

    fn on_event(&self, _: &CallInfo, event: &EventInfo<'_>) {
        println!("event: {}", event.event.kind());
    }

    fn on_sequence_gap(&self, _: &CallInfo, gap: SequenceGap) {
        println!("gap: {} to {}", gap.last, gap.next);
    }

    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        let tokens = end.usage.map(|usage| usage.total_tokens);
        println!(
            "end of call {}: {}, {} attempts, {} events, {tokens:?} tokens",
            call.id(),
            end.outcome.as_str(),
            end.attempts,
            end.events,
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::start().await?;
    server.enqueue(Script::status(503)).enqueue(Script::natural().text("Hello!"));

    let responses = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url())?))
        // Sees one call, however often it is sent.
        .layer(TelemetryLayer::new().observe(Print))
        .layer(RetryLayer::default())
        .layer(AuthLayer::new(Bearer::new("sk-example")?))
        // Sees each attempt, and reports it above.
        .layer(AttemptLayer::new())
        // A proxy of the environment is not the way to a server on this machine.
        .service(HyperTransport::builder().without_proxy().build()?);

    let request = ResponsesRequest::new("gpt-5.2", "Say hello.");
    let text = responses.oneshot(request).await?.text().collect().await?;
    println!("answer: {text}");
    Ok(())
}
