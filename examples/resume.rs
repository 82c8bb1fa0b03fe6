//! A long answer over a connection that keeps breaking.
//!
//! ```text
//! cargo run --example resume
//! ```
//!
//! The server makes the response in the background: it goes on when the connection is gone, and can be
//! asked for from behind the last event that was read. The preset does that by itself. Where it has to
//! give up, the error says how to go on by hand, an hour later or in another process.

use std::time::Duration;

use serde_json::{Value, json};
use tower_openai::layers::ResumePolicy;
use tower_openai::model::ResponseEvent;
use tower_openai::services::{ResponsesRequest, RetrieveStreamRequest};
use tower_openai::sse::{EventSource, ResponseStream};
use tower_openai::testing::{RecordedRequest, Script, Server};
use tower_openai::{BoxError, Client, Error};

const ANSWER: &str = "Sunlight is scattered by the molecules of the air, blue more than red.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder().handler(flaky).start().await?;
    let client = Client::builder().base_url(server.base_url()).build()?;
    let request = || ResponsesRequest::new("gpt-5.2", "Why is the sky blue?").background(true);

    println!("--- by itself");
    let policy = ResumePolicy::default().backoff([Duration::from_millis(20); 5]);
    let responses = client.resuming_responses().policy(policy);
    let mut stream = responses.stream_request(request()).await?;
    print(&mut stream).await?;
    println!("\nresumed {} times", stream.resumptions());

    println!("--- by hand");
    let mut stream = client.responses().stream_request(request()).await?;
    while let Err(broken) = print(&mut stream).await {
        let (Some(id), Some(after)) = (broken.response_id(), broken.sequence_number()) else {
            return Err(broken.into());
        };
        println!("\n{id} broke off behind event {after}: {broken}");
        let rest = RetrieveStreamRequest::new(id).starting_after(after);
        stream = client.retrieve_stream().stream_request(rest).await?;
    }
    println!();
    server.shutdown().await;
    Ok(())
}

/// Prints the text of a stream as it comes, resumed or not.
async fn print<Src: EventSource>(stream: &mut ResponseStream<Src>) -> Result<(), Error>
where
    ResponseStream<Src>: Unpin,
{
    while let Some(event) = stream.try_next().await? {
        if let ResponseEvent::OutputTextDelta(event) = event {
            print!("{}", event.delta);
        }
    }
    Ok(())
}

/// A server whose connections break behind every fifth event.
fn flaky(request: &RecordedRequest) -> Script {
    let after = request.target().split_once("starting_after=").map(|(_, after)| after);
    let from = after.and_then(|after| after.parse::<usize>().ok()).map_or(0, |last| last + 1);
    let events: Vec<_> = events().into_iter().skip(from).collect();
    if events.len() > 5 {
        return Script::events(events).cut_after(5).then_truncate();
    }
    Script::events(events)
}

/// The events of the response, numbered.
fn events() -> Vec<Value> {
    let response = |status| json!({"id": "resp_1", "status": status, "output": []});
    let first = json!({"type": "response.created", "response": response("in_progress")});
    let deltas = ANSWER.split_inclusive(' ').map(|word| {
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": word})
    });
    let last = json!({"type": "response.completed", "response": response("completed")});
    let mut events: Vec<_> = [first].into_iter().chain(deltas).chain([last]).collect();
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events
}
